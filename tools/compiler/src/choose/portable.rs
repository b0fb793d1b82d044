//! What memory the portable kernels ask for.

use super::armv7em::window_2d;
use super::{Chosen, Overlap};
use crate::graph::{Graph, Node, Operator};
use tinfer::kernels::geometry::Strip;

/// The portable kernel for a node. Those with windows write pixel after pixel and may overlap their input.
pub(super) fn choose(graph: &Graph, node: &Node) -> Chosen {
    let overlap = lead_bytes(graph, node).map_or(Overlap::Never, Overlap::Lead);
    Chosen { overlap, ..Chosen::PORTABLE }
}

fn lead_bytes(graph: &Graph, node: &Node) -> Option<usize> {
    let (Operator::Conv2d { window, .. }
    | Operator::DepthwiseConv2d { window, .. }
    | Operator::MaxPool2d { window }
    | Operator::AveragePool2d { window, .. }) = &node.operator
    else {
        return None;
    };
    let window = window_2d(graph, node, window)?.check()?;
    let element_bytes = graph.tensor(node.outputs[0]).element_type.size_bytes();
    (window.lead_elements(Strip::Pixels(1)) as usize).checked_mul(element_bytes)
}
