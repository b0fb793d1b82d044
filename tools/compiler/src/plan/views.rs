//! Tensors that are parts of the memory of other tensors.

use crate::graph::{Graph, Operator, TensorId};

/// Where a tensor is in the tensor that it is a part of, or in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// The tensor that has memory of its own.
    pub root: TensorId,
    /// First byte in it.
    pub start: usize,
}

/// One entry per tensor.
pub(super) struct Views(Vec<View>);

impl Views {
    /// Follows every [`Operator::Reshape`] and [`Operator::Rows`] to its operand, and the operands of every
    /// [`Operator::JoinRows`] to its result.
    pub fn new(graph: &Graph) -> Self {
        let mut parents: Vec<Option<View>> = vec![None; graph.tensors.len()];
        for node in &graph.nodes {
            let output = node.outputs[0];
            match node.operator {
                Operator::Reshape => parents[output.0] = Some(View { root: node.inputs[0], start: 0 }),
                Operator::Rows { start } => {
                    let x = graph.tensor(node.inputs[0]);
                    let start = start * x.n_bytes() / x.shape[1];
                    parents[output.0] = Some(View { root: node.inputs[0], start });
                }
                Operator::JoinRows => {
                    let mut start = 0;
                    for &strip in &node.inputs {
                        parents[strip.0] = Some(View { root: output, start });
                        start += graph.tensor(strip).n_bytes();
                    }
                }
                _ => {}
            }
        }
        let resolve = |id| {
            let mut view = View { root: TensorId(id), start: 0 };
            while let Some(parent) = parents[view.root.0] {
                view = View { root: parent.root, start: parent.start + view.start };
            }
            view
        };
        Views((0..parents.len()).map(resolve).collect())
    }

    pub fn of(&self, tensor: TensorId) -> View {
        self.0[tensor.0]
    }
}
