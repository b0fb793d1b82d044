//! Which layers spend flash on fewer instructions.

use super::{Chosen, armv7em, choose};
use crate::cost;
use crate::graph::{Graph, Node, TensorId};
use std::collections::HashSet;
use tinfer::isa::Isa;

/// Whether convolutions may run by Winograd's method, which needs 3.6 times the flash of their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Winograd {
    /// No layer.
    Never,
    /// Layers that are cheaper so, as far as the board's model slot and arena have room.
    Auto,
}

/// Layers that run by Winograd's method.
#[derive(Clone, Debug, Default)]
pub struct WinogradLayers(HashSet<TensorId>);

impl WinogradLayers {
    /// Those that save the most instructions for a byte of flash, until `room_bytes` are used up.
    pub fn within(graph: &Graph, isa: Isa, room_bytes: usize) -> Self {
        if isa != Isa::Armv7em {
            return Self::default();
        }
        let mut candidates: Vec<Candidate> = graph.nodes.iter().filter_map(|n| Candidate::new(graph, n)).collect();
        candidates.sort_by(|a, b| b.saved_per_byte().total_cmp(&a.saved_per_byte()));
        let mut left = room_bytes;
        let taken = candidates.into_iter().filter(|candidate| match left.checked_sub(candidate.more_bytes) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        });
        Self(taken.map(|candidate| candidate.output).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// [`choose`], with these layers on Winograd's kernel.
    pub fn choose(&self, graph: &Graph, node: &Node, isa: Isa) -> Chosen {
        let is_one = node.outputs.first().is_some_and(|output| self.0.contains(output));
        let winograd = is_one.then(|| armv7em::choose_winograd(graph, node)).flatten();
        winograd.unwrap_or_else(|| choose(graph, node, isa))
    }
}

/// A layer that would take fewer instructions.
struct Candidate {
    output: TensorId,
    saved: f64,
    more_bytes: usize,
}

impl Candidate {
    fn new(graph: &Graph, node: &Node) -> Option<Self> {
        armv7em::choose_winograd(graph, node)?;
        let usual = choose(graph, node, Isa::Armv7em);
        let saved = cost::of_node(graph, node, Isa::Armv7em, usual.isa)? - cost::of_winograd(graph, node)?;
        let words = armv7em::winograd_stream(graph, node)?.len();
        let more_bytes = (words * 4).saturating_sub(graph.tensor(node.inputs[1]).n_elements());
        (saved > 0.0).then_some(Candidate { output: node.outputs[0], saved, more_bytes })
    }

    fn saved_per_byte(&self) -> f64 {
        self.saved / self.more_bytes.max(1) as f64
    }
}
