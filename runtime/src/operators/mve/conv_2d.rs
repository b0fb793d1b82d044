//! Convolution over NHWC with one group, for Helium.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of blocks of four channels (kernels/mve/layout.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream, window_of};
use crate::kernels::geometry::Conv2d;
use crate::kernels::mve::conv_2d::conv_2d_i8;
use crate::kernels::mve::layout::{conv_2d_lead_bytes, conv_2d_scratch_bytes, is_convolution, stream_words};
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};

/// int8 with per-channel weights; parameters are a [`super::WindowedMveRecord`].
pub static CONV_2D_I8_MVE: Operator =
    Operator { code: 0x0212, name: "conv_2d_i8_mve", in_place: InPlace::Lead(lead), check, run };

fn geometry(operands: &StepOperands<'_>) -> Option<Conv2d> {
    Conv2d { window: window_of(operands)?, groups: 1 }.check().filter(is_convolution)
}

fn lead(operands: &StepOperands<'_>) -> Option<u32> {
    geometry(operands).map(|conv| conv_2d_lead_bytes(&conv))
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let conv = geometry(operands).ok_or(WINDOW_RULE)?;
    check_stream(operands, stream_words(conv.filter_elements(), conv.window.output[2] as usize), window::SIZE)?;
    check_scratch(operands, conv_2d_scratch_bytes(&conv))?;
    Ok(conv.macs())
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &output)?;
    let limits = LimitsI8::output(ctx.parameters(), window::SIZE, output.quantization.zero_point)?;
    let stream = ctx.constant(1)?;
    let padding = zero_point_i8(&input)? as i8;
    conv_2d_i8(&Conv2d { window, groups: 1 }, padding, limits, stream, ctx.placed_as(&input, &output)?)
}
