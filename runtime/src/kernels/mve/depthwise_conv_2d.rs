//! Depthwise convolution, one channel plane after the other.

use super::instructions::{Channel, Lattice, convolve, copy_lattice};
use super::layout::{Along, DEPTHWISE_WORDS, Plane};
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
/// but one over lanes: each channel is copied to a padded plane, from which a gather brings all taps of an output into
/// one vector.
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
    let [top, left] = window.padding.map(|v| v as usize);
    let Placed { region, input, output: target, scratch } = placed;
    region.get_mut(scratch.start..scratch.start.checked_add(plane.bytes())?)?.fill(padding);
    // What lies below and to the right of the last window is never read.
    let (rows, columns) = (height.min(plane.height.saturating_sub(top)), width.min(plane.width.saturating_sub(left)));
    let by_columns = Lattice {
        source: input.start,
        target: scratch.start.wrapping_add(top.wrapping_mul(plane.width)).wrapping_add(left),
        counts: [columns, rows],
        source_steps: [depth, width.wrapping_mul(depth)],
        target_steps: [1, plane.width],
    };
    let n_vectors = |outer: usize, inner: usize| outer.wrapping_mul(inner.div_ceil(8).wrapping_add(1));
    let by_rows = by_columns.transposed();
    let is_taller = n_vectors(columns, rows) < n_vectors(rows, columns) && by_rows.is_near();
    let mut lattice = if is_taller { by_rows } else { by_columns };
    let pitches = [depth, output_width.wrapping_mul(depth)];
    let target_steps = match plane.inner {
        Along::Columns => pitches,
        Along::Rows => [pitches[1], pitches[0]],
    };
    let mut channel = Channel { plane: scratch.start, target: target.start, target_steps };
    for block in stream.as_chunks::<DEPTHWISE_WORDS>().0 {
        copy_lattice(region, lattice)?;
        convolve(region, &plane, channel, block, output.into())?;
        lattice.source = lattice.source.wrapping_add(1);
        channel.target = channel.target.wrapping_add(1);
    }
    Some(())
}
