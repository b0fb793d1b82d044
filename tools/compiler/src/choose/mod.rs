//! Which kernel computes a node on an instruction set, and what memory that kernel asks for.
//!
//! The one place that decides: the planner takes the memory from here, the packer the layout. A fast kernel says what
//! it supports; every other node runs on the portable kernel, which exists for all.

pub mod armv7em;
mod average;
mod channels;
pub mod mve;
mod portable;

pub use armv7em::window_2d;
pub use average::{Average, average};
pub use channels::{ChannelArrays, ChannelsError, output_i8, pair_multiplier};

use crate::graph::{Graph, Node};
use tinfer::isa::Isa;

/// The kernel of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The set of kernels that it is from.
    pub isa: Isa,
    /// Working memory.
    pub scratch_bytes: usize,
    /// Whether the output may overlap the first input.
    pub overlap: Overlap,
}

/// How a kernel's output may overlap its first input; elementwise operators have a rule of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    Never,
    /// Both start at the same byte.
    SameStart,
    /// The output starts so many bytes below the input, or more.
    Lead(usize),
}

impl Chosen {
    /// A portable kernel without working memory whose operands are apart: what every node can be planned with.
    pub const PORTABLE: Self = Chosen { isa: Isa::Portable, scratch_bytes: 0, overlap: Overlap::Never };
}

/// The kernel for a node of a graph whose tensors have their final element types.
pub fn choose(graph: &Graph, node: &Node, isa: Isa) -> Chosen {
    let fast = match isa {
        Isa::Armv7em => armv7em::choose(graph, node),
        Isa::Mve => mve::choose(graph, node),
        Isa::Portable | Isa::Neon => None,
    };
    fast.unwrap_or_else(|| portable::choose(graph, node))
}

/// [`choose`] for one instruction set.
pub fn for_isa(isa: Isa) -> impl Fn(&Graph, &Node) -> Chosen {
    move |graph, node| choose(graph, node, isa)
}
