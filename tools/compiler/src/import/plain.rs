//! Forms of tensors that nothing else has to know: half and double precision, 4 and 2 bits, sparse, element types as
//! attributes.
//!
//! Real numbers of any width are computed in float32. Half precision is exact in it, so that results have less rounding
//! than the file asks for; what would be infinity beyond 65504 stays finite. Constants in double precision are rounded
//! to float32; one beyond its range is an error.

use super::{ImportError, tensor};
use crate::array::{Array, ArrayData, RealType};
use std::collections::{BTreeMap, HashMap};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto,
};

/// Makes plain tensors of all others; the inputs and outputs whose real numbers had another width.
///
/// # Errors
/// [`ImportError::WeightSize`], [`ImportError::TooLarge`], and what does not fit float32.
pub(super) fn tensors(proto: &mut ModelProto) -> Result<BTreeMap<String, RealType>, ImportError> {
    let mut real_types = BTreeMap::new();
    if let Some(graph) = &mut proto.graph {
        real_types = graph.input.iter().chain(&graph.output).filter_map(real_type).collect();
        plain_graph(graph)?;
    }
    proto.functions.iter_mut().try_for_each(|function| plain_nodes(&mut function.node))?;
    Ok(real_types)
}

fn plain_graph(graph: &mut GraphProto) -> Result<(), ImportError> {
    for sparse in std::mem::take(&mut graph.sparse_initializer) {
        graph.initializer.push(dense(&sparse)?);
    }
    // Before the integers lose their width.
    let widths: HashMap<String, Width> =
        graph.initializer.iter().filter_map(|t| Some((t.name.clone(), Width::of(t.data_type)?))).collect();
    limit(graph, &widths);
    graph.initializer.iter_mut().try_for_each(plain_tensor)?;
    graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info).for_each(plain_info);
    plain_nodes(&mut graph.node)
}

fn plain_nodes(nodes: &mut [NodeProto]) -> Result<(), ImportError> {
    for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
        if let Some(sparse) = attribute.sparse_tensor.take() {
            attribute.name = "value".into();
            attribute.t = Some(dense(&sparse)?);
            attribute.r#type = tract_onnx::pb::attribute_proto::AttributeType::Tensor as i32;
        }
        attribute.t.iter_mut().chain(&mut attribute.tensors).try_for_each(plain_tensor)?;
        attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(plain_graph)?;
        if NAMES_OF_TYPES.contains(&&*attribute.name) && is_real(attribute.i as i32) {
            attribute.i = DataType::Float as i64;
        }
    }
    Ok(())
}

fn plain_info(info: &mut ValueInfoProto) {
    if let Some(TypeValue::TensorType(ty)) = info.r#type.as_mut().and_then(|t| t.value.as_mut()) {
        if is_real(ty.elem_type) {
            ty.elem_type = DataType::Float as i32;
        }
        if let Some(width) = Width::of(ty.elem_type) {
            ty.elem_type = width.holder() as i32;
        }
    }
}

fn real_type(info: &ValueInfoProto) -> Option<(String, RealType)> {
    let TypeValue::TensorType(ty) = info.r#type.as_ref()?.value.as_ref()?;
    let real = match DataType::try_from(ty.elem_type).ok()? {
        DataType::Float16 => RealType::Float16,
        DataType::Bfloat16 => RealType::Bfloat16,
        DataType::Double => RealType::Float64,
        _ => return None,
    };
    Some((info.name.clone(), real))
}

/// Real numbers that are no float32.
fn is_real(code: i32) -> bool {
    [DataType::Float16, DataType::Bfloat16, DataType::Double].iter().any(|&t| t as i32 == code)
}

fn plain_tensor(tensor: &mut TensorProto) -> Result<(), ImportError> {
    let array = match (Width::of(tensor.data_type), is_real(tensor.data_type)) {
        (Some(width), _) => width.unpack(tensor)?,
        (None, true) => match tensor::array(tensor)? {
            Some(Array { shape, data: ArrayData::F64(values) }) => Array::f32(shape, rounded(&tensor.name, &values)?),
            Some(array) => array,
            None => return Ok(()),
        },
        (None, false) => return Ok(()),
    };
    *tensor = TensorProto { doc_string: std::mem::take(&mut tensor.doc_string), ..tensor::proto(&tensor.name, &array) };
    Ok(())
}

fn rounded(name: &str, values: &[f64]) -> Result<Vec<f32>, ImportError> {
    if let Some(i) = values.iter().position(|v| v.is_finite() && !(*v as f32).is_finite()) {
        let value = format!("{:e}, which is beyond float32,", values[i]);
        return Err(ImportError::NotFinite { tensor: name.into(), value, index: i });
    }
    Ok(values.iter().map(|&v| v as f32).collect())
}

/// A sparse tensor with its zeros.
fn dense(sparse: &SparseTensorProto) -> Result<TensorProto, ImportError> {
    let Some(values) = &sparse.values else { return Ok(TensorProto::default()) };
    let broken = |what: &str| ImportError::UnsupportedFeature {
        place: format!("sparse weight '{}'", values.name),
        what: what.into(),
    };
    let mut values = values.clone();
    plain_tensor(&mut values)?;
    let shape = tensor::dimensions(&TensorProto {
        name: values.name.clone(),
        dims: sparse.dims.clone(),
        ..TensorProto::default()
    })?;
    let indices = sparse.indices.as_ref().map(tensor::array).transpose()?.flatten();
    let (Some(Array { data: ArrayData::I64(indices), shape: of_indices }), Some(array)) =
        (indices, tensor::array(&values)?)
    else {
        return Err(broken("of a type that is not supported"));
    };
    let n: usize = shape.iter().product();
    let place = |index: &[i64]| -> Option<usize> {
        if let [linear] = index
            && of_indices.len() == 1
        {
            return usize::try_from(*linear).ok().filter(|&i| i < n);
        }
        index
            .iter()
            .zip(&shape)
            .try_fold(0, |at, (&i, &d)| usize::try_from(i).ok().filter(|&i| i < d).map(|i| at * d + i))
    };
    let per_value = if of_indices.len() == 1 { 1 } else { shape.len().max(1) };
    let places: Option<Vec<usize>> = indices.chunks(per_value).map(place).collect();
    let places = places.ok_or_else(|| broken("with an index out of range"))?;
    if places.len() != array.n_elements() {
        return Err(broken("with as many indices as it has not values"));
    }
    let bytes = array.data.to_le_bytes();
    let size = match array.data {
        ArrayData::I8(_) | ArrayData::U8(_) | ArrayData::Bool(_) => 1,
        ArrayData::I16(_) => 2,
        ArrayData::F32(_) | ArrayData::I32(_) => 4,
        ArrayData::F64(_) | ArrayData::I64(_) => 8,
    };
    let mut raw_data = vec![0; n * size];
    for (place, value) in places.into_iter().zip(bytes.chunks(size)) {
        raw_data[place * size..][..size].copy_from_slice(value);
    }
    let (name, data_type) = (values.name.clone(), values.data_type);
    Ok(TensorProto { name, data_type, dims: sparse.dims.clone(), raw_data, ..TensorProto::default() })
}

/// Integers of less than a byte.
#[derive(Clone, Copy, PartialEq)]
struct Width {
    n_bits: u32,
    is_signed: bool,
}

impl Width {
    fn of(code: i32) -> Option<Self> {
        let (n_bits, is_signed) = match code {
            UINT4 => (4, false),
            INT4 => (4, true),
            UINT2 => (2, false),
            INT2 => (2, true),
            _ => return None,
        };
        Some(Width { n_bits, is_signed })
    }

    /// The type that takes their place.
    fn holder(self) -> DataType {
        if self.is_signed { DataType::Int8 } else { DataType::Uint8 }
    }

    /// The least and the largest one.
    fn ends(self) -> [i32; 2] {
        match self.is_signed {
            true => [-(1 << (self.n_bits - 1)), (1 << (self.n_bits - 1)) - 1],
            false => [0, (1 << self.n_bits) - 1],
        }
    }

    fn scalar(self, value: i32) -> Array {
        let data = match self.is_signed {
            true => ArrayData::I8(vec![value as i8]),
            false => ArrayData::U8(vec![value as u8]),
        };
        Array::new(Vec::new(), data)
    }

    /// The first one is in the lowest bits.
    fn unpack(self, tensor: &TensorProto) -> Result<Array, ImportError> {
        let shape = tensor::dimensions(tensor)?;
        let n: usize = shape.iter().product();
        let bytes: Vec<u8> = match tensor.raw_data.is_empty() {
            true => tensor.int32_data.iter().map(|&word| word as u8).collect(),
            false => tensor.raw_data.to_vec(),
        };
        let in_byte = (8 / self.n_bits) as usize;
        if bytes.len() != n.div_ceil(in_byte) {
            return Err(ImportError::WeightSize {
                tensor: tensor.name.clone(),
                shape: tensor.dims.clone(),
                element_type: tensor::type_name(tensor.data_type),
                expected: n.div_ceil(in_byte) as u64,
                found: bytes.len() as u64,
            });
        }
        let bits = |i: usize| {
            let from_bottom = (i % in_byte) as u32 * self.n_bits;
            // To the top of the byte, where its sign is.
            bytes[i / in_byte] << (8 - self.n_bits - from_bottom)
        };
        let unused = 8 - self.n_bits;
        let data = match self.is_signed {
            true => ArrayData::I8((0..n).map(|i| (bits(i) as i8) >> unused).collect()),
            false => ArrayData::U8((0..n).map(|i| bits(i) >> unused).collect()),
        };
        Ok(Array::new(shape, data))
    }
}

/// QuantizeLinear to a type that an attribute names has a zero point of it instead; to integers of less than a byte, a
/// clip keeps their range.
fn limit(graph: &mut GraphProto, widths: &HashMap<String, Width>) {
    let shapes: HashMap<String, Vec<i64>> =
        graph.initializer.iter().map(|t| (t.name.clone(), t.dims.clone())).collect();
    let mut added: Vec<TensorProto> = Vec::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in std::mem::take(&mut graph.node) {
        if node.op_type != "QuantizeLinear" || node.output.len() != 1 {
            nodes.push(node);
            continue;
        }
        let zero_point = node.input.get(2).filter(|name| !name.is_empty()).cloned();
        let named = node.attribute.iter().find(|a| a.name == "output_dtype").map_or(0, |a: &AttributeProto| a.i as i32);
        let mut width = zero_point.as_ref().and_then(|name| widths.get(name).copied());
        if let (None, Some(code)) = (&zero_point, Some(named).filter(|&code| code != 0)) {
            width = Width::of(code);
            let data_type = width.map_or(code, |width| width.holder() as i32);
            let dims = node.input.get(1).and_then(|scale| shapes.get(scale)).cloned().unwrap_or_default();
            let name = format!("{}_zero_of_its_type", node.output[0]);
            let n = usize::try_from(dims.iter().product::<i64>()).unwrap_or(0).min(tensor::MAX_ELEMENTS as usize);
            let Some(size) = size_of_integer(data_type) else {
                nodes.push(node);
                continue;
            };
            let raw_data = vec![0; n * size];
            added.push(TensorProto { name: name.clone(), dims, data_type, raw_data, ..TensorProto::default() });
            node.input.resize(2, String::new());
            node.input.push(name);
            node.attribute.retain(|a| a.name != "output_dtype");
        }
        if named != 0 && width.is_some() {
            node.attribute.retain(|a| a.name != "output_dtype");
        }
        let Some(width) = width else {
            nodes.push(node);
            continue;
        };
        let (result, open) = (node.output[0].clone(), format!("{}_not_clipped", node.output[0]));
        let ends = width.ends().map(|end| width.scalar(end));
        let names = ["least", "most"].map(|which| format!("{result}_{which}"));
        added.extend(names.iter().zip(&ends).map(|(name, end)| tensor::proto(name, end)));
        node.output = vec![open.clone()];
        let [least, most] = names;
        let clip = NodeProto {
            name: format!("{}_clip", node.name),
            op_type: "Clip".into(),
            input: vec![open, least, most],
            output: vec![result],
            ..NodeProto::default()
        };
        nodes.extend([node, clip]);
    }
    graph.node = nodes;
    graph.initializer.extend(added);
}

fn size_of_integer(code: i32) -> Option<usize> {
    match DataType::try_from(code).ok()? {
        DataType::Int8 | DataType::Uint8 => Some(1),
        DataType::Int16 | DataType::Uint16 => Some(2),
        DataType::Int32 => Some(4),
        _ => None,
    }
}

/// Attributes that name the type of a result, or the one in which something is computed.
const NAMES_OF_TYPES: &[&str] =
    &["dtype", "output_datatype", "output_dtype", "precision", "softmax_precision", "stash_type", "to"];

/// Codes of ONNX 1.16 and 1.20 that may be newer than the protobuf types.
const UINT4: i32 = 21;
const INT4: i32 = 22;
const UINT2: i32 = 25;
const INT2: i32 = 26;
