//! Convolution with one group, two pixels at a time.

use super::layout::conv_2d_taps;
use super::loops::{PixelPairs, Places, clamp, copy_rows};
use crate::kernels::Placed;
use crate::kernels::geometry::{Axis, Conv2d, Taps};

/// Convolution in int8.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - `stream`: see [`super::layout`], blocks of two channels, filters OHWI
/// - output: NHWC `[1, OH, OW, O]` i8; it may overlap the input when it starts
///   [`super::layout::conv_2d_lead_bytes`] below it, or more
/// - scratch: [`super::layout::conv_2d_scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::conv_2d_i8`]. The taps of two pixels are widened to int16 and interleaved, then every
/// pair of output channels is one pass over them: 49 instructions for 64 multiply-accumulates. Pairs run on from one row
/// to the next; those that reach into the padding are copied first.
pub fn conv_2d_i8(conv: &Conv2d, padding: i8, limits: [i8; 2], stream: &[u32], placed: Placed<'_, i8>) -> Option<()> {
    let Placed { region, input, output, scratch } = placed;
    let gather = Gather::new(conv, padding);
    let pairs = &gather.pairs;
    let n_outputs = pairs.n_outputs;
    let n_taps = pairs.rows.checked_mul(pairs.row_taps)?;
    let patch = scratch.start;
    let copies = patch.checked_add(n_taps.checked_mul(4)?)?;
    let spill = copies.checked_add(n_taps.checked_mul(2)?)?;
    let mut walk = Walk::new(&gather, input.len());
    while let Some(Piece { first, pixel, n_pairs }) = walk.next() {
        let target = output.start.wrapping_add(first.wrapping_mul(n_outputs));
        if n_pairs > 0 {
            let source = input.start.wrapping_add(gather.corner(&gather.taps(pixel)));
            pairs.multiply(region, Places { source, target, patch }, n_pairs, stream)?;
            continue;
        }
        let [source, both] = region.get_disjoint_mut([input.clone(), copies..spill]).ok()?;
        let (one, other) = both.split_at_mut_checked(n_taps)?;
        gather.copy(source, one, pixel)?;
        // The pixel behind the last is computed from what is there, into scratch.
        let is_last = first.wrapping_add(1) == walk.n_pixels;
        if !is_last {
            gather.copy(source, other, pixel.next(gather.width))?;
        }
        let places = Places { source: copies, target: if is_last { spill } else { target }, patch };
        let copied = PixelPairs { pixel_step: n_taps, row_step: pairs.row_taps, ..*pairs };
        copied.multiply(region, places, 1, stream)?;
        if is_last {
            let [target, source] = region.get_disjoint_mut([target..output.end, spill..scratch.end]).ok()?;
            copy_rows(source, target, n_outputs, 1, [0, 0])?;
        }
    }
    clamp(region.get_mut(output)?, limits);
    Some(())
}

/// How the pixels of a convolution fall into pairs, for estimating its cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Runs of pairs that are read in place.
    pub runs: usize,
    /// Pairs, read in place or copied.
    pub pairs: usize,
    /// Pairs that are copied.
    pub copied_pairs: usize,
    /// Pixels with taps to copy.
    pub copies: usize,
    /// Kernel rows that are copied.
    pub copied_rows: usize,
    /// Words and odd bytes that are copied.
    pub copied_words: usize,
}

/// Counts as [`conv_2d_i8`] walks.
pub fn count_pairs(conv: &Conv2d) -> PairCounts {
    let gather = Gather::new(conv, 0);
    let mut counts = PairCounts::default();
    let mut walk = Walk::new(&gather, conv.window.input_elements());
    while let Some(Piece { first, pixel, n_pairs }) = walk.next() {
        if n_pairs > 0 {
            counts.runs = counts.runs.wrapping_add(1);
            counts.pairs = counts.pairs.wrapping_add(n_pairs);
            continue;
        }
        counts.pairs = counts.pairs.wrapping_add(1);
        counts.copied_pairs = counts.copied_pairs.wrapping_add(1);
        let copied = [pixel, pixel.next(gather.width)];
        for pixel in copied.into_iter().take(walk.n_pixels.wrapping_sub(first)) {
            let PixelTaps { y, x } = gather.taps(pixel);
            if y.count > 0 && x.count > 0 {
                let run = x.count.wrapping_mul(gather.depth);
                counts.copies = counts.copies.wrapping_add(1);
                counts.copied_rows = counts.copied_rows.wrapping_add(y.count);
                counts.copied_words = counts.copied_words.wrapping_add(y.count.wrapping_mul(run / 4 + run % 4));
            }
        }
    }
    counts
}

/// Pixels that are computed together.
struct Piece {
    /// How many pixels come before.
    first: usize,
    /// The first pixel.
    pixel: Pixel,
    /// Pairs from there to the right that are read where they are; 0 for one pair whose taps are copied first.
    n_pairs: usize,
}

/// All pixels in ascending order.
struct Walk<'a> {
    gather: &'a Gather,
    input_len: usize,
    n_pixels: usize,
    done: usize,
    pixel: Pixel,
}

impl<'a> Walk<'a> {
    fn new(gather: &'a Gather, input_len: usize) -> Self {
        let n_pixels = gather.height.wrapping_mul(gather.width);
        Self { gather, input_len, n_pixels, done: 0, pixel: Pixel { row: 0, column: 0 } }
    }

    #[inline(always)]
    fn next(&mut self) -> Option<Piece> {
        if self.done >= self.n_pixels {
            return None;
        }
        let (first, pixel) = (self.done, self.pixel);
        let n_pairs = self.gather.pairs_inside(pixel, self.input_len);
        let n_pixels = n_pairs.max(1).wrapping_mul(2);
        self.done = first.wrapping_add(n_pixels);
        self.pixel = match n_pairs {
            0 => pixel.next(self.gather.width).next(self.gather.width),
            _ => Pixel { column: pixel.column.wrapping_add(n_pixels), ..pixel }.wrapped(self.gather.width),
        };
        Some(Piece { first, pixel, n_pairs })
    }
}

/// An output pixel.
#[derive(Clone, Copy)]
struct Pixel {
    row: usize,
    column: usize,
}

impl Pixel {
    fn next(self, width: usize) -> Self {
        Self { column: self.column.wrapping_add(1), ..self }.wrapped(width)
    }

    fn wrapped(self, width: usize) -> Self {
        if self.column == width { Self { row: self.row.wrapping_add(1), column: 0 } } else { self }
    }
}

/// Where the taps of output pixels are.
struct Gather {
    pairs: PixelPairs,
    vertical: Axis,
    horizontal: Axis,
    /// Rows and columns of the output, of which there is one row when neither rows nor padding matter.
    height: usize,
    width: usize,
    kernel: [usize; 2],
    depth: usize,
    input_pitch: usize,
    padding: i8,
    /// Taps of one kernel row when they are neighbours in the input, else 0.
    run: usize,
}

impl Gather {
    fn new(conv: &Conv2d, padding: i8) -> Self {
        let mut window = conv.window;
        let is_pointwise = window.kernel == [1, 1] && window.stride == [1, 1] && window.padding == [0, 0];
        if is_pointwise && window.input.first_chunk::<2>() == window.output.first_chunk::<2>() {
            for size in [&mut window.input, &mut window.output] {
                let [height, width, _] = *size;
                (size[0], size[1]) = (1, height.wrapping_mul(width));
            }
        }
        let [_, input_width, depth] = window.input.map(|v| v as usize);
        let [height, width, n_outputs] = window.output.map(|v| v as usize);
        let kernel = window.kernel.map(|v| v as usize);
        let (vertical, horizontal) = (window.vertical(), window.horizontal());
        let input_pitch = input_width.wrapping_mul(depth);
        let [_, row_taps] = conv_2d_taps(conv);
        let neighbours = horizontal.dilation() == 1 || kernel[1] == 1;
        Self {
            pairs: PixelPairs {
                pixel_step: (window.stride[1] as usize).wrapping_mul(depth),
                row_step: input_pitch.wrapping_mul(vertical.dilation()),
                rows: kernel[0],
                row_taps,
                n_outputs,
            },
            vertical,
            horizontal,
            height,
            width,
            kernel,
            depth,
            input_pitch,
            padding,
            run: if neighbours { kernel[1].wrapping_mul(depth) } else { 0 },
        }
    }

    fn taps(&self, pixel: Pixel) -> PixelTaps {
        PixelTaps { y: self.vertical.taps(pixel.row), x: self.horizontal.taps(pixel.column) }
    }

    /// Pairs from this pixel to the right whose windows lie inside the input as a whole.
    fn pairs_inside(&self, pixel: Pixel, input_len: usize) -> usize {
        let taps = self.taps(pixel);
        if self.run == 0 || !self.is_inside(&taps) {
            return 0;
        }
        let stride = self.pairs.pixel_step.checked_div(self.depth).unwrap_or(1);
        let width = self.input_pitch.checked_div(self.depth).unwrap_or(0);
        let reach = self.kernel[1].wrapping_sub(1).wrapping_mul(self.horizontal.dilation()).wrapping_add(1);
        let free = width.saturating_sub(taps.x.position.wrapping_add(reach));
        let mut n =
            free.checked_div(stride).unwrap_or(0).wrapping_add(1).min(self.width.wrapping_sub(pixel.column)) / 2;
        // The last taps of a row are read in whole words, which must not leave the input.
        let from = self.corner(&taps);
        while n > 0 && self.pairs.reach(n.wrapping_mul(2)).is_none_or(|reach| from.wrapping_add(reach) > input_len) {
            n = n.wrapping_sub(1);
        }
        n
    }

    fn is_inside(&self, taps: &PixelTaps) -> bool {
        taps.y.count == self.kernel[0] && taps.x.count == self.kernel[1]
    }

    /// Index of the first tap inside.
    fn corner(&self, taps: &PixelTaps) -> usize {
        let row = taps.y.position.wrapping_mul(self.input_pitch);
        row.wrapping_add(taps.x.position.wrapping_mul(self.depth))
    }

    /// Copies the taps of one pixel, padding included.
    fn copy(&self, input: &[i8], target: &mut [i8], pixel: Pixel) -> Option<()> {
        let taps = self.taps(pixel);
        if !self.is_inside(&taps) {
            target.fill(self.padding);
        }
        let PixelTaps { y, x } = &taps;
        if y.count == 0 || x.count == 0 {
            return Some(());
        }
        let from = self.corner(&taps);
        let to = y.first.wrapping_mul(self.pairs.row_taps).wrapping_add(x.first.wrapping_mul(self.depth));
        let pitches = [self.pairs.row_step, self.pairs.row_taps];
        if self.run != 0 {
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

/// The taps of one output pixel that lie inside the input.
struct PixelTaps {
    y: Taps,
    x: Taps,
}
