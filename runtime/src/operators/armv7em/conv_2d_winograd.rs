//! Convolution over NHWC with 3x3 windows by Winograd's minimal filtering, for the DSP extension.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of blocks of two channels (kernels/armv7em/layout/winograd.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream};
use crate::kernels::armv7em::layout::Winograd;
use crate::kernels::armv7em::winograd::conv_2d_winograd_i8;
use crate::kernels::geometry::Conv2d;
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8 with per-channel weights; parameters are a [`super::conv_2d::WindowedArmv7emRecord`].
pub static CONV_2D_WINOGRAD_I8_ARMV7EM: Operator =
    Operator { code: 0x0113, name: "conv_2d_winograd_i8_armv7em", in_place: InPlace::Never, check, run };

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let input = operands.arena_input(0, ElementType::I8)?;
    let output = operands.output(0, ElementType::I8)?;
    let window = WindowRecord::view(operands.parameters()).and_then(|r| r.geometry(&input, &output));
    let conv = window.and_then(|window| Conv2d { window, groups: 1 }.check()).ok_or(WINDOW_RULE)?;
    let shapes = Winograd::new(&conv.window).ok_or(WINDOW_RULE)?;
    zero_point_i8(&input).ok_or("a zero point is out of range")?;
    check_stream(operands, shapes.stream_words(), window::SIZE)?;
    check_scratch(operands, shapes.scratch_bytes())?;
    Ok(conv.macs())
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let input = ctx.input(0)?;
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &ctx.output(0)?)?;
    let limits = LimitsI8::of(ctx, window::SIZE)?;
    let stream = ctx.constant(1)?;
    conv_2d_winograd_i8(&window, zero_point_i8(&input)? as i8, [limits.min, limits.max], stream, ctx.placed()?)
}
