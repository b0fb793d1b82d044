//! Results for the host.

use core::fmt::{self, Write};

use tinfer_cortex_m::semihosting;

/// Writes one line to the host's standard output: a word, a blank and a decimal number.
///
/// | Word | Number |
/// |---|---|
/// | `periods` | periods of 1 ms that passed |
/// | `missed` | those in which the task did not run to its end |
/// | `delay` | SysTick ticks from the start of a period to the start of the task, at most |
/// | `inferences`, `steps` | what was run beside it |
/// | `worst_step` | SysTick ticks of the longest step |
/// | `digest` | of the first output |
/// | `changed` | a digest of later ones that is another |
/// | `unusable`, `no_input` | 1 when the slot holds no model for this program, or no input behind it |
pub fn line(word: &str, number: u64) {
    // The console takes every byte.
    let _ = writeln!(Console, "{word} {number}");
}

struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(semihosting::write);
        Ok(())
    }
}
