//! Depthwise convolution with 3x3 windows over NHWC, for the DSP extension.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of one block per channel (kernels/armv7em/layout.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream};
use crate::kernels::armv7em::depthwise_conv_2d::depthwise_conv_2d_i8;
use crate::kernels::armv7em::layout::{DEPTHWISE_WORDS, depthwise_scratch_bytes, is_depthwise_3x3};
use crate::kernels::geometry::Window2d;
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8 with per-channel weights; parameters are a [`super::conv_2d::WindowedArmv7emRecord`].
pub static DEPTHWISE_CONV_2D_I8_ARMV7EM: Operator =
    Operator { code: 0x0122, name: "depthwise_conv_2d_i8_armv7em", in_place: InPlace::SameStart, check, run };

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I8)?, operands.output(0, ElementType::I8)?);
    let window = WindowRecord::view(operands.parameters()).and_then(|r| r.geometry(&input, &output));
    let window = window.and_then(Window2d::check).filter(is_depthwise_3x3).ok_or(WINDOW_RULE)?;
    zero_point_i8(&input).ok_or("a zero point is out of range")?;
    check_stream(operands, (window.input[2] as usize).saturating_mul(DEPTHWISE_WORDS), window::SIZE)?;
    check_scratch(operands, depthwise_scratch_bytes(&window))?;
    Ok((window.output_elements() as u64).saturating_mul(window.kernel_elements() as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let input = ctx.input(0)?;
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &ctx.output(0)?)?;
    let limits = LimitsI8::of(ctx, window::SIZE)?;
    let stream = ctx.constant(1)?;
    depthwise_conv_2d_i8(&window, zero_point_i8(&input)? as i8, [limits.min, limits.max], stream, ctx.placed()?)
}
