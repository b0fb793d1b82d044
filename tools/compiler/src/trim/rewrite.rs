//! Takes the channels that go out of the graph, and what they added into biases.

use super::bounds::{Bounds, n_channels};
use super::kept::Kept;
use super::product::Product;
use crate::graph::{Constant, Graph, Node, Operator, Quantization, Tensor, TensorId};
use crate::kept_channels::KeptChannels;
use tinfer::tensor::ElementType;

/// The graph with only the kept channels.
pub(super) fn rewrite(graph: &Graph, products: &[Option<Product>], bounds: &Bounds, kept: &Kept) -> Graph {
    let cut = Cut { before: graph, bounds, kept };
    let mut after = graph.clone();
    for (idx, product) in products.iter().enumerate() {
        match product {
            Some(product) => cut.product(&mut after, idx, product),
            None => cut.operands(&mut after, idx),
        }
    }
    for (idx, tensor) in after.tensors.iter_mut().enumerate().take(graph.tensors.len()) {
        if tensor.constant.is_none() {
            cut.activation(TensorId(idx), tensor);
        }
    }
    let tensors = &after.tensors;
    after.nodes.retain(|node| node.outputs.iter().any(|o| n_channels(&tensors[o.0]) > 0));
    after.compact();
    after
}

struct Cut<'g> {
    before: &'g Graph,
    bounds: &'g Bounds,
    kept: &'g Kept,
}

impl Cut<'_> {
    fn channels(&self, id: TensorId) -> Vec<usize> {
        self.kept.channels(self.before, id)
    }

    fn activation(&self, id: TensorId, tensor: &mut Tensor) {
        let channels = self.channels(id);
        let Some(last) = tensor.shape.last_mut().filter(|last| **last != channels.len()) else { return };
        let n_before = std::mem::replace(last, channels.len());
        if let Some(origin) = &mut tensor.origin {
            origin.kept = Some(KeptChannels { of: n_before, channels });
        }
    }

    /// Weights and bias of a layer.
    fn product(&self, after: &mut Graph, idx: usize, product: &Product) {
        let node = &self.before.nodes[idx];
        let (input, output) = (node.inputs[0], node.outputs[0]);
        let (inputs, outputs) = (self.channels(input), self.channels(output));
        if (inputs.len(), outputs.len()) == (product.n_inputs, product.n_outputs) || outputs.is_empty() {
            return;
        }
        let dense = matches!(node.operator, Operator::Conv2d { groups: 1, .. } | Operator::FullyConnected { .. });
        let weights = self.before.tensor(node.inputs[1]);
        let (axis, constant) = match node.operator {
            Operator::DepthwiseConv2d { .. } => (weights.shape.len() - 1, weights.constant.clone()),
            _ => (0, weights.constant.clone()),
        };
        let Some(constant) = constant else { return };
        let mut cut = Values { shape: weights.shape.clone(), constant };
        if dense {
            if let Constant::I8(values) = &mut cut.constant {
                self.silence(values, product, output, &outputs, inputs.len());
            }
            cut = cut.select(weights.shape.len() - 1, &inputs);
        }
        let cut = cut.select(axis, &outputs);
        let quantization = weights.quantization.as_ref().map(|q| select_scales(q, &outputs));
        replace(after, idx, 1, cut, quantization);
        self.bias(after, idx, node, product, dense);
        if let Operator::Conv2d { groups, .. } = &mut after.nodes[idx].operator {
            // Groups go as a whole.
            *groups = inputs.len() / product.n_seen.min(inputs.len()).max(1);
        }
    }

    /// A constant output channel needs no weights: its bias alone gives it.
    fn silence(&self, values: &mut [i8], product: &Product, output: TensorId, outputs: &[usize], n_inputs: usize) {
        if n_inputs == product.n_inputs {
            return;
        }
        let filter = values.len() / product.n_outputs;
        for &o in outputs.iter().filter(|&&o| self.bounds.of(output)[o].constant().is_some()) {
            values[o * filter..(o + 1) * filter].fill(0);
        }
    }

    fn bias(&self, after: &mut Graph, idx: usize, node: &Node, product: &Product, dense: bool) {
        let (input, output) = (node.inputs[0], node.outputs[0]);
        let outputs = self.channels(output);
        let old = node.inputs.get(2).map(|&id| self.before.tensor(id));
        let quantization = old.and_then(|t| t.quantization.as_ref()).map(|q| select_scales(q, &outputs));
        let constant = match (product.bias(0), old.and_then(|t| t.constant.as_ref())) {
            (Some(_), _) => {
                let folded = |o: &usize| if dense { self.folded(product, input, output, *o) } else { product.bias(*o) };
                // Products are only known where all such sums fit 32 bits.
                let fit = |sum: Option<i64>| sum.and_then(|s| i32::try_from(s).ok()).unwrap_or(0);
                Constant::I32(outputs.iter().map(folded).map(fit).collect())
            }
            (None, Some(Constant::F32(bias))) => Constant::F32(outputs.iter().map(|&o| bias[o]).collect()),
            (None, _) => return,
        };
        let cut = Values { shape: vec![outputs.len()], constant };
        if old.is_some() {
            replace(after, idx, 2, cut, quantization);
        } else {
            let id = after.add_constant(&format!("{}_bias", node.name), cut.shape, cut.constant);
            after.nodes[idx].inputs.push(id);
        }
    }

    /// The bias of an output channel with everything in it that the dropped input channels added.
    fn folded(&self, product: &Product, input: TensorId, output: TensorId, o: usize) -> Option<i64> {
        let dropped: Vec<(usize, usize)> =
            product.seen(o).enumerate().filter(|&(_, channel)| !self.kept.stays(input, channel)).collect();
        if !dropped.is_empty() && self.bounds.of(output)[o].constant().is_some() {
            // Every accumulator between the bounds gives the constant.
            return product.accumulator(o, self.bounds.of(input)).map(|acc| acc.min);
        }
        let value = |channel: usize| self.bounds.of(input)[channel].constant();
        let add =
            |(k, channel): (usize, usize)| value(channel).and_then(|v| product.contribution(o, k, v)).unwrap_or(0);
        Some(product.bias(o)? + dropped.into_iter().map(add).sum::<i64>())
    }

    /// Constant operands and the list of operands of every other node.
    fn operands(&self, after: &mut Graph, idx: usize) {
        let node = &self.before.nodes[idx];
        let Some(&output) = node.outputs.first() else { return };
        let outputs = self.channels(output);
        let n_outputs = n_channels(self.before.tensor(output));
        if outputs.len() == n_outputs {
            return;
        }
        let along_channels = match node.operator {
            Operator::Concat { axis } => axis + 1 == self.before.tensor(output).shape.len(),
            _ => false,
        };
        let mut first = 0;
        let mut stays = Vec::new();
        for (i, &id) in node.inputs.iter().enumerate() {
            let tensor = self.before.tensor(id);
            let n = n_channels(tensor);
            let range = if along_channels { first..first + n } else { 0..n };
            first = range.end;
            let mine: Vec<usize> = outputs.iter().filter(|c| range.contains(c)).map(|c| c - range.start).collect();
            stays.push(!along_channels || !mine.is_empty());
            let broadcast = n == 1 && !along_channels;
            if let (Some(constant), false) = (&tensor.constant, broadcast || mine.len() == n || mine.is_empty()) {
                let whole = Values { shape: tensor.shape.clone(), constant: constant.clone() };
                let cut = whole.select(tensor.shape.len().saturating_sub(1), &mine);
                replace(after, idx, i, cut, tensor.quantization.clone());
            }
        }
        let mut stays = stays.into_iter();
        after.nodes[idx].inputs.retain(|_| stays.next().unwrap_or(true));
    }
}

/// A constant's values, row-major.
struct Values {
    shape: Vec<usize>,
    constant: Constant,
}

impl Values {
    /// Only these indices of an axis.
    fn select(self, axis: usize, indices: &[usize]) -> Values {
        let mut shape = self.shape;
        let Some(n) = shape.get(axis).copied() else { return Values { shape, ..self } };
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        shape[axis] = indices.len();
        let blocks = (0..outer).flat_map(|o| indices.iter().map(move |i| (o * n + i) * inner));
        let constant = self.constant.gathered(blocks.flat_map(|start| start..start + inner));
        Values { shape, constant: constant.expect("indices of an axis lie within it") }
    }
}

fn select_scales(quantization: &Quantization, channels: &[usize]) -> Quantization {
    match quantization.scales.len() {
        1 => quantization.clone(),
        _ => Quantization {
            scales: channels.iter().filter_map(|&c| quantization.scales.get(c)).copied().collect(),
            ..quantization.clone()
        },
    }
}

/// Gives operand `i` of a node other values: in place, or as a tensor of its own where others read it as well.
fn replace(graph: &mut Graph, idx: usize, i: usize, cut: Values, quantization: Option<Quantization>) {
    let Values { shape, constant } = cut;
    let id = graph.nodes[idx].inputs[i];
    let n_uses: usize = graph.nodes.iter().map(|n| n.inputs.iter().filter(|&&o| o == id).count()).sum();
    let element_type: ElementType = constant.element_type();
    let new = Tensor { shape, element_type, constant: Some(constant), quantization, ..graph.tensor(id).clone() };
    if n_uses == 1 && !graph.is_output(id) {
        *graph.tensor_mut(id) = new;
    } else {
        graph.nodes[idx].inputs[i] = graph.add_tensor(new);
    }
}
