//! Pools of int16 activations.

use super::OutputI16;
use crate::fixed_point::{Requantizer, round_shift};
use crate::kernels::Activations;
use crate::kernels::geometry::Window2d;
use crate::kernels::portable::pool_2d::{Counts, Divisor, copy, pool};

/// Maximum, the same scale before and after.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i16
/// - output: NHWC `[1, OH, OW, C]` i16
///
/// # Memory
/// Writes pixel after pixel ([`Strip::Pixels`](crate::kernels::geometry::Strip::Pixels) of 1).
///
/// # Algorithm
/// The largest tap inside the image, -32768 when there is none.
pub fn max_pool_2d_i16_on(window: &Window2d, memory: &mut impl Activations<i16>) -> Option<()> {
    pool(window, memory, i16::MIN, |largest, x| largest.max(x), |_, _, largest, output| copy(largest, output))
}

/// Average.
///
/// # Shapes
/// As [`max_pool_2d_i16_on`].
///
/// # Memory
/// As [`max_pool_2d_i16_on`].
///
/// # Algorithm
/// With `n` the divisor: `clamp((sum(x) * (multiplier / n) + 2^(shift-1)) >> shift, min, max)`, `multiplier / n` rounded
/// down, sums in 32 bits (wrapping above 65,536 taps), the rest in 64. The relative error of `multiplier / n` is below
/// `n / 2^30`.
pub fn average_pool_2d_i16_on(
    window: &Window2d,
    requantizer: Requantizer,
    limits: OutputI16,
    divisor: Divisor,
    memory: &mut impl Activations<i16>,
) -> Option<()> {
    let counts = Counts::new(window, divisor);
    let add = |sum: i32, x: i16| sum.wrapping_add(i32::from(x));
    pool(window, memory, 0i32, add, |y, x, sums, output| {
        let multiplier = requantizer.multiplier.checked_div(counts.divisor(y, x) as i32).unwrap_or(0);
        for (output, &sum) in output.iter_mut().zip(sums) {
            let product = i64::from(sum).wrapping_mul(i64::from(multiplier));
            *output = limits.finish(round_shift(product, requantizer.shift));
        }
    })
}
