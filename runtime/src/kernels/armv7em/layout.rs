//! How weights lie in flash for these kernels, and how much scratch they need.
//!
//! ```text
//! pair stream, per two output channels a, b:                quad stream, per four channels a, b, c, d:
//!   1 word    bias of b                                       4 words   bias of b, d, a, c
//!   per 4 taps t0..t3:                                        per 4 taps:
//!     word    (256 a + b) of t0 | t2                            word    (256 a + b) of t0 | t2
//!     word    (256 a + b) of t1 | t3                            word    (256 c + d) of t0 | t2
//!                                                               word    (256 a + b) of t1 | t3
//!                                                               word    (256 c + d) of t1 | t3
//!   1 word    bias of a
//!   3 words   multiplier, addend, shift of a                  12 words  multiplier, addend, shift of each
//!   3 words   multiplier, addend, shift of b
//! ```
//!
//! ```text
//! depthwise stream, per channel with taps w[row][column]:
//!   3 words   bytes w[row][0], w[row][1], w[row][1], w[row][2]: SXTB16 gives (w0, w1), rotated (w1, w2)
//!   4 words   bias, multiplier, addend, shift
//! ```
//!
//! Each kernel row of taps is padded with zeros to a multiple of four, channels with zeros to a whole pair or quad.

pub mod winograd;

pub use winograd::{POSITIONS, Winograd};

use crate::fixed_point::Requantizer;
use crate::kernels::geometry::{Conv2d, Strip, Window2d};

/// How many channels share one pass over the taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two: for two pixels at a time.
    Pair,
    /// Four: for one pixel at a time.
    Quad,
}

impl Block {
    const fn channels(self) -> usize {
        match self {
            Block::Pair => 2,
            Block::Quad => 4,
        }
    }

    /// Words before the weights of a block.
    const fn starts(self) -> usize {
        match self {
            Block::Pair => 1,
            Block::Quad => 4,
        }
    }

    /// Words of one block whose filters have `taps` weights.
    pub const fn words(self, taps: usize) -> usize {
        let n = self.channels();
        n.saturating_mul(4).saturating_add(padded_taps(taps).saturating_mul(n) / 4)
    }

    /// Words of the stream of a layer.
    pub const fn stream_words(self, taps: usize, n_outputs: usize) -> usize {
        n_outputs.div_ceil(self.channels()).saturating_mul(self.words(taps))
    }
}

/// Taps after which a quad adds its sums up and starts again, in whole steps of the main loop: so many products of int8
/// sum to less than 2^23 in magnitude, unless all weights are -128.
pub const SEGMENT: usize = 512;

/// Taps of a filter in the stream.
pub const fn padded_taps(taps: usize) -> usize {
    taps.saturating_add(3) / 4 * 4
}

/// Taps of one filter of a convolution in the stream, and of one of its kernel rows.
pub fn conv_2d_taps(conv: &Conv2d) -> [usize; 2] {
    let [height, width] = conv.window.kernel.map(|v| v as usize);
    let row = padded_taps(width.saturating_mul(conv.input_channels_per_group()));
    [height.saturating_mul(row), row]
}

/// Scratch of a convolution: the taps of two pixels as int16, then as int8 for those at the edge, and their outputs.
pub fn conv_2d_scratch_bytes(conv: &Conv2d) -> usize {
    let [taps, _] = conv_2d_taps(conv);
    let outputs = (conv.window.output[2] as usize).saturating_mul(2);
    taps.saturating_mul(6).saturating_add(outputs)
}

/// How far below its input a convolution's output must start when the two overlap.
///
/// Pairs of pixels run on from one row to the next.
pub fn conv_2d_lead_bytes(conv: &Conv2d) -> u32 {
    let [_, _, n_outputs] = conv.window.output;
    conv.window.lead_elements(Strip::Pixels(1)).saturating_add(n_outputs)
}

/// Words of one channel of a depthwise stream.
pub const DEPTHWISE_WORDS: usize = 7;

/// Whether [`super::depthwise_conv_2d`] takes a window: 3x3 without dilation, equal strides of 1 or 2, as many output
/// channels as input channels.
pub fn is_depthwise_3x3(window: &Window2d) -> bool {
    let ([_, _, inputs], [_, _, outputs]) = (window.input, window.output);
    window.kernel == [3, 3]
        && window.dilation == [1, 1]
        && matches!(window.stride, [1, 1] | [2, 2])
        && inputs == outputs
        && plane(window).into_iter().product::<usize>() < 1 << 24
}

/// Rows and columns of the padded plane that holds one channel; the columns are even.
pub fn plane(window: &Window2d) -> [usize; 2] {
    let [height, width, _] = window.output.map(|v| v as usize);
    let [stride, _] = window.stride.map(|v| v as usize);
    let extent = |n: usize| n.saturating_sub(1).saturating_mul(stride).saturating_add(3);
    [extent(height), extent(width).saturating_add(1) / 2 * 2]
}

/// Scratch of a depthwise convolution: one plane of int16.
pub fn depthwise_scratch_bytes(window: &Window2d) -> usize {
    let [height, width] = plane(window);
    height.saturating_mul(width).saturating_mul(2)
}

/// The padded plane of one channel for [`super::depthwise_conv_2d::depthwise_windows_i8`], and its filter.
///
/// ```text
/// block of one channel
///   words     KH rows of (w0, w1) (w2, w3) .., int16, an odd last tap beside 0
///   4 words   bias, multiplier, addend, shift
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowPlane {
    /// Rows, padding included.
    pub height: usize,
    /// Columns, padding included, and what the last window's last pair reads beyond it.
    pub width: usize,
    /// Rows of a window.
    pub kernel_rows: usize,
    /// Pairs of taps in a row of a window.
    pub pairs: usize,
}

impl WindowPlane {
    /// The plane of a depthwise convolution; `None` when the kernel does not take it: dilation, several outputs per input
    /// channel, or a plane of 2^24 cells.
    pub fn new(window: &Window2d) -> Option<Self> {
        let ([_, _, inputs], [_, _, outputs]) = (window.input, window.output);
        if inputs != outputs || window.dilation != [1, 1] {
            return None;
        }
        let [output_height, output_width, _] = window.output.map(|v| v as usize);
        let [kernel_rows, columns] = window.kernel.map(|v| v as usize);
        let [stride_y, stride_x] = window.stride.map(|v| v as usize);
        let pairs = columns.div_ceil(2);
        let walked = |n: usize, stride: usize| n.checked_sub(1)?.checked_mul(stride);
        let height = walked(output_height, stride_y)?.checked_add(kernel_rows)?;
        let width = walked(output_width, stride_x)?.checked_add(pairs.checked_mul(2)?)?;
        height.checked_mul(width).filter(|&n| n < 1 << 24)?;
        Some(Self { height, width, kernel_rows, pairs })
    }

    /// Cells of the plane.
    pub fn cells(&self) -> usize {
        self.height.saturating_mul(self.width)
    }

    /// Words of one channel's block.
    pub fn words(&self) -> usize {
        self.kernel_rows.saturating_mul(self.pairs).saturating_add(4)
    }
}

/// Scratch of a fully connected layer: a copy of the input when its end is no whole word.
pub const fn fully_connected_scratch_bytes(n_inputs: usize) -> usize {
    if n_inputs.is_multiple_of(4) { 0 } else { padded_taps(n_inputs) }
}

/// The layer whose weights are packed.
#[derive(Clone, Copy, Debug)]
pub struct Products<'a> {
    /// `[O, rows, row_taps]`
    pub weights: &'a [i8],
    /// Taps of a kernel row, which starts at a multiple of four in the stream.
    pub row_taps: usize,
    /// Per output channel, with the input's zero point folded in.
    pub bias: &'a [i32],
    /// Per output channel.
    pub requantizers: &'a [Requantizer],
    /// Of the output.
    pub output_zero_point: i32,
}

impl Products<'_> {
    /// Writes the stream of this layer.
    ///
    /// `None` when the layer is not for these kernels: a shift below 33 or above 54, a first channel of a pair whose sum
    /// may leave 24 bits (in quads the sum of a [`SEGMENT`]), a weight of -128 in it above a negative one, or `stream` of
    /// another length than [`Block::stream_words`].
    pub fn pack(&self, block: Block, stream: &mut [u32]) -> Option<()> {
        let n_outputs = self.bias.len();
        let taps = self.weights.len().checked_div(n_outputs)?;
        let padded = taps.checked_div(self.row_taps)?.checked_mul(padded_taps(self.row_taps))?;
        if self.requantizers.len() != n_outputs || stream.len() != block.stream_words(padded, n_outputs) {
            return None;
        }
        let n = block.channels();
        let words = block.words(padded);
        for (i, target) in (0..n_outputs.div_ceil(n)).map(|i| (i, i.saturating_mul(words))) {
            let target = stream.get_mut(target..)?.get_mut(..words)?;
            let (starts, rest) = target.split_at_mut_checked(block.starts())?;
            let (packed, finish) = rest.split_at_mut_checked(padded.saturating_mul(n) / 4)?;
            for pair in 0..n / 2 {
                let first = i.saturating_mul(n).saturating_add(pair.saturating_mul(2));
                let (a, b) = (self.channel(first, taps)?, self.channel(first.saturating_add(1), taps)?);
                if !a.fits_24_bits(block) || !a.fits_above(&b) {
                    return None;
                }
                let finish = match block {
                    Block::Pair => {
                        let (bias, finish) = finish.split_first_mut()?;
                        (*starts.first_mut()?, *bias) = (b.start as u32, a.start as u32);
                        finish
                    }
                    Block::Quad => {
                        *starts.get_mut(pair)? = b.start as u32;
                        *starts.get_mut(pair.saturating_add(2))? = a.start as u32;
                        finish.get_mut(pair.saturating_mul(6)..)?
                    }
                };
                for (target, channel) in finish.as_chunks_mut::<3>().0.iter_mut().zip([&a, &b]) {
                    *target = channel.finish;
                }
                for (four, words) in packed.chunks_exact_mut(n).enumerate() {
                    let at = four.saturating_mul(4);
                    *words.get_mut(pair)? = self.word(&a, &b, at);
                    *words.get_mut((n / 2).saturating_add(pair))? = self.word(&a, &b, at.saturating_add(1));
                }
            }
        }
        Some(())
    }

    /// Writes the depthwise stream of this layer, whose weights are `[3, 3, C]`; `None` as for [`Products::pack`].
    pub fn pack_depthwise(&self, stream: &mut [u32]) -> Option<()> {
        let n = self.bias.len();
        if self.requantizers.len() != n || self.weights.len() != n.checked_mul(9)? {
            return None;
        }
        let (blocks, []) = stream.as_chunks_mut::<DEPTHWISE_WORDS>() else { return None };
        if blocks.len() != n {
            return None;
        }
        for (c, [row_0, row_1, row_2, bias, finish @ ..]) in blocks.iter_mut().enumerate() {
            let mut filter = [0i8; 9];
            for (tap, w) in filter.iter_mut().enumerate() {
                *w = *self.weights.get(tap.checked_mul(n)?.checked_add(c)?)?;
            }
            let channel = self.finished(c, &filter)?;
            for (word, [a, b, c]) in [row_0, row_1, row_2].into_iter().zip(filter.as_chunks::<3>().0) {
                *word = u32::from_le_bytes([*a as u8, *b as u8, *b as u8, *c as u8]);
            }
            (*bias, *finish) = (channel.start as u32, channel.finish);
        }
        Some(())
    }

    /// Writes the stream of a depthwise layer with windows of any size, whose weights are `[rows, row_taps, C]`; `None` as
    /// for [`Products::pack`].
    pub fn pack_windows(&self, plane: &WindowPlane, stream: &mut [u32]) -> Option<()> {
        let n = self.bias.len();
        let filter = plane.kernel_rows.checked_mul(self.row_taps)?;
        if self.requantizers.len() != n
            || self.weights.len() != filter.checked_mul(n)?
            || stream.len() != plane.words().checked_mul(n)?
            || self.row_taps.div_ceil(2) != plane.pairs
        {
            return None;
        }
        for (c, block) in stream.chunks_exact_mut(plane.words()).enumerate() {
            let (words, [bias, finish @ ..]) = block.split_last_chunk_mut::<4>()?;
            let mut is_zero = true;
            for (row, words) in words.chunks_exact_mut(plane.pairs).enumerate() {
                for (pair, word) in words.iter_mut().enumerate() {
                    let mut half = |column: usize| {
                        let tap = row.wrapping_mul(self.row_taps).wrapping_add(column);
                        let at = tap.wrapping_mul(n).wrapping_add(c);
                        let w = if column < self.row_taps { *self.weights.get(at)? } else { 0 };
                        is_zero &= w == 0;
                        Some(u32::from(i16::from(w) as u16))
                    };
                    let column = pair.wrapping_mul(2);
                    *word = half(column)? | half(column.wrapping_add(1))? << 16;
                }
            }
            let channel = self.finished(c, if is_zero { &[] } else { &[1] })?;
            (*bias, *finish) = (channel.start as u32, channel.finish);
        }
        Some(())
    }

    /// Taps `at` and `at + 2` of a padded filter, of `high` and of `low`.
    fn word(&self, high: &Channel<'_>, low: &Channel<'_>, at: usize) -> u32 {
        let padded = padded_taps(self.row_taps).max(1);
        let half = |at: usize| {
            let (row, tap) = (at.wrapping_div(padded), at.wrapping_rem(padded));
            let at = row.wrapping_mul(self.row_taps).wrapping_add(tap);
            let weight = |channel: &Channel<'_>| channel.weights.get(at).map_or(0, |&w| i32::from(w));
            if tap < self.row_taps { weight(high).wrapping_mul(256).wrapping_add(weight(low)) as u16 } else { 0 }
        };
        u32::from(half(at)) | u32::from(half(at.wrapping_add(2))) << 16
    }

    /// Channel `o`; one of zeros beyond the last.
    fn channel(&self, o: usize, taps: usize) -> Option<Channel<'_>> {
        if o >= self.bias.len() {
            return Some(Channel { weights: &[], start: 0, finish: [0, 0, 1] });
        }
        self.finished(o, self.weights.get(o.checked_mul(taps)?..)?.get(..taps)?)
    }

    /// Channel `o`, whose filter is `weights`.
    fn finished<'w>(&self, o: usize, weights: &'w [i8]) -> Option<Channel<'w>> {
        let bias = *self.bias.get(o)?;
        let requantizer = *self.requantizers.get(o)?;
        if requantizer.multiplier == 0 || weights.iter().all(|&w| w == 0) {
            let steps = requantizer.requantize(bias).clamp(-512, 512).saturating_add(self.output_zero_point);
            return Some(Channel { weights, start: 0, finish: [0, steps.wrapping_shl(1) as u32, 1] });
        }
        let shift = requantizer.shift.checked_sub(32)?;
        // SMMLA adds below 2^30 in magnitude, the zero point below 2^29.
        if !(1..=22).contains(&shift) {
            return None;
        }
        let addend = (1i32 << (shift - 1)).wrapping_add(self.output_zero_point << shift);
        let finish = [requantizer.multiplier as u32, addend as u32, u32::from(shift)];
        Some(Channel { weights, start: bias, finish })
    }
}

/// One output channel.
struct Channel<'a> {
    weights: &'a [i8],
    start: i32,
    finish: [u32; 3],
}

impl Channel<'_> {
    /// Whether no int8 input can bring a sum of the products to 2^23: that of all taps in a pair, of a segment in a quad.
    fn fits_24_bits(&self, block: Block) -> bool {
        let fits = |weights: &[i8]| weights.iter().map(|w| u64::from(w.unsigned_abs())).sum::<u64>() < 1 << 16;
        match block {
            Block::Pair => fits(self.weights),
            Block::Quad => self.weights.chunks(SEGMENT).all(fits),
        }
    }

    /// Whether every `256 a + b` fits a halfword: all but a weight of -128 above a negative one.
    fn fits_above(&self, below: &Self) -> bool {
        self.weights.iter().zip(below.weights).all(|(&a, &b)| a > i8::MIN || b >= 0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::kernels::Placed;
    use crate::kernels::armv7em::fully_connected::fully_connected_i8;
    use crate::kernels::parameters::{ChannelsI8, OutputI8};
    use crate::kernels::portable;
    use std::{vec, vec::Vec};

    /// Whether the layout takes two channels of these weights; if so, the vector that adds up the furthest must give what
    /// the portable kernel gives.
    fn takes(weights: &[i8]) -> bool {
        // The largest sum, 2^23, becomes 64.
        let factor = Requantizer { multiplier: 1 << 30, shift: 47 };
        let (bias, requantizers) = ([0; 2], [factor; 2]);
        let taps = weights.len() / 2;
        let mut stream = vec![0; Block::Quad.stream_words(padded_taps(taps), 2)];
        let products =
            Products { weights, row_taps: taps, bias: &bias, requantizers: &requantizers, output_zero_point: 0 };
        if products.pack(Block::Quad, &mut stream).is_none() {
            return false;
        }
        let output = OutputI8 { zero_point: 0, min: i8::MIN, max: i8::MAX };
        let (multipliers, shifts) = ([factor.multiplier; 2], [factor.shift; 2]);
        let channels =
            ChannelsI8 { input_zero_point: 0, bias: &bias, multipliers: &multipliers, shifts: &shifts, output };
        let mut expected = [0; 2];
        portable::fully_connected_i8(taps, &channels, &vec![i8::MIN; taps], weights, &mut expected).unwrap();
        let mut memory: Vec<u32> = vec![0x8080_8080; taps / 4 + 4];
        let region: &mut [i8] = bytemuck::cast_slice_mut(&mut memory);
        let (end, all) = (region.len(), region.len()..region.len());
        let placed = Placed { region, input: 0..taps, output: end - 2..end, scratch: all };
        fully_connected_i8([i8::MIN, i8::MAX], &stream, placed).unwrap();
        assert_eq!(memory.last().map(|w| w.to_le_bytes()[2..].to_vec()), Some(expected.map(|v| v as u8).to_vec()));
        true
    }

    #[test]
    fn a_segment_of_the_lowest_weights_is_left_to_the_portable_kernel() {
        let rows = |above: Vec<i8>| [above.clone(), vec![0; above.len()]].concat();
        assert!(takes(&rows(vec![-127; 512])));
        assert!(takes(&rows([vec![-128; 511], vec![-127]].concat())));
        assert!(!takes(&rows(vec![-128; 512])));
        // Sums start again behind 512 taps.
        assert!(takes(&rows([vec![-128; 511], vec![0], vec![-128; 511], vec![0]].concat())));
        assert!(!takes(&rows([vec![0; 512], vec![-128; 512]].concat())));
    }
}
