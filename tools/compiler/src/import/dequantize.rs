//! Weights that are stored quantized in a float model: dequantized before anybody reads them.
//!
//! Exporters write them as DequantizeLinear nodes over constants. tract reads such a node with its
//! first scale only, so it must never see one.

use super::{ImportError, tensor};
use crate::array::{Array, ArrayData};
use std::collections::HashMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Replaces each DequantizeLinear over constants by its result.
///
/// Graphs whose activations are quantized too keep all of theirs: there the integers are the model.
pub(super) fn fold(graph: &mut GraphProto) -> Result<(), ImportError> {
    let quantized = |n: &NodeProto| {
        n.op_type == "QuantizeLinear" || n.op_type == "DynamicQuantizeLinear" || n.op_type.starts_with("QLinear")
    };
    if !graph.node.iter().any(|n| n.op_type == "DequantizeLinear") || graph.node.iter().any(quantized) {
        return Ok(());
    }
    let constants: HashMap<&str, &TensorProto> = graph.initializer.iter().map(|t| (&*t.name, t)).collect();
    let mut folded: HashMap<String, TensorProto> = HashMap::new();
    for node in &graph.node {
        if let Some((name, array)) = dequantize(node, &constants)? {
            folded.insert(name.clone(), proto(name, &array));
        }
    }
    graph.node.retain(|n| !n.output.first().is_some_and(|o| folded.contains_key(o)));
    graph.initializer.extend(folded.into_values());
    Ok(())
}

/// y = (x - zero_point) * scale, with one scale or one per slice along `axis`. `None` if this is no
/// such node or one that we do not read: it stays and is reported.
fn dequantize(
    node: &NodeProto,
    constants: &HashMap<&str, &TensorProto>,
) -> Result<Option<(String, Array)>, ImportError> {
    let standard = node.domain.is_empty() || node.domain == "ai.onnx";
    let known = node.attribute.iter().all(|a| a.name == "axis" || (a.name == "block_size" && a.i == 0));
    if node.op_type != "DequantizeLinear" || !standard || !known {
        return Ok(None);
    }
    let input = |i: usize| node.input.get(i).filter(|n| !n.is_empty());
    let constant = |i: usize| {
        input(i).and_then(|n| constants.get(&**n)).map(|t| tensor::array(t)).transpose().map(Option::flatten)
    };
    let (Some(x), Some(scale), zero_point, Some(output)) =
        (constant(0)?, constant(1)?, constant(2)?, node.output.first())
    else {
        return Ok(None);
    };
    let ArrayData::F32(scales) = &scale.data else { return Ok(None) };
    if input(2).is_some() && zero_point.is_none() {
        return Ok(None);
    }
    let zero_points = zero_point.map_or_else(|| vec![0.0; scales.len()], |z| z.to_f64());
    let axis = node.attribute.iter().find(|a| a.name == "axis").map_or(1, |a| a.i);
    let axis = if axis < 0 { axis + x.shape.len() as i64 } else { axis };
    // One scale needs no axis, whatever the attribute says.
    let slices = match x.shape.get(axis as usize) {
        _ if scales.len() == 1 => 1,
        Some(&n) if n == scales.len() => n,
        _ => return Ok(None),
    };
    if zero_points.len() != scales.len() {
        return Ok(None);
    }
    let inner: usize = if slices == 1 { 1 } else { x.shape[axis as usize + 1..].iter().product() };
    let slice = |i: usize| i / inner % slices;
    let values = x.to_f64().into_iter().enumerate();
    let values = values.map(|(i, q)| ((q - zero_points[slice(i)]) as f32) * scales[slice(i)]).collect();
    Ok(Some((output.clone(), Array::f32(x.shape.clone(), values))))
}

fn proto(name: String, array: &Array) -> TensorProto {
    let raw_data = array.to_f32().iter().flat_map(|x| x.to_le_bytes()).collect();
    let dims = array.shape.iter().map(|&d| d as i64).collect();
    TensorProto { name, dims, data_type: DataType::Float as i32, raw_data, ..Default::default() }
}
