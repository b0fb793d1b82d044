//! Tensors: ONNX protobuf to our arrays, and arrays to and from tract.

use super::ImportError;
use super::guard::explain;
use crate::array::{Array, ArrayData};
use half::{bf16, f16};
use tinfer::tensor::ElementType;
use tract_onnx::pb::TensorProto;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::{DatumType, Tensor};

/// ONNX name of an element type, for messages.
pub(super) fn type_name(code: i32) -> &'static str {
    DataType::try_from(code).map_or("unknown", |t| match t {
        DataType::Float => "float32",
        DataType::Double => "float64",
        DataType::Float16 => "float16",
        DataType::Bfloat16 => "bfloat16",
        DataType::Int8 => "int8",
        DataType::Uint8 => "uint8",
        DataType::Int16 => "int16",
        DataType::Uint16 => "uint16",
        DataType::Int32 => "int32",
        DataType::Uint32 => "uint32",
        DataType::Int64 => "int64",
        DataType::Uint64 => "uint64",
        DataType::Bool => "bool",
        DataType::String => "string",
        DataType::Complex64 | DataType::Complex128 => "complex",
        DataType::Undefined => "undefined",
        _ => "a 4-bit or 8-bit float or integer",
    })
}

/// The element type of an image for an ONNX type code, where there is one.
pub(super) fn element_type(code: i32) -> Option<ElementType> {
    Some(match DataType::try_from(code).ok()? {
        DataType::Float => ElementType::F32,
        DataType::Int8 => ElementType::I8,
        DataType::Uint8 => ElementType::U8,
        DataType::Int16 => ElementType::I16,
        DataType::Int32 => ElementType::I32,
        DataType::Int64 => ElementType::I64,
        DataType::Bool => ElementType::Bool,
        _ => return None,
    })
}

/// The array of a weight whose data are inside the protobuf, checked against its dimensions.
///
/// Half precision becomes float32. `Ok(None)` for types that we have no array for (strings, uint16): whoever needs them says
/// so.
pub(super) fn array(proto: &TensorProto) -> Result<Option<Array>, ImportError> {
    let shape = dimensions(proto)?;
    let n: usize = shape.iter().product();
    let raw = &proto.raw_data;
    let wrong_size = |expected: usize, found: usize| ImportError::WeightSize {
        tensor: proto.name.clone(),
        shape: proto.dims.clone(),
        element_type: type_name(proto.data_type),
        expected: expected as u64,
        found: found as u64,
    };
    macro_rules! values {
        ($T:ty, $field:ident, $variant:ident) => {{
            let v: Vec<$T> = if raw.is_empty() {
                proto.$field.iter().map(|&x| x as $T).collect()
            } else {
                if raw.len() != n * size_of::<$T>() {
                    return Err(wrong_size(n * size_of::<$T>(), raw.len()));
                }
                raw.chunks_exact(size_of::<$T>())
                    .map(|b| {
                        let mut word = [0; size_of::<$T>()];
                        word.copy_from_slice(b);
                        <$T>::from_le_bytes(word)
                    })
                    .collect()
            };
            if v.len() != n {
                return Err(wrong_size(n * size_of::<$T>(), v.len() * size_of::<$T>()));
            }
            ArrayData::$variant(v)
        }};
    }
    let data = match DataType::try_from(proto.data_type) {
        Ok(DataType::Float) => values!(f32, float_data, F32),
        Ok(DataType::Double) => values!(f64, double_data, F64),
        Ok(DataType::Int8) => values!(i8, int32_data, I8),
        Ok(DataType::Uint8) => values!(u8, int32_data, U8),
        Ok(DataType::Int16) => values!(i16, int32_data, I16),
        Ok(DataType::Int32) => values!(i32, int32_data, I32),
        Ok(DataType::Int64) => values!(i64, int64_data, I64),
        Ok(DataType::Bool) => match values!(u8, int32_data, U8) {
            ArrayData::U8(v) => ArrayData::Bool(v.into_iter().map(|b| u8::from(b != 0)).collect()),
            other => other,
        },
        Ok(DataType::Undefined) | Err(_) => {
            let what = format!("of element type {}", type_name(proto.data_type));
            return Err(ImportError::UnsupportedFeature { place: format!("weight '{}'", proto.name), what });
        }
        Ok(half @ (DataType::Float16 | DataType::Bfloat16)) => {
            let bits = match (!raw.is_empty()).then(|| raw.as_chunks::<2>()) {
                Some((_, [_, ..])) => return Err(wrong_size(2 * n, raw.len())),
                Some((words, [])) => words.iter().map(|&word| u16::from_le_bytes(word)).collect(),
                None => proto.int32_data.iter().map(|&word| word as u16).collect::<Vec<u16>>(),
            };
            if bits.len() != n {
                return Err(wrong_size(2 * n, 2 * bits.len()));
            }
            let real = |bits: u16| match half {
                DataType::Float16 => f16::from_bits(bits).to_f32(),
                _ => bf16::from_bits(bits).to_f32(),
            };
            ArrayData::F32(bits.into_iter().map(real).collect())
        }
        // Their sizes are checked as well: tract would take them unseen.
        Ok(DataType::Uint16) if !raw.is_empty() && raw.len() != 2 * n => {
            return Err(wrong_size(2 * n, raw.len()));
        }
        Ok(DataType::Uint32) if !raw.is_empty() && raw.len() != 4 * n => return Err(wrong_size(4 * n, raw.len())),
        Ok(DataType::Uint64) if !raw.is_empty() && raw.len() != 8 * n => return Err(wrong_size(8 * n, raw.len())),
        Ok(_) => return Ok(None),
    };
    Ok(Some(Array { shape, data }))
}

/// The protobuf of an array.
pub(super) fn proto(name: &str, array: &Array) -> TensorProto {
    let data_type = match &array.data {
        ArrayData::F32(_) => DataType::Float,
        ArrayData::F64(_) => DataType::Double,
        ArrayData::I8(_) => DataType::Int8,
        ArrayData::U8(_) => DataType::Uint8,
        ArrayData::I16(_) => DataType::Int16,
        ArrayData::I32(_) => DataType::Int32,
        ArrayData::I64(_) => DataType::Int64,
        ArrayData::Bool(_) => DataType::Bool,
    };
    let dims = array.shape.iter().map(|&d| d as i64).collect();
    let raw_data = array.data.to_le_bytes();
    TensorProto { name: name.into(), dims, data_type: data_type as i32, raw_data, ..TensorProto::default() }
}

/// Dimensions of a weight as unsigned numbers, of a sane size.
pub(super) fn dimensions(proto: &TensorProto) -> Result<Vec<usize>, ImportError> {
    let mut elements = 1u64;
    let mut shape = Vec::with_capacity(proto.dims.len());
    for &d in &proto.dims {
        let d = u64::try_from(d).map_err(|_| ImportError::UnsupportedFeature {
            place: format!("weight '{}'", proto.name),
            what: format!("of negative dimension {d}"),
        })?;
        elements = elements.saturating_mul(d);
        shape.push(d as usize);
    }
    if elements > MAX_ELEMENTS {
        return Err(ImportError::TooLarge { tensor: proto.name.clone(), elements, limit: MAX_ELEMENTS });
    }
    Ok(shape)
}

/// Most elements of any tensor of a model: what a protobuf can hold.
pub(super) const MAX_ELEMENTS: u64 = 1 << 30;

/// Our array of a tract tensor; its private dimension type becomes int64.
///
/// # Errors
/// Its words, for types that we have no array for.
pub(super) fn from_tract(tensor: &Tensor) -> Result<Array, String> {
    let shape = tensor.shape().to_vec();
    let cast;
    let tensor = if tensor.datum_type() == DatumType::TDim {
        cast = tensor.cast_to::<i64>().map_err(|e| explain(&e))?;
        &*cast
    } else {
        tensor
    };
    let view = tensor.try_as_plain_ram().map_err(|e| explain(&e))?;
    macro_rules! copy {
        ($T:ty) => {
            view.as_slice::<$T>().map_err(|e| explain(&e))?.to_vec()
        };
    }
    let data = match tensor.datum_type().unquantized() {
        DatumType::F32 => ArrayData::F32(copy!(f32)),
        DatumType::F64 => ArrayData::F64(copy!(f64)),
        DatumType::I8 => ArrayData::I8(copy!(i8)),
        DatumType::U8 => ArrayData::U8(copy!(u8)),
        DatumType::I16 => ArrayData::I16(copy!(i16)),
        DatumType::I32 => ArrayData::I32(copy!(i32)),
        DatumType::I64 => ArrayData::I64(copy!(i64)),
        DatumType::Bool => ArrayData::Bool(copy!(bool).into_iter().map(u8::from).collect()),
        other => return Err(format!("element type {other:?} has no array")),
    };
    Ok(Array { shape, data })
}

/// tract's tensor of our array.
pub(super) fn to_tract(array: &Array) -> Result<Tensor, String> {
    let shape = &array.shape;
    match &array.data {
        ArrayData::F32(v) => Tensor::from_shape(shape, v),
        ArrayData::F64(v) => Tensor::from_shape(shape, v),
        ArrayData::I8(v) => Tensor::from_shape(shape, v),
        ArrayData::U8(v) => Tensor::from_shape(shape, v),
        ArrayData::I16(v) => Tensor::from_shape(shape, v),
        ArrayData::I32(v) => Tensor::from_shape(shape, v),
        ArrayData::I64(v) => Tensor::from_shape(shape, v),
        ArrayData::Bool(v) => Tensor::from_shape(shape, &v.iter().map(|&b| b != 0).collect::<Vec<bool>>()),
    }
    .map_err(|e| explain(&e))
}

/// The element type of an image for one of tract's, where there is one.
pub(super) fn element_type_of(datum_type: DatumType) -> Option<ElementType> {
    Some(match datum_type.unquantized() {
        DatumType::F32 => ElementType::F32,
        DatumType::I8 => ElementType::I8,
        DatumType::U8 => ElementType::U8,
        DatumType::I16 => ElementType::I16,
        DatumType::I32 => ElementType::I32,
        DatumType::I64 | DatumType::TDim => ElementType::I64,
        DatumType::Bool => ElementType::Bool,
        _ => return None,
    })
}
