//! Elementwise functions and Softmax.
//!
//! ```text
//! inputs sum, product:  a, b, either may be constant
//! inputs clamp:         x
//! inputs table:         x, table i16 [513], see the kernel
//! inputs softmax:       x, exponentials i32 [640]: 512 coarse and 128 fine ones; the output has scale 1/32768
//! parameters sum:       0 a i32, 4 b i32 (negative to subtract), 8 shift u8, 9 reserved, 12 limits (4 bytes) .. 16
//! parameters product, clamp: 0 multiplier i32, 4 shift u8, 5 reserved, 8 limits (4 bytes) .. 12
//! ```

use super::{FACTOR_RULE, LimitsI16, check_symmetric, requantizer};
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::geometry::StridedLoops;
use crate::kernels::portable::int16::{
    AddI16, MulI16, OutputI16, add_i16, clamp_i16, mul_i16, softmax_i16, table_lookup_i16,
};
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// Sum or difference.
pub static ADD_I16: Operator =
    Operator { code: 0x0814, name: "add_i16", in_place: InPlace::SameRange, check: check_add, run: run_add };

/// Product.
pub static MUL_I16: Operator =
    Operator { code: 0x0815, name: "mul_i16", in_place: InPlace::SameRange, check: check_mul, run: run_mul };

/// Into limits.
pub static CLAMP_I16: Operator =
    Operator { code: 0x0816, name: "clamp_i16", in_place: InPlace::SameRange, check: check_clamp, run: run_clamp };

/// A smooth function, by a table with straight lines between its entries.
pub static TABLE_I16: Operator =
    Operator { code: 0x0817, name: "table_i16", in_place: InPlace::SameRange, check: check_table, run: run_table };

/// Softmax over the last axis.
pub static SOFTMAX_I16: Operator =
    Operator { code: 0x0818, name: "softmax_i16", in_place: InPlace::Never, check: check_softmax, run: run_softmax };

/// Parameters of [`ADD_I16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddI16Record {
    /// Scales of the operands over the output's.
    pub multiplier: PairMultiplier,
    /// Fused clamp.
    pub limits: LimitsI16,
}

impl AddI16Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 16] {
        let PairMultiplier { a, b, shift } = self.multiplier;
        let writer = RecordWriter::default().put(0, &a.to_le_bytes()).put(4, &b.to_le_bytes()).put(8, &[shift]);
        self.limits.put(12, writer).finish()
    }
}

/// Parameters of [`MUL_I16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulI16Record {
    /// Product of the operands' scales over the output's.
    pub requantizer: Requantizer,
    /// Fused clamp.
    pub limits: LimitsI16,
}

impl MulI16Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 12] {
        ClampI16Record { requantizer: self.requantizer, limits: self.limits }.emit()
    }
}

/// Parameters of [`CLAMP_I16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClampI16Record {
    /// The input's scale over the output's.
    pub requantizer: Requantizer,
    /// The limits in output steps.
    pub limits: LimitsI16,
}

impl ClampI16Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 12] {
        let Requantizer { multiplier, shift } = self.requantizer;
        self.limits.put(8, RecordWriter::default().put(0, &multiplier.to_le_bytes()).put(4, &[shift])).finish()
    }
}

fn loops(a: &TensorView, b: &TensorView, output: &TensorView) -> Option<StridedLoops<3>> {
    StridedLoops::broadcast(a.shape.broadcast_dims(), b.shape.broadcast_dims(), output.shape.broadcast_dims())
}

fn check_pair(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (a, b) = (operands.input(0, ElementType::I16)?, operands.input(1, ElementType::I16)?);
    let output = operands.output(0, ElementType::I16)?;
    loops(&a, &b, &output).ok_or("its operands do not broadcast to its output")?;
    check_symmetric(operands)?;
    Ok(output.shape.n_elements() as u64)
}

fn add(parameters: &[u8], output: OutputI16) -> Option<AddI16> {
    let multiplier = PairMultiplier::from_parts(i32_at(parameters, 0)?, i32_at(parameters, 4)?, u8_at(parameters, 8)?)?;
    Some(AddI16 { multiplier, output })
}

fn check_add(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let limits = LimitsI16::check(operands.parameters(), 12)?;
    add(operands.parameters(), limits).ok_or(FACTOR_RULE)?;
    check_pair(operands)
}

fn run_add(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = loops(&ctx.input(0)?, &ctx.input(1)?, &ctx.output(0)?)?;
    let add = add(ctx.parameters(), LimitsI16::view(ctx.parameters(), 12)?)?;
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<i16>(0)?.start);
    add_i16(&loops, &add, ctx.region()?, a, b, at)
}

fn check_mul(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    LimitsI16::check(operands.parameters(), 8)?;
    requantizer(operands.parameters(), 0).ok_or(FACTOR_RULE)?;
    check_pair(operands)
}

fn run_mul(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = loops(&ctx.input(0)?, &ctx.input(1)?, &ctx.output(0)?)?;
    let (requantizer, output) = (requantizer(ctx.parameters(), 0)?, LimitsI16::view(ctx.parameters(), 8)?);
    let (a, b, at) = (ctx.operand(0)?, ctx.operand(1)?, ctx.output_elements::<i16>(0)?.start);
    mul_i16(&loops, &MulI16 { requantizer, output }, ctx.region()?, a, b, at)
}

fn same_elements(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I16)?, operands.output(0, ElementType::I16)?);
    if input.shape.n_elements() != output.shape.n_elements() {
        return Err("its input and output differ in size");
    }
    check_symmetric(operands)?;
    Ok(output.shape.n_elements() as u64)
}

fn check_clamp(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    LimitsI16::check(operands.parameters(), 8)?;
    requantizer(operands.parameters(), 0).ok_or(FACTOR_RULE)?;
    same_elements(operands)
}

fn run_clamp(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (requantizer, limits) = (requantizer(ctx.parameters(), 0)?, LimitsI16::view(ctx.parameters(), 8)?);
    let (input, at) = (ctx.operand(0)?, ctx.output_elements::<i16>(0)?.start);
    clamp_i16(requantizer, limits, ctx.region()?, input, at)
}

fn check_table(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    operands.constant::<i16>(1, ElementType::I16, 513)?;
    same_elements(operands)
}

fn run_table(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let table = ctx.constant::<i16>(1)?.first_chunk::<513>()?;
    let (input, at) = (ctx.operand(0)?, ctx.output_elements::<i16>(0)?.start);
    table_lookup_i16(table, ctx.region()?, input, at)
}

fn check_softmax(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let table = operands.constant::<u32>(1, ElementType::I32, 640)?;
    let one = 1u32 << 30;
    if table.first() != Some(&one) || table.get(512) != Some(&one) || table.iter().any(|&e| e > one) {
        return Err("its table is not one of exponentials");
    }
    let (input, output) = (operands.input(0, ElementType::I16)?, operands.output(0, ElementType::I16)?);
    if output.quantization.scale != 1.0 / 32768.0 {
        return Err("its output is not in steps of 1/32768");
    }
    if input.shape != output.shape {
        return Err("its input and output differ in shape");
    }
    check_symmetric(operands)?;
    Ok(output.shape.n_elements() as u64)
}

fn run_softmax(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n = ctx.input(0)?.shape.last();
    let (coarse, fine) = ctx.constant::<u32>(1)?.split_first_chunk::<512>()?;
    let fine = fine.first_chunk::<128>()?;
    let map = ctx.map(0, 0)?;
    softmax_i16(n, coarse, fine, map.input, map.output)
}
