//! What the layout pass could not remove, and why.

use crate::graph::{Graph, Operator};

/// A transpose that runs on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct StayingTranspose {
    /// Name of the node.
    pub node: String,
    /// ONNX operators that it came from.
    pub onnx: String,
    /// Shape of its operand.
    pub shape: Vec<usize>,
    /// Axes of the operand in the result's order.
    pub permutation: Vec<usize>,
    /// What stands in the way, on either side.
    pub reason: String,
}

/// Transposes that stay in the image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayoutReport {
    /// In order of execution.
    pub transposes: Vec<StayingTranspose>,
}

impl LayoutReport {
    /// Looks at a graph after all passes.
    pub fn new(graph: &Graph) -> Self {
        let transposes = graph.nodes.iter().filter_map(|node| {
            let Operator::Transpose { permutation } = &node.operator else { return None };
            let before = match graph.producer(node.inputs[0]) {
                Some(i) => format!("'{}' ({}) writes it in one order", graph.nodes[i].name, graph.nodes[i].onnx),
                None => "the graph input has one order".to_string(),
            };
            let readers = graph.consumers(node.outputs[0]);
            let after = match readers.first() {
                Some(&i) => format!("'{}' ({}) reads it in another", graph.nodes[i].name, graph.nodes[i].onnx),
                None => "the graph output has another".to_string(),
            };
            Some(StayingTranspose {
                node: node.name.clone(),
                onnx: node.onnx.clone(),
                shape: graph.tensor(node.inputs[0]).shape.clone(),
                permutation: permutation.clone(),
                reason: format!("{before}, {after}"),
            })
        });
        LayoutReport { transposes: transposes.collect() }
    }
}
