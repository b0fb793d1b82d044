//! Arithmetic on slices: one folder per instruction set, one contract for all.
//!
//! Kernels see slices and numbers, never an image. They have no panic path and allocate nothing. A kernel answers
//! `None` when a slice is shorter than its geometry says; operators check every length once, when a model is bound, so
//! that this never happens in a run. Integer sums wrap.
//!
//! # Definitions
//! - [`portable`] (safe Rust, always compiled) says what the right answer is, bit by bit, integers and floats alike.
//! - [`contract`] compares any other set of kernels with it.
//! - A NaN is a NaN: its sign and payload differ between processors and are not part of the contract.

pub mod armv7em;
pub mod contract;
pub mod geometry;
mod memory;
pub mod mve;
mod operand;
pub mod parameters;
pub mod portable;

pub use memory::{Activations, Apart};
pub use operand::{Operand, Placed};
