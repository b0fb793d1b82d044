//! Inner loops in vector instructions; off target the same loops in plain Rust.
//!
//! Each function checks that its instructions stay inside the slices that it is given.

// The only unsafe code of these kernels.
#![cfg_attr(all(target_arch = "arm", kernel_isa = "mve"), allow(unsafe_code))]

use super::chunks::Chunks;
use super::layout::{CHANNELS, DEPTHWISE_WORDS, padded_taps, stream_words};
use super::plane::{GROUP, PairLanes, Plane};
use super::pool_2d::MOST_TAPS;
use crate::fixed_point::PairMultiplier;
use crate::kernels::parameters::OutputI8;
use core::ops::Range;

#[cfg(all(target_arch = "arm", kernel_isa = "mve"))]
mod elements;
#[cfg(all(target_arch = "arm", kernel_isa = "mve"))]
mod planes;
#[cfg(all(target_arch = "arm", kernel_isa = "mve"))]
mod products;

#[cfg(not(all(target_arch = "arm", kernel_isa = "mve")))]
use super::twins as implementation;

#[cfg(all(target_arch = "arm", kernel_isa = "mve"))]
mod implementation {
    pub(super) use super::elements::{add, clamp, copy_lattice, copy_runs, largest, sums};
    pub(super) use super::planes::{convolve, convolve_chunks};
    pub(super) use super::products::{multiply_one, multiply_pairs};
}

/// Zero point and limits of the output.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Finish {
    pub min: i32,
    pub max: i32,
    pub zero_point: i32,
}

impl From<OutputI8> for Finish {
    fn from(output: OutputI8) -> Self {
        Self { min: output.min.into(), max: output.max.into(), zero_point: output.zero_point }
    }
}

/// Pixels in a row, each of which is multiplied with all filters of a layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels {
    /// First tap of the first pixel.
    pub source: usize,
    /// Elements from one pixel's first tap to the next one's.
    pub source_step: usize,
    /// Taps of a pixel, all neighbours.
    pub taps: usize,
    /// First output of the first pixel; the outputs of all pixels are neighbours.
    pub target: usize,
    /// Outputs of a pixel.
    pub n_outputs: usize,
    /// Pixels, one at least.
    pub n_pixels: usize,
}

/// Multiplies the taps of pixels with all filters of a layer, two pixels at a time in ascending order.
///
/// # Shapes
/// - `region`: input and output; [`padded_taps`] elements are read of each pixel
/// - `stream`: blocks of four channels, see [`super::layout`]
pub(super) fn multiply(region: &mut [i8], pixels: Pixels, stream: &[u32], finish: Finish) -> Option<()> {
    let last = pixels.n_pixels.checked_sub(1)?;
    let read_end = last.checked_mul(pixels.source_step)?.checked_add(pixels.source)?;
    let write_end = pixels.n_pixels.checked_mul(pixels.n_outputs)?.checked_add(pixels.target)?;
    let reach = read_end.checked_add(padded_taps(pixels.taps))?.max(write_end);
    if reach > region.len() || pixels.taps == 0 || pixels.n_outputs == 0 {
        return None;
    }
    let stream = stream.get(..stream_words(pixels.taps, pixels.n_outputs))?;
    // The outputs of both pixels are scattered with 16-bit offsets.
    let n_paired = if pixels.n_outputs <= usize::from(u16::MAX) - CHANNELS { pixels.n_pixels & !1 } else { 0 };
    if n_paired > 0 {
        implementation::multiply_pairs(region, Pixels { n_pixels: n_paired, ..pixels }, stream, finish);
    }
    for pixel in n_paired..pixels.n_pixels {
        let source = pixels.source.wrapping_add(pixel.wrapping_mul(pixels.source_step));
        let target = pixels.target.wrapping_add(pixel.wrapping_mul(pixels.n_outputs));
        implementation::multiply_one(region, Pixels { source, target, n_pixels: 1, ..pixels }, stream, finish);
    }
    Some(())
}

/// Rows of runs of neighbouring elements; those of a row follow one another in the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    pub source: usize,
    pub target: usize,
    /// Elements of a run.
    pub length: usize,
    /// Runs of a row, rows.
    pub counts: [usize; 2],
    pub source_row_step: usize,
    /// From one run to the next, from one row to the next.
    pub target_steps: [usize; 2],
}

/// Copies runs inside a region; sources and targets are apart.
pub(super) fn copy_runs(region: &mut [i8], runs: Runs) -> Option<()> {
    let [last, last_row] = runs.counts.map(|n| n.checked_sub(1));
    let (Some(last), Some(last_row)) = (last, last_row) else { return Some(()) };
    if runs.length == 0 {
        return Some(());
    }
    let [target_step, target_row_step] = runs.target_steps;
    for (start, [step, row_step]) in
        [(runs.source, [runs.length, runs.source_row_step]), (runs.target, [target_step, target_row_step])]
    {
        let first = last.checked_mul(step)?.checked_add(last_row.checked_mul(row_step)?)?.checked_add(start)?;
        if first.checked_add(runs.length)? > region.len() {
            return None;
        }
    }
    implementation::copy_runs(region, runs);
    Some(())
}

/// Single elements along two axes, inner and outer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lattice {
    pub source: usize,
    pub target: usize,
    pub counts: [usize; 2],
    pub source_steps: [usize; 2],
    pub target_steps: [usize; 2],
}

impl Lattice {
    /// Whether eight elements along the inner axis are within the reach of 16-bit offsets.
    pub fn is_near(&self) -> bool {
        let far = |[step, _]: [usize; 2]| step > usize::from(u16::MAX) / 8;
        !far(self.source_steps) && !far(self.target_steps)
    }
}

/// Copies single elements inside a region; sources and targets are apart.
pub(super) fn copy_lattice(region: &mut [i8], lattice: Lattice) -> Option<()> {
    let [inner, outer] = lattice.counts;
    let (Some(last_inner), Some(last_outer)) = (inner.checked_sub(1), outer.checked_sub(1)) else { return Some(()) };
    if !lattice.is_near() {
        return None;
    }
    for (start, [inner, outer]) in [(lattice.source, lattice.source_steps), (lattice.target, lattice.target_steps)] {
        let along = last_inner.checked_mul(inner)?.checked_add(last_outer.checked_mul(outer)?)?;
        if along.checked_add(start)? >= region.len() {
            return None;
        }
    }
    implementation::copy_lattice(region, lattice);
    Some(())
}

/// The channels of a depthwise convolution, one plane after the other in the same place.
///
/// Pairs are along the plane's inner and outer axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    /// First element of the input.
    pub source: usize,
    /// Pixels of the input; those that no window reaches are left out.
    pub source_counts: [usize; 2],
    pub source_steps: [usize; 2],
    /// First element of the plane.
    pub plane: usize,
    /// Elements of the plane before the first pixel.
    pub padding: [usize; 2],
    /// First output.
    pub target: usize,
    pub target_steps: [usize; 2],
    pub n_channels: usize,
}

impl Planes {
    /// Leaves out the pixels that no window reaches. `None` when the rest, or an output, lies outside of the region, or
    /// [`GROUP`] of them beyond 16-bit offsets.
    fn clip<T>(self, plane: &Plane<T>, n_elements: usize) -> Option<Self> {
        let [length, n_lines] = plane.extents;
        let [before, lines_before] = self.padding;
        let [count, line_count] = self.source_counts;
        let counts = [count.min(length.saturating_sub(before)), line_count.min(n_lines.saturating_sub(lines_before))];
        let last_channel = self.n_channels.checked_sub(1)?;
        let is_inside = |start: usize, counts: [usize; 2], [step, line_step]: [usize; 2]| {
            let [along, across] = counts.map(|n| n.saturating_sub(1));
            let end =
                along.checked_mul(step)?.checked_add(across.checked_mul(line_step)?)?.checked_add(last_channel)?;
            let is_near = step <= usize::from(u16::MAX) / (GROUP - 1);
            (is_near && end.checked_add(start)? < n_elements).then_some(())
        };
        is_inside(self.source, counts, self.source_steps)?;
        is_inside(self.target, plane.outputs, self.target_steps)?;
        Some(Self { source_counts: counts, ..self })
    }
}

/// Convolves channel after channel; outputs are saturated, not clamped.
///
/// # Shapes
/// - `region`: input, a plane ([`Plane::new`]) that is filled with the padding, and output
/// - `stream`: a depthwise stream, see [`super::layout`]
pub(super) fn convolve(
    region: &mut [i8],
    plane: &Plane<PairLanes>,
    planes: Planes,
    stream: &[u32],
    zero_point: i32,
) -> Option<()> {
    let planes = planes.clip(plane, region.len())?;
    // The last group of a line is whole.
    let ([n_outputs, n_output_lines], [step, line_step]) = (plane.outputs, plane.steps);
    let last_pair = n_outputs.checked_next_multiple_of(GROUP)?.checked_sub(2)?.checked_mul(step)?;
    let read = last_pair.checked_add(n_output_lines.checked_sub(1)?.checked_mul(line_step)?)?;
    let farthest = plane.taps.reach.checked_add(step.checked_mul(GROUP / 2)?)?;
    if read.checked_add(plane.taps.reach)? >= plane.bytes()
        || planes.plane.checked_add(plane.bytes())? > region.len()
        || farthest > usize::from(u8::MAX)
        || stream.len() < planes.n_channels.checked_mul(DEPTHWISE_WORDS)?
    {
        return None;
    }
    implementation::convolve(region, plane, planes, stream, zero_point);
    Some(())
}

/// The same in chunks.
///
/// # Shapes
/// - `region`: input, a plane ([`Plane::in_chunks`]) that is filled with the padding, and output
/// - `stream`: a stream of depthwise windows, see [`super::layout`]
pub(super) fn convolve_chunks(
    region: &mut [i8],
    plane: &Plane<Chunks>,
    planes: Planes,
    stream: &[u32],
    zero_point: i32,
) -> Option<()> {
    let planes = planes.clip(plane, region.len())?;
    let farthest = plane.taps.reach.checked_add(plane.steps.first()?.checked_mul(GROUP / 2)?)?;
    // `Plane::bytes` counts all that groups and chunks read.
    if planes.plane.checked_add(plane.bytes())? > region.len()
        || farthest > usize::from(u8::MAX)
        || plane.taps.count == 0
        || stream.len() < planes.n_channels.checked_mul(plane.words())?
    {
        return None;
    }
    implementation::convolve_chunks(region, plane, planes, stream, zero_point);
    Some(())
}

/// Clamps a range of the region that holds saturated outputs.
pub(super) fn clamp(region: &mut [i8], range: Range<usize>, output: OutputI8) -> Option<()> {
    let outputs = region.get_mut(range)?;
    if !outputs.is_empty() && (output.min, output.max) != (i8::MIN, i8::MAX) {
        implementation::clamp(outputs, output.min, output.max);
    }
    Some(())
}

/// Sums of two tensors of one shape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub a: usize,
    pub b: usize,
    pub output: usize,
    pub n: usize,
    pub multiplier: PairMultiplier,
    /// `-(a_zero_point * a + b_zero_point * b)`
    pub addend: i32,
}

/// Adds two tensors inside a region; the output may be one of them.
pub(super) fn add(region: &mut [i8], sum: Sum, finish: Finish) -> Option<()> {
    for start in [sum.a, sum.b, sum.output] {
        if start.checked_add(sum.n)? > region.len() {
            return None;
        }
    }
    if sum.n > 0 {
        implementation::add(region, sum, finish);
    }
    Some(())
}

/// The taps of a window inside the image, each with all its channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// First channel of the first tap.
    pub source: usize,
    /// Taps in a row, rows.
    pub counts: [usize; 2],
    /// From one tap to the next, from one row to the next.
    pub steps: [usize; 2],
    pub n_channels: usize,
}

impl Window {
    pub fn n_taps(&self) -> usize {
        let [columns, rows] = self.counts;
        columns.wrapping_mul(rows)
    }

    /// All taps are in a region of this length, and there is one at least.
    fn check(&self, n_elements: usize) -> Option<()> {
        let [columns, rows] = self.counts.map(|n| n.checked_sub(1));
        let [step, row_step] = self.steps;
        let last = columns?.checked_mul(step)?.checked_add(rows?.checked_mul(row_step)?)?.checked_add(self.source)?;
        let end = last.checked_add(self.n_channels)?;
        (self.n_channels > 0 && end <= n_elements).then_some(())
    }
}

/// Writes the largest tap of each channel; the outputs of sixteen channels are written before the next are read.
pub(super) fn largest(region: &mut [i8], window: Window, target: usize) -> Option<()> {
    window.check(region.len())?;
    region.get(target..target.checked_add(window.n_channels)?)?;
    implementation::largest(region, window, target);
    Some(())
}

/// Sums the taps of up to eight channels, 256 taps at most.
pub(super) fn sums(region: &[i8], window: Window, sums: &mut [i16; 8]) -> Option<()> {
    window.check(region.len())?;
    if window.n_channels > sums.len() || window.n_taps() > MOST_TAPS {
        return None;
    }
    implementation::sums(region, window, sums);
    Some(())
}
