//! Slices cut into rows of equal length.
//!
//! `slice::chunks_exact` does the same, but keeps a panic for length 0 and a division by it, which LLVM does not
//! always prove away.

/// Rows of `slice`; what is left over at the end is not visited. None when `length` is 0.
#[inline(always)]
pub(super) fn rows<T>(slice: &[T], length: usize) -> Rows<'_, T> {
    Rows { rest: slice, length }
}

/// [`rows`] to be written.
#[inline(always)]
pub(super) fn rows_mut<T>(slice: &mut [T], length: usize) -> RowsMut<'_, T> {
    RowsMut { rest: slice, length }
}

pub(super) struct Rows<'a, T> {
    rest: &'a [T],
    length: usize,
}

impl<'a, T> Iterator for Rows<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        if self.length == 0 {
            return None;
        }
        let (row, rest) = self.rest.split_at_checked(self.length)?;
        self.rest = rest;
        Some(row)
    }
}

pub(super) struct RowsMut<'a, T> {
    rest: &'a mut [T],
    length: usize,
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a mut [T]> {
        if self.length == 0 {
            return None;
        }
        let (row, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(self.length)?;
        self.rest = rest;
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_and_in_order() {
        for (length, expected) in [(0, 0), (1, 7), (2, 3), (3, 2), (7, 1), (8, 0)] {
            let mut data = [0, 1, 2, 3, 4, 5, 6];
            assert!(
                rows(&data, length).enumerate().all(|(i, row)| row.len() == length && row[0] as usize == i * length)
            );
            assert_eq!(rows(&data, length).count(), expected, "length {length}");
            assert_eq!(rows_mut(&mut data, length).count(), expected, "length {length}");
        }
    }
}
