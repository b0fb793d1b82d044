//! Sums of products.

use super::rows::rows;

/// `sum(a[i] * b[i])` of int8, wrapping.
#[inline(always)]
pub(super) fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| sum.wrapping_add(i32::from(a) * i32::from(b)))
}

/// `sum(a[i] * b[i])` of int8 values, the first already widened, wrapping.
#[inline(always)]
pub(super) fn dot_i16(a: &[i16], b: &[i8]) -> i32 {
    a.iter().zip(b).fold(0i32, |sum, (&a, &b)| sum.wrapping_add(i32::from(a) * i32::from(b)))
}

/// `sum(a[i])` of int8, wrapping.
#[inline(always)]
pub(super) fn sum_i8(a: &[i8]) -> i32 {
    a.iter().fold(0i32, |sum, &a| sum.wrapping_add(i32::from(a)))
}

/// Adds `x[i] * matrix[i][first + j]` to `acc[j]` for i ascending; `matrix` is `[x.len(), row_length]`.
///
/// Each sum is in that one order, multiply then add, so its bits do not depend on `N`.
#[inline(always)]
pub(super) fn outer_f32<const N: usize>(
    acc: &mut [f32; N],
    x: &[f32],
    matrix: &[f32],
    row_length: usize,
    first: usize,
) -> Option<()> {
    for (&x, row) in x.iter().zip(rows(matrix, row_length)) {
        let weights: &[f32; N] = row.get(first..)?.first_chunk()?;
        for (acc, &w) in acc.iter_mut().zip(weights) {
            *acc += x * w;
        }
    }
    Some(())
}
