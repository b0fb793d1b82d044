//! Products of two activations.

use super::dot::{outer_f32, sum_i8};
use super::rows::{rows, rows_mut};
use crate::fixed_point::Requantizer;
use crate::kernels::geometry::{MatMul, MatrixLayout};
use crate::kernels::parameters::{OutputF32, OutputI8};

/// Arithmetic of [`batch_matmul_i8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMatMulI8 {
    /// The integer that stands for 0 in the left operand.
    pub a_zero_point: i32,
    /// The integer that stands for 0 in the right operand.
    pub b_zero_point: i32,
    /// From the accumulator to output steps.
    pub requantizer: Requantizer,
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// Matrix products in int8.
///
/// # Shapes
/// - `a`: `[batch, m, k]` i8
/// - `b`: `[batch, k, n]` or, with [`MatrixLayout::Nk`], `[batch, n, k]` i8
/// - `output`: `[batch, m, n]` i8, apart from both
///
/// # Algorithm
/// `clamp(output_zero_point + requantize(sum((a - za) * (b - zb))), min, max)`, the sum wrapping.
///
/// `sum((a - za)(b - zb)) = sum((a - za) b) - zb sum(a - za)`, exact in wrapping arithmetic: the last sum is the same for
/// all columns. Several columns are summed side by side, so that an element of `a` is read once for all of them and the
/// sums stay in registers.
pub fn batch_matmul_i8(geometry: &MatMul, q: &BatchMatMulI8, a: &[i8], b: &[i8], output: &mut [i8]) -> Option<()> {
    let [k, n] = [geometry.k, geometry.n].map(|v| v as usize);
    for_each_row(geometry, a, b, output, |a_row, b, row| {
        let elements = sum_i8(a_row).wrapping_sub((k as i32).wrapping_mul(q.a_zero_point));
        let start = elements.wrapping_mul(q.b_zero_point).wrapping_neg();
        let columns = Columns { a_row, a_zero_point: q.a_zero_point, start, b };
        let finish = |acc: i32| q.output.requantize(q.requantizer, acc);
        match geometry.b_layout {
            MatrixLayout::Nk => {
                let (fours, rest) = row.as_chunks_mut::<4>();
                let mut first = 0usize;
                for targets in fours {
                    *targets = columns.sums_of_four_rows(k, first)?.map(finish);
                    first = first.wrapping_add(4);
                }
                for target in rest {
                    *target = finish(columns.sum_of_row(k, first)?);
                    first = first.wrapping_add(1);
                }
            }
            MatrixLayout::Kn => {
                let (eights, rest) = row.as_chunks_mut::<8>();
                let mut first = 0usize;
                for targets in eights {
                    *targets = columns.sums_across::<8>(n, first)?.map(finish);
                    first = first.wrapping_add(8);
                }
                for target in rest {
                    let [sum] = columns.sums_across::<1>(n, first)?;
                    *target = finish(sum);
                    first = first.wrapping_add(1);
                }
            }
        }
        Some(())
    })
}

/// A row of `a`, and the matrix whose columns it is multiplied with.
#[derive(Clone, Copy)]
struct Columns<'a> {
    a_row: &'a [i8],
    a_zero_point: i32,
    /// What every sum starts at: the part of b's zero point.
    start: i32,
    b: &'a [i8],
}

impl Columns<'_> {
    /// Sums for columns `first ..` of `[k, n]`.
    #[inline(always)]
    fn sums_across<const N: usize>(&self, n: usize, first: usize) -> Option<[i32; N]> {
        let mut acc = [self.start; N];
        for (&x, b_row) in self.a_row.iter().zip(rows(self.b, n)) {
            let x = i32::from(x).wrapping_sub(self.a_zero_point);
            let elements: &[i8; N] = b_row.get(first..)?.first_chunk()?;
            for (acc, &y) in acc.iter_mut().zip(elements) {
                *acc = acc.wrapping_add(x.wrapping_mul(i32::from(y)));
            }
        }
        Some(acc)
    }

    /// Sums for four rows `first ..` of `[n, k]`.
    #[inline(always)]
    fn sums_of_four_rows(&self, k: usize, first: usize) -> Option<[i32; 4]> {
        let mut columns = rows(self.b.get(first.wrapping_mul(k)..)?, k);
        let [c0, c1, c2, c3] = [columns.next()?, columns.next()?, columns.next()?, columns.next()?];
        let mut acc = [self.start; 4];
        for ((((&x, &y0), &y1), &y2), &y3) in self.a_row.iter().zip(c0).zip(c1).zip(c2).zip(c3) {
            let x = i32::from(x).wrapping_sub(self.a_zero_point);
            for (acc, y) in acc.iter_mut().zip([y0, y1, y2, y3]) {
                *acc = acc.wrapping_add(x.wrapping_mul(i32::from(y)));
            }
        }
        Some(acc)
    }

    /// Sum for row `first` of `[n, k]`.
    #[inline(always)]
    fn sum_of_row(&self, k: usize, first: usize) -> Option<i32> {
        let column = self.b.get(first.wrapping_mul(k)..)?.get(..k)?;
        Some(self.a_row.iter().zip(column).fold(self.start, |acc, (&x, &y)| {
            acc.wrapping_add(i32::from(x).wrapping_sub(self.a_zero_point).wrapping_mul(i32::from(y)))
        }))
    }
}

/// Matrix products in float32.
///
/// # Shapes
/// As [`batch_matmul_i8`].
///
/// # Algorithm
/// `clamp(sum(a * b), min, max)`, starting from 0, k ascending, multiply then add, never fused.
pub fn batch_matmul_f32(geometry: &MatMul, limits: &OutputF32, a: &[f32], b: &[f32], output: &mut [f32]) -> Option<()> {
    let [k, n] = [geometry.k, geometry.n].map(|v| v as usize);
    for_each_row(geometry, a, b, output, |a_row, b, row| {
        match geometry.b_layout {
            MatrixLayout::Nk => {
                for (target, column) in row.iter_mut().zip(rows(b, k)) {
                    let sum = a_row.iter().zip(column).fold(0.0, |sum, (&x, &y)| sum + x * y);
                    *target = limits.finish(sum);
                }
            }
            MatrixLayout::Kn => {
                let mut first = 0usize;
                let (wide, rest) = row.as_chunks_mut::<BLOCK>();
                for block in wide {
                    let mut acc = [0.0; BLOCK];
                    outer_f32(&mut acc, a_row, b, n, first)?;
                    *block = acc.map(|v| limits.finish(v));
                    first = first.wrapping_add(BLOCK);
                }
                for single in rest {
                    let mut acc = [0.0];
                    outer_f32(&mut acc, a_row, b, n, first)?;
                    *single = limits.finish(acc[0]);
                    first = first.wrapping_add(1);
                }
            }
        }
        Some(())
    })
}

/// Columns that are summed side by side.
const BLOCK: usize = 16;

/// Calls `row(row of a, matrix b, row of the output)` for every row of every product.
#[inline(always)]
fn for_each_row<T>(
    geometry: &MatMul,
    a: &[T],
    b: &[T],
    output: &mut [T],
    mut row: impl FnMut(&[T], &[T], &mut [T]) -> Option<()>,
) -> Option<()> {
    let [batch, m, k, n] = [geometry.batch, geometry.m, geometry.k, geometry.n].map(|v| v as usize);
    let [a_stride, b_stride] = [geometry.a_batch_stride, geometry.b_batch_stride].map(|v| v as usize);
    let (a_elements, b_elements, output_elements) = (m.wrapping_mul(k), k.wrapping_mul(n), m.wrapping_mul(n));
    for (i, product) in rows_mut(output, output_elements).take(batch).enumerate() {
        let a = a.get(i.wrapping_mul(a_stride)..)?.get(..a_elements)?;
        let b = b.get(i.wrapping_mul(b_stride)..)?.get(..b_elements)?;
        for (a_row, target) in rows(a, k).zip(rows_mut(product, n)) {
            row(a_row, b, target)?;
        }
    }
    Some(())
}
