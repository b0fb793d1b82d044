//! Cases of the test suite that comes with the `onnx` package: a model, and tensors in files of their own.

use super::{file, guard::guard, tensor};
use crate::array::{Array, NamedArray};
use std::collections::BTreeSet;
use tinfer::tensor::ElementType;
use tract_onnx::pb::ValueInfoProto;
use tract_onnx::pb::type_proto::Value as TypeValue;

/// What one can say of a model without understanding it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// Operators of its nodes, those of other domains with the domain.
    pub operators: BTreeSet<String>,
    /// Graph inputs, initializers left out: name and element type, `None` for one that no image has.
    pub inputs: Vec<(String, Option<ElementType>)>,
    /// Graph outputs.
    pub outputs: Vec<(String, Option<ElementType>)>,
    /// Functions that the file defines.
    pub n_functions: usize,
}

/// Outlines a model; `None` for bytes that are none.
pub fn outline(bytes: &[u8]) -> Option<Outline> {
    let proto = file::parse(bytes, "").ok()?;
    let graph = proto.graph?;
    let port = |info: &ValueInfoProto| {
        let ty = info.r#type.as_ref().and_then(|t| t.value.as_ref());
        let element_type = ty.and_then(|TypeValue::TensorType(t)| tensor::element_type(t.elem_type));
        (info.name.clone(), element_type)
    };
    let operator = |n: &tract_onnx::pb::NodeProto| match &*n.domain {
        "" | "ai.onnx" => n.op_type.clone(),
        domain => format!("{domain}.{}", n.op_type),
    };
    let weights: BTreeSet<&str> = graph.initializer.iter().map(|t| &*t.name).collect();
    Some(Outline {
        operators: graph.node.iter().map(operator).collect(),
        inputs: graph.input.iter().filter(|i| !weights.contains(&*i.name)).map(port).collect(),
        outputs: graph.output.iter().map(port).collect(),
        n_functions: proto.functions.len(),
    })
}

/// A tensor in a file of its own (`.pb`); `None` for bytes that are none, and for types without an array.
pub fn tensor_file(bytes: &[u8]) -> Option<NamedArray> {
    let proto = guard(|| tract_onnx::tensor::proto_from_reader(bytes).map_err(|e| e.to_string())).ok()?;
    let array: Array = tensor::array(&proto).ok()??;
    Some(NamedArray::new(&proto.name, array))
}
