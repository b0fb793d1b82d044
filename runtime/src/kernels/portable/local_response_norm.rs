//! Normalization by the energy of neighbouring channels.

use super::rows::{rows, rows_mut};
use crate::float_math::pow;

/// Numbers of [`local_response_norm_f32`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    /// Channels of one sample.
    pub channels: usize,
    /// Elements of one channel.
    pub plane: usize,
    /// Channels that count, the own one included.
    pub size: u32,
    /// Factor of the sum, before the division by `size`.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added to the sum.
    pub bias: f32,
}

/// Local response normalization in float32 (Krizhevsky et al. 2012, section 3.3).
///
/// # Shapes
/// - `input`, `output`: `[N, channels, plane]` f32
///
/// # Algorithm
/// `y = x / (bias + alpha / size * sum(x^2))^beta` over the `(size - 1) / 2` channels before, the own one and the
/// `size / 2` channels behind, as far as they exist, summed from 0 in ascending order.
pub fn local_response_norm_f32(norm: &LocalResponseNorm, input: &[f32], output: &mut [f32]) -> Option<()> {
    let before = norm.size.saturating_sub(1) / 2;
    let behind = norm.size / 2;
    let factor = norm.alpha / norm.size.max(1) as f32;
    let mut targets = rows_mut(output, norm.plane);
    for sample in rows(input, norm.plane.wrapping_mul(norm.channels)) {
        for channel in 0..norm.channels {
            let first = channel.saturating_sub(before as usize);
            let end = channel.saturating_add(behind as usize).saturating_add(1).min(norm.channels);
            let target = targets.next()?;
            for element in target.iter_mut() {
                *element = 0.0;
            }
            let neighbours = sample.get(first.wrapping_mul(norm.plane)..end.wrapping_mul(norm.plane))?;
            for neighbour in rows(neighbours, norm.plane) {
                for (sum, x) in target.iter_mut().zip(neighbour) {
                    *sum += x * x;
                }
            }
            let own = sample.get(channel.wrapping_mul(norm.plane)..)?;
            for (target, x) in target.iter_mut().zip(own) {
                *target = x / pow(norm.bias + factor * *target, norm.beta);
            }
        }
    }
    Some(())
}
