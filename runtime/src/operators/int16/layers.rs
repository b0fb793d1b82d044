//! Convolutions and fully connected layers.
//!
//! ```text
//! inputs:                  x, weights i8 as the int8 operators have them, bias i32 [O], multipliers i32 [O], shifts u8 [O]
//! parameters convolution:  window (20 bytes), 20 groups u32, 24 limits (4 bytes) .. 28
//! parameters depthwise:    window, 20 limits .. 24
//! parameters fully connected: 0 limits .. 4
//! ```

use super::{LimitsI16, check_symmetric};
use crate::fixed_point::Requantizer;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u32_at};
use crate::kernels::geometry::{Conv2d, MAX_ELEMENTS, Window2d};
use crate::kernels::portable::int16::{ChannelsI16, conv_2d_i16_on, depthwise_conv_2d_i16_on, fully_connected_i16};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord, lead};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// Convolution over NHWC, with groups.
pub static CONV_2D_I16: Operator =
    Operator { code: 0x0811, name: "conv_2d_i16", in_place: InPlace::Lead(lead), check: check_conv, run: run_conv };

/// Depthwise convolution over NHWC.
pub static DEPTHWISE_CONV_2D_I16: Operator = Operator {
    code: 0x0812,
    name: "depthwise_conv_2d_i16",
    in_place: InPlace::Lead(lead),
    check: check_depthwise,
    run: run_depthwise,
};

/// Fully connected layer over the last axis.
pub static FULLY_CONNECTED_I16: Operator = Operator {
    code: 0x0813,
    name: "fully_connected_i16",
    in_place: InPlace::Never,
    check: check_fully_connected,
    run: run_fully_connected,
};

/// Parameters of [`CONV_2D_I16`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dI16Record {
    /// Geometry.
    pub window: WindowRecord,
    /// Groups.
    pub groups: u32,
    /// Fused clamp.
    pub limits: LimitsI16,
}

impl Conv2dI16Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 28] {
        let writer = self.window.put(RecordWriter::default()).put(window::SIZE, &self.groups.to_le_bytes());
        self.limits.put(window::SIZE + 4, writer).finish()
    }
}

/// Parameters of [`DEPTHWISE_CONV_2D_I16`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthwiseI16Record {
    /// Geometry.
    pub window: WindowRecord,
    /// Fused clamp.
    pub limits: LimitsI16,
}

impl DepthwiseI16Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        self.limits.put(window::SIZE, self.window.put(RecordWriter::default())).finish()
    }
}

fn channels<'i>(ctx: &StepContext<'_, 'i>, limits_at: usize) -> Option<ChannelsI16<'i>> {
    Some(ChannelsI16 {
        bias: ctx.constant(2)?,
        multipliers: ctx.constant(3)?,
        shifts: ctx.constant(4)?,
        output: LimitsI16::view(ctx.parameters(), limits_at)?,
    })
}

fn check_channels(operands: &StepOperands<'_>, limits_at: usize, n: usize) -> Result<(), &'static str> {
    operands.constant::<i32>(2, ElementType::I32, n)?;
    let multipliers = operands.constant::<i32>(3, ElementType::I32, n)?;
    let shifts = operands.constant::<u8>(4, ElementType::U8, n)?;
    LimitsI16::check(operands.parameters(), limits_at)?;
    check_symmetric(operands)?;
    let valid = multipliers.iter().zip(shifts).all(|(&m, &s)| Requantizer::from_parts(m, s).is_some());
    if valid { Ok(()) } else { Err("a multiplier or shift is out of range") }
}

fn conv(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<Conv2d> {
    let window = WindowRecord::view(parameters)?.geometry(input, output)?;
    Some(Conv2d { window, groups: u32_at(parameters, window::SIZE)? })
}

fn check_conv(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I16)?, operands.output(0, ElementType::I16)?);
    let conv = conv(operands.parameters(), &input, &output).and_then(Conv2d::check).ok_or(WINDOW_RULE)?;
    operands.constant::<i8>(1, ElementType::I8, conv.weight_elements())?;
    check_channels(operands, window::SIZE + 4, conv.window.output[2] as usize)?;
    Ok(conv.macs())
}

fn run_conv(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let conv = conv(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let channels = channels(ctx, window::SIZE + 4)?;
    let weights = ctx.constant(1)?;
    conv_2d_i16_on(&conv, &channels, &mut ctx.placed()?, weights)
}

fn check_depthwise(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I16)?, operands.output(0, ElementType::I16)?);
    let window = WindowRecord::view(operands.parameters())
        .and_then(|r| r.geometry(&input, &output))
        .and_then(Window2d::check)
        .ok_or(WINDOW_RULE)?;
    let ([_, _, inputs], [_, _, outputs]) = (window.input, window.output);
    if outputs.checked_rem(inputs) != Some(0) {
        return Err("its output channels are no multiple of its input channels");
    }
    operands.constant::<i8>(1, ElementType::I8, window.kernel_elements().saturating_mul(outputs as usize))?;
    check_channels(operands, window::SIZE, outputs as usize)?;
    Ok((window.output_elements() as u64).saturating_mul(window.kernel_elements() as u64))
}

fn run_depthwise(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = WindowRecord::view(ctx.parameters())?.geometry(&ctx.input(0)?, &ctx.output(0)?)?;
    let channels = channels(ctx, window::SIZE)?;
    let weights = ctx.constant(1)?;
    depthwise_conv_2d_i16_on(&window, &channels, &mut ctx.placed()?, weights)
}

fn check_fully_connected(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I16)?.shape, operands.output(0, ElementType::I16)?.shape);
    let (n_inputs, n_outputs) = (input.last(), output.last());
    if input.n_elements().checked_div(n_inputs) != output.n_elements().checked_div(n_outputs) {
        return Err("its input and output have different numbers of rows");
    }
    let n_weights = n_inputs.checked_mul(n_outputs).filter(|&n| n <= MAX_ELEMENTS as usize);
    operands.constant::<i8>(1, ElementType::I8, n_weights.ok_or("it has too many weights")?)?;
    check_channels(operands, 0, n_outputs)?;
    Ok((output.n_elements() as u64).saturating_mul(n_inputs as u64))
}

fn run_fully_connected(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n_inputs = ctx.input(0)?.shape.last();
    let channels = channels(ctx, 0)?;
    let weights = ctx.constant(1)?;
    let map = ctx.map(0, 0)?;
    fully_connected_i16(n_inputs, &channels, map.input, weights, map.output)
}
