//! Nodes whose operands are all known are computed while the model is lowered, by the runtime itself: so shape
//! arithmetic and constant weights are folded with the arithmetic that a board would use.

use crate::choose::Chosen;
use crate::evaluate::transpose;
use crate::graph::{Constant, Graph, Node, Operator, Port, Tensor, TensorId, Unary};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::runner::ImageRunner;

/// Computes every node from number `first` on whose operands are constants, and makes constants of its results. Nodes
/// that the runtime cannot compute alone stay.
pub(super) fn constants(graph: &mut Graph, first: usize) {
    let mut idx = first;
    while let Some(node) = graph.nodes.get(idx) {
        match results(graph, node) {
            Some(values) => {
                let node = graph.nodes.remove(idx);
                for (&output, value) in node.outputs.iter().zip(values) {
                    graph.tensor_mut(output).constant = Some(value);
                }
            }
            None => idx += 1,
        }
    }
}

fn results(graph: &Graph, node: &Node) -> Option<Vec<Constant>> {
    let operands: Vec<&Tensor> = node.inputs.iter().map(|&id| graph.tensor(id)).collect();
    let plain = |t: &&Tensor| t.constant.is_some() && t.quantization.is_none();
    if operands.is_empty() || !operands.iter().all(plain) || matches!(node.operator, Operator::Unary(Unary::Snap(_))) {
        return None;
    }
    match &node.operator {
        Operator::Reshape => Some(vec![operands[0].constant.clone()?]),
        Operator::Transpose { permutation } => {
            let places: Vec<usize> = (0..operands[0].n_elements()).collect();
            let places = transpose(&places, &operands[0].shape, permutation);
            Some(vec![operands[0].constant.as_ref()?.gathered(places)?])
        }
        _ => run_alone(graph, node),
    }
}

/// Runs a node whose operands are constants as an image of its own; `None` when the runtime cannot.
pub fn run_alone(graph: &Graph, node: &Node) -> Option<Vec<Constant>> {
    // There are kernels whose first operand must be in the arena.
    run_fed(graph, node, 0).or_else(|| run_fed(graph, node, 1))
}

/// As [`run_alone`]; the first `n_fed` operands are inputs of the image instead of its constants.
fn run_fed(graph: &Graph, node: &Node, n_fed: usize) -> Option<Vec<Constant>> {
    let mut single = Graph { name: node.name.clone(), ..Graph::default() };
    let mut copies = |ids: &[TensorId]| ids.iter().map(|&id| single.add_tensor(graph.tensor(id).clone())).collect();
    let (inputs, outputs): (Vec<TensorId>, Vec<TensorId>) = (copies(&node.inputs), copies(&node.outputs));
    let mut fed = Vec::new();
    for &id in inputs.iter().take(n_fed) {
        let tensor = single.tensor_mut(id);
        fed.push(tensor.constant.take()?.to_array(&tensor.shape));
        let port = Port::of_tensor(id, single.tensor(id));
        single.inputs.push(port);
    }
    single.outputs = outputs.iter().map(|&id| Port::of_tensor(id, single.tensor(id))).collect();
    single.nodes.push(Node { inputs, outputs, ..node.clone() });
    let packed = pack(&single, &plan(&single, &|_, _| Chosen::PORTABLE), &PackOptions::default()).ok()?;
    let results = ImageRunner::new(&packed.bytes).ok()?.run(&fed).ok()?;
    results.into_iter().map(|array| Constant::from_data(array.data)).collect()
}
