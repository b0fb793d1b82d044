//! Depthwise convolution with up to sixteen taps over NHWC, for Helium.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of one block per channel (kernels/mve/layout.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream, window_of};
use crate::kernels::geometry::Window2d;
use crate::kernels::mve::depthwise_conv_2d::depthwise_conv_2d_i8;
use crate::kernels::mve::layout::DEPTHWISE_WORDS;
use crate::kernels::mve::plane::Plane;
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};

/// int8 with per-channel weights; parameters are a [`super::WindowedMveRecord`].
pub static DEPTHWISE_CONV_2D_I8_MVE: Operator =
    Operator { code: 0x0222, name: "depthwise_conv_2d_i8_mve", in_place: InPlace::SameStart, check, run };

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let window = window_of(operands).and_then(Window2d::check).ok_or(WINDOW_RULE)?;
    let plane = Plane::new(&window).ok_or(WINDOW_RULE)?;
    check_stream(operands, (window.input[2] as usize).saturating_mul(DEPTHWISE_WORDS), window::SIZE)?;
    check_scratch(operands, plane.bytes())?;
    Ok((window.output_elements() as u64).saturating_mul(window.kernel_elements() as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &output)?;
    let limits = LimitsI8::output(ctx.parameters(), window::SIZE, output.quantization.zero_point)?;
    let stream = ctx.constant(1)?;
    let padding = zero_point_i8(&input)? as i8;
    depthwise_conv_2d_i8(&window, padding, limits, stream, ctx.placed_as(&input, &output)?)
}
