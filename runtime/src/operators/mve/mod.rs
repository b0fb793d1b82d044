//! Operators whose weights are packed for Helium, see [`crate::kernels::mve`].

pub mod add;
pub mod conv_2d;
pub mod depthwise_conv_2d;
pub mod fully_connected;
pub mod pool_2d;

use super::StepOperands;
use super::limits::{LimitsI8, zero_point_i8};
use super::window::{self, WindowRecord};
use crate::image::bytes::RecordWriter;
use crate::kernels::geometry::Window2d;
use crate::tensor::ElementType;

/// Parameters of convolutions and depthwise convolutions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowedMveRecord {
    /// Geometry.
    pub window: WindowRecord,
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl WindowedMveRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        self.limits.put(window::SIZE, self.window.put(RecordWriter::default()))
    }
}

/// The window between input 0 and output 0, unchecked.
fn window_of(operands: &StepOperands<'_>) -> Option<Window2d> {
    let (input, output) = (operands.input(0, ElementType::I8).ok()?, operands.output(0, ElementType::I8).ok()?);
    WindowRecord::view(operands.parameters())?.geometry(&input, &output)
}

/// Checks the stream of packed weights, input 1, the zero point of the input, and zero point and limits of the output.
fn check_stream(operands: &StepOperands<'_>, n_words: usize, limits_at: usize) -> Result<(), &'static str> {
    operands.constant::<u32>(1, ElementType::I32, n_words)?;
    zero_point_i8(&operands.input(0, ElementType::I8)?).ok_or("a zero point is out of range")?;
    LimitsI8::check(operands, limits_at)?;
    Ok(())
}

/// Checks that the plan gives the scratch that the kernel needs.
fn check_scratch(operands: &StepOperands<'_>, n_bytes: usize) -> Result<(), &'static str> {
    if operands.scratch_bytes() < n_bytes { Err("its scratch is too small") } else { Ok(()) }
}
