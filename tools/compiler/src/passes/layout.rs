//! Transposes and reshapes move behind the operators that they commute with, until they meet
//! their inverse, a product that can absorb them, or the end of the graph.

use super::axes::{
    add_reshaped, add_transposed, compose, insert, inverse, moves_nothing, permuted, transpose_constant,
};
use crate::graph::{Graph, Operator, TensorId};

/// One round of moving; whether anything moved.
pub(super) fn sink(graph: &mut Graph) -> bool {
    let mut changed = false;
    let mut i = 0;
    while i < graph.nodes.len() {
        if sink_transpose(graph, i) || sink_reshape(graph, i) || absorb_into_weights(graph, i) {
            changed = true;
            // What moved behind node i stands at i + 1 now.
            i += 1;
        }
        i += 1;
    }
    changed
}

/// A transpose of a transpose is one transpose.
pub(super) fn cancel(graph: &mut Graph) -> bool {
    let mut changed = false;
    for i in 0..graph.nodes.len() {
        let Operator::Transpose { permutation } = &graph.nodes[i].operator else { continue };
        let Some((source, first)) = transpose_before(graph, graph.nodes[i].inputs[0]) else { continue };
        let permutation = compose(&first, permutation);
        graph.nodes[i].inputs = vec![source];
        graph.nodes[i].operator = Operator::Transpose { permutation };
        changed = true;
    }
    changed
}

/// The operand and permutation of the transpose that computes `id`.
fn transpose_before(graph: &Graph, id: TensorId) -> Option<(TensorId, Vec<usize>)> {
    let node = &graph.nodes[graph.producer(id)?];
    match &node.operator {
        Operator::Transpose { permutation } => Some((node.inputs[0], permutation.clone())),
        _ => None,
    }
}

fn reshape_before(graph: &Graph, id: TensorId) -> Option<TensorId> {
    let node = &graph.nodes[graph.producer(id)?];
    (node.operator == Operator::Reshape).then(|| node.inputs[0])
}

/// `op(transpose(x))` becomes `transpose(op'(x))`.
fn sink_transpose(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let moved = node.inputs.iter().find_map(|&id| transpose_before(graph, id));
    let Some((_, permutation)) = moved else { return false };
    let rank = permutation.len();
    let last_stays = permutation.last() == Some(&(rank - 1));
    let (operator, n_moved) = match &node.operator {
        Operator::Unary(_) | Operator::Binary { .. } => (node.operator.clone(), node.inputs.len()),
        Operator::Softmax if last_stays => (Operator::Softmax, 1),
        Operator::FullyConnected { .. } if last_stays => (node.operator.clone(), 1),
        Operator::Concat { axis } => (Operator::Concat { axis: permutation[*axis] }, node.inputs.len()),
        Operator::Pad { pads, value } => {
            (Operator::Pad { pads: permuted(pads, &inverse(&permutation)), value: *value }, 1)
        }
        _ => return false,
    };
    let output = node.outputs[0];
    if graph.tensor(output).shape.len() != rank {
        return false;
    }
    let operands = node.inputs.clone();
    if !operands[..n_moved].iter().all(|&id| is_free_without(graph, id, &permutation)) {
        return false;
    }
    let mut at = i;
    let mut inputs = operands.clone();
    for input in &mut inputs[..n_moved] {
        *input = without(graph, &mut at, *input, &permutation);
    }
    let back = inverse(&permutation);
    // A fully connected layer changes the length of the last axis, which stays where it is.
    let new_output = add_transposed(graph, output, &back);
    let node = &mut graph.nodes[at];
    node.operator = operator;
    node.inputs = inputs;
    node.outputs = vec![new_output];
    let name = format!("{}_transpose", node.name);
    insert(graph, at + 1, name, Operator::Transpose { permutation }, new_output, output);
    true
}

/// Whether `id` is `transpose(x, permutation)` of something that exists or costs nothing.
fn is_free_without(graph: &Graph, id: TensorId, permutation: &[usize]) -> bool {
    let tensor = graph.tensor(id);
    if transpose_before(graph, id).is_some_and(|(_, p)| p == permutation) {
        return true;
    }
    if tensor.constant.is_some() {
        return tensor.shape.len() <= permutation.len();
    }
    tensor.shape.len() == permutation.len() && moves_nothing(&tensor.shape, &inverse(permutation))
}

/// The x of which `id` is `transpose(x, permutation)`; may insert a reshape before node `at`.
fn without(graph: &mut Graph, at: &mut usize, id: TensorId, permutation: &[usize]) -> TensorId {
    if let Some((source, p)) = transpose_before(graph, id)
        && p == permutation
    {
        return source;
    }
    let back = inverse(permutation);
    let tensor = graph.tensor(id).clone();
    if tensor.constant.is_some() {
        // Right-aligned to the full rank first, as broadcasting reads it.
        let mut shape = vec![1; permutation.len() - tensor.shape.len()];
        shape.extend(&tensor.shape);
        let full = add_reshaped(graph, id, shape);
        return add_transposed(graph, full, &back);
    }
    let reshaped = add_transposed(graph, id, &back);
    insert(graph, *at, format!("{}_reshape", tensor.name), Operator::Reshape, id, reshaped);
    *at += 1;
    reshaped
}

/// `op(reshape(x))` becomes `reshape(op(x))` for elementwise operators.
fn sink_reshape(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let output = node.outputs[0];
    let sources: Vec<Option<TensorId>> = node.inputs.iter().map(|&id| reshape_before(graph, id)).collect();
    let Some(first) = sources.first().copied().flatten() else { return false };
    let shape = graph.tensor(first).shape.clone();
    let inputs = match &node.operator {
        Operator::Unary(_) => vec![first],
        Operator::Binary { .. } => {
            let same = sources[1].is_some_and(|s| graph.tensor(s).shape == shape)
                && graph.tensor(node.inputs[0]).shape == graph.tensor(node.inputs[1]).shape;
            let single = graph.tensor(node.inputs[1]).n_elements() == 1
                && graph.tensor(node.inputs[1]).constant.is_some()
                && graph.tensor(node.inputs[1]).shape.len() <= shape.len();
            match sources[1] {
                Some(second) if same => vec![first, second],
                _ if single => vec![first, node.inputs[1]],
                _ => return false,
            }
        }
        _ => return false,
    };
    if graph.tensor(first).constant.is_some() || graph.tensor(output).n_elements() != graph.tensor(first).n_elements() {
        return false;
    }
    let new_output = add_reshaped(graph, output, shape);
    let node = &mut graph.nodes[i];
    node.inputs = inputs;
    node.outputs = vec![new_output];
    let name = format!("{}_reshape", node.name);
    insert(graph, i + 1, name, Operator::Reshape, new_output, output);
    true
}

/// A product over a flattened, transposed map reads the map itself with its weights' columns moved;
/// a matrix product reads its right operand transposed.
fn absorb_into_weights(graph: &mut Graph, i: usize) -> bool {
    match graph.nodes[i].operator {
        Operator::FullyConnected { .. } => absorb_into_columns(graph, i),
        Operator::BatchMatmul { transpose_b } => {
            let Some((source, permutation)) = transpose_before(graph, graph.nodes[i].inputs[1]) else { return false };
            let rank = permutation.len();
            let swaps_last = rank >= 2
                && permutation[..rank - 2].iter().enumerate().all(|(i, &axis)| i == axis)
                && permutation[rank - 2] == rank - 1;
            if swaps_last {
                graph.nodes[i].inputs[1] = source;
                graph.nodes[i].operator = Operator::BatchMatmul { transpose_b: !transpose_b };
            }
            swaps_last
        }
        _ => false,
    }
}

fn absorb_into_columns(graph: &mut Graph, i: usize) -> bool {
    let (input, weights) = (graph.nodes[i].inputs[0], graph.nodes[i].inputs[1]);
    let flattened = reshape_before(graph, input);
    let Some((source, permutation)) = flattened.and_then(|id| transpose_before(graph, id)) else { return false };
    let shape = graph.tensor(source).shape.clone();
    let moved_shape = permuted(&shape, &permutation);
    let n_columns = *graph.tensor(input).shape.last().unwrap_or(&1);
    // Rows of the product must be whole slices of the first axis, which stays.
    let rows_stay = permutation.first() == Some(&0) && shape[1..].iter().product::<usize>() == n_columns;
    let Some(constant) = graph.tensor(weights).constant.clone().filter(|_| rows_stay) else { return false };
    let n_rows = graph.tensor(weights).shape[0];
    // Weights [O, moved axes] to [O, axes in the source's order].
    let mut weight_shape = vec![n_rows];
    weight_shape.extend(&moved_shape[1..]);
    let constant = transpose_constant(&constant, &weight_shape, &inverse(&permutation));
    let name = graph.tensor(weights).name.clone();
    let new_weights = graph.add_constant(&name, vec![n_rows, n_columns], constant);
    let input_shape = graph.tensor(input).shape.clone();
    let flat = add_reshaped(graph, source, input_shape);
    graph.tensor_mut(flat).origin = None;
    graph.nodes[i].inputs[0] = flat;
    graph.nodes[i].inputs[1] = new_weights;
    let name = format!("{}_flatten", graph.nodes[i].name);
    insert(graph, i, name, Operator::Reshape, source, flat);
    true
}
