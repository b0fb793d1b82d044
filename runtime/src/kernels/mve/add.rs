//! Sum of two tensors of one shape.

use super::instructions::{Sum, add};
use crate::kernels::portable::AddI8;
use core::ops::Range;

/// Sum or difference in int8, without broadcasting.
///
/// # Shapes
/// `a`, `b` and `output` are ranges of `region` of one length; the output is one of the operands or apart from both.
///
/// # Algorithm
/// As [`crate::kernels::portable::add_i8`], with the zero points multiplied beforehand.
pub fn add_i8(q: &AddI8, region: &mut [i8], a: Range<usize>, b: Range<usize>, output: Range<usize>) -> Option<()> {
    if a.len() != output.len() || b.len() != output.len() {
        return None;
    }
    let zero_points =
        q.a_zero_point.wrapping_mul(q.multiplier.a).wrapping_add(q.b_zero_point.wrapping_mul(q.multiplier.b));
    let sum = Sum {
        a: a.start,
        b: b.start,
        output: output.start,
        n: output.len(),
        multiplier: q.multiplier,
        addend: zero_points.wrapping_neg(),
    };
    add(region, sum, q.output.into())
}
