#![no_std]
#![no_main]
//! Firmware for the MPS2 boards of QEMU.

use core::panic::PanicInfo;

use cortex_m::singleton;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use defmt_semihosting as _;
use tinfer::{Arena, Image, operators};
use tinfer_app::{App, Hardware, Identity, Model};
use tinfer_cortex_m::{InstructionClock, PaintedStack, model_slot};
use tinfer_mps2::{MemoryMap, Mps2, give_up};

include!(concat!(env!("OUT_DIR"), "/board.rs"));

#[entry]
fn main() -> ! {
    let Some(board) = Mps2::take(&MemoryMap::MPS2) else { give_up() };
    let Some(arena) = singleton!(: Arena<ARENA_BYTES> = Arena::new()) else { give_up() };
    // SAFETY: SSRAM1 behind the firmware, which only the emulator's loader writes, before reset.
    let slot = unsafe { model_slot(MODEL_SLOT_ORIGIN, MODEL_SLOT_BYTES) };
    let image = Image::check(slot);
    let model = Model::bind(&image, slot, arena.bytes(), operators::ALL);
    let hardware = Hardware {
        link: board.uart,
        lamp: board.lamp,
        button: board.button,
        clock: InstructionClock::new(board.syst, INSTRUCTIONS_PER_TICK),
        stack: PaintedStack::new(),
    };
    let mut app = App::new(Identity { board: BOARD, isa: ISA }, hardware, model);
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
