//! Fully connected layer for one vector, for the DSP extension.
//!
//! ```text
//! inputs:     x [.., I] with one row, stream i32 of blocks of four channels (kernels/armv7em/layout.rs)
//! parameters: 0 limits (2 bytes)
//! ```

use super::{check_scratch, check_stream};
use crate::image::bytes::RecordWriter;
use crate::kernels::armv7em::fully_connected::fully_connected_i8;
use crate::kernels::armv7em::layout::{Block, fully_connected_scratch_bytes};
use crate::kernels::geometry::MAX_ELEMENTS;
use crate::operators::limits::LimitsI8;
use crate::operators::{InPlace, Operator, StepContext, StepOperands};
use crate::tensor::ElementType;

/// int8 with per-channel weights.
pub static FULLY_CONNECTED_I8_ARMV7EM: Operator =
    Operator { code: 0x0132, name: "fully_connected_i8_armv7em", in_place: InPlace::Never, check, run };

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullyConnectedArmv7emRecord {
    /// Fused clamp.
    pub limits: LimitsI8,
}

impl FullyConnectedArmv7emRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        self.limits.put(0, RecordWriter::default())
    }
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let input = operands.arena_input(0, ElementType::I8)?.shape;
    let output = operands.output(0, ElementType::I8)?.shape;
    let (n_inputs, n_outputs) = (input.n_elements(), output.n_elements());
    if input.last() != n_inputs || output.last() != n_outputs {
        return Err("it has more than one row");
    }
    if n_inputs.checked_mul(n_outputs).is_none_or(|n| n > MAX_ELEMENTS as usize) {
        return Err("it has too many weights");
    }
    check_stream(operands, Block::Quad.stream_words(n_inputs, n_outputs), 0)?;
    check_scratch(operands, fully_connected_scratch_bytes(n_inputs))?;
    Ok((n_outputs as u64).saturating_mul(n_inputs as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let limits = LimitsI8::of(ctx, 0)?;
    let stream = ctx.constant(1)?;
    fully_connected_i8([limits.min, limits.max], stream, ctx.placed()?)
}
