//! Reshapes: composed, dropped, and changed places with transposes.

use super::permutation;
use super::rewrite::{add_reshaped, can_bypass, insert, producer, transposed};
use crate::graph::{Graph, Operator};

/// A reshape of a reshape is one reshape.
pub fn compose(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    if node.operator != Operator::Reshape {
        return false;
    }
    let before = producer(graph, node.inputs[0]).filter(|n| n.operator == Operator::Reshape).map(|n| n.inputs[0]);
    let Some(x) = before else { return false };
    graph.nodes[i].inputs[0] = x;
    true
}

/// A reshape to the same shape is its operand.
pub fn drop_identity(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    if node.operator != Operator::Reshape {
        return false;
    }
    let (x, y) = (node.inputs[0], node.outputs[0]);
    if graph.tensor(x).shape != graph.tensor(y).shape || !can_bypass(graph, x, y) {
        return false;
    }
    if graph.tensor(x).origin.is_none() {
        graph.tensor_mut(x).origin = graph.tensor(y).origin.clone();
    }
    graph.replace_uses(y, x);
    graph.nodes.remove(i);
    true
}

/// Reshape(Transpose(x)) becomes Transpose'(Reshape'(x)) when the reshape only merges and splits
/// axes that the transpose moves as a block.
///
/// `[N, H, W, C] -> [N, C, H, W] -> [N, C, H * W]` becomes `[N, H * W, C] -> [N, C, H * W]`.
pub fn sink_transpose(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    if node.operator != Operator::Reshape {
        return false;
    }
    let Some((x, p)) = transposed(graph, node.inputs[0]) else { return false };
    let (x_shape, y_shape) = (graph.tensor(x).shape.clone(), graph.tensor(node.outputs[0]).shape.clone());
    let Some((middle, back)) = commute(p, &x_shape, &y_shape) else { return false };
    let (name, onnx, y) = (node.name.clone(), node.onnx.clone(), node.outputs[0]);
    if permutation::is_identity(&back) {
        graph.nodes[i].inputs[0] = x;
        return true;
    }
    let reshaped = add_reshaped(graph, x, middle);
    graph.nodes[i].inputs[0] = x;
    graph.nodes[i].outputs[0] = reshaped;
    insert(
        graph,
        i + 1,
        &format!("{name}/transpose"),
        &onnx,
        Operator::Transpose { permutation: back },
        vec![reshaped],
        y,
    );
    true
}

/// Shape after the reshape and permutation after it, for x of shape `x_shape` that is permuted by
/// `p` and reshaped to `y_shape`.
fn commute(p: &[usize], x_shape: &[usize], y_shape: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    // Axes of size 1 hold no order; they are dropped here and come back with `y_shape`.
    let moved: Vec<usize> = p.iter().copied().filter(|&axis| x_shape[axis] != 1).collect();
    // Segments: the fewest axes on both sides with equal products. (axes of x, axes of y)
    let mut segments: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
    let (mut from, mut to) = (moved.iter().copied().peekable(), (0..y_shape.len()).peekable());
    while from.peek().is_some() {
        let (mut axes, mut own) = (Vec::new(), Vec::new());
        let (mut a, mut b) = (1, 1);
        while a != b || axes.is_empty() {
            if a <= b {
                let axis = from.next()?;
                a *= x_shape[axis];
                axes.push(axis);
            } else {
                let axis = to.next()?;
                b *= y_shape[axis];
                own.push(axis);
            }
        }
        segments.push((axes, own));
    }
    match segments.last_mut() {
        Some(last) => last.1.extend(to),
        None => return Some((y_shape.to_vec(), (0..y_shape.len()).collect())),
    }
    // A segment must be a run of x's axes in x's order, axes of size 1 aside.
    let is_run =
        |axes: &[usize]| axes.windows(2).all(|w| w[0] < w[1] && x_shape[w[0] + 1..w[1]].iter().all(|&d| d == 1));
    if !segments.iter().all(|(axes, _)| is_run(axes)) {
        return None;
    }
    let mut in_x_order: Vec<&(Vec<usize>, Vec<usize>)> = segments.iter().collect();
    in_x_order.sort_by_key(|(axes, _)| axes[0]);
    let placed: Vec<usize> = in_x_order.into_iter().flat_map(|(_, own)| own.clone()).collect();
    Some((permutation::apply(&placed, y_shape), permutation::inverse(&placed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::transpose;

    #[test]
    fn reshapes_commute_with_blocks_only() {
        let check = |p: &[usize], x: &[usize], y: &[usize], expected: Option<&[usize]>| {
            let found = commute(p, x, y);
            assert_eq!(found.as_ref().map(|f| &f.0[..]), expected, "{p:?} of {x:?} to {y:?}");
            if let Some((middle, back)) = found {
                let elements: Vec<usize> = (0..x.iter().product()).collect();
                assert_eq!(transpose(&elements, &middle, &back), transpose(&elements, x, p));
            }
        };
        let nchw = [0, 3, 1, 2];
        check(&nchw, &[1, 4, 5, 3], &[1, 3, 20], Some(&[20, 1, 3]));
        check(&nchw, &[2, 4, 5, 3], &[2, 3, 20], Some(&[2, 20, 3]));
        check(&nchw, &[1, 4, 5, 3], &[1, 60], None);
        check(&nchw, &[1, 1, 1, 3], &[1, 3], Some(&[1, 3]));
        check(&nchw, &[1, 4, 1, 6], &[1, 2, 3, 4], Some(&[4, 1, 2, 3]));
        check(&nchw, &[2, 4, 5, 3], &[6, 20], None);
        check(&[1, 0], &[4, 6], &[2, 3, 2, 2], Some(&[2, 2, 2, 3]));
        check(&[0, 1], &[1, 1], &[1], Some(&[1]));
    }
}
