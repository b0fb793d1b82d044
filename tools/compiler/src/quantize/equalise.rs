//! Cross-layer equalisation: channels of unlike size become alike before they share one scale.
//!
//! ```text
//! layer A -> Relu -> y -> layer B          y[c] = A[c] . x          B reads y[c] with B[:, c]
//! layer A / s -> Relu -> y / s -> B * s    the same function: Relu(x / s) = Relu(x) / s for s > 0
//! ```
//! (Nagel et al. 2019, arXiv 1906.04721, section 4.1.) Weights have a scale of their own for each output channel here,
//! so that the first layer's rows cost nothing, and what is brought into balance is the activation between the two
//! layers, as calibration saw it, against the columns of the second layer.

use super::channels::ChannelStatistics;
use crate::array::Array;
use crate::graph::{Clamp, Constant, Graph, Node, Operator, Origin, TensorId, Unary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was divided, by the new name of the ONNX tensor that the divided tensor would be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Equalised {
    /// In the order of the graph.
    pub pairs: Vec<EqualisedPair>,
    /// By the name in `Origin`: the ONNX tensor, and what its channels are divided by.
    divided: BTreeMap<String, (Origin, Vec<f32>)>,
}

impl Equalised {
    /// Shows the values of an ONNX tensor, and also divided under the name that the graph has for that.
    pub fn show(&self, name: &str, values: &Array, tap: &mut dyn FnMut(&str, &Array)) {
        tap(name, values);
        for (new_name, (origin, divisors)) in self.divided.iter().filter(|(_, (origin, _))| origin.name == name) {
            tap(new_name, &divided(values, origin, divisors));
        }
    }
}

/// The values of an ONNX tensor with each channel, an index on our last axis, divided.
fn divided(values: &Array, origin: &Origin, divisors: &[f32]) -> Array {
    let mut data = values.to_f32().to_vec();
    for (place, position) in origin.order(&values.shape).into_iter().enumerate() {
        data[position] /= divisors[place % divisors.len()];
    }
    Array::f32(values.shape.clone(), data)
}

/// Two layers, and how unlike the channels between them were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EqualisedPair {
    /// The layer whose outputs are divided.
    pub first: String,
    /// The layer whose weights are multiplied.
    pub second: String,
    /// The largest divisor over the smallest one.
    pub spread: f32,
}

/// Balances the channels between each pair of layers; the graph computes what it did before, up to rounding.
///
/// # Algorithm
/// With `r1[c]` the largest magnitude of channel c between the layers and `r2[c]` the largest weight that reads it, as a
/// part of the largest weight of the same row: `s[c] = sqrt(r1[c] / r2[c])`, so that both become `sqrt(r1 * r2)`. A
/// depthwise second layer has a scale for each of its channels, which makes `r2` the same for all of them: `s = r1`.
/// Divisors are powers of two, so that no weight is rounded. Channels that are always 0 stay as they are.
pub fn equalise(graph: &mut Graph, statistics: &ChannelStatistics) -> Equalised {
    let mut equalised = Equalised::default();
    for first in 0..graph.nodes.len() {
        let Some((between, second)) = pair(graph, first) else { continue };
        let Some(divisors) = divisors(graph, statistics, graph.nodes[first].outputs[0], &graph.nodes[second]) else {
            continue;
        };
        let (smallest, largest) = divisors.iter().fold((f32::MAX, 0.0f32), |(a, b), &s| (a.min(s), b.max(s)));
        if smallest == largest {
            continue;
        }
        scale_rows(graph, first, &divisors);
        scale_columns(graph, second, &divisors);
        for id in between {
            let Some(origin) = graph.tensor(id).origin.clone() else { continue };
            let name = format!("{} / {}", origin.name, graph.nodes[first].name);
            graph.tensor_mut(id).origin = Some(Origin { name: name.clone(), ..origin.clone() });
            equalised.divided.insert(name, (origin, divisors.clone()));
        }
        equalised.pairs.push(EqualisedPair {
            first: graph.nodes[first].name.clone(),
            second: graph.nodes[second].name.clone(),
            spread: largest / smallest,
        });
    }
    equalised
}

/// The tensors between a layer and the only layer that reads it, and that layer.
fn pair(graph: &Graph, first: usize) -> Option<(Vec<TensorId>, usize)> {
    let node = &graph.nodes[first];
    let is_layer = |node: &Node| match &node.operator {
        Operator::Conv2d { groups, .. } => *groups == 1,
        Operator::DepthwiseConv2d { multiplier, .. } => *multiplier == 1,
        Operator::FullyConnected { .. } => true,
        _ => false,
    };
    let has_constants = |node: &Node| {
        let is_own = |&id: &TensorId| graph.tensor(id).constant.as_ref().and_then(Constant::as_f32).is_some();
        node.inputs[1..].iter().all(is_own)
    };
    let is_row_layer = matches!(
        node.operator,
        Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. } | Operator::FullyConnected { .. }
    );
    if !is_row_layer || !has_constants(node) || !scales_freely(node.operator.clamp()) {
        return None;
    }
    let mut between = vec![node.outputs[0]];
    loop {
        let tensor = *between.last()?;
        let readers = graph.consumers(tensor);
        let &[reader] = &readers[..] else { return None };
        let next = &graph.nodes[reader];
        if graph.is_output(tensor) || next.inputs.iter().filter(|&&i| i == tensor).count() != 1 {
            return None;
        }
        if is_layer(next) {
            return (next.inputs[0] == tensor && has_constants(next)).then_some((between, reader));
        }
        let same_channels = || {
            let last = |id: TensorId| graph.tensor(id).shape.last().copied();
            last(next.outputs[0]) == last(tensor)
        };
        let passes = match &next.operator {
            Operator::MaxPool2d { .. } => true,
            Operator::AveragePool2d { clamp, .. } | Operator::Unary(Unary::Clamp(clamp)) => scales_freely(Some(*clamp)),
            Operator::Pad { value, .. } => *value == 0.0 && same_channels(),
            Operator::Reshape => same_channels(),
            _ => false,
        };
        if !passes {
            return None;
        }
        between.push(next.outputs[0]);
    }
}

/// Whether a clamp is none or a Relu.
fn scales_freely(clamp: Option<Clamp>) -> bool {
    clamp.is_none_or(|clamp| clamp.max.is_none() && clamp.min.is_none_or(|min| min == 0.0))
}

/// One positive number for each channel of `tensor`.
fn divisors(graph: &Graph, statistics: &ChannelStatistics, tensor: TensorId, second: &Node) -> Option<Vec<f32>> {
    let sizes = &statistics.of(graph.tensor(tensor).origin.as_ref())?.largest;
    let columns = columns(graph, second, sizes.len())?;
    let divisor = |(&size, &column): (&f32, &f32)| {
        let wanted = (size / column).sqrt();
        let usable = size > 0.0 && column > 0.0 && wanted.is_normal();
        usable.then(|| wanted.log2().round().clamp(-30.0, 30.0).exp2())
    };
    let found: Vec<Option<f32>> = match second.operator {
        Operator::DepthwiseConv2d { .. } => {
            sizes.iter().map(|size| size.is_normal().then(|| size.log2().round().clamp(-30.0, 30.0).exp2())).collect()
        }
        _ => sizes.iter().zip(&columns).map(divisor).collect(),
    };
    // Channels of no size are taken along in the middle of the others.
    let known: Vec<f32> = found.iter().flatten().copied().collect();
    let mean = (known.iter().map(|s| s.log2()).sum::<f32>() / known.len().max(1) as f32).round();
    Some(found.into_iter().map(|s| s.map_or(1.0, |s| s / mean.exp2())).collect())
}

/// The largest weight that reads each channel, as a part of the largest weight of its output channel.
fn columns(graph: &Graph, node: &Node, n: usize) -> Option<Vec<f32>> {
    let weights = graph.tensor(node.inputs[1]).constant.as_ref()?.as_f32()?;
    if let Operator::DepthwiseConv2d { .. } = node.operator {
        return (graph.tensor(node.inputs[1]).shape.last() == Some(&n)).then(|| vec![1.0; n]);
    }
    let n_outputs = *graph.tensor(node.inputs[1]).shape.first()?;
    let filter = weights.len().checked_div(n_outputs)?;
    if n == 0 || filter == 0 || filter % n != 0 {
        return None;
    }
    let mut columns = vec![0.0f32; n];
    for row in weights.chunks(filter) {
        let largest = row.iter().fold(f32::MIN_POSITIVE, |m, w| m.max(w.abs()));
        for (i, w) in row.iter().enumerate() {
            columns[i % n] = columns[i % n].max(w.abs() / largest);
        }
    }
    Some(columns)
}

/// Divides what a layer computes.
fn scale_rows(graph: &mut Graph, idx: usize, divisors: &[f32]) {
    let node = &graph.nodes[idx];
    let is_last = matches!(node.operator, Operator::DepthwiseConv2d { .. });
    let filter = graph.tensor(node.inputs[1]).n_elements() / divisors.len();
    replace(graph, idx, 1, |i, w| w / divisors[if is_last { i % divisors.len() } else { i / filter }]);
    if graph.nodes[idx].inputs.len() > 2 {
        replace(graph, idx, 2, |i, b| b / divisors[i]);
    }
}

/// Multiplies what a layer reads.
fn scale_columns(graph: &mut Graph, idx: usize, divisors: &[f32]) {
    replace(graph, idx, 1, |i, w| w * divisors[i % divisors.len()]);
}

/// Gives a node a constant of its own.
fn replace(graph: &mut Graph, idx: usize, operand: usize, value: impl Fn(usize, f32) -> f32) {
    let mut tensor = graph.tensor(graph.nodes[idx].inputs[operand]).clone();
    if let Some(Constant::F32(values)) = &mut tensor.constant {
        values.iter_mut().enumerate().for_each(|(i, v)| *v = value(i, *v));
    }
    let id = graph.add_tensor(tensor);
    graph.nodes[idx].inputs[operand] = id;
}
