//! Work that moves into the layer before it: factors and offsets per channel, clamps, zero padding.

use super::rewrite::{add_constant, can_bypass, constant, insert, only_consumer, producer};
use crate::graph::{Binary, Clamp, Graph, Operator, Pair, Quantization, TensorId, Unary, Window};

/// A layer followed by a factor and an offset per channel has them in its weights and bias.
///
/// The second node is a product, sum or difference with a constant that varies along the last axis
/// only, or the depthwise 1x1 convolution that a batch normalization becomes.
pub fn affine(graph: &mut Graph, i: usize) -> bool {
    let Some((x, factor, offset)) = affine_of(graph, i) else { return false };
    let Some(layer) = only_consumer(graph, x).and_then(|_| graph.producer(x)) else { return false };
    let y = graph.nodes[i].outputs[0];
    let inputs = graph.nodes[layer].inputs.clone();
    if graph.tensor(x).shape != graph.tensor(y).shape || graph.nodes[layer].operator.clamp() != Some(Clamp::default()) {
        return false;
    }
    let channels = factor.len();
    // Where the channel of a weight is: OHWI and [O, I] by rows, HWC by columns.
    let by_rows = match graph.nodes[layer].operator {
        Operator::Conv2d { .. } | Operator::ConvTranspose2d { .. } | Operator::FullyConnected { .. } => true,
        Operator::DepthwiseConv2d { .. } => false,
        _ => return false,
    };
    let (Some(weights), bias) = (constant(graph, inputs[1]), inputs.get(2).map(|&b| constant(graph, b))) else {
        return false;
    };
    if weights.len() % channels != 0 || bias.is_some_and(|b| b.is_none_or(|b| b.len() != channels)) {
        return false;
    }
    let row = weights.len() / channels;
    let channel = |k: usize| if by_rows { k / row } else { k % channels };
    let scaled: Vec<f32> =
        weights.iter().enumerate().map(|(k, &w)| (f64::from(w) * factor[channel(k)]) as f32).collect();
    let old_bias = |c: usize| bias.flatten().map_or(0.0, |b| f64::from(b[c]));
    let shifted: Vec<f32> = (0..channels).map(|c| (old_bias(c) * factor[c] + offset[c]) as f32).collect();
    if !scaled.iter().chain(&shifted).all(|v| v.is_finite()) {
        return false;
    }
    let quantization = match &graph.tensor(inputs[1]).quantization {
        None => None,
        // A factor of 0 would leave no scale.
        Some(_) if factor.contains(&0.0) => return false,
        Some(q) => Some(scaled_by(q, &factor)),
    };
    let scaled = add_constant(graph, inputs[1], graph.tensor(inputs[1]).shape.clone(), scaled, quantization);
    let bias_name = graph.tensor(inputs[1]).name.clone() + "_bias";
    let shifted = graph.add_constant(&bias_name, vec![channels], crate::graph::Constant::F32(shifted));
    graph.nodes[layer].inputs = vec![inputs[0], scaled, shifted];
    let clamp = graph.nodes[i].operator.clamp().unwrap_or_default();
    graph.nodes[layer].operator.set_clamp(clamp);
    take_over(graph, layer, i);
    true
}

/// The scales of weights whose channels are multiplied by factors: the integers stay, but for their signs.
fn scaled_by(quantization: &Quantization, factor: &[f64]) -> Quantization {
    let own = |c: usize| quantization.scales[if quantization.scales.len() == 1 { 0 } else { c }];
    let scales = factor.iter().enumerate().map(|(c, f)| (f64::from(own(c)) * f.abs()) as f32).collect();
    Quantization { scales, ..quantization.clone() }
}

/// Operand, factors and offsets of node `i`, one per channel of its result.
fn affine_of(graph: &Graph, i: usize) -> Option<(TensorId, Vec<f64>, Vec<f64>)> {
    let node = &graph.nodes[i];
    let shape = &graph.tensor(node.outputs[0]).shape;
    let channels = *shape.last()?;
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    match &node.operator {
        Operator::DepthwiseConv2d { window, multiplier: 1, .. } => {
            let plain = window.kernel == [1, 1] && window.stride == [1, 1] && window.padding == [0, 0];
            let factor = constant(graph, *node.inputs.get(1)?).filter(|_| plain)?;
            let offset = match node.inputs.get(2) {
                Some(&b) => wide(constant(graph, b)?),
                None => vec![0.0; channels],
            };
            Some((node.inputs[0], wide(factor), offset))
        }
        Operator::Binary { function, .. } => {
            let per_channel = |id: TensorId| {
                let own = &graph.tensor(id).shape;
                let values = wide(constant(graph, id)?);
                match values.len() {
                    1 => Some(vec![values[0]; channels]),
                    n if n == channels && own.last() == Some(&n) => Some(values),
                    _ => None,
                }
            };
            let (x, c, swapped) = match (per_channel(node.inputs[1]), per_channel(node.inputs[0])) {
                (Some(c), None) => (node.inputs[0], c, false),
                (None, Some(c)) => (node.inputs[1], c, true),
                _ => return None,
            };
            let (ones, zeros) = (vec![1.0; channels], vec![0.0; channels]);
            let negative = |v: Vec<f64>| v.into_iter().map(|x| -x).collect::<Vec<_>>();
            Some(match (function, swapped) {
                (Binary::Mul, _) => (x, c, zeros),
                (Binary::Add, _) => (x, ones, c),
                (Binary::Sub, false) => (x, ones, negative(c)),
                (Binary::Sub, true) => (x, negative(ones), c),
            })
        }
        _ => None,
    }
}

/// The larger one or the smaller one of x and a number is a clamp of x, which limits nothing when the number is infinite.
pub fn limit(graph: &mut Graph, i: usize) -> bool {
    let node = &graph.nodes[i];
    let (Operator::Pair(function @ (Pair::Max | Pair::Min)), &[a, b]) = (node.operator.clone(), &node.inputs[..])
    else {
        return false;
    };
    let number = |id: TensorId| {
        let values = constant(graph, id)?;
        values.first().copied().filter(|first| values.iter().all(|v| v == first))
    };
    let (x, limit) = match (number(a), number(b)) {
        (None, Some(limit)) => (a, limit),
        (Some(limit), None) => (b, limit),
        _ => return false,
    };
    let is_neutral = function.neutral() == Some(limit);
    if graph.tensor(x).shape != graph.tensor(node.outputs[0]).shape || !(limit.is_finite() || is_neutral) {
        return false;
    }
    let limit = Some(limit).filter(|_| !is_neutral);
    let clamp = match function {
        Pair::Max => Clamp { min: limit, max: None },
        _ => Clamp { min: None, max: limit },
    };
    graph.nodes[i].operator = Operator::Unary(Unary::Clamp(clamp));
    graph.nodes[i].inputs = vec![x];
    true
}

/// A clamp goes into the node before it; one that limits nothing goes away.
pub fn clamp(graph: &mut Graph, i: usize) -> bool {
    let Operator::Unary(Unary::Clamp(second)) = graph.nodes[i].operator else { return false };
    let (x, y) = (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]);
    if second == Clamp::default() && can_bypass(graph, x, y) {
        graph.replace_uses(y, x);
        graph.nodes.remove(i);
        return true;
    }
    let Some(before) = only_consumer(graph, x).and_then(|_| graph.producer(x)) else { return false };
    if matches!(graph.nodes[before].operator, Operator::MaxPool2d { .. }) && before_max(graph, before, i) {
        return true;
    }
    let Some(first) = graph.nodes[before].operator.clamp() else { return false };
    graph.nodes[before].operator.set_clamp(both(first, second));
    take_over(graph, before, i);
    true
}

/// The maximum of clamped values is the clamped maximum: where the layer before the pool can clamp,
/// the clamp goes there, which lets a quantizer spend its range on what survives.
fn before_max(graph: &mut Graph, pool: usize, i: usize) -> bool {
    let x = graph.nodes[pool].inputs[0];
    let Some(layer) = only_consumer(graph, x).and_then(|_| graph.producer(x)) else { return false };
    let (Some(first), Some(second)) = (graph.nodes[layer].operator.clamp(), graph.nodes[i].operator.clamp()) else {
        return false;
    };
    graph.nodes[layer].operator.set_clamp(both(first, second));
    let onnx = graph.nodes[i].onnx.clone();
    graph.nodes[layer].onnx = format!("{}+{onnx}", graph.nodes[layer].onnx);
    // What the layer computes now is no tensor of the file.
    graph.tensor_mut(x).origin = None;
    graph.nodes[pool].outputs[0] = graph.nodes[i].outputs[0];
    graph.nodes.remove(i);
    true
}

/// A clamp of a reshape is a reshape of a clamp, which then fuses.
pub fn lift_clamp(graph: &mut Graph, i: usize) -> bool {
    if !matches!(graph.nodes[i].operator, Operator::Unary(Unary::Clamp(_))) {
        return false;
    }
    let x = graph.nodes[i].inputs[0];
    let Some(reshape) = only_consumer(graph, x).and_then(|_| graph.producer(x)) else { return false };
    if graph.nodes[reshape].operator != Operator::Reshape {
        return false;
    }
    let before = graph.nodes[reshape].inputs[0];
    let fuses = producer(graph, before).is_some_and(|n| n.operator.clamp().is_some());
    if !fuses || only_consumer(graph, before).is_none() || graph.tensor(before).constant.is_some() {
        return false;
    }
    let shape = graph.tensor(before).shape.clone();
    let (node, y) = (graph.nodes[i].clone(), graph.nodes[i].outputs[0]);
    let clamped = super::rewrite::add_reshaped(graph, y, shape);
    graph.nodes[i].operator = Operator::Reshape;
    graph.nodes[i].name = graph.nodes[reshape].name.clone();
    graph.nodes[i].onnx = graph.nodes[reshape].onnx.clone();
    graph.nodes[i].inputs[0] = clamped;
    graph.nodes.remove(reshape);
    insert(graph, reshape, &node.name, &node.onnx, node.operator, vec![before], clamped);
    true
}

/// Zeros around a feature map become padding of the convolution or average that reads them; padding
/// by nothing goes away.
pub fn pad(graph: &mut Graph, i: usize) -> bool {
    if let Operator::Pad { pads, .. } = &graph.nodes[i].operator
        && pads.iter().all(|p| *p == [0, 0])
        && can_bypass(graph, graph.nodes[i].inputs[0], graph.nodes[i].outputs[0])
    {
        let (x, y) = (graph.nodes[i].inputs[0], graph.nodes[i].outputs[0]);
        graph.replace_uses(y, x);
        graph.nodes.remove(i);
        return true;
    }
    let Some((x, near)) =
        graph.nodes[i].inputs.first().and_then(|&id| producer(graph, id)).and_then(|n| match &n.operator {
            Operator::Pad { pads, value }
                if *value == 0.0 && pads.len() == 4 && pads[0] == [0, 0] && pads[3] == [0, 0] =>
            {
                Some((n.inputs[0], [pads[1][0], pads[2][0]]))
            }
            _ => None,
        })
    else {
        return false;
    };
    let unpadded = graph.tensor(x).shape.clone();
    let padded = graph.tensor(graph.nodes[i].inputs[0]).shape.clone();
    let out = graph.tensor(graph.nodes[i].outputs[0]).shape.clone();
    // Kernels take no window that lies as a whole beyond the bottom or right edge.
    let reaches =
        |window: &Window, a: usize| (out[a + 1] - 1) * window.stride[a] < unpadded[a + 1] + window.padding[a] + near[a];
    match &mut graph.nodes[i].operator {
        Operator::Conv2d { window, .. } | Operator::DepthwiseConv2d { window, .. }
            if reaches(window, 0) && reaches(window, 1) =>
        {
            window.padding = [window.padding[0] + near[0], window.padding[1] + near[1]];
        }
        // Only where every window lay inside the padded map: then all its zeros count, as they did.
        Operator::AveragePool2d { window, count_include_pad, .. } if window.padding == [0, 0] => {
            let inside = |a: usize| {
                (out[a + 1] - 1) * window.stride[a] + (window.kernel[a] - 1) * window.dilation[a] < padded[a + 1]
            };
            if !inside(0) || !inside(1) || !reaches(window, 0) || !reaches(window, 1) {
                return false;
            }
            window.padding = near;
            *count_include_pad = true;
        }
        _ => return false,
    }
    graph.nodes[i].inputs[0] = x;
    true
}

/// Node `first` computes the result of node `second`, which follows it and goes away.
pub(super) fn take_over(graph: &mut Graph, first: usize, second: usize) {
    let (x, y) = (graph.nodes[first].outputs[0], graph.nodes[second].outputs[0]);
    // The place of `first` is before every reader of `y`, whose tensor keeps name and origin.
    graph.nodes[first].outputs[0] = y;
    let onnx = graph.nodes[second].onnx.clone();
    if !onnx.is_empty() && graph.nodes[first].onnx != onnx {
        graph.nodes[first].onnx = format!("{}+{onnx}", graph.nodes[first].onnx);
    }
    debug_assert!(graph.consumers(x) == [second]);
    graph.nodes.remove(second);
}

/// First one clamp, then another: the second applied to the limits of the first.
fn both(first: Clamp, second: Clamp) -> Clamp {
    let low = second.min.unwrap_or(f32::NEG_INFINITY);
    let high = second.max.unwrap_or(f32::INFINITY);
    let limit = |x: f32| Some(x.max(low).min(high)).filter(|x| x.is_finite());
    Clamp { min: limit(first.min.unwrap_or(f32::NEG_INFINITY)), max: limit(first.max.unwrap_or(f32::INFINITY)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamps_compose() {
        let clamp = |min: Option<f32>, max: Option<f32>| Clamp { min, max };
        let check = |a: Clamp, b: Clamp, expected: Clamp| assert_eq!(both(a, b), expected, "{a:?} then {b:?}");
        check(clamp(Some(0.0), None), clamp(None, Some(6.0)), clamp(Some(0.0), Some(6.0)));
        check(clamp(None, None), clamp(Some(-1.0), None), clamp(Some(-1.0), None));
        check(clamp(Some(0.0), Some(6.0)), clamp(Some(-1.0), Some(1.0)), clamp(Some(0.0), Some(1.0)));
        check(clamp(Some(2.0), Some(6.0)), clamp(Some(-1.0), Some(1.0)), clamp(Some(1.0), Some(1.0)));
        check(clamp(None, Some(-3.0)), clamp(Some(0.0), None), clamp(Some(0.0), Some(0.0)));
    }
}
