//! How weights lie in flash for these kernels, and how much scratch they need.
//!
//! ```text
//! stream of products, per four output channels a, b, c, d:          depthwise stream, per channel:
//!   4 words    bias of a, b, c, d                                     4 words   16 taps
//!   per 16 taps:                                                      1 word    bias
//!     4 words  of a, 4 of b, 4 of c, 4 of d                           1 word    multiplier
//!   4 words    multipliers                                            1 word    31 - shift
//!   4 words    31 - shift, which VRSHL takes
//!
//! stream of depthwise windows, per channel: bias, multiplier, 31 - shift; per chunk (chunks.rs) 4 words of 16 taps
//! ```
//!
//! Taps are padded with zeros to a multiple of sixteen, channels with zeros to a multiple of four. Taps of convolutions
//! are in the order (kernel column, kernel row, input channel), as [`Strip`] holds the input.

use super::chunks::Chunks;
use super::plane::Plane;
use crate::fixed_point::Requantizer;
use crate::kernels::geometry::{self, Conv2d};

/// Output channels that share one pass over the taps.
pub const CHANNELS: usize = 4;
/// Taps of one vector.
pub const LANES: usize = 16;

/// Taps of a filter in the stream.
pub const fn padded_taps(taps: usize) -> usize {
    taps.saturating_add(LANES - 1) / LANES * LANES
}

/// Words of one block of four channels whose filters have `taps` weights.
pub const fn block_words(taps: usize) -> usize {
    padded_taps(taps).saturating_add(12)
}

/// Words of the stream of a layer.
pub const fn stream_words(taps: usize, n_outputs: usize) -> usize {
    n_outputs.div_ceil(CHANNELS).saturating_mul(block_words(taps))
}

/// Words of one channel of a depthwise stream.
pub const DEPTHWISE_WORDS: usize = 7;

/// Scratch of a fully connected layer: a copy of a row whose last vector would reach beyond it.
pub const fn fully_connected_scratch_bytes(n_inputs: usize) -> usize {
    if n_inputs.is_multiple_of(LANES) { 0 } else { padded_taps(n_inputs) }
}

/// Whether [`super::conv_2d`] takes a convolution: one group, no horizontal dilation.
pub fn is_convolution(conv: &Conv2d) -> bool {
    conv.groups == 1 && (conv.window.dilation[1] == 1 || conv.window.kernel[1] == 1)
}

/// Whether a checked convolution reads its pixels where they are: 1x1 without padding.
pub fn is_pointwise(conv: &Conv2d) -> bool {
    conv.window.kernel == [1, 1] && conv.window.padding == [0, 0]
}

/// The input rows of one output row, in the order of the taps.
///
/// ```text
///   column 0                      column 1
///   | row 0 | row 1 | .. row KH-1 | row 0 | row 1 | ..        each row C bytes
///   \____________ window of the first output pixel _______/
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strip {
    /// Columns, padding included.
    pub columns: usize,
    /// Bytes of one column.
    pub column_bytes: usize,
}

impl Strip {
    /// The strip of a convolution.
    pub fn new(conv: &Conv2d) -> Self {
        let window = &conv.window;
        let [_, output_width, _] = window.output.map(|v| v as usize);
        let [kernel_height, kernel_width] = window.kernel.map(|v| v as usize);
        let [_, stride] = window.stride.map(|v| v as usize);
        Self {
            columns: output_width.saturating_sub(1).saturating_mul(stride).saturating_add(kernel_width),
            column_bytes: kernel_height.saturating_mul(conv.input_channels_per_group()),
        }
    }

    /// Bytes of the strip, with what the last window's last vector reads beyond it.
    pub fn bytes(&self) -> usize {
        self.columns.saturating_mul(self.column_bytes).saturating_add(LANES - 1)
    }
}

/// Scratch of a convolution: a strip, or a copy of one pixel whose last vector would reach beyond the arena.
pub fn conv_2d_scratch_bytes(conv: &Conv2d) -> usize {
    if is_pointwise(conv) {
        return fully_connected_scratch_bytes(conv.filter_elements());
    }
    Strip::new(conv).bytes()
}

/// How far below its input a convolution's output must start when the two overlap.
pub fn conv_2d_lead_bytes(conv: &Conv2d) -> u32 {
    let window = &conv.window;
    if !is_pointwise(conv) {
        return window.lead_elements(geometry::Strip::Rows(1));
    }
    // Pairs of pixels run on from one row to the next.
    window.lead_elements(geometry::Strip::Pixels(1)).saturating_add(window.output[2])
}

/// The layer whose weights are packed.
#[derive(Clone, Copy, Debug)]
pub struct Products<'a> {
    /// OHWI, HWC for depthwise convolutions, `[O, I]` for fully connected layers.
    pub weights: &'a [i8],
    /// Per output channel, with the input's zero point folded in.
    pub bias: &'a [i32],
    /// Per output channel.
    pub requantizers: &'a [Requantizer],
}

impl Products<'_> {
    /// Writes the stream of a convolution with this kernel, or of a fully connected layer with kernel `[1, 1]`.
    ///
    /// `None` when the layer is not for these kernels, because a shift is below 32, or when `stream` has another length
    /// than [`stream_words`].
    pub fn pack(&self, kernel: [usize; 2], stream: &mut [u32]) -> Option<()> {
        let n_outputs = self.bias.len();
        let taps = self.weights.len().checked_div(n_outputs)?;
        if self.requantizers.len() != n_outputs || stream.len() != stream_words(taps, n_outputs) {
            return None;
        }
        let words = block_words(taps);
        let mut first = 0usize;
        let mut rest = stream;
        while let Some((block, next)) = rest.split_at_mut_checked(words).filter(|_| first < n_outputs) {
            let (biases, block) = block.split_first_chunk_mut::<CHANNELS>()?;
            let (weights, factors) = block.split_at_mut_checked(padded_taps(taps))?;
            let (multipliers, shifts) = factors.split_at_mut_checked(CHANNELS)?;
            weights.fill(0);
            for (lane, ((bias, multiplier), shift)) in biases.iter_mut().zip(multipliers).zip(shifts).enumerate() {
                let output = first.saturating_add(lane);
                if output >= n_outputs {
                    (*bias, *multiplier, *shift) = (0, 0, u32::MAX);
                    continue;
                }
                let filter = self.weights.get(output.checked_mul(taps)?..)?.get(..taps)?;
                let channel = self.channel(output, filter.iter().all(|&w| w == 0))?;
                (*bias, *multiplier, *shift) = (channel.bias as u32, channel.multiplier as u32, channel.shift as u32);
                for (tap, weight) in by_column(filter, kernel)?.enumerate() {
                    // Sixteen taps of each of the four channels in turn.
                    let byte = (tap / LANES * CHANNELS).saturating_add(lane).saturating_mul(LANES) + tap % LANES;
                    put(weights, byte, weight)?;
                }
            }
            first = first.saturating_add(CHANNELS);
            rest = next;
        }
        Some(())
    }

    /// Writes the depthwise stream of this layer; `None` as for [`Products::pack`], or with more than 16 taps.
    pub fn pack_depthwise(&self, stream: &mut [u32]) -> Option<()> {
        let n = self.bias.len();
        let taps = self.weights.len().checked_div(n)?;
        let (blocks, []) = stream.as_chunks_mut::<DEPTHWISE_WORDS>() else { return None };
        if blocks.len() != n || self.requantizers.len() != n || taps > LANES {
            return None;
        }
        for (c, block) in blocks.iter_mut().enumerate() {
            let (weights, [bias, multiplier, shift]) = block.split_first_chunk_mut::<4>()? else { return None };
            weights.fill(0);
            let mut is_zero = true;
            for (tap, row) in self.weights.chunks_exact(n).enumerate() {
                let weight = *row.get(c)?;
                is_zero &= weight == 0;
                put(weights, tap, weight)?;
            }
            let channel = self.channel(c, is_zero)?;
            (*bias, *multiplier, *shift) = (channel.bias as u32, channel.multiplier as u32, channel.shift as u32);
        }
        Some(())
    }

    /// Writes the stream of depthwise windows of this layer; `None` as for [`Products::pack`].
    pub fn pack_windows(&self, plane: &Plane<Chunks>, stream: &mut [u32]) -> Option<()> {
        let n = self.bias.len();
        if stream.len() != n.checked_mul(plane.words())? || self.requantizers.len() != n {
            return None;
        }
        for (c, block) in stream.chunks_exact_mut(plane.words()).enumerate() {
            let ([bias, multiplier, shift], weights) = block.split_first_chunk_mut::<3>()?;
            weights.fill(0);
            let mut is_zero = true;
            for (chunk, words) in weights.chunks_exact_mut(LANES / 4).enumerate() {
                for lane in 0..LANES {
                    let Some(tap) = plane.tap(chunk, lane) else { continue };
                    let weight = *self.weights.get(tap.checked_mul(n)?.checked_add(c)?)?;
                    is_zero &= weight == 0;
                    put(words, lane, weight)?;
                }
            }
            let channel = self.channel(c, is_zero)?;
            (*bias, *multiplier, *shift) = (channel.bias as u32, channel.multiplier as u32, channel.shift as u32);
        }
        Some(())
    }

    fn channel(&self, output: usize, has_zero_weights: bool) -> Option<Channel> {
        let bias = *self.bias.get(output)?;
        let requantizer = *self.requantizers.get(output)?;
        if requantizer.multiplier == 0 {
            return Some(Channel { bias: 0, multiplier: 0, shift: -1 });
        }
        if has_zero_weights {
            // A constant result, whatever the factor: 4 k, halved by the multiplication and once more by the shift.
            let steps = requantizer.requantize(bias).clamp(-512, 512);
            return Some(Channel { bias: steps.wrapping_mul(4), multiplier: 1 << 30, shift: -1 });
        }
        let shift = 31i32.wrapping_sub(i32::from(requantizer.shift));
        (shift < 0).then_some(Channel { bias, multiplier: requantizer.multiplier, shift })
    }
}

/// The arithmetic of one output channel, as the instructions take it.
struct Channel {
    bias: i32,
    multiplier: i32,
    shift: i32,
}

/// The taps of a filter `[KH, KW, I]` in the order (kernel column, kernel row, input channel).
fn by_column(filter: &[i8], [height, width]: [usize; 2]) -> Option<impl Iterator<Item = i8>> {
    let depth = filter.len().checked_div(height.checked_mul(width)?)?;
    let rows = move |column: usize| {
        (0..height).flat_map(move |row| {
            let at = row.wrapping_mul(width).wrapping_add(column).wrapping_mul(depth);
            filter.get(at..at.wrapping_add(depth)).unwrap_or(&[]).iter().copied()
        })
    };
    Some((0..width).flat_map(rows))
}

/// Writes byte `at` of little-endian words.
fn put(words: &mut [u32], at: usize, byte: i8) -> Option<()> {
    let word = words.get_mut(at / 4)?;
    *word |= u32::from(byte as u8) << (at % 4 * 8);
    Some(())
}
