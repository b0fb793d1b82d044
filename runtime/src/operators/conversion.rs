//! Changes of element type or quantization between parts of a model that compute in different formats.
//!
//! ```text
//! inputs:     x; scales and zero points are those of the tensors
//! parameters: from steps to steps: 0 multiplier i32, 4 shift u8 .. 8 (input scale / output scale); else none
//! ```

use super::{InPlace, Operator, StepOperands};
use crate::fixed_point::Requantizer;
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, i32_at, u8_at};
use crate::kernels::portable::{Rescale, Step, dequantize, quantize, requantize, requantize_i16};
use crate::operators::StepContext;
use crate::tensor::ElementType;
use bytemuck::Pod;

/// float32 to int8.
pub static QUANTIZE_I8: Operator = Operator {
    code: 0x0801,
    name: "quantize_i8",
    in_place: InPlace::Never,
    check: |operands| quantizes::<i8>(operands, ElementType::I8),
    run: run_quantize::<i8>,
};

/// int8 to float32.
pub static DEQUANTIZE_I8: Operator = Operator {
    code: 0x0802,
    name: "dequantize_i8",
    in_place: InPlace::Never,
    check: |operands| dequantizes::<i8>(operands, ElementType::I8),
    run: run_dequantize::<i8>,
};

/// float32 to int16.
pub static QUANTIZE_I16: Operator = Operator {
    code: 0x0803,
    name: "quantize_i16",
    in_place: InPlace::Never,
    check: |operands| quantizes::<i16>(operands, ElementType::I16),
    run: run_quantize::<i16>,
};

/// int16 to float32.
pub static DEQUANTIZE_I16: Operator = Operator {
    code: 0x0804,
    name: "dequantize_i16",
    in_place: InPlace::Never,
    check: |operands| dequantizes::<i16>(operands, ElementType::I16),
    run: run_dequantize::<i16>,
};

/// int8 to int16.
pub static WIDEN_I8: Operator = Operator {
    code: 0x0805,
    name: "widen_i8",
    in_place: InPlace::Never,
    check: |operands| rescales::<i8, i16>(operands, ElementType::I8, ElementType::I16),
    run: run_rescale::<i8, i16>,
};

/// int16 to int8.
pub static NARROW_I16: Operator = Operator {
    code: 0x0806,
    name: "narrow_i16",
    in_place: InPlace::Never,
    check: |operands| rescales::<i16, i8>(operands, ElementType::I16, ElementType::I8),
    run: run_rescale::<i16, i8>,
};

/// int16 to int16 of another scale.
pub static RESCALE_I16: Operator = Operator {
    code: 0x0807,
    name: "rescale_i16",
    in_place: InPlace::SameRange,
    check: |operands| rescales::<i16, i16>(operands, ElementType::I16, ElementType::I16),
    run: run_rescale_i16,
};

/// Parameters of [`WIDEN_I8`], [`NARROW_I16`] and [`RESCALE_I16`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RescaleRecord {
    /// The input's scale over the output's.
    pub requantizer: Requantizer,
}

impl RescaleRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        let multiplier = self.requantizer.multiplier.to_le_bytes();
        RecordWriter::default().put(0, &multiplier).put(4, &[self.requantizer.shift]).finish()
    }
}

fn same_size(input: &TensorView, output: &TensorView) -> Result<u64, &'static str> {
    match input.shape.n_elements() == output.shape.n_elements() {
        true => Ok(output.shape.n_elements() as u64),
        false => Err("its input and output differ in size"),
    }
}

/// Zero points are steps themselves.
fn zero_point<T: Step>(tensor: &TensorView) -> Result<i32, &'static str> {
    let (min, max) = T::ENDS;
    let zero_point = tensor.quantization.zero_point;
    if (min..=max).contains(&zero_point) { Ok(zero_point) } else { Err("a zero point is out of range") }
}

fn quantizes<T: Step>(operands: &StepOperands<'_>, steps: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, ElementType::F32)?, operands.output(0, steps)?);
    zero_point::<T>(&output)?;
    same_size(&input, &output)
}

fn run_quantize<T: Step + Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let to = ctx.output(0)?.quantization;
    let map = ctx.map::<f32, T>(0, 0)?;
    quantize(to.scale, to.zero_point, map.input, map.output)
}

fn dequantizes<T: Step>(operands: &StepOperands<'_>, steps: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, steps)?, operands.output(0, ElementType::F32)?);
    zero_point::<T>(&input)?;
    same_size(&input, &output)
}

fn run_dequantize<T: Step + Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let from = ctx.input(0)?.quantization;
    let map = ctx.map::<T, f32>(0, 0)?;
    dequantize(from.scale, from.zero_point, map.input, map.output)
}

fn rescale(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<Rescale> {
    Some(Rescale {
        input_zero_point: input.quantization.zero_point,
        requantizer: Requantizer::from_parts(i32_at(parameters, 0)?, u8_at(parameters, 4)?)?,
        output_zero_point: output.quantization.zero_point,
    })
}

fn rescales<I: Step, O: Step>(
    operands: &StepOperands<'_>,
    from: ElementType,
    to: ElementType,
) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, from)?, operands.output(0, to)?);
    zero_point::<I>(&input)?;
    zero_point::<O>(&output)?;
    rescale(operands.parameters(), &input, &output).ok_or("its multiplier is out of range")?;
    same_size(&input, &output)
}

fn run_rescale<I: Step + Pod, O: Step + Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let rescale = rescale(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let map = ctx.map::<I, O>(0, 0)?;
    requantize(&rescale, map.input, map.output)
}

fn run_rescale_i16(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let rescale = rescale(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let (input, at) = (ctx.operand(0)?, ctx.output_elements::<i16>(0)?.start);
    requantize_i16(&rescale, ctx.region()?, input, at)
}
