//! Operands of kernels that may run in place.

use core::cell::Cell;
use core::ops::Range;

/// What an elementwise kernel reads: a part of the region that it also writes, or a constant.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a, T> {
    /// Elements of the mutable region: the very elements of the output, or elements apart from it.
    Region {
        /// First element.
        offset: usize,
        /// Elements.
        len: usize,
    },
    /// Elements elsewhere, usually weights in flash.
    Constant(&'a [T]),
}

/// Where input 0, output 0 and the scratch of a kernel lie in the memory that holds them all.
///
/// The output may overlap the input as the kernel allows; the scratch is apart from both.
#[derive(Debug)]
pub struct Placed<'a, T> {
    /// The memory.
    pub region: &'a mut [T],
    /// Elements of the input.
    pub input: Range<usize>,
    /// Elements of the output.
    pub output: Range<usize>,
    /// Elements of the scratch.
    pub scratch: Range<usize>,
}

/// An operand inside its region.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    Cells(&'a [Cell<T>]),
    Slice(&'a [T]),
}

impl<'a, T: Copy> Operand<'a, T> {
    /// The operand's elements, `None` when they are not inside `region`.
    #[inline]
    pub(crate) fn resolve(self, region: &'a [Cell<T>]) -> Option<Source<'a, T>> {
        match self {
            Operand::Region { offset, len } => Some(Source::Cells(region.get(offset..)?.get(..len)?)),
            Operand::Constant(slice) => Some(Source::Slice(slice)),
        }
    }
}

impl<'a, T: Copy> Source<'a, T> {
    /// Fills `target` with the elements from `start` on, or with element `start` alone when `stride` is 0.
    #[inline(always)]
    pub(crate) fn load(&self, start: usize, stride: u32, target: &mut [T]) -> Option<()> {
        if stride == 0 {
            let value = match self {
                Source::Cells(cells) => cells.get(start)?.get(),
                Source::Slice(slice) => *slice.get(start)?,
            };
            target.fill(value);
            return Some(());
        }
        match self {
            Source::Cells(cells) => {
                for (t, c) in target.iter_mut().zip(cells.get(start..)?) {
                    *t = c.get();
                }
            }
            Source::Slice(slice) => {
                for (t, c) in target.iter_mut().zip(slice.get(start..)?) {
                    *t = *c;
                }
            }
        }
        Some(())
    }
}

/// Writes `values` to the cells from `start` on.
#[inline(always)]
pub(crate) fn store<T: Copy>(cells: &[Cell<T>], start: usize, values: &[T]) -> Option<()> {
    for (c, v) in cells.get(start..)?.iter().zip(values) {
        c.set(*v);
    }
    Some(())
}
