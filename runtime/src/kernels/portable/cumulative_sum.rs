//! Sums of all elements up to each along an axis.

use crate::kernels::geometry::Lanes;

/// Elements that can be added up.
pub trait CumulativeSum: Copy {
    /// The sum of no element.
    const ZERO: Self;

    /// The sum; that of integers wraps.
    fn plus(self, other: Self) -> Self;
}

impl CumulativeSum for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl CumulativeSum for i32 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

impl CumulativeSum for i64 {
    const ZERO: Self = 0;

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
}

/// Whether a sum includes the element at its own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reading {
    /// It does.
    Inclusive = 0,
    /// It starts from 0.
    Exclusive = 1,
}

/// Where the sums start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Start {
    /// At the first element of the axis.
    Front = 0,
    /// At the last.
    Back = 1,
}

/// Adds up the elements of each lane.
///
/// # Shapes
/// `input`, `output`: `[outer, n, inner]`.
///
/// # Algorithm
/// One addition per element, from the start on, beginning with 0.
pub fn cumulative_sum<T: CumulativeSum>(
    lanes: &Lanes,
    reading: Reading,
    start: Start,
    input: &[T],
    output: &mut [T],
) -> Option<()> {
    lanes.for_each(lanes.n, |at| {
        let mut sum = T::ZERO;
        for i in 0..lanes.n {
            let i = if start == Start::Front { i } else { lanes.n.wrapping_sub(i).wrapping_sub(1) };
            let place = at.input.wrapping_add(i.wrapping_mul(lanes.inner));
            let next = sum.plus(*input.get(place)?);
            *output.get_mut(place)? = if reading == Reading::Inclusive { next } else { sum };
            sum = next;
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_direction() {
        let lanes = Lanes { outer: 1, n: 3, inner: 2 };
        let x = [1, 10, 2, 20, 3, i32::MAX];
        for (reading, start, expected) in [
            (Reading::Inclusive, Start::Front, [1, 10, 3, 30, 6, i32::MIN + 29]),
            (Reading::Exclusive, Start::Front, [0, 0, 1, 10, 3, 30]),
            (Reading::Inclusive, Start::Back, [6, i32::MIN + 29, 5, i32::MIN + 19, 3, i32::MAX]),
            (Reading::Exclusive, Start::Back, [5, i32::MIN + 19, 3, i32::MAX, 0, 0]),
        ] {
            let mut y = [7; 6];
            cumulative_sum(&lanes, reading, start, &x, &mut y).unwrap();
            assert_eq!(y, expected, "{reading:?} {start:?}");
        }
    }
}
