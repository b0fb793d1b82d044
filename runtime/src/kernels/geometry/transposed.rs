//! Transposed convolutions seen from their output: which taps reach a position.

use super::{Axis, MAX_WINDOW, Window2d, divide_up, elements};

/// A transposed convolution over NHWC with N = 1: input position `i` adds its products with tap `k` to output position
/// `i * stride + k * dilation - padding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTranspose2d {
    /// Input, output and taps. Stride, dilation and padding are those of the convolution that it transposes.
    pub window: Window2d,
    /// Both channel counts are multiples of this.
    pub groups: u32,
}

/// One axis of a [`ConvTranspose2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposedAxis {
    input: u32,
    kernel: u32,
    stride: u32,
    dilation: u32,
    padding: u32,
    tap_step: u32,
    position_step: u32,
}

/// The taps that reach one output position from inside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReachingTaps {
    /// First tap; the next is [`TransposedAxis::tap_step`] later.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Input position that the first one reaches from; that of the next is [`TransposedAxis::position_step`] earlier.
    pub position: usize,
}

impl ConvTranspose2d {
    /// The transposed convolution if every number is usable.
    ///
    /// Refused: zero extents, strides or dilations, tensors above [`MAX_ELEMENTS`](super::MAX_ELEMENTS), windows,
    /// strides or padding above 2^14, channels that are no multiple of the groups.
    #[inline(never)]
    pub fn check(self) -> Option<Self> {
        let w = &self.window;
        let inputs = elements(&w.input)?;
        elements(&w.output)?;
        for &i in [w.kernel, w.stride, w.dilation].as_flattened() {
            if i == 0 || i > MAX_WINDOW {
                return None;
            }
        }
        if w.padding.iter().any(|&p| p > MAX_WINDOW) {
            return None;
        }
        let ([_, _, input_channels], [_, _, output_channels]) = (w.input, w.output);
        let whole = |channels: u32| channels.checked_rem(self.groups) == Some(0);
        if !(whole(input_channels) && whole(output_channels)) {
            return None;
        }
        let filter = elements(&[elements(&w.kernel)?, self.input_channels_per_group() as u32])?;
        elements(&[filter, output_channels])?;
        (inputs > 0).then_some(self)
    }

    /// Rows.
    pub fn vertical(&self) -> TransposedAxis {
        let w = &self.window;
        TransposedAxis::new(w.input[0], w.kernel[0], w.stride[0], w.dilation[0], w.padding[0])
    }

    /// Columns.
    pub fn horizontal(&self) -> TransposedAxis {
        let w = &self.window;
        TransposedAxis::new(w.input[1], w.kernel[1], w.stride[1], w.dilation[1], w.padding[1])
    }

    /// Input channels that one output channel sees.
    pub fn input_channels_per_group(&self) -> usize {
        self.window.input[2].checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Output channels that see the same input channels.
    pub fn output_channels_per_group(&self) -> usize {
        self.window.output[2].checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Weights of one output channel.
    pub fn filter_elements(&self) -> usize {
        self.window.kernel_elements().wrapping_mul(self.input_channels_per_group())
    }

    /// Weights of all output channels.
    pub fn weight_elements(&self) -> usize {
        self.filter_elements().wrapping_mul(self.window.output[2] as usize)
    }

    /// Multiply-accumulates, those that fall outside the output included.
    pub fn macs(&self) -> u64 {
        let [height, width, _] = self.window.input;
        u64::from(height).saturating_mul(u64::from(width)).saturating_mul(self.weight_elements() as u64)
    }
}

impl TransposedAxis {
    fn new(input: u32, kernel: u32, stride: u32, dilation: u32, padding: u32) -> Self {
        let common = greatest_common_divisor(stride, dilation);
        let tap_step = stride.checked_div(common).unwrap_or(1).max(1);
        let position_step = dilation.checked_div(common).unwrap_or(1).max(1);
        Self { input, kernel, stride, dilation, padding, tap_step, position_step }
    }

    /// The taps that reach output position `output`.
    ///
    /// # Algorithm
    /// Tap `k` reaches it when `output + padding - k * dilation` is a multiple of the stride; such taps are
    /// `stride / gcd(stride, dilation)` apart. Those whose input position lies beyond the end come first and are left out.
    #[inline(never)]
    pub fn taps(&self, output: usize) -> ReachingTaps {
        let none = ReachingTaps { first: 0, count: 0, position: 0 };
        let at = (output as u32).wrapping_add(self.padding);
        let mut first = 0u32;
        let highest = loop {
            let Some(distance) = at.checked_sub(first.wrapping_mul(self.dilation)) else { return none };
            if first >= self.kernel.min(self.tap_step) {
                return none;
            }
            if distance.checked_rem(self.stride) == Some(0) {
                break distance.checked_div(self.stride).unwrap_or(0);
            }
            first = first.wrapping_add(1);
        };
        let skipped = divide_up(highest.saturating_sub(self.input.saturating_sub(1)), self.position_step);
        let Some(position) = highest.checked_sub(skipped.wrapping_mul(self.position_step)) else { return none };
        let first = first.wrapping_add(skipped.wrapping_mul(self.tap_step));
        let Some(left) = self.kernel.checked_sub(first.saturating_add(1)) else { return none };
        let taps = left.checked_div(self.tap_step).unwrap_or(0);
        let positions = position.checked_div(self.position_step).unwrap_or(0);
        let count = taps.min(positions).wrapping_add(1);
        ReachingTaps { first: first as usize, count: count as usize, position: position as usize }
    }

    /// Distance from one tap to the next that reaches the same position.
    #[inline]
    pub fn tap_step(&self) -> usize {
        self.tap_step as usize
    }

    /// Distance in the input from one tap to the next that reaches the same position, backwards.
    #[inline]
    pub fn position_step(&self) -> usize {
        self.position_step as usize
    }
}

impl Axis {
    /// The output positions of a convolution whose tap `tap` lies inside the input.
    #[inline]
    pub fn positions(&self, tap: usize, outputs: usize) -> Positions {
        let offset = (tap as i32).wrapping_mul(self.dilation).wrapping_sub(self.padding);
        let ceiling = |n: i32| divide_up(n.max(0) as u32, self.stride.unsigned_abs()) as usize;
        let first = ceiling(offset.wrapping_neg());
        let end = ceiling(self.input.wrapping_sub(offset)).min(outputs);
        let input = (first as i32).wrapping_mul(self.stride).wrapping_add(offset).max(0);
        Positions { first, count: end.saturating_sub(first), input: input as usize }
    }

    /// Distance in the input from one output position to the next.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride as usize
    }
}

/// Output positions at which one tap lies inside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// First one.
    pub first: usize,
    /// How many, one after the other.
    pub count: usize,
    /// Where in the input the tap lies at the first one; [`Axis::stride`] further at the next.
    pub input: usize,
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while let Some(rest) = a.checked_rem(b) {
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_those_that_reach() {
        let mut n = 0;
        for input in [1, 2, 5] {
            for kernel in [1, 2, 3, 4, 7] {
                for stride in [1, 2, 3, 4, 6] {
                    for dilation in [1, 2, 3, 4] {
                        for padding in [0, 1, 2, 5] {
                            let axis = TransposedAxis::new(input, kernel, stride, dilation, padding);
                            for output in 0..(input * stride + kernel * dilation + 4) as usize {
                                let taps = axis.taps(output);
                                let mut expected = (0..kernel as i64).filter_map(|k| {
                                    let distance = output as i64 + i64::from(padding) - k * i64::from(dilation);
                                    let i = distance / i64::from(stride);
                                    let reaches =
                                        distance % i64::from(stride) == 0 && (0..i64::from(input)).contains(&i);
                                    reaches.then_some((k as usize, i as usize))
                                });
                                for j in 0..taps.count {
                                    let found =
                                        (taps.first + j * axis.tap_step(), taps.position - j * axis.position_step());
                                    assert_eq!(expected.next(), Some(found), "{axis:?} at {output}");
                                    n += 1;
                                }
                                assert_eq!(expected.next(), None, "{axis:?} at {output}");
                            }
                        }
                    }
                }
            }
        }
        assert!(n > 5_000);
    }

    #[test]
    fn positions_are_those_whose_tap_is_inside() {
        for (input, stride, dilation, padding) in [(5, 1, 1, 0), (5, 2, 1, 1), (4, 3, 2, 3), (1, 1, 3, 2), (7, 2, 2, 4)]
        {
            let axis = Axis::new(input, 4, stride, dilation, padding);
            for tap in 0..4usize {
                let at = |o: usize| (o * stride as usize + tap * dilation as usize) as i64 - i64::from(padding);
                let inside = |o: &usize| (0..i64::from(input)).contains(&at(*o));
                let Positions { first, count, input } = axis.positions(tap, 6);
                let mut expected = (0..6).filter(inside);
                for i in 0..count {
                    assert_eq!(expected.next(), Some(first + i));
                    assert_eq!(at(first + i), (input + i * axis.stride()) as i64);
                }
                assert_eq!(expected.next(), None);
            }
        }
    }

    #[test]
    fn taps_of_unchecked_numbers_end() {
        let extreme = [0, 1, 3, u32::MAX];
        for i in 0..4usize.pow(5) {
            let at = |k: u32| extreme[i / 4usize.pow(k) % 4];
            let axis = TransposedAxis::new(at(0), at(1).min(9), at(2), at(3), at(4));
            for output in [0, 1, usize::MAX] {
                core::hint::black_box(axis.taps(output));
            }
        }
    }
}
