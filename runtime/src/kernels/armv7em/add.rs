//! Sum of two tensors of one shape.

use super::loops::{Sum, add, clamp};
use crate::fixed_point::PairMultiplier;
use crate::kernels::portable::AddI8;

/// Whether [`add_i8`] takes this arithmetic: with larger shifts the zero point would leave 32 bits.
pub fn takes(multiplier: PairMultiplier) -> bool {
    multiplier.shift <= 22
}

/// Sum or difference in int8.
///
/// # Shapes
/// `n` elements of `region` from each place on; the output, the third, is one of the operands or apart from both.
///
/// # Algorithm
/// As [`crate::kernels::portable::add_i8`] with zero points and rounding in one constant: two multiply-accumulates,
/// shift and saturation, 8 instructions per element.
pub fn add_i8(q: &AddI8, region: &mut [i8], places: [usize; 3], n: usize) -> Option<()> {
    let (a, b, shift) = (q.multiplier.a, q.multiplier.b, u32::from(q.multiplier.shift));
    if !takes(q.multiplier) || shift == 0 {
        return None;
    }
    let zero = a.wrapping_mul(q.a_zero_point).wrapping_add(b.wrapping_mul(q.b_zero_point));
    let rounding = 1i32.wrapping_shl(shift.wrapping_sub(1));
    let constant = q.output.zero_point.wrapping_shl(shift).wrapping_add(rounding).wrapping_sub(zero);
    add(region, places, n, &Sum { a, b, constant, shift })?;
    let [_, _, target] = places;
    clamp(region.get_mut(target..)?.get_mut(..n)?, [q.output.min, q.output.max]);
    Some(())
}
