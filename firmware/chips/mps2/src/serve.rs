//! The firmware of every board of this family, all but its memory.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use defmt_semihosting as _;
use tinfer::Image;
use tinfer::operators::Operator;
use tinfer_app::{App, Hardware, Identity, Model};
use tinfer_cortex_m::{InstructionClock, PaintedStack};

use crate::{MemoryMap, Mps2, give_up};

/// Memory of a board.
pub struct Memory<const N: usize> {
    /// Model slot.
    pub slot: &'static [u8],
    /// Arenas, fastest memory first.
    pub arenas: [&'static mut [u8]; N],
}

/// Answers the host for ever, with the model in the slot.
///
/// `instructions_per_tick` is what [`InstructionClock::new`] takes.
pub fn serve<const N: usize>(
    map: &MemoryMap,
    identity: Identity,
    memory: Memory<N>,
    operators: &'static [&'static Operator],
    instructions_per_tick: (u32, u32),
) -> ! {
    let Some(board) = Mps2::take(map) else { give_up() };
    let image = Image::check(memory.slot);
    let model = Model::bind(&image, memory.slot, memory.arenas, operators);
    let hardware = Hardware {
        link: board.uart,
        lamp: board.lamp,
        button: board.button,
        clock: InstructionClock::new(board.syst, instructions_per_tick),
        stack: PaintedStack::new(),
    };
    let mut app = App::new(identity, hardware, model);
    loop {
        if !app.poll() {
            app.link().wait();
        }
    }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    give_up()
}

#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    give_up()
}

defmt::timestamp!("");
