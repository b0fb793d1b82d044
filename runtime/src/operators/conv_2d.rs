//! Convolution over NHWC, with groups.
//!
//! ```text
//! inputs int8:    x [1, H, W, C], weights OHWI, bias i32 [O], multipliers i32 [O], shifts u8 [O]
//! inputs float32: x [1, H, W, C], weights GHWIO, bias f32 [O]
//! parameters:     window (20 bytes), 20 groups u32, 24 limits (2 or 8 bytes)
//! ```

use super::limits::{LimitsF32, LimitsI8, channels_i8, check_channels_i8};
use super::window::{self, WINDOW_RULE, WindowRecord, lead};
use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u32_at};
use crate::kernels::geometry::Conv2d;
use crate::kernels::portable::{conv_2d_f32_on, conv_2d_i8_on};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static CONV_2D_I8: Operator =
    Operator { code: 0x0012, name: "conv_2d_i8", in_place: InPlace::Lead(lead), check: check_i8, run: run_i8 };

/// float32.
pub static CONV_2D_F32: Operator =
    Operator { code: 0x0011, name: "conv_2d_f32", in_place: InPlace::Lead(lead), check: check_f32, run: run_f32 };

pub(super) const LIMITS_AT: usize = window::SIZE + 4;

/// Parameters of both precisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2dRecord<L> {
    /// Geometry.
    pub window: WindowRecord,
    /// Groups.
    pub groups: u32,
    /// Fused clamp.
    pub limits: L,
}

impl Conv2dRecord<LimitsI8> {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 28] {
        self.limits.put(LIMITS_AT, put(&self.window, self.groups))
    }
}

impl Conv2dRecord<LimitsF32> {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        self.limits.put(LIMITS_AT, put(&self.window, self.groups))
    }
}

fn put<const N: usize>(window: &WindowRecord, groups: u32) -> RecordWriter<N> {
    window.put(RecordWriter::default()).put(window::SIZE, &groups.to_le_bytes())
}

pub(super) fn geometry(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<Conv2d> {
    let window = WindowRecord::view(parameters)?.geometry(input, output)?;
    Some(Conv2d { window, groups: u32_at(parameters, window::SIZE)? })
}

fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<Conv2d, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    geometry(operands.parameters(), &input, &output).and_then(Conv2d::check).ok_or(WINDOW_RULE)
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let conv = checked(operands, ElementType::I8)?;
    operands.constant::<i8>(1, ElementType::I8, conv.weight_elements())?;
    check_channels_i8(operands, LIMITS_AT, conv.window.output[2] as usize)?;
    Ok(conv.macs())
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let conv = geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let channels = channels_i8(ctx, LIMITS_AT)?;
    let weights = ctx.constant(1)?;
    conv_2d_i8_on(&conv, &channels, &mut ctx.placed()?, weights)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let conv = checked(operands, ElementType::F32)?;
    operands.constant::<f32>(1, ElementType::F32, conv.weight_elements())?;
    operands.constant::<f32>(2, ElementType::F32, conv.window.output[2] as usize)?;
    LimitsF32::check(operands.parameters(), LIMITS_AT)?;
    Ok(conv.macs())
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let conv = geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let limits = LimitsF32::view(ctx.parameters(), LIMITS_AT)?.output();
    let (weights, bias) = (ctx.constant(1)?, ctx.constant(2)?);
    conv_2d_f32_on(&conv, &limits, &mut ctx.placed()?, weights, bias)
}
