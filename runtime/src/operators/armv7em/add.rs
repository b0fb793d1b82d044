//! Sum of two tensors of one shape, for the DSP extension.
//!
//! ```text
//! inputs:     a, b in the arena
//! parameters: as of the portable sum, see operators/binary.rs
//! ```

use crate::kernels::armv7em::add::{add_i8, takes};
use crate::operators::binary::{add_of, checked_add};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8; parameters are an [`AddRecord`](crate::operators::binary::AddRecord).
pub static ADD_I8_ARMV7EM: Operator =
    Operator { code: 0x0152, name: "add_i8_armv7em", in_place: InPlace::SameRange, check, run };

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let n = operands.output(0, ElementType::I8)?.shape.n_elements();
    for i in 0..2 {
        if operands.arena_input(i, ElementType::I8)?.shape.n_elements() != n {
            return Err("its operands have other numbers of elements than its output");
        }
    }
    if !takes(checked_add(operands)?.multiplier) {
        return Err("its shift is out of range");
    }
    Ok(n as u64)
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let q = add_of(ctx)?;
    let (a, b, output) = (ctx.arena_elements::<i8>(0)?, ctx.arena_elements::<i8>(1)?, ctx.output_elements::<i8>(0)?);
    add_i8(&q, ctx.region()?, [a.start, b.start, output.start], output.len())
}
