//! Fully connected layer, for Helium.
//!
//! ```text
//! inputs:     x [.., I], stream i32 of blocks of four channels (kernels/mve/layout.rs)
//! parameters: 0 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream};
use crate::image::bytes::RecordWriter;
use crate::kernels::geometry::MAX_ELEMENTS;
use crate::kernels::mve::fully_connected::fully_connected_i8;
use crate::kernels::mve::layout::{fully_connected_scratch_bytes, stream_words};
use crate::operators::limits::LimitsI8;
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static FULLY_CONNECTED_I8_MVE: Operator =
    Operator { code: 0x0232, name: "fully_connected_i8_mve", in_place: InPlace::Never, check, run };

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullyConnectedMveRecord {
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl FullyConnectedMveRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        self.limits.put(0, RecordWriter::default())
    }
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::I8)?.shape, operands.output(0, ElementType::I8)?.shape);
    let (n_inputs, n_outputs) = (input.last(), output.last());
    let n_rows = |elements: usize, row: usize| elements.checked_div(row);
    if n_rows(input.n_elements(), n_inputs) != n_rows(output.n_elements(), n_outputs) {
        return Err("its input and its output have different numbers of rows");
    }
    if n_inputs.checked_mul(n_outputs).is_none_or(|n| n > MAX_ELEMENTS as usize) {
        return Err("it has too many weights");
    }
    check_stream(operands, stream_words(n_inputs, n_outputs), 0)?;
    check_scratch(operands, fully_connected_scratch_bytes(n_inputs))?;
    Ok((output.n_elements() as u64).saturating_mul(n_inputs as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (input, output) = (ctx.input(0)?, ctx.output(0)?);
    let sizes = [input.shape.last(), output.shape.last()];
    let limits = LimitsI8::output(ctx.parameters(), 0, output.quantization.zero_point)?;
    let stream = ctx.constant(1)?;
    fully_connected_i8(sizes, limits, stream, ctx.placed_as(&input, &output)?)
}
