//! Reductions over any axes.

use crate::float_math::{exp, log, sqrt};
use crate::kernels::geometry::{StridedLoops, row_major_strides};
use crate::tensor::MAX_RANK;

/// What a reduction computes of the elements that it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReduceFunction {
    /// Sum over number; integers are divided towards zero.
    Mean = 0,
    /// Sum.
    Sum = 1,
    /// Largest; NaN if there is one.
    Max = 2,
    /// Smallest; NaN if there is one.
    Min = 3,
    /// Product.
    Prod = 4,
    /// Sum of magnitudes.
    L1 = 5,
    /// Root of the sum of squares.
    L2 = 6,
    /// Sum of squares.
    SumSquare = 7,
    /// Logarithm of the sum.
    LogSum = 8,
    /// Logarithm of the sum of exponentials.
    LogSumExp = 9,
}

impl ReduceFunction {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 10] = [
        Self::Mean,
        Self::Sum,
        Self::Max,
        Self::Min,
        Self::Prod,
        Self::L1,
        Self::L2,
        Self::SumSquare,
        Self::LogSum,
        Self::LogSumExp,
    ];

    /// Whether the order of its operands alone decides, so that every number has it.
    pub fn chooses(self) -> bool {
        matches!(self, Self::Max | Self::Min)
    }

    /// Whether integers have it too: its result is as exact as its operands.
    pub fn is_algebraic(self) -> bool {
        !matches!(self, Self::L2 | Self::LogSum | Self::LogSumExp)
    }
}

/// The loops of a reduction: over its results, and over the elements of one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReduceLoops {
    kept: StridedLoops<1>,
    reduced: StridedLoops<1>,
}

impl ReduceLoops {
    /// The loops over a tensor with these dimensions that join the axes whose bits are set in `axes`.
    pub fn new(dims: [u32; MAX_RANK], axes: u8) -> Self {
        let strides = [row_major_strides(dims)];
        let (mut kept, mut reduced) = (dims, dims);
        for (axis, (kept, reduced)) in kept.iter_mut().zip(&mut reduced).enumerate() {
            if (axes >> axis) & 1 == 1 { *kept = 1 } else { *reduced = 1 }
        }
        ReduceLoops {
            kept: StridedLoops { dims: kept, strides }.merged(),
            reduced: StridedLoops { dims: reduced, strides }.merged(),
        }
    }

    /// Results.
    pub fn n_outputs(&self) -> Option<u32> {
        self.kept.n_iterations()
    }

    /// Elements of each result.
    pub fn n_joined(&self) -> Option<u32> {
        self.reduced.n_iterations()
    }
}

/// The elements that one result is made of.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a, T> {
    loops: &'a StridedLoops<1>,
    /// From the first of them on.
    elements: &'a [T],
    n: u32,
}

impl<T: Copy> Joined<'_, T> {
    /// Folds the elements in ascending order.
    #[inline(always)]
    fn fold<A: Copy>(&self, start: A, mut step: impl FnMut(A, T) -> A) -> Option<A> {
        let [stride] = self.loops.row_strides();
        let (stride, length) = (stride as usize, self.loops.row_length());
        let mut result = start;
        self.loops.for_each_row(|[at]| {
            // Beside its use: out of the closure, the compiler keeps a panic for a step of 0.
            for &x in self.elements.get(at..)?.iter().step_by(stride.max(1)).take(length) {
                result = step(result, x);
            }
            Some(())
        })?;
        Some(result)
    }

    #[inline(always)]
    fn choose(&self, better: impl Fn(T, T) -> bool) -> Option<T> {
        self.fold(*self.elements.first()?, |best, x| if better(x, best) { x } else { best })
    }
}

/// Elements that can be joined to one.
pub trait Reduce: Copy {
    /// The result, `None` when this type does not have the function.
    fn reduce(function: ReduceFunction, joined: &Joined<'_, Self>) -> Option<Self>;
}

impl Reduce for f32 {
    fn reduce(function: ReduceFunction, joined: &Joined<'_, f32>) -> Option<f32> {
        let sum = || joined.fold(0.0, |sum, x| sum + x);
        let sum_square = || joined.fold(0.0, |sum, x| sum + x * x);
        let max = || joined.choose(|x, best| x > best || x.is_nan());
        match function {
            ReduceFunction::Mean => Some(sum()? / joined.n as f32),
            ReduceFunction::Sum => sum(),
            ReduceFunction::Max => max(),
            ReduceFunction::Min => joined.choose(|x, best| x < best || x.is_nan()),
            ReduceFunction::Prod => joined.fold(1.0, |product, x| product * x),
            ReduceFunction::L1 => joined.fold(0.0, |sum, x| sum + x.abs()),
            ReduceFunction::L2 => Some(sqrt(sum_square()?)),
            ReduceFunction::SumSquare => sum_square(),
            ReduceFunction::LogSum => Some(log(sum()?)),
            ReduceFunction::LogSumExp => {
                let max = max()?;
                let shift = if max.is_infinite() { 0.0 } else { max };
                Some(log(joined.fold(0.0, |sum, x| sum + exp(x - shift))?) + shift)
            }
        }
    }
}

/// Integers that are added too.
macro_rules! numbers {
    ($($integer:ty),*) => {$(
        impl Reduce for $integer {
            fn reduce(function: ReduceFunction, joined: &Joined<'_, Self>) -> Option<Self> {
                let sum = || joined.fold(0, |sum: Self, x| sum.wrapping_add(x));
                match function {
                    ReduceFunction::Mean => sum()?.checked_div(joined.n as Self),
                    ReduceFunction::Sum => sum(),
                    ReduceFunction::Max => joined.choose(|x, best| x > best),
                    ReduceFunction::Min => joined.choose(|x, best| x < best),
                    ReduceFunction::Prod => joined.fold(1, |product: Self, x| product.wrapping_mul(x)),
                    ReduceFunction::L1 => joined.fold(0, |sum: Self, x| sum.wrapping_add(x.wrapping_abs())),
                    ReduceFunction::SumSquare => joined.fold(0, |sum: Self, x| sum.wrapping_add(x.wrapping_mul(x))),
                    ReduceFunction::L2 | ReduceFunction::LogSum | ReduceFunction::LogSumExp => None,
                }
            }
        }
    )*};
}
numbers!(i32, i64);

/// Bytes, which are compared only.
macro_rules! bytes {
    ($($byte:ty),*) => {$(
        impl Reduce for $byte {
            fn reduce(function: ReduceFunction, joined: &Joined<'_, Self>) -> Option<Self> {
                match function {
                    ReduceFunction::Max => joined.choose(|x, best| x > best),
                    ReduceFunction::Min => joined.choose(|x, best| x < best),
                    _ => None,
                }
            }
        }
    )*};
}
bytes!(i8, u8);

/// Joins the elements along some axes to one.
///
/// # Shapes
/// `input` as `loops` were made for; `output` its other axes, row-major.
///
/// # Algorithm
/// Elements are joined one after the other in ascending order, in their own type. Integer sums and products wrap.
/// `LogSumExp` is `log(sum exp(x - m)) + m` with `m` the largest element, or 0 when that is infinite.
pub fn reduce<T: Reduce>(loops: &ReduceLoops, function: ReduceFunction, input: &[T], output: &mut [T]) -> Option<()> {
    let n = loops.n_joined()?;
    let [stride] = loops.kept.row_strides();
    let mut results = output.iter_mut();
    loops.kept.for_each_row(|[start]| {
        let mut at = start;
        for _ in 0..loops.kept.row_length() {
            let joined = Joined { loops: &loops.reduced, elements: input.get(at..)?, n };
            *results.next()? = T::reduce(function, &joined)?;
            at = at.wrapping_add(stride as usize);
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

    /// A second writing: results found by index arithmetic, in f64.
    fn naive(dims: [u32; 5], axes: u8, function: ReduceFunction, x: &[f64]) -> Vec<f64> {
        let mut groups: Vec<Vec<f64>> = Vec::new();
        let mut keys: Vec<[u32; 5]> = Vec::new();
        for (i, &value) in x.iter().enumerate() {
            let (mut rest, mut key) = (i as u32, [0; 5]);
            for axis in (0..5).rev() {
                key[axis] = if axes >> axis & 1 == 1 { 0 } else { rest % dims[axis] };
                rest /= dims[axis];
            }
            match keys.iter().position(|k| *k == key) {
                Some(group) => groups[group].push(value),
                None => {
                    keys.push(key);
                    groups.push(vec![value]);
                }
            }
        }
        let sum = |v: &[f64]| v.iter().sum::<f64>();
        let all = |v: &[f64], f: fn(f64) -> f64| v.iter().map(|&x| f(x)).sum::<f64>();
        let join = |v: &Vec<f64>| match function {
            ReduceFunction::Mean => sum(v) / v.len() as f64,
            ReduceFunction::Sum => sum(v),
            ReduceFunction::Max => v.iter().copied().fold(f64::MIN, f64::max),
            ReduceFunction::Min => v.iter().copied().fold(f64::MAX, f64::min),
            ReduceFunction::Prod => v.iter().product(),
            ReduceFunction::L1 => all(v, f64::abs),
            ReduceFunction::L2 => all(v, |x| x * x).sqrt(),
            ReduceFunction::SumSquare => all(v, |x| x * x),
            ReduceFunction::LogSum => sum(v).ln(),
            ReduceFunction::LogSumExp => all(v, f64::exp).ln(),
        };
        groups.iter().map(join).collect()
    }

    #[test]
    fn every_function_over_every_set_of_axes() {
        let dims = [2, 3, 1, 2, 4];
        let x: Vec<f64> = (0..48).map(|i| f64::from((i * 37 + 11) % 23) * 0.125 + 0.5).collect();
        let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let whole: Vec<i64> = x.iter().map(|&x| (x * 8.0) as i64 - 14).collect();
        let whole_f64: Vec<f64> = whole.iter().map(|&x| x as f64).collect();
        for axes in 0..32 {
            let loops = ReduceLoops::new(dims, axes);
            for function in ReduceFunction::ALL {
                let expected = naive(dims, axes, function, &x);
                let mut y = vec![0.0; loops.n_outputs().unwrap() as usize];
                reduce(&loops, function, &narrow, &mut y).unwrap();
                assert_eq!(y.len(), expected.len());
                for (y, e) in y.iter().zip(&expected) {
                    assert!((f64::from(*y) - e).abs() <= 1e-5 * e.abs().max(1.0), "{function:?} {axes:#b}: {y} {e}");
                }
                let n = loops.n_joined().unwrap();
                if !function.is_algebraic() || (function == ReduceFunction::Prod && n > 12) {
                    continue;
                }
                let mut y = vec![0i64; loops.n_outputs().unwrap() as usize];
                reduce(&loops, function, &whole, &mut y).unwrap();
                let expected = naive(dims, axes, function, &whole_f64);
                for (y, e) in y.iter().zip(&expected) {
                    assert_eq!(*y, e.trunc() as i64, "{function:?} {axes:#b}");
                }
            }
        }
    }

    #[test]
    fn edges() {
        let all = ReduceLoops::new([1, 1, 1, 1, 3], 1 << 4);
        let of = |function, x: [f32; 3]| {
            let mut y = [0.0];
            reduce(&all, function, &x, &mut y).unwrap();
            y[0]
        };
        for nan in 0..3 {
            let mut x = [1.0, 2.0, 3.0];
            x[nan] = f32::NAN;
            assert!(of(ReduceFunction::Max, x).is_nan() && of(ReduceFunction::Min, x).is_nan());
        }
        assert_eq!(of(ReduceFunction::LogSumExp, [f32::NEG_INFINITY; 3]), f32::NEG_INFINITY);
        assert_eq!(of(ReduceFunction::LogSumExp, [f32::INFINITY, 0.0, 0.0]), f32::INFINITY);
        assert!((of(ReduceFunction::LogSumExp, [1000.0, 1000.0, -1000.0]) - 1_000.693_1).abs() < 1e-3);
        let mut y = [0i32];
        reduce(&all, ReduceFunction::Sum, &[i32::MAX, 1, 0], &mut y).unwrap();
        assert_eq!(y, [i32::MIN]);
        reduce(&all, ReduceFunction::Mean, &[-4, -3, 0], &mut y).unwrap();
        assert_eq!(y, [-2]);
        assert_eq!(reduce(&all, ReduceFunction::L2, &[1, 2, 3], &mut y), None);
        let mut y = [0u8];
        reduce(&all, ReduceFunction::Max, &[1u8, 200, 0], &mut y).unwrap();
        assert_eq!(y, [200]);
    }
}
