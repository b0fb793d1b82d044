//! The quantization that a model brings along: every [`Unary::Snap`] becomes the quantization of the tensor before it.

use crate::graph::{Graph, Operator, TensorId, Unary};
use tinfer::tensor::ElementType;

/// Whether a graph comes from a model that is quantized already.
pub fn is_quantized(graph: &Graph) -> bool {
    let snaps = graph.nodes.iter().any(|n| matches!(n.operator, Operator::Unary(Unary::Snap(_))));
    snaps || graph.inputs.iter().any(|p| graph.tensor(p.tensor).quantization.is_some())
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
    separate(graph);
    for idx in 0..graph.nodes.len() {
        let Operator::Unary(Unary::Snap(grid)) = graph.nodes[idx].operator else { continue };
        graph.nodes[idx].operator = Operator::Requantize;
        let output = graph.nodes[idx].outputs[0];
        let tensor = graph.tensor_mut(output);
        tensor.quantization = Some(grid.into());
        tensor.element_type = ElementType::I8;
    }
}

/// A tensor that is rounded to several grids is computed once for each: rounding twice would not be what the model says.
fn separate(graph: &mut Graph) {
    let mut idx = 0;
    while idx < graph.nodes.len() {
        let (operator, x) = (graph.nodes[idx].operator.clone(), graph.nodes[idx].inputs[0]);
        let Operator::Unary(Unary::Snap(_)) = operator else {
            idx += 1;
            continue;
        };
        let first = graph
            .consumers(x)
            .into_iter()
            .find(|&i| matches!(graph.nodes[i].operator, Operator::Unary(Unary::Snap(_))));
        let is_other = first.is_some_and(|i| i < idx && graph.nodes[i].operator != operator);
        let producer =
            graph.producer(x).filter(|&p| !matches!(graph.nodes[p].operator, Operator::Unary(Unary::Snap(_))));
        let Some(producer) = producer.filter(|_| is_other) else {
            idx += 1;
            continue;
        };
        let mut node = graph.nodes[producer].clone();
        let copy = graph.tensor(x).clone();
        let copy = graph.add_tensor(copy);
        node.name = format!("{}/{}", node.name, graph.nodes[idx].name);
        node.outputs = vec![copy];
        graph.nodes[idx].inputs[0] = copy;
        graph.nodes.insert(idx, node);
        idx += 2;
    }
}
