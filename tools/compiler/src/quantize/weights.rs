//! Constants in int8 and int32.

use super::adaround::{Steps, round_weights};
use super::channels::{ChannelStatistics, Channels};
use super::{Corrections, Level, QuantizeError, Range, WeightFormat};
use crate::graph::{Constant, Graph, Node, Operator, Quantization, Tensor, TensorId};
use tinfer::tensor::{ElementType, quantize_i8};

/// Quantizes everything constant, once the activations have their quantization.
///
/// # Errors
/// [`QuantizeError::NotConstant`]
pub(super) fn constants(
    graph: &mut Graph,
    corrections: &Corrections,
    format: WeightFormat,
) -> Result<(), QuantizeError> {
    for idx in 0..graph.nodes.len() {
        let node = graph.nodes[idx].clone();
        if !has_steps(graph, &node) {
            continue;
        }
        match node.operator {
            Operator::Conv2d { .. }
            | Operator::ConvTranspose2d { .. }
            | Operator::DepthwiseConv2d { .. }
            | Operator::FullyConnected { .. } => {
                let most = format.largest_step(&node.operator, level_of(graph, &node));
                layer(graph, idx, &node, corrections, most)?;
            }
            // Their factors become steps of the output when they are packed.
            Operator::Normalization(_) => {}
            _ => {
                for (i, &input) in node.inputs.iter().enumerate() {
                    operand(graph, idx, i, input);
                }
            }
        }
    }
    Ok(())
}

/// Whether a node computes on quantized activations.
fn has_steps(graph: &Graph, node: &Node) -> bool {
    let mut tensors = node.inputs.iter().chain(&node.outputs).map(|&id| graph.tensor(id));
    tensors.any(|t| t.constant.is_none() && t.quantization.is_some())
}

/// The level at which a node computes.
fn level_of(graph: &Graph, node: &Node) -> Level {
    let mut tensors = node.inputs.iter().chain(&node.outputs).map(|&id| graph.tensor(id));
    match tensors.any(|t| t.constant.is_none() && t.element_type == ElementType::I16) {
        true => Level::Int16,
        false => Level::Int8,
    }
}

/// An operand like an activation: per tensor, with the quantization of its group or one of its own.
fn operand(graph: &mut Graph, idx: usize, i: usize, id: TensorId) {
    let tensor = graph.tensor(id);
    let Some(Constant::F32(values)) = &tensor.constant else { return };
    let level = level_of(graph, &graph.nodes[idx]);
    let own = || {
        let range = |r: Range, &v: &f32| r.hull(Range::new(f64::from(v), f64::from(v)));
        values.iter().fold(Range::new(0.0, 0.0), range).quantization_at(level)
    };
    let quantization = tensor.quantization.clone().unwrap_or_else(own);
    let (scale, zero_point) = (f64::from(quantization.scales[0]), quantization.zero_point);
    let constant = match level {
        // The cast saturates.
        Level::Int16 => Constant::I16(values.iter().map(|&v| (f64::from(v) / scale).round() as i16).collect()),
        _ => Constant::I8(values.iter().map(|&v| quantize_i8(f64::from(v), scale, zero_point)).collect()),
    };
    replace(graph, idx, i, id, constant, quantization);
}

/// Weights per output channel, of at most `most` steps, and the bias of a node that multiplies.
fn layer(graph: &mut Graph, idx: usize, node: &Node, corrections: &Corrections, most: i8) -> Result<(), QuantizeError> {
    let not_constant = |what| QuantizeError::NotConstant { node: node.name.clone(), what };
    let (input_scale, output_scale) = (scale_of(graph, node.inputs[0]), scale_of(graph, node.outputs[0]));
    let weights = graph.tensor(node.inputs[1]);
    // The last axis of depthwise weights is the output channel, in the others it is the first.
    let axis = match node.operator {
        Operator::DepthwiseConv2d { .. } => weights.shape.len() - 1,
        _ => 0,
    };
    let n_channels = weights.shape[axis];
    let mut bias = match node.inputs.get(2).map(|&b| &graph.tensor(b).constant) {
        None => Bias::Real(vec![0.0; n_channels]),
        Some(Some(Constant::F32(values))) => Bias::Real(values.clone()),
        Some(Some(Constant::I32(_))) => Bias::Quantized,
        Some(_) => return Err(not_constant("bias")),
    };
    let channel = Channel { input_scale, output_scale, most };
    let scales = match (&weights.constant, &weights.quantization) {
        (Some(Constant::F32(values)), own) => {
            let scales: Vec<f32> = match (own, &bias) {
                (Some(own), Bias::Real(_)) => given_scales(own, values, n_channels, axis)
                    .ok_or_else(|| QuantizeError::WeightSteps { node: node.name.clone() })?,
                (None, Bias::Real(bias)) => {
                    let filters = filters(values, n_channels, axis);
                    filters.iter().zip(bias).map(|(f, &b)| channel.weight_scale(f, b)).collect()
                }
                (_, Bias::Quantized) => return Err(not_constant("weights")),
            };
            let learned = corrections.inputs.as_ref().filter(|_| own.is_none());
            let learned =
                learned.and_then(|inputs| round_weights(inputs, graph, node, values, Steps { scales: &scales, most }));
            let most = if own.is_some() { i8::MAX } else { most };
            let quantized = learned.unwrap_or_else(|| quantize_weights(values, Steps { scales: &scales, most }, axis));
            if let (Bias::Real(bias), Some(statistics)) = (&mut bias, &corrections.statistics) {
                correct_bias(bias, statistics, graph, node, &Rounded { values, steps: &quantized, scales: &scales });
            }
            let quantization = Quantization { scales: scales.clone(), zero_point: 0, axis };
            replace(graph, idx, 1, node.inputs[1], Constant::I8(quantized), quantization);
            scales
        }
        (Some(Constant::I8(_)), Some(quantization)) => quantization.scales.clone(),
        _ => return Err(not_constant("weights")),
    };
    let Bias::Real(bias) = bias else { return Ok(()) };
    let scale = |c: usize| input_scale * f64::from(scales[if scales.len() == 1 { 0 } else { c }]);
    // The cast saturates.
    let steps = bias.iter().enumerate().map(|(c, &b)| (f64::from(b) / scale(c)).round() as i32).collect();
    let quantization =
        Quantization { scales: (0..n_channels).map(|c| scale(c) as f32).collect(), zero_point: 0, axis: 0 };
    match node.inputs.get(2) {
        Some(&id) => replace(graph, idx, 2, id, Constant::I32(steps), quantization),
        None => {
            let id = graph.add_constant(&format!("{}_bias", node.name), vec![n_channels], Constant::I32(steps));
            graph.tensor_mut(id).quantization = Some(quantization);
            graph.nodes[idx].inputs.push(id);
        }
    }
    Ok(())
}

/// Weights before and after.
struct Rounded<'a> {
    values: &'a [f32],
    steps: &'a [i8],
    scales: &'a [f32],
}

/// Takes from the bias what rounding the weights adds to the mean of each output channel.
///
/// # Algorithm
/// `bias[o] -= sum((scale * step - w) * mean(x))` over the taps, with the mean of each input channel that calibration saw
/// (Nagel et al. 2019, arXiv 1906.04721, section 4.2; means are measured instead of derived).
fn correct_bias(bias: &mut [f32], statistics: &ChannelStatistics, graph: &Graph, node: &Node, weights: &Rounded<'_>) {
    let input = graph.tensor(node.inputs[0]);
    if let Operator::ConvTranspose2d { .. } = node.operator {
        // Every pixel sees other weights: there is no one offset.
        return;
    }
    let Some(means) = statistics.of(input.origin.as_ref()).map(Channels::means) else { return };
    let n_outputs = weights.scales.len();
    let filter = weights.values.len() / n_outputs.max(1);
    for (i, (&value, &step)) in weights.values.iter().zip(weights.steps).enumerate() {
        let (output, channel) = match &node.operator {
            Operator::DepthwiseConv2d { multiplier, .. } => (i % n_outputs, i % n_outputs / multiplier),
            operator => {
                let groups = if let Operator::Conv2d { groups, .. } = operator { *groups } else { 1 };
                let (output, seen) = (i / filter, means.len() / groups);
                (output, output / (n_outputs / groups).max(1) * seen + i % filter % seen.max(1))
            }
        };
        let error = f64::from(weights.scales[output]) * f64::from(step) - f64::from(value);
        bias[output] -= (error * means.get(channel).copied().unwrap_or(0.0)) as f32;
    }
}

enum Bias {
    Real(Vec<f32>),
    /// The model has it at its scale already.
    Quantized,
}

/// The scales that the model has for its weights, one per channel; `None` if these are not all integers of 8 bits at
/// their scales.
fn given_scales(own: &Quantization, values: &[f32], n_channels: usize, axis: usize) -> Option<Vec<f32>> {
    let scales = match own.scales.len() {
        1 => vec![own.scales[0]; n_channels],
        _ => own.scales.clone(),
    };
    let filter = values.len() / n_channels;
    let fits = |(i, &value): (usize, &f32)| {
        let channel = if axis == 0 { i / filter } else { i % n_channels };
        let steps = f64::from(value) / f64::from(scales[channel]);
        (-128.4..127.4).contains(&steps) && (steps - steps.round()).abs() < 1e-3
    };
    (scales.len() == n_channels && values.iter().enumerate().all(fits)).then_some(scales)
}

/// What the scale of one output channel's weights depends on.
struct Channel {
    input_scale: f64,
    output_scale: f64,
    /// The largest step of a weight.
    most: i8,
}

impl Channel {
    /// # Algorithm
    /// The largest weight becomes 127. With so few steps as int4 has, the scale is the one with the least square error, which
    /// cuts large weights off ([`least_error`]). Larger scales are taken where the bias would not fit its share of the
    /// accumulator; the weights then lose steps only where the bias outweighs them a million times. A channel
    /// whose weights are all zero has a scale at which its bias is exact to a 1024th of an output step.
    fn weight_scale(&self, filter: &[f32], bias: f32) -> f32 {
        let largest = filter.iter().fold(0.0, |m: f64, &w| m.max(f64::from(w).abs()));
        let for_weights = match largest > 0.0 {
            true if self.most < i8::MAX => least_error(filter, largest, f64::from(self.most)),
            true => largest / f64::from(self.most),
            false => self.output_scale / self.input_scale / 1024.0,
        };
        let for_bias = f64::from(bias).abs() / self.input_scale / LARGEST_BIAS;
        (for_weights.max(for_bias) as f32).clamp(SMALLEST_SCALE, f32::MAX)
    }
}

/// The scale with the least square error of rounded weights, of 40 between half of what the largest weight needs and that.
fn least_error(filter: &[f32], largest: f64, most: f64) -> f64 {
    let error = |scale: f64| -> f64 {
        let steps = |w: &f32| (f64::from(*w) / scale).round().clamp(-most, most);
        filter.iter().map(|w| (scale * steps(w) - f64::from(*w)).powi(2)).sum()
    };
    let scales = (40..=80).rev().map(|share| largest / most * f64::from(share) / 80.0);
    scales.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(largest / most)
}

fn filters(values: &[f32], n_channels: usize, axis: usize) -> Vec<Vec<f32>> {
    let filter = values.len() / n_channels;
    let channel = |c: usize| -> Vec<f32> {
        match axis {
            0 => values[c * filter..(c + 1) * filter].to_vec(),
            _ => values.iter().skip(c).step_by(n_channels).copied().collect(),
        }
    };
    (0..n_channels).map(channel).collect()
}

fn quantize_weights(values: &[f32], Steps { scales, most }: Steps<'_>, axis: usize) -> Vec<i8> {
    let least = if most == i8::MAX { i8::MIN } else { -most };
    let filter = values.len() / scales.len();
    let quantize = |(i, &value): (usize, &f32)| {
        let channel = if axis == 0 { i / filter } else { i % scales.len() };
        quantize_i8(f64::from(value), f64::from(scales[channel]), 0).clamp(least, most)
    };
    values.iter().enumerate().map(quantize).collect()
}

fn scale_of(graph: &Graph, id: TensorId) -> f64 {
    graph.tensor(id).quantization.as_ref().map_or(1.0, |q| f64::from(q.scales[0]))
}

/// Gives operand `i` of a node other values: in place, or as a tensor of its own where others read it as well.
fn replace(graph: &mut Graph, idx: usize, i: usize, id: TensorId, constant: Constant, quantization: Quantization) {
    let n_uses: usize = graph.nodes.iter().map(|n| n.inputs.iter().filter(|&&o| o == id).count()).sum();
    let element_type = match constant {
        Constant::I32(_) => ElementType::I32,
        Constant::I16(_) => ElementType::I16,
        _ => ElementType::I8,
    };
    let old = graph.tensor(id);
    let new = Tensor { element_type, constant: Some(constant), quantization: Some(quantization), ..old.clone() };
    if n_uses == 1 && !graph.is_output(id) {
        *graph.tensor_mut(id) = new;
    } else {
        graph.nodes[idx].inputs[i] = graph.add_tensor(new);
    }
}

/// Limit of a bias in steps of its scale: half of what an accumulator holds, the products have the rest.
const LARGEST_BIAS: f64 = (1u32 << 30) as f64;

/// Weights below this are zero for every purpose; smaller scales would not be normal numbers.
const SMALLEST_SCALE: f32 = 1e-30;
