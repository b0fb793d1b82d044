//! Takes out channels that no input changes, and channels that nothing reads. What the model computes stays the same,
//! bit for bit.
//!
//! ```text
//! Graph -> product.rs  layers with weights, channel by channel
//!       -> bounds.rs   forwards: which values can a channel take? (interval analysis in the image's arithmetic)
//!       -> kept.rs     backwards: which channels must the outputs have? (least fixed point)
//!                      and which more are cheaper to keep, for whole words
//!       -> rewrite.rs  cuts tensors, weights and scales; what constants added goes into biases
//!       -> Graph, TrimReport
//! ```
//!
//! A constant channel folds into a bias where it adds the same number at every position. At the border of a padded
//! convolution some of its taps see the input's zero point instead; so it folds there if it *is* the zero point, or if
//! the taps that can lie in the padding have no weight. Where it cannot fold it stays.
//!
//! Values never change, so one pass forwards and one fixed point backwards find everything that these rules can.
//!
//! In float32 only exact zeros count, and only for inputs of which the model computes finite numbers: a product of 0
//! and infinity is not 0. The sign of a zero in the result may change.

mod bounds;
mod interval;
mod kept;
mod oracle;
mod product;
mod report;
mod rewrite;
#[cfg(test)]
mod tests;

pub use report::{ConstantChannel, TrimReport, TrimmedLayer};

use crate::graph::Graph;
use bounds::Bounds;
use kept::Kept;
use product::Product;
use std::num::NonZeroUsize;

/// What becomes of channels that no input changes, or that nothing reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConstantChannels {
    /// [`trim`] takes them out.
    #[default]
    Remove,
    /// The image computes them.
    Keep,
}

/// A graph without constant and unread channels, and what they were.
#[derive(Clone, Debug)]
pub struct Trimmed {
    /// The graph; its inputs and outputs are those of the graph before.
    pub graph: Graph,
    /// What is gone.
    pub report: TrimReport,
}

/// Trims a graph whose tensors have their final element types and quantizations.
///
/// Tensors keep a multiple of `multiple` channels, or all that they had: kernels read whole words and vectors, and
/// what is left of a word costs more than a channel that does nothing. 1 takes out all that can go.
pub fn trim(graph: &Graph, multiple: NonZeroUsize) -> Trimmed {
    let products: Vec<Option<Product>> = graph.nodes.iter().map(|node| Product::new(graph, node)).collect();
    let bounds = Bounds::new(graph, &products);
    let mut kept = Kept::new(graph, &products, &bounds);
    kept.fill(graph, &products, &bounds, multiple.get());
    let after = rewrite::rewrite(graph, &products, &bounds, &kept);
    let report = TrimReport::new(graph, &after, &products, &bounds, &kept);
    Trimmed { graph: after, report }
}

/// Trims a graph to the multiple for which `cost` is lowest; the smallest one where it says nothing.
pub fn trim_for(graph: &Graph, mut cost: impl FnMut(&Graph) -> Option<u64>) -> Trimmed {
    let smallest = trim(graph, NonZeroUsize::MIN);
    if smallest.report.n_channels() == 0 {
        return smallest;
    }
    let (mut best, mut lowest) = (None, cost(&smallest.graph));
    for multiple in MULTIPLES.iter().filter_map(|&n| NonZeroUsize::new(n)) {
        let trimmed = trim(graph, multiple);
        let found = cost(&trimmed.graph);
        if found.zip(lowest).is_some_and(|(found, lowest)| found < lowest) {
            (best, lowest) = (Some(trimmed), found);
        }
    }
    best.unwrap_or(smallest)
}

/// int8 elements in a halfword, a word, half a vector and a vector.
const MULTIPLES: [usize; 4] = [2, 4, 8, 16];
