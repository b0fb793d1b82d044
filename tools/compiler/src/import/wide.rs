//! Activations in 16 bits: QuantizeLinear and DequantizeLinear to int16 and uint16, whose steps no layer of an image has.
//!
//! What is between the two keeps its range and loses its rounding: a step is 1/65536 of the range, below what an int8 or
//! int16 image has of its own calibration, and exact is what float32 computes.

use super::tensor;
use crate::array::{Array, ArrayData};
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Makes a Clip of every QuantizeLinear to 16 bits that only DequantizeLinear with the same numbers reads. Whether there
/// was one.
pub(super) fn to_clips(graph: &mut GraphProto) -> bool {
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (&*t.name, t)).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| &*o.name).collect();
    let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (idx, node) in graph.node.iter().enumerate() {
        node.input.iter().for_each(|name| readers.entry(name).or_default().push(idx));
    }
    let mut clips: HashMap<usize, [f32; 2]> = HashMap::new();
    let mut copies: HashSet<usize> = HashSet::new();
    for (idx, node) in graph.node.iter().enumerate().filter(|(_, n)| n.op_type == "QuantizeLinear") {
        let Some(ends) = ends(node, &constants) else { continue };
        let of_result = node.output.first().and_then(|name| readers.get(&**name));
        let of_result = of_result.map_or(&[][..], |list| list);
        let is_back = |&reader: &usize| {
            let reader = &graph.node[reader];
            reader.op_type == "DequantizeLinear" && reader.input.get(1..) == node.input.get(1..)
        };
        if of_result.is_empty() || !of_result.iter().all(is_back) || outputs.contains(&*node.output[0]) {
            continue;
        }
        clips.insert(idx, ends);
        copies.extend(of_result);
    }
    let mut added = Vec::new();
    for (idx, node) in graph.node.iter_mut().enumerate() {
        if let Some(ends) = clips.get(&idx) {
            let names = ["least", "most"].map(|which| format!("{}/{which}", node.output[0]));
            for (name, &end) in names.iter().zip(ends) {
                added.push(tensor::proto(name, &Array::new(Vec::new(), ArrayData::F32(vec![end]))));
            }
            let [least, most] = names;
            *node = replaced(node, "Clip", vec![node.input[0].clone(), least, most]);
        } else if copies.contains(&idx) {
            *node = replaced(node, "Identity", vec![node.input[0].clone()]);
        }
    }
    graph.initializer.extend(added);
    !clips.is_empty()
}

fn replaced(node: &NodeProto, op_type: &str, input: Vec<String>) -> NodeProto {
    NodeProto {
        op_type: op_type.into(),
        input,
        name: node.name.clone(),
        output: node.output.clone(),
        ..NodeProto::default()
    }
}

/// The least and the largest real number of a quantization to 16 bits with one scale.
fn ends(node: &NodeProto, constants: &HashMap<&str, &TensorProto>) -> Option<[f32; 2]> {
    let number = |i: usize| constants.get(&**node.input.get(i)?).copied();
    let zero_point = number(2)?;
    let [least, most] = match DataType::try_from(zero_point.data_type).ok()? {
        DataType::Int16 => [-32768, 32767],
        DataType::Uint16 => [0, 65535],
        _ => return None,
    };
    let zero_point = match (&zero_point.raw_data[..], &zero_point.int32_data[..]) {
        (&[a, b], []) if zero_point.data_type == DataType::Int16 as i32 => i32::from(i16::from_le_bytes([a, b])),
        (&[a, b], []) => i32::from(u16::from_le_bytes([a, b])),
        ([], &[value]) => value,
        _ => return None,
    };
    let Ok(Some(Array { data: ArrayData::F32(scale), .. })) = tensor::array(number(1)?) else { return None };
    let &[scale] = &scale[..] else { return None };
    Some([least, most].map(|end| (end - zero_point) as f32 * scale))
}
