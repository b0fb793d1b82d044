//! Nodes whose operands are all known, one at a time.
//!
//! Exporters put nodes between the integers of a weight and the node that dequantizes them: Clip to fewer bits,
//! Transpose, Reshape; and compute scales from others. [`super::dequantize`] asks for the values of those.

use super::{facts, tensor};
use crate::array::Array;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};

/// The results of a node in the order of its outputs; `None` when an operand is unknown, or when nobody vouches for what
/// it computes.
pub(super) fn evaluate(
    node: &NodeProto,
    known: &HashMap<String, Array>,
    opsets: &[OperatorSetIdProto],
) -> Option<Vec<Arc<Array>>> {
    if node.input.is_empty() || node.attribute.iter().any(|a| a.g.is_some()) {
        return None;
    }
    let named = node.input.iter().filter(|name| !name.is_empty()).collect::<HashSet<_>>();
    let operands = named.into_iter().map(|name| Some((name.clone(), known.get(name)?.clone())));
    let operands = operands.collect::<Option<BTreeMap<String, Array>>>()?;
    let output = |name: &String| ValueInfoProto { name: name.clone(), ..ValueInfoProto::default() };
    let graph = GraphProto {
        name: node.name.clone(),
        initializer: operands.iter().map(|(name, array)| tensor::proto(name, array)).collect(),
        output: node.output.iter().filter(|name| !name.is_empty()).map(output).collect(),
        node: vec![node.clone()],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: opsets.to_vec(),
        graph: Some(graph),
        ..ModelProto::default()
    };
    let facts = facts::analyse(&model, &operands).ok()?.facts;
    node.output.iter().map(|name| facts.get(name)?.value.clone()).collect()
}

/// The tensors that some node of these operators depends on.
pub(super) fn leading_to(graph: &GraphProto, operators: &[&str]) -> HashSet<String> {
    let mut wanted: HashSet<String> = HashSet::new();
    for node in graph.node.iter().rev() {
        let reads = operators.contains(&&*node.op_type) || node.output.iter().any(|name| wanted.contains(name));
        if reads {
            wanted.extend(node.input.iter().cloned());
        }
    }
    wanted
}

/// Any that knows the operators of every set: the file's own version was checked.
const IR_VERSION: i64 = 10;
