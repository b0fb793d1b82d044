//! Weights for [`crate::kernels::armv7em::winograd`].
//!
//! ```text
//! stream, per two output channels a, b:
//!   per position (i, j) of the 4x4 transformed tile, row by row:
//!     per four input channels c0..c3:
//!       word    c0 | c2 of a
//!       word    c0 | c2 of b
//!       word    c1 | c3 of a
//!       word    c1 | c3 of b
//!   4 words   bias, multiplier, addend, shift of a
//!   4 words   the same of b
//! ```

use super::Products;
use crate::kernels::geometry::Window2d;

/// Positions of a transformed tile.
pub const POSITIONS: usize = 16;

/// Bytes of the transformed taps of two tiles, per input channel.
const PATCH_BYTES: usize = POSITIONS * 2 * 2;

/// Shapes of a layer for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winograd {
    /// Input channels, a multiple of four.
    pub n_inputs: usize,
    /// Output channels, an even number.
    pub n_outputs: usize,
    /// Rows of tiles of 2x2 outputs.
    pub tile_rows: usize,
    /// Pairs of neighbouring tiles in a row.
    pub tile_pairs: usize,
}

impl Winograd {
    /// The shapes of a window; `None` when the kernel does not take it.
    ///
    /// It takes 3x3 windows without stride and dilation, input channels in fours, at least eight, output channels in
    /// twos. Four times the sum of 9 * 2048 products of int8 is below 2^31.
    pub fn new(window: &Window2d) -> Option<Self> {
        let ([_, _, n_inputs], [height, width, n_outputs]) = (window.input, window.output.map(|v| v as usize));
        let is_3x3 = window.kernel == [3, 3] && window.stride == [1, 1] && window.dilation == [1, 1];
        let fits = (8..=2048).contains(&n_inputs) && n_inputs.is_multiple_of(4) && n_outputs.is_multiple_of(2);
        (is_3x3 && fits).then_some(Self {
            n_inputs: n_inputs as usize,
            n_outputs,
            tile_rows: height.div_ceil(2),
            tile_pairs: width.div_ceil(4),
        })
    }

    /// Words of the block of two output channels.
    pub fn block_words(&self) -> usize {
        self.n_inputs.saturating_mul(POSITIONS).saturating_add(8)
    }

    /// Words of the stream.
    pub fn stream_words(&self) -> usize {
        self.block_words().saturating_mul(self.n_outputs / 2)
    }

    /// Columns of a padded line of the input.
    pub fn line_columns(&self) -> usize {
        self.tile_pairs.saturating_mul(4).saturating_add(2)
    }

    /// Bytes of a padded line of the input.
    pub fn line_bytes(&self) -> usize {
        self.line_columns().saturating_mul(self.n_inputs)
    }

    /// Bytes of the transformed taps of two tiles.
    pub fn patch_bytes(&self) -> usize {
        self.n_inputs.saturating_mul(PATCH_BYTES)
    }

    /// Bytes of the outputs of two tiles.
    pub fn spill_bytes(&self) -> usize {
        self.n_outputs.saturating_mul(8)
    }

    /// Scratch: transformed taps of two tiles, four padded lines of the input, outputs of two tiles.
    pub fn scratch_bytes(&self) -> usize {
        self.patch_bytes().saturating_add(self.line_bytes().saturating_mul(4)).saturating_add(self.spill_bytes())
    }
}

impl Products<'_> {
    /// Writes the stream of this layer, whose weights are `[O, 3, 3, I]`; `None` as for [`Products::pack`], but for the
    /// sizes of sums and weights: any weights fit.
    pub fn pack_winograd(&self, shapes: &Winograd, stream: &mut [u32]) -> Option<()> {
        let n_inputs = shapes.n_inputs;
        let filter = n_inputs.checked_mul(9)?;
        let n_outputs = self.bias.len();
        if self.requantizers.len() != n_outputs
            || n_outputs != shapes.n_outputs
            || self.weights.len() != filter.checked_mul(n_outputs)?
            || stream.len() != shapes.stream_words()
        {
            return None;
        }
        let filters = self.weights.chunks_exact(filter.max(1));
        for (o, weights) in filters.enumerate() {
            let block = stream.get_mut((o / 2).checked_mul(shapes.block_words())?..)?;
            let (words, finish) = block.split_at_mut_checked(n_inputs.checked_mul(POSITIONS)?)?;
            for (position, words) in words.chunks_exact_mut(n_inputs.max(1)).enumerate() {
                for (group, words) in words.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let first = group.wrapping_mul(4);
                    let value = |channel: usize| {
                        let tap = |tap: usize| weights.get(tap.wrapping_mul(n_inputs).wrapping_add(channel)).copied();
                        let mut taps = [0; 9];
                        for (i, t) in taps.iter_mut().enumerate() {
                            *t = i32::from(tap(i)?);
                        }
                        Some(u32::from(transformed(&taps, position) as i16 as u16))
                    };
                    for (word, channel) in
                        [o % 2, (o % 2).wrapping_add(2)].into_iter().zip([first, first.wrapping_add(1)])
                    {
                        *words.get_mut(word)? = value(channel)? | value(channel.wrapping_add(2))? << 16;
                    }
                }
            }
            let channel = self.finished(o, weights)?;
            let [multiplier, addend, shift] = channel.finish;
            let finish = finish.get_mut((o % 2).wrapping_mul(4)..)?.first_chunk_mut::<4>()?;
            *finish = [channel.start as u32, multiplier, addend, shift];
        }
        Some(())
    }
}

/// Four times element `position` of `G g G'`: at most 9 * 128 in magnitude.
fn transformed(taps: &[i32; 9], position: usize) -> i32 {
    let row = DOUBLED.get(position / 4).unwrap_or(&[0; 3]);
    let column = DOUBLED.get(position % 4).unwrap_or(&[0; 3]);
    let lines = taps.as_chunks::<3>().0.iter().zip(row);
    lines.fold(0, |sum, (taps, y)| {
        let line = taps.iter().zip(column).fold(0i32, |sum, (w, x)| sum.wrapping_add(w.wrapping_mul(*x)));
        sum.wrapping_add(line.wrapping_mul(*y))
    })
}

/// `2 G`
const DOUBLED: [[i32; 3]; 4] = [[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]];
