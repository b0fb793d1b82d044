//! Elementwise functions of one operand.
//!
//! ```text
//! inputs int8:        x, table i8 [256]: entry q as u8 is the result for q
//! parameters float32: 0 function u8 (0 clip, 1 sigmoid, 2 tanh), 1 reserved, 4 limits (8 bytes) .. 12
//! ```

use super::limits::LimitsF32;
use super::{InPlace, Operator, StepOperands};
use crate::image::bytes::{RecordWriter, u8_at};
use crate::kernels::portable::{UnaryF32, table_lookup_i8, unary_f32};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// Any int8 function of one int8 element.
pub static TABLE_I8: Operator =
    Operator { code: 0x0072, name: "table_i8", in_place: InPlace::SameRange, check: check_table, run: run_table };

/// A function of one float32 element.
pub static UNARY_F32: Operator =
    Operator { code: 0x0071, name: "unary_f32", in_place: InPlace::SameRange, check: check_f32, run: run_f32 };

/// Functions of [`UNARY_F32`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum UnaryFunction {
    /// Into the limits.
    Clip = 0,
    /// Logistic function.
    Sigmoid = 1,
    /// Hyperbolic tangent.
    Tanh = 2,
}

/// Parameters of [`UNARY_F32`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnaryF32Record {
    /// What is computed.
    pub function: UnaryFunction,
    /// Limits of [`UnaryFunction::Clip`].
    pub limits: LimitsF32,
}

impl UnaryF32Record {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 12] {
        self.limits.put(4, RecordWriter::default().put(0, &[self.function as u8]))
    }
}

fn same_elements(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    if input.shape.n_elements() != output.shape.n_elements() {
        return Err("its input and output differ in size");
    }
    Ok(output.shape.n_elements() as u64)
}

fn check_table(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    operands.constant::<i8>(1, ElementType::I8, 256)?;
    same_elements(operands, ElementType::I8)
}

fn run_table(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let table = ctx.constant::<i8>(1)?.first_chunk::<256>()?;
    let (input, at) = (ctx.operand(0)?, ctx.output_elements::<i8>(0)?.start);
    table_lookup_i8(table, ctx.region()?, input, at)
}

fn function(parameters: &[u8]) -> Option<UnaryF32> {
    match u8_at(parameters, 0)? {
        0 => Some(UnaryF32::Clip(LimitsF32::view(parameters, 4)?.output())),
        1 => Some(UnaryF32::Sigmoid),
        2 => Some(UnaryF32::Tanh),
        _ => None,
    }
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    function(operands.parameters()).ok_or("unknown function")?;
    LimitsF32::check(operands.parameters(), 4)?;
    same_elements(operands, ElementType::F32)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let function = function(ctx.parameters())?;
    let (input, at) = (ctx.operand(0)?, ctx.output_elements::<f32>(0)?.start);
    unary_f32(function, ctx.region()?, input, at)
}
