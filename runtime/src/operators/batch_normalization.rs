//! Batch normalization with statistics that are computed at run time, or of several samples.
//!
//! ```text
//! inputs:     x [N, C, ..], scale [C], bias [C], mean [C], variance [C]
//! parameters: 0 epsilon f32 .. 4
//! ```
//! Constant statistics of a single sample need no operator of their own: they become a depthwise 1x1 convolution.

use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, f32_at};
use crate::kernels::portable::{ChannelStatistics, batch_normalization_f32};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// float32.
pub static BATCH_NORMALIZATION_F32: Operator =
    Operator { code: 0x0681, name: "batch_normalization_f32", in_place: InPlace::Never, check, run };

/// Parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormalizationRecord {
    /// Added to the variance.
    pub epsilon: f32,
}

impl BatchNormalizationRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &self.epsilon.to_le_bytes()).finish()
    }
}

/// Channels of one sample and elements of one channel.
fn channels(x: &TensorView) -> Option<(usize, usize)> {
    let [_, channels, plane @ ..] = x.shape.dims() else { return None };
    Some((*channels as usize, plane.iter().fold(1, |n, &d| n * d as usize)))
}

fn check(operands: &StepOperands<'_>) -> Result<u64, &'static str> {
    let (x, y) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    if x.shape != y.shape {
        return Err("its input and output differ in shape");
    }
    let (n_channels, _) = channels(&x).ok_or("its input has no channels")?;
    for i in 1..5 {
        if operands.input(i, ElementType::F32)?.shape.n_elements() != n_channels {
            return Err("a parameter is not one number per channel");
        }
    }
    f32_at(operands.parameters(), 0).ok_or("its epsilon is missing")?;
    Ok((y.shape.n_elements() as u64).saturating_add(n_channels as u64))
}

fn run(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let (_, plane) = channels(&ctx.input(0)?)?;
    let epsilon = f32_at(ctx.parameters(), 0)?;
    let (inputs, y) = ctx.beside_output(0)?;
    let numbers = ChannelStatistics {
        scale: inputs.get(1)?,
        bias: inputs.get(2)?,
        mean: inputs.get(3)?,
        variance: inputs.get(4)?,
        epsilon,
    };
    batch_normalization_f32(plane, &numbers, inputs.get(0)?, y)
}
