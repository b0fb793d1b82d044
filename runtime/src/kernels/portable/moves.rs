//! Moving elements of whatever size by rules that strides of one sign cannot say: slices with negative steps, borders,
//! gathering, triangles and one-hot vectors.

use crate::kernels::geometry::{Border, Gather, View, row_major_strides};
use crate::tensor::MAX_RANK;

/// Copies the elements of `source` that `view` names, row-major, to `target`.
pub fn copy_view<T: Copy>(view: &View, source: &[T], target: &mut [T]) -> Option<()> {
    let [.., row_length] = view.dims;
    let [.., stride] = view.strides;
    let mut rows = view.rows();
    for row in target.chunks_exact_mut((row_length as usize).max(1)) {
        let at = rows.next()?;
        match stride {
            0 => {
                let value = *source.get(at as usize)?;
                row.fill(value);
            }
            1 => {
                let source = source.get(at as usize..)?.get(..row.len())?;
                for (t, s) in row.iter_mut().zip(source) {
                    *t = *s;
                }
            }
            _ => {
                let mut at = at;
                for t in row {
                    *t = *source.get(at as usize)?;
                    at = at.wrapping_add_signed(stride);
                }
            }
        }
    }
    Some(())
}

/// Pads or crops: every output element is the input element that [`Border::source`] names on each axis, or `value`
/// where an axis has none.
pub fn pad<T: Copy>(border: &Border, value: T, source: &[T], target: &mut [T]) -> Option<()> {
    let [.., row_length] = border.output;
    let strides = row_major_strides(border.input);
    let [outer_strides @ .., _] = &strides;
    let mut position = [0u32; MAX_RANK - 1];
    for row in target.chunks_exact_mut((row_length as usize).max(1)) {
        let mut start = Some(0usize);
        for ((axis, at), stride) in position.iter().enumerate().zip(outer_strides) {
            let inside = border.source(axis, *at).map(|i| (i as usize).wrapping_mul(*stride as usize));
            start = start.zip(inside).map(|(s, i)| s.wrapping_add(i));
        }
        match start.and_then(|start| source.get(start..)) {
            None => row.fill(value),
            Some(source) => {
                for (at, t) in (0u32..).zip(row) {
                    *t = match border.source(MAX_RANK - 1, at) {
                        Some(i) => *source.get(i as usize)?,
                        None => value,
                    };
                }
            }
        }
        for (at, dim) in position.iter_mut().rev().zip(border.output.iter().rev().skip(1)) {
            *at = at.wrapping_add(1);
            if *at < *dim {
                break;
            }
            *at = 0;
        }
    }
    Some(())
}

/// An integer that names an element along an axis; negative ones count from the end.
pub trait Index: Copy {
    /// The element among `n`, `None` when there is no such one.
    fn position(self, n: u32) -> Option<usize>;
}

impl Index for i64 {
    #[inline]
    fn position(self, n: u32) -> Option<usize> {
        let from_front = if self < 0 { self.wrapping_add(i64::from(n)) } else { self };
        u32::try_from(from_front).ok().filter(|i| *i < n).map(|i| i as usize)
    }
}

impl Index for i32 {
    #[inline]
    fn position(self, n: u32) -> Option<usize> {
        i64::from(self).position(n)
    }
}

impl Index for i8 {
    #[inline]
    fn position(self, n: u32) -> Option<usize> {
        i64::from(self).position(n)
    }
}

impl Index for u8 {
    #[inline]
    fn position(self, n: u32) -> Option<usize> {
        i64::from(self).position(n)
    }
}

impl Index for f32 {
    /// What is behind the point does not count.
    #[inline]
    fn position(self, n: u32) -> Option<usize> {
        (self as i64).position(n)
    }
}

/// Slices of `source` along an axis, one for every index.
///
/// # Shapes
/// `source: [outer, n, inner]`, `indices: [m]`, `target: [outer, m, inner]`.
///
/// # Errors
/// `None` when an index names no slice; what was written until then stays.
pub fn gather<T: Copy, I: Index>(gather: &Gather, indices: &[I], source: &[T], target: &mut [T]) -> Option<()> {
    let (n, inner) = (gather.n, gather.inner as usize);
    let mut rows = target.chunks_exact_mut(inner.max(1));
    for block in source.chunks_exact((n as usize).wrapping_mul(inner).max(1)) {
        for index in indices {
            let start = index.position(n)?.wrapping_mul(inner);
            let source = block.get(start..)?.get(..inner)?;
            for (t, s) in rows.next()?.iter_mut().zip(source) {
                *t = *s;
            }
        }
    }
    Some(())
}

/// One element of `source` for every index, which stands for its own place along an axis.
///
/// # Shapes
/// `view` over `source` with the axis' stride 0 has the shape of `indices` and `target`; `stride` and `n` are those of the
/// axis in `source`.
///
/// # Errors
/// `None` when an index names no element; what was written until then stays.
pub fn gather_elements<T: Copy, I: Index>(
    view: &View,
    [n, stride]: [u32; 2],
    indices: &[I],
    source: &[T],
    target: &mut [T],
) -> Option<()> {
    let [.., row_length] = view.dims;
    let [.., step] = view.strides;
    let row_length = (row_length as usize).max(1);
    for ((row, indices), at) in
        target.chunks_exact_mut(row_length).zip(indices.chunks_exact(row_length)).zip(view.rows())
    {
        let mut at = at;
        for (t, index) in row.iter_mut().zip(indices) {
            let along = index.position(n)?.wrapping_mul(stride as usize);
            *t = *source.get((at as usize).wrapping_add(along))?;
            at = at.wrapping_add_signed(step);
        }
    }
    Some(())
}

/// Which part of a matrix [`trilu`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Triangle {
    /// What lies on the diagonal and below.
    Lower = 0,
    /// What lies on the diagonal and above.
    Upper = 1,
}

/// Keeps a triangle of each matrix and zeroes the rest; the diagonal is `k` columns right of the main one.
///
/// # Shapes
/// `source`, `target: [.., rows, columns]`.
pub fn trilu<T: Copy + Default>(
    triangle: Triangle,
    k: i64,
    [rows, columns]: [u32; 2],
    source: &[T],
    target: &mut [T],
) -> Option<()> {
    let columns = (columns as usize).max(1);
    let mut r = 0u32;
    for (t, s) in target.chunks_exact_mut(columns).zip(source.chunks_exact(columns)) {
        let diagonal = k.saturating_add(i64::from(r));
        for (c, (t, s)) in (0i64..).zip(t.iter_mut().zip(s)) {
            let keeps = match triangle {
                Triangle::Lower => c <= diagonal,
                Triangle::Upper => c >= diagonal,
            };
            *t = if keeps { *s } else { T::default() };
        }
        r = r.wrapping_add(1);
        if r == rows {
            r = 0;
        }
    }
    Some(())
}

/// A vector for every index that is `on` where the index says and `off` elsewhere, everywhere if the index says nothing.
///
/// # Shapes
/// `indices: [outer, inner]`, `target: [outer, depth, inner]`.
pub fn one_hot<T: Copy, I: Index>(
    depth: u32,
    inner: u32,
    [off, on]: [T; 2],
    indices: &[I],
    target: &mut [T],
) -> Option<()> {
    let inner = (inner as usize).max(1);
    let block_length = (depth as usize).wrapping_mul(inner).max(1);
    for (block, indices) in target.chunks_exact_mut(block_length).zip(indices.chunks_exact(inner)) {
        block.fill(off);
        for (i, index) in indices.iter().enumerate() {
            if let Some(at) = index.position(depth) {
                *block.get_mut(at.wrapping_mul(inner).wrapping_add(i))? = on;
            }
        }
    }
    Some(())
}
