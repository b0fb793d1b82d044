//! Normalization as exporters spell it out becomes one node.
//!
//! ```text
//! x -> ReduceMean -> m      d = x - m        x / sqrt(ReduceMean(d * d) + epsilon) * scale + bias
//! ```
//! Division, a product with the reciprocal and the power -1/2 are the same to it; without the difference it is the
//! normalization by the root of the mean square. Cast and Identity are gone since lowering.

use super::rewrite::{constant, only_consumer, producer};
use crate::graph::{Binary, Clamp, Constant, Graph, Normalization, Operator, Pair, Reduction, TensorId, Unary};
use tinfer::kernels::portable::{ReduceFunction, Statistic};
use tinfer::operators::reduction::normalization::NormalizationResult;

/// A quotient of values and their deviation becomes [`Operator::Normalization`].
pub fn spelled_out(graph: &mut Graph, i: usize) -> bool {
    let Some((x, normalization)) = found(graph, i) else { return false };
    graph.nodes[i].operator = Operator::Normalization(normalization);
    graph.nodes[i].inputs = vec![x];
    graph.nodes[i].onnx = "LayerNormalization".into();
    true
}

fn found(graph: &Graph, i: usize) -> Option<(TensorId, Normalization)> {
    let (d, deviation_squared) = quotient(graph, i)?;
    let (variance, epsilon) = sum_with_scalar(graph, deviation_squared)?;
    let (square, axes) = mean(graph, variance)?;
    let factors = product(graph, square)?;
    if factors != [d, d] {
        return None;
    }
    let (x, statistic) = match difference(graph, d) {
        Some((x, m)) if mean(graph, m) == Some((x, axes.clone())) => (x, Statistic::Variance),
        _ => (d, Statistic::MeanSquare),
    };
    let shape = &graph.tensor(x).shape;
    // Rows are the last axes.
    if axes.is_empty() || !axes.iter().copied().eq(shape.len() - axes.len()..shape.len()) {
        return None;
    }
    let n = shape[axes[0]..].iter().product();
    let result = NormalizationResult::Normalized;
    Some((x, Normalization { result, statistic, epsilon, n, groups: 1, repeat: 1 }))
}

/// Operands of node `i` when it divides the first by the root of the second.
fn quotient(graph: &Graph, i: usize) -> Option<(TensorId, TensorId)> {
    let node = &graph.nodes[i];
    match (&node.operator, &node.inputs[..]) {
        (Operator::Pair(Pair::Div), &[d, s]) => Some((d, root(graph, s)?)),
        (Operator::Binary { function: Binary::Mul, clamp }, &[a, b]) if *clamp == Clamp::default() => {
            inverse_root(graph, b).map(|s| (a, s)).or_else(|| inverse_root(graph, a).map(|s| (b, s)))
        }
        _ => None,
    }
}

fn root(graph: &Graph, id: TensorId) -> Option<TensorId> {
    let node = producer(graph, id)?;
    match node.operator {
        Operator::Unary(Unary::Sqrt) => Some(node.inputs[0]),
        Operator::Unary(Unary::Power { exponent: 0.5 }) => Some(node.inputs[0]),
        _ => None,
    }
}

fn inverse_root(graph: &Graph, id: TensorId) -> Option<TensorId> {
    let node = producer(graph, id)?;
    match node.operator {
        Operator::Unary(Unary::Reciprocal) => root(graph, node.inputs[0]),
        Operator::Unary(Unary::Power { exponent: -0.5 }) => Some(node.inputs[0]),
        _ => None,
    }
}

/// A tensor that is the sum of another one and a constant number.
fn sum_with_scalar(graph: &Graph, id: TensorId) -> Option<(TensorId, f32)> {
    let node = producer(graph, id)?;
    let Operator::Binary { function: Binary::Add, clamp } = &node.operator else { return None };
    let scalar = |id: TensorId| match constant(graph, id) {
        Some([value]) if value.is_finite() => Some(*value),
        _ => None,
    };
    match node.inputs[..] {
        [a, b] if *clamp == Clamp::default() => {
            scalar(b).map(|value| (a, value)).or_else(|| scalar(a).map(|value| (b, value)))
        }
        _ => None,
    }
}

/// A tensor that is the mean of another one over some axes, which stay with length 1.
fn mean(graph: &Graph, id: TensorId) -> Option<(TensorId, Vec<usize>)> {
    let node = producer(graph, id)?;
    match &node.operator {
        Operator::Reduction(Reduction::Reduce {
            function: ReduceFunction::Mean,
            axes: Some(axes),
            keeps_dims: true,
        }) => Some((node.inputs[0], axes.clone())),
        _ => None,
    }
}

fn product(graph: &Graph, id: TensorId) -> Option<[TensorId; 2]> {
    binary(graph, id, Binary::Mul)
}

fn difference(graph: &Graph, id: TensorId) -> Option<(TensorId, TensorId)> {
    binary(graph, id, Binary::Sub).map(|[a, b]| (a, b))
}

fn binary(graph: &Graph, id: TensorId, wanted: Binary) -> Option<[TensorId; 2]> {
    let node = producer(graph, id)?;
    match &node.operator {
        Operator::Binary { function, clamp } if *function == wanted && *clamp == Clamp::default() => {
            node.inputs[..].try_into().ok()
        }
        _ => None,
    }
}

/// A constant factor for each normalized element, or one for all, becomes the normalization's scale, a constant summand
/// its bias.
pub fn factors(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let place = match &node.operator {
        Operator::Binary { function: Binary::Mul, clamp } if *clamp == Clamp::default() => 1,
        Operator::Binary { function: Binary::Add, clamp } if *clamp == Clamp::default() => 2,
        _ => return false,
    };
    let (&[a, b], y) = (&node.inputs[..], node.outputs[0]) else { return false };
    let (x, c) = if constant(graph, b).is_some() { (a, b) } else { (b, a) };
    let Some(before) = only_consumer(graph, x).and_then(|_| graph.producer(x)) else { return false };
    let Operator::Normalization(normalization) = &graph.nodes[before].operator else { return false };
    let is_plain = normalization.result == NormalizationResult::Normalized
        && (normalization.groups, normalization.repeat) == (1, 1)
        && graph.tensor(x).shape == graph.tensor(y).shape;
    let n_inputs = graph.nodes[before].inputs.len();
    // A scale comes before a bias, and there is one of each.
    if !is_plain || n_inputs > place || graph.tensor(c).quantization.is_some() {
        return false;
    }
    let n = normalization.n;
    let Some(values) = per_element(graph, c, x, n) else { return false };
    if n_inputs < place {
        let ones = graph.add_constant("scale", vec![n], Constant::F32(vec![1.0; n]));
        graph.nodes[before].inputs.push(ones);
    }
    let name = graph.tensor(c).name.clone();
    let factors = graph.add_constant(&name, vec![n], Constant::F32(values));
    graph.nodes[before].inputs.push(factors);
    super::fuse::take_over(graph, before, i);
    true
}

/// The constant `c` for each of the last `n` elements of `x`, when it is the same in every row.
fn per_element(graph: &Graph, c: TensorId, x: TensorId, n: usize) -> Option<Vec<f32>> {
    let values = constant(graph, c)?;
    if let [value] = values {
        return Some(vec![*value; n]);
    }
    let own: Vec<usize> = graph.tensor(c).shape.iter().copied().skip_while(|&d| d == 1).collect();
    (values.len() == n && graph.tensor(x).shape.ends_with(&own)).then(|| values.to_vec())
}
