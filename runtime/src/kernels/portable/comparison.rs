//! Comparisons with broadcasting: one byte, 0 or 1, for each pair.

use super::pairs;
use crate::kernels::geometry::StridedLoops;

/// How two elements are compared. With a NaN only [`Relation::NotEqual`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Relation {
    /// `a == b`
    Equal = 0,
    /// `a < b`
    Less = 1,
    /// `a <= b`
    LessOrEqual = 2,
    /// `a != b`
    NotEqual = 3,
}

impl Relation {
    /// The relation with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Equal, Self::Less, Self::LessOrEqual, Self::NotEqual].get(usize::from(code)).copied()
    }
}

/// Compares two operands with broadcasting.
///
/// # Shapes
/// `loops` over (a, b, output) from [`StridedLoops::broadcast`].
pub fn compare<T: Copy + PartialOrd>(
    loops: &StridedLoops<3>,
    relation: Relation,
    a: &[T],
    b: &[T],
    output: &mut [u8],
) -> Option<()> {
    match relation {
        Relation::Equal => pairs(loops, a, b, output, |a, b| u8::from(a == b)),
        Relation::Less => pairs(loops, a, b, output, |a, b| u8::from(a < b)),
        Relation::LessOrEqual => pairs(loops, a, b, output, |a, b| u8::from(a <= b)),
        Relation::NotEqual => pairs(loops, a, b, output, |a, b| u8::from(a != b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn pairs_are_compared_with_broadcasting() {
        let dims = |d: &[u32]| Shape::new(d).unwrap().broadcast_dims();
        let loops = StridedLoops::broadcast(dims(&[2, 1]), dims(&[3]), dims(&[2, 3])).unwrap();
        let (a, b) = ([1.0, f32::NAN], [0.5, 1.0, 2.0]);
        for (relation, expected) in [
            (Relation::Equal, [0, 1, 0, 0, 0, 0]),
            (Relation::Less, [0, 0, 1, 0, 0, 0]),
            (Relation::LessOrEqual, [0, 1, 1, 0, 0, 0]),
            (Relation::NotEqual, [1, 0, 1, 1, 1, 1]),
        ] {
            let mut output = [9; 6];
            compare(&loops, relation, &a, &b, &mut output).unwrap();
            assert_eq!(output, expected, "{relation:?}");
            assert_eq!(Relation::from_code(relation as u8), Some(relation));
            assert_eq!(compare(&loops, relation, &a, &b[..2], &mut output), None);
            assert_eq!(compare(&loops, relation, &a, &b, &mut output[..5]), None);
        }
        assert_eq!(Relation::from_code(4), None);
    }
}
