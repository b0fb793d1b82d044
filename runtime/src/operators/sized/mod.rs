//! Movement of elements of 1, 2, 4 or 8 bytes, whatever they mean: one operator for each size.
//!
//! What moves keeps its element type and its quantization. Numbers that a model gives at run time (starts, pads, a
//! diagonal) are operands in the arena; the shape of the result is fixed all the same, and a run whose numbers lead to
//! another one ends with an error.

pub mod border;
pub mod concat;
pub mod gather;
pub mod one_hot;
pub mod resample;
pub mod resize_table;
pub mod shape_given;
pub mod slice;
pub mod trilu;
pub mod view;

use super::{Operator, StepContext, StepOperands};
use crate::image::TensorView;
use crate::tensor::{ElementType, MAX_RANK};

/// One operator per element size, with one check and one generic run.
macro_rules! sized {
    ($check:ident, $run:ident; $($(#[$doc:meta])* $name:ident: $element:ty = $code:literal, $text:literal;)*) => {
        $($(#[$doc])*
        pub static $name: $crate::operators::Operator = $crate::operators::Operator {
            code: $code,
            name: $text,
            in_place: $crate::operators::InPlace::Never,
            check: |operands| $check(operands, size_of::<$element>()),
            run: $run::<$element>,
        };)*
    };
}
use sized;

/// The operator of this element size among four of them, smallest first.
pub fn of_size(operators: [&'static Operator; 4], element_type: ElementType) -> &'static Operator {
    let [b1, b2, b4, b8] = operators;
    match element_type.size_bytes() {
        1 => b1,
        2 => b2,
        4 => b4,
        _ => b8,
    }
}

/// Input `i` and output 0, which have one element type of this size and one quantization.
fn moved(operands: &StepOperands<'_>, i: usize, size_bytes: usize) -> Result<(TensorView, TensorView), &'static str> {
    let input = operands.any_input(i).ok_or("an input is missing")?;
    let output = operands.any_output(0).ok_or("an output is missing")?;
    if input.element_type.size_bytes() != size_bytes {
        return Err("an input has the wrong element type");
    }
    if input.element_type != output.element_type {
        return Err("its input and output differ in element type");
    }
    if input.quantization != output.quantization {
        return Err("its input and output differ in quantization");
    }
    Ok((input, output))
}

/// Most integers that an operand with numbers for the operator has: two for each axis.
const MOST: usize = 2 * MAX_RANK;

/// Whether input `i` is a list of at most [`MOST`] int32 or int64.
fn check_integers(operands: &StepOperands<'_>, i: usize) -> Result<(), &'static str> {
    let tensor = operands.any_input(i).ok_or("an input is missing")?;
    match tensor.element_type {
        ElementType::I32 | ElementType::I64 if tensor.shape.n_elements() <= MOST => Ok(()),
        ElementType::I32 | ElementType::I64 => Err("an operand has too many numbers"),
        _ => Err("an operand that must be integers is not"),
    }
}

/// The integers of an operand.
#[derive(Clone, Copy, Debug)]
struct Integers {
    values: [i64; MOST],
    n: usize,
}

impl Integers {
    /// Input `i`, which [`check_integers`] has accepted.
    fn read(ctx: &StepContext<'_, '_>, i: usize) -> Option<Self> {
        let tensor = ctx.input(i)?;
        let mut values = [0; MOST];
        let n = tensor.shape.n_elements();
        let slots = values.get_mut(..n)?;
        match tensor.element_type {
            ElementType::I64 => {
                for (slot, value) in slots.iter_mut().zip(ctx.values::<i64>(i)?) {
                    *slot = *value;
                }
            }
            ElementType::I32 => {
                for (slot, value) in slots.iter_mut().zip(ctx.values::<i32>(i)?) {
                    *slot = i64::from(*value);
                }
            }
            _ => return None,
        }
        Some(Integers { values, n })
    }

    /// Input `i` where there is one.
    fn read_optional(ctx: &StepContext<'_, '_>, i: Option<usize>) -> Option<Option<Self>> {
        match i {
            Some(i) => Some(Some(Self::read(ctx, i)?)),
            None => Some(None),
        }
    }

    fn values(&self) -> &[i64] {
        self.values.get(..self.n).unwrap_or(&[])
    }
}

/// An axis of a tensor of this rank, counted in shapes right-aligned to [`MAX_RANK`].
fn right_aligned(axis: i64, rank: usize) -> Option<usize> {
    let from_front = if axis < 0 { axis.checked_add(i64::try_from(rank).ok()?)? } else { axis };
    let axis = usize::try_from(from_front).ok().filter(|a| *a < rank)?;
    MAX_RANK.checked_sub(rank)?.checked_add(axis)
}
