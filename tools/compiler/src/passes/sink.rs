//! Transposes move towards the outputs, through every operator that does not care about the order
//! of axes, until they meet their inverse, a layer that absorbs them, or a graph output.

use super::permutation::{self, inverse, keeps_order};
use super::rewrite::{add_permuted, add_permuted_constant, add_reshaped, insert, only_consumer, transposed};
use crate::graph::{Graph, Operator, Port, TensorId};

/// op(Transpose(x), …) becomes Transpose(op'(x, …)).
pub fn through_node(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let out_rank = graph.tensor(node.outputs[0]).shape.len();
    let Some(p) =
        node.inputs.iter().find_map(|&x| transposed(graph, x)).map(|(_, p)| p.to_vec()).filter(|p| p.len() == out_rank)
    else {
        return false;
    };
    let last_stays = p.last() == Some(&(out_rank - 1));
    let (operator, n_moved) = match node.operator.clone() {
        operator @ Operator::Unary(_) => (operator, 1),
        operator @ Operator::Binary { .. } => (operator, 2),
        operator @ Operator::Pair(_) => (operator, 2),
        Operator::Where => (Operator::Where, 3),
        Operator::Cast => (Operator::Cast, 1),
        operator @ Operator::Softmax if last_stays => (operator, 1),
        // Weights and bias see the last axis only.
        operator @ Operator::FullyConnected { .. } if last_stays => (operator, 1),
        Operator::Concat { axis } => (Operator::Concat { axis: p[axis] }, node.inputs.len()),
        Operator::Pad { pads, value } => {
            let back = inverse(&p);
            (Operator::Pad { pads: back.iter().map(|&axis| pads[axis]).collect(), value }, 1)
        }
        // Indices and tables belong to an axis, whatever its place.
        Operator::Move(movement) if let Some(moved) = movement.on_axes(&p) => (Operator::Move(moved), 1),
        _ => return false,
    };
    let operands = node.inputs[..n_moved].to_vec();
    if !operands.iter().all(|&x| can_move(graph, x, &p, out_rank)) {
        return false;
    }
    // With a twin the way back is open too, as long as the transposes here have other readers:
    // without this the same node would go to and fro.
    let twin = |x: TensorId| graph.tensor(x).shape.len() == out_rank && moved_twin(graph, x, &inverse(&p)).is_some();
    let shared =
        |x: TensorId| transposed(graph, x).is_some_and(|(_, own)| own == p) && only_consumer(graph, x).is_none();
    if operands.iter().any(|&x| twin(x)) && operands.iter().any(|&x| shared(x)) {
        return false;
    }
    let mut at = i;
    for (k, &x) in operands.iter().enumerate() {
        let moved = move_operand(graph, x, &p, &mut at, out_rank);
        graph.nodes[at].inputs[k] = moved;
    }
    let y = graph.nodes[at].outputs[0];
    let moved = add_permuted(graph, y, &inverse(&p));
    let node = &mut graph.nodes[at];
    node.operator = operator;
    node.outputs[0] = moved;
    let (name, onnx) = (format!("{}/transpose", node.name), node.onnx.clone());
    insert(graph, at + 1, &name, &onnx, Operator::Transpose { permutation: p }, vec![moved], y);
    true
}

/// Whether an operand can be had in the order before the transpose `p` without a new transpose.
fn can_move(graph: &Graph, x: TensorId, p: &[usize], rank: usize) -> bool {
    let back = inverse(p);
    let shape = expanded(&graph.tensor(x).shape, rank);
    graph.tensor(x).constant.is_some()
        || transposed(graph, x).is_some_and(|(_, own)| own == p)
        || keeps_order(&back, &shape)
        || (graph.tensor(x).shape.len() == rank && (is_free_input(graph, x) || moved_twin(graph, x, &back).is_some()))
}

/// Whether a graph input has no other reader, so that it can be given in any order.
fn is_free_input(graph: &Graph, x: TensorId) -> bool {
    let reads_once = |i: usize| graph.nodes[i].inputs.iter().filter(|&&id| id == x).count() == 1;
    let own_axes = |port: &Port| permutation::apply(&port.permutation, &port.shape) == graph.tensor(x).shape;
    only_consumer(graph, x).is_some_and(reads_once)
        && graph.inputs.iter().any(|port| port.tensor == x && own_axes(port))
}

/// The operand in the order before the transpose. `at` is the reader's place and moves with it.
fn move_operand(graph: &mut Graph, x: TensorId, p: &[usize], at: &mut usize, rank: usize) -> TensorId {
    if let Some((before, own)) = transposed(graph, x)
        && own == p
    {
        return before;
    }
    let back = inverse(p);
    let shape = expanded(&graph.tensor(x).shape, rank);
    if shape.iter().all(|&d| d == 1) {
        return x;
    }
    if graph.tensor(x).constant.is_some()
        && let Some(folded) = add_permuted_constant(graph, x, &shape, &back)
    {
        return folded;
    }
    if let Some(twin) = moved_twin(graph, x, &back)
        && graph.producer(twin).is_some_and(|i| i < *at)
    {
        return twin;
    }
    if !keeps_order(&back, &shape) && is_free_input(graph, x) {
        let moved = add_permuted(graph, x, &back);
        for port in graph.inputs.iter_mut().filter(|port| port.tensor == x) {
            port.permutation = permutation::compose(&port.permutation, &back);
            port.tensor = moved;
        }
        return moved;
    }
    let name = graph.tensor(x).name.clone();
    let (operator, moved) = if keeps_order(&back, &shape) {
        (Operator::Reshape, add_reshaped(graph, x, permutation::apply(&back, &shape)))
    } else {
        (Operator::Transpose { permutation: back.clone() }, add_permuted(graph, x, &back))
    };
    insert(graph, *at, &format!("{name}/moved"), "", operator, vec![x], moved);
    *at += 1;
    moved
}

/// A transpose of `x` by `p` that exists already.
fn moved_twin(graph: &Graph, x: TensorId, p: &[usize]) -> Option<TensorId> {
    let is_twin =
        |&&i: &&usize| matches!(&graph.nodes[i].operator, Operator::Transpose { permutation } if permutation == p);
    graph.consumers(x).iter().find(is_twin).map(|&i| graph.nodes[i].outputs[0])
}

/// The shape with leading ones up to a rank, as broadcasting sees it.
pub fn expanded(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut full = vec![1; rank.saturating_sub(shape.len())];
    full.extend(shape);
    full
}
