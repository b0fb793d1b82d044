//! Depthwise convolution over NHWC, with 3x3 windows and with others, for the DSP extension.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of one block per channel (kernels/armv7em/layout.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream};
use crate::kernels::Placed;
use crate::kernels::armv7em::depthwise_conv_2d::{depthwise_conv_2d_i8, depthwise_windows_i8};
use crate::kernels::armv7em::layout::{DEPTHWISE_WORDS, WindowPlane, depthwise_scratch_bytes, is_depthwise_3x3};
use crate::kernels::geometry::Window2d;
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8 with per-channel weights; parameters are a [`super::conv_2d::WindowedArmv7emRecord`].
pub static DEPTHWISE_CONV_2D_I8_ARMV7EM: Operator =
    Operator { code: 0x0122, name: "depthwise_conv_2d_i8_armv7em", in_place: InPlace::SameStart, check, run };

/// int8 with per-channel weights and windows of any size without dilation; parameters as of
/// [`DEPTHWISE_CONV_2D_I8_ARMV7EM`].
pub static DEPTHWISE_WINDOWS_I8_ARMV7EM: Operator = Operator {
    code: 0x0123,
    name: "depthwise_windows_i8_armv7em",
    in_place: InPlace::SameStart,
    check: check_windows,
    run: run_windows,
};

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let window = geometry(operands).filter(is_depthwise_3x3).ok_or(WINDOW_RULE)?;
    checked(operands, &window, DEPTHWISE_WORDS, depthwise_scratch_bytes(&window))
}

fn check_windows(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let window = geometry(operands).ok_or(WINDOW_RULE)?;
    let plane = WindowPlane::new(&window).ok_or(WINDOW_RULE)?;
    checked(operands, &window, plane.words(), plane.cells().saturating_mul(2))
}

fn geometry(operands: &StepOperands<'_>) -> Option<Window2d> {
    let (input, output) = (operands.any_input(0)?, operands.any_output(0)?);
    WindowRecord::view(operands.parameters())?.geometry(&input, &output)?.check()
}

/// Checks all but the window; gives the work.
fn checked(
    operands: &StepOperands<'_>,
    window: &Window2d,
    block_words: usize,
    scratch_bytes: usize,
) -> Result<u64, &'static str> {
    let input = operands.input(0, ElementType::I8)?;
    operands.output(0, ElementType::I8)?;
    zero_point_i8(&input).ok_or("a zero point is out of range")?;
    check_stream(operands, (window.input[2] as usize).saturating_mul(block_words), window::SIZE)?;
    check_scratch(operands, scratch_bytes)?;
    Ok((window.output_elements() as u64).saturating_mul(window.kernel_elements() as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    run_with(ctx, depthwise_conv_2d_i8)
}

fn run_windows(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    run_with(ctx, depthwise_windows_i8)
}

#[inline(always)]
fn run_with(
    ctx: &mut StepContext<'_, '_>,
    kernel: impl Fn(&Window2d, i8, [i8; 2], &[u32], Placed<'_, i8>) -> Option<()>,
) -> Option<()> {
    let input = ctx.input(0)?;
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &ctx.output(0)?)?;
    let limits = LimitsI8::of(ctx, window::SIZE)?;
    let stream = ctx.constant(1)?;
    kernel(&window, zero_point_i8(&input)? as i8, [limits.min, limits.max], stream, ctx.placed()?)
}
