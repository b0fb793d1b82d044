//! Operators whose weights are packed for the DSP extension, see [`crate::kernels::armv7em`].

pub mod add;
pub mod conv_2d;
pub mod conv_2d_winograd;
pub mod depthwise_conv_2d;
pub mod fully_connected;
pub mod pool_2d;

use super::StepOperands;
use super::limits::LimitsI8;
use crate::tensor::ElementType;

/// Checks the stream of packed weights, input 1, and the limits of the output.
fn check_stream(operands: &StepOperands<'_>, n_words: usize, limits_at: usize) -> Result<(), &'static str> {
    operands.constant::<u32>(1, ElementType::I32, n_words)?;
    LimitsI8::check(operands, limits_at)?;
    Ok(())
}

/// Checks that the plan gives the scratch that the kernel needs.
fn check_scratch(operands: &StepOperands<'_>, n_bytes: usize) -> Result<(), &'static str> {
    if operands.scratch_bytes() < n_bytes { Err("its scratch is too small") } else { Ok(()) }
}
