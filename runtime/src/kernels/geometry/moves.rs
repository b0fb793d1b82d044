//! Which element of a tensor goes where: views with strides of either sign, slices, borders, gathering.

use super::{MAX_ELEMENTS, elements, row_major_strides};
use crate::tensor::MAX_RANK;

/// Some elements of a tensor in the order of five nested loops, outermost first: element
/// `start + sum(i[axis] * strides[axis])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The first element.
    pub start: u32,
    /// Elements by which each loop advances; 0 repeats, negative ones run backwards.
    pub strides: [i32; MAX_RANK],
    /// Iterations of each loop.
    pub dims: [u32; MAX_RANK],
}

impl View {
    /// The view, if every number is usable and all of its elements are among the first `n_elements` of the tensor.
    pub fn check(self, n_elements: usize) -> Option<Self> {
        elements(&self.dims)?;
        let (mut least, mut greatest) = (i64::from(self.start), i64::from(self.start));
        for (dim, stride) in self.dims.iter().zip(self.strides) {
            let reach = i64::from(*dim).checked_sub(1)?.checked_mul(i64::from(stride))?;
            least = least.checked_add(reach.min(0))?;
            greatest = greatest.checked_add(reach.max(0))?;
        }
        let inside = least >= 0 && greatest < i64::from(MAX_ELEMENTS) && (greatest as usize) < n_elements;
        inside.then_some(self)
    }

    /// The first element of every innermost loop.
    pub fn rows(&self) -> Rows {
        let [d0, d1, d2, d3, _] = self.dims;
        let [s0, s1, s2, s3, _] = self.strides;
        Rows { at: self.start, position: [0; MAX_RANK - 1], dims: [d0, d1, d2, d3], strides: [s0, s1, s2, s3] }
    }
}

/// See [`View::rows`]. Begins again behind the last one.
#[derive(Clone, Debug)]
pub struct Rows {
    at: u32,
    position: [u32; MAX_RANK - 1],
    dims: [u32; MAX_RANK - 1],
    strides: [i32; MAX_RANK - 1],
}

impl Iterator for Rows {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let at = self.at;
        // Reversed one by one: the reverse of a `zip` has a panic path.
        let loops = self.dims.iter().rev().zip(self.strides.iter().rev());
        for (position, (&dim, &stride)) in self.position.iter_mut().rev().zip(loops) {
            *position = position.wrapping_add(1);
            self.at = self.at.wrapping_add_signed(stride);
            if *position < dim {
                break;
            }
            *position = 0;
            self.at = self.at.wrapping_add_signed(stride.wrapping_mul(dim as i32).wrapping_neg());
        }
        Some(at)
    }
}

/// What a slice takes of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceAxis {
    /// The first element.
    pub start: u32,
    /// Elements from one to the next, not 0.
    pub step: i32,
    /// How many; 0 when there is none.
    pub count: u32,
}

impl SliceAxis {
    /// The slice of an axis with `dim` elements from `start` to before `end`.
    ///
    /// # Algorithm
    /// As ONNX Slice has it: negative bounds count from the end, then bounds are clamped to the axis. `None` when `step`
    /// is 0 or the axis is empty.
    pub fn new(dim: u32, start: i64, end: i64, step: i64) -> Option<Self> {
        let n = i64::from(dim);
        let last = n.checked_sub(1).filter(|l| *l >= 0)?;
        let from_front = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
        let (start, end) = (from_front(start), from_front(end));
        let (start, distance) = if step > 0 {
            let start = start.clamp(0, n);
            (start, end.clamp(0, n).wrapping_sub(start))
        } else {
            let start = start.clamp(0, last);
            (start, start.wrapping_sub(end.clamp(-1, last)))
        };
        // Steps beyond the axis take one element, as the axis' length does.
        let step = step.clamp(n.wrapping_neg(), n);
        let stride = step.unsigned_abs() as u32;
        let count = super::divide_up(distance.max(0) as u32, stride);
        if stride == 0 {
            return None;
        }
        Some(Self { start: start as u32, step: i32::try_from(step).ok()?, count })
    }

    /// The view of a tensor that takes these of each axis. `None` when one takes nothing, or numbers are not usable.
    pub fn view(axes: [Self; MAX_RANK], dims: [u32; MAX_RANK]) -> Option<View> {
        let mut start = 0u32;
        let (mut strides, mut counts) = ([0; MAX_RANK], [0; MAX_RANK]);
        let targets = strides.iter_mut().zip(&mut counts);
        for ((axis, stride), (target, count)) in axes.iter().zip(row_major_strides(dims)).zip(targets) {
            start = axis.start.checked_mul(stride)?.checked_add(start)?;
            *target = axis.step.checked_mul(i32::try_from(stride).ok()?)?;
            *count = axis.count;
        }
        View { start, strides, dims: counts }.check(elements(&dims)? as usize)
    }
}

/// What stands beyond the edges of a padded tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BorderMode {
    /// One value.
    Constant = 0,
    /// The element at the edge.
    Edge = 1,
    /// The tensor backwards, without the element at the edge.
    Reflect = 2,
    /// The tensor again.
    Wrap = 3,
}

impl BorderMode {
    /// The mode with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Constant, Self::Edge, Self::Reflect, Self::Wrap].into_iter().find(|m| *m as u8 == code)
    }
}

/// A padding of a tensor; in constant mode it may be cropped, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    /// What stands beyond the edges.
    pub mode: BorderMode,
    /// Elements added before each axis; negative when some are taken away.
    pub before: [i32; MAX_RANK],
    /// Dimensions of the input.
    pub input: [u32; MAX_RANK],
    /// Dimensions of the output.
    pub output: [u32; MAX_RANK],
}

impl Border {
    /// The border if every number is usable.
    ///
    /// Modes other than constant add elements only: what a reflection means beside a cropped edge is not one thing.
    pub fn check(self) -> Option<Self> {
        elements(&self.input)?;
        elements(&self.output)?;
        for ((before, input), output) in self.before.iter().zip(self.input).zip(self.output) {
            let most = MAX_ELEMENTS as i32;
            if !(most.wrapping_neg()..most).contains(before) {
                return None;
            }
            let grows = *before >= 0 && i64::from(output) >= i64::from(input).checked_add(i64::from(*before))?;
            if self.mode != BorderMode::Constant && !grows {
                return None;
            }
        }
        Some(self)
    }

    /// The input position on `axis` of output position `at`, `None` where the value stands.
    #[inline]
    pub fn source(&self, axis: usize, at: u32) -> Option<u32> {
        let (before, n) = (*self.before.get(axis)?, *self.input.get(axis)? as i32);
        let position = (at as i32).wrapping_sub(before);
        if (0..n).contains(&position) {
            return Some(position as u32);
        }
        let last = n.wrapping_sub(1);
        let inside = match self.mode {
            BorderMode::Constant => return None,
            BorderMode::Edge => position.clamp(0, last.max(0)),
            BorderMode::Wrap => position.checked_rem_euclid(n)?,
            BorderMode::Reflect => {
                let period = last.wrapping_mul(2);
                let there = position.checked_rem_euclid(period).unwrap_or(0);
                there.min(period.wrapping_sub(there))
            }
        };
        Some(inside as u32)
    }
}

/// An axis in the middle of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// Product of the dimensions before it.
    pub outer: u32,
    /// Its dimension.
    pub n: u32,
    /// Product of the dimensions behind it.
    pub inner: u32,
}

impl Gather {
    /// Axis `axis` of a tensor.
    pub fn new(dims: &[u32], axis: usize) -> Option<Self> {
        let n = *dims.get(axis)?;
        elements(dims)?;
        let (before, behind) = (dims.get(..axis)?, dims.get(axis.checked_add(1)?..)?);
        Some(Self { outer: elements(before)?, n, inner: elements(behind)? })
    }

    /// Elements of the result for `n_indices` indices.
    pub fn output_elements(&self, n_indices: usize) -> Option<usize> {
        (self.outer as usize).checked_mul(n_indices)?.checked_mul(self.inner as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's `range(dim)[start:end:step]`.
    #[test]
    fn slices_are_those_of_python() {
        for (dim, start, end, step, expected) in [
            (5, 1, 4, 1, Some((1, 1, 3))),
            (5, -2, i64::MAX, 1, Some((3, 1, 2))),
            (5, 9, 2, 1, Some((5, 1, 0))),
            (5, 4, i64::MIN, -2, Some((4, -2, 3))),
            (5, i64::MAX, 0, -1, Some((4, -1, 4))),
            (5, 0, 5, 100, Some((0, 5, 1))),
            (5, -1, -6, -100, Some((4, -5, 1))),
            (5, 0, 5, 0, None),
            (0, 0, 5, 1, None),
        ] {
            let found = SliceAxis::new(dim, start, end, step).map(|a| (a.start, a.step, a.count));
            assert_eq!(found, expected, "{dim}[{start}:{end}:{step}]");
        }
    }

    #[test]
    fn views_beyond_the_tensor_are_refused() {
        let view = |start, strides, dims| View { start, strides, dims };
        for (view, n, expected) in [
            (view(0, [0, 0, 0, 3, 1], [1, 1, 1, 2, 3]), 6, true),
            (view(0, [0, 0, 0, 3, 1], [1, 1, 1, 2, 3]), 5, false),
            (view(5, [0, 0, 0, -3, -1], [1, 1, 1, 2, 3]), 6, true),
            (view(4, [0, 0, 0, -3, -1], [1, 1, 1, 2, 3]), 6, false),
            (view(0, [0; MAX_RANK], [1, 1, 1, 0, 3]), 6, false),
            (view(u32::MAX, [i32::MAX; MAX_RANK], [u32::MAX; MAX_RANK]), 6, false),
        ] {
            assert_eq!(view.check(n).is_some(), expected, "{view:?}");
        }
    }

    #[test]
    fn borders_continue_an_axis() {
        let row = |mode| {
            let border = Border { mode, before: [0, 0, 0, 0, 5], input: [1, 1, 1, 1, 3], output: [1, 1, 1, 1, 12] }
                .check()
                .unwrap();
            core::array::from_fn::<_, 12, _>(|at| border.source(4, at as u32).map_or(9, |i| i as u8))
        };
        assert_eq!(row(BorderMode::Constant), [9, 9, 9, 9, 9, 0, 1, 2, 9, 9, 9, 9]);
        assert_eq!(row(BorderMode::Edge), [0, 0, 0, 0, 0, 0, 1, 2, 2, 2, 2, 2]);
        assert_eq!(row(BorderMode::Reflect), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(row(BorderMode::Wrap), [1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    }
}
