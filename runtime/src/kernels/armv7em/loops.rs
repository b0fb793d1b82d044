//! The inner loops, with every length checked: in instructions on target, in plain Rust elsewhere.

#[cfg(all(target_arch = "arm", kernel_isa = "armv7em"))]
use super::instructions as implementation;
use super::layout::{Block, DEPTHWISE_WORDS, padded_taps};
#[cfg(not(all(target_arch = "arm", kernel_isa = "armv7em")))]
use super::twins as implementation;

/// Neighbouring output pixels, two at a time, and where their taps are.
#[derive(Clone, Copy, Debug)]
pub(super) struct PixelPairs {
    /// Bytes from the first tap of one pixel to that of the next.
    pub pixel_step: usize,
    /// Bytes from one kernel row to the next.
    pub row_step: usize,
    /// Kernel rows.
    pub rows: usize,
    /// Taps of a kernel row, a multiple of four; those beyond the kernel meet weights of zero.
    pub row_taps: usize,
    /// Output channels.
    pub n_outputs: usize,
}

impl PixelPairs {
    /// Bytes of input from the first tap of the first of `n_pixels` to the last of the last.
    pub fn reach(&self, n_pixels: usize) -> Option<usize> {
        let pixels = n_pixels.checked_sub(1)?.checked_mul(self.pixel_step)?;
        self.rows.checked_sub(1)?.checked_mul(self.row_step)?.checked_add(self.row_taps)?.checked_add(pixels)
    }

    /// Multiplies the taps of pixels with all filters of a layer.
    ///
    /// The taps of two pixels are widened into the patch: per four taps the words `(t0, t2)` of each pixel, then
    /// `(t1, t3)` of each. Outputs are written when the taps of their pair are read.
    ///
    /// # Shapes
    /// - `region`: i8, holds the input, the outputs and the patch of one word per tap, which starts at a word boundary
    /// - `stream`: blocks of two channels, see [`super::layout`]
    pub fn multiply(&self, region: &mut [i8], places: Places, n_pairs: usize, stream: &[u32]) -> Option<()> {
        let n_taps = self.rows.checked_mul(self.row_taps)?;
        if n_pairs == 0 || n_taps == 0 || !self.row_taps.is_multiple_of(4) || self.n_outputs == 0 {
            return None;
        }
        let n_pixels = n_pairs.checked_mul(2)?;
        region.get(places.source..)?.get(..self.reach(n_pixels)?)?;
        region.get(places.target..)?.get(..self.n_outputs.checked_mul(n_pixels)?)?;
        region.get(places.patch..)?.get(..n_taps.checked_mul(4)?)?;
        let stream = stream.get(..Block::Pair.stream_words(n_taps, self.n_outputs))?;
        implementation::multiply_pairs(self, region, places, n_pairs, stream)
    }
}

/// First elements in the region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// First tap of the first pixel.
    pub source: usize,
    /// First output of the first pixel.
    pub target: usize,
    /// Patch.
    pub patch: usize,
}

/// Multiplies one vector with all filters of a layer.
///
/// # Shapes
/// - `input`: i8 `[padded_taps(taps)]`, starting at a word boundary
/// - `stream`: blocks of four channels, see [`super::layout`]
/// - `output`: `[O]` i8
pub(super) fn multiply_vector(taps: usize, input: &[i8], stream: &[u32], output: &mut [i8]) -> Option<()> {
    let words = Block::Quad.words(taps);
    let input = input.get(..padded_taps(taps))?;
    let (output, odd) = output.as_chunks_mut::<4>();
    let (blocks, last) = stream.split_at_checked(output.len().wrapping_mul(words))?;
    implementation::multiply_vector(input, blocks, output)?;
    if !odd.is_empty() {
        let mut spill = [[0i8; 4]];
        implementation::multiply_vector(input, last.get(..words)?, &mut spill)?;
        for (o, s) in odd.iter_mut().zip(spill.as_flattened()) {
            *o = *s;
        }
    }
    Some(())
}

/// Copies `n_rows` runs of `run` bytes whose starts lie `pitches` apart in source and target.
pub(super) fn copy_rows(
    source: &[i8],
    target: &mut [i8],
    run: usize,
    n_rows: usize,
    pitches: [usize; 2],
) -> Option<()> {
    if n_rows == 0 || run == 0 {
        return Some(());
    }
    let [source_pitch, target_pitch] = pitches;
    let reach = |pitch: usize| n_rows.wrapping_sub(1).checked_mul(pitch)?.checked_add(run);
    let (source, target) = (source.get(..reach(source_pitch)?)?, target.get_mut(..reach(target_pitch)?)?);
    implementation::copy_rows(source, target, run, n_rows, pitches)
}

/// Copies one channel of an NHWC picture into a plane of int16.
///
/// # Shapes
/// - `source`: from the channel's first element on, `depth` elements apart, `width` per row
/// - `plane`: from the first element inside on, rows `pitch` elements apart
/// - `extent`: rows and columns to copy
pub(super) fn copy_channel(
    source: &[i8],
    width: usize,
    depth: usize,
    plane: &mut [i16],
    pitch: usize,
    extent: [usize; 2],
) -> Option<()> {
    let [rows, columns] = extent;
    if rows == 0 || columns == 0 {
        return Some(());
    }
    let last_pixel = rows.wrapping_sub(1).checked_mul(width)?.checked_add(columns.wrapping_sub(1))?;
    let source = source.get(..last_pixel.checked_mul(depth)?.checked_add(1)?)?;
    let plane = plane.get_mut(..rows.wrapping_sub(1).checked_mul(pitch)?.checked_add(columns)?)?;
    if columns > width || columns > pitch {
        return None;
    }
    implementation::copy_channel(source, width, depth, plane, pitch, extent)
}

/// A padded plane and the outputs that are computed from it.
pub(super) struct Plane {
    /// Columns of the plane, an even number.
    pub pitch: usize,
    /// Rows of the output.
    pub rows: usize,
    /// Columns of the output.
    pub columns: usize,
    /// 1 or 2, in both directions.
    pub stride: usize,
    /// Elements from one output to the next.
    pub depth: usize,
}

/// All outputs of one channel of a 3x3 depthwise convolution.
pub(super) fn convolve_plane(
    plane: &Plane,
    block: &[u32; DEPTHWISE_WORDS],
    cells: &[i16],
    target: &mut [i8],
) -> Option<()> {
    let Plane { pitch, rows, columns, stride, depth } = *plane;
    let extent = |n: usize| n.checked_sub(1)?.checked_mul(stride)?.checked_add(3);
    if !pitch.is_multiple_of(2) || extent(columns)? > pitch {
        return None;
    }
    let cells = cells.get(..extent(rows)?.checked_mul(pitch)?)?;
    let last = rows.checked_mul(columns)?.checked_sub(1)?.checked_mul(depth)?;
    let target = target.get_mut(..last.checked_add(1)?)?;
    implementation::convolve_plane(plane, block, cells, target)
}

/// A padded plane, the windows over it and the outputs that are computed from it.
pub(super) struct WindowPlane {
    /// Columns of the plane.
    pub pitch: usize,
    /// Rows of a window.
    pub kernel_rows: usize,
    /// Pairs of taps in a row of a window.
    pub pairs: usize,
    /// Vertical, horizontal.
    pub stride: [usize; 2],
    /// Rows of the output.
    pub rows: usize,
    /// Columns of the output.
    pub columns: usize,
    /// Elements from one output to the next.
    pub depth: usize,
}

/// All outputs of one channel of a depthwise convolution.
///
/// `block`: see [`super::layout::WindowPlane`].
pub(super) fn convolve_windows(plane: &WindowPlane, block: &[u32], cells: &[i16], target: &mut [i8]) -> Option<()> {
    let WindowPlane { pitch, kernel_rows, pairs, stride: [stride_y, stride_x], rows, columns, depth } = *plane;
    let extent = |n: usize, stride: usize, taps: usize| n.checked_sub(1)?.checked_mul(stride)?.checked_add(taps);
    let words = kernel_rows.checked_mul(pairs).filter(|&n| n > 0)?;
    if extent(columns, stride_x, pairs.checked_mul(2)?)? > pitch || block.len() != words.checked_add(4)? {
        return None;
    }
    let cells = cells.get(..extent(rows, stride_y, kernel_rows)?.checked_mul(pitch)?)?;
    let last = rows.checked_mul(columns)?.checked_sub(1)?.checked_mul(depth)?;
    let target = target.get_mut(..last.checked_add(1)?)?;
    implementation::convolve_windows(plane, block, cells, target)
}

/// Arithmetic of a sum: `(a * x + b * y + constant) >> shift`, saturated to int8.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Sum {
    /// Factor of the first operand.
    pub a: i32,
    /// Factor of the second operand.
    pub b: i32,
    /// Zero points and rounding.
    pub constant: i32,
    /// Below 32.
    pub shift: u32,
}

/// Sums `n` elements from two places of a region to a third, which is one of them or apart from both.
pub(super) fn add(region: &mut [i8], [x, y, target]: [usize; 3], n: usize, sum: &Sum) -> Option<()> {
    for start in [x, y, target] {
        region.get(start..)?.get(..n)?;
    }
    implementation::add(region, [x, y, target], n, sum)
}

/// Neighbouring output pixels whose windows have equally many taps, and where those are in a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    /// First element of the first tap of the first pixel.
    pub source: usize,
    /// First element of the first output; the others follow.
    pub target: usize,
    /// Pixels.
    pub n_pixels: usize,
    /// Elements from the first tap of one pixel to that of the next.
    pub pixel_step: usize,
    /// Rows of a window.
    pub rows: usize,
    /// Elements from one row of a window to the next.
    pub row_step: usize,
    /// Columns of a window.
    pub columns: usize,
    /// Elements from one tap of a row to the next.
    pub tap_step: usize,
    /// Neighbouring elements of a tap, and of an output.
    pub channels: usize,
}

/// Arithmetic of an average: `(((start + sum) * multiplier >> 16) + addend) >> shift`, saturated to int8.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Mean {
    /// What the sums start at, in both halfwords.
    pub start: u32,
    /// Factor.
    pub multiplier: i32,
    /// Rounding and zero point.
    pub addend: i32,
    /// Below 32.
    pub shift: u32,
}

impl Windows {
    /// Whether the windows have no tap or make no output.
    pub fn is_empty(&self) -> bool {
        [self.rows, self.columns, self.channels, self.n_pixels].contains(&0)
    }

    /// Writes `value` to all outputs.
    pub fn fill(&self, region: &mut [i8], value: i8) -> Option<()> {
        let n = self.channels.checked_mul(self.n_pixels)?;
        region.get_mut(self.target..)?.get_mut(..n)?.fill(value);
        Some(())
    }

    /// The largest tap of each channel and pixel, pixel after pixel.
    pub fn maximum(&self, region: &mut [i8]) -> Option<()> {
        self.fits(region)?;
        implementation::maximum(self, region)
    }

    /// The mean of the taps of each channel and pixel, pixel after pixel.
    pub fn mean(&self, region: &mut [i8], mean: &Mean) -> Option<()> {
        self.fits(region)?;
        implementation::mean(self, region, mean)
    }

    /// Whether all taps and outputs are in the region, and there is one of each.
    fn fits(&self, region: &[i8]) -> Option<()> {
        if self.is_empty() {
            return None;
        }
        let last = |n: usize, step: usize| n.checked_sub(1)?.checked_mul(step);
        let reach = last(self.n_pixels, self.pixel_step)?
            .checked_add(last(self.rows, self.row_step)?)?
            .checked_add(last(self.columns, self.tap_step)?)?
            .checked_add(self.channels)?;
        region.get(self.source..)?.get(..reach)?;
        region.get(self.target..)?.get(..self.channels.checked_mul(self.n_pixels)?)?;
        Some(())
    }
}

/// Clamps int8 values in place.
pub(super) fn clamp(values: &mut [i8], [min, max]: [i8; 2]) {
    if min > i8::MIN || max < i8::MAX {
        for value in values {
            *value = (*value).max(min).min(max);
        }
    }
}
