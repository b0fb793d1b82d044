//! Normalization of rows in integers: LayerNormalization and RMSNormalization.

use super::rows::{rows, rows_mut};
use crate::fixed_point::InverseSqrt;
use crate::kernels::parameters::OutputI8;

/// Arithmetic of [`normalize_rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowNormalization {
    /// What the elements of a row are measured from.
    pub centre: Centre,
    /// `epsilon` in squared input steps times `n^2 * 2^fraction_bits`, below 2^62.
    pub epsilon: u64,
    /// Even, at most [`MAX_FRACTION_BITS`]; see [`RowNormalization::is_valid`].
    pub fraction_bits: u8,
    /// Binary places of the scales, at most [`MAX_SCALE_SHIFT`].
    pub scale_shift: u8,
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// What the elements of a row are measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Centre {
    /// The mean of the row: LayerNormalization.
    Mean,
    /// This step, which stands for 0: RMSNormalization.
    ZeroPoint(i32),
}

/// Elements of a row, at most.
pub const MAX_ROW: usize = 1 << 14;
/// Binary places of the variance, at most.
pub const MAX_FRACTION_BITS: u8 = 16;
/// Binary places of the scales, at most.
pub const MAX_SCALE_SHIFT: u8 = 30;

impl RowNormalization {
    /// Whether nothing overflows for rows of `n` elements of at most `bits` bits.
    pub fn is_valid(&self, n: usize, bits: u32) -> bool {
        let centre = match self.centre {
            Centre::Mean => true,
            Centre::ZeroPoint(z) => 1i32.checked_shl(bits - 1).is_some_and(|half| (-half..half).contains(&z)),
        };
        (1..=MAX_ROW).contains(&n)
            && centre
            && self.fraction_bits.is_multiple_of(2)
            && self.fraction_bits <= Self::most_fraction_bits(n, bits)
            && self.scale_shift <= MAX_SCALE_SHIFT
            && self.epsilon < 1 << 62
            && self.output.is_valid()
    }

    /// The most binary places that the variance of such rows can have: `n^2 * 2^(2 * bits)` of them stay below 2^62.
    pub fn most_fraction_bits(n: usize, bits: u32) -> u8 {
        let row_bits = usize::BITS - n.leading_zeros();
        let free = 62u32.saturating_sub(2 * row_bits + 2 * bits);
        (free as u8 & !1).min(MAX_FRACTION_BITS)
    }
}

/// LayerNormalization or RMSNormalization of each row, integers only.
///
/// # Shapes
/// - `input`: `[rows, n]`, int8 or int16
/// - `scale`: `[n]`, the model's scale in output steps times `2^scale_shift`
/// - `bias`: `[n]`, the model's bias in output steps times 2^16
/// - `output`: `[rows, n]` i8, apart from `input`
///
/// # Units and ranges
/// `n` at most [`MAX_ROW`]. The quotient below has 16 binary places and is at most `sqrt(n)`.
///
/// # Algorithm
/// Normalization does not depend on the input's scale: with steps `q`, `s = sum(q)` (for RMS `n` times the zero point)
/// and `v = n^2 * variance`, a sum of products of integers without any rounding,
/// `y = (n * q - s) / sqrt(v + epsilon)`, by one [`InverseSqrt`] per row, then
/// `clamp(output_zero_point + round(y * scale + bias), min, max)`. Against binary64 on the same steps, scale and bias, the
/// result is at most 0.51 steps off (rounding alone is 0.5), see the test.
pub fn normalize_rows<T: Copy + Into<i32>>(
    n: usize,
    q: &RowNormalization,
    scale: &[i16],
    bias: &[i32],
    input: &[T],
    output: &mut [i8],
) -> Option<()> {
    let count = n as i64;
    let shift = u32::from(q.scale_shift).wrapping_add(Y_BITS);
    let half = 1i64.wrapping_shl(shift.wrapping_sub(1));
    for (x, row) in rows(input, n).zip(rows_mut(output, n)) {
        let (mut sum, mut squares) = (0i64, 0i64);
        for &x in x {
            let x: i32 = x.into();
            sum = sum.wrapping_add(i64::from(x));
            squares = squares.wrapping_add(i64::from(x.wrapping_mul(x)));
        }
        // n * (the sum of squares around c) = n * squares - 2 n c sum + (n c)^2, with n c = centre.
        let (centre, spread) = match q.centre {
            Centre::Mean => (sum, count.wrapping_mul(squares).wrapping_sub(sum.wrapping_mul(sum))),
            Centre::ZeroPoint(z) => {
                let centre = count.wrapping_mul(i64::from(z));
                let cross = centre.wrapping_mul(sum).wrapping_mul(2);
                (centre, count.wrapping_mul(squares).wrapping_sub(cross).wrapping_add(centre.wrapping_mul(centre)))
            }
        };
        let variance = (spread as u64).wrapping_shl(q.fraction_bits.into()).wrapping_add(q.epsilon);
        let root = InverseSqrt::of(variance);
        // From a product with the root to Y_BITS binary places; the root of 2^fraction_bits is in the variance.
        let places = root.shift.wrapping_sub(u32::from(q.fraction_bits) >> 1).wrapping_sub(Y_BITS);
        let rounding = 1i64.wrapping_shl(places.wrapping_sub(1));
        for ((target, &x), (&scale, &bias)) in row.iter_mut().zip(x).zip(scale.iter().zip(bias)) {
            let distance = count.wrapping_mul(i64::from(x.into())).wrapping_sub(centre) as i32;
            let y =
                i64::from(distance).wrapping_mul(root.multiplier.into()).wrapping_add(rounding).wrapping_shr(places);
            let scaled = i64::from(y as i32).wrapping_mul(scale.into());
            let biased = scaled.wrapping_add(i64::from(bias).wrapping_shl(q.scale_shift.into()));
            *target = q.output.finish_wide(biased.wrapping_add(half).wrapping_shr(shift));
        }
    }
    Some(())
}

/// Binary places of the quotient and of the bias.
const Y_BITS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const OUTPUT: OutputI8 = OutputI8 { zero_point: -5, min: -128, max: 127 };

    /// Largest distance from binary64, in output steps, over elements that are not clamped.
    fn error<T: Copy + Into<i32>>(bits: u32, centre: Centre, epsilon: f64, x: &[T], scale: f64, bias: f64) -> f64 {
        let n = x.len();
        let fraction_bits = RowNormalization::most_fraction_bits(n, bits);
        let squared = (n * n) as f64;
        let q = RowNormalization {
            centre,
            epsilon: (squared * epsilon * f64::from(1u32 << fraction_bits)).round() as u64,
            fraction_bits,
            scale_shift: 8,
            output: OUTPUT,
        };
        assert!(q.is_valid(n, bits), "{q:?}");
        let scales: Vec<i16> = (0..n).map(|i| (scale * 256.0) as i16 - (i % 7) as i16).collect();
        let biases: Vec<i32> = (0..n).map(|i| ((bias + i as f64 % 3.0) * 65536.0) as i32).collect();
        let mut found = std::vec![0; n];
        normalize_rows(n, &q, &scales, &biases, x, &mut found).unwrap();
        let values: Vec<f64> = x.iter().map(|&x| f64::from(x.into())).collect();
        let mean = match centre {
            Centre::Mean => values.iter().sum::<f64>() / n as f64,
            Centre::ZeroPoint(z) => f64::from(z),
        };
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
        let root = (variance + epsilon).sqrt();
        let mut worst: f64 = 0.0;
        for (i, &found) in found.iter().enumerate() {
            let y = if values[i] == mean { 0.0 } else { (values[i] - mean) / root };
            let exact = y * f64::from(scales[i]) / 256.0 + f64::from(biases[i]) / 65536.0 - 5.0;
            worst = worst.max((exact.clamp(-128.0, 127.0) - f64::from(found)).abs());
        }
        worst
    }

    /// Steps of many kinds: random, one outlier, nearly constant, constant, at both ends.
    fn row(n: usize, kind: u32, half: i32, seed: &mut u32) -> Vec<i32> {
        let mut next = || {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (*seed >> 16) as i32
        };
        let offset = next() % half;
        (0..n)
            .map(|i| match kind {
                0 => next() % (2 * half) - half,
                1 => {
                    if i == n / 2 {
                        half - 1
                    } else {
                        -half
                    }
                }
                2 => (offset + i32::from(next() % 5 == 0)).min(half - 1),
                3 => offset,
                4 => {
                    if i % 2 == 0 {
                        half - 1
                    } else {
                        -half
                    }
                }
                _ => (offset / 2 + next() % 9 - 4).clamp(-half, half - 1),
            })
            .collect()
    }

    #[test]
    fn rows_are_within_the_bound_of_binary64() {
        let mut seed = 1;
        let mut worst: f64 = 0.0;
        for n in [1, 2, 3, 16, 64, 65, 300, 4096, MAX_ROW] {
            for kind in 0..6 {
                for epsilon in [0.0, 1e-3, 0.7, 40.0] {
                    for (scale, bias) in [(20.0, 3.0), (-9.5, -40.0), (100.0, 0.25)] {
                        let bytes = row(n, kind, 128, &mut seed);
                        let bytes: Vec<i8> = bytes.into_iter().map(|v| v as i8).collect();
                        let words = row(n, kind, 32768, &mut seed);
                        let words: Vec<i16> = words.into_iter().map(|v| v as i16).collect();
                        for centre in [Centre::Mean, Centre::ZeroPoint(0), Centre::ZeroPoint(-71)] {
                            worst = worst.max(error(8, centre, epsilon, &bytes, scale, bias));
                            worst = worst.max(error(16, centre, epsilon, &words, scale, bias));
                        }
                    }
                }
            }
        }
        assert!(worst < 0.51, "{worst}");
    }

    #[test]
    fn numbers_that_could_overflow_are_refused() {
        let fits =
            RowNormalization { centre: Centre::Mean, epsilon: 1, fraction_bits: 2, scale_shift: 30, output: OUTPUT };
        assert!(fits.is_valid(64, 16) && fits.is_valid(MAX_ROW, 8));
        for (broken, n, bits) in [
            (fits, 0, 8),
            (fits, MAX_ROW + 1, 8),
            (fits, MAX_ROW, 16),
            (RowNormalization { fraction_bits: 3, ..fits }, 64, 8),
            (RowNormalization { fraction_bits: 18, ..fits }, 64, 8),
            (RowNormalization { scale_shift: 31, ..fits }, 64, 8),
            (RowNormalization { epsilon: 1 << 62, ..fits }, 64, 8),
            (RowNormalization { centre: Centre::ZeroPoint(128), ..fits }, 64, 8),
            (RowNormalization { output: OutputI8 { min: 1, max: 0, ..OUTPUT }, ..fits }, 64, 8),
        ] {
            assert!(!broken.is_valid(n, bits), "{broken:?} {n} {bits}");
        }
    }
}
