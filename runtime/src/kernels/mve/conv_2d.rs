//! Convolution with one group, two pixels at a time.

use super::fully_connected::multiply_in_place;
use super::instructions::{Lattice, Pixels, Runs, copy_lattice, copy_runs, multiply};
use super::layout::{Strip, is_pointwise};
use crate::kernels::Placed;
use crate::kernels::geometry::{Conv2d, Taps};
use crate::kernels::parameters::OutputI8;

/// Convolution in int8.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - `stream`: see [`super::layout`]
/// - output: NHWC `[1, OH, OW, O]` i8; it may overlap the input when it starts
///   [`super::layout::conv_2d_lead_bytes`] below it, or more
/// - scratch: [`super::layout::conv_2d_scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::conv_2d_i8`]. The input rows of one output row are copied column by column
/// ([`Strip`]), padding included, so that the taps of each pixel are neighbours; 1x1 windows are read where they are.
pub fn conv_2d_i8(conv: &Conv2d, padding: i8, output: OutputI8, stream: &[u32], placed: Placed<'_, i8>) -> Option<()> {
    let window = &conv.window;
    let [_, width, depth] = window.input.map(|v| v as usize);
    let [output_height, output_width, n_outputs] = window.output.map(|v| v as usize);
    let [stride_y, stride_x] = window.stride.map(|v| v as usize);
    let mut pixels = Pixels {
        source: placed.input.start,
        source_step: stride_x.wrapping_mul(depth),
        taps: conv.filter_elements(),
        target: placed.output.start,
        n_outputs,
        n_pixels: output_width,
    };
    if is_pointwise(conv) {
        let is_one_row = stride_y == 1 && stride_x == 1 && output_width == width;
        if is_one_row {
            pixels.n_pixels = output_width.wrapping_mul(output_height);
            return multiply_in_place(pixels, stream, output.into(), placed);
        }
        let Placed { region, input, output: target, scratch } = placed;
        for _ in 0..output_height {
            let (input, target, scratch) = (input.clone(), target.clone(), scratch.clone());
            let row = Placed { region: &mut *region, input, output: target, scratch };
            multiply_in_place(pixels, stream, output.into(), row)?;
            pixels.source = pixels.source.wrapping_add(stride_y.wrapping_mul(width).wrapping_mul(depth));
            pixels.target = pixels.target.wrapping_add(output_width.wrapping_mul(n_outputs));
        }
        return Some(());
    }

    let (vertical, [_, left]) = (window.vertical(), window.padding.map(|v| v as usize));
    let [kernel_height, _] = window.kernel.map(|v| v as usize);
    let strip = Strip::new(conv);
    let Placed { region, input, scratch, .. } = placed;
    let strip_range = scratch.start..scratch.start.checked_add(strip.bytes())?;
    // Columns of the image that windows see: the strip's columns without the padding.
    let n_columns = width.min(strip.columns.saturating_sub(left));
    pixels.source = scratch.start;
    pixels.source_step = stride_x.wrapping_mul(strip.column_bytes);
    let mut has_padding_only_beside = false;
    for row in 0..output_height {
        let Taps { first, count, position } = vertical.taps(row);
        let is_whole = count == kernel_height;
        if !(is_whole && has_padding_only_beside) {
            region.get_mut(strip_range.clone())?.fill(padding);
        }
        has_padding_only_beside = is_whole;
        let rows = Rows {
            source: input.start.wrapping_add(position.wrapping_mul(width).wrapping_mul(depth)),
            target: scratch
                .start
                .wrapping_add(left.wrapping_mul(strip.column_bytes))
                .wrapping_add(first.wrapping_mul(depth)),
            count,
            step: vertical.dilation().wrapping_mul(width).wrapping_mul(depth),
        };
        rows.copy(region, [n_columns, depth], strip)?;
        multiply(region, pixels, stream, output.into())?;
        pixels.target = pixels.target.wrapping_add(output_width.wrapping_mul(n_outputs));
    }
    Some(())
}

/// Input rows that go into the strip.
struct Rows {
    source: usize,
    /// First column, first row.
    target: usize,
    count: usize,
    /// Elements from one row to the next.
    step: usize,
}

impl Rows {
    /// Copies all rows: pixel by pixel, or channel by channel, eight pixels at a time, when there are few channels.
    fn copy(&self, region: &mut [i8], [n_columns, depth]: [usize; 2], strip: Strip) -> Option<()> {
        let channel = Lattice {
            source: self.source,
            target: self.target,
            counts: [n_columns, self.count],
            source_steps: [depth, self.step],
            target_steps: [strip.column_bytes, depth],
        };
        // Instructions of one row.
        let of_channels = depth.saturating_mul(n_columns.div_ceil(8).saturating_mul(5).saturating_add(7));
        if of_channels < n_columns.saturating_mul(6) && channel.is_near() {
            for c in 0..depth {
                let (source, target) = (channel.source.wrapping_add(c), channel.target.wrapping_add(c));
                copy_lattice(region, Lattice { source, target, ..channel })?;
            }
            return Some(());
        }
        let runs = Runs {
            source: self.source,
            target: self.target,
            length: depth,
            counts: [n_columns, self.count],
            source_row_step: self.step,
            target_steps: [strip.column_bytes, depth],
        };
        copy_runs(region, runs)
    }
}
