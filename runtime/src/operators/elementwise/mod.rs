//! Elementwise operators of every element type.
//!
//! Each float32 function of one element is an operator of its own, so that a firmware links only those of its model.
//! Integers have one operator per type, with the function in its parameters.

pub mod binary_f32;
pub mod cast;
pub mod comparison;
pub mod integers;
pub mod select;
pub mod unary_f32;
