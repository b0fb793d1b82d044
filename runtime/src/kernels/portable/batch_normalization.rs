//! One factor and one offset per channel, from its statistics.

use super::rows::{rows, rows_mut};
use crate::float_math::sqrt;

/// Numbers of all channels.
#[derive(Clone, Copy, Debug)]
pub struct ChannelStatistics<'a> {
    /// Factors.
    pub scale: &'a [f32],
    /// Offsets.
    pub bias: &'a [f32],
    /// Means.
    pub mean: &'a [f32],
    /// Variances.
    pub variance: &'a [f32],
    /// Added to the variances.
    pub epsilon: f32,
}

/// Batch normalization in float32.
///
/// # Shapes
/// - `input`, `output`: `[N, C, plane]` f32
/// - statistics: `[C]`
///
/// # Algorithm
/// `y = (x - mean) * (scale / sqrt(variance + epsilon)) + bias`
pub fn batch_normalization_f32(
    plane: usize,
    statistics: &ChannelStatistics<'_>,
    input: &[f32],
    output: &mut [f32],
) -> Option<()> {
    let ChannelStatistics { scale, bias, mean, variance, epsilon } = *statistics;
    let sample = plane.wrapping_mul(scale.len());
    for (x, y) in rows(input, sample).zip(rows_mut(output, sample)) {
        let numbers = scale.iter().zip(bias).zip(mean.iter().zip(variance));
        for ((x, y), ((scale, bias), (mean, variance))) in rows(x, plane).zip(rows_mut(y, plane)).zip(numbers) {
            let factor = scale / sqrt(variance + epsilon);
            for (y, x) in y.iter_mut().zip(x) {
                *y = (x - mean) * factor + bias;
            }
        }
    }
    Some(())
}
