//! Depthwise convolution over NHWC, with small windows and with others, for Helium.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of one block per channel (kernels/mve/layout.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream, window_of};
use crate::kernels::Placed;
use crate::kernels::geometry::Window2d;
use crate::kernels::mve::depthwise_conv_2d::{depthwise_conv_2d_i8, depthwise_windows_i8};
use crate::kernels::mve::layout::DEPTHWISE_WORDS;
use crate::kernels::mve::plane::Plane;
use crate::kernels::parameters::OutputI8;
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};

/// int8 with per-channel weights, two outputs with up to sixteen taps together; parameters are a
/// [`super::WindowedMveRecord`].
pub static DEPTHWISE_CONV_2D_I8_MVE: Operator =
    Operator { code: 0x0222, name: "depthwise_conv_2d_i8_mve", in_place: InPlace::SameStart, check, run };

/// int8 with per-channel weights and windows of any size; parameters as of [`DEPTHWISE_CONV_2D_I8_MVE`].
pub static DEPTHWISE_WINDOWS_I8_MVE: Operator = Operator {
    code: 0x0223,
    name: "depthwise_windows_i8_mve",
    in_place: InPlace::SameStart,
    check: check_windows,
    run: run_windows,
};

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let window = window_of(operands).and_then(Window2d::check).ok_or(WINDOW_RULE)?;
    let plane = Plane::new(&window).ok_or(WINDOW_RULE)?;
    checked(operands, &window, DEPTHWISE_WORDS, plane.bytes())
}

fn check_windows(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let window = window_of(operands).and_then(Window2d::check).ok_or(WINDOW_RULE)?;
    let plane = Plane::in_chunks(&window).ok_or(WINDOW_RULE)?;
    checked(operands, &window, plane.words(), plane.bytes())
}

/// Checks all but the window; gives the work.
fn checked(
    operands: &StepOperands<'_>,
    window: &Window2d,
    block_words: usize,
    scratch_bytes: usize,
) -> Result<u64, &'static str> {
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

/// A kernel: window, padding, output, stream, places.
type Kernel = fn(&Window2d, i8, OutputI8, &[u32], Placed<'_, i8>) -> Option<()>;

#[inline(always)]
fn run_with(ctx: &mut StepContext<'_, '_>, kernel: Kernel) -> Option<()> {
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &output)?;
    let limits = LimitsI8::output(ctx.parameters(), window::SIZE, output.quantization.zero_point)?;
    let stream = ctx.constant(1)?;
    let padding = zero_point_i8(&input)? as i8;
    kernel(&window, padding, limits, stream, ctx.placed_as(&input, &output)?)
}
