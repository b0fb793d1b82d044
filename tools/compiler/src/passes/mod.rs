//! From a lowered graph to one that runs well: NHWC throughout, constants folded, activations fused.
//!
//! Every pass keeps what the graph computes. They run in rounds until none changes anything:
//!
//! ```text
//! tidy   identity reshapes, double reshapes, movement of constants, dead nodes
//! sink   transposes and reshapes move behind the operators that they commute with
//! cancel transposes that meet become one, or none
//! ports  transposes next to inputs and outputs become the port's permutation
//! fuse   scale, bias and clamp move into the product before them, zero padding into the window
//! ```

mod axes;
mod fuse;
mod layout;
mod ports;
mod tidy;

#[cfg(test)]
mod tests;

use crate::graph::{Graph, Operator};

/// A graph after all passes.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// The graph.
    pub graph: Graph,
    /// What could not be simplified away.
    pub report: LayoutReport,
}

/// Transposes that stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayoutReport {
    /// In execution order.
    pub transposes: Vec<StayingTranspose>,
}

/// A transpose that runs on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StayingTranspose {
    /// Name of the node.
    pub node: String,
    /// Its permutation.
    pub permutation: Vec<usize>,
    /// Shape of its result.
    pub shape: Vec<usize>,
    /// Why it stays.
    pub reason: String,
}

/// Runs all passes.
pub fn simplify(mut graph: Graph) -> Simplified {
    // Each round moves every transpose past at least one operator or removes it.
    let n_rounds = 2 * graph.nodes.len() + 4;
    for _ in 0..n_rounds {
        let mut changed = tidy::run(&mut graph);
        changed |= layout::sink(&mut graph);
        changed |= layout::cancel(&mut graph);
        changed |= ports::absorb(&mut graph);
        changed |= fuse::run(&mut graph);
        graph.compact();
        if !changed {
            break;
        }
    }
    let report = report(&graph);
    Simplified { graph, report }
}

fn report(graph: &Graph) -> LayoutReport {
    let mut report = LayoutReport::default();
    for node in &graph.nodes {
        let Operator::Transpose { permutation } = &node.operator else { continue };
        let output = node.outputs[0];
        let readers: Vec<String> = graph.consumers(output).iter().map(|&i| graph.nodes[i].name.clone()).collect();
        let reason = if graph.is_output(output) {
            "the graph returns it in another order than its operators work in".to_string()
        } else {
            format!("read in this order by {}", readers.join(", "))
        };
        let shape = graph.tensor(output).shape.clone();
        report.transposes.push(StayingTranspose { node: node.name.clone(), permutation: permutation.clone(), shape, reason });
    }
    report
}
