//! Softmax and its logarithm over the last axis.
//!
//! ```text
//! inputs int8:    x, table i32 [256], see the kernels; the output has scale 1/256 and zero point -128, or any and
//! parameters:     0 multiplier i32, 4 shift u8 .. 8 (2^-30 / output scale)
//! inputs float32: x
//! ```

use super::{InPlace, Operator, StepOperands};
use crate::fixed_point::Requantizer;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::portable::{
    log_softmax_f32, softmax_f32, softmax_i8, softmax_masked_i8, softmax_scaled_i8, softmax_table_bits,
};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// int8.
pub static SOFTMAX_I8: Operator =
    Operator { code: 0x00a2, name: "softmax_i8", in_place: InPlace::Never, check: check_i8, run: run_i8 };

/// int8, where the lowest step stands for minus infinity: elements that a mask excludes.
pub static SOFTMAX_MASKED_I8: Operator =
    Operator { code: 0x0712, name: "softmax_masked_i8", in_place: InPlace::Never, check: check_i8, run: run_masked_i8 };

/// int8 with results in any steps.
pub static SOFTMAX_SCALED_I8: Operator = Operator {
    code: 0x0713,
    name: "softmax_scaled_i8",
    in_place: InPlace::Never,
    check: check_scaled_i8,
    run: run_scaled_i8,
};

/// Parameters of [`SOFTMAX_SCALED_I8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftmaxScaledRecord {
    /// `2^-30` over the output's scale.
    pub steps: Requantizer,
}

impl SoftmaxScaledRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        let multiplier = self.steps.multiplier.to_le_bytes();
        RecordWriter::default().put(0, &multiplier).put(4, &[self.steps.shift]).finish()
    }

    fn parse(parameters: &[u8]) -> Option<Self> {
        Some(Self { steps: Requantizer::from_parts(i32_at(parameters, 0)?, u8_at(parameters, 4)?)? })
    }
}

/// float32.
pub static SOFTMAX_F32: Operator =
    Operator { code: 0x00a1, name: "softmax_f32", in_place: InPlace::Never, check: check_f32, run: run_f32 };

/// Its logarithm, float32.
pub static LOG_SOFTMAX_F32: Operator =
    Operator { code: 0x0509, name: "log_softmax_f32", in_place: InPlace::Never, check: check_f32, run: run_log_f32 };

fn same_shape(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    if input.shape != output.shape {
        return Err("its input and output differ in shape");
    }
    Ok(output.shape.n_elements() as u64)
}

/// The exponentials, and the work.
fn check_table(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let table = operands.constant::<u32>(1, ElementType::I32, 256)?;
    let n = operands.input(0, ElementType::I8)?.shape.last() as u32;
    let one = 1u32 << softmax_table_bits(n);
    if table.first() != Some(&one) || table.iter().any(|&entry| entry > one) {
        return Err("its table is not one of exponentials");
    }
    same_shape(operands, ElementType::I8)
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let work = check_table(operands)?;
    let quantization = operands.output(0, ElementType::I8)?.quantization;
    if quantization.zero_point != -128 || quantization.scale != 1.0 / 256.0 {
        return Err("its output is not in steps of 1/256 from -128");
    }
    Ok(work)
}

fn check_scaled_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    SoftmaxScaledRecord::parse(operands.parameters()).ok_or("its multiplier is out of range")?;
    check_table(operands)
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n = ctx.input(0)?.shape.last();
    let table = ctx.constant::<u32>(1)?.first_chunk::<256>()?;
    let map = ctx.map(0, 0)?;
    softmax_i8(n, table, map.input, map.output)
}

fn run_masked_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n = ctx.input(0)?.shape.last();
    let table = ctx.constant::<u32>(1)?.first_chunk::<256>()?;
    let map = ctx.map(0, 0)?;
    softmax_masked_i8(n, table, map.input, map.output)
}

fn run_scaled_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n = ctx.input(0)?.shape.last();
    let table = ctx.constant::<u32>(1)?.first_chunk::<256>()?;
    let SoftmaxScaledRecord { steps } = SoftmaxScaledRecord::parse(ctx.parameters())?;
    let zero_point = ctx.output(0)?.quantization.zero_point;
    let map = ctx.map(0, 0)?;
    softmax_scaled_i8(n, table, steps, zero_point, map.input, map.output)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    same_shape(operands, ElementType::F32)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n = ctx.input(0)?.shape.last();
    let map = ctx.map(0, 0)?;
    softmax_f32(n, map.input, map.output)
}

fn run_log_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n = ctx.input(0)?.shape.last();
    let map = ctx.map(0, 0)?;
    log_softmax_f32(n, map.input, map.output)
}
