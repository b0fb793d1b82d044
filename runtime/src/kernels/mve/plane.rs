//! How one channel lies in scratch for a depthwise convolution, and which of its elements belong to an output.

use super::layout::LANES;
use crate::kernels::geometry::Window2d;

/// Outputs of one pass over a line.
pub const GROUP: usize = 8;

/// A padded plane that holds one channel of the input, line after line.
///
/// A line lies along the inner axis: the one along which fewer groups of [`GROUP`] outputs cover the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane<T> {
    /// The inner axis.
    pub inner: Along,
    /// Elements of a line, lines.
    pub extents: [usize; 2],
    /// Outputs along the inner and the outer axis.
    pub outputs: [usize; 2],
    /// Elements of the plane from one output to the next along the inner and the outer axis.
    pub steps: [usize; 2],
    /// Which elements belong to an output.
    pub taps: T,
}

/// An axis of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    /// From left to right.
    Columns,
    /// From top to bottom.
    Rows,
}

impl Along {
    /// `[y, x]` as `[inner, outer]` when this is the inner axis.
    pub fn split<T>(self, [y, x]: [T; 2]) -> [T; 2] {
        match self {
            Self::Columns => [x, y],
            Self::Rows => [y, x],
        }
    }
}

/// The taps of two neighbouring outputs in the lanes of one vector; both share most elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairLanes {
    /// Where the element of a lane lies, from the first output's first tap.
    pub offsets: [u8; LANES],
    /// The weight of the first output in a lane, [`NO_WEIGHT`] if there is none.
    pub first: [u8; LANES],
    /// The weight of the second output.
    pub second: [u8; LANES],
    /// The largest offset.
    pub reach: usize,
}

/// A weight that is zero in every depthwise stream: more than fifteen taps are not taken.
pub const NO_WEIGHT: u8 = LANES as u8 - 1;

impl Plane<PairLanes> {
    /// The plane of a depthwise convolution that takes two outputs at a time.
    ///
    /// `None` when [`super::depthwise_conv_2d::depthwise_conv_2d_i8`] does not take it: several outputs per input channel, two outputs with more
    /// than sixteen taps together, taps more than 255 bytes apart, or pixels too far apart for 16-bit offsets.
    pub fn new(window: &Window2d) -> Option<Self> {
        let [height, width, _] = window.output.map(|v| v as usize);
        let n_groups = |inner: Along| {
            let [outputs, lines] = inner.split([height, width]);
            outputs.div_ceil(GROUP).saturating_mul(lines)
        };
        let mut order = [Along::Columns, Along::Rows];
        if n_groups(Along::Rows) < n_groups(Along::Columns) {
            order.reverse();
        }
        order.into_iter().find_map(|inner| Self::along(inner, window, PairLanes::new))
    }

    /// Bytes of scratch: the plane, and what the last group of a line reads beyond it.
    pub fn bytes(&self) -> usize {
        let ([length, n_lines], [step, _]) = (self.extents, self.steps);
        length.saturating_mul(n_lines).saturating_add(step.saturating_mul(GROUP - 1))
    }
}

/// Finds the taps along an inner axis: kernel and dilation as `[inner, outer]`, elements from one output to the next, of a
/// line.
pub(super) type FindTaps<T> = fn(Along, [usize; 2], [usize; 2], usize, usize) -> Option<T>;

impl<T> Plane<T> {
    /// The plane whose lines lie along `inner`.
    pub(super) fn along(inner: Along, window: &Window2d, find: FindTaps<T>) -> Option<Self> {
        let split = |pair: [u32; 2]| inner.split(pair.map(|v| v as usize));
        let ([_, input_width, inputs], [height, width, outputs]) = (window.input, window.output);
        let pitches = |width: u32| width.checked_mul(inputs).map(|row| split([row, inputs]));
        let is_near = |[inner, _]: [usize; 2]| inner <= usize::from(u16::MAX) / (GROUP - 1);
        if inputs != outputs || !is_near(pitches(input_width)?) || !is_near(pitches(width)?) {
            return None;
        }
        let (kernel, stride, dilation) = (split(window.kernel), split(window.stride), split(window.dilation));
        let outputs = split([height, width]);
        let mut extents = [0; 2];
        for (extent, ((n, stride), (taps, dilation))) in
            extents.iter_mut().zip(outputs.into_iter().zip(stride).zip(kernel.into_iter().zip(dilation)))
        {
            *extent = n.checked_sub(1)?.checked_mul(stride)?.checked_add(last(taps, dilation)?)?.checked_add(1)?;
        }
        let [length, n_lines] = extents;
        if length.checked_mul(n_lines)? >= 1 << 24 {
            return None;
        }
        let [step, line_step] = stride;
        let taps = find(inner, kernel, dilation, step, length)?;
        Some(Self { inner, extents, outputs, steps: [step, line_step.checked_mul(length)?], taps })
    }
}

impl PairLanes {
    fn new(inner: Along, kernel: [usize; 2], dilation: [usize; 2], step: usize, length: usize) -> Option<Self> {
        let ([taps, n_lines], [spacing, line_spacing]) = (kernel, dilation);
        let width = last(taps, spacing)?.checked_add(step)?;
        let reach = last(n_lines, line_spacing.checked_mul(length)?)?.checked_add(width)?;
        // The second half of a group is read with larger offsets.
        let farthest = reach.checked_add(step.checked_mul(GROUP / 2)?)?;
        if farthest > usize::from(u8::MAX) || taps.checked_mul(n_lines)? > usize::from(NO_WEIGHT) {
            return None;
        }
        let tap_at = |position: usize| {
            let tap = position.checked_div(spacing)?;
            (position.checked_rem(spacing)? == 0 && tap < taps).then_some(tap)
        };
        let weight = |line: usize, tap: Option<usize>| match (tap, inner) {
            (None, _) => NO_WEIGHT,
            (Some(tap), Along::Columns) => line.wrapping_mul(taps).wrapping_add(tap) as u8,
            (Some(tap), Along::Rows) => tap.wrapping_mul(n_lines).wrapping_add(line) as u8,
        };
        let mut lanes = Self { offsets: [0; LANES], first: [NO_WEIGHT; LANES], second: [NO_WEIGHT; LANES], reach };
        let mut free = lanes.offsets.iter_mut().zip(lanes.first.iter_mut().zip(&mut lanes.second));
        for line in 0..n_lines {
            for position in 0..=width {
                let (first, second) = (tap_at(position), position.checked_sub(step).and_then(tap_at));
                if first.is_none() && second.is_none() {
                    continue;
                }
                let (offset, weights) = free.next()?;
                *offset = line.wrapping_mul(line_spacing).wrapping_mul(length).wrapping_add(position) as u8;
                (*weights.0, *weights.1) = (weight(line, first), weight(line, second));
            }
        }
        Some(lanes)
    }
}

/// The last of `n` places at equal distances.
pub(super) fn last(n: usize, spacing: usize) -> Option<usize> {
    n.checked_sub(1)?.checked_mul(spacing)
}
