//! Depthwise convolution with 3x3 windows, one channel plane after the other.

use super::layout::{DEPTHWISE_WORDS, plane};
use super::loops::{Plane, clamp, convolve_plane, copy_channel};
use crate::kernels::Placed;
use crate::kernels::geometry::Window2d;

/// Depthwise convolution in int8.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - `stream`: see [`super::layout`], one block per channel
/// - output: NHWC `[1, OH, OW, C]` i8; it may start where the input starts when it has no more pixels
/// - scratch: [`super::layout::depthwise_scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::depthwise_conv_2d_i8`]. Neighbouring channels cannot share a `SMLAD`, neighbouring
/// pixels can: each channel is copied to a padded plane of int16, from which two outputs are 12 multiply instructions.
pub fn depthwise_conv_2d_i8(
    window: &Window2d,
    padding: i8,
    limits: [i8; 2],
    stream: &[u32],
    placed: Placed<'_, i8>,
) -> Option<()> {
    let [height, width, depth] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let [top, left] = window.padding.map(|v| v as usize);
    let [plane_height, plane_width] = plane(window);
    let Placed { region, input, output, scratch } = placed;
    let n_plane = plane_height.checked_mul(plane_width)?;
    let scratch = scratch.start..scratch.start.checked_add(n_plane.checked_mul(2)?)?;
    cells(region.get_mut(scratch.clone())?)?.fill(i16::from(padding));
    // What lies below and to the right of the last window is never read.
    let (rows, columns) = (height.min(plane_height.saturating_sub(top)), width.min(plane_width.saturating_sub(left)));
    let corner = top.wrapping_mul(plane_width).wrapping_add(left);
    let plane = Plane {
        pitch: plane_width,
        rows: output_height,
        columns: output_width,
        stride: window.stride[0] as usize,
        depth,
    };
    for (c, block) in stream.as_chunks::<DEPTHWISE_WORDS>().0.iter().enumerate() {
        let [source, taps] = region.get_disjoint_mut([input.clone(), scratch.clone()]).ok()?;
        if let Some(inside) = cells(taps)?.get_mut(corner..) {
            copy_channel(source.get(c..)?, width, depth, inside, plane_width, [rows, columns])?;
        }
        let [target, taps] = region.get_disjoint_mut([output.clone(), scratch.clone()]).ok()?;
        convolve_plane(&plane, block, cells(taps)?, target.get_mut(c..)?)?;
    }
    clamp(region.get_mut(output)?, limits);
    Some(())
}

fn cells(bytes: &mut [i8]) -> Option<&mut [i16]> {
    bytemuck::try_cast_slice_mut(bytes).ok()
}
