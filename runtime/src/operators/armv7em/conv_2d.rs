//! Convolution over NHWC with one group, for the DSP extension.
//!
//! ```text
//! inputs:     x [1, H, W, C], stream i32 of blocks of two channels (kernels/armv7em/layout.rs)
//! parameters: window (20 bytes), 20 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream};
use crate::image::bytes::RecordWriter;
use crate::kernels::armv7em::conv_2d::conv_2d_i8;
use crate::kernels::armv7em::layout::{Block, conv_2d_lead_bytes, conv_2d_scratch_bytes, conv_2d_taps};
use crate::kernels::geometry::Conv2d;
use crate::operators::limits::{LimitsI8, zero_point_i8};
use crate::operators::window::{self, WINDOW_RULE, WindowRecord};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static CONV_2D_I8_ARMV7EM: Operator =
    Operator { code: 0x0112, name: "conv_2d_i8_armv7em", in_place: InPlace::Lead(lead), check, run };

/// Parameters of convolutions and depthwise convolutions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowedArmv7emRecord {
    /// Geometry.
    pub window: WindowRecord,
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl WindowedArmv7emRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        self.limits.put(window::SIZE, self.window.put(RecordWriter::default()))
    }
}

fn geometry(operands: &StepOperands<'_>) -> Result<Conv2d, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I8)?, operands.output(0, ElementType::I8)?);
    let window = WindowRecord::view(operands.parameters()).and_then(|r| r.geometry(&input, &output));
    window.and_then(|window| Conv2d { window, groups: 1 }.check()).ok_or(WINDOW_RULE)
}

fn lead(operands: &StepOperands<'_>) -> Option<u32> {
    geometry(operands).ok().map(|conv| conv_2d_lead_bytes(&conv))
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, conv) = (operands.input(0, ElementType::I8)?, geometry(operands)?);
    zero_point_i8(&input).ok_or("a zero point is out of range")?;
    let n_outputs = conv.window.output[2] as usize;
    let [taps, _] = conv_2d_taps(&conv);
    check_stream(operands, Block::Pair.stream_words(taps, n_outputs), window::SIZE)?;
    check_scratch(operands, conv_2d_scratch_bytes(&conv))?;
    Ok(conv.macs())
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let input = ctx.input(0)?;
    let window = WindowRecord::view(ctx.parameters())?.geometry(&input, &ctx.output(0)?)?;
    let limits = LimitsI8::of(ctx, window::SIZE)?;
    let stream = ctx.constant(1)?;
    let padding = zero_point_i8(&input)? as i8;
    conv_2d_i8(&Conv2d { window, groups: 1 }, padding, [limits.min, limits.max], stream, ctx.placed()?)
}
