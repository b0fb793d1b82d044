//! A value that an image was made for, checked while it runs.
//!
//! ```text
//! inputs:     x of any type, given of any type, expected: a constant like given
//! output:     x
//! parameters: none
//! ```
//! ONNX has shapes, axes and counts as inputs. Where they come from outside while the model runs, the shapes of an image
//! belong to one value of them; any other stops the run with [`RunError::Inconsistent`](crate::RunError::Inconsistent).

use super::{InPlace, Operator, StepContext, StepOperands};
use crate::image::TensorView;
use crate::kernels::Operand;

/// Passes x on when `given` has the elements of `expected`.
pub static REQUIRE: Operator = Operator { code: 0x0a01, name: "require", in_place: InPlace::SameRange, check, run };

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let of = |i: usize| operands.any_input(i).ok_or("an input is missing");
    let (x, given, expected) = (of(0)?, of(1)?, of(2)?);
    let output = operands.any_output(0).ok_or("an output is missing")?;
    let alike = |a: &TensorView, b: &TensorView| {
        a.element_type == b.element_type && a.shape.n_elements() == b.shape.n_elements()
    };
    if !alike(&x, &output) || !alike(&given, &expected) {
        return Err("its operands differ in type or length");
    }
    operands.constant::<u8>(2, expected.element_type, expected.shape.n_elements())?;
    Ok((x.n_bytes() as u64).saturating_add(given.n_bytes() as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let expected = ctx.constant::<u8>(2)?;
    match ctx.operand::<u8>(1)? {
        Operand::Constant(given) if given == expected => {}
        Operand::Region { offset, len } if ctx.region::<u8>()?.get(offset..)?.get(..len)? == expected => {}
        _ => return None,
    }
    if ctx.arena_elements::<u8>(0) != ctx.output_elements::<u8>(0) {
        let map = ctx.map::<u8, u8>(0, 0)?;
        for (y, x) in map.output.iter_mut().zip(map.input) {
            *y = *x;
        }
    }
    Some(())
}
