#![no_std]
#![no_main]
//! The smallest program that checks, binds and runs one model, on any emulated Cortex-M board, and says what it cost.
//!
//! It has no link and no log: results leave by semihosting, as lines of one letter and a number (see [`Report`]). The
//! model's inputs lie behind its image in the slot, at the next 16-byte boundary, one behind the other.

mod measure;
mod report;

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use tinfer_cortex_m::{InstructionClock, PaintedStack, model_slot, semihosting};

use crate::report::Report;

include!(concat!(env!("OUT_DIR"), "/board.rs"));

#[entry]
fn main() -> ! {
    let (Some(core), Some([arena])) = (Peripherals::take(), model_arena()) else { semihosting::fail() };
    // SAFETY: memory behind the firmware, which only the emulator's loader writes, before reset.
    let slot = unsafe { model_slot(MODEL_SLOT_ORIGIN, MODEL_SLOT_BYTES) };
    let clock = InstructionClock::new(core.SYST, INSTRUCTIONS_PER_TICK);
    match measure::measure(slot, arena, OPERATORS, &clock, &mut PaintedStack::new()) {
        Ok(()) => semihosting::succeed(),
        Err(stage) => {
            Report.line(b'e', stage as u64);
            semihosting::fail()
        }
    }
}

tinfer_cortex_m::end_by_semihosting!();
