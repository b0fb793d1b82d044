//! Depthwise convolution, one channel plane after the other.

use super::instructions::{Planes, clamp, convolve, convolve_chunks};
use super::plane::Plane;
use crate::kernels::Placed;
use crate::kernels::geometry::Window2d;
use crate::kernels::parameters::OutputI8;

/// Depthwise convolution in int8.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - `stream`: see [`super::layout`], one block per channel
/// - output: NHWC `[1, OH, OW, C]` i8; it may start where the input starts when it has no more pixels
/// - scratch: what [`Plane::new`] takes
///
/// # Algorithm
/// As [`crate::kernels::portable::depthwise_conv_2d_i8`]. There is no multiply-accumulate of two vectors lane by lane,
/// but one over lanes: each channel is copied to a padded plane, from which a gather brings all taps of two outputs into
/// one vector. Two multiplications follow, with the weights of either output and zeros in the other lanes.
pub fn depthwise_conv_2d_i8(
    window: &Window2d,
    padding: i8,
    output: OutputI8,
    stream: &[u32],
    placed: Placed<'_, i8>,
) -> Option<()> {
    let plane = Plane::new(window)?;
    let planes = planes(window, &plane, &placed);
    let Placed { region, output: target, scratch, .. } = placed;
    region.get_mut(scratch.start..scratch.start.checked_add(plane.bytes())?)?.fill(padding);
    convolve(region, &plane, planes, stream, output.zero_point)?;
    clamp(region, target, output)
}

/// Depthwise convolution in int8 with windows of any size.
///
/// # Shapes
/// As [`depthwise_conv_2d_i8`], but
/// - `stream`: see [`super::layout`], one block of [`Plane::words`] per channel
/// - scratch: what [`Plane::in_chunks`] takes
///
/// # Algorithm
/// As [`depthwise_conv_2d_i8`], but a gather brings up to sixteen taps of one output, and the products of all chunks of
/// its window are summed: eight outputs at a time, so that the weights of a chunk are loaded once for all of them.
pub fn depthwise_windows_i8(
    window: &Window2d,
    padding: i8,
    output: OutputI8,
    stream: &[u32],
    placed: Placed<'_, i8>,
) -> Option<()> {
    let plane = Plane::in_chunks(window)?;
    let planes = planes(window, &plane, &placed);
    let Placed { region, output: target, scratch, .. } = placed;
    region.get_mut(scratch.start..scratch.start.checked_add(plane.bytes())?)?.fill(padding);
    convolve_chunks(region, &plane, planes, stream, output.zero_point)?;
    clamp(region, target, output)
}

/// Where input, plane and output lie.
fn planes<T>(window: &Window2d, plane: &Plane<T>, placed: &Placed<'_, i8>) -> Planes {
    let [height, width, depth] = window.input.map(|v| v as usize);
    let [_, output_width, _] = window.output.map(|v| v as usize);
    let split = |pair| plane.inner.split(pair);
    Planes {
        source: placed.input.start,
        source_counts: split([height, width]),
        source_steps: split([width.wrapping_mul(depth), depth]),
        plane: placed.scratch.start,
        padding: split(window.padding.map(|v| v as usize)),
        target: placed.output.start,
        target_steps: split([output_width.wrapping_mul(depth), depth]),
        n_channels: depth,
    }
}
