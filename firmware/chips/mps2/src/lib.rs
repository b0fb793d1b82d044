#![no_std]
//! Peripherals of Arm's MPS2 and MPS3 boards, as QEMU emulates them: a serial port, a lamp, a button, and the emulator's
//! exit; and the firmware of these boards.
//!
//! Source: Arm DAI 0385, DAI 0386, DAI 0505 and DAI 0547 (memory maps), Arm DDI 0479 (CMSDK UART).

mod board_io;
mod memory_map;
mod register;
mod semihosting;
mod serve;
mod uart;

pub use board_io::{Button, Lamp};
pub use memory_map::MemoryMap;
pub use semihosting::give_up;
pub use serve::{Memory, serve};
pub use uart::Uart;

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;

/// The peripherals of the board, each once.
pub struct Mps2 {
    /// UART 0, the link to the host.
    pub uart: Uart,
    /// User LED 0.
    pub lamp: Lamp,
    /// User push button 0.
    pub button: Button,
    /// SysTick, for the instruction counter.
    pub syst: SYST,
}

impl Mps2 {
    /// Takes all peripherals of the board with this memory map; `None` the second time.
    pub fn take(map: &MemoryMap) -> Option<Self> {
        let core = Peripherals::take()?;
        Some(Self { uart: Uart::new(map), lamp: Lamp::new(map), button: Button::new(map), syst: core.SYST })
    }
}
