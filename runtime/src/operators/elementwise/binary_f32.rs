//! Functions of two float32 elements beside the four arithmetic ones, with numpy broadcasting.
//!
//! ```text
//! inputs:     a, b, either may be constant
//! parameters: none
//! ```

use super::integers::{checked_pair, loops};
use crate::float_math;
use crate::kernels::portable::{binary, functions};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// [`functions::maximum`]
pub static MAX_F32: Operator = Operator {
    code: 0x0340,
    name: "max_f32",
    in_place: InPlace::SameRange,
    check,
    run: |ctx| run(ctx, functions::maximum),
};

/// [`functions::minimum`]
pub static MIN_F32: Operator = Operator {
    code: 0x0341,
    name: "min_f32",
    in_place: InPlace::SameRange,
    check,
    run: |ctx| run(ctx, functions::minimum),
};

/// [`functions::leaky_relu`] with the slopes in b.
pub static PRELU_F32: Operator = Operator {
    code: 0x0342,
    name: "prelu_f32",
    in_place: InPlace::SameRange,
    check,
    run: |ctx| run(ctx, functions::leaky_relu),
};

/// [`float_math::pow`]
pub static POW_F32: Operator = Operator {
    code: 0x0343,
    name: "pow_f32",
    in_place: InPlace::SameRange,
    check,
    run: |ctx| run(ctx, float_math::pow),
};

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    checked_pair(operands, [ElementType::F32; 3])
}

#[inline(always)]
fn run(ctx: &mut StepContext<'_, '_>, function: impl Fn(f32, f32) -> f32) -> Option<()> {
    let loops = loops(ctx)?;
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<f32>(0)?.start);
    binary(&loops, ctx.region()?, a, b, at, function)
}
