//! Elementwise functions and Softmax on int16 activations.

use super::OutputI16;
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::kernels::Operand;
use crate::kernels::geometry::StridedLoops;
use crate::kernels::portable::elementwise::{binary, unary};
use crate::kernels::portable::rows::{rows, rows_mut};

/// Arithmetic of [`add_i16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddI16 {
    /// Scales of the operands over the output's; the second negative to subtract.
    pub multiplier: PairMultiplier,
    /// Limits of the output.
    pub output: OutputI16,
}

/// Arithmetic of [`mul_i16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulI16 {
    /// Product of the operands' scales over the output's.
    pub requantizer: Requantizer,
    /// Limits of the output.
    pub output: OutputI16,
}

/// Sum or difference, with broadcasting.
///
/// # Shapes
/// `loops` over (a, b, output) from [`StridedLoops::broadcast`]; the output lies in `region` from `output_offset` on.
///
/// # Algorithm
/// `clamp((a * ma + b * mb + 2^(s-1)) >> s, min, max)` in 64 bits: one rounding.
pub fn add_i16(
    loops: &StridedLoops<3>,
    q: &AddI16,
    region: &mut [i16],
    a: Operand<'_, i16>,
    b: Operand<'_, i16>,
    output_offset: usize,
) -> Option<()> {
    binary(loops, region, a, b, output_offset, |a, b| {
        q.output.finish(q.multiplier.combine_wide(i32::from(a), i32::from(b)))
    })
}

/// Product, with broadcasting.
///
/// # Shapes
/// As [`add_i16`].
///
/// # Algorithm
/// `clamp(requantize(a * b), min, max)`
pub fn mul_i16(
    loops: &StridedLoops<3>,
    q: &MulI16,
    region: &mut [i16],
    a: Operand<'_, i16>,
    b: Operand<'_, i16>,
    output_offset: usize,
) -> Option<()> {
    binary(loops, region, a, b, output_offset, |a, b| {
        q.output.finish(q.requantizer.requantize_wide(i32::from(a).wrapping_mul(i32::from(b))))
    })
}

/// Steps of another scale, into limits.
///
/// # Shapes
/// `input` and the output have the same length; the output lies in `region` from `output_offset` on.
///
/// # Algorithm
/// `clamp(requantize(q), min, max)`
pub fn clamp_i16(
    requantizer: Requantizer,
    limits: OutputI16,
    region: &mut [i16],
    input: Operand<'_, i16>,
    output_offset: usize,
) -> Option<()> {
    unary(region, input, output_offset, |q: i16| limits.finish(requantizer.requantize_wide(i32::from(q))))
}

/// Any smooth function of one int16 element.
///
/// # Shapes
/// As [`clamp_i16`]; `table[i]` is the result for `128 * i - 32768`.
///
/// # Algorithm
/// Between two entries a straight line: with `i` the top nine bits of `q + 32768` and `f` the other seven,
/// `table[i] + (((table[i + 1] - table[i]) * f + 64) >> 7)`. The last entry is for 32768, which is not reached.
///
/// Against a function with a second derivative of at most `m` output steps per input step squared, the error is at most
/// `m * 128^2 / 8` and one step of rounding.
pub fn table_lookup_i16(
    table: &[i16; 513],
    region: &mut [i16],
    input: Operand<'_, i16>,
    output_offset: usize,
) -> Option<()> {
    unary(region, input, output_offset, |q: i16| {
        let position = (q as u16) ^ 0x8000;
        let (entry, fraction) = (usize::from(position >> 7), i32::from(position & 127));
        // Nine bits and one more stay below 513.
        let at = |i: usize| table.get(i).map_or(0, |&v| i32::from(v));
        let (low, high) = (at(entry), at(entry.wrapping_add(1)));
        let rise = high.wrapping_sub(low).wrapping_mul(fraction).wrapping_add(64) >> 7;
        low.wrapping_add(rise) as i16
    })
}

/// Softmax, integers only.
///
/// # Shapes
/// - `input`, `output`: `[rows, n]` i16, apart from each other
/// - `coarse[i] = round(e^(-128 * i * scale) * 2^30)`, `fine[i] = round(e^(-i * scale) * 2^30)`
///
/// # Units and ranges
/// The output has scale 1/32768 and zero point 0.
///
/// # Algorithm
/// With `d = max - x`: `e = (coarse[d >> 7] * fine[d & 127]) >> 30`, then
/// `output = min(floor((e * 32768 + sum / 2) / sum), 32767)`, the sum of `e` over the row in 64 bits. Against binary64 on the
/// same steps the output is at most 0.51 steps from the exact value, or 1 step where that is 32768.
pub fn softmax_i16(n: usize, coarse: &[u32; 512], fine: &[u32; 128], input: &[i16], output: &mut [i16]) -> Option<()> {
    for (x, row) in rows(input, n).zip(rows_mut(output, n)) {
        let largest = x.iter().fold(i16::MIN, |largest, &x| largest.max(x));
        let exponential = |x: i16| {
            let distance = (largest as u16).wrapping_sub(x as u16);
            let high = coarse.get(usize::from(distance >> 7)).map_or(0, |&e| u64::from(e));
            let low = fine.get(usize::from(distance & 127)).map_or(0, |&e| u64::from(e));
            high.wrapping_mul(low) >> 30
        };
        let sum = x.iter().fold(0u64, |sum, &x| sum.wrapping_add(exponential(x)));
        for (target, &x) in row.iter_mut().zip(x) {
            let share = (exponential(x) << 15).wrapping_add(sum >> 1).checked_div(sum).unwrap_or(0);
            *target = share.min(32767) as i16;
        }
    }
    Some(())
}
