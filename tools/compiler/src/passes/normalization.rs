//! Normalization as exporters spell it out becomes one node.
//!
//! ```text
//! x -> ReduceMean -> m      d = x - m        x / sqrt(ReduceMean(d * d) + epsilon) * scale + bias
//! ```
//! Division, a product with the reciprocal and the power -1/2 are the same to it; without the difference it is the
//! normalization by the root of the mean square. The variance may be the mean of squares less the square of the mean, and
//! the factors may be in the reciprocal already. Cast and Identity are gone since lowering.

use super::rewrite::{constant, insert, only_consumer, producer};
use crate::graph::{Binary, Clamp, Constant, Graph, Move, Normalization, Operator, Pair, Reduction, TensorId, Unary};
use tinfer::kernels::portable::{ReduceFunction, Statistic};
use tinfer::operators::reduction::normalization::NormalizationResult;

/// A quotient of values and their deviation becomes [`Operator::Normalization`]; a factor of the deviation follows it.
pub fn spelled_out(graph: &mut Graph, i: usize) -> bool {
    let Some(found) = quotient(graph, i).or_else(|| folded(graph, i)) else { return false };
    let Found { x, normalization, then } = found;
    let y = graph.nodes[i].outputs[0];
    let clamp = graph.nodes[i].operator.clamp().unwrap_or_default();
    // A clamp that is fused into it stays behind everything.
    let has_place = clamp == Clamp::default() || !then.is_empty();
    if graph.tensor(x).shape != graph.tensor(y).shape || !has_place {
        return false;
    }
    let name = graph.nodes[i].name.clone();
    let mut result = y;
    for (k, (function, operand)) in then.iter().enumerate().rev() {
        let before = super::rewrite::add_reshaped(graph, y, graph.tensor(y).shape.clone());
        graph.tensor_mut(before).origin = None;
        let operator = Operator::Binary { function: *function, clamp: Clamp::default() };
        insert(graph, i + 1, &format!("{name}/factor_{k}"), "", operator, vec![before, *operand], result);
        result = before;
    }
    graph.nodes[i + then.len()].operator.set_clamp(clamp);
    let node = &mut graph.nodes[i];
    node.operator = Operator::Normalization(normalization);
    node.inputs = vec![x];
    node.outputs = vec![result];
    node.onnx = "LayerNormalization".into();
    true
}

/// A normalization that is spelled out, and what its result goes through with which constants.
struct Found {
    x: TensorId,
    normalization: Normalization,
    then: Vec<(Binary, TensorId)>,
}

impl Found {
    fn new(graph: &Graph, spread: Spread, epsilon: f32, then: Vec<(Binary, TensorId)>) -> Option<Found> {
        let Spread { x, axes, statistic } = spread;
        let shape = &graph.tensor(x).shape;
        // Rows are the last axes.
        if axes.is_empty() || !axes.iter().copied().eq(shape.len() - axes.len()..shape.len()) {
            return None;
        }
        let n = shape[axes[0]..].iter().product();
        let result = NormalizationResult::Normalized;
        Some(Found { x, normalization: Normalization { result, statistic, epsilon, n, groups: 1, repeat: 1 }, then })
    }
}

/// Node `i` divides values by their deviation: `d / s`, `d * (1 / s)`, `d * (1 / s * scale)`.
fn quotient(graph: &Graph, i: usize) -> Option<Found> {
    let node = &graph.nodes[i];
    let (d, deviation) = match (&node.operator, &node.inputs[..]) {
        (Operator::Pair(Pair::Div), &[d, s]) => (d, Deviation { squared: root(graph, s)?, scale: None }),
        (Operator::Binary { function: Binary::Mul, clamp }, &[a, b]) if *clamp == Clamp::default() => {
            let inverse = |id: TensorId| inverse_deviation(graph, id);
            inverse(b).map(|s| (a, s)).or_else(|| inverse(a).map(|s| (b, s)))?
        }
        _ => return None,
    };
    let (variance, epsilon) = sum_with_scalar(graph, deviation.squared)?;
    let spread = spread(graph, variance)?;
    let is_numerator = match spread.statistic {
        Statistic::Variance => centred(graph, d) == Some((spread.x, spread.axes.clone())),
        Statistic::MeanSquare => d == spread.x,
    };
    let then = deviation.scale.map(|scale| (Binary::Mul, scale)).into_iter().collect();
    if is_numerator { Found::new(graph, spread, epsilon, then) } else { None }
}

/// Node `i` adds `x * r` and `bias - mean * r`, where r is the scaled reciprocal of the deviation.
fn folded(graph: &Graph, i: usize) -> Option<Found> {
    let node = &graph.nodes[i];
    let &[a, b] = &node.inputs[..] else { return None };
    let (scaled, shift, bias) = match &node.operator {
        Operator::Binary { function: Binary::Add, .. } => {
            let bias_of = |id: TensorId| difference(graph, id).filter(|&(bias, _)| constant(graph, bias).is_some());
            let of = |scaled: TensorId, id: TensorId| bias_of(id).map(|(bias, shift)| (scaled, shift, Some(bias)));
            of(a, b).or_else(|| of(b, a))?
        }
        Operator::Binary { function: Binary::Sub, .. } => (a, b, None),
        _ => return None,
    };
    let ([p, q], [m, n]) = (product(graph, scaled)?, product(graph, shift)?);
    let orders = [(p, q, m, n), (q, p, m, n), (p, q, n, m), (q, p, n, m)];
    let (x, r, m) = orders.into_iter().find(|(_, r, _, other)| r == other).map(|(x, r, m, _)| (x, r, m))?;
    let deviation = inverse_deviation(graph, r)?;
    let (variance, epsilon) = sum_with_scalar(graph, deviation.squared)?;
    let spread = spread(graph, variance)?;
    if spread.statistic != Statistic::Variance || spread.x != x || mean(graph, m)? != (x, spread.axes.clone()) {
        return None;
    }
    let scale = deviation.scale.map(|scale| (Binary::Mul, scale));
    let then = scale.into_iter().chain(bias.map(|bias| (Binary::Add, bias))).collect();
    Found::new(graph, spread, epsilon, then)
}

/// What a tensor is the variance or the mean square of.
struct Spread {
    x: TensorId,
    axes: Vec<usize>,
    statistic: Statistic,
}

/// The mean of squares, of differences from the mean or as they are; or the mean of squares less the square of the mean,
/// which may be kept from falling below 0.
fn spread(graph: &Graph, id: TensorId) -> Option<Spread> {
    if let Some((square, axes)) = mean(graph, id) {
        let [d, other] = product(graph, square)?;
        return match centred(graph, d) {
            _ if d != other => None,
            Some((x, own)) if own == axes => Some(Spread { x, axes, statistic: Statistic::Variance }),
            _ => Some(Spread { x: d, axes, statistic: Statistic::MeanSquare }),
        };
    }
    let mut node = producer(graph, id)?;
    if let Operator::Unary(Unary::Clamp(clamp)) = node.operator
        && at_least_zero(&clamp)
    {
        node = producer(graph, node.inputs[0])?;
    }
    let Operator::Binary { function: Binary::Sub, clamp } = &node.operator else { return None };
    if *clamp != Clamp::default() && !at_least_zero(clamp) {
        return None;
    }
    let (square, axes) = mean(graph, node.inputs[0])?;
    let ([x, other], [m, m_again]) = (product(graph, square)?, product(graph, node.inputs[1])?);
    let is_variance = x == other && m == m_again && mean(graph, m)? == (x, axes.clone());
    is_variance.then_some(Spread { x, axes, statistic: Statistic::Variance })
}

fn at_least_zero(clamp: &Clamp) -> bool {
    *clamp == Clamp { min: Some(0.0), max: None }
}

/// The tensor that a difference is of from its mean, and the axes of that.
fn centred(graph: &Graph, d: TensorId) -> Option<(TensorId, Vec<usize>)> {
    let (x, m) = difference(graph, d)?;
    mean(graph, m).filter(|(of, _)| *of == x)
}

/// The root of a tensor, and the constant that its reciprocal is multiplied by.
struct Deviation {
    squared: TensorId,
    scale: Option<TensorId>,
}

fn inverse_deviation(graph: &Graph, id: TensorId) -> Option<Deviation> {
    if let Some(squared) = inverse_root(graph, id) {
        return Some(Deviation { squared, scale: None });
    }
    let [a, b] = product(graph, id)?;
    let of = |r: TensorId, scale: TensorId| {
        let squared = inverse_root(graph, r).filter(|_| constant(graph, scale).is_some())?;
        Some(Deviation { squared, scale: Some(scale) })
    };
    of(a, b).or_else(|| of(b, a))
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

/// A tensor that is the mean of another one over some axes, which stay with length 1: also as a sum times a constant, with
/// axes that went and came back, and spread over its operand's shape.
fn mean(graph: &Graph, id: TensorId) -> Option<(TensorId, Vec<usize>)> {
    let mut node = producer(graph, id)?;
    let mut id = id;
    if matches!(node.operator, Operator::Move(Move::Expand)) {
        id = node.inputs[0];
        node = producer(graph, id)?;
    }
    let mut factor = 1.0;
    loop {
        match &node.operator {
            Operator::Reshape => node = producer(graph, node.inputs[0])?,
            Operator::Binary { function: Binary::Mul, clamp } if *clamp == Clamp::default() => {
                let (a, b) = (node.inputs[0], node.inputs[1]);
                let (x, c) = if constant(graph, b).is_some() { (a, b) } else { (b, a) };
                let Some(&[value]) = constant(graph, c) else { return None };
                factor *= f64::from(value);
                node = producer(graph, x)?;
            }
            Operator::Reduction(Reduction::Reduce { function, axes: Some(axes), .. }) => {
                let x = node.inputs[0];
                let mut shape = graph.tensor(x).shape.clone();
                let n: usize = axes.iter().map(|&axis| std::mem::replace(&mut shape[axis], 1)).product();
                let share = match function {
                    ReduceFunction::Mean => factor,
                    ReduceFunction::Sum => factor * n as f64,
                    _ => return None,
                };
                let is_mean = (share - 1.0).abs() < 1e-6 && graph.tensor(id).shape == shape;
                return is_mean.then(|| (x, axes.clone()));
            }
            _ => return None,
        }
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
