//! From the inputs' range forwards: what values every channel of every tensor can take.

use super::interval::Interval;
use super::oracle;
use super::product::Product;
use crate::graph::{Binary, Clamp, Constant, Graph, Node, Operator, Tensor, TensorId, Unary};
use tinfer::tensor::ElementType;

/// An interval for every channel, that is index on the last axis, of every tensor.
pub(super) struct Bounds {
    channels: Vec<Vec<Interval>>,
}

impl Bounds {
    /// # Algorithm
    /// Interval analysis in the arithmetic of the image. Inputs have any int8 value. Sums of products are bounded term
    /// by term, at every kind of position of the window. All other operators are monotone in each operand, or functions
    /// of one int8 value: the runtime itself computes them at the ends, or at all 256 values.
    pub fn new(graph: &Graph, products: &[Option<Product>]) -> Self {
        let mut bounds = Bounds { channels: graph.tensors.iter().map(initial).collect() };
        for (node, product) in graph.nodes.iter().zip(products) {
            let Some(&output) = node.outputs.first() else { continue };
            let found = match product {
                Some(product) => Some(product.bounds(bounds.of(node.inputs[0]))),
                None => match format(graph, node) {
                    Some(ElementType::I8) => bounds.int8(graph, node),
                    Some(ElementType::F32) => bounds.float32(graph, node),
                    _ => None,
                },
            };
            let n_channels = n_channels(graph.tensor(output));
            if let Some(found) = found.filter(|f| f.len() == n_channels) {
                bounds.channels[output.0] = found;
            }
        }
        bounds
    }

    /// Of a tensor's channels.
    pub fn of(&self, id: TensorId) -> &[Interval] {
        &self.channels[id.0]
    }

    fn int8(&self, graph: &Graph, node: &Node) -> Option<Vec<Interval>> {
        let input = self.of(*node.inputs.first()?);
        match &node.operator {
            Operator::Binary { .. } => self.binary(graph, node),
            Operator::Unary(_) | Operator::Requantize => table(graph, node, input),
            Operator::MaxPool2d { .. } | Operator::AveragePool2d { .. } => pool(graph, node, input),
            Operator::Pad { value, .. } => {
                let padding = graph.tensor(node.outputs[0]).quantization.as_ref()?;
                let value = tinfer::tensor::quantize_i8(
                    f64::from(*value),
                    f64::from(*padding.scales.first()?),
                    padding.zero_point,
                );
                self.pad(node, input, value)
            }
            _ => self.moved(graph, node),
        }
    }

    /// Exact zeros. Like the products, all of this holds for inputs of which the model computes finite numbers only.
    fn float32(&self, graph: &Graph, node: &Node) -> Option<Vec<Interval>> {
        let input = self.of(*node.inputs.first()?);
        let zeros = |stays: Vec<bool>| {
            Some(stays.into_iter().map(|zero| if zero { Interval::of(0) } else { Interval::ALL }).collect())
        };
        let zero = |interval: &Interval| interval.constant() == Some(0);
        match &node.operator {
            Operator::Binary { function, clamp } => {
                let (_, [a, b]) = self.operands(graph, node)?;
                let both = |(a, b): (&Interval, &Interval)| match function {
                    Binary::Add | Binary::Sub => zero(a) && zero(b),
                    Binary::Mul => zero(a) || zero(b),
                };
                zeros(a.iter().zip(&b).map(|channels| both(channels) && keeps_zero(*clamp)).collect())
            }
            Operator::Unary(Unary::Clamp(clamp)) | Operator::AveragePool2d { clamp, .. } => {
                zeros(input.iter().map(|i| zero(i) && keeps_zero(*clamp)).collect())
            }
            Operator::Pad { value, .. } if *value == 0.0 => self.pad(node, input, 0),
            _ => self.moved(graph, node),
        }
    }

    /// Operators that move elements and compute nothing.
    fn moved(&self, graph: &Graph, node: &Node) -> Option<Vec<Interval>> {
        let input = self.of(node.inputs[0]);
        let output = graph.tensor(node.outputs[0]);
        match &node.operator {
            Operator::Reshape => reshaped(input, n_channels(output)),
            Operator::Transpose { permutation } => keeps_last_axis(permutation).then(|| input.to_vec()),
            Operator::Concat { axis } if axis + 1 == output.shape.len() => {
                Some(node.inputs.iter().flat_map(|&i| self.of(i)).copied().collect())
            }
            Operator::Concat { .. } => {
                let all = node.inputs.iter().map(|&i| self.of(i).to_vec());
                all.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.hull(b)).collect())
            }
            _ => None,
        }
    }

    fn pad(&self, node: &Node, input: &[Interval], value: i8) -> Option<Vec<Interval>> {
        let Operator::Pad { pads, .. } = &node.operator else { return None };
        let (channel, positions) = pads.split_last()?;
        let around = positions.iter().any(|p| *p != [0, 0]);
        let padding = Interval::of(value);
        let inner = input.iter().map(|i| if around { i.hull(padding) } else { *i });
        let side = |n: usize| std::iter::repeat_n(padding, n);
        Some(side(channel[0]).chain(inner).chain(side(channel[1])).collect())
    }

    /// Channels of the result, and the operands' intervals for each of them.
    fn operands(&self, graph: &Graph, node: &Node) -> Option<(usize, [Vec<Interval>; 2])> {
        let n_channels = n_channels(graph.tensor(node.outputs[0]));
        let broadcast = |id: TensorId| match self.of(id) {
            [one] => Some(vec![*one; n_channels]),
            all => (all.len() == n_channels).then(|| all.to_vec()),
        };
        let [a, b] = node.inputs[..] else { return None };
        Some((n_channels, [broadcast(a)?, broadcast(b)?]))
    }

    /// Monotone in each operand whatever the other one is, so the extremes are at the four corners.
    fn binary(&self, graph: &Graph, node: &Node) -> Option<Vec<Interval>> {
        let (n, [a, b]) = self.operands(graph, node)?;
        let ends: [fn(&Interval) -> i8; 2] = [|i| i.min, |i| i.max];
        let mut corners = Vec::new();
        for a_end in ends {
            for b_end in ends {
                let values = [a.iter().map(a_end).collect(), b.iter().map(b_end).collect()];
                let inputs = values.map(|v| (vec![1, n], v));
                corners.push(oracle::run(graph, node, &inputs, &[1, n])?);
            }
        }
        Some((0..n).map(|c| Interval::around(corners.iter().map(|v| v[c]))).collect())
    }
}

/// The element type of all operands and results of a node; `None` when they differ.
fn format(graph: &Graph, node: &Node) -> Option<ElementType> {
    let mut types = node.inputs.iter().chain(&node.outputs).map(|&id| graph.tensor(id).element_type);
    let first = types.next()?;
    types.all(|other| other == first).then_some(first)
}

/// Length of the last axis, 1 for a scalar.
pub(super) fn n_channels(tensor: &Tensor) -> usize {
    tensor.shape.last().copied().unwrap_or(1)
}

/// Whether a transposition leaves the channels where they are.
pub(super) fn keeps_last_axis(permutation: &[usize]) -> bool {
    permutation.last().is_some_and(|&axis| axis + 1 == permutation.len())
}

fn initial(tensor: &Tensor) -> Vec<Interval> {
    let n = n_channels(tensor);
    match &tensor.constant {
        Some(Constant::I8(values)) if n > 0 => {
            (0..n).map(|c| Interval::around(values.iter().skip(c).step_by(n).copied())).collect()
        }
        Some(Constant::F32(values)) if n > 0 => {
            let zero = |c: usize| values.iter().skip(c).step_by(n).all(|&v| v == 0.0);
            (0..n).map(|c| if zero(c) { Interval::of(0) } else { Interval::ALL }).collect()
        }
        _ => vec![Interval::ALL; n],
    }
}

/// A function of one value, which the runtime computes for all of them.
fn table(graph: &Graph, node: &Node, input: &[Interval]) -> Option<Vec<Interval>> {
    let shape = vec![256];
    let entries = oracle::run(graph, node, &[(shape.clone(), (i8::MIN..=i8::MAX).collect())], &shape)?;
    let image = |i: &Interval| {
        let first = (i32::from(i.min) + 128) as usize;
        let last = (i32::from(i.max) + 128) as usize;
        Interval::around(entries[first..=last].iter().copied())
    };
    Some(input.iter().map(image).collect())
}

/// Monotone in every element: the extremes belong to inputs that are extreme everywhere.
fn pool(graph: &Graph, node: &Node, input: &[Interval]) -> Option<Vec<Interval>> {
    let shape = &graph.tensor(node.inputs[0]).shape;
    let output = &graph.tensor(node.outputs[0]).shape;
    let n = input.len();
    let n_pixels: usize = shape.iter().rev().skip(1).product();
    let filled = |end: fn(&Interval) -> i8| {
        let values: Vec<i8> = (0..n_pixels).flat_map(|_| input.iter().map(end)).collect();
        oracle::run(graph, node, &[(shape.clone(), values)], output)
    };
    let (low, high) = (filled(|i| i.min)?, filled(|i| i.max)?);
    let channel = |c: usize| Interval::around(low.iter().chain(&high).skip(c).step_by(n).copied());
    Some((0..n).map(channel).collect())
}

/// Channels of a tensor whose last axis is cut into pieces, or joined with those before it.
fn reshaped(input: &[Interval], n_outputs: usize) -> Option<Vec<Interval>> {
    let n = input.len();
    if n_outputs.checked_rem(n) == Some(0) {
        return Some((0..n_outputs).map(|c| input[c % n]).collect());
    }
    let hull = |c: usize| input.iter().skip(c).step_by(n_outputs).copied().reduce(Interval::hull);
    (n.checked_rem(n_outputs) == Some(0)).then(|| (0..n_outputs).filter_map(hull).collect())
}

fn keeps_zero(clamp: Clamp) -> bool {
    clamp.min.is_none_or(|min| min <= 0.0) && clamp.max.is_none_or(|max| max >= 0.0)
}
