//! Arithmetic of axis permutations.

use crate::graph::{Constant, Graph, Node, Operator, Origin, Tensor, TensorId};
use crate::runner::transposed;

/// The permutation that undoes `permutation`.
pub(super) fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; permutation.len()];
    for (to, &from) in permutation.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

/// First `first`, then `second`: axis i of the result is axis `first[second[i]]` of the source.
pub(super) fn compose(first: &[usize], second: &[usize]) -> Vec<usize> {
    second.iter().map(|&axis| first[axis]).collect()
}

/// `values` in the order of `permutation`.
pub(super) fn permuted<T: Copy>(values: &[T], permutation: &[usize]) -> Vec<T> {
    permutation.iter().map(|&axis| values[axis]).collect()
}

/// Whether transposing a tensor of this shape leaves its elements where they are.
pub(super) fn moves_nothing(shape: &[usize], permutation: &[usize]) -> bool {
    let mut long = permutation.iter().filter(|&&axis| shape[axis] != 1);
    let mut last = None;
    long.all(|&axis| {
        let ascending = last.is_none_or(|l| l < axis);
        last = Some(axis);
        ascending
    })
}

/// A constant's data transposed.
pub(super) fn transpose_constant(constant: &Constant, shape: &[usize], permutation: &[usize]) -> Constant {
    let order = transposed(shape, permutation);
    match constant {
        Constant::F32(v) => Constant::F32(order.iter().map(|&i| v[i]).collect()),
        Constant::I8(v) => Constant::I8(order.iter().map(|&i| v[i]).collect()),
        Constant::I32(v) => Constant::I32(order.iter().map(|&i| v[i]).collect()),
        Constant::I64(v) => Constant::I64(order.iter().map(|&i| v[i]).collect()),
    }
}

/// Origin of a tensor after a transposition.
pub(super) fn transposed_origin(origin: &Option<Origin>, permutation: &[usize]) -> Option<Origin> {
    let origin = origin.as_ref()?;
    // After a reshape to another rank the axes cannot be followed.
    (origin.permutation.len() == permutation.len())
        .then(|| Origin { name: origin.name.clone(), permutation: compose(&origin.permutation, permutation) })
}

/// A new tensor like `like`, transposed.
pub(super) fn add_transposed(graph: &mut Graph, like: TensorId, permutation: &[usize]) -> TensorId {
    let tensor = graph.tensor(like);
    let new = Tensor {
        name: format!("{}_moved", tensor.name),
        shape: permuted(&tensor.shape, permutation),
        element_type: tensor.element_type,
        constant: tensor.constant.as_ref().map(|c| transpose_constant(c, &tensor.shape, permutation)),
        quantization: tensor.quantization.clone(),
        origin: transposed_origin(&tensor.origin, permutation),
    };
    graph.add_tensor(new)
}

/// A new tensor like `like` with another shape.
pub(super) fn add_reshaped(graph: &mut Graph, like: TensorId, shape: Vec<usize>) -> TensorId {
    let tensor = graph.tensor(like);
    let new = Tensor { name: format!("{}_reshaped", tensor.name), shape, ..tensor.clone() };
    graph.add_tensor(new)
}

/// Inserts a node at `at`.
pub(super) fn insert(graph: &mut Graph, at: usize, name: String, operator: Operator, input: TensorId, output: TensorId) {
    let name = unique_name(graph, name);
    graph.nodes.insert(at, Node { name, onnx: String::new(), operator, inputs: vec![input], outputs: vec![output] });
}

fn unique_name(graph: &Graph, name: String) -> String {
    let taken = |candidate: &str| graph.nodes.iter().any(|n| n.name == candidate);
    if !taken(&name) {
        return name;
    }
    (1usize..).map(|n| format!("{name}_{n}")).find(|candidate| !taken(candidate)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations() {
        let to_nhwc = [0, 2, 3, 1];
        assert_eq!(inverse(&to_nhwc), [0, 3, 1, 2]);
        assert_eq!(compose(&to_nhwc, &inverse(&to_nhwc)), [0, 1, 2, 3]);
        assert_eq!(permuted(&[1, 3, 4, 5], &to_nhwc), [1, 4, 5, 3]);
        for (shape, expected) in [([1, 3, 1, 1], true), ([1, 1, 4, 5], true), ([1, 3, 4, 1], false), ([2, 1, 1, 4], true)] {
            assert_eq!(moves_nothing(&shape, &to_nhwc), expected, "{shape:?}");
        }
    }
}
