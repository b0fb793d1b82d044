//! A tensor whose next shape the model gives at run time, checked against the one that the image was made for.
//!
//! ```text
//! inputs:     x of any type, numbers (int32 or int64): a shape or axes
//! output:     x
//! parameters: 0 rule u8   1 rank u8   2 reserved   4 dims u32[5], those behind the rank 1 .. 24
//! ```
//! Numbers that lead to other dimensions end the run.

use super::{Integers, check_integers};
use crate::image::bytes::{RecordWriter, u8_at, u32_at};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::{MAX_RANK, Shape};

/// Passes x on.
pub static SHAPE_GIVEN: Operator =
    Operator { code: 0x0450, name: "shape_given", in_place: InPlace::SameRange, check, run };

/// How numbers lead to dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ShapeRule {
    /// They are the dimensions: -1 is the one that is left, 0 that of x.
    Reshape = 0,
    /// They are the dimensions: -1 is the one that is left.
    ReshapeAllowZero = 1,
    /// They are axes of x with one element, which are left out.
    Squeeze = 2,
    /// They are axes of the result with one element.
    Unsqueeze = 3,
    /// x is broadcast to them.
    Expand = 4,
}

impl ShapeRule {
    fn from_code(code: u8) -> Option<Self> {
        let all = [Self::Reshape, Self::ReshapeAllowZero, Self::Squeeze, Self::Unsqueeze, Self::Expand];
        all.into_iter().find(|rule| *rule as u8 == code)
    }

    /// Whether the numbers lead from one shape to the other.
    fn holds(self, from: &[u32], numbers: &[i64], to: &[u32]) -> bool {
        match self {
            ShapeRule::Reshape | ShapeRule::ReshapeAllowZero => {
                let fits = |(i, (number, to)): (usize, (&i64, &u32))| match number {
                    -1 => true,
                    0 => self == ShapeRule::Reshape && from.get(i) == Some(to),
                    number => *number == i64::from(*to),
                };
                let left = numbers.iter().filter(|n| **n == -1).count();
                numbers.len() == to.len() && left <= 1 && numbers.iter().zip(to).enumerate().all(fits)
            }
            ShapeRule::Squeeze => without(from, numbers).is_some_and(|left| left.matches(to)),
            ShapeRule::Unsqueeze => without(to, numbers).is_some_and(|left| left.matches(from)),
            ShapeRule::Expand => {
                let rank = from.len().max(numbers.len());
                let fits = |(i, to): (usize, &u32)| {
                    let own = from.iter().rev().nth(i).copied().map_or(1, i64::from);
                    let wanted = numbers.iter().rev().nth(i).copied().unwrap_or(1);
                    let to = i64::from(*to);
                    (own == to && (wanted == to || wanted == 1)) || (own == 1 && wanted == to)
                };
                to.len() == rank && to.iter().rev().enumerate().all(fits)
            }
        }
    }
}

/// The dimensions without axes of one element.
struct Left {
    dims: [u32; MAX_RANK],
    n: usize,
}

impl Left {
    fn matches(&self, dims: &[u32]) -> bool {
        self.dims.get(..self.n) == Some(dims)
    }
}

fn without(dims: &[u32], axes: &[i64]) -> Option<Left> {
    let rank = i64::try_from(dims.len()).ok()?;
    let mut named = 0u32;
    for axis in axes {
        let axis = if *axis < 0 { axis.checked_add(rank)? } else { *axis };
        if !(0..rank).contains(&axis) || named & (1 << axis) != 0 {
            return None;
        }
        named |= 1 << axis;
    }
    let mut left = Left { dims: [1; MAX_RANK], n: 0 };
    for (axis, dim) in dims.iter().enumerate() {
        if named & (1 << axis) == 0 {
            *left.dims.get_mut(left.n)? = *dim;
            left.n = left.n.wrapping_add(1);
        } else if *dim != 1 {
            return None;
        }
    }
    Some(left)
}

/// Parameters of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeGivenRecord {
    /// How numbers lead to dimensions.
    pub rule: ShapeRule,
    /// The dimensions.
    pub shape: Shape,
}

impl ShapeGivenRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        let writer = RecordWriter::default().put(0, &[self.rule as u8, self.shape.rank() as u8]);
        let dims = self.shape.dims().iter().copied().chain(core::iter::repeat(1)).take(MAX_RANK);
        dims.zip((4usize..).step_by(4)).fold(writer, |writer, (dim, at)| writer.put(at, &dim.to_le_bytes())).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let mut dims = [0; MAX_RANK];
        for (dim, at) in dims.iter_mut().zip((4usize..).step_by(4)) {
            *dim = u32_at(parameters, at)?;
        }
        let shape = Shape::padded(dims, u8_at(parameters, 1)?)?;
        Some(ShapeGivenRecord { rule: ShapeRule::from_code(u8_at(parameters, 0)?)?, shape })
    }
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let input = operands.any_input(0).ok_or("an input is missing")?;
    let output = operands.any_output(0).ok_or("an output is missing")?;
    if input.element_type != output.element_type || input.n_bytes() != output.n_bytes() {
        return Err("its input and output differ in type or length");
    }
    check_integers(operands, 1)?;
    let record = ShapeGivenRecord::view(operands.parameters()).ok_or("unknown rule, or no shape")?;
    if record.rule != ShapeRule::Expand && record.shape.n_elements() != input.shape.n_elements() {
        return Err("its shapes differ in length");
    }
    Ok(input.n_bytes() as u64)
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let record = ShapeGivenRecord::view(ctx.parameters())?;
    let numbers = Integers::read(ctx, 1)?;
    if !record.rule.holds(ctx.input(0)?.shape.dims(), numbers.values(), record.shape.dims()) {
        return None;
    }
    if ctx.arena_elements::<u8>(0) != ctx.output_elements::<u8>(0) {
        let map = ctx.map::<u8, u8>(0, 0)?;
        for (y, x) in map.output.iter_mut().zip(map.input) {
            *y = *x;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_to_shapes_as_onnx_says() {
        use ShapeRule::*;
        for (rule, from, numbers, to, expected) in [
            (Reshape, &[2, 3, 4][..], &[0, -1][..], &[2, 12][..], true),
            (Reshape, &[2, 3, 4], &[24], &[24], true),
            (Reshape, &[2, 3, 4], &[-1, -1], &[2, 12], false),
            (Reshape, &[2, 3, 4], &[12, 2], &[2, 12], false),
            (Reshape, &[2, 3, 4], &[2, 12, 1], &[2, 12], false),
            (ReshapeAllowZero, &[2, 3, 4], &[0, 12], &[2, 12], false),
            (Squeeze, &[1, 3, 1], &[-1], &[1, 3], true),
            (Squeeze, &[1, 3, 1], &[2, 0], &[3], true),
            (Squeeze, &[1, 3, 1], &[1], &[1, 1], false),
            (Squeeze, &[1, 3, 1], &[0, -3], &[3, 1], false),
            (Squeeze, &[1, 3, 1], &[3], &[1, 3], false),
            (Unsqueeze, &[3], &[0, -1], &[1, 3, 1], true),
            (Unsqueeze, &[3], &[0], &[1, 3, 1], false),
            (Expand, &[3, 1], &[2, 1, 6], &[2, 3, 6], true),
            (Expand, &[3, 4], &[1], &[3, 4], true),
            (Expand, &[3, 4], &[2, 4], &[3, 4], false),
            (Expand, &[3, 1], &[3, 2], &[3, 4], false),
        ] {
            assert_eq!(rule.holds(from, numbers, to), expected, "{rule:?} {from:?} {numbers:?} {to:?}");
        }
    }
}
