#![no_std]
#![no_main]
//! A 1 kHz task beside inference, on any emulated Cortex-M board.
//!
//! Both are tasks of embassy's executor, on one stack: no task interrupts the other, so that the fast one starts at the
//! next `await` of the slow one. The slow one awaits after every step of the model. A step is bounded when the image was
//! converted with `--max-slice`, and then so is the delay of the fast task.
//!
//! The program ends after [`PERIODS`] periods: with success when the task was on time in all of them. Its report is lines
//! of a word and a number (see [`report`]).

mod control;
mod inference;
mod report;

use cortex_m::{Peripherals, singleton};
use cortex_m_rt::entry;
use embassy_executor::Executor;
use tinfer::{Image, Session};
use tinfer_cortex_m::{Ticker, model_slot, semihosting};

use crate::report::line;

include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// Of 1 ms, after which the program ends.
pub const PERIODS: u32 = 1000;

#[entry]
fn main() -> ! {
    // SAFETY: memory behind the firmware, which only the emulator's loader writes, before reset.
    let slot = unsafe { model_slot(MODEL_SLOT_ORIGIN, MODEL_SLOT_BYTES) };
    let (Some(core), Some(session), Some(executor)) =
        (Peripherals::take(), session(slot), singleton!(: Executor = Executor::new()))
    else {
        line("unusable", 1);
        semihosting::fail()
    };
    executor.run(|spawner| {
        let ticker = Ticker::start(core.SYST, CLOCK_HZ / 1000);
        // Each is spawned once, so there is room for it.
        let (Ok(control), Ok(inference)) = (control::task(ticker), inference::task(session, slot)) else {
            semihosting::fail()
        };
        // When both wait to run, control does: it starts after one step of the model, not two.
        control.metadata().set_priority(1);
        spawner.spawn(control);
        spawner.spawn(inference);
    })
}

/// Checks and binds the model, before the clock starts.
fn session(slot: &'static [u8]) -> Option<Session<'static, 'static>> {
    let image = Image::check(slot).ok()?;
    let image: &'static Image<'static> = singleton!(: Image<'static> = image)?;
    let [arena] = model_arena()?;
    Session::bind(image, arena, OPERATORS).ok()
}

tinfer_cortex_m::end_by_semihosting!();
