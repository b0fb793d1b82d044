//! Kernels see slices and numbers, never an image.

mod operand;
pub use operand::Operand;
