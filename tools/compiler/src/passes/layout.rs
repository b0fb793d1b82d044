//! Transposes among themselves: composed, dropped, folded.

use super::permutation;
use super::rewrite::{add_permuted_constant, can_bypass, transposed};
use crate::graph::{Constant, Graph, Operator};

/// A transpose or reshape of a constant is a constant.
pub fn fold_constant(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let (x, y) = match node.operator {
        Operator::Transpose { .. } | Operator::Reshape => (node.inputs[0], node.outputs[0]),
        _ => return false,
    };
    if graph.tensor(x).constant.is_none() || graph.is_output(y) {
        return false;
    }
    let shape = graph.tensor(x).shape.clone();
    let folded = match node.operator.clone() {
        Operator::Transpose { permutation } => add_permuted_constant(graph, x, &shape, &permutation),
        _ => {
            let (name, shape) = (graph.tensor(y).name.clone(), graph.tensor(y).shape.clone());
            graph.tensor(x).constant.clone().map(|c: Constant| graph.add_constant(&name, shape, c))
        }
    };
    let Some(folded) = folded else { return false };
    graph.replace_uses(y, folded);
    true
}

/// A transpose of a transpose is one transpose.
pub fn compose(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let Operator::Transpose { permutation: second } = &node.operator else { return false };
    let Some((x, first)) = transposed(graph, node.inputs[0]) else { return false };
    let both = permutation::compose(first, second);
    graph.nodes[i].inputs[0] = x;
    graph.nodes[i].operator = Operator::Transpose { permutation: both };
    true
}

/// A transpose that moves nothing is its operand.
pub fn drop_identity(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    match &node.operator {
        Operator::Transpose { permutation } if permutation::is_identity(permutation) => {}
        _ => return false,
    }
    let (x, y) = (node.inputs[0], node.outputs[0]);
    if !can_bypass(graph, x, y) {
        return false;
    }
    // The operand is the older tensor, the result may carry the ONNX name.
    if graph.tensor(x).origin.is_none() {
        graph.tensor_mut(x).origin = graph.tensor(y).origin.clone();
    }
    graph.replace_uses(y, x);
    graph.nodes.remove(i);
    true
}

/// Transposes that move only axes of size 1 become reshapes, which cost nothing.
pub fn to_reshapes(graph: &mut Graph) {
    for i in 0..graph.nodes.len() {
        let Operator::Transpose { permutation } = &graph.nodes[i].operator else { continue };
        if permutation::keeps_order(permutation, &graph.tensor(graph.nodes[i].inputs[0]).shape) {
            graph.nodes[i].operator = Operator::Reshape;
        }
    }
}
