//! How windows with more taps than a vector has lanes lie in a plane.

use super::layout::LANES;
use super::plane::{Along, GROUP, Plane, last};
use crate::kernels::geometry::Window2d;

/// The taps of one output, in chunks that look the same and lie at equal distances: as many whole lines as a vector
/// takes, or as many taps of the only line.
///
/// The last chunk may reach beyond the window; its weights are zero there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// Where the element of a lane lies, from the chunk's first; 0 in lanes without a tap.
    pub offsets: [u8; LANES],
    /// Elements from one chunk to the next.
    pub step: usize,
    /// Chunks of a window.
    pub count: usize,
    /// The largest offset.
    pub reach: usize,
    /// Taps of a line, lines of a chunk.
    shape: [usize; 2],
    /// Taps of a line, lines of the window.
    kernel: [usize; 2],
}

impl Chunks {
    fn new(_: Along, kernel: [usize; 2], dilation: [usize; 2], step: usize, length: usize) -> Option<Self> {
        let ([taps, n_lines], [spacing, line_spacing]) = (kernel, dilation);
        let pitch = line_spacing.checked_mul(length)?;
        // The second half of a group is read with larger offsets.
        let farthest = usize::from(u8::MAX).checked_sub(step.checked_mul(GROUP / 2)?)?;
        let width = last(taps, spacing)?;
        // At most so many places of `n` at equal distances, in as few parts as possible and those as small as possible.
        let part = |n: usize, most: usize, distance: usize, farthest: usize| {
            let most = most.min(farthest.checked_div(distance)?.checked_add(1)?);
            Some(n.div_ceil(n.div_ceil(most.max(1)).max(1)).max(1))
        };
        let (shape, step, count) = if taps <= LANES && width <= farthest {
            let lines = part(n_lines, LANES.checked_div(taps)?, pitch, farthest.wrapping_sub(width))?;
            ([taps, lines], pitch.checked_mul(lines)?, n_lines.div_ceil(lines))
        } else if n_lines == 1 {
            let taps_of_part = part(taps, LANES, spacing, farthest)?;
            ([taps_of_part, 1], spacing.checked_mul(taps_of_part)?, taps.div_ceil(taps_of_part))
        } else {
            return None;
        };
        let [taps, lines] = shape;
        let reach = last(taps, spacing)?.checked_add(last(lines, pitch)?)?;
        let mut offsets = [0; LANES];
        for (lane, offset) in offsets.iter_mut().enumerate().take(taps.checked_mul(lines)?) {
            let (line, tap) = (lane.checked_div(taps)?, lane.checked_rem(taps)?);
            *offset = line.wrapping_mul(pitch).wrapping_add(tap.wrapping_mul(spacing)) as u8;
        }
        Some(Self { offsets, step, count, reach, shape, kernel })
    }
}

impl Plane<Chunks> {
    /// The plane of a depthwise convolution that takes one output at a time, with lines along the cheaper axis.
    ///
    /// `None` when [`super::depthwise_conv_2d::depthwise_windows_i8`] does not take it: several outputs per input channel,
    /// more than sixteen taps along both axes, taps more than 255 bytes apart, or pixels too far apart for 16-bit
    /// offsets.
    pub fn in_chunks(window: &Window2d) -> Option<Self> {
        let planes = [Along::Columns, Along::Rows].map(|inner| Self::along(inner, window, Chunks::new));
        planes.into_iter().flatten().min_by_key(|plane| {
            let [n_outputs, n_lines] = plane.outputs;
            n_outputs.div_ceil(GROUP).saturating_mul(n_lines).saturating_mul(plane.taps.count.saturating_add(1))
        })
    }

    /// Bytes of scratch: the plane, and what the last group and the last chunks read beyond it.
    pub fn bytes(&self) -> usize {
        let ([length, n_lines], [step, line_step]) = (self.extents, self.steps);
        let [n_outputs, n_output_lines] = self.outputs;
        let far = |n: usize, step: usize| n.saturating_sub(1).saturating_mul(step);
        let first = far(n_outputs.div_ceil(GROUP).saturating_mul(GROUP), step);
        let read = first
            .saturating_add(far(n_output_lines, line_step))
            .saturating_add(far(self.taps.count, self.taps.step))
            .saturating_add(self.taps.reach)
            .saturating_add(1);
        read.max(length.saturating_mul(n_lines))
    }

    /// Words of a channel in the stream.
    pub fn words(&self) -> usize {
        self.taps.count.saturating_mul(LANES / 4).saturating_add(3)
    }

    /// The number of a tap, row by row, that lies in a lane of a chunk.
    pub fn tap(&self, chunk: usize, lane: usize) -> Option<usize> {
        let ([taps, lines], [all_taps, all_lines]) = (self.taps.shape, self.taps.kernel);
        let (line, tap) = (lane.checked_div(taps)?, lane.checked_rem(taps)?);
        if line >= lines {
            return None;
        }
        let (line, tap) = match taps < all_taps {
            true => (line, chunk.checked_mul(taps)?.checked_add(tap)?),
            false => (chunk.checked_mul(lines)?.checked_add(line)?, tap),
        };
        let number = match self.inner {
            Along::Columns => line.checked_mul(all_taps)?.checked_add(tap)?,
            Along::Rows => tap.checked_mul(all_lines)?.checked_add(line)?,
        };
        (line < all_lines && tap < all_taps).then_some(number)
    }
}
