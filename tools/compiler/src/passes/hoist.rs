//! Transposes move towards a graph input when nothing but elementwise work is between: models that
//! normalize their input themselves.

use super::permutation::{compose, inverse, keeps_order};
use super::rewrite::{add_permuted, add_permuted_constant, add_reshaped, insert, only_consumer, producer};
use super::sink::expanded;
use crate::graph::{Graph, Operator, TensorId};

/// Transpose(op(input, constant)) becomes op'(input', constant'), where the graph input is given transposed.
pub fn to_inputs(graph: &mut Graph, i: usize) -> bool {
    let Operator::Transpose { permutation: p } = &graph.nodes[i].operator else { return false };
    let p = p.clone();
    let x = graph.nodes[i].inputs[0];
    if producer(graph, x).is_none() || !can_hoist(graph, x, &p, 0) {
        return false;
    }
    let y = graph.nodes[i].outputs[0];
    let hoisted = hoist(graph, x, &p);
    graph.replace_uses(y, hoisted);
    true
}

/// Whether a tensor can be computed transposed at no cost. Atomic: nothing is left half way, where
/// [`super::sink`] would push it back.
fn can_hoist(graph: &Graph, id: TensorId, p: &[usize], depth: usize) -> bool {
    if graph.tensor(id).constant.is_some() {
        return true;
    }
    if depth > MAX_DEPTH || graph.tensor(id).shape.len() != p.len() || only_consumer(graph, id).is_none() {
        return false;
    }
    if let Some(port) = graph.inputs.iter().find(|port| port.tensor == id) {
        return super::permutation::apply(&port.permutation, &port.shape) == graph.tensor(id).shape;
    }
    let Some(node) = producer(graph, id) else { return false };
    let once = |x: &TensorId| node.inputs.iter().filter(|&y| y == x).count() == 1;
    let all = |inputs: &[TensorId]| inputs.iter().all(|x| once(x) && can_hoist(graph, *x, p, depth + 1));
    match &node.operator {
        Operator::Unary(_) | Operator::Pad { .. } | Operator::Binary { .. } | Operator::Concat { .. } => {
            all(&node.inputs)
        }
        Operator::Pair(_) | Operator::Where | Operator::Cast => all(&node.inputs),
        Operator::Reshape => keeps_order(p, &graph.tensor(id).shape),
        _ => false,
    }
}

fn hoist(graph: &mut Graph, id: TensorId, p: &[usize]) -> TensorId {
    if graph.tensor(id).constant.is_some() {
        let shape = expanded(&graph.tensor(id).shape, p.len());
        return add_permuted_constant(graph, id, &shape, p).unwrap_or(id);
    }
    let moved = add_permuted(graph, id, p);
    if let Some(port) = graph.inputs.iter_mut().find(|port| port.tensor == id) {
        port.permutation = compose(&port.permutation, p);
        port.tensor = moved;
        return moved;
    }
    let Some(at) = graph.producer(id) else { return id };
    let inputs = graph.nodes[at].inputs.clone();
    let operator = match graph.nodes[at].operator.clone() {
        Operator::Pad { pads, value } => Operator::Pad { pads: p.iter().map(|&axis| pads[axis]).collect(), value },
        Operator::Concat { axis } => Operator::Concat { axis: inverse(p)[axis] },
        Operator::Reshape => {
            // Only axes of size 1 move: the same elements in another shape.
            let shape = graph.tensor(moved).shape.clone();
            let reshaped = add_reshaped(graph, id, shape);
            let (name, onnx) = (graph.nodes[at].name.clone(), graph.nodes[at].onnx.clone());
            insert(graph, at + 1, &name, &onnx, Operator::Reshape, inputs, reshaped);
            return reshaped;
        }
        other => other,
    };
    let inputs = inputs.into_iter().map(|x| hoist(graph, x, p)).collect();
    // The places of earlier nodes may have moved.
    let at = graph.producer(id).unwrap_or(at);
    let node = &mut graph.nodes[at];
    node.operator = operator;
    node.inputs = inputs;
    node.outputs[0] = moved;
    moved
}

const MAX_DEPTH: usize = 64;
