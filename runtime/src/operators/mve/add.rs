//! Sum of two tensors of one shape, for Helium.
//!
//! ```text
//! inputs:     a, b in the arena
//! parameters: as of the portable sum, see operators/binary.rs
//! ```

use crate::kernels::mve::add::add_i8;
use crate::operators::binary::{add_of, checked_add};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8; parameters are an [`AddRecord`](crate::operators::binary::AddRecord).
pub static ADD_I8_MVE: Operator =
    Operator { code: 0x0252, name: "add_i8_mve", in_place: InPlace::SameRange, check, run };

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let n = operands.output(0, ElementType::I8)?.shape.n_elements();
    for i in 0..2 {
        if operands.input(i, ElementType::I8)?.shape.n_elements() != n {
            return Err("its operands have other numbers of elements than its output");
        }
    }
    checked_add(operands)?;
    Ok(n as u64)
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let q = add_of(ctx)?;
    let (a, b, output) = (ctx.arena_elements::<i8>(0)?, ctx.arena_elements::<i8>(1)?, ctx.output_elements::<i8>(0)?);
    add_i8(&q, ctx.region()?, a, b, output)
}
