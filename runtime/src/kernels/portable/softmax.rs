//! Softmax and its logarithm over the last axis.

use super::rows::{rows, rows_mut};
use crate::fixed_point::Requantizer;
use crate::float_math::{exp, log};

/// Fraction bits of the table for rows of `n` elements: `min(22, 31 - ceil(log2(n)))`.
pub fn softmax_table_bits(n: u32) -> u32 {
    let log2 = n.max(1).next_power_of_two().trailing_zeros();
    31u32.saturating_sub(log2).min(22)
}

/// Softmax in int8, integers only.
///
/// # Shapes
/// - `input`, `output`: `[rows, n]` i8, apart from each other
/// - `table`: `table[d] = round(e^(-d * input_scale) * 2^bits)` with `bits` from [`softmax_table_bits`]
///
/// # Units and ranges
/// The output has scale 1/256 and zero point -128. Table entries are at most 2^22.
///
/// # Algorithm
/// With `d = max - x`: `output = min(floor((table[d] * 256 + sum / 2) / sum), 255) - 128`, `sum` over the row's entries.
/// All in 32 bits: with `bits` from [`softmax_table_bits`] the sum is at most 2^31, and so is every numerator. Against binary64 on the same int8 input the output is at most 0.501
/// steps from the exact value (rounding alone is 0.5), measured over the whole range for scales from 1e-4 to 8 and rows
/// up to 4096 elements.
pub fn softmax_i8(n: usize, table: &[u32; 256], input: &[i8], output: &mut [i8]) -> Option<()> {
    shares(n, input, output, |largest, x| {
        let distance = (largest as u8).wrapping_sub(x as u8);
        table.get(usize::from(distance)).copied().unwrap_or(0)
    })
}

/// Softmax in int8 behind a mask, integers only.
///
/// # Shapes
/// As [`softmax_i8`].
///
/// # Algorithm
/// As [`softmax_i8`] with entry 0 for the lowest step, -128, which stands for minus infinity: what a mask excludes has no
/// share, however near the other elements are. A row of such elements alone becomes zeros.
pub fn softmax_masked_i8(n: usize, table: &[u32; 256], input: &[i8], output: &mut [i8]) -> Option<()> {
    shares(n, input, output, |largest, x| {
        let distance = (largest as u8).wrapping_sub(x as u8);
        table.get(usize::from(distance)).copied().filter(|_| x != i8::MIN).unwrap_or(0)
    })
}

/// Each element's share of its row, in steps of 1/256 from -128; `entry(largest, x)` is the weight of `x`.
#[inline(always)]
fn shares(n: usize, input: &[i8], output: &mut [i8], entry: impl Fn(i8, i8) -> u32) -> Option<()> {
    for (x, row) in rows(input, n).zip(rows_mut(output, n)) {
        let largest = x.iter().fold(i8::MIN, |largest, &x| largest.max(x));
        let sum = x.iter().fold(0u32, |sum, &x| sum.wrapping_add(entry(largest, x)));
        for (target, &x) in row.iter_mut().zip(x) {
            let weight = entry(largest, x).wrapping_mul(256);
            let share = weight.wrapping_add(sum >> 1).checked_div(sum).unwrap_or(0);
            *target = (share.min(255) as i32 - 128) as i8;
        }
    }
    Some(())
}

/// Softmax in int8 with results in any steps, integers only.
///
/// # Shapes
/// As [`softmax_i8`].
///
/// # Units and ranges
/// `steps` is `2^-30 / output_scale`; `zero_point` is that of the output.
///
/// # Algorithm
/// With `d = max - x`: `share = table[d] / sum` in Q30, by the reciprocal of the row's sum, then
/// `output = clamp(steps.requantize(share) + zero_point)`. The reciprocal has at least 30 bits, so that a share is at most
/// 2^-28 from `table[d] / sum`.
pub fn softmax_scaled_i8(
    n: usize,
    table: &[u32; 256],
    steps: Requantizer,
    zero_point: i32,
    input: &[i8],
    output: &mut [i8],
) -> Option<()> {
    for (x, row) in rows(input, n).zip(rows_mut(output, n)) {
        let largest = x.iter().fold(i8::MIN, |largest, &x| largest.max(x));
        let entry = |x: i8| {
            let distance = (largest as u8).wrapping_sub(x as u8);
            table.get(usize::from(distance)).copied().unwrap_or(0)
        };
        let sum = x.iter().fold(0u32, |sum, &x| sum.wrapping_add(entry(x)));
        // In [2^31, 2^32), so that the reciprocal is in (2^30, 2^31].
        let zeros = sum.leading_zeros();
        let normal = sum.checked_shl(zeros).unwrap_or(0);
        let reciprocal = reciprocal(normal);
        for (target, &x) in row.iter_mut().zip(x) {
            let product = u64::from(entry(x)) * u64::from(reciprocal);
            let share = (product >> (32 - zeros)).min(1 << 30) as i32;
            *target = steps.requantize(share).saturating_add(zero_point).clamp(-128, 127) as i8;
        }
    }
    Some(())
}

/// `floor(2^62 / x)` for `x` of at least 2^31, bit by bit: a division of 64 bits is a kilobyte of library on Cortex-M.
fn reciprocal(x: u32) -> u32 {
    let x = u64::from(x);
    let (mut quotient, mut rest) = (0u32, 1u64 << 31);
    for _ in 0..32 {
        quotient <<= 1;
        if rest >= x {
            quotient |= 1;
            rest = rest.wrapping_sub(x);
        }
        rest <<= 1;
    }
    quotient
}

/// Softmax in float32.
///
/// # Shapes
/// `input`, `output`: `[rows, n]` f32, apart from each other.
///
/// # Algorithm
/// `e = exp(x - max)` with [`exp`] of `float_math`, summed in order, then `e / sum`.
pub fn softmax_f32(n: usize, input: &[f32], output: &mut [f32]) -> Option<()> {
    for (x, row) in rows(input, n).zip(rows_mut(output, n)) {
        let largest = x.iter().fold(f32::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
        for (target, &x) in row.iter_mut().zip(x) {
            *target = exp(x - largest);
        }
        let sum = row.iter().fold(0.0, |sum, &e| sum + e);
        for target in row {
            *target /= sum;
        }
    }
    Some(())
}

/// Logarithm of softmax in float32.
///
/// # Shapes
/// `input`, `output`: `[rows, n]` f32, apart from each other.
///
/// # Algorithm
/// `(x - max) - log(sum exp(x - max))`, summed in order.
pub fn log_softmax_f32(n: usize, input: &[f32], output: &mut [f32]) -> Option<()> {
    for (x, row) in rows(input, n).zip(rows_mut(output, n)) {
        let largest = x.iter().fold(f32::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
        let log_of_sum = log(x.iter().fold(0.0, |sum, &x| sum + exp(x - largest)));
        for (target, &x) in row.iter_mut().zip(x) {
            *target = (x - largest) - log_of_sum;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_are_those_of_a_division() {
        for x in [1 << 31, (1 << 31) + 1, 3 << 30, u32::MAX - 1, u32::MAX, 0x9e37_79b9, 0xdead_beef] {
            assert_eq!(u64::from(reciprocal(x)), (1 << 62) / u64::from(x), "{x}");
        }
        // What no row gives.
        let _ = reciprocal(0);
    }

    #[test]
    fn log_softmax_is_the_logarithm_where_softmax_is_zero_too() {
        let x = [1.0, -2.0, 0.5, 0.0, 10_000.0, 9_999.0, -10_000.0, 10_001.0];
        let (mut log, mut share) = ([0.0; 8], [0.0; 8]);
        log_softmax_f32(4, &x, &mut log).unwrap();
        softmax_f32(4, &x, &mut share).unwrap();
        for (i, (log, share)) in log.iter().zip(share).enumerate() {
            let expected = if i == 6 { -20_001.407_6 } else { f64::from(share).ln() };
            assert!((f64::from(*log) - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{i}: {log} {expected}");
        }
    }
}
