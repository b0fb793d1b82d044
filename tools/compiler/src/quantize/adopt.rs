//! The quantization that a model brings along: every [`Unary::Snap`] becomes the quantization of the tensor before it.

use super::{Level, Precisions, fixed_output};
use crate::graph::{Graph, Node, Operator, TensorId, Unary};
use tinfer::tensor::ElementType;

/// Whether a graph comes from a model that is quantized already.
pub fn is_quantized(graph: &Graph) -> bool {
    graph.nodes.iter().any(|n| is_snap(&n.operator))
        || graph.inputs.iter().any(|p| graph.tensor(p.tensor).quantization.is_some())
}

/// Gives quantized inputs and the results of [`Unary::Snap`] their int8 quantization. The nodes become
/// [`Operator::Requantize`], which later vanish where the tensor before them takes the same quantization.
pub(super) fn quantizations(graph: &mut Graph) {
    if !is_quantized(graph) {
        return;
    }
    let inputs: Vec<TensorId> = graph.inputs.iter().map(|p| p.tensor).collect();
    for (idx, tensor) in graph.tensors.iter_mut().enumerate().filter(|(_, t)| t.constant.is_none()) {
        match inputs.contains(&TensorId(idx)) && tensor.quantization.is_some() {
            true => tensor.element_type = ElementType::I8,
            false => tensor.quantization = None,
        }
    }
    for idx in 0..graph.nodes.len() {
        let Operator::Unary(Unary::Snap(grid)) = graph.nodes[idx].operator else { continue };
        graph.nodes[idx].operator = Operator::Requantize;
        let output = graph.nodes[idx].outputs[0];
        let tensor = graph.tensor_mut(output);
        tensor.quantization = Some(grid.into());
        tensor.element_type = ElementType::I8;
    }
}

/// Layers whose weights are real numbers in a model that is quantized otherwise.
pub fn real_weights(graph: &Graph) -> Vec<&str> {
    let is_layer = |n: &&Node| {
        matches!(
            n.operator,
            Operator::Conv2d { .. }
                | Operator::ConvTranspose2d { .. }
                | Operator::DepthwiseConv2d { .. }
                | Operator::FullyConnected { .. }
        )
    };
    let layers = graph.nodes.iter().filter(is_layer);
    let real = layers.filter(|n| n.inputs.get(1).is_some_and(|&w| graph.tensor(w).quantization.is_none()));
    real.map(|n| &*n.name).collect()
}

/// Asks for float32 for every Softmax whose result the model has on several grids: a change of steps behind the integer
/// kernel would round twice.
pub(super) fn softmax_in_float(graph: &Graph, precisions: &mut Precisions) {
    for node in graph.nodes.iter().filter(|n| n.operator == Operator::Softmax) {
        let own = fixed_output(&node.operator, Level::Int8);
        let readers = graph.consumers(node.outputs[0]);
        let is_other = |&reader: &usize| {
            let result = graph.tensor(graph.nodes[reader].outputs[0]);
            graph.nodes[reader].operator == Operator::Requantize && result.quantization != own
        };
        if readers.len() > 1 && readers.iter().any(is_other) {
            precisions.nodes.entry(node.name.clone()).or_insert(Level::Float32);
        }
    }
}

fn is_snap(operator: &Operator) -> bool {
    matches!(operator, Operator::Unary(Unary::Snap(_)))
}
