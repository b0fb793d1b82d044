//! Transposed convolution over NHWC, with groups.
//!
//! ```text
//! inputs int8:    x [1, H, W, C], weights OHWI, bias i32 [O], multipliers i32 [O], shifts u8 [O]
//! inputs float32: x [1, H, W, C], weights GHWIO, bias f32 [O]
//! parameters:     window (20 bytes), 20 groups u32, 24 limits (2 or 8 bytes)
//! ```
//! The window is that of the convolution that is transposed. The int8 bias does not hold the input's zero point.

use super::conv_2d::{self, Conv2dRecord, LIMITS_AT};
use super::limits::{LimitsF32, channels_i8, check_channels_i8};
use super::window::WINDOW_RULE;
use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::kernels::geometry::ConvTranspose2d;
use crate::kernels::portable::{conv_transpose_2d_f32, conv_transpose_2d_i8};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static CONV_TRANSPOSE_2D_I8: Operator =
    Operator { code: 0x0602, name: "conv_transpose_2d_i8", in_place: InPlace::Never, check: check_i8, run: run_i8 };

/// float32.
pub static CONV_TRANSPOSE_2D_F32: Operator =
    Operator { code: 0x0601, name: "conv_transpose_2d_f32", in_place: InPlace::Never, check: check_f32, run: run_f32 };

/// Parameters of both precisions: those of a convolution.
pub type ConvTranspose2dRecord<L> = Conv2dRecord<L>;

fn geometry(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<ConvTranspose2d> {
    let conv = conv_2d::geometry(parameters, input, output)?;
    Some(ConvTranspose2d { window: conv.window, groups: conv.groups })
}

fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<(ConvTranspose2d, u64), &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    let conv = geometry(operands.parameters(), &input, &output).and_then(ConvTranspose2d::check).ok_or(WINDOW_RULE)?;
    // Pixels that no tap reaches take time too.
    Ok((conv, conv.macs().saturating_add(conv.window.output_elements() as u64)))
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (conv, work) = checked(operands, ElementType::I8)?;
    operands.constant::<i8>(1, ElementType::I8, conv.weight_elements())?;
    check_channels_i8(operands, LIMITS_AT, conv.window.output[2] as usize)?;
    Ok(work)
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let conv = geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let channels = channels_i8(ctx, LIMITS_AT)?;
    let weights = ctx.constant(1)?;
    let map = ctx.map(0, 0)?;
    conv_transpose_2d_i8(&conv, &channels, map.input, weights, map.output)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (conv, work) = checked(operands, ElementType::F32)?;
    operands.constant::<f32>(1, ElementType::F32, conv.weight_elements())?;
    operands.constant::<f32>(2, ElementType::F32, conv.window.output[2] as usize)?;
    LimitsF32::check(operands.parameters(), LIMITS_AT)?;
    Ok(work)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let conv = geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let limits = LimitsF32::view(ctx.parameters(), LIMITS_AT)?.output();
    let (weights, bias) = (ctx.constant(1)?, ctx.constant(2)?);
    let map = ctx.map(0, 0)?;
    conv_transpose_2d_f32(&conv, &limits, map.input, weights, bias, map.output)
}
