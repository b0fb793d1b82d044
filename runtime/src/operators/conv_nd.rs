//! Convolution and its transpose in the ONNX file's own layout, with weights from anywhere.
//!
//! ```text
//! inputs:     x [N, C, D1, ..], weights [O, C / groups, K1, ..] (transposed: [C, O / groups, K1, ..]), bias [O] (optional)
//! parameters: window (30 bytes), 30 reserved, 32 groups u32 .. 36
//! ```

use super::window::WINDOW_RULE;
use super::window_nd::{self, WindowNdRecord, planes};
use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, u32_at};
use crate::kernels::geometry::{ConvNd, Direction};
use crate::kernels::portable::{conv_nd_f32, fill_bias_f32};
use crate::operators::StepContext;
use crate::tensor::ElementType;

/// Convolution in float32.
pub static CONV_ND_F32: Operator = Operator {
    code: 0x0611,
    name: "conv_nd_f32",
    in_place: InPlace::Never,
    check: |operands| check(operands, Direction::Forward),
    run: |ctx| run(ctx, Direction::Forward),
};

/// Transposed convolution in float32.
pub static CONV_TRANSPOSE_ND_F32: Operator = Operator {
    code: 0x0621,
    name: "conv_transpose_nd_f32",
    in_place: InPlace::Never,
    check: |operands| check(operands, Direction::Transposed),
    run: |ctx| run(ctx, Direction::Transposed),
};

const GROUPS_AT: usize = window_nd::SIZE + 2;

/// Parameters of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvNdRecord {
    /// Geometry.
    pub window: WindowNdRecord,
    /// Groups.
    pub groups: u32,
}

impl ConvNdRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 36] {
        self.window.put(RecordWriter::default()).put(GROUPS_AT, &self.groups.to_le_bytes()).finish()
    }
}

fn geometry(parameters: &[u8], input: &TensorView, output: &TensorView, direction: Direction) -> Option<ConvNd> {
    let ([batch, input_channels], input) = planes(input)?;
    let ([output_batch, output_channels], output) = planes(output)?;
    if batch != output_batch {
        return None;
    }
    let record = WindowNdRecord::view(parameters)?;
    let window = match direction {
        Direction::Forward => record.geometry(input, output),
        Direction::Transposed => record.geometry(output, input),
    };
    let groups = u32_at(parameters, GROUPS_AT)?;
    Some(ConvNd { window, direction, batch, input_channels, output_channels, groups })
}

fn check(operands: &StepOperands<'_>, direction: Direction) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::F32)?, operands.output(0, ElementType::F32)?);
    let conv =
        geometry(operands.parameters(), &input, &output, direction).and_then(ConvNd::check).ok_or(WINDOW_RULE)?;
    let weights = operands.input(1, ElementType::F32)?;
    if weights.shape.n_elements() != conv.weight_elements() {
        return Err("its weights have the wrong length");
    }
    if operands.n_inputs() > 2 {
        let bias = operands.input(2, ElementType::F32)?;
        if bias.shape.n_elements() != conv.output_channels as usize {
            return Err("its bias has the wrong length");
        }
    }
    Ok(conv.macs().saturating_add(output.shape.n_elements() as u64))
}

fn run(ctx: &mut StepContext<'_, '_>, direction: Direction) -> Option<()> {
    let conv = geometry(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?, direction)?;
    let has_bias = ctx.n_inputs() > 2;
    let (inputs, output) = ctx.beside_output(0)?;
    let bias = if has_bias { Some(inputs.get(2)?) } else { None };
    fill_bias_f32(&conv, bias, output)?;
    conv_nd_f32(&conv, inputs.get(0)?, inputs.get(1)?, output)
}
