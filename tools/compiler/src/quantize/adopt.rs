//! The quantization that a model brings along: every [`Unary::Snap`] becomes the quantization of the tensor before it.

use super::QuantizeError;
use crate::graph::{Graph, Node, Operator, TensorId, Unary};
use tinfer::tensor::ElementType;

/// Whether a graph comes from a model that is quantized already.
pub fn is_quantized(graph: &Graph) -> bool {
    graph.nodes.iter().any(|n| is_snap(&n.operator))
        || graph.inputs.iter().any(|p| graph.tensor(p.tensor).quantization.is_some())
}

/// Gives quantized inputs and the results of [`Unary::Snap`] their int8 quantization. The nodes become
/// [`Operator::Requantize`], which later vanish where the tensor before them takes the same quantization.
///
/// # Errors
/// [`QuantizeError::TwoScales`]
pub(super) fn quantizations(graph: &mut Graph) -> Result<(), QuantizeError> {
    if !is_quantized(graph) {
        return Ok(());
    }
    let inputs: Vec<TensorId> = graph.inputs.iter().map(|p| p.tensor).collect();
    for (idx, tensor) in graph.tensors.iter_mut().enumerate().filter(|(_, t)| t.constant.is_none()) {
        match inputs.contains(&TensorId(idx)) && tensor.quantization.is_some() {
            true => tensor.element_type = ElementType::I8,
            false => tensor.quantization = None,
        }
    }
    separate(graph)?;
    for idx in 0..graph.nodes.len() {
        let Operator::Unary(Unary::Snap(grid)) = graph.nodes[idx].operator else { continue };
        graph.nodes[idx].operator = Operator::Requantize;
        let output = graph.nodes[idx].outputs[0];
        let tensor = graph.tensor_mut(output);
        tensor.quantization = Some(grid.into());
        tensor.element_type = ElementType::I8;
    }
    Ok(())
}

/// Layers whose weights are real numbers in a model that is quantized otherwise.
pub fn real_weights(graph: &Graph) -> Vec<&str> {
    let is_layer = |n: &&Node| {
        matches!(
            n.operator,
            Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. } | Operator::FullyConnected { .. }
        )
    };
    let layers = graph.nodes.iter().filter(is_layer);
    let real = layers.filter(|n| n.inputs.get(1).is_some_and(|&w| graph.tensor(w).quantization.is_none()));
    real.map(|n| &*n.name).collect()
}

/// A tensor that is rounded to several grids is computed once for each: rounding twice would not be what the model says.
fn separate(graph: &mut Graph) -> Result<(), QuantizeError> {
    let mut idx = 0;
    while idx < graph.nodes.len() {
        let (operator, x) = (graph.nodes[idx].operator.clone(), graph.nodes[idx].inputs[0]);
        idx += 1;
        let first = graph.consumers(x).into_iter().find(|&i| is_snap(&graph.nodes[i].operator));
        let is_other = first.is_some_and(|i| i + 1 < idx && graph.nodes[i].operator != operator);
        // What is quantized already is rounded once more by every reader, as the model says.
        let quantized = graph.tensor(x).quantization.is_some();
        let producer = graph.producer(x).map(|p| graph.nodes[p].clone());
        if !is_snap(&operator) || !is_other || quantized || producer.as_ref().is_some_and(|p| is_snap(&p.operator)) {
            continue;
        }
        let Some(mut node) = producer else {
            return Err(QuantizeError::TwoScales { tensor: graph.tensor(x).name.clone() });
        };
        let copy = graph.tensor(x).clone();
        let copy = graph.add_tensor(copy);
        node.name = format!("{}/{}", node.name, graph.nodes[idx - 1].name);
        node.outputs = vec![copy];
        graph.nodes[idx - 1].inputs[0] = copy;
        graph.nodes.insert(idx - 1, node);
        idx += 1;
    }
    Ok(())
}

fn is_snap(operator: &Operator) -> bool {
    matches!(operator, Operator::Unary(Unary::Snap(_)))
}
