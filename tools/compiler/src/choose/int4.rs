//! Layers whose weights are packed two in a byte.

use super::{Chosen, Method, Overlap};
use crate::graph::{Constant, Graph, Node, Operator};
use tinfer::isa::Isa;
use tinfer::tensor::ElementType;

/// The portable kernel for int4 weights; `None` for other operators, for activations that are not int8, and for weights
/// that four bits do not hold. Its scratch is one filter.
pub(super) fn choose(graph: &Graph, node: &Node) -> Option<Chosen> {
    let weights = graph.tensor(*node.inputs.get(1)?);
    let (output, input) = (graph.tensor(*node.outputs.first()?), graph.tensor(node.inputs[0]));
    let filter: usize = match node.operator {
        Operator::Conv2d { .. } | Operator::FullyConnected { .. } => weights.shape[1..].iter().product(),
        Operator::DepthwiseConv2d { .. } => weights.shape[..weights.shape.len() - 1].iter().product(),
        _ => return None,
    };
    let Some(Constant::I8(values)) = &weights.constant else { return None };
    let is_int8 = [input, output].iter().all(|t| t.element_type == ElementType::I8);
    let fits = values.iter().all(|w| (-8..8).contains(w));
    (is_int8 && fits).then_some(Chosen {
        isa: Isa::Portable,
        method: Method::Int4,
        scratch_bytes: filter,
        overlap: Overlap::Never,
    })
}
