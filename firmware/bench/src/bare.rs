#![no_std]
#![no_main]
//! The least that runs a model: checks, binds and runs one whose steps are int8 dense layers, and says nothing but
//! whether it ran. `cargo xtask sizes --bare` weighs it.

use cortex_m_rt::entry;
use tinfer::operators::Operator;
use tinfer::{Image, Session};
use tinfer_cortex_m::{model_slot, semihosting};

#[allow(dead_code)]
mod board {
    include!(concat!(env!("OUT_DIR"), "/board.rs"));
}

#[cfg(kernel_isa = "armv7em")]
use tinfer::operators::armv7em::fully_connected::FULLY_CONNECTED_I8_ARMV7EM as DENSE;
#[cfg(not(any(kernel_isa = "armv7em", kernel_isa = "mve")))]
use tinfer::operators::fully_connected::FULLY_CONNECTED_I8 as DENSE;
#[cfg(kernel_isa = "mve")]
use tinfer::operators::mve::fully_connected::FULLY_CONNECTED_I8_MVE as DENSE;

static OPERATORS: &[&Operator] = &[&DENSE];

#[entry]
fn main() -> ! {
    let Some([arena]) = board::model_arena() else { semihosting::fail() };
    // SAFETY: memory behind the firmware, which only the emulator's loader writes, before reset.
    let slot = unsafe { model_slot(board::MODEL_SLOT_ORIGIN, board::MODEL_SLOT_BYTES) };
    match run(slot, arena) {
        Some(()) => semihosting::succeed(),
        None => semihosting::fail(),
    }
}

fn run(slot: &[u8], arena: &mut [u8]) -> Option<()> {
    let image = Image::check(slot).ok()?;
    let mut session = Session::bind(&image, arena, OPERATORS).ok()?;
    session.input(0).ok()?.fill(0);
    session.run().ok()?;
    session.output(0).ok().map(|_| ())
}

tinfer_cortex_m::end_by_semihosting!();
