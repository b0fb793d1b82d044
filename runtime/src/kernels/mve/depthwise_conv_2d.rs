//! Depthwise convolution, one channel plane after the other.

use super::instructions::{Planes, clamp, convolve};
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
/// - scratch: [`Plane::bytes`]
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
    let [height, width, depth] = window.input.map(|v| v as usize);
    let [_, output_width, _] = window.output.map(|v| v as usize);
    let Placed { region, input, output: target, scratch } = placed;
    region.get_mut(scratch.start..scratch.start.checked_add(plane.bytes())?)?.fill(padding);
    let split = |pair| plane.inner.split(pair);
    let planes = Planes {
        source: input.start,
        source_counts: split([height, width]),
        source_steps: split([width.wrapping_mul(depth), depth]),
        plane: scratch.start,
        padding: split(window.padding.map(|v| v as usize)),
        target: target.start,
        target_steps: split([output_width.wrapping_mul(depth), depth]),
        n_channels: depth,
    };
    convolve(region, &plane, planes, stream, output.zero_point)?;
    clamp(region, target, output)
}
