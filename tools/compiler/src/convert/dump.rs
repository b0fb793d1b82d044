//! Stages as JSON, for people who look for a defect. Values of large constants are left out.

use crate::graph::{Graph, Node, Origin, Port, Tensor};
use crate::import::{Imported, Interface};
use crate::plan::{Placement, Planned};
use serde_json::{Value, json};

/// The ONNX file as it was understood.
pub(super) fn imported(imported: &Imported) -> Value {
    let interface = |i: &Interface| {
        let element_type = i.element_type.map(|t| t.name());
        json!({"name": i.name, "shape": i.shape, "type": element_type, "batched": i.batched})
    };
    let nodes = imported.nodes.iter().map(|n| {
        let attributes: serde_json::Map<String, Value> =
            n.attributes.iter().map(|(name, value)| (name.clone(), json!(brief(&format!("{value:?}"))))).collect();
        json!({
            "name": n.name, "operator": n.operator, "domain": n.domain,
            "inputs": n.inputs, "outputs": n.outputs, "attributes": attributes,
        })
    });
    let tensors: serde_json::Map<String, Value> = imported
        .facts
        .iter()
        .map(|(name, fact)| {
            let element_type = fact.element_type.map(|t| t.name());
            (name.clone(), json!({"shape": fact.shape, "type": element_type, "constant": fact.value.is_some()}))
        })
        .collect();
    json!({
        "stage": "imported",
        "name": imported.name,
        "opset": imported.opset,
        "inputs": imported.inputs.iter().map(interface).collect::<Vec<_>>(),
        "outputs": imported.outputs.iter().map(interface).collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
        "tensors": tensors,
    })
}

/// A graph of any stage after import.
pub(super) fn graph(graph: &Graph) -> Value {
    json!({
        "stage": "graph",
        "name": graph.name,
        "inputs": graph.inputs.iter().map(|p| port(graph, p)).collect::<Vec<_>>(),
        "outputs": graph.outputs.iter().map(|p| port(graph, p)).collect::<Vec<_>>(),
        "nodes": graph.nodes.iter().map(|n| node(graph, n)).collect::<Vec<_>>(),
        "tensors": graph.tensors.iter().map(tensor).collect::<Vec<_>>(),
    })
}

/// A graph and where everything lies.
pub(super) fn planned(graph: &Graph, planned: &Planned) -> Value {
    let mut value = self::graph(graph);
    let steps = planned.steps.iter().map(|step| {
        let places = |ids: &[crate::graph::TensorId]| -> Vec<Value> {
            ids.iter()
                .map(|id| json!({"tensor": graph.tensor(*id).name, "at": place(graph, planned.placement[id.0])}))
                .collect()
        };
        let scratch = step.scratch.map(|r| json!({"offset": r.offset, "bytes": r.bytes}));
        let name = &graph.nodes[step.node].name;
        json!({"node": name, "inputs": places(&step.inputs), "outputs": places(&step.outputs), "scratch": scratch})
    });
    value["stage"] = json!("planned");
    value["arena_bytes"] = json!(planned.arena_bytes);
    value["steps"] = json!(steps.collect::<Vec<_>>());
    value
}

fn place(graph: &Graph, placement: Placement) -> Value {
    match placement {
        Placement::Arena(region) => json!({"arena_offset": region.offset, "bytes": region.bytes}),
        Placement::Constant(id) => json!({"constant": graph.tensor(id).name}),
        Placement::Unused => Value::Null,
    }
}

fn port(graph: &Graph, port: &Port) -> Value {
    json!({
        "name": port.name, "shape": port.shape, "type": port.element_type.name(), "batched": port.batched,
        "tensor": graph.tensor(port.tensor).name, "permutation": port.permutation,
    })
}

fn node(graph: &Graph, node: &Node) -> Value {
    let names =
        |ids: &[crate::graph::TensorId]| ids.iter().map(|id| graph.tensor(*id).name.clone()).collect::<Vec<_>>();
    json!({
        "name": node.name, "onnx": node.onnx, "operator": format!("{:?}", node.operator),
        "inputs": names(&node.inputs), "outputs": names(&node.outputs), "macs": graph.node_macs(node),
    })
}

fn tensor(tensor: &Tensor) -> Value {
    let quantization =
        tensor.quantization.as_ref().map(|q| json!({"scales": q.scales, "zero_point": q.zero_point, "axis": q.axis}));
    let kept = |o: &Origin| o.kept.as_ref().map(ToString::to_string);
    let origin = |o: &Origin| json!({"name": o.name, "permutation": o.permutation, "kept": kept(o)});
    let origin = tensor.origin.as_ref().map(origin);
    json!({
        "name": tensor.name, "shape": tensor.shape, "type": tensor.element_type.name(),
        "constant": tensor.constant.is_some(), "quantization": quantization, "origin": origin,
    })
}

/// The beginning of a text.
fn brief(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_string(),
    }
}

const MAX_CHARACTERS: usize = 200;
