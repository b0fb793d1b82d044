//! Transposes of more axes than an image holds, with fewer axes.

use super::rewrite::{add_reshaped, insert};
use super::{permutation, reshape};
use crate::graph::{Graph, Operator};
use tinfer::tensor::MAX_RANK;

/// Gives transposes of more than [`MAX_RANK`] axes as few axes as they need: axes that stay neighbours move as one, axes
/// of size 1 not at all. The reshapes around them become one with those of the model, so that nothing holds the many axes.
///
/// Cutting a feature map into windows is such a transpose, `[n, rows, 7, columns, 7, c]` to `[n, rows, columns, 7, 7, c]`;
/// here it becomes `[n * rows, 7, columns, 7 * c]` to `[n * rows, columns, 7, 7 * c]`.
///
/// It comes after all rewrites that move transposes: those would bring the axes back.
pub fn fit_transposes(graph: &mut Graph) {
    for i in (0..graph.nodes.len()).rev() {
        let node = &graph.nodes[i];
        let Operator::Transpose { permutation: p } = &node.operator else { continue };
        let (x, y, name, onnx) = (node.inputs[0], node.outputs[0], node.name.clone(), node.onnx.clone());
        let (shape, moved) = permutation::fewest_axes(p, &graph.tensor(x).shape);
        if p.len() <= MAX_RANK || moved.len() > MAX_RANK {
            continue;
        }
        let before = add_reshaped(graph, x, shape.clone());
        let after = add_reshaped(graph, x, permutation::apply(&moved, &shape));
        graph.nodes[i].operator = Operator::Transpose { permutation: moved };
        (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]) = (before, after);
        insert(graph, i + 1, &format!("{name}/split"), &onnx, Operator::Reshape, vec![after], y);
        insert(graph, i, &format!("{name}/merge"), &onnx, Operator::Reshape, vec![x], before);
    }
    for rule in [reshape::compose, reshape::drop_identity] {
        let mut i = 0;
        while i < graph.nodes.len() {
            if !rule(graph, i) {
                i += 1;
            }
        }
    }
    graph.compact();
}
