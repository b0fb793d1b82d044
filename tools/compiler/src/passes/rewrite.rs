//! Tools of the rewrites: reading and changing a graph without losing its order.

use super::{origin, permutation};
use crate::evaluate::transpose;
use crate::graph::{Constant, Graph, Node, Operator, Quantization, Tensor, TensorId, Unary};

/// Index of the only node that reads a tensor which is no graph output.
pub fn only_consumer(graph: &Graph, id: TensorId) -> Option<usize> {
    match graph.consumers(id)[..] {
        [only] if !graph.is_output(id) => Some(only),
        _ => None,
    }
}

/// The node that computes a tensor.
pub fn producer(graph: &Graph, id: TensorId) -> Option<&Node> {
    graph.producer(id).map(|i| &graph.nodes[i])
}

/// Operand and permutation of a transpose that computes this tensor.
pub fn transposed(graph: &Graph, id: TensorId) -> Option<(TensorId, &[usize])> {
    let node = producer(graph, id)?;
    match &node.operator {
        Operator::Transpose { permutation } => Some((node.inputs[0], permutation)),
        _ => None,
    }
}

/// Whether readers of `y` may read `x` instead: a graph output that is an input or a constant needs
/// a node that writes its memory.
pub fn can_bypass(graph: &Graph, x: TensorId, y: TensorId) -> bool {
    !graph.is_output(y) || producer(graph, x).is_some()
}

/// Adds a tensor like `like` with its axes permuted; its name tells so.
pub fn add_permuted(graph: &mut Graph, like: TensorId, p: &[usize]) -> TensorId {
    let tensor = graph.tensor(like);
    let shape = permutation::apply(p, &tensor.shape);
    let tensor = Tensor {
        name: format!("{}_moved", tensor.name),
        origin: origin::permuted(graph, like, p),
        shape,
        constant: None,
        ..tensor.clone()
    };
    graph.add_tensor(tensor)
}

/// Adds a tensor like `like` in another shape.
pub fn add_reshaped(graph: &mut Graph, like: TensorId, shape: Vec<usize>) -> TensorId {
    let tensor = graph.tensor(like);
    let tensor = Tensor { name: format!("{}_reshaped", tensor.name), shape, constant: None, ..tensor.clone() };
    graph.add_tensor(tensor)
}

/// Inserts a node at a place in the order.
pub fn insert(
    graph: &mut Graph,
    at: usize,
    name: &str,
    onnx: &str,
    operator: Operator,
    inputs: Vec<TensorId>,
    output: TensorId,
) {
    let name = if graph.nodes.iter().any(|n| n.name == name) {
        let free = (1..).map(|i| format!("{name}_{i}")).find(|name| !graph.nodes.iter().any(|n| n.name == *name));
        free.unwrap_or_default()
    } else {
        name.to_string()
    };
    graph.nodes.insert(at, Node { name, onnx: onnx.to_string(), operator, inputs, outputs: vec![output] });
}

/// A float constant's values.
pub fn constant(graph: &Graph, id: TensorId) -> Option<&[f32]> {
    graph.tensor(id).constant.as_ref().and_then(Constant::as_f32)
}

/// Adds a constant in place of another one, under the same name with a suffix. `quantization` is what the new values are
/// quantized with.
pub fn add_constant(
    graph: &mut Graph,
    like: TensorId,
    shape: Vec<usize>,
    values: Vec<f32>,
    quantization: Option<Quantization>,
) -> TensorId {
    let name = graph.tensor(like).name.clone();
    let id = graph.add_constant(&format!("{name}_moved"), shape, Constant::F32(values));
    graph.tensor_mut(id).quantization = quantization;
    id
}

/// The constant with its axes permuted, of any element type.
pub fn add_permuted_constant(graph: &mut Graph, id: TensorId, shape: &[usize], p: &[usize]) -> Option<TensorId> {
    let places: Vec<usize> = (0..graph.tensor(id).n_elements()).collect();
    let constant = graph.tensor(id).constant.as_ref()?.gathered(transpose(&places, shape, p))?;
    let name = format!("{}_moved", graph.tensor(id).name);
    // Scales per channel belong to an axis, which may not be one any more.
    let quantization = graph.tensor(id).quantization.clone().filter(|q| q.scales.len() == 1);
    let moved = graph.add_constant(&name, permutation::apply(p, shape), constant);
    graph.tensor_mut(moved).quantization = quantization;
    Some(moved)
}

/// Lets equal transposes, reshapes and roundings of one tensor be one node.
pub fn merge_duplicates(graph: &mut Graph) -> bool {
    let mut changed = false;
    for i in (1..graph.nodes.len()).rev() {
        let node = &graph.nodes[i];
        if !matches!(node.operator, Operator::Transpose { .. } | Operator::Reshape | Operator::Unary(Unary::Snap(_))) {
            continue;
        }
        let shape = |n: &Node| graph.tensor(n.outputs[0]).shape.clone();
        let same = |n: &&Node| n.operator == node.operator && n.inputs == node.inputs && shape(n) == shape(node);
        let Some(first) = graph.nodes[..i].iter().find(same) else { continue };
        let (from, to) = (node.outputs[0], first.outputs[0]);
        graph.replace_uses(from, to);
        graph.nodes.remove(i);
        changed = true;
    }
    changed
}
