//! Which ONNX tensor each tensor holds, kept true while tensors move.

use super::permutation;
use crate::graph::{Graph, Operator, Origin, TensorId};

/// The origin of a tensor after its axes are permuted.
pub fn permuted(graph: &Graph, id: TensorId, p: &[usize]) -> Option<Origin> {
    let tensor = graph.tensor(id);
    tensor.origin.as_ref()?.permuted(&tensor.shape, p)
}

/// Gives origins to tensors that got none, from the other side of a transpose or a reshape.
pub fn complete(graph: &mut Graph) {
    let forward = 0..graph.nodes.len();
    let both_ways: Vec<usize> = forward.clone().chain(forward.rev()).collect();
    for &i in &both_ways {
        let Operator::Transpose { permutation: p } = graph.nodes[i].operator.clone() else { continue };
        let (x, y) = (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]);
        let forward = permuted(graph, x, &p);
        let backward = permuted(graph, y, &permutation::inverse(&p));
        set_if_none(graph, y, forward);
        set_if_none(graph, x, backward);
    }
    for &i in &both_ways {
        if graph.nodes[i].operator != Operator::Reshape {
            continue;
        }
        let (x, y) = (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]);
        let (forward, backward) = (graph.tensor(x).origin.clone(), graph.tensor(y).origin.clone());
        set_if_none(graph, y, forward);
        set_if_none(graph, x, backward);
    }
}

fn set_if_none(graph: &mut Graph, id: TensorId, origin: Option<Origin>) {
    let tensor = graph.tensor_mut(id);
    if tensor.origin.is_none() && tensor.constant.is_none() {
        tensor.origin = origin;
    }
}

/// Calls tensors by the ONNX name they hold, where that name is free.
pub fn rename(graph: &mut Graph) {
    // Results of computing nodes first: a reshape of one is not what a reader looks for.
    let computed = |graph: &Graph, free: bool| -> Vec<TensorId> {
        let is_free =
            |n: &&crate::graph::Node| matches!(n.operator, Operator::Reshape | Operator::Transpose { .. }) == free;
        graph.nodes.iter().filter(is_free).flat_map(|n| n.outputs.clone()).collect()
    };
    for id in [computed(graph, false), computed(graph, true)].concat() {
        let Some(origin) = &graph.tensor(id).origin else { continue };
        let name = origin.name.clone();
        if graph.tensor(id).name == name {
            continue;
        }
        match graph.tensors.iter().position(|t| t.name == name) {
            None => graph.tensor_mut(id).name = name,
            // The name is with a reshape of it: swap.
            Some(other)
                if graph.producer(TensorId(other)).is_some_and(|i| {
                    matches!(graph.nodes[i].operator, Operator::Reshape | Operator::Transpose { .. })
                }) =>
            {
                let own = std::mem::replace(&mut graph.tensor_mut(id).name, name);
                graph.tensors[other].name = own;
            }
            Some(_) => {}
        }
    }
}
