//! Normalization by the energy of neighbouring channels.
//!
//! ```text
//! inputs:     x [N, C, ..]
//! parameters: 0 size u32, 4 alpha f32, 8 beta f32, 12 bias f32 .. 16
//! ```

use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, f32_at, u32_at};
use crate::kernels::portable::{LocalResponseNorm, local_response_norm_f32};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// float32.
pub static LOCAL_RESPONSE_NORM_F32: Operator =
    Operator { code: 0x0671, name: "local_response_norm_f32", in_place: InPlace::Never, check, run };

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNormRecord {
    /// Channels that count, the own one included.
    pub size: u32,
    /// Factor of the sum, before the division by `size`.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added to the sum.
    pub bias: f32,
}

impl LocalResponseNormRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 16] {
        RecordWriter::default()
            .put(0, &self.size.to_le_bytes())
            .put(4, &self.alpha.to_le_bytes())
            .put(8, &self.beta.to_le_bytes())
            .put(12, &self.bias.to_le_bytes())
            .finish()
    }
}

fn numbers(parameters: &[u8], x: &TensorView) -> Option<LocalResponseNorm> {
    let [_, channels, plane @ ..] = x.shape.dims() else { return None };
    Some(LocalResponseNorm {
        channels: *channels as usize,
        plane: plane.iter().fold(1, |n, &d| n * d as usize),
        size: u32_at(parameters, 0).filter(|&size| size > 0)?,
        alpha: f32_at(parameters, 4)?,
        beta: f32_at(parameters, 8)?,
        bias: f32_at(parameters, 12)?,
    })
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (x, y) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    if x.shape != y.shape {
        return Err("its input and output differ in shape");
    }
    let norm = numbers(operands.parameters(), &x).ok_or("it has no channels or its size is 0")?;
    let neighbours = (norm.size as usize).min(norm.channels) as u64;
    Ok((y.shape.n_elements() as u64).saturating_mul(neighbours.saturating_add(1)))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let norm = numbers(ctx.parameters(), &ctx.input(0)?)?;
    let map = ctx.map(0, 0)?;
    local_response_norm_f32(&norm, map.input, map.output)
}
