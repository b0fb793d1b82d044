#![no_std]
#![no_main]
//! Runs the contract of the kernels on any emulated Cortex-M board: the fast kernels of its instruction set against the
//! portable ones, and a digest of what each kernel and the preprocessing of pictures give, for the host to compare with
//! its own.
//!
//! Lines of the report: kind, kernel, cases, digest. The kind is `portable` or `fast`; the first difference ends the
//! program with a sentence instead.

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use cortex_m::singleton;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use tinfer::kernels::contract::{self, EMULATOR_CASES, EMULATOR_SEED, Failure, Memory, Tally, comparisons};
use tinfer_cortex_m::semihosting;

#[entry]
fn main() -> ! {
    let Some(memory) = singleton!(: Memory = Memory::new()) else { semihosting::fail() };
    match run(memory) {
        Ok(()) => semihosting::succeed(),
        Err(failure) => {
            line(format_args!("{failure}"));
            semihosting::fail()
        }
    }
}

fn run(memory: &mut Memory) -> Result<(), Failure> {
    for comparison in comparisons::native() {
        let report = comparison.run(EMULATOR_CASES, EMULATOR_SEED, memory)?;
        line(format_args!("fast {} {} {:016x}", comparison.name, report.cases, report.digest));
    }
    for tally in contract::digests(EMULATOR_CASES, EMULATOR_SEED)? {
        portable(&tally);
    }
    match contract::pictures(EMULATOR_CASES, EMULATOR_SEED) {
        Some(tally) => portable(&tally),
        None => line(format_args!("preprocess: a picture is refused")),
    }
    Ok(())
}

fn portable(tally: &Tally) {
    line(format_args!("portable {} {} {:016x}", tally.kernel, tally.cases, tally.digest));
}

fn line(text: fmt::Arguments<'_>) {
    // The console takes every byte.
    let _ = writeln!(Console, "{text}");
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(semihosting::write);
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    line(format_args!("{info}"));
    semihosting::fail()
}

#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    line(format_args!("hard fault"));
    semihosting::fail()
}
