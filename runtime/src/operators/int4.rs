//! Layers on int8 activations with int4 weights.
//!
//! ```text
//! inputs:                     x, weights u8, bias i32 [O], multipliers i32 [O], shifts u8 [O]
//! weights:                    OHWI or [O, I], two in a byte, the first in the low four bits; each of the O filters
//!                             starts at a byte
//! scratch:                    one filter, a weight per byte
//! parameters convolution:     window (20 bytes), 20 groups u32, 24 limits (2 bytes) .. 28
//! parameters fully connected: 0 limits (2 bytes) .. 4
//! ```
//! A depthwise convolution is one with as many groups as input channels.

use super::conv_2d::{self, LIMITS_AT};
use super::limits::{channels_i8, check_channels_i8};
use super::window::WINDOW_RULE;
use super::{InPlace, Operator, StepContext, StepOperands};
use crate::kernels::geometry::{Conv2d, MAX_ELEMENTS};
use crate::kernels::portable::int4::{conv_2d_i4, fully_connected_i4, packed_bytes};
use crate::tensor::ElementType;

/// Convolution over NHWC, with groups. Parameters are those of [`Conv2dRecord`](super::conv_2d::Conv2dRecord).
pub static CONV_2D_I4: Operator =
    Operator { code: 0x0901, name: "conv_2d_i4", in_place: InPlace::Never, check: check_conv, run: run_conv };

/// Fully connected layer over the last axis. Parameters are those of
/// [`FullyConnectedRecord`](super::fully_connected::FullyConnectedRecord).
pub static FULLY_CONNECTED_I4: Operator = Operator {
    code: 0x0902,
    name: "fully_connected_i4",
    in_place: InPlace::Never,
    check: check_fully_connected,
    run: run_fully_connected,
};

/// Weights of `n` filters, and scratch for one of them.
fn check_filters(operands: &StepOperands<'_>, elements: usize, n: usize) -> Result<(), &'static str> {
    let bytes = packed_bytes(elements).checked_mul(n).filter(|&n| n <= MAX_ELEMENTS as usize);
    operands.constant::<u8>(1, ElementType::U8, bytes.ok_or("it has too many weights")?)?;
    if operands.scratch_bytes() < elements { Err("its scratch is too small") } else { Ok(()) }
}

fn check_conv(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I8)?, operands.output(0, ElementType::I8)?);
    let conv = conv_2d::geometry(operands.parameters(), &input, &output).and_then(Conv2d::check).ok_or(WINDOW_RULE)?;
    let n_outputs = conv.window.output[2] as usize;
    check_filters(operands, conv.filter_elements(), n_outputs)?;
    check_channels_i8(operands, LIMITS_AT, n_outputs)?;
    let unpacked = (conv.filter_elements() as u64).saturating_mul(n_outputs as u64);
    Ok(conv.macs().saturating_add(unpacked))
}

fn run_conv(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let conv = conv_2d::geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let channels = channels_i8(ctx, LIMITS_AT)?;
    let weights = ctx.constant(1)?;
    let map = ctx.map(0, 0)?;
    let filter = bytemuck::try_cast_slice_mut(map.scratch).ok()?;
    conv_2d_i4(&conv, &channels, map.input, weights, filter, map.output)
}

fn check_fully_connected(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I8)?.shape, operands.output(0, ElementType::I8)?.shape);
    let (n_inputs, n_outputs) = (input.last(), output.last());
    if input.n_elements().checked_div(n_inputs) != output.n_elements().checked_div(n_outputs) {
        return Err("its input and output have different numbers of rows");
    }
    check_filters(operands, n_inputs, n_outputs)?;
    check_channels_i8(operands, 0, n_outputs)?;
    let n_weights = (n_inputs as u64).saturating_mul(n_outputs as u64);
    Ok((output.n_elements() as u64).saturating_mul(n_inputs as u64).saturating_add(n_weights))
}

fn run_fully_connected(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n_inputs = ctx.input(0)?.shape.last();
    let channels = channels_i8(ctx, 0)?;
    let weights = ctx.constant(1)?;
    let map = ctx.map(0, 0)?;
    let filter = bytemuck::try_cast_slice_mut(map.scratch).ok()?;
    fully_connected_i4(n_inputs, &channels, map.input, weights, filter, map.output)
}
