//! Normalization of groups of elements by their own mean and deviation, or by their length.

use super::rows::{rows, rows_mut};
use crate::float_math::sqrt;
use crate::kernels::geometry::Lanes;

/// What is taken from the elements before they are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Statistic {
    /// Nothing: division by the root of the mean square (RMSNormalization).
    MeanSquare = 0,
    /// Their mean: division by the standard deviation (LayerNormalization and its kin).
    Variance = 1,
}

/// Which elements belong together, and which factor each has.
///
/// ```text
///            | row 0              | row 1              | ...  rows of n elements, each normalized on its own
/// factors    | s0 s0 s0 s1 s1 s1  | s2 s2 s2 s3 s3 s3  | ...  each for `repeat` elements; after `groups` rows the
///                                                             first one again
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Elements that are normalized together.
    pub n: usize,
    /// Rows with factors of their own.
    pub groups: usize,
    /// Neighbours that share a factor; divides `n`.
    pub repeat: usize,
    /// What is subtracted.
    pub statistic: Statistic,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Mean (0 when it is not subtracted) and inverse deviation of a row.
///
/// # Algorithm
/// `mean = sum x / n`, `variance = sum (x - mean)^2 / n`, each summed in order; `1 / sqrt(variance + epsilon)`.
fn statistics(normalization: &Normalization, row: &[f32]) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = match normalization.statistic {
        Statistic::MeanSquare => 0.0,
        Statistic::Variance => row.iter().fold(0.0, |sum, &x| sum + x) / n,
    };
    let squares = row.iter().fold(0.0, |sum, &x| {
        let distance = x - mean;
        sum + distance * distance
    });
    (mean, 1.0 / sqrt(squares / n + normalization.epsilon))
}

/// Normalizes each row and applies its factors and offsets.
///
/// # Shapes
/// - `input`, `output`: `[rows, n]` f32
/// - `scale`, `bias`: `[groups * n / repeat]` f32; none is 1 and 0
///
/// # Algorithm
/// `((x - mean) * inverse_deviation) * scale + bias`; [`Normalization`] says which factor.
pub fn normalization_f32(
    normalization: &Normalization,
    input: &[f32],
    scale: Option<&[f32]>,
    bias: Option<&[f32]>,
    output: &mut [f32],
) -> Option<()> {
    let per_row = normalization.n.checked_div(normalization.repeat)?;
    let mut group = 0usize;
    for (x, y) in rows(input, normalization.n).zip(rows_mut(output, normalization.n)) {
        let (mean, inverse) = statistics(normalization, x);
        for (y, x) in y.iter_mut().zip(x) {
            *y = (*x - mean) * inverse;
        }
        let first = group.wrapping_mul(per_row);
        if let Some(scale) = scale {
            each(y, normalization.repeat, scale.get(first..)?, |y, scale| *y *= scale);
        }
        if let Some(bias) = bias {
            each(y, normalization.repeat, bias.get(first..)?, |y, bias| *y += bias);
        }
        group = group.wrapping_add(1);
        if group == normalization.groups {
            group = 0;
        }
    }
    Some(())
}

/// Applies one factor after the other, each to `repeat` elements.
#[inline(always)]
fn each(row: &mut [f32], repeat: usize, factors: &[f32], apply: impl Fn(&mut f32, f32)) {
    if repeat == 1 {
        for (y, &factor) in row.iter_mut().zip(factors) {
            apply(y, factor);
        }
        return;
    }
    for (part, &factor) in rows_mut(row, repeat).zip(factors) {
        for y in part {
            apply(y, factor);
        }
    }
}

/// Mean and inverse deviation of each row: one of them, as the second and third result of LayerNormalization.
///
/// # Shapes
/// `input`: `[rows, n]` f32; `output`: `[rows]` f32.
pub fn statistic_f32(
    normalization: &Normalization,
    input: &[f32],
    choose: fn((f32, f32)) -> f32,
    output: &mut [f32],
) -> Option<()> {
    for (x, y) in rows(input, normalization.n).zip(output) {
        *y = choose(statistics(normalization, x));
    }
    Some(())
}

/// Length by which [`lp_normalization_f32`] divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LpNorm {
    /// Sum of magnitudes.
    L1 = 1,
    /// Root of the sum of squares.
    L2 = 2,
}

/// Divides each lane by its length.
///
/// # Shapes
/// `input`, `output`: `[outer, n, inner]` f32.
///
/// # Algorithm
/// `x / length`, summed in order; a lane of length 0 stays 0.
pub fn lp_normalization_f32(lanes: &Lanes, norm: LpNorm, input: &[f32], output: &mut [f32]) -> Option<()> {
    lanes.for_each(lanes.n, |at| {
        let lane = lanes.elements(input, at.input)?;
        let length = match norm {
            LpNorm::L1 => lane.fold(0.0, |sum, x| sum + x.abs()),
            LpNorm::L2 => sqrt(lane.fold(0.0, |sum, x| sum + x * x)),
        };
        let targets = output.get_mut(at.output..)?.iter_mut().step_by(lanes.inner.max(1));
        for (y, x) in targets.zip(lanes.elements(input, at.input)?) {
            *y = if length == 0.0 { 0.0 } else { x / length };
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn rows_have_their_own_statistics_and_factors() {
        let x: Vec<f32> = (0..48).map(|i| ((i * 29) % 17) as f32 * 0.5 - 3.0).collect();
        for statistic in [Statistic::Variance, Statistic::MeanSquare] {
            for (n, groups, repeat) in [(6, 1, 1), (6, 2, 3), (12, 4, 12), (4, 4, 2), (24, 1, 6)] {
                let q = Normalization { n, groups, repeat, statistic, epsilon: 1e-3 };
                let n_factors = groups * n / repeat;
                let scale: Vec<f32> = (0..n_factors).map(|i| i as f32 * 0.25 + 0.5).collect();
                let bias: Vec<f32> = (0..n_factors).map(|i| 1.0 - i as f32).collect();
                let mut y = vec![0.0; 48];
                normalization_f32(&q, &x, Some(&scale), Some(&bias), &mut y).unwrap();
                for (i, y) in y.iter().enumerate() {
                    let row: Vec<f64> = x[i / n * n..i / n * n + n].iter().map(|&x| f64::from(x)).collect();
                    let mean = if statistic == Statistic::Variance { row.iter().sum::<f64>() / n as f64 } else { 0.0 };
                    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n as f64;
                    let factor = (i / n % groups * n + i % n) / repeat;
                    let expected = (f64::from(x[i]) - mean) / (variance + 1e-3).sqrt() * f64::from(scale[factor])
                        + f64::from(bias[factor]);
                    assert!((f64::from(*y) - expected).abs() < 1e-5 * expected.abs().max(1.0), "{q:?} {i}");
                }
                let mut inverse = vec![0.0; 48 / n];
                statistic_f32(&q, &x, |(_, inverse)| inverse, &mut inverse).unwrap();
                let mut plain = vec![0.0; 48];
                normalization_f32(&q, &x, None, None, &mut plain).unwrap();
                let mut mean = vec![0.0; 48 / n];
                statistic_f32(&q, &x, |(mean, _)| mean, &mut mean).unwrap();
                assert!(plain.iter().enumerate().all(|(i, y)| *y == (x[i] - mean[i / n]) * inverse[i / n]));
            }
        }
    }

    #[test]
    fn lengths_become_one() {
        let lanes = Lanes { outer: 1, n: 2, inner: 3 };
        let x = [3.0, 0.0, -1.0, -4.0, 0.0, 1.0];
        let mut y = [0.0; 6];
        lp_normalization_f32(&lanes, LpNorm::L2, &x, &mut y).unwrap();
        let half = 1.0 / sqrt(2.0);
        assert_eq!(y, [0.6, 0.0, -half, -0.8, 0.0, half]);
        lp_normalization_f32(&lanes, LpNorm::L1, &x, &mut y).unwrap();
        assert_eq!(y, [3.0 / 7.0, 0.0, -0.5, -4.0 / 7.0, 0.0, 0.5]);
    }
}
