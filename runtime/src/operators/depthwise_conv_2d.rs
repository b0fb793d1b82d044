//! Depthwise convolution over NHWC: output channel c reads input channel c / multiplier.
//!
//! ```text
//! inputs int8:    x [1, H, W, C], weights HWC, bias i32 [C'], multipliers i32 [C'], shifts u8 [C']
//! inputs float32: x [1, H, W, C], weights HWC, bias f32 [C']
//! parameters:     window (20 bytes), 20 limits (2 or 8 bytes)
//! ```
//! C' is the number of output channels, a multiple of C.

use super::limits::{LimitsF32, LimitsI8, channels_i8, check_channels_i8};
use super::window::{self, WINDOW_RULE, WindowRecord, lead};
use super::{InPlace, Operator, StepOperands};
use crate::image::bytes::RecordWriter;
use crate::kernels::geometry::Window2d;
use crate::kernels::portable::{depthwise_conv_2d_f32_on, depthwise_conv_2d_i8_on};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static DEPTHWISE_CONV_2D_I8: Operator = Operator {
    code: 0x0022,
    name: "depthwise_conv_2d_i8",
    in_place: InPlace::Lead(lead),
    check: check_i8,
    run: run_i8,
};

/// float32.
pub static DEPTHWISE_CONV_2D_F32: Operator = Operator {
    code: 0x0021,
    name: "depthwise_conv_2d_f32",
    in_place: InPlace::Lead(lead),
    check: check_f32,
    run: run_f32,
};

/// Parameters of both precisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthwiseConv2dRecord<L> {
    /// Geometry.
    pub window: WindowRecord,
    /// Fused clamp.
    pub limits: L,
}

impl DepthwiseConv2dRecord<LimitsI8> {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        self.limits.put(window::SIZE, self.window.put(RecordWriter::default()))
    }
}

impl DepthwiseConv2dRecord<LimitsF32> {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 28] {
        self.limits.put(window::SIZE, self.window.put(RecordWriter::default()))
    }
}

fn geometry(ctx: &StepContext<'_, '_>) -> Option<Window2d> {
    WindowRecord::view(ctx.parameters())?.geometry(&ctx.input(0)?, &ctx.output(0)?)
}

/// The window, the number of weights and the multiply-accumulates.
fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<(Window2d, usize, u64), &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    let window = WindowRecord::view(operands.parameters())
        .and_then(|r| r.geometry(&input, &output))
        .and_then(Window2d::check)
        .ok_or(WINDOW_RULE)?;
    let ([_, _, inputs], [_, _, outputs]) = (window.input, window.output);
    if outputs.checked_rem(inputs) != Some(0) {
        return Err("its output channels are no multiple of its input channels");
    }
    let macs = (window.output_elements() as u64).saturating_mul(window.kernel_elements() as u64);
    Ok((window, window.kernel_elements().saturating_mul(outputs as usize), macs))
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (window, n_weights, macs) = checked(operands, ElementType::I8)?;
    operands.constant::<i8>(1, ElementType::I8, n_weights)?;
    check_channels_i8(operands, window::SIZE, window.output[2] as usize)?;
    Ok(macs)
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let channels = channels_i8(ctx, window::SIZE)?;
    let weights = ctx.constant(1)?;
    depthwise_conv_2d_i8_on(&window, &channels, &mut ctx.placed()?, weights)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (window, n_weights, macs) = checked(operands, ElementType::F32)?;
    operands.constant::<f32>(1, ElementType::F32, n_weights)?;
    operands.constant::<f32>(2, ElementType::F32, window.output[2] as usize)?;
    LimitsF32::check(operands.parameters(), window::SIZE)?;
    Ok(macs)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let limits = LimitsF32::view(ctx.parameters(), window::SIZE)?.output();
    let (weights, bias) = (ctx.constant(1)?, ctx.constant(2)?);
    depthwise_conv_2d_f32_on(&window, &limits, &mut ctx.placed()?, weights, bias)
}
