//! Convolution with one group, two pixels at a time.

use super::instructions::{clamp, copy_rows, multiply_pixels_2, widen_pixels_2};
use super::layout::padded_taps;
use crate::kernels::Placed;
use crate::kernels::geometry::{Axis, Conv2d, Taps};

/// Convolution in int8.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - `stream`: see [`super::layout`], blocks of two channels, filters OHWI
/// - output: NHWC `[1, OH, OW, O]` i8; it may overlap the input when it starts far enough below it, counted in steps
///   of two pixels
/// - scratch: [`super::layout::conv_2d_scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::conv_2d_i8`]. The taps of two pixels are widened to int16 and interleaved, then every
/// pair of output channels is one pass over them: 49 instructions for 64 multiply-accumulates.
pub fn conv_2d_i8(conv: &Conv2d, padding: i8, limits: [i8; 2], stream: &[u32], placed: Placed<'_, i8>) -> Option<()> {
    let taps = conv.filter_elements();
    let [_, width, n_outputs] = conv.window.output.map(|v| v as usize);
    let n_pixels = conv.window.output_elements().checked_div(n_outputs)?;
    let Placed { region, input, output, scratch } = placed;
    let patch = scratch.start..scratch.start.checked_add(padded_taps(taps).checked_mul(4)?)?;
    let gather = Gather::new(conv, padding);
    let mut position = Position { row: 0, column: 0, width };
    let mut pixel = 0;
    while pixel < n_pixels {
        let first = position.next(&gather);
        let is_last = pixel.wrapping_add(1) == n_pixels;
        // A single pixel at the end is computed twice.
        let second = if is_last { first } else { position.next(&gather) };
        let [source, taps_of_two] = region.get_disjoint_mut([input.clone(), scratch.clone()]).ok()?;
        gather.widen(source, taps_of_two, taps, [first, second])?;

        let n = if is_last { 1 } else { 2 };
        let start = output.start.wrapping_add(pixel.wrapping_mul(n_outputs));
        let pixels = start..start.wrapping_add(n_outputs.wrapping_mul(n));
        let [target, patch] = region.get_disjoint_mut([pixels, patch.clone()]).ok()?;
        let patch = bytemuck::try_cast_slice_mut::<i8, u32>(patch).ok()?;
        let (first, second) = target.split_at_mut_checked(n_outputs)?;
        multiply_pixels_2(taps, patch, stream, first, second)?;
        clamp(target, limits);
        pixel = pixel.wrapping_add(n);
    }
    Some(())
}

/// The output pixel whose turn it is.
struct Position {
    row: usize,
    column: usize,
    width: usize,
}

impl Position {
    fn next(&mut self, gather: &Gather) -> PixelTaps {
        let taps = PixelTaps { y: gather.vertical.taps(self.row), x: gather.horizontal.taps(self.column) };
        self.column = self.column.wrapping_add(1);
        if self.column == self.width {
            (self.row, self.column) = (self.row.wrapping_add(1), 0);
        }
        taps
    }
}

/// The taps of one output pixel that lie inside the input.
#[derive(Clone, Copy)]
struct PixelTaps {
    y: Taps,
    x: Taps,
}

/// Collects the taps of output pixels.
struct Gather {
    vertical: Axis,
    horizontal: Axis,
    kernel: [usize; 2],
    depth: usize,
    input_pitch: usize,
    row_step: usize,
    padding: i8,
    /// Taps of one kernel row when they are neighbours in the input and fill whole words, else 0.
    stretch: usize,
}

impl Gather {
    fn new(conv: &Conv2d, padding: i8) -> Self {
        let window = &conv.window;
        let [_, width, depth] = window.input.map(|v| v as usize);
        let kernel = window.kernel.map(|v| v as usize);
        let (vertical, horizontal) = (window.vertical(), window.horizontal());
        let neighbours = horizontal.dilation() == 1 || kernel[1] == 1;
        let stretch = kernel[1].wrapping_mul(depth);
        let input_pitch = width.wrapping_mul(depth);
        Self {
            vertical,
            horizontal,
            kernel,
            depth,
            input_pitch,
            row_step: input_pitch.wrapping_mul(vertical.dilation()),
            padding,
            stretch: if neighbours && stretch % 4 == 0 { stretch } else { 0 },
        }
    }

    /// Widens the taps of two pixels to the start of `scratch`.
    fn widen(&self, input: &[i8], scratch: &mut [i8], taps: usize, pixels: [PixelTaps; 2]) -> Option<()> {
        let padded = padded_taps(taps);
        let (patch, copies) = scratch.split_at_mut_checked(padded.wrapping_mul(4))?;
        let patch = bytemuck::try_cast_slice_mut::<i8, u32>(patch).ok()?;
        if self.stretch != 0 && pixels.iter().all(|p| self.is_inside(p)) {
            let [mut first, mut second] = pixels.map(|p| self.corner(&p));
            let mut rest = patch;
            for _ in 0..self.kernel[0] {
                let (row, next) = rest.split_at_mut_checked(self.stretch)?;
                widen_pixels_2([input.get(first..)?, input.get(second..)?], row)?;
                first = first.wrapping_add(self.row_step);
                second = second.wrapping_add(self.row_step);
                rest = next;
            }
            return Some(());
        }
        let (first, second) = copies.split_at_mut_checked(padded)?;
        self.copy(input, first.get_mut(..taps)?, &pixels[0])?;
        self.copy(input, second.get_mut(..taps)?, &pixels[1])?;
        widen_pixels_2([first, second], patch)
    }

    fn is_inside(&self, pixel: &PixelTaps) -> bool {
        pixel.y.count == self.kernel[0] && pixel.x.count == self.kernel[1]
    }

    /// Index of the first tap inside.
    fn corner(&self, pixel: &PixelTaps) -> usize {
        let row = pixel.y.position.wrapping_mul(self.input_pitch);
        row.wrapping_add(pixel.x.position.wrapping_mul(self.depth))
    }

    /// Copies the taps of one pixel, padding included.
    fn copy(&self, input: &[i8], target: &mut [i8], pixel: &PixelTaps) -> Option<()> {
        let PixelTaps { y, x } = pixel;
        if !self.is_inside(pixel) {
            target.fill(self.padding);
        }
        let from = self.corner(pixel);
        let target_pitch = self.kernel[1].wrapping_mul(self.depth);
        let to = y.first.wrapping_mul(target_pitch).wrapping_add(x.first.wrapping_mul(self.depth));
        let pitches = [self.row_step, target_pitch];
        if self.horizontal.dilation() == 1 {
            let run = x.count.wrapping_mul(self.depth);
            return copy_rows(input.get(from..)?, target.get_mut(to..)?, run, y.count, pitches);
        }
        for tap in 0..x.count {
            let from = from.wrapping_add(tap.wrapping_mul(self.horizontal.dilation()).wrapping_mul(self.depth));
            let to = to.wrapping_add(tap.wrapping_mul(self.depth));
            copy_rows(input.get(from..)?, target.get_mut(to..)?, self.depth, y.count, pitches)?;
        }
        Some(())
    }
}
