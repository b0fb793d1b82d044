//! Scale, bias, clamp and zero padding move into the product before or behind them.

use crate::graph::{Binary, Clamp, Constant, Graph, Operator, TensorId, Unary};

/// One round; whether anything was fused.
pub(super) fn run(graph: &mut Graph) -> bool {
    let mut changed = false;
    for i in 0..graph.nodes.len() {
        changed |= fuse_scale_and_bias(graph, i) || fuse_clamp(graph, i) || fuse_pad(graph, i);
        if changed {
            graph.compact();
            // Indices have moved.
            return true;
        }
    }
    changed
}

/// The node that computes `id`, if only node `reader` reads it.
fn only_for(graph: &Graph, id: TensorId, reader: usize) -> Option<usize> {
    let alone = graph.consumers(id) == [reader] && !graph.is_output(id);
    graph.producer(id).filter(|_| alone)
}

/// Node `i` disappears; node `before` computes its result.
fn take_over(graph: &mut Graph, before: usize, i: usize) {
    let outputs = graph.nodes[i].outputs.clone();
    let onnx = graph.nodes[i].onnx.clone();
    graph.nodes[before].outputs = outputs;
    if !onnx.is_empty() {
        graph.nodes[before].onnx = format!("{}+{onnx}", graph.nodes[before].onnx);
    }
    graph.nodes.remove(i);
}

/// y = x * scale + bias per channel behind a product with constant weights.
fn fuse_scale_and_bias(graph: &mut Graph, i: usize) -> bool {
    let Some((x, scale, bias)) = scale_and_bias(graph, i) else { return false };
    let Some(before) = only_for(graph, x, i) else { return false };
    let product = &graph.nodes[before];
    let (Operator::Conv2d { clamp, .. } | Operator::DepthwiseConv2d { clamp, .. } | Operator::FullyConnected { clamp }) =
        product.operator
    else {
        return false;
    };
    let channel_last = matches!(product.operator, Operator::DepthwiseConv2d { .. });
    let weights = product.inputs[1];
    let n = *graph.tensor(x).shape.last().unwrap_or(&1);
    let Some(values) = graph.tensor(weights).constant.as_ref().and_then(Constant::as_f32) else { return false };
    let old_bias = match product.inputs.get(2).map(|&b| graph.tensor(b).constant.as_ref().and_then(Constant::as_f32)) {
        Some(Some(b)) => b.to_vec(),
        Some(None) => return false,
        None => vec![0.0; n],
    };
    let same_shape = graph.tensor(x).shape == graph.tensor(graph.nodes[i].outputs[0]).shape;
    if clamp != Clamp::default() || !same_shape || scale.len() != n || old_bias.len() != n {
        return false;
    }
    let filter = values.len() / n;
    // In binary64, so that folding costs one rounding.
    let channel = |j: usize| if channel_last { j % n } else { j / filter };
    let scaled = values.iter().enumerate().map(|(j, &w)| (f64::from(w) * scale[channel(j)]) as f32).collect();
    let shifted = old_bias.iter().zip(scale.iter().zip(&bias)).map(|(&b, (s, t))| (f64::from(b) * s + t) as f32).collect();
    let (shape, name) = (graph.tensor(weights).shape.clone(), graph.tensor(weights).name.clone());
    let new_weights = graph.add_constant(&name, shape, Constant::F32(scaled));
    let new_bias = graph.add_constant(&format!("{name}_bias"), vec![n], Constant::F32(shifted));
    let product = &mut graph.nodes[before];
    product.inputs.truncate(1);
    product.inputs.extend([new_weights, new_bias]);
    take_over(graph, before, i);
    true
}

/// Node `i` as x * scale + bias over the last axis of x.
fn scale_and_bias(graph: &Graph, i: usize) -> Option<(TensorId, Vec<f64>, Vec<f64>)> {
    let node = &graph.nodes[i];
    let n = *graph.tensor(node.outputs[0]).shape.last()?;
    match &node.operator {
        Operator::DepthwiseConv2d { window, multiplier: 1, clamp } if *clamp == Clamp::default() => {
            let pointwise = window.kernel == [1, 1] && window.stride == [1, 1] && window.padding == [0, 0];
            let bias = match node.inputs.get(2) {
                Some(&bias) => channel_values(graph, bias, n)?,
                None => vec![0.0; n],
            };
            pointwise.then_some((node.inputs[0], channel_values(graph, node.inputs[1], n)?, bias))
        }
        Operator::Binary { function, clamp } if *clamp == Clamp::default() => {
            let (a, b) = (node.inputs[0], node.inputs[1]);
            let constant_first = graph.tensor(a).constant.is_some();
            let (x, constant) = if constant_first { (b, a) } else { (a, b) };
            let values = channel_values(graph, constant, n)?;
            let (zeros, ones) = (vec![0.0; n], vec![1.0; n]);
            let negated = |v: Vec<f64>| v.into_iter().map(|x| -x).collect();
            match (function, constant_first) {
                (Binary::Mul, _) => Some((x, values, zeros)),
                (Binary::Add, _) => Some((x, ones, values)),
                (Binary::Sub, false) => Some((x, ones, negated(values))),
                (Binary::Sub, true) => Some((x, negated(ones), values)),
            }
        }
        _ => None,
    }
}

/// A constant that broadcasts along the last axis only, one value per channel.
fn channel_values(graph: &Graph, id: TensorId, n: usize) -> Option<Vec<f64>> {
    let tensor = graph.tensor(id);
    let values = tensor.constant.as_ref()?.as_f32()?;
    let last = tensor.shape.last().copied().unwrap_or(1);
    match values.len() {
        1 => Some(vec![f64::from(values[0]); n]),
        len if len == n && last == n => Some(values.iter().map(|&v| f64::from(v)).collect()),
        _ => None,
    }
}

/// A clamp behind an operator that can clamp.
fn fuse_clamp(graph: &mut Graph, i: usize) -> bool {
    let Operator::Unary(Unary::Clamp(outer)) = graph.nodes[i].operator else { return false };
    let Some(before) = only_for(graph, graph.nodes[i].inputs[0], i) else { return false };
    match &mut graph.nodes[before].operator {
        Operator::Conv2d { clamp, .. }
        | Operator::DepthwiseConv2d { clamp, .. }
        | Operator::FullyConnected { clamp }
        | Operator::Binary { clamp, .. }
        | Operator::AveragePool2d { clamp, .. }
        | Operator::Unary(Unary::Clamp(clamp)) => *clamp = both(*clamp, outer),
        Operator::MaxPool2d { .. } => return clamp_before_max(graph, before, i),
        _ => return false,
    }
    take_over(graph, before, i);
    true
}

/// The maximum of clamped values is the clamped maximum; before it the clamp may find a product.
fn clamp_before_max(graph: &mut Graph, pool: usize, i: usize) -> bool {
    let source = graph.nodes[pool].inputs[0];
    let Some(producer) = only_for(graph, source, pool) else { return false };
    let fusable = matches!(
        graph.nodes[producer].operator,
        Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. } | Operator::Binary { .. }
    );
    if !fusable {
        return false;
    }
    // pool(x) -> clamp becomes clamp(x) -> pool: operators and results change places.
    let clamped = {
        let tensor = graph.tensor(source).clone();
        graph.add_tensor(crate::graph::Tensor { origin: None, ..tensor })
    };
    let (pool_output, output) = (graph.nodes[pool].outputs[0], graph.nodes[i].outputs[0]);
    debug_assert_eq!(graph.nodes[i].inputs, [pool_output]);
    let mut clamp_node = graph.nodes.remove(i);
    clamp_node.inputs = vec![source];
    clamp_node.outputs = vec![clamped];
    graph.nodes[pool].inputs = vec![clamped];
    graph.nodes[pool].outputs = vec![output];
    graph.nodes.insert(pool, clamp_node);
    true
}

/// `inner`, then `outer`.
fn both(inner: Clamp, outer: Clamp) -> Clamp {
    let apply = |x: f32| {
        let x = outer.min.map_or(x, |min| x.max(min));
        outer.max.map_or(x, |max| x.min(max))
    };
    Clamp {
        min: inner.min.map(apply).or(outer.min),
        max: inner.max.map(apply).or(outer.max),
    }
}

/// Zero padding of rows and columns before a convolution.
fn fuse_pad(graph: &mut Graph, i: usize) -> bool {
    let (Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. }) = graph.nodes[i].operator else { return false };
    let padded = graph.nodes[i].inputs[0];
    let Some(before) = only_for(graph, padded, i) else { return false };
    let Operator::Pad { pads, value } = &graph.nodes[before].operator else { return false };
    let ([[0, 0], rows, columns, [0, 0]], true) = (&pads[..], *value == 0.0) else { return false };
    let added = [rows[0], columns[0]];
    let source = graph.nodes[before].inputs[0];
    let (input, output) = (graph.tensor(source).shape.clone(), graph.tensor(graph.nodes[i].outputs[0]).shape.clone());
    let (Operator::Conv2d { window, .. } | Operator::DepthwiseConv2d { window, .. }) = &mut graph.nodes[i].operator
    else {
        return false;
    };
    let padding = [window.padding[0] + added[0], window.padding[1] + added[1]];
    // Kernels take no window that lies as a whole beyond the bottom or right edge.
    if (0..2).any(|a| (output[a + 1] - 1) * window.stride[a] >= input[a + 1] + padding[a]) {
        return false;
    }
    window.padding = padding;
    graph.nodes[i].inputs[0] = source;
    true
}
