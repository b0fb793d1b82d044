//! One axis of a tensor, and the elements along it.

use crate::tensor::MAX_RANK;

/// A tensor seen as `[outer, n, inner]`: `outer * inner` lanes of `n` elements, `inner` elements apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Product of the dimensions before the axis.
    pub outer: usize,
    /// Elements of a lane.
    pub n: usize,
    /// Product of the dimensions behind the axis.
    pub inner: usize,
}

impl Lanes {
    /// The lanes of a tensor along an axis; `None` when there is no such axis.
    pub fn new(dims: [u32; MAX_RANK], axis: usize) -> Option<Self> {
        let product = |dims: &[u32]| dims.iter().fold(1usize, |n, &d| n.wrapping_mul(d as usize));
        let (before, rest) = dims.split_at_checked(axis)?;
        let (n, behind) = rest.split_first()?;
        Some(Lanes { outer: product(before), n: *n as usize, inner: product(behind) })
    }

    /// Lanes of this tensor.
    pub fn n_lanes(&self) -> usize {
        self.outer.wrapping_mul(self.inner)
    }

    /// Elements of this tensor.
    pub fn n_elements(&self) -> usize {
        self.n_lanes().wrapping_mul(self.n)
    }

    /// Calls `lane` with the first element of each lane, in ascending order, for lanes of `n` elements instead of
    /// [`Lanes::n`] in a tensor that has the other dimensions of this one: its result.
    ///
    /// Stops and answers `None` as soon as `lane` does.
    #[inline]
    pub fn for_each(&self, n: usize, mut lane: impl FnMut(LaneStart) -> Option<()>) -> Option<()> {
        let mut start = LaneStart { input: 0, output: 0 };
        for _ in 0..self.outer {
            for i in 0..self.inner {
                lane(LaneStart { input: start.input.wrapping_add(i), output: start.output.wrapping_add(i) })?;
            }
            start.input = start.input.wrapping_add(self.n.wrapping_mul(self.inner));
            start.output = start.output.wrapping_add(n.wrapping_mul(self.inner));
        }
        Some(())
    }

    /// The elements of the lane that starts at `first`.
    #[inline]
    pub fn elements<'x, T: Copy>(&self, x: &'x [T], first: usize) -> Option<impl Iterator<Item = T> + use<'x, T>> {
        Some(x.get(first..)?.iter().step_by(self.inner.max(1)).take(self.n).copied())
    }
}

/// Where a lane starts in a tensor and in the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneStart {
    /// First element in the tensor.
    pub input: usize,
    /// First element in the result.
    pub output: usize,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn lanes_run_along_one_axis() {
        let lanes = Lanes::new([1, 2, 3, 2, 1], 2).unwrap();
        assert_eq!(lanes, Lanes { outer: 2, n: 3, inner: 2 });
        let x: Vec<u32> = (0..12).collect();
        let mut seen = Vec::new();
        lanes
            .for_each(1, |at| {
                seen.push((at.output, lanes.elements(&x, at.input)?.collect::<Vec<u32>>()));
                Some(())
            })
            .unwrap();
        assert_eq!(
            seen,
            [(0, [0, 2, 4].into()), (1, [1, 3, 5].into()), (2, [6, 8, 10].into()), (3, [7, 9, 11].into())]
        );
        assert_eq!(Lanes::new([1; 5], 5), None);
    }
}
