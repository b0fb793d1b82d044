//! Which kernel computes a node on an instruction set, and what memory that kernel asks for.
//!
//! The one place that decides: the planner takes the memory from here, the packer the layout. A fast kernel says what
//! it supports; every other node runs on the portable kernel, which exists for all.

mod channels;

pub use channels::{ChannelArrays, ChannelsError};

use crate::graph::{Graph, Node};
use tinfer::isa::Isa;

/// The kernel of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The set of kernels that it is from.
    pub isa: Isa,
    /// Working memory.
    pub scratch_bytes: usize,
    /// The output may overlap the first input when it starts so many bytes below it, or more; `None` when the two
    /// must be apart.
    pub lead_bytes: Option<usize>,
}

impl Chosen {
    /// The portable kernel, without working memory.
    pub const PORTABLE: Self = Chosen { isa: Isa::Portable, scratch_bytes: 0, lead_bytes: None };
}

/// The kernel for a node of a graph whose tensors have their final element types.
pub fn choose(_graph: &Graph, _node: &Node, isa: Isa) -> Chosen {
    match isa {
        Isa::Portable | Isa::Armv7em | Isa::Mve | Isa::Neon => Chosen::PORTABLE,
    }
}

/// [`choose`] for one instruction set.
pub fn for_isa(isa: Isa) -> impl Fn(&Graph, &Node) -> Chosen {
    move |graph, node| choose(graph, node, isa)
}
