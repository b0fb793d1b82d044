//! Roundings to the grid of a quantized model that change nothing.

use super::rewrite::{can_bypass, only_consumer, producer};
use crate::graph::{Graph, Grid, Operator, TensorId, Unary};

/// A tensor whose elements are steps of a grid already needs no rounding to it.
pub fn drop_needless(graph: &mut Graph, i: usize) -> bool {
    let Operator::Unary(Unary::Snap(grid)) = graph.nodes[i].operator else { return false };
    let (x, y) = (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]);
    if !is_on(graph, x, grid, 0) || !can_bypass(graph, x, y) {
        return false;
    }
    if graph.tensor(x).origin.is_none() {
        graph.tensor_mut(x).origin = graph.tensor(y).origin.clone();
    }
    graph.replace_uses(y, x);
    graph.nodes.remove(i);
    true
}

/// Rounding, a clamp and rounding to the same grid is a clamp and one rounding: rounding keeps the order of numbers, so
/// that the rounded limits are where they would be.
pub fn before_clamp(graph: &mut Graph, i: usize) -> bool {
    let Operator::Unary(Unary::Snap(grid)) = graph.nodes[i].operator else { return false };
    let Some(clamp) = before(graph, i).filter(|&c| matches!(graph.nodes[c].operator, Operator::Unary(Unary::Clamp(_))))
    else {
        return false;
    };
    let Some(first) = before(graph, clamp).filter(|&f| graph.nodes[f].operator == Operator::Unary(Unary::Snap(grid)))
    else {
        return false;
    };
    graph.nodes[clamp].inputs[0] = graph.nodes[first].inputs[0];
    graph.nodes.remove(first);
    true
}

/// Real numbers between a layer and a rounding belong to this rounding alone: what others read is computed once more.
/// Only so can everything before the rounding become one step that rounds once, as the model says.
pub fn separate(graph: &mut Graph, i: usize) -> bool {
    if !matches!(graph.nodes[i].operator, Operator::Unary(Unary::Snap(_))) {
        return false;
    }
    let mut reader = i;
    for _ in 0..MAX_DEPTH {
        let shared = |&x: &TensorId| graph.is_output(x) || graph.consumers(x).into_iter().any(|r| r != reader);
        let reals = graph.nodes[reader].inputs.iter().copied().filter(|&x| is_computed_real(graph, x));
        let reals: Vec<TensorId> = reals.collect();
        // Several real operands would be steps of their own, which no rounding follows.
        let [x] = reals[..] else { return false };
        if shared(&x) {
            return copy_for(graph, reader, x);
        }
        let Some(before) = graph.producer(x) else { return false };
        reader = before;
    }
    false
}

/// Lets a node read a copy of what computes `x`.
fn copy_for(graph: &mut Graph, reader: usize, x: TensorId) -> bool {
    let Some(mut node) = producer(graph, x).cloned() else { return false };
    if node.outputs.len() != 1 {
        return false;
    }
    let copy = graph.tensor(x).clone();
    let copy = graph.add_tensor(copy);
    for input in graph.nodes[reader].inputs.iter_mut().filter(|input| **input == x) {
        *input = copy;
    }
    node.name = format!("{}/{}", node.name, graph.nodes[reader].name);
    node.outputs = vec![copy];
    graph.nodes.insert(reader, node);
    true
}

/// Whether a tensor holds results that no rounding has brought to a grid.
fn is_computed_real(graph: &Graph, id: TensorId) -> bool {
    let mut id = id;
    while let Some(node) = producer(graph, id) {
        match &node.operator {
            Operator::Unary(Unary::Snap(_)) => return false,
            Operator::MaxPool2d { .. } | Operator::Transpose { .. } | Operator::Reshape | Operator::Pad { .. } => {
                id = node.inputs[0];
            }
            _ => return true,
        }
    }
    false
}

/// The node before node `i` if nobody else reads what is between.
fn before(graph: &Graph, i: usize) -> Option<usize> {
    let x = *graph.nodes[i].inputs.first()?;
    only_consumer(graph, x)?;
    graph.producer(x)
}

/// Whether all elements of a tensor are steps of the grid, as far as can be seen.
fn is_on(graph: &Graph, id: TensorId, grid: Grid, depth: usize) -> bool {
    let Some(node) = producer(graph, id) else {
        let tensor = graph.tensor(id);
        return tensor.constant.is_none() && tensor.quantization == Some(grid.into());
    };
    let operands = match &node.operator {
        Operator::Unary(Unary::Snap(own)) => return *own == grid,
        Operator::MaxPool2d { .. } | Operator::Transpose { .. } | Operator::Reshape => &node.inputs[..1],
        Operator::Pad { value, .. } if grid.snap(f64::from(*value)) as f32 == *value => &node.inputs[..1],
        Operator::Concat { .. } => &node.inputs[..],
        _ => return false,
    };
    depth < MAX_DEPTH && operands.iter().all(|&x| is_on(graph, x, grid, depth + 1))
}

/// Nodes that are looked through.
const MAX_DEPTH: usize = 16;
