//! Tensors without elements, which no image has: lists of axes that come from outside, and what adds nothing to a Concat.

use super::Fact;
use std::collections::BTreeMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as DimensionValue;
use tract_onnx::pb::type_proto::Value as TypeValue;
use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto};

/// Makes constants of inputs that are int64 lists of length 0 and that reductions alone read, as their axes. (An image has
/// no tensor without elements. Elsewhere exporters write 0 for a first dimension that is free.)
pub(super) fn lists(graph: &mut GraphProto) {
    let is_axes = |name: &str| {
        let mut readers = graph.node.iter().filter(|n| n.input.iter().any(|i| i == name)).peekable();
        let reads_axes = |n: &tract_onnx::pb::NodeProto| {
            n.op_type.starts_with("Reduce") && n.input.iter().position(|i| i == name) == Some(1)
        };
        readers.peek().is_some() && readers.all(reads_axes)
    };
    let lists: Vec<String> =
        graph.input.iter().filter(|i| is_empty_list(i) && is_axes(&i.name)).map(|i| i.name.clone()).collect();
    for name in lists {
        if !graph.initializer.iter().any(|t| t.name == name) {
            let data_type = DataType::Int64 as i32;
            graph.initializer.push(TensorProto { name, dims: vec![0], data_type, ..Default::default() });
        }
    }
}

/// Takes operands without elements out of every Concat that has others. Whether it found one.
pub(super) fn leave_out(graph: &mut GraphProto, facts: &BTreeMap<String, Fact>) -> bool {
    let mut changed = false;
    for node in graph.node.iter_mut().filter(|n| n.op_type == "Concat" && n.domain.is_empty()) {
        let is_empty = |name: &String| facts.get(name).is_some_and(|fact| fact.shape.contains(&0));
        if node.input.iter().any(is_empty) && !node.input.iter().all(is_empty) {
            node.input.retain(|name| !is_empty(name));
            changed = true;
        }
    }
    changed
}

fn is_empty_list(info: &ValueInfoProto) -> bool {
    let Some(TypeValue::TensorType(ty)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else { return false };
    let Some([only]) = ty.shape.as_ref().map(|s| &s.dim[..]) else { return false };
    ty.elem_type == DataType::Int64 as i32 && only.value == Some(DimensionValue::DimValue(0))
}
