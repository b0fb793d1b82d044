//! The per-channel arithmetic of an int8 layer, as its kernel computes it.

use crate::graph::{Binary, Clamp, Constant, Graph, Node, Operator, Tensor};
use tinfer::fixed_point::{PairMultiplier, Requantizer};
use tinfer::kernels::parameters::OutputI8;
use tinfer::tensor::{ElementType, quantize_i8};

/// Weights in the graph's layout and one bias and factor per output channel of a convolution or fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelArrays {
    /// OHWI, HWC for depthwise convolutions, `[O, I]` for fully connected layers.
    pub weights: Vec<i8>,
    /// At scale_in * scale_w, minus the input's zero point times the sum of the channel's weights; without that in
    /// transposed convolutions, whose sums are of other weights at every pixel.
    pub bias: Vec<i32>,
    /// From accumulator to output steps.
    pub requantizers: Vec<Requantizer>,
}

/// Why a layer has no such arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ChannelsError {
    /// What is wrong with the layer: "its weights are not int8 constants".
    pub reason: String,
}

impl ChannelArrays {
    /// The arrays of a quantized `Conv2d`, `ConvTranspose2d`, `DepthwiseConv2d` or `FullyConnected` node.
    ///
    /// # Errors
    /// A tensor that is not quantized, or scales that no 32-bit multiplier reaches.
    pub fn new(graph: &Graph, node: &Node) -> Result<Self, ChannelsError> {
        let input = |i: usize| graph.tensor(node.inputs[i]);
        let output = graph.tensor(node.outputs[0]);
        let (input_scale, input_zero_point) = per_tensor(input(0))?;
        let (output_scale, _) = per_tensor(output)?;
        let (Some(Constant::I8(weights)), Some(quantization)) = (&input(1).constant, &input(1).quantization) else {
            return Err(error("its weights are not int8 constants"));
        };
        let n = *output.shape.last().unwrap_or(&1);
        let bias = match node.inputs.get(2).map(|&id| &graph.tensor(id).constant) {
            Some(Some(Constant::I32(bias))) => bias.clone(),
            Some(_) => return Err(error("its bias is not an int32 constant")),
            None => vec![0; n],
        };
        let scales = &quantization.scales;
        if bias.len() != n || (scales.len() != 1 && scales.len() != n) {
            return Err(error(format!("it has {n} channels, {} biases, {} scales", bias.len(), scales.len())));
        }
        let sums = match node.operator {
            Operator::ConvTranspose2d { .. } => vec![0; n],
            _ => sums(weights, n, &node.operator),
        };
        let mut channels = ChannelArrays { weights: weights.clone(), bias: Vec::new(), requantizers: Vec::new() };
        for (c, (&bias, &sum)) in bias.iter().zip(&sums).enumerate() {
            let weight_scale = f64::from(scales[if scales.len() == 1 { 0 } else { c }]);
            let folded = i64::from(bias) - i64::from(input_zero_point) * sum;
            channels.bias.push(
                i32::try_from(folded)
                    .map_err(|_| error(format!("the bias of channel {c} does not fit 32 bits at its scale")))?,
            );
            channels.requantizers.push(
                Requantizer::from_real(input_scale * weight_scale / output_scale)
                    .ok_or_else(|| error(format!("the scales of channel {c} are too far apart")))?,
            );
        }
        Ok(channels)
    }

    /// The multipliers, as images store them.
    pub fn multipliers(&self) -> Vec<i32> {
        self.requantizers.iter().map(|r| r.multiplier).collect()
    }

    /// The shifts, as images store them.
    pub fn shifts(&self) -> Vec<u8> {
        self.requantizers.iter().map(|r| r.shift).collect()
    }
}

/// The factors of a quantized sum or difference; `None` for other nodes and for scales that are too far apart.
pub fn pair_multiplier(graph: &Graph, node: &Node) -> Option<PairMultiplier> {
    let sign = match node.operator {
        Operator::Binary { function: Binary::Add, .. } => 1.0,
        Operator::Binary { function: Binary::Sub, .. } => -1.0,
        _ => return None,
    };
    let scale = |id| per_tensor(graph.tensor(id)).ok().map(|(scale, _)| scale);
    let (a, b, output) = (scale(node.inputs[0])?, scale(node.inputs[1])?, scale(node.outputs[0])?);
    PairMultiplier::from_real(a / output, sign * b / output)
}

/// Zero point of a node's int8 output, and a clamp in its steps.
///
/// # Errors
/// An output that is not quantized per tensor to int8.
pub fn output_i8(graph: &Graph, node: &Node, clamp: Clamp) -> Result<OutputI8, ChannelsError> {
    let output = graph.tensor(node.outputs[0]);
    let (scale, zero_point) = per_tensor(output)?;
    if output.element_type != ElementType::I8 {
        return Err(error(format!("tensor {} is not int8", output.name)));
    }
    let steps = |limit: Option<f32>, default: i8| match limit {
        Some(limit) => quantize_i8(f64::from(limit), scale, zero_point),
        None => default,
    };
    Ok(OutputI8 { zero_point, min: steps(clamp.min, i8::MIN), max: steps(clamp.max, i8::MAX) })
}

/// Sum of the weights of each output channel.
fn sums(weights: &[i8], n: usize, operator: &Operator) -> Vec<i64> {
    // The last axis of depthwise weights is the output channel, in the others it is the first.
    let channel_last = matches!(operator, Operator::DepthwiseConv2d { .. });
    let filter = weights.len() / n.max(1);
    let mut sums = vec![0i64; n];
    for (i, &w) in weights.iter().enumerate() {
        sums[if channel_last { i % n } else { i / filter }] += i64::from(w);
    }
    sums
}

/// Scale and zero point of an int8 or int16 tensor.
pub(super) fn per_tensor(tensor: &Tensor) -> Result<(f64, i32), ChannelsError> {
    match &tensor.quantization {
        Some(q) if q.scales.len() == 1 && matches!(tensor.element_type, ElementType::I8 | ElementType::I16) => {
            Ok((f64::from(q.scales[0]), q.zero_point))
        }
        _ => Err(error(format!("tensor {} is not quantized per tensor", tensor.name))),
    }
}

fn error(reason: impl Into<String>) -> ChannelsError {
    ChannelsError { reason: reason.into() }
}
