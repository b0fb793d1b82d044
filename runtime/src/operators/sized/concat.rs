//! Concatenation; the record is that of [`crate::operators::movement`].
//!
//! ```text
//! inputs:     x0, x1, ..
//! parameters: 0 axis u8, counted from the first of five right-aligned axes .. 4
//! ```

use super::sized;
use crate::operators::StepOperands;
use crate::operators::movement::{check_concat, run_concat as run};

sized! { check, run;
    /// Concatenation of elements of one byte.
    CONCAT_B1: u8 = 0x0418, "concat_b1";
    /// Concatenation of elements of two bytes.
    CONCAT_B2: u16 = 0x0419, "concat_b2";
    /// Concatenation of elements of four bytes.
    CONCAT_B4: u32 = 0x041a, "concat_b4";
    /// Concatenation of elements of eight bytes.
    CONCAT_B8: u64 = 0x041b, "concat_b8";
}

fn check(operands: &StepOperands<'_>, size_bytes: usize) -> Result<u64, &'static str> {
    let output = operands.any_output(0).ok_or("an output is missing")?;
    if output.element_type.size_bytes() != size_bytes {
        return Err("an output has the wrong element type");
    }
    check_concat(operands, output.element_type)
}
