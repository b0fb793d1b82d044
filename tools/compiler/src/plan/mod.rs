//! Where every tensor lives: the steps of an inference and one arena for all of them.
//!
//! ```text
//! graph -> buffers (lifetimes, what shares memory) -> offsets (arena) -> Planned
//! ```
//!
//! The order of the steps is the order of the graph's nodes. [`Node`]s of
//! [`Operator::Reshape`](crate::graph::Operator::Reshape) are not steps: their result is another
//! name for the memory of their operand.

mod arena;
mod lifetimes;
mod memory_map;
mod search;
mod slices;
mod stream;
mod strips;
#[cfg(test)]
mod tests;
mod views;

pub use memory_map::{LiveTensor, MemoryMap, StepMemory};
pub use slices::{Sliced, slice};
pub use stream::{Streamed, plan_in_strips};

use crate::choose::Chosen;
use crate::graph::{Graph, Node, TensorId};
use lifetimes::{Lifetimes, Storage};

/// Every tensor and every scratch buffer starts at a multiple of this, counted from the arena's start.
pub use tinfer::image::ALIGNMENT as ARENA_ALIGNMENT;

/// Bytes of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte, a multiple of [`ARENA_ALIGNMENT`].
    pub offset: usize,
    /// Length in bytes, not rounded.
    pub bytes: usize,
}

/// Where a tensor's elements are while the model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the arena.
    Arena(Region),
    /// In the image: the tensor is this constant, or a reshape of it.
    Constant(TensorId),
    /// Nowhere: no step reads or writes it and the outside does not see it.
    Unused,
}

/// One call of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Index in [`Graph::nodes`].
    pub node: usize,
    /// The node's operands.
    pub inputs: Vec<TensorId>,
    /// The node's results.
    pub outputs: Vec<TensorId>,
    /// Working memory that is free before and after the step.
    pub scratch: Option<Region>,
    /// The kernel that runs it.
    pub kernel: Chosen,
}

/// How good the arena's size is, for the given order of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// No arrangement is smaller.
    Optimal,
    /// The search gave up; an arrangement may exist that is smaller by up to so many bytes.
    Gap {
        /// Arena size minus the lower bound.
        bytes: usize,
    },
}

/// A graph with an address for everything.
#[derive(Clone, Debug)]
pub struct Planned {
    /// In execution order.
    pub steps: Vec<Step>,
    /// One entry per tensor of the graph, indexed by [`TensorId`].
    pub placement: Vec<Placement>,
    /// Size of the arena, tensors and scratch buffers together.
    pub arena_bytes: usize,
    /// The largest sum of what is live during one step, less what may overlap in it: no arena can be smaller.
    pub lower_bound_bytes: usize,
    /// Whether the arena is as small as it can be.
    pub proof: Proof,
    buffers: Vec<lifetimes::Buffer>,
    /// One entry per tensor.
    storage: Vec<Storage>,
}

impl Planned {
    /// The tensor's place in the arena, if it has one.
    pub fn region(&self, tensor: TensorId) -> Option<Region> {
        match self.placement[tensor.0] {
            Placement::Arena(region) => Some(region),
            _ => None,
        }
    }

    /// The largest scratch buffer of any step.
    pub fn scratch_bytes(&self) -> usize {
        self.steps.iter().filter_map(|s| s.scratch).map(|r| r.bytes).max().unwrap_or(0)
    }

    /// What is live when; `graph` is the one that was planned.
    pub fn memory_map(&self, graph: &Graph) -> MemoryMap {
        MemoryMap::new(graph, self)
    }
}

/// Plans a graph's memory. `choose` says which kernel a node runs on.
///
/// A step may write its result over an operand that nobody reads later: exactly over it where the operator is
/// elementwise and the elements have equal size, otherwise as its kernel's [`Overlap`](crate::choose::Overlap) says.
pub fn plan(graph: &Graph, choose: &dyn Fn(&Graph, &Node) -> Chosen) -> Planned {
    let order: Vec<usize> = (0..graph.nodes.len()).collect();
    place(Lifetimes::new(graph, &order, choose), graph, Effort::Full)
}

/// How long the planner may search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// First fit in a few orders, to compare variants of a graph.
    Estimate,
    /// Until the result is proven, or the search gives up.
    Full,
}

fn place(lifetimes: Lifetimes, graph: &Graph, effort: Effort) -> Planned {
    let Lifetimes { mut steps, mut buffers, overlaps, storage } = lifetimes;
    let arrangement = arena::arrange(&buffers, &overlaps, effort);
    for (buffer, &offset) in buffers.iter_mut().zip(&arrangement.offsets) {
        buffer.offset = offset * ARENA_ALIGNMENT;
    }
    for buffer in &buffers {
        if let Some(step) = buffer.scratch_of {
            steps[step].scratch = Some(Region { offset: buffer.offset, bytes: buffer.bytes });
        }
    }
    let placement = storage
        .iter()
        .zip(&graph.tensors)
        .map(|(storage, tensor)| match *storage {
            Storage::Buffer { buffer, start } => {
                Placement::Arena(Region { offset: buffers[buffer].offset + start, bytes: tensor.n_bytes() })
            }
            Storage::Constant(id) => Placement::Constant(id),
            Storage::Unused => Placement::Unused,
        })
        .collect();
    let gap = arrangement.size - arrangement.proven_bound;
    Planned {
        steps,
        placement,
        arena_bytes: arrangement.size * ARENA_ALIGNMENT,
        lower_bound_bytes: arrangement.live_bound * ARENA_ALIGNMENT,
        proof: if gap == 0 { Proof::Optimal } else { Proof::Gap { bytes: gap * ARENA_ALIGNMENT } },
        buffers,
        storage,
    }
}
