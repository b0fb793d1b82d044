//! Transposes next to the graph's inputs and outputs become the port's permutation: the host
//! moves the axes while it quantizes.

use super::axes::{add_transposed, compose, insert, inverse, permuted, transpose_constant};
use crate::graph::{Graph, Node, Operator, TensorId};

/// One round; whether anything changed.
pub(super) fn absorb(graph: &mut Graph) -> bool {
    let mut changed = false;
    // All the way up at once: sinking would bring a transpose down again that stops on its way.
    while (0..graph.nodes.len()).any(|i| raise(graph, i)) {}
    for port in 0..graph.inputs.len() {
        changed |= absorb_at_input(graph, port);
    }
    for port in 0..graph.outputs.len() {
        changed |= absorb_at_output(graph, port);
    }
    changed
}

/// All readers of the input transpose it in the same way.
fn absorb_at_input(graph: &mut Graph, port: usize) -> bool {
    let input = graph.inputs[port].tensor;
    let readers = graph.consumers(input);
    let permutations: Vec<Vec<usize>> =
        readers.iter().filter_map(|&i| transpose_of(&graph.nodes[i])).map(<[usize]>::to_vec).collect();
    let Some(permutation) = permutations.first().cloned() else { return false };
    let same = permutations.len() == readers.len() && permutations.iter().all(|p| *p == permutation);
    let returned = readers.iter().any(|&i| graph.is_output(graph.nodes[i].outputs[0]));
    if !same || returned || graph.is_output(input) || !keeps_axes(graph, &graph.inputs[port]) {
        return false;
    }
    let moved = add_transposed(graph, input, &permutation);
    for reader in readers {
        let output = graph.nodes[reader].outputs[0];
        graph.replace_uses(output, moved);
    }
    let port = &mut graph.inputs[port];
    port.permutation = compose(&port.permutation, &permutation);
    port.tensor = moved;
    true
}

/// The output is a transpose of something that is computed.
fn absorb_at_output(graph: &mut Graph, port: usize) -> bool {
    let output = graph.outputs[port].tensor;
    let Some(producer) = graph.producer(output) else { return false };
    let source = graph.nodes[producer].inputs.first().copied();
    let (Some(permutation), Some(source)) = (transpose_of(&graph.nodes[producer]), source) else { return false };
    let is_computed = graph.producer(source).is_some();
    if !is_computed || !keeps_axes(graph, &graph.outputs[port]) {
        return false;
    }
    let back = inverse(permutation);
    let port = &mut graph.outputs[port];
    port.permutation = compose(&port.permutation, &back);
    port.tensor = source;
    true
}

/// Whether the tensor is the port transposed, without a reshape.
fn keeps_axes(graph: &Graph, port: &crate::graph::Port) -> bool {
    permuted(&port.shape, &port.permutation) == graph.tensor(port.tensor).shape
}

fn transpose_of(node: &Node) -> Option<&[usize]> {
    match &node.operator {
        Operator::Transpose { permutation } => Some(permutation),
        _ => None,
    }
}

/// `transpose(op(x))` becomes `op'(transpose(x))` where x comes from an input through elementwise
/// operators with one reader each: normalisation in the file's layout.
fn raise(graph: &mut Graph, i: usize) -> bool {
    let Some(permutation) = transpose_of(&graph.nodes[i]).map(<[usize]>::to_vec) else { return false };
    let (middle, output) = (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]);
    let Some(before) = graph.producer(middle).filter(|&b| comes_from_input(graph, b)) else { return false };
    if graph.consumers(middle).len() != 1 || graph.is_output(middle) {
        return false;
    }
    let operands = graph.nodes[before].inputs.clone();
    let mut inputs = Vec::new();
    let mut activation = None;
    for id in operands {
        let moved = if graph.tensor(id).constant.is_some() {
            moved_constant(graph, id, &permutation)
        } else {
            let moved = add_transposed(graph, id, &permutation);
            activation = Some((id, moved));
            moved
        };
        inputs.push(moved);
    }
    let Some((source, moved)) = activation else { return false };
    let operator = match &graph.nodes[before].operator {
        Operator::Pad { pads, value } => Operator::Pad { pads: permuted(pads, &permutation), value: *value },
        other => other.clone(),
    };
    // The transpose takes the operator's place and the operator the transpose's.
    let name = format!("{}_input", graph.nodes[before].name);
    graph.nodes[i] = Node { operator, inputs, outputs: vec![output], ..graph.nodes[before].clone() };
    graph.nodes.remove(before);
    insert(graph, before, name, Operator::Transpose { permutation }, source, moved);
    true
}

fn moved_constant(graph: &mut Graph, id: TensorId, permutation: &[usize]) -> TensorId {
    let tensor = graph.tensor(id).clone();
    let mut shape = vec![1; permutation.len().saturating_sub(tensor.shape.len())];
    shape.extend(&tensor.shape);
    let constant = tensor.constant.map(|c| transpose_constant(&c, &shape, permutation));
    match constant {
        Some(constant) => graph.add_constant(&tensor.name, permuted(&shape, permutation), constant),
        None => id,
    }
}

/// Whether a node is elementwise over one computed operand of its own rank, whose chain of such
/// nodes begins at a graph input that nobody else reads.
fn comes_from_input(graph: &Graph, node: usize) -> bool {
    let mut node = node;
    loop {
        let current = &graph.nodes[node];
        if !matches!(current.operator, Operator::Unary(_) | Operator::Binary { .. } | Operator::Pad { .. }) {
            return false;
        }
        let mut computed = current.inputs.iter().copied().filter(|&id| graph.tensor(id).constant.is_none());
        let (Some(source), None) = (computed.next(), computed.next()) else { return false };
        let rank = graph.tensor(current.outputs[0]).shape.len();
        if graph.tensor(source).shape.len() != rank || graph.consumers(source).len() != 1 || graph.is_output(source) {
            return false;
        }
        if let Some(port) = graph.inputs.iter().find(|p| p.tensor == source) {
            return keeps_axes(graph, port);
        }
        match graph.producer(source) {
            Some(before) => node = before,
            None => return false,
        }
    }
}
