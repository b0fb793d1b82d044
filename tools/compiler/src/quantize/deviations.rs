//! Deviations that a file spells out: means of squares, their differences and roots, until something is divided by them.
//!
//! ```text
//! x -> x * x -> mean ─> - ─> + epsilon -> root ─> /     all of this stays float32: small rows would vanish beside large
//! m -> m * m ──────────┘                    d ────┘     ones, and differences of nearly equal numbers in their steps
//! ```

use crate::graph::{Binary, Graph, Operator, Reduction, TensorId, Unary};
use std::collections::BTreeSet;

/// The nodes that compute deviations and divide by them. What a pass made a normalization of is none of them.
pub(super) fn nodes(graph: &Graph) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for mean in 0..graph.nodes.len() {
        if !matches!(graph.nodes[mean].operator, Operator::Reduction(Reduction::Reduce { .. })) {
            continue;
        }
        let Some(square) = square(graph, graph.nodes[mean].inputs[0]) else { continue };
        let mut chain = BTreeSet::from([square, mean]);
        follow(graph, graph.nodes[mean].outputs[0], &mut chain);
        if chain.iter().any(|&idx| is_root(&graph.nodes[idx].operator)) {
            found.extend(chain);
        }
    }
    found
}

/// The node that multiplies a tensor by itself, which `id` is the result of.
fn square(graph: &Graph, id: TensorId) -> Option<usize> {
    let idx = graph.producer(id)?;
    let node = &graph.nodes[idx];
    let is_product = matches!(node.operator, Operator::Binary { function: Binary::Mul, .. });
    (is_product && node.inputs[0] == node.inputs[1]).then_some(idx)
}

fn is_root(operator: &Operator) -> bool {
    matches!(operator, Operator::Unary(Unary::Sqrt | Unary::Reciprocal | Unary::Power { .. }))
}

/// Adds what is computed of a tensor alone, and the first nodes that other real numbers come to.
fn follow(graph: &Graph, id: TensorId, chain: &mut BTreeSet<usize>) {
    for reader in graph.consumers(id) {
        let node = &graph.nodes[reader];
        let mut others = node.inputs.iter().filter(|&&other| other != id && graph.tensor(other).constant.is_none());
        let other = others.next().copied();
        let goes_on = match &node.operator {
            Operator::Unary(_) | Operator::Reshape | Operator::Transpose { .. } | Operator::Move(_) => true,
            Operator::Binary { function: Binary::Sub, .. }
                if let Some(square) = other.and_then(|id| square(graph, id)) =>
            {
                chain.insert(square);
                true
            }
            Operator::Binary { .. } | Operator::Pair(_) => other.is_none(),
            _ => continue,
        };
        if chain.insert(reader) && goes_on {
            node.outputs.iter().for_each(|&y| follow(graph, y, chain));
        }
    }
}
