//! One factor and one offset per channel, from its statistics.

use super::rows::{rows, rows_mut};
use crate::float_math::sqrt;

/// Numbers of one channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormalizedChannel {
    /// Factor.
    pub scale: f32,
    /// Offset.
    pub bias: f32,
    /// Mean of the channel.
    pub mean: f32,
    /// Variance of the channel.
    pub variance: f32,
    /// Added to the variance.
    pub epsilon: f32,
}

/// Normalizes channel `channel` of every sample; writes nothing else.
///
/// # Shapes
/// - `input`, `output`: `[N, n_channels, plane]` f32
///
/// # Algorithm
/// `y = (x - mean) * (scale / sqrt(variance + epsilon)) + bias`
pub fn batch_normalization_f32(
    n_channels: usize,
    plane: usize,
    channel: usize,
    numbers: &NormalizedChannel,
    input: &[f32],
    output: &mut [f32],
) -> Option<()> {
    let factor = numbers.scale / sqrt(numbers.variance + numbers.epsilon);
    let (sample, start) = (plane.wrapping_mul(n_channels), plane.wrapping_mul(channel));
    for (x, y) in rows(input, sample).zip(rows_mut(output, sample)) {
        let x = x.get(start..)?.get(..plane)?;
        let y = y.get_mut(start..)?.get_mut(..plane)?;
        for (y, x) in y.iter_mut().zip(x) {
            *y = (x - numbers.mean) * factor + numbers.bias;
        }
    }
    Some(())
}
