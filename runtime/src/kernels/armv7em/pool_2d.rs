//! Maximum and average over windows, four channels to a register.

use super::loops::{Mean, Windows, clamp};
use crate::fixed_point::Requantizer;
use crate::kernels::Placed;
use crate::kernels::geometry::{Axis, Taps, Window2d};
use crate::kernels::portable::{AveragePoolI8, Counts, Divisor, Position};

/// Maximum in int8.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - output: NHWC `[1, OH, OW, C]` i8; it may overlap the input when it starts
///   [`Window2d::lead_elements`] of one pixel below it, or more
///
/// # Algorithm
/// As [`crate::kernels::portable::max_pool_2d_i8_on`]. `SSUB8` compares four channels, `SEL` keeps the larger ones: 9
/// instructions for a tap of eight channels. One call covers the pixels of a row whose windows lie inside the image.
pub fn max_pool_2d_i8(window: &Window2d, placed: Placed<'_, i8>) -> Option<()> {
    let Placed { region, input, output, .. } = placed;
    walk(window, |_, _, windows| {
        let windows = Windows {
            source: input.start.wrapping_add(windows.source),
            target: output.start.wrapping_add(windows.target),
            ..windows
        };
        if windows.is_empty() { windows.fill(region, i8::MIN) } else { windows.maximum(region) }
    })
}

/// Whether [`average_pool_2d_i8`] takes this arithmetic.
///
/// Sums must fit an int16 whatever the zero point, and the rounding constant, of `2^-16` steps of the product, 32 bits.
pub fn takes_average(window: &Window2d, requantizer: Requantizer) -> bool {
    let [height, width, _] = window.input;
    let [kernel_height, kernel_width] = window.kernel;
    let taps = kernel_height.min(height).saturating_mul(kernel_width.min(width));
    taps <= MOST_TAPS && (17..=39).contains(&requantizer.shift)
}

/// Taps of int8 whose distances from a zero point sum to an int16: `128 * 255 < 2^15`.
const MOST_TAPS: u32 = 128;

/// Average in int8.
///
/// # Shapes
/// As [`max_pool_2d_i8`].
///
/// # Algorithm
/// As [`crate::kernels::portable::average_pool_2d_i8_on`]. `SXTAB16` adds two channels to two int16 sums that start at
/// minus the zero points of all taps: 9 instructions for a tap of eight channels. `SMLAWB` and `SMLAWT` multiply such a
/// sum by 32 bits and drop 16; the rounding constant has none of those bits, and the floor of a floor is the floor.
pub fn average_pool_2d_i8(
    window: &Window2d,
    q: &AveragePoolI8,
    divisor: Divisor,
    placed: Placed<'_, i8>,
) -> Option<()> {
    let Placed { region, input, output, .. } = placed;
    if !takes_average(window, q.requantizer) {
        return None;
    }
    let counts = Counts::new(window, divisor);
    let shift = u32::from(q.requantizer.shift).wrapping_sub(16);
    let rounding = 1i32.wrapping_shl(shift.wrapping_sub(1));
    let addend = q.output.zero_point.wrapping_shl(shift).wrapping_add(rounding);
    walk(window, |y, x, windows| {
        let windows = Windows {
            source: input.start.wrapping_add(windows.source),
            target: output.start.wrapping_add(windows.target),
            ..windows
        };
        if windows.is_empty() {
            return windows.fill(region, q.output.zero_point as i8);
        }
        let multiplier = q.requantizer.multiplier.checked_div(counts.divisor(y, x) as i32)?;
        let zero = (windows.rows.wrapping_mul(windows.columns) as i32).wrapping_mul(q.input_zero_point);
        let start = u32::from(zero.wrapping_neg() as u16);
        windows.mean(region, &Mean { start: start | start << 16, multiplier, addend, shift })
    })?;
    clamp(region.get_mut(output)?, [q.output.min, q.output.max]);
    Some(())
}

/// Calls `compute` for runs of neighbouring pixels with equally many taps, in ascending order, with the position of the
/// first one; sources and targets are elements of input and output.
#[inline(always)]
fn walk(window: &Window2d, mut compute: impl FnMut(Position, Position, Windows) -> Option<()>) -> Option<()> {
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [_, input_width, channels] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let pixel_step = (window.stride[1] as usize).wrapping_mul(channels);
    let pitch = input_width.wrapping_mul(channels);
    let mut target = 0usize;
    for oy in 0..output_height {
        let y = Position { output: oy, taps: vertical.taps(oy) };
        let mut ox = 0usize;
        while ox < output_width {
            let x = Position { output: ox, taps: horizontal.taps(ox) };
            let n_pixels = whole(window, &horizontal, &x.taps).min(output_width.wrapping_sub(ox));
            let corner = y.taps.position.wrapping_mul(pitch).wrapping_add(x.taps.position.wrapping_mul(channels));
            compute(
                y,
                x,
                Windows {
                    source: corner,
                    target,
                    n_pixels,
                    pixel_step,
                    rows: y.taps.count,
                    row_step: vertical.dilation().wrapping_mul(pitch),
                    columns: x.taps.count,
                    tap_step: horizontal.dilation().wrapping_mul(channels),
                    channels,
                },
            )?;
            ox = ox.wrapping_add(n_pixels);
            target = target.wrapping_add(n_pixels.wrapping_mul(channels));
        }
    }
    Some(())
}

/// Pixels from this one to the right that have all columns of their window inside the image; 1 when this one has not.
fn whole(window: &Window2d, horizontal: &Axis, taps: &Taps) -> usize {
    let [_, width, _] = window.input.map(|v| v as usize);
    let [_, kernel] = window.kernel.map(|v| v as usize);
    let [_, stride] = window.stride.map(|v| v as usize);
    if taps.count != kernel {
        return 1;
    }
    let last = taps.position.wrapping_add(kernel.wrapping_sub(1).wrapping_mul(horizontal.dilation()));
    let free = width.wrapping_sub(1).saturating_sub(last);
    free.checked_div(stride).unwrap_or(0).wrapping_add(1)
}
