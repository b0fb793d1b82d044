//! Elementwise functions of two operands with numpy broadcasting.
//!
//! ```text
//! inputs:             a, b, either may be constant
//! parameters add_i8:  0 a i32, 4 b i32 (negative to subtract), 8 shift u8, 9 reserved, 10 limits (2 bytes) .. 12
//! parameters mul_i8:  0 multiplier i32, 4 shift u8, 5 reserved, 6 limits (2 bytes) .. 8
//! parameters float32: 0 function u8, 1 reserved, 4 limits (8 bytes) .. 12
//! ```

use super::limits::{LimitsF32, LimitsI8, zero_point_i8};
use super::{InPlace, Operator, StepOperands};
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::geometry::StridedLoops;
use crate::kernels::parameters::OutputI8;
use crate::kernels::portable::{AddI8, BinaryF32, MulI8, add_i8, binary_f32, mul_i8};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// Sum or difference in int8.
pub static ADD_I8: Operator =
    Operator { code: 0x0052, name: "add_i8", in_place: InPlace::SameRange, check: check_add, run: run_add };

/// Product in int8.
pub static MUL_I8: Operator =
    Operator { code: 0x0062, name: "mul_i8", in_place: InPlace::SameRange, check: check_mul, run: run_mul };

/// Any function in float32.
pub static BINARY_F32: Operator =
    Operator { code: 0x0051, name: "binary_f32", in_place: InPlace::SameRange, check: check_f32, run: run_f32 };

/// Parameters of [`ADD_I8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddRecord {
    /// Scales of the operands over the output's.
    pub multiplier: PairMultiplier,
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl AddRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 12] {
        let PairMultiplier { a, b, shift } = self.multiplier;
        let writer = RecordWriter::default().put(0, &a.to_le_bytes()).put(4, &b.to_le_bytes()).put(8, &[shift]);
        self.limits.put(10, writer)
    }
}

/// Parameters of [`MUL_I8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulRecord {
    /// Product of the operands' scales over the output's.
    pub requantizer: Requantizer,
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl MulRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        let Requantizer { multiplier, shift } = self.requantizer;
        self.limits.put(6, RecordWriter::default().put(0, &multiplier.to_le_bytes()).put(4, &[shift]))
    }
}

/// Parameters of [`BINARY_F32`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryF32Record {
    /// What is computed.
    pub function: BinaryF32,
    /// Fused clamp.
    pub limits: LimitsF32,
}

impl BinaryF32Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 12] {
        self.limits.put(4, RecordWriter::default().put(0, &[self.function as u8]))
    }
}

fn loops(a: &TensorView, b: &TensorView, output: &TensorView) -> Option<StridedLoops<3>> {
    StridedLoops::broadcast(a.shape.broadcast_dims(), b.shape.broadcast_dims(), output.shape.broadcast_dims())
}

fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (a, b) = (operands.input(0, element_type)?, operands.input(1, element_type)?);
    let output = operands.output(0, element_type)?;
    loops(&a, &b, &output).ok_or("its operands do not broadcast to its output")?;
    Ok(output.shape.n_elements() as u64)
}

fn add(parameters: &[u8], a: &TensorView, b: &TensorView, output: OutputI8) -> Option<AddI8> {
    let multiplier = PairMultiplier::from_parts(i32_at(parameters, 0)?, i32_at(parameters, 4)?, u8_at(parameters, 8)?)?;
    Some(AddI8 { a_zero_point: zero_point_i8(a)?, b_zero_point: zero_point_i8(b)?, multiplier, output })
}

fn check_add(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let work = checked(operands, ElementType::I8)?;
    checked_add(operands)?;
    Ok(work)
}

/// Arithmetic of the step's sum, checked.
pub(super) fn checked_add(operands: &StepOperands<'_>) -> Result<AddI8, &'static str> {
    let (a, b) = (operands.input(0, ElementType::I8)?, operands.input(1, ElementType::I8)?);
    let output = LimitsI8::check(operands, 10)?;
    add(operands.parameters(), &a, &b, output).ok_or("a multiplier or zero point is out of range")
}

/// Arithmetic of the step's sum.
pub(super) fn add_of(ctx: &StepContext<'_, '_>) -> Option<AddI8> {
    add(ctx.parameters(), &ctx.input(0)?, &ctx.input(1)?, LimitsI8::of(ctx, 10)?)
}

fn run_add(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (a, b, output) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    let factors = add_of(ctx)?;
    let loops = loops(&a, &b, &output)?;
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<i8>(0)?.start);
    add_i8(&loops, &factors, ctx.region()?, a, b, at)
}

fn mul(parameters: &[u8], a: &TensorView, b: &TensorView, output: OutputI8) -> Option<MulI8> {
    Some(MulI8 {
        a_zero_point: zero_point_i8(a)?,
        b_zero_point: zero_point_i8(b)?,
        requantizer: Requantizer::from_parts(i32_at(parameters, 0)?, u8_at(parameters, 4)?)?,
        output,
    })
}

fn check_mul(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let work = checked(operands, ElementType::I8)?;
    let (a, b) = (operands.input(0, ElementType::I8)?, operands.input(1, ElementType::I8)?);
    let output = LimitsI8::check(operands, 6)?;
    mul(operands.parameters(), &a, &b, output).ok_or("its multiplier or a zero point is out of range")?;
    Ok(work)
}

fn run_mul(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (a, b, output) = (ctx.input(0)?, ctx.input(1)?, ctx.output(0)?);
    let factors = mul(ctx.parameters(), &a, &b, LimitsI8::of(ctx, 6)?)?;
    let loops = loops(&a, &b, &output)?;
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<i8>(0)?.start);
    mul_i8(&loops, &factors, ctx.region()?, a, b, at)
}

fn function(parameters: &[u8]) -> Option<BinaryF32> {
    let code = u8_at(parameters, 0)?;
    [BinaryF32::Add, BinaryF32::Sub, BinaryF32::Mul, BinaryF32::Div].into_iter().find(|f| *f as u8 == code)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    function(operands.parameters()).ok_or("unknown function")?;
    LimitsF32::check(operands.parameters(), 4)?;
    checked(operands, ElementType::F32)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = loops(&ctx.input(0)?, &ctx.input(1)?, &ctx.output(0)?)?;
    let function = function(ctx.parameters())?;
    let limits = LimitsF32::view(ctx.parameters(), 4)?.output();
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<f32>(0)?.start);
    binary_f32(&loops, function, &limits, ctx.region()?, a, b, at)
}
