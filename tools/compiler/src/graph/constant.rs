//! Values that are known when a model is converted.

use crate::array::{Array, ArrayData};
use tinfer::tensor::ElementType;

/// The values of a constant tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// Real values, as the ONNX file has them.
    F32(Vec<f32>),
    /// Quantized weights, a table, or plain integers of the file.
    I8(Vec<i8>),
    /// Plain integers.
    U8(Vec<u8>),
    /// Quantized values.
    I16(Vec<i16>),
    /// Quantized bias, multipliers, or plain integers.
    I32(Vec<i32>),
    /// Indices and shapes.
    I64(Vec<i64>),
    /// One byte each, 0 or 1.
    Bool(Vec<u8>),
}

/// Evaluates `$body` with `$v` bound to the vector of whatever type the constant has.
macro_rules! each_type {
    ($constant:expr, $v:ident => $body:expr) => {
        match $constant {
            Constant::F32($v) => $body,
            Constant::I8($v) => $body,
            Constant::U8($v) | Constant::Bool($v) => $body,
            Constant::I16($v) => $body,
            Constant::I32($v) => $body,
            Constant::I64($v) => $body,
        }
    };
}

impl Constant {
    /// Number of elements.
    pub fn len(&self) -> usize {
        each_type!(self, v => v.len())
    }

    /// Whether there is no element at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The real values, when this is a float constant.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Constant::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The element type that the image stores.
    pub fn element_type(&self) -> ElementType {
        match self {
            Constant::F32(_) => ElementType::F32,
            Constant::I8(_) => ElementType::I8,
            Constant::U8(_) => ElementType::U8,
            Constant::I16(_) => ElementType::I16,
            Constant::I32(_) => ElementType::I32,
            Constant::I64(_) => ElementType::I64,
            Constant::Bool(_) => ElementType::Bool,
        }
    }

    /// Little-endian elements, as images hold them.
    pub fn to_bytes(&self) -> Vec<u8> {
        each_type!(self, v => bytemuck::cast_slice(v).to_vec())
    }

    /// The elements at these places, in this order; `None` when a place is beyond the end.
    pub fn gathered(&self, places: impl IntoIterator<Item = usize>) -> Option<Constant> {
        fn gather<T: Copy>(values: &[T], places: impl IntoIterator<Item = usize>) -> Option<Vec<T>> {
            places.into_iter().map(|i| values.get(i).copied()).collect()
        }
        Some(match self {
            Constant::F32(v) => Constant::F32(gather(v, places)?),
            Constant::I8(v) => Constant::I8(gather(v, places)?),
            Constant::U8(v) => Constant::U8(gather(v, places)?),
            Constant::I16(v) => Constant::I16(gather(v, places)?),
            Constant::I32(v) => Constant::I32(gather(v, places)?),
            Constant::I64(v) => Constant::I64(gather(v, places)?),
            Constant::Bool(v) => Constant::Bool(gather(v, places)?),
        })
    }

    /// As an array of this shape, which must have as many elements.
    pub fn to_array(&self, shape: &[usize]) -> Array {
        let data = match self {
            Constant::F32(v) => ArrayData::F32(v.clone()),
            Constant::I8(v) => ArrayData::I8(v.clone()),
            Constant::U8(v) => ArrayData::U8(v.clone()),
            Constant::I16(v) => ArrayData::I16(v.clone()),
            Constant::I32(v) => ArrayData::I32(v.clone()),
            Constant::I64(v) => ArrayData::I64(v.clone()),
            Constant::Bool(v) => ArrayData::Bool(v.clone()),
        };
        Array::new(shape.to_vec(), data)
    }

    /// The elements of an array; `None` for float64, which no image has.
    pub fn from_data(data: ArrayData) -> Option<Constant> {
        Some(match data {
            ArrayData::F32(v) => Constant::F32(v),
            ArrayData::F64(_) => return None,
            ArrayData::I8(v) => Constant::I8(v),
            ArrayData::U8(v) => Constant::U8(v),
            ArrayData::I16(v) => Constant::I16(v),
            ArrayData::I32(v) => Constant::I32(v),
            ArrayData::I64(v) => Constant::I64(v),
            ArrayData::Bool(v) => Constant::Bool(v),
        })
    }
}
