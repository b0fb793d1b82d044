//! Maximum and average over windows.

use super::instructions::{Window, largest, sums};
use crate::kernels::Placed;
use crate::kernels::geometry::Window2d;
use crate::kernels::portable::{AveragePoolI8, Counts, Divisor, Position, average};

/// Maximum in int8, the same quantization before and after.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - output: NHWC `[1, OH, OW, C]` i8; it may overlap the input as that of the portable kernel
///
/// # Algorithm
/// As [`crate::kernels::portable::max_pool_2d_i8_on`], sixteen channels at a time.
pub fn max_pool_2d_i8(window: &Window2d, placed: Placed<'_, i8>) -> Option<()> {
    let Placed { region, input, output, .. } = placed;
    let n = window.output[2] as usize;
    each_window(window, input.start, output.start, |window, _, _, target| {
        if window.n_taps() == 0 {
            region.get_mut(target..target.checked_add(n)?)?.fill(i8::MIN);
            return Some(());
        }
        largest(region, window, target)
    })
}

/// Taps of the largest window that [`average_pool_2d_i8`] takes: their sums must fit 16 bits.
pub const MOST_TAPS: usize = 256;

/// Average in int8.
///
/// # Shapes
/// As [`max_pool_2d_i8`]; the image has at most [`MOST_TAPS`] pixels below a window.
///
/// # Algorithm
/// As [`crate::kernels::portable::average_pool_2d_i8_on`], summed over eight channels at a time in 16 bits.
pub fn average_pool_2d_i8(
    window: &Window2d,
    q: &AveragePoolI8,
    divisor: Divisor,
    placed: Placed<'_, i8>,
) -> Option<()> {
    let counts = Counts::new(window, divisor);
    let Placed { region, input, output, .. } = placed;
    each_window(window, input.start, output.start, |window, y, x, target| {
        let multiplier = q.requantizer.multiplier.checked_div(counts.divisor(y, x) as i32)?;
        let zero = (window.n_taps() as i32).wrapping_mul(q.input_zero_point);
        for first in (0..window.n_channels).step_by(SUMS) {
            let n_channels = window.n_channels.wrapping_sub(first).min(SUMS);
            let part = Window { source: window.source.wrapping_add(first), n_channels, ..window };
            let mut found = [0i16; SUMS];
            if part.n_taps() > 0 {
                sums(region, part, &mut found)?;
            }
            let target = target.wrapping_add(first);
            let outputs = region.get_mut(target..)?.get_mut(..n_channels)?;
            average(q, multiplier, zero, &found.map(i32::from), outputs);
        }
        Some(())
    })
}

/// Channels that are summed at once.
const SUMS: usize = 8;

/// Calls `pool` with the taps inside the image, the position and the first output of each window.
#[inline(always)]
fn each_window(
    window: &Window2d,
    source: usize,
    target: usize,
    mut pool: impl FnMut(Window, Position, Position, usize) -> Option<()>,
) -> Option<()> {
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [_, width, n_channels] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let row = width.wrapping_mul(n_channels);
    let steps = [horizontal.dilation().wrapping_mul(n_channels), vertical.dilation().wrapping_mul(row)];
    let mut target = target;
    for oy in 0..output_height {
        let y = Position { output: oy, taps: vertical.taps(oy) };
        for ox in 0..output_width {
            let x = Position { output: ox, taps: horizontal.taps(ox) };
            let first = y.taps.position.wrapping_mul(row).wrapping_add(x.taps.position.wrapping_mul(n_channels));
            let counts = [x.taps.count, y.taps.count];
            pool(Window { source: source.wrapping_add(first), counts, steps, n_channels }, y, x, target)?;
            target = target.wrapping_add(n_channels);
        }
    }
    Some(())
}
