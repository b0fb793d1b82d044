//! Resizing along one or two neighbouring axes by tables of taps.

use crate::kernels::geometry::elements;

/// The taps of every position of an output axis.
///
/// ```text
/// per position: elements i32[n], then weights i32[n]
/// ```
/// Weights are the bits of float32 for [`resample_f32`], in 2^-11 for [`resample_i8`]. Without a table every position
/// is the input's with weight 1. A position whose first element is negative is beyond the input.
#[derive(Clone, Copy, Debug)]
pub struct Taps<'a> {
    /// The table; empty for an axis that stays as it is.
    pub table: &'a [i32],
    /// Taps of a position.
    pub n: u32,
}

/// Shapes of a resampling of `[outer, input[0], input[1], inner]` to `[outer, output[0], output[1], inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resample {
    /// Product of the dimensions before the two axes.
    pub outer: u32,
    /// The two axes of the input.
    pub input: [u32; 2],
    /// The two axes of the output.
    pub output: [u32; 2],
    /// Product of the dimensions behind.
    pub inner: u32,
}

/// Fraction bits of int8 weights. Two axes have 22 of them, and 8 of the value: the sum fits 31.
pub const WEIGHT_BITS: u32 = 11;

impl Resample {
    /// The shapes, if their numbers are usable.
    pub fn check(self) -> Option<Self> {
        let ([a, b], [c, d]) = (self.input, self.output);
        elements(&[self.outer, a, b, self.inner])?;
        elements(&[self.outer, c, d, self.inner])?;
        Some(self)
    }
}

impl<'a> Taps<'a> {
    /// The taps of position `at`: elements and weights.
    #[inline]
    fn at(&self, at: u32) -> Option<(&'a [i32], &'a [i32])> {
        let n = self.n as usize;
        let start = (at as usize).checked_mul(n.checked_mul(2)?)?;
        self.table.get(start..)?.get(..n.checked_mul(2)?)?.split_at_checked(n)
    }
}

/// One output position along one axis.
struct Position<'a> {
    elements: &'a [i32],
    weights: &'a [i32],
}

impl<'a> Position<'a> {
    /// Position `at`, `own` being the tap of an axis without a table.
    #[inline]
    fn new(taps: &Taps<'a>, at: u32, own: &'a [i32; 2]) -> Option<Self> {
        let (elements, weights) = if taps.table.is_empty() { own.split_at_checked(1)? } else { taps.at(at)? };
        Some(Position { elements, weights })
    }

    fn taps(&self) -> impl Iterator<Item = (i32, i32)> + use<'a> {
        self.elements.iter().copied().zip(self.weights.iter().copied())
    }

    fn is_beyond(&self) -> bool {
        self.elements.first().is_none_or(|e| *e < 0)
    }
}

/// Calls `write` with every output pixel of `inner` elements, its position on both axes, and its block of the input.
fn for_each_pixel<'s, T>(
    shape: &Resample,
    [rows, columns]: [Taps<'_>; 2],
    one: i32,
    source: &'s [T],
    target: &mut [T],
    mut write: impl FnMut(&mut [T], &Position<'_>, &Position<'_>, &'s [T]) -> Option<()>,
) -> Option<()> {
    let inner = (shape.inner as usize).max(1);
    let [height, width] = shape.output;
    let [a, b] = shape.input;
    let block = (a as usize).wrapping_mul(b as usize).wrapping_mul(inner).max(1);
    let mut pixels = target.chunks_exact_mut(inner);
    for source in source.chunks_exact(block) {
        for y in 0..height {
            let own = [y as i32, one];
            let row = Position::new(&rows, y, &own)?;
            for x in 0..width {
                let own = [x as i32, one];
                let column = Position::new(&columns, x, &own)?;
                write(pixels.next()?, &row, &column, source)?;
            }
        }
    }
    Some(())
}

/// The pixel of the input at these elements of both axes.
#[inline]
fn pixel<'s, T>(shape: &Resample, source: &'s [T], row: i32, column: i32) -> Option<&'s [T]> {
    let [height, width] = shape.input;
    let row = u32::try_from(row).ok().filter(|r| *r < height)?;
    let column = u32::try_from(column).ok().filter(|c| *c < width)?;
    let start = (row as usize).wrapping_mul(width as usize).wrapping_add(column as usize);
    source.get(start.wrapping_mul(shape.inner as usize)..)?.get(..shape.inner as usize)
}

/// Copies the first tap of both axes; weights do not count.
///
/// # Shapes
/// See [`Resample`].
pub fn resample_nearest<T: Copy>(shape: &Resample, taps: [Taps<'_>; 2], source: &[T], target: &mut [T]) -> Option<()> {
    for_each_pixel(shape, taps, 1, source, target, |target, row, column, source| {
        let from = pixel(shape, source, *row.elements.first()?, *column.elements.first()?)?;
        for (t, s) in target.iter_mut().zip(from) {
            *t = *s;
        }
        Some(())
    })
}

/// Weighted sums in float32; positions beyond the input get `beyond`.
///
/// # Shapes
/// See [`Resample`].
///
/// # Algorithm
/// `sum over the taps of the first axis, then of the second, of (weight * weight) * value`, from 0.
pub fn resample_f32(
    shape: &Resample,
    taps: [Taps<'_>; 2],
    beyond: f32,
    source: &[f32],
    target: &mut [f32],
) -> Option<()> {
    for_each_pixel(shape, taps, 1.0f32.to_bits() as i32, source, target, |target, row, column, source| {
        if row.is_beyond() || column.is_beyond() {
            target.fill(beyond);
            return Some(());
        }
        target.fill(0.0);
        for (y, row_weight) in row.taps() {
            for (x, weight) in column.taps() {
                let weight = f32::from_bits(row_weight as u32) * f32::from_bits(weight as u32);
                for (t, s) in target.iter_mut().zip(pixel(shape, source, y, x)?) {
                    *t += weight * *s;
                }
            }
        }
        Some(())
    })
}

/// Weighted sums in int8, rounded once, ties toward plus infinity. Input and output have one quantization.
///
/// # Shapes
/// See [`Resample`].
///
/// # Units and ranges
/// Weights of a position are not negative and add up to 2^[`WEIGHT_BITS`], so the zero point stays what it is.
pub fn resample_i8(shape: &Resample, taps: [Taps<'_>; 2], source: &[i8], target: &mut [i8]) -> Option<()> {
    const HALF: i32 = 1 << (2 * WEIGHT_BITS - 1);
    for_each_pixel(shape, taps, 1 << WEIGHT_BITS, source, target, |target, row, column, source| {
        for (i, t) in target.iter_mut().enumerate() {
            let mut sum = HALF;
            for (y, row_weight) in row.taps() {
                for (x, weight) in column.taps() {
                    let value = *pixel(shape, source, y, x)?.get(i)?;
                    sum = sum.wrapping_add(row_weight.wrapping_mul(weight).wrapping_mul(i32::from(value)));
                }
            }
            *t = (sum >> (2 * WEIGHT_BITS)).clamp(-128, 127) as i8;
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Taps<'static> = Taps { table: &[], n: 0 };

    #[test]
    fn one_axis_is_resampled_and_the_other_kept() {
        let shape = Resample { outer: 1, input: [2, 2], output: [2, 3], inner: 1 }.check().unwrap();
        let half = 1 << 10;
        let table = [0, 0, 2048, 0, 0, 1, half, half, 1, 1, 0, 2048];
        let mut found = [0; 6];
        resample_i8(&shape, [NONE, Taps { table: &table, n: 2 }], &[1, 4, -1, -128], &mut found).unwrap();
        assert_eq!(found, [1, 3, 4, -1, -64, -128]);
        resample_nearest(&shape, [NONE, Taps { table: &table, n: 2 }], &[1, 4, -1, -128], &mut found).unwrap();
        assert_eq!(found, [1, 1, 4, -1, -1, -128]);

        let [one, half] = [1.0f32, 0.5].map(|w| w.to_bits() as i32);
        let table = [0, 0, one, 0, 0, 1, half, half, -1, 0, 0, 0];
        let mut found = [0.0; 6];
        resample_f32(&shape, [NONE, Taps { table: &table, n: 2 }], 7.0, &[1.0, 4.0, -1.0, -8.0], &mut found).unwrap();
        assert_eq!(found, [1.0, 2.5, 7.0, -1.0, -4.5, 7.0]);
    }

    #[test]
    fn elements_that_do_not_exist_are_an_error() {
        let shape = Resample { outer: 1, input: [2, 2], output: [1, 2], inner: 1 };
        for element in [2, i32::MAX, -1] {
            let taps = [Taps { table: &[element, 2048], n: 1 }, NONE];
            assert_eq!(resample_i8(&shape, taps, &[1, 2, 3, 4], &mut [0; 2]), None);
            assert_eq!(resample_nearest(&shape, taps, &[1, 2, 3, 4], &mut [0; 2]), None);
        }
    }
}
