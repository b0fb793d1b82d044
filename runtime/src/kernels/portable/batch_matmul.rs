//! Products of two activations.

use super::dot::{dot_i8, outer_f32, sum_i8};
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
pub fn batch_matmul_i8(geometry: &MatMul, q: &BatchMatMulI8, a: &[i8], b: &[i8], output: &mut [i8]) -> Option<()> {
    let [k, n] = [geometry.k, geometry.n].map(|v| v as usize);
    for_each_row(geometry, a, b, output, |a_row, b, row| {
        match geometry.b_layout {
            MatrixLayout::Nk => {
                // sum((a - za)(b - zb)) = sum(ab) - zb sum(a) - za sum(b) + k za zb, exact in wrapping arithmetic.
                let constant = (k as i32).wrapping_mul(q.a_zero_point).wrapping_mul(q.b_zero_point);
                let constant = constant.wrapping_sub(q.b_zero_point.wrapping_mul(sum_i8(a_row)));
                for (target, column) in row.iter_mut().zip(rows(b, k)) {
                    let columns = if q.a_zero_point == 0 { 0 } else { q.a_zero_point.wrapping_mul(sum_i8(column)) };
                    let acc = dot_i8(a_row, column).wrapping_add(constant).wrapping_sub(columns);
                    *target = q.output.requantize(q.requantizer, acc);
                }
            }
            MatrixLayout::Kn => {
                for (block, targets) in row.chunks_mut(BLOCK).enumerate() {
                    let mut acc = [0i32; BLOCK];
                    let first = block.wrapping_mul(BLOCK);
                    for (&x, b_row) in a_row.iter().zip(rows(b, n)) {
                        let x = i32::from(x).wrapping_sub(q.a_zero_point);
                        for (acc, &y) in acc.iter_mut().zip(b_row.get(first..)?) {
                            *acc = acc.wrapping_add(x.wrapping_mul(i32::from(y).wrapping_sub(q.b_zero_point)));
                        }
                    }
                    for (target, acc) in targets.iter_mut().zip(acc) {
                        *target = q.output.requantize(q.requantizer, acc);
                    }
                }
            }
        }
        Some(())
    })
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
