//! The largest or smallest elements along an axis.

use crate::kernels::geometry::Lanes;

/// Elements in an order: NaN is above everything, both zeros are the same.
pub trait Ranked: Copy {
    /// A number that is larger for larger elements.
    fn rank(self) -> i64;
}

impl Ranked for f32 {
    #[inline(always)]
    fn rank(self) -> i64 {
        if self.is_nan() {
            return i64::MAX;
        }
        // Adding 0 makes one zero of two; negative numbers have their magnitudes in reverse.
        let bits = (self + 0.0).to_bits().cast_signed();
        i64::from(bits ^ ((bits >> 31) & i32::MAX))
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Ranked for $integer {
            #[inline(always)]
            fn rank(self) -> i64 {
                i64::from(self)
            }
        }
    )*};
}
integers!(i8, u8, i32, i64);

/// Which end of the order comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// Largest first.
    Descending = 0,
    /// Smallest first.
    Ascending = 1,
}

impl Order {
    /// A number that is larger for elements that come earlier.
    #[inline(always)]
    fn rank<T: Ranked>(self, x: T) -> i64 {
        match self {
            Order::Descending => x.rank(),
            Order::Ascending => !x.rank(),
        }
    }
}

/// Which of several equal elements is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tie {
    /// The one with the lowest index.
    First = 0,
    /// The one with the highest index.
    Last = 1,
}

/// Index of the element of a lane that comes first in `order`.
#[inline(always)]
fn first_of<T: Ranked>(order: Order, tie: Tie, lane: impl Iterator<Item = T>) -> Option<usize> {
    let mut best: Option<(i64, usize)> = None;
    for (i, x) in lane.enumerate() {
        let rank = order.rank(x);
        let better = best.is_none_or(|(best, _)| rank > best || (tie == Tie::Last && rank == best));
        if better {
            best = Some((rank, i));
        }
    }
    best.map(|(_, i)| i)
}

/// Index of the largest or smallest element of each lane.
///
/// # Shapes
/// `input`: `[outer, n, inner]`; `output`: `[outer, inner]` i64.
///
/// # Algorithm
/// Of equal elements the one that `tie` says. A NaN counts as larger than everything.
pub fn arg_extreme<T: Ranked>(lanes: &Lanes, order: Order, tie: Tie, input: &[T], output: &mut [i64]) -> Option<()> {
    lanes.for_each(1, |at| {
        let index = first_of(order, tie, lanes.elements(input, at.input)?)?;
        *output.get_mut(at.output)? = index as i64;
        Some(())
    })
}

/// 1 at the first of the largest elements of each lane, 0 elsewhere.
///
/// # Shapes
/// `input`, `output`: `[outer, n, inner]` f32.
pub fn hardmax_f32(lanes: &Lanes, input: &[f32], output: &mut [f32]) -> Option<()> {
    output.fill(0.0);
    lanes.for_each(lanes.n, |at| {
        let index = first_of(Order::Descending, Tie::First, lanes.elements(input, at.input)?)?;
        *output.get_mut(at.output.wrapping_add(index.wrapping_mul(lanes.inner)))? = 1.0;
        Some(())
    })
}

/// The `k` elements of each lane that come first in `order`, in that order.
///
/// # Shapes
/// `input`: `[outer, n, inner]`; `put` gets the element of a result `[outer, k, inner]`, the value that belongs there and
/// its index in the lane.
///
/// # Algorithm
/// `k` times the best of those that come behind the one before; of equal elements the one with the lower index comes
/// first. So `n * k` comparisons and no memory.
pub fn top_k<T: Ranked>(
    lanes: &Lanes,
    k: usize,
    order: Order,
    input: &[T],
    mut put: impl FnMut(usize, T, usize) -> Option<()>,
) -> Option<()> {
    lanes.for_each(k, |at| {
        let mut before: Option<(i64, usize)> = None;
        let mut target = at.output;
        for _ in 0..k {
            let mut best: Option<(i64, usize, T)> = None;
            for (i, x) in lanes.elements(input, at.input)?.enumerate() {
                let rank = order.rank(x);
                let is_behind = before.is_none_or(|(r, j)| rank < r || (rank == r && i > j));
                if is_behind && best.is_none_or(|(r, ..)| rank > r) {
                    best = Some((rank, i, x));
                }
            }
            let (rank, index, value) = best?;
            put(target, value, index)?;
            before = Some((rank, index));
            target = target.wrapping_add(lanes.inner);
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const LANES: Lanes = Lanes { outer: 2, n: 4, inner: 3 };

    #[test]
    fn ranks_follow_the_order_of_numbers() {
        let ascending = [f32::NEG_INFINITY, -2.0, -1.0, -1e-45, 0.0, 1e-45, 0.5, 3e38, f32::INFINITY, f32::NAN];
        assert!(ascending.windows(2).all(|w| w[0].rank() < w[1].rank()));
        assert_eq!((-0.0f32).rank(), 0.0f32.rank());
        assert_eq!((-f32::NAN).rank(), f32::NAN.rank());
    }

    #[test]
    fn chosen_elements_are_those_that_sorting_finds() {
        let x: Vec<f32> = (0..24).map(|i| ((i * 7) % 5) as f32 - 2.0).collect();
        for order in [Order::Descending, Order::Ascending] {
            for k in 1..=4 {
                let (mut values, mut indices) = (vec![0.0; 6 * k], vec![0; 6 * k]);
                top_k(&LANES, k, order, &x, |at, value, index| {
                    (values[at], indices[at]) = (value, index);
                    Some(())
                })
                .unwrap();
                for lane in 0..6 {
                    let (outer, inner) = (lane / 3, lane % 3);
                    let mut sorted: Vec<(f32, usize)> = (0..4).map(|i| (x[outer * 12 + i * 3 + inner], i)).collect();
                    sorted.sort_by(
                        |a, b| if order == Order::Descending { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) },
                    );
                    for (j, (value, index)) in sorted.iter().take(k).enumerate() {
                        let at = outer * 3 * k + j * 3 + inner;
                        assert_eq!((values[at], indices[at]), (*value, *index), "{order:?} k {k} lane {lane}");
                    }
                    for tie in [Tie::First, Tie::Last] {
                        let mut y = [0; 6];
                        arg_extreme(&LANES, order, tie, &x, &mut y).unwrap();
                        let equal = sorted.iter().filter(|(v, _)| *v == sorted[0].0).map(|(_, i)| *i as i64);
                        let expected = if tie == Tie::First { equal.min() } else { equal.max() };
                        assert_eq!(Some(y[lane]), expected, "{order:?} {tie:?}");
                    }
                }
            }
        }
        assert_eq!(top_k(&LANES, 5, Order::Ascending, &x, |_, _, _| Some(())), None, "more than there are");
    }

    #[test]
    fn hardmax_has_a_single_one() {
        let x = [1.0, 5.0, 2.0, 5.0, 0.0, 7.0];
        let mut y = [9.0; 6];
        hardmax_f32(&Lanes { outer: 1, n: 3, inner: 2 }, &x, &mut y).unwrap();
        // Lanes are columns here: 1, 2, 0 and 5, 5, 7.
        assert_eq!(y, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
