//! Pooling over NHWC. A global pool has a kernel as large as its input.
//!
//! ```text
//! inputs:                 x [1, H, W, C]
//! parameters maximum:     window (20 bytes)
//! parameters avg int8:    window, 20 multiplier i32, 24 shift u8, 25 count_include_pad u8, 26 limits (2 bytes) .. 28
//! parameters avg dequantized int8: window, 20 count_include_pad u8, 21 order of the sums u8, 22 limits (2 bytes) .. 24
//! parameters avg float32: window, 20 count_include_pad u8, 21 reserved, 24 limits (8 bytes) .. 32
//! ```

use super::limits::{LimitsF32, LimitsI8, zero_point_i8};
use super::window::{self, WINDOW_RULE, WindowRecord, lead};
use super::{InPlace, Operator, StepOperands};
use crate::fixed_point::Requantizer;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::geometry::Window2d;
use crate::kernels::parameters::OutputI8;
use crate::kernels::portable::{
    AveragePoolDequantizedI8, AveragePoolI8, Divisor, SumOrder, average_pool_2d_dequantized_i8_on,
    average_pool_2d_f32_on, average_pool_2d_i8_on, max_pool_2d_f32_on, max_pool_2d_i8_on,
};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// Maximum in int8; input and output have the same quantization.
pub static MAX_POOL_2D_I8: Operator = Operator {
    code: 0x0082,
    name: "max_pool_2d_i8",
    in_place: InPlace::Lead(lead),
    check: check_max_i8,
    run: run_max_i8,
};

/// Maximum in float32.
pub static MAX_POOL_2D_F32: Operator = Operator {
    code: 0x0081,
    name: "max_pool_2d_f32",
    in_place: InPlace::Lead(lead),
    check: check_max_f32,
    run: run_max_f32,
};

/// Average in int8.
pub static AVERAGE_POOL_2D_I8: Operator = Operator {
    code: 0x0092,
    name: "average_pool_2d_i8",
    in_place: InPlace::Lead(lead),
    check: check_average_i8,
    run: run_average_i8,
};

/// Average of int8 in float32, which decides ties as a model that was quantized by somebody else does.
pub static AVERAGE_POOL_2D_DEQUANTIZED_I8: Operator = Operator {
    code: 0x0094,
    name: "average_pool_2d_dequantized_i8",
    in_place: InPlace::Lead(lead),
    check: check_average_dequantized,
    run: run_average_dequantized,
};

/// Average in float32.
pub static AVERAGE_POOL_2D_F32: Operator = Operator {
    code: 0x0091,
    name: "average_pool_2d_f32",
    in_place: InPlace::Lead(lead),
    check: check_average_f32,
    run: run_average_f32,
};

/// Parameters of the maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool2dRecord {
    /// Geometry.
    pub window: WindowRecord,
}

impl MaxPool2dRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; window::SIZE] {
        self.window.put(RecordWriter::default()).finish()
    }
}

/// Parameters of [`AVERAGE_POOL_2D_I8`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2dI8Record {
    /// Geometry.
    pub window: WindowRecord,
    /// The input's scale over the output's.
    pub requantizer: Requantizer,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl AveragePool2dI8Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 28] {
        let writer = self
            .window
            .put(RecordWriter::default())
            .put(20, &self.requantizer.multiplier.to_le_bytes())
            .put(24, &[self.requantizer.shift, u8::from(self.count_include_pad)]);
        self.limits.put(26, writer)
    }
}

/// Parameters of [`AVERAGE_POOL_2D_DEQUANTIZED_I8`]; the scales are those of the operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2dDequantizedI8Record {
    /// Geometry.
    pub window: WindowRecord,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
    /// In which order sums go.
    pub sums: SumOrder,
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl AveragePool2dDequantizedI8Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        let flags = [u8::from(self.count_include_pad), self.sums as u8];
        self.limits.put(22, self.window.put(RecordWriter::default()).put(20, &flags))
    }
}

/// Parameters of [`AVERAGE_POOL_2D_F32`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePool2dF32Record {
    /// Geometry.
    pub window: WindowRecord,
    /// Whether padding counts in the divisor.
    pub count_include_pad: bool,
    /// Fused clamp.
    pub limits: LimitsF32,
}

impl AveragePool2dF32Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 32] {
        let writer = self.window.put(RecordWriter::default()).put(20, &[u8::from(self.count_include_pad)]);
        self.limits.put(24, writer)
    }
}

pub(super) fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<(Window2d, u64), &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    let window = WindowRecord::view(operands.parameters())
        .and_then(|r| r.geometry(&input, &output))
        .and_then(Window2d::check)
        .ok_or(WINDOW_RULE)?;
    let ([height, width, channels], [_, _, output_channels]) = (window.input, window.output);
    if channels != output_channels {
        return Err("its input and output differ in channels");
    }
    // A kernel larger than the image visits the image only.
    let [kernel_height, kernel_width] = window.kernel;
    let taps = u64::from(kernel_height.min(height)).saturating_mul(u64::from(kernel_width.min(width)));
    Ok((window, (window.output_elements() as u64).saturating_mul(taps)))
}

pub(super) fn geometry(ctx: &StepContext<'_, '_>) -> Option<Window2d> {
    WindowRecord::view(ctx.parameters())?.geometry(&ctx.input(0)?, &ctx.output(0)?)
}

pub(super) fn check_max_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I8)?, operands.output(0, ElementType::I8)?);
    if input.quantization != output.quantization {
        return Err("its input and output differ in quantization");
    }
    Ok(checked(operands, ElementType::I8)?.1)
}

fn run_max_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    max_pool_2d_i8_on(&window, &mut ctx.placed()?)
}

fn check_max_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    Ok(checked(operands, ElementType::F32)?.1)
}

fn run_max_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    max_pool_2d_f32_on(&window, &mut ctx.placed()?)
}

pub(super) fn divisor(parameters: &[u8], count_include_pad_at: usize) -> Option<Divisor> {
    let count_include_pad = match u8_at(parameters, count_include_pad_at)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    Some(WindowRecord::view(parameters)?.divisor(count_include_pad))
}

pub(super) fn average(parameters: &[u8], input: &TensorView, output: OutputI8) -> Option<AveragePoolI8> {
    let input_zero_point = zero_point_i8(input)?;
    let requantizer = Requantizer::from_parts(i32_at(parameters, 20)?, u8_at(parameters, 24)?)?;
    Some(AveragePoolI8 { input_zero_point, requantizer, output })
}

fn check_average_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    checked_average(operands).map(|(_, _, work)| work)
}

/// Window, arithmetic and work of an int8 average.
pub(super) fn checked_average(operands: &StepOperands<'_>) -> Result<(Window2d, AveragePoolI8, u64), &'static str> {
    let output = LimitsI8::check(operands, 26)?;
    let average = average(operands.parameters(), &operands.input(0, ElementType::I8)?, output)
        .ok_or("its multiplier or zero point is out of range")?;
    divisor(operands.parameters(), 25).ok_or("unknown divisor")?;
    let (window, work) = checked(operands, ElementType::I8)?;
    Ok((window, average, work))
}

/// The arithmetic of an int8 average that runs.
pub(super) fn average_of(ctx: &StepContext<'_, '_>) -> Option<(AveragePoolI8, Divisor)> {
    let average = average(ctx.parameters(), &ctx.input(0)?, LimitsI8::of(ctx, 26)?)?;
    Some((average, divisor(ctx.parameters(), 25)?))
}

fn run_average_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let (average, divisor) = average_of(ctx)?;
    average_pool_2d_i8_on(&window, &average, divisor, &mut ctx.placed()?)
}

fn dequantized(
    parameters: &[u8],
    input: &TensorView,
    output: &TensorView,
    limits: OutputI8,
) -> Option<AveragePoolDequantizedI8> {
    let scale = |tensor: &TensorView| Some(tensor.quantization.scale).filter(|s| s.is_finite() && *s > 0.0);
    Some(AveragePoolDequantizedI8 {
        input_zero_point: zero_point_i8(input)?,
        input_scale: scale(input)?,
        output_scale: scale(output)?,
        sums: SumOrder::from_code(u8_at(parameters, 21)?)?,
        output: limits,
    })
}

fn check_average_dequantized(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let limits = LimitsI8::check(operands, 22)?;
    let (input, output) = (operands.input(0, ElementType::I8)?, operands.output(0, ElementType::I8)?);
    dequantized(operands.parameters(), &input, &output, limits)
        .ok_or("a scale, a zero point or the order of sums is out of range")?;
    divisor(operands.parameters(), 20).ok_or("unknown divisor")?;
    Ok(checked(operands, ElementType::I8)?.1)
}

fn run_average_dequantized(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let average = dequantized(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?, LimitsI8::of(ctx, 22)?)?;
    let divisor = divisor(ctx.parameters(), 20)?;
    average_pool_2d_dequantized_i8_on(&window, &average, divisor, &mut ctx.placed()?)
}

fn check_average_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    divisor(operands.parameters(), 20).ok_or("unknown divisor")?;
    LimitsF32::check(operands.parameters(), 24)?;
    Ok(checked(operands, ElementType::F32)?.1)
}

fn run_average_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let window = geometry(ctx)?;
    let limits = LimitsF32::view(ctx.parameters(), 24)?.output();
    let divisor = divisor(ctx.parameters(), 20)?;
    average_pool_2d_f32_on(&window, &limits, divisor, &mut ctx.placed()?)
}
