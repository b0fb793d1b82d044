//! Fully connected layer over the last axis.
//!
//! ```text
//! inputs int8:    x [.., I], weights [O, I], bias i32 [O], multipliers i32 [O], shifts u8 [O]
//! inputs float32: x [.., I], weights [I, O], bias f32 [O]
//! parameters:     0 limits (2 or 8 bytes)
//! ```

use super::limits::{LimitsF32, LimitsI8, channels_i8, check_channels_i8};
use super::{InPlace, Operator, StepOperands};
use crate::image::bytes::RecordWriter;
use crate::kernels::geometry::MAX_ELEMENTS;
use crate::kernels::portable::{fully_connected_f32, fully_connected_i8};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static FULLY_CONNECTED_I8: Operator =
    Operator { code: 0x0032, name: "fully_connected_i8", in_place: InPlace::Never, check: check_i8, run: run_i8 };

/// float32.
pub static FULLY_CONNECTED_F32: Operator =
    Operator { code: 0x0031, name: "fully_connected_f32", in_place: InPlace::Never, check: check_f32, run: run_f32 };

/// Parameters of both precisions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullyConnectedRecord<L> {
    /// Fused clamp.
    pub limits: L,
}

impl FullyConnectedRecord<LimitsI8> {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        self.limits.put(0, RecordWriter::default())
    }
}

impl FullyConnectedRecord<LimitsF32> {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        self.limits.put(0, RecordWriter::default())
    }
}

/// Input and output features and the multiply-accumulates.
fn checked(operands: &StepOperands<'_>, element_type: ElementType) -> Result<(usize, usize, u64), &'static str> {
    let (input, output) = (operands.input(0, element_type)?.shape, operands.output(0, element_type)?.shape);
    let (n_inputs, n_outputs) = (input.last(), output.last());
    let rows = |n: usize, width: usize| n.checked_div(width);
    if rows(input.n_elements(), n_inputs) != rows(output.n_elements(), n_outputs) {
        return Err("its input and output have different numbers of rows");
    }
    let n_weights = n_inputs.checked_mul(n_outputs).filter(|&n| n <= MAX_ELEMENTS as usize);
    if n_weights.is_none() {
        return Err("it has too many weights");
    }
    Ok((n_inputs, n_outputs, (output.n_elements() as u64).saturating_mul(n_inputs as u64)))
}

fn check_i8(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (n_inputs, n_outputs, macs) = checked(operands, ElementType::I8)?;
    operands.constant::<i8>(1, ElementType::I8, n_inputs * n_outputs)?;
    check_channels_i8(operands, 0, n_outputs)?;
    Ok(macs)
}

fn run_i8(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n_inputs = ctx.input(0)?.shape.last();
    let channels = channels_i8(ctx, 0)?;
    let weights = ctx.constant(1)?;
    let map = ctx.map(0, 0)?;
    fully_connected_i8(n_inputs, &channels, map.input, weights, map.output)
}

fn check_f32(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (n_inputs, n_outputs, macs) = checked(operands, ElementType::F32)?;
    operands.constant::<f32>(1, ElementType::F32, n_inputs * n_outputs)?;
    operands.constant::<f32>(2, ElementType::F32, n_outputs)?;
    LimitsF32::check(operands.parameters(), 0)?;
    Ok(macs)
}

fn run_f32(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let n_inputs = ctx.input(0)?.shape.last();
    let limits = LimitsF32::view(ctx.parameters(), 0)?.output();
    let (weights, bias) = (ctx.constant(1)?, ctx.constant(2)?);
    let map = ctx.map(0, 0)?;
    fully_connected_f32(n_inputs, &limits, map.input, weights, bias, map.output)
}
