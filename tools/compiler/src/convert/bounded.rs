//! Steps that cost no more than they may.

use super::ConvertRequest;
use crate::choose;
use crate::cost;
use crate::error::CompileError;
use crate::graph::{Graph, Node, Port, TensorId};
use crate::pack::{PackOptions, pack};
use crate::plan::{Sliced, plan, slice};
use tinfer::image::Image;
use tinfer::isa::Isa;

/// The graph with layers in slices where the request limits a step, and which layers those are.
///
/// # Errors
/// [`CompileError::NotAvailable`] when no step of the model has an estimate on the target.
pub(super) fn bounded(request: &ConvertRequest, graph: Graph) -> Result<(Graph, Vec<Sliced>), CompileError> {
    let Some(most) = request.most_slice_instructions else { return Ok((graph, Vec::new())) };
    let isa = request.target.isa()?;
    if graph.nodes.iter().all(|node| step_instructions(&graph, node, isa).is_none()) {
        return Err(CompileError::NotAvailable {
            what: format!("a limit for the steps of this model on {}", request.target.name()),
            instead: "limit int8 models for a board whose kernels have a cost estimate".into(),
        });
    }
    Ok(slice(&graph, most, &|graph, node| step_instructions(graph, node, isa)))
}

/// Estimated instructions of one node's step; `None` where there is no estimate, and for views, which are no steps.
fn step_instructions(graph: &Graph, node: &Node, isa: Isa) -> Option<u64> {
    let alone = alone(graph, node);
    let options = PackOptions { isa: Some(isa), ..PackOptions::default() };
    let packed = pack(&alone, &plan(&alone, &choose::for_isa(isa)), &options).ok()?;
    let image = Image::check(&packed.bytes).ok()?;
    cost::instructions(&image, &image.steps().next()?)
}

/// A graph with this node and nothing else.
fn alone(graph: &Graph, node: &Node) -> Graph {
    let mut alone = Graph::default();
    let mut own = node.clone();
    for id in own.inputs.iter_mut().chain(&mut own.outputs) {
        *id = alone.add_tensor(graph.tensor(*id).clone());
    }
    let port = |&id: &TensorId| {
        let tensor = alone.tensor(id);
        let (name, shape, element_type) = (tensor.name.clone(), tensor.shape.clone(), tensor.element_type);
        let permutation = (0..shape.len()).collect();
        Port { name, shape, batched: false, element_type, tensor: id, permutation }
    };
    let inputs = own.inputs.iter().filter(|&&id| alone.tensor(id).constant.is_none()).map(port).collect();
    let outputs = own.outputs.iter().map(port).collect();
    (alone.inputs, alone.outputs) = (inputs, outputs);
    alone.nodes.push(own);
    alone
}
