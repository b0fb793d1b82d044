//! Nodes that change nothing, and movement of constants.

use super::axes::{moves_nothing, transpose_constant};
use crate::graph::{Clamp, Graph, Operator, Unary};

/// One round; whether anything changed.
pub(super) fn run(graph: &mut Graph) -> bool {
    let mut changed = false;
    for i in 0..graph.nodes.len() {
        changed |= fold_constant(graph, i) || free_transpose(graph, i) || merge_reshapes(graph, i) || bypass(graph, i);
    }
    changed
}

/// A transposed or reshaped constant is a constant.
fn fold_constant(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let Some(&input) = node.inputs.first() else { return false };
    let output = node.outputs[0];
    let source = graph.tensor(input);
    let Some(constant) = source.constant.as_ref().filter(|_| graph.tensor(output).constant.is_none()) else {
        return false;
    };
    let folded = match &node.operator {
        Operator::Reshape => constant.clone(),
        Operator::Transpose { permutation } => transpose_constant(constant, &source.shape, permutation),
        _ => return false,
    };
    // The node stays until nobody reads its output as computed; compaction drops it.
    let shape = graph.tensor(output).shape.clone();
    let name = graph.tensor(output).name.clone();
    let folded = graph.add_constant(&name, shape, folded);
    graph.replace_uses(output, folded);
    true
}

/// A transpose that moves only axes of length one is a reshape.
fn free_transpose(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let Operator::Transpose { permutation } = &node.operator else { return false };
    if !moves_nothing(&graph.tensor(node.inputs[0]).shape, permutation) {
        return false;
    }
    graph.nodes[i].operator = Operator::Reshape;
    true
}

/// A reshape of a reshape reads the first one's operand.
fn merge_reshapes(graph: &mut Graph, i: usize) -> bool {
    if graph.nodes[i].operator != Operator::Reshape {
        return false;
    }
    let Some(before) = graph.producer(graph.nodes[i].inputs[0]) else { return false };
    if graph.nodes[before].operator != Operator::Reshape {
        return false;
    }
    graph.nodes[i].inputs = graph.nodes[before].inputs.clone();
    true
}

/// Readers of an operator that changes nothing read its operand.
fn bypass(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let Some(&input) = node.inputs.first() else { return false };
    let output = node.outputs[0];
    let same_shape = graph.tensor(input).shape == graph.tensor(output).shape;
    let changes_nothing = match &node.operator {
        Operator::Reshape => same_shape,
        Operator::Transpose { permutation } => permutation.iter().enumerate().all(|(i, &axis)| i == axis),
        Operator::Pad { pads, .. } => pads.iter().all(|p| *p == [0, 0]),
        Operator::Unary(Unary::Clamp(clamp)) => *clamp == Clamp::default(),
        Operator::Concat { .. } => node.inputs.len() == 1,
        _ => false,
    };
    let is_read = graph.is_output(output) || !graph.consumers(output).is_empty();
    // An output that is an input, or a constant, needs the node: something must write its memory.
    let is_source = graph.inputs.iter().any(|p| p.tensor == input) || graph.tensor(input).constant.is_some();
    if !changes_nothing || !is_read || (graph.is_output(output) && is_source) {
        return false;
    }
    graph.replace_uses(output, input);
    true
}
