//! What the runtime computes for one node: the exact arithmetic of operators without weights.

use crate::array::{Array, ArrayData};
use crate::choose::Chosen;
use crate::graph::{Graph, Node, Port, Tensor, TensorId};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::runner::ImageRunner;
use tinfer::tensor::ElementType;

/// Runs a node alone, as an image of its own with the portable kernels.
///
/// # Shapes
/// `inputs` are values and shapes of the node's operands, `output` is the shape of its result; both may differ from
/// those in the graph. Quantizations are the graph's.
///
/// `None` when there is no such image.
pub(super) fn run(graph: &Graph, node: &Node, inputs: &[(Vec<usize>, Vec<i8>)], output: &[usize]) -> Option<Vec<i8>> {
    let mut single = Graph { name: "node".into(), ..Graph::default() };
    let mut add = |of: TensorId, name: String, shape: &[usize]| {
        single.add_tensor(Tensor {
            name,
            shape: shape.to_vec(),
            element_type: ElementType::I8,
            constant: None,
            quantization: graph.tensor(of).quantization.clone(),
            origin: None,
        })
    };
    let operands: Vec<TensorId> = node
        .inputs
        .iter()
        .zip(inputs)
        .enumerate()
        .map(|(i, (&id, (shape, _)))| add(id, format!("x{i}"), shape))
        .collect();
    let result = add(*node.outputs.first()?, "y".into(), output);
    single.inputs = operands.iter().map(|&id| Port::of_tensor(id, single.tensor(id))).collect();
    single.outputs = vec![Port::of_tensor(result, single.tensor(result))];
    single.nodes.push(Node { inputs: operands, outputs: vec![result], ..node.clone() });
    let packed = pack(&single, &plan(&single, &|_, _| Chosen::PORTABLE), &PackOptions::default()).ok()?;
    let arrays: Vec<Array> = inputs.iter().map(|(s, v)| Array::new(s.clone(), ArrayData::I8(v.clone()))).collect();
    match ImageRunner::new(&packed.bytes).ok()?.run(&arrays).ok()?.pop()?.data {
        ArrayData::I8(values) => Some(values),
        _ => None,
    }
}
