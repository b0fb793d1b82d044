//! Reductions, choices and normalizations: many elements decide about one.
//!
//! Axes in parameters are counted in shapes right-aligned to rank 5. An axis that a model gives at run time is an operand;
//! the shape of the result is fixed all the same, and a run whose axes lead to another one ends with an error.

pub mod cumulative_sum;
pub mod non_max_suppression;
pub mod normalization;
pub mod reduce;
pub mod selection;

use crate::image::TensorView;
use crate::image::bytes::u8_at;
use crate::kernels::geometry::Lanes;
use crate::tensor::MAX_RANK;

const AXIS_RULE: &str = "its axis is not one of its input";
const SHAPE_RULE: &str = "its input and output do not fit together";

/// The lanes of a tensor along the axis that is the first parameter.
fn lanes(parameters: &[u8], x: &TensorView) -> Option<Lanes> {
    Lanes::new(x.shape.broadcast_dims(), usize::from(u8_at(parameters, 0)?))
}

/// An axis as ONNX counts it, perhaps from behind, in shapes right-aligned to rank 5.
fn right_aligned(axis: i64, rank: usize) -> Option<usize> {
    let from_front = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    let axis = usize::try_from(from_front).ok().filter(|&axis| axis < rank)?;
    axis.checked_add(MAX_RANK.checked_sub(rank)?)
}
