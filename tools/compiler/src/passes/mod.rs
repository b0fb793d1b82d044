//! Lowered graph to simplified graph: feature maps in NHWC without transposes, activations and
//! normalizations inside the layers before them.
//!
//! Every rewrite keeps the graph's outputs; the tests prove it by [`crate::evaluate`].

mod absorb;

mod fuse;
mod gelu;
mod hoist;
mod layout;
mod normalization;
mod origin;
pub(crate) mod permutation;
mod rank;
mod report;
mod reshape;
mod rewrite;
mod sink;
mod snap;
#[cfg(test)]
mod tests;

pub use report::{LayoutReport, StayingTranspose};

use crate::graph::Graph;

/// A graph after all passes, and what they could not do.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// Feature maps are NHWC, activations are fused.
    pub graph: Graph,
    /// Transposes that stay.
    pub report: LayoutReport,
}

/// One rewrite at one node: whether it changed the graph. It may add, drop and change any node.
type Rule = fn(&mut Graph, usize) -> bool;

/// Applies all passes until none finds anything to do.
pub fn simplify(mut graph: Graph) -> Simplified {
    // Every rule removes a node, or moves a transpose towards the outputs, or a clamp towards the
    // inputs, or gives a node one reader, so this ends; the limit only turns a mistake in that reasoning into a slower image.
    let most = 100 * (graph.nodes.len() + 10);
    let mut n_rewrites = 0;
    while sweep(&mut graph, &mut n_rewrites, most) {}
    layout::to_reshapes(&mut graph);
    while sweep(&mut graph, &mut n_rewrites, most) {}
    rank::fit_transposes(&mut graph);
    origin::complete(&mut graph);
    origin::rename(&mut graph);
    let report = LayoutReport::new(&graph);
    Simplified { graph, report }
}

/// Tries every rule at every node, until `most` rewrites are made.
fn sweep(graph: &mut Graph, n_rewrites: &mut usize, most: usize) -> bool {
    let mut changed = rewrite::merge_duplicates(graph) | absorb::inputs(graph) | absorb::outputs(graph);
    for rule in RULES {
        let mut i = 0;
        while i < graph.nodes.len() && *n_rewrites < most {
            if rule(graph, i) {
                // What is at this place now is new: look again.
                changed = true;
                *n_rewrites += 1;
                graph.compact();
            } else {
                i += 1;
            }
        }
    }
    graph.compact();
    changed && *n_rewrites < most
}

const RULES: &[Rule] = &[
    fuse::limit,
    // Before anything moves into its parts.
    normalization::spelled_out,
    normalization::factors,
    layout::fold_constant,
    layout::compose,
    layout::drop_identity,
    reshape::compose,
    reshape::drop_identity,
    // Before a reshape comes between transpose and input.
    hoist::to_inputs,
    sink::through_node,
    reshape::sink_transpose,
    absorb::into_columns,
    absorb::into_rows,
    absorb::into_matmul,
    gelu::spelled_out,
    fuse::lift_clamp,
    fuse::affine,
    fuse::clamp,
    fuse::pad,
    snap::drop_needless,
    snap::before_clamp,
    snap::separate,
];
