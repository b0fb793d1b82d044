//! Results for the host.

use tinfer_cortex_m::semihosting;

/// The host's standard output, as lines of one letter, a blank and sixteen hexadecimal digits: numbers without
/// `core::fmt`, which alone is as large as the runtime.
///
/// | Letter | Number |
/// |---|---|
/// | `r` | ticks of a whole run |
/// | `s` | bytes of stack that the run used |
/// | `o` | digest of an output, in their order |
/// | `t` | ticks of a step, in their order, of another run |
/// | `d` | digest of the step's outputs |
/// | `e` | the stage that failed, see [`crate::measure::Stage`] |
pub struct Report;

impl Report {
    /// Writes one line.
    pub fn line(&mut self, letter: u8, number: u64) {
        semihosting::write(letter);
        semihosting::write(b' ');
        for half in [(number >> 32) as u32, number as u32] {
            for position in (0..8u32).rev() {
                let digit = (half >> (position * 4)) as u8 & 0xf;
                semihosting::write(digit + if digit < 10 { b'0' } else { b'a' - 10 });
            }
        }
        semihosting::write(b'\n');
    }
}
