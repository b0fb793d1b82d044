//! Depthwise convolution, one channel plane after the other.

use super::layout::{DEPTHWISE_WORDS, WindowPlane, plane};
use super::loops::{self, Plane, clamp, convolve_plane, convolve_windows, copy_channel};
use crate::kernels::Placed;
use crate::kernels::geometry::Window2d;

/// Depthwise convolution in int8 with 3x3 windows.
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
    let [stride, _] = window.stride.map(|v| v as usize);
    let [output_height, output_width, depth] = window.output.map(|v| v as usize);
    let [plane_height, plane_width] = plane(window);
    let plane = Plane { pitch: plane_width, rows: output_height, columns: output_width, stride, depth };
    let blocks = stream.as_chunks::<DEPTHWISE_WORDS>().0.iter();
    each_channel(window, padding, limits, [plane_height, plane_width], blocks, placed, |block, cells, target| {
        convolve_plane(&plane, block, cells, target)
    })
}

/// Depthwise convolution in int8 with windows of any size.
///
/// # Shapes
/// As [`depthwise_conv_2d_i8`], but
/// - `stream`: blocks of [`WindowPlane`](super::layout::WindowPlane)
/// - scratch: two bytes for each of its cells
///
/// # Algorithm
/// As [`depthwise_conv_2d_i8`], four outputs side by side: 12 instructions for two taps of each.
pub fn depthwise_windows_i8(
    window: &Window2d,
    padding: i8,
    limits: [i8; 2],
    stream: &[u32],
    placed: Placed<'_, i8>,
) -> Option<()> {
    let shape = WindowPlane::new(window)?;
    let [output_height, output_width, depth] = window.output.map(|v| v as usize);
    let plane = loops::WindowPlane {
        pitch: shape.width,
        kernel_rows: shape.kernel_rows,
        pairs: shape.pairs,
        stride: window.stride.map(|v| v as usize),
        rows: output_height,
        columns: output_width,
        depth,
    };
    let blocks = stream.chunks_exact(shape.words());
    each_channel(window, padding, limits, [shape.height, shape.width], blocks, placed, |block, cells, target| {
        convolve_windows(&plane, block, cells, target)
    })
}

/// Copies channel after channel to a padded plane in scratch and calls `convolve` with its block, the plane and the
/// outputs from its first one on.
#[inline(always)]
fn each_channel<B>(
    window: &Window2d,
    padding: i8,
    limits: [i8; 2],
    [plane_height, plane_width]: [usize; 2],
    blocks: impl Iterator<Item = B>,
    placed: Placed<'_, i8>,
    convolve: impl Fn(B, &[i16], &mut [i8]) -> Option<()>,
) -> Option<()> {
    let [height, width, depth] = window.input.map(|v| v as usize);
    let [top, left] = window.padding.map(|v| v as usize);
    let Placed { region, input, output, scratch } = placed;
    let n_plane = plane_height.checked_mul(plane_width)?;
    let scratch = scratch.start..scratch.start.checked_add(n_plane.checked_mul(2)?)?;
    cells(region.get_mut(scratch.clone())?)?.fill(i16::from(padding));
    // What lies below and to the right of the last window is never read.
    let (rows, columns) = (height.min(plane_height.saturating_sub(top)), width.min(plane_width.saturating_sub(left)));
    let corner = top.wrapping_mul(plane_width).wrapping_add(left);
    for (c, block) in blocks.enumerate() {
        let [source, taps] = region.get_disjoint_mut([input.clone(), scratch.clone()]).ok()?;
        if let Some(inside) = cells(taps)?.get_mut(corner..) {
            copy_channel(source.get(c..)?, width, depth, inside, plane_width, [rows, columns])?;
        }
        let [target, taps] = region.get_disjoint_mut([output.clone(), scratch.clone()]).ok()?;
        convolve(block, cells(taps)?, target.get_mut(c..)?)?;
    }
    clamp(region.get_mut(output)?, limits);
    Some(())
}

fn cells(bytes: &mut [i8]) -> Option<&mut [i16]> {
    bytemuck::try_cast_slice_mut(bytes).ok()
}
