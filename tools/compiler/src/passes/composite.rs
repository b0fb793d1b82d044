//! What exporters write as several nodes and the runtime has as one: Gelu and LayerNormalization.

use super::fuse::take_over;
use super::rewrite::{constant, only_consumer, producer};
use crate::graph::{Binary, Clamp, Graph, Node, Normalization, Operator, Pair, Reduction, TensorId, Unary};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};
use tinfer::kernels::portable::{ReduceFunction, Statistic};
use tinfer::operators::reduction::normalization::NormalizationResult;

/// `x * (1 + erf(x / sqrt 2)) / 2`, and its form with tanh, whatever the order of the factors.
pub fn gelu(graph: &mut Graph, i: usize) -> bool {
    let Some((x, function, onnx)) = gelu_of(graph, i) else { return false };
    if graph.tensor(x).shape != graph.tensor(graph.nodes[i].outputs[0]).shape {
        return false;
    }
    let node = &mut graph.nodes[i];
    node.operator = Operator::Unary(function);
    node.onnx = onnx.into();
    node.inputs = vec![x];
    true
}

fn gelu_of(graph: &Graph, i: usize) -> Option<(TensorId, Unary, &'static str)> {
    let (factor, tensors) = factors(graph, graph.nodes.get(i)?)?;
    let &[a, b] = &tensors[..] else { return None };
    if !near(factor, 0.5) {
        return None;
    }
    [(a, b), (b, a)].into_iter().find_map(|(x, gate)| {
        let inner = producer(graph, plus_constant(graph, gate, 1.0)?)?;
        match inner.operator {
            Operator::Unary(Unary::Erf) => {
                let (factor, tensors) = factors(graph, producer(graph, inner.inputs[0])?)?;
                let is_gelu = near(factor, FRAC_1_SQRT_2) && tensors == [x];
                is_gelu.then_some((x, Unary::Gelu, "Div+Erf+Add+Mul"))
            }
            Operator::Unary(Unary::Tanh) => {
                let (factor, tensors) = factors(graph, producer(graph, inner.inputs[0])?)?;
                let &[sum] = &tensors[..] else { return None };
                let is_gelu = near(factor, FRAC_2_PI.sqrt()) && is_cubic(graph, sum, x);
                is_gelu.then_some((x, Unary::GeluTanh, "Pow+Mul+Add+Tanh+Mul"))
            }
            _ => None,
        }
    })
}

/// Whether a tensor is `x + 0.044715 x^3`.
fn is_cubic(graph: &Graph, sum: TensorId, x: TensorId) -> bool {
    let find = || {
        let node = producer(graph, sum).filter(|n| is_binary(n, Binary::Add))?;
        let cube = node.inputs.iter().copied().find(|&id| id != x).filter(|_| node.inputs.contains(&x))?;
        let (factor, tensors) = factors(graph, producer(graph, cube)?)?;
        let cubed = match tensors[..] {
            [power] => producer(graph, power)
                .is_some_and(|n| n.operator == Operator::Unary(Unary::Power { exponent: 3.0 }) && n.inputs == [x]),
            _ => tensors == [x, x, x],
        };
        Some(cubed && near(factor, 0.044_715))
    };
    find().unwrap_or(false)
}

/// The factors of a product: constants of one element together, then everything else.
fn factors(graph: &Graph, node: &Node) -> Option<(f64, Vec<TensorId>)> {
    if !is_binary(node, Binary::Mul) {
        return None;
    }
    let (mut product, mut tensors) = (1.0, Vec::new());
    for &id in &node.inputs {
        if let Some(&[value]) = constant(graph, id) {
            product *= f64::from(value);
            continue;
        }
        match producer(graph, id).filter(|_| only_consumer(graph, id).is_some()).and_then(|n| factors(graph, n)) {
            Some((factor, inner)) => {
                product *= factor;
                tensors.extend(inner);
            }
            None => tensors.push(id),
        }
    }
    Some((product, tensors))
}

/// The other operand of a sum with this constant.
fn plus_constant(graph: &Graph, id: TensorId, value: f64) -> Option<TensorId> {
    let node = producer(graph, id).filter(|n| is_binary(n, Binary::Add))?;
    let is_constant = |id: TensorId| matches!(constant(graph, id), Some(&[v]) if near(f64::from(v), value));
    let (a, b) = (node.inputs[0], node.inputs[1]);
    if is_constant(b) { Some(a) } else { Some(b).filter(|_| is_constant(a)) }
}

/// `(x - mean) / sqrt(mean((x - mean)^2) + epsilon)` over the last axis.
pub fn layer_normalization(graph: &mut Graph, i: usize) -> bool {
    let Some((x, epsilon)) = normalized(graph, i) else { return false };
    if graph.tensor(x).shape != graph.tensor(graph.nodes[i].outputs[0]).shape {
        return false;
    }
    let n = graph.tensor(x).shape.last().copied().unwrap_or(1);
    let result = NormalizationResult::Normalized;
    let node = &mut graph.nodes[i];
    node.operator = Operator::Normalization(Normalization {
        result,
        statistic: Statistic::Variance,
        epsilon,
        n,
        groups: 1,
        repeat: 1,
    });
    node.onnx = "ReduceMean+Sub+Pow+ReduceMean+Add+Sqrt+Div".into();
    node.inputs = vec![x];
    true
}

fn normalized(graph: &Graph, i: usize) -> Option<(TensorId, f32)> {
    let node = graph.nodes.get(i).filter(|n| n.operator == Operator::Pair(Pair::Div))?;
    let (difference, root) = (node.inputs[0], node.inputs[1]);
    let root = producer(graph, root)?;
    let is_root = matches!(root.operator, Operator::Unary(Unary::Sqrt))
        || root.operator == Operator::Unary(Unary::Power { exponent: 0.5 });
    let sum = producer(graph, root.inputs[0]).filter(|n| is_root && is_binary(n, Binary::Add))?;
    let (variance, epsilon) = match (constant(graph, sum.inputs[0]), constant(graph, sum.inputs[1])) {
        (None, Some(&[epsilon])) => (sum.inputs[0], epsilon),
        (Some(&[epsilon]), None) => (sum.inputs[1], epsilon),
        _ => return None,
    };
    let square = producer(graph, mean_of_rows(graph, variance)?)?;
    let is_square = match square.operator {
        Operator::Unary(Unary::Power { exponent }) => exponent == 2.0 && same(graph, square.inputs[0], difference),
        _ => is_binary(square, Binary::Mul) && square.inputs.iter().all(|&id| same(graph, id, difference)),
    };
    let difference = producer(graph, difference).filter(|n| is_square && is_binary(n, Binary::Sub))?;
    let x = difference.inputs[0];
    (mean_of_rows(graph, difference.inputs[1])? == x).then_some((x, epsilon))
}

/// Whether two tensors are one, or the same difference of the same operands.
fn same(graph: &Graph, a: TensorId, b: TensorId) -> bool {
    let equal = |a: &Node, b: &Node| a.operator == b.operator && a.inputs == b.inputs;
    a == b || producer(graph, a).zip(producer(graph, b)).is_some_and(|(a, b)| is_binary(a, Binary::Sub) && equal(a, b))
}

/// What a tensor is the mean of, along the last axis.
fn mean_of_rows(graph: &Graph, id: TensorId) -> Option<TensorId> {
    let node = producer(graph, id)?;
    let x = *node.inputs.first()?;
    let last = graph.tensor(x).shape.len().checked_sub(1)?;
    match &node.operator {
        Operator::Reduction(Reduction::Reduce {
            function: ReduceFunction::Mean,
            axes: Some(axes),
            keeps_dims: true,
        }) => (axes[..] == [last]).then_some(x),
        _ => None,
    }
}

/// A product and a sum with a constant row behind a normalization without factors become its factors.
pub fn normalization_factors(graph: &mut Graph, i: usize) -> bool {
    let find = |graph: &Graph| {
        let node = graph.nodes.get(i)?;
        let n_inputs = match &node.operator {
            _ if is_binary(node, Binary::Mul) => 1,
            _ if is_binary(node, Binary::Add) => 2,
            _ => return None,
        };
        let (x, factors) = match (constant(graph, node.inputs[0]), constant(graph, node.inputs[1])) {
            (None, Some(_)) => (node.inputs[0], node.inputs[1]),
            (Some(_), None) => (node.inputs[1], node.inputs[0]),
            _ => return None,
        };
        let layer = only_consumer(graph, x).and_then(|_| graph.producer(x))?;
        let Operator::Normalization(normalization) = &graph.nodes[layer].operator else { return None };
        let shape = &graph.tensor(factors).shape;
        let is_row = shape.iter().product::<usize>() == normalization.n && shape.last() == Some(&normalization.n);
        let plain = normalization.groups == 1
            && normalization.repeat == 1
            && normalization.result == NormalizationResult::Normalized
            && graph.nodes[layer].inputs.len() == n_inputs;
        (is_row && plain).then_some((layer, factors, normalization.n))
    };
    let Some((layer, factors, n)) = find(graph) else { return false };
    let Some(values) = graph.tensor(factors).constant.clone() else { return false };
    let name = format!("{}_row", graph.tensor(factors).name);
    let row = graph.add_constant(&name, vec![n], values);
    graph.nodes[layer].inputs.push(row);
    take_over(graph, layer, i);
    true
}

fn is_binary(node: &Node, wanted: Binary) -> bool {
    matches!(&node.operator, Operator::Binary { function, clamp } if *function == wanted && *clamp == Clamp::default())
}

/// Constants in files are rounded to a few digits.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-4 * b.abs()
}
