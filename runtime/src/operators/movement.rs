//! Transposition, padding and concatenation: elements move and keep their value.
//!
//! ```text
//! inputs transpose:     x              parameters: 0 permutation u8[5], right-aligned, 5 reserved .. 8
//! inputs pad:           x              parameters: 0 before u32[5], right-aligned, 20 value (its lowest bits) .. 24
//! inputs concatenation: x0, x1, ..     parameters: 0 axis u8, counted from the first of five right-aligned axes .. 4
//! ```
//! Shapes are right-aligned to rank 5 and filled with ones. All tensors of a step have the same quantization.

use super::{InPlace, Operator, StepOperands};
use crate::image::TensorView;
use crate::image::bytes::{RecordWriter, array, u8_at, u32_at};
use crate::kernels::geometry::{StridedLoops, row_major_strides};
use crate::kernels::portable::{fill, strided_copy};
use crate::operators::StepContext;
use crate::tensor::{ElementType, MAX_RANK};
use bytemuck::Pod;

macro_rules! movements {
    ($($what:literal, $type:ty, $element_type:ident, $bits:expr =>
        $transpose:ident $transpose_code:literal $transpose_name:literal,
        $pad:ident $pad_code:literal $pad_name:literal,
        $concat:ident $concat_code:literal $concat_name:literal;)*) => {$(
        #[doc = concat!("Transposition of ", $what, " elements.")]
        pub static $transpose: Operator = Operator {
            code: $transpose_code,
            name: $transpose_name,
            in_place: InPlace::Never,
            check: |operands| check_transpose(operands, ElementType::$element_type),
            run: run_transpose::<$type>,
        };

        #[doc = concat!("Constant padding of ", $what, " elements.")]
        pub static $pad: Operator = Operator {
            code: $pad_code,
            name: $pad_name,
            in_place: InPlace::Never,
            check: |operands| check_pad(operands, ElementType::$element_type),
            run: |ctx| run_pad::<$type>(ctx, $bits),
        };

        #[doc = concat!("Concatenation of ", $what, " elements.")]
        pub static $concat: Operator = Operator {
            code: $concat_code,
            name: $concat_name,
            in_place: InPlace::Never,
            check: |operands| check_concat(operands, ElementType::$element_type),
            run: run_concat::<$type>,
        };
    )*};
}

movements! {
    "float32", f32, F32, f32::from_bits =>
        TRANSPOSE_F32 0x00b1 "transpose_f32", PAD_F32 0x00c1 "pad_f32", CONCAT_F32 0x00d1 "concat_f32";
    "int8", i8, I8, |bits| bits as i8 =>
        TRANSPOSE_I8 0x00b2 "transpose_i8", PAD_I8 0x00c2 "pad_i8", CONCAT_I8 0x00d2 "concat_i8";
    "int16", i16, I16, |bits| bits as i16 =>
        TRANSPOSE_I16 0x081b "transpose_i16", PAD_I16 0x081c "pad_i16", CONCAT_I16 0x081d "concat_i16";
}

/// Parameters of a transposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransposeRecord {
    /// Axis i of the output is axis `permutation[i]` of the input, both right-aligned to rank 5.
    pub permutation: [u8; MAX_RANK],
}

impl TransposeRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 8] {
        RecordWriter::default().put(0, &self.permutation).finish()
    }
}

/// Parameters of a padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PadRecord {
    /// Elements before each axis, right-aligned to rank 5; those behind follow from the shapes.
    pub before: [u32; MAX_RANK],
    /// The value's bits; the lowest ones for shorter elements.
    pub value: u32,
}

impl PadRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 24] {
        let words = self.before.iter().chain([&self.value]).enumerate();
        words.fold(RecordWriter::default(), |writer, (i, word)| writer.put(i * 4, &word.to_le_bytes())).finish()
    }

    fn view(parameters: &[u8]) -> Option<Self> {
        let mut before = [0; MAX_RANK];
        for (i, word) in before.iter_mut().enumerate() {
            *word = u32_at(parameters, i * 4)?;
        }
        Some(PadRecord { before, value: u32_at(parameters, 20)? })
    }
}

/// Parameters of a concatenation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConcatRecord {
    /// The axis along which inputs follow each other, counted in shapes right-aligned to rank 5.
    pub axis: u8,
}

impl ConcatRecord {
    /// The parameters' bytes.
    pub fn emit(&self) -> [u8; 4] {
        RecordWriter::default().put(0, &[self.axis]).finish()
    }
}

const QUANTIZATION_RULE: &str = "its input and output differ in quantization";

fn transpose_loops(parameters: &[u8], input: &TensorView, output: &TensorView) -> Option<StridedLoops<2>> {
    let permutation: [u8; MAX_RANK] = array(parameters, 0)?;
    let (dims, expected) = (input.shape.broadcast_dims(), output.shape.broadcast_dims());
    for (axis, expected) in permutation.iter().zip(expected) {
        if dims.get(usize::from(*axis)) != Some(&expected) {
            return None;
        }
    }
    StridedLoops::transpose(dims, permutation)
}

fn check_transpose(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    if input.quantization != output.quantization {
        return Err(QUANTIZATION_RULE);
    }
    transpose_loops(operands.parameters(), &input, &output).ok_or("its permutation does not fit its shapes")?;
    Ok(output.shape.n_elements() as u64)
}

fn run_transpose<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let loops = transpose_loops(ctx.parameters(), &ctx.input(0)?, &ctx.output(0)?)?;
    let map = ctx.map::<T, T>(0, 0)?;
    strided_copy(&loops, map.input, map.output)
}

/// The loops over (input, output) and the output element where the input's first one goes.
fn pad_loops(record: &PadRecord, input: &TensorView, output: &TensorView) -> Option<(StridedLoops<2>, usize)> {
    let (part, whole) = (input.shape.broadcast_dims(), output.shape.broadcast_dims());
    let mut offset = 0u32;
    for (((before, part), whole), stride) in record.before.iter().zip(part).zip(whole).zip(row_major_strides(whole)) {
        if before.checked_add(part)? > whole {
            return None;
        }
        offset = before.checked_mul(stride)?.checked_add(offset)?;
    }
    Some((StridedLoops::embed(part, whole)?, offset as usize))
}

fn check_pad(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let (input, output) = (operands.input(0, element_type)?, operands.output(0, element_type)?);
    if input.quantization != output.quantization {
        return Err(QUANTIZATION_RULE);
    }
    PadRecord::view(operands.parameters())
        .and_then(|r| pad_loops(&r, &input, &output))
        .ok_or("its padding does not fit its shapes")?;
    Ok(output.shape.n_elements() as u64)
}

fn run_pad<T: Pod>(ctx: &mut StepContext<'_, '_>, value: fn(u32) -> T) -> Option<()> {
    let record = PadRecord::view(ctx.parameters())?;
    let (loops, offset) = pad_loops(&record, &ctx.input(0)?, &ctx.output(0)?)?;
    let map = ctx.map::<T, T>(0, 0)?;
    fill(map.output, value(record.value));
    strided_copy(&loops, map.input, map.output.get_mut(offset..)?)
}

/// The loops of one input and the output element where its first one goes.
fn concat_loops(axis: u8, input: &TensorView, output: &TensorView, start: u32) -> Option<(StridedLoops<2>, usize)> {
    let (part, whole) = (input.shape.broadcast_dims(), output.shape.broadcast_dims());
    for (i, (part, whole)) in part.iter().zip(whole).enumerate() {
        if i != usize::from(axis) && *part != whole {
            return None;
        }
    }
    let stride = *row_major_strides(whole).get(usize::from(axis))?;
    Some((StridedLoops::embed(part, whole)?, start.checked_mul(stride)? as usize))
}

fn length_along(axis: u8, tensor: &TensorView) -> Option<u32> {
    tensor.shape.broadcast_dims().get(usize::from(axis)).copied()
}

/// Checks a concatenation of tensors of this element type.
pub(super) fn check_concat(operands: &StepOperands<'_>, element_type: ElementType) -> Result<u64, &'static str> {
    let rule = "its inputs do not add up to its output";
    let output = operands.output(0, element_type)?;
    let axis = u8_at(operands.parameters(), 0).ok_or("its axis is missing")?;
    let mut start = 0u32;
    for i in 0..operands.n_inputs() {
        let input = operands.input(i, element_type)?;
        if input.quantization != output.quantization {
            return Err(QUANTIZATION_RULE);
        }
        concat_loops(axis, &input, &output, start).ok_or(rule)?;
        start = length_along(axis, &input).and_then(|n| start.checked_add(n)).ok_or(rule)?;
    }
    if length_along(axis, &output) != Some(start) {
        return Err(rule);
    }
    Ok(output.shape.n_elements() as u64)
}

/// Runs a concatenation of elements of this size.
pub(super) fn run_concat<T: Pod>(ctx: &mut StepContext<'_, '_>) -> Option<()> {
    let axis = u8_at(ctx.parameters(), 0)?;
    let output = ctx.output(0)?;
    let mut start = 0u32;
    for i in 0..ctx.n_inputs() {
        let input = ctx.input(i)?;
        let (loops, offset) = concat_loops(axis, &input, &output, start)?;
        start = start.checked_add(length_along(axis, &input)?)?;
        let map = ctx.map::<T, T>(i, 0)?;
        strided_copy(&loops, map.input, map.output.get_mut(offset..)?)?;
    }
    Some(())
}
