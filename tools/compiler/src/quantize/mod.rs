//! From a float graph and observed ranges to an int8 graph.
//!
//! ```text
//! Graph (f32) + Ranges -> islands.rs  which nodes stay float32; Requantize between them and the others
//!                      -> share.rs    which tensors have one quantization; Requantize where they cannot
//!                      -> range.rs    a range for each, its scale and zero point
//!                      -> weights.rs  weights per channel, biases, constants
//!                      -> Graph (int8, with islands of float32)
//! ```
//!
//! real = scale * (q - zero_point), see Jacob et al. 2018 (arXiv 1712.05877) and the TFLite int8
//! specification. Tensors that are quantized already (QDQ models) keep their quantization.

mod adaround;
mod adopt;
mod calibrate;
mod channels;
mod compose;
mod deviations;
mod equalise;
mod fake;
mod histogram;
mod islands;
mod masks;
mod range;
mod share;
#[cfg(test)]
mod tests;
mod weights;

pub use adaround::LayerInputs;
pub use adopt::{is_quantized, real_weights};
pub use calibrate::{Ranges, calibrate};
pub use channels::{ChannelStatistics, Channels};
pub use equalise::{Equalised, EqualisedPair, equalise};
pub use fake::{fake_quantized, without_steps};
pub use histogram::{Bin, Histogram};
pub use islands::{Level, Precisions, has_form};
pub use range::{Range, RangeMethod};

use crate::graph::{Clamp, Constant, Graph, Operator, Quantization, TensorId, Unary};
use islands::Levels;
use masks::Masks;
use std::sync::Arc;

/// How a graph is quantized.
#[derive(Clone, Debug, Default)]
pub struct QuantizeOptions {
    /// How ranges follow from observed values.
    pub method: RangeMethod,
    /// The number format of each node.
    pub precisions: Precisions,
    /// What becomes of tensors without a range, in a model that is quantized already.
    pub without_range: WithoutRange,
    /// What is done about the error of rounded weights.
    pub corrections: Corrections,
    /// Steps of the weights of layers on int8.
    pub weights: WeightFormat,
}

/// How many steps the weights of convolutions and fully connected layers on int8 have; those on int16 have int8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightFormat {
    /// -127 to 127.
    #[default]
    Int8,
    /// -7 to 7, packed two in a byte. Transposed convolutions have int8.
    Int4,
}

impl WeightFormat {
    /// The format of this name; `None` for others.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "int8" => Some(WeightFormat::Int8),
            "int4" => Some(WeightFormat::Int4),
            _ => None,
        }
    }

    /// The largest step of weights that a node has at a level.
    fn largest_step(self, operator: &Operator, level: Level) -> i8 {
        let is_int4 = self == WeightFormat::Int4 && level == Level::Int8;
        if is_int4 && !matches!(operator, Operator::ConvTranspose2d { .. }) { 7 } else { 127 }
    }
}

/// What is done about the error that rounding makes in layers with weights.
#[derive(Clone, Debug, Default)]
pub struct Corrections {
    /// Biases are corrected for the means of what layers read.
    pub statistics: Option<Arc<ChannelStatistics>>,
    /// Weights are rounded for the least error on what layers read.
    pub inputs: Option<Arc<LayerInputs>>,
}

/// What becomes of tensors for which a quantized model has no scale, and that were not observed either, and of layers
/// whose weights are not int8 steps around 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutRange {
    /// [`QuantizeError::Partly`], [`QuantizeError::WeightSteps`].
    #[default]
    Refuse,
    /// They stay float32, as they are in the file.
    Float32,
}

/// Why a graph cannot be quantized.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuantizeError {
    /// Nothing says how large a tensor's values are.
    #[error("tensor {tensor} has no observed range")]
    NoRange {
        /// The tensor.
        tensor: String,
    },
    /// A tensor had NaN or infinite values.
    #[error("tensor {tensor} had {n} values that are NaN or infinite")]
    NotFinite {
        /// The tensor, or the constant.
        tensor: String,
        /// How many.
        n: u64,
    },
    /// A node that was to be computed in a format for which there is no kernel.
    #[error("node {node} ({onnx}) does not exist in {level}")]
    NoForm {
        /// The node.
        node: String,
        /// Its operators in the ONNX file.
        onnx: String,
        /// The format.
        level: &'static str,
    },
    /// Weights that are computed while the model runs.
    #[error("the {what} of node {node} are no constants")]
    NotConstant {
        /// The node.
        node: String,
        /// `weights` or `bias`.
        what: &'static str,
    },
    /// Quantized weights whose zero is no real zero, or whose scales a pass could not follow.
    #[error("the weights of node {node} are no int8 steps around a zero point of 0")]
    WeightSteps {
        /// The node.
        node: String,
    },
    /// A model that is quantized in part.
    #[error("the model is quantized already, but tensor {tensor} has no scale in it")]
    Partly {
        /// The tensor.
        tensor: String,
    },
    /// Padding with a value that the padded tensor cannot hold.
    #[error("node {node} pads with {value}, which int8 cannot hold")]
    PadValue {
        /// The node.
        node: String,
        /// In real units.
        value: f32,
    },
}

impl QuantizeError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let cure = match self {
            QuantizeError::NoRange { .. } => "give calibration samples that reach it (--calibration FILE.npz)",
            QuantizeError::Partly { .. } => {
                "quantize it in the file as well, or give calibration samples (--calibration FILE.npz)"
            }
            QuantizeError::WeightSteps { .. } => "quantize weights symmetrically to int8 (zero point 0)",
            QuantizeError::NotFinite { .. } => "remove the calibration samples that cause them, or mend the weights",
            QuantizeError::NoForm { .. } => "leave its precision out, it is chosen then",
            QuantizeError::NotConstant { .. } | QuantizeError::PadValue { .. } => {
                "`--precision float32` keeps the model as it is"
            }
        };
        cure.into()
    }
}

/// Quantizes a simplified graph to int8, but for nodes that have no int8 form or are asked for in float32, and for what
/// is computed inside one ONNX operator, where nothing is observed: the steps of a recurrent layer.
///
/// Every tensor gets its final element type and quantization; those that hold no real numbers keep theirs. Ports keep
/// the element type of the ONNX file: the host quantizes.
///
/// # Errors
/// [`QuantizeError`]
pub fn quantize(graph: Graph, ranges: &Ranges, options: &QuantizeOptions) -> Result<Graph, QuantizeError> {
    let mut graph = graph;
    graph.compact();
    let quantized = is_quantized(&graph);
    adopt::quantizations(&mut graph);
    let mut precisions = options.precisions.clone();
    // A quantized model says itself on which grid a mask is.
    let find_masks: FindMasks = match quantized {
        true => {
            adopt::softmax_in_float(&graph, &mut precisions);
            |_, _, _| Masks::default()
        }
        false => {
            masks::in_float(&graph, ranges, &mut precisions);
            Masks::apply
        }
    };
    loop {
        let mut attempt = graph.clone();
        // A quantized model says itself where it rounds.
        if !quantized {
            compose::compose(&mut attempt, &precisions, ranges)?;
        }
        let without = match in_precisions(&mut attempt, ranges, options, &precisions, find_masks) {
            // The weights stay as real as the file's own arithmetic has them.
            Err(QuantizeError::WeightSteps { node }) if options.without_range == WithoutRange::Float32 => {
                precisions.nodes.insert(node, Level::Float32);
                continue;
            }
            finished => finished?,
        };
        let Some(&first) = without.first() else { return Ok(attempt) };
        // What lowering computes inside one ONNX operator has no name by which calibration could observe it.
        let may_be_float = |id: TensorId| match quantized {
            true => options.without_range == WithoutRange::Float32,
            false => attempt.tensor(id).origin.is_none(),
        };
        let unknown = without.iter().copied().find(|&id| !may_be_float(id));
        let is_raised = unknown.is_none() && raise(&attempt, &without, &mut precisions);
        if !is_raised {
            let tensor = attempt.tensor(unknown.unwrap_or(first)).name.clone();
            return Err(if quantized { QuantizeError::Partly { tensor } } else { QuantizeError::NoRange { tensor } });
        }
    }
}

/// What finds the masks of a graph, and lets Softmax know.
type FindMasks = fn(&mut Graph, &Ranges, &islands::Levels) -> Masks;

/// Quantizes, or says for which tensors there is no range.
fn in_precisions(
    graph: &mut Graph,
    ranges: &Ranges,
    options: &QuantizeOptions,
    precisions: &Precisions,
    find_masks: FindMasks,
) -> Result<Vec<TensorId>, QuantizeError> {
    let levels = islands::separate(graph, precisions)?;
    let masks = find_masks(graph, ranges, &levels);
    let own = own_ranges(graph, ranges, options.method, &levels, &masks)?;
    let without = share::activations(graph, own, levels)?;
    if without.is_empty() {
        weights::constants(graph, &options.corrections, options.weights)?;
        graph.compact();
    }
    Ok(without)
}

/// Asks for float32 where tensors are computed, or where they are read if they are only inputs or changes of format.
/// Whether that is news.
fn raise(graph: &Graph, tensors: &[TensorId], precisions: &mut Precisions) -> bool {
    let computes = |&n: &usize| graph.nodes[n].operator != Operator::Requantize;
    let nodes = tensors.iter().flat_map(|&id| {
        graph.producer(id).filter(computes).map_or_else(|| graph.consumers(id), |producer| vec![producer])
    });
    let names = nodes.filter(computes).map(|n| graph.nodes[n].name.clone());
    names.fold(false, |news, name| news | (precisions.nodes.insert(name, Level::Float32) != Some(Level::Float32)))
}

/// The range of each tensor on its own, from what was observed and from constants.
fn own_ranges(
    graph: &Graph,
    ranges: &Ranges,
    method: RangeMethod,
    levels: &Levels,
    masks: &Masks,
) -> Result<Vec<Option<Range>>, QuantizeError> {
    let producers = share::producers(graph);
    let own = |(idx, tensor): (usize, &crate::graph::Tensor)| {
        let not_finite = |n: u64| QuantizeError::NotFinite { tensor: tensor.name.clone(), n };
        match &tensor.constant {
            Some(_) if !islands::is_read_in_steps(graph, levels, TensorId(idx)) => return Ok(None),
            None if !levels[idx].is_some_and(Level::is_quantized) => return Ok(None),
            _ if let Some(range) = masks.range(graph, ranges, method, TensorId(idx)) => return Ok(Some(range)),
            Some(Constant::F32(values)) => {
                let neutral = limits_nothing(graph, TensorId(idx));
                let counts = |v: &&f32| neutral != Some(**v);
                let n = values.iter().filter(counts).filter(|v| !v.is_finite()).count();
                if n > 0 {
                    return Err(not_finite(n as u64));
                }
                let range = |r: Range, &v: &f32| r.hull(Range::new(f64::from(v), f64::from(v)));
                return Ok(Some(values.iter().filter(counts).fold(Range::new(0.0, 0.0), range)));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        let Some(histogram) = tensor.origin.as_ref().and_then(|o| ranges.histogram(&o.name)) else { return Ok(None) };
        if histogram.n_not_finite() > 0 {
            return Err(not_finite(histogram.n_not_finite()));
        }
        let bounds = bounds(graph, producers[idx], TensorId(idx));
        if levels[idx] != Some(Level::Int16) {
            return Ok(Range::choose(histogram, method, bounds));
        }
        // int16 has steps enough to cut nothing off, and a bit to spare for what calibration did not see.
        let seen = Range::choose(histogram, RangeMethod::MinMax, bounds);
        Ok(seen.map(|seen| Range::new(2.0 * seen.min, 2.0 * seen.max)))
    };
    graph.tensors.iter().enumerate().map(own).collect()
}

/// The element of a constant that never is a result, because every reader prefers whatever else there is: the last step
/// on its side stands for it.
fn limits_nothing(graph: &Graph, constant: TensorId) -> Option<f32> {
    let neutral = |&reader: &usize| match graph.nodes[reader].operator {
        Operator::Pair(function) => function.neutral(),
        _ => None,
    };
    let readers = graph.consumers(constant);
    let first = readers.first().and_then(neutral)?;
    readers.iter().all(|reader| neutral(reader) == Some(first)).then_some(first)
}

/// Limits beyond which a tensor's values make no difference: those of the clamp behind its producer, and
/// those beyond which every reader gives the same result to less than half an int8 step.
fn bounds(graph: &Graph, producer: Option<usize>, tensor: TensorId) -> Clamp {
    let fused = producer.map_or(Clamp::default(), |p| graph.nodes[p].operator.clamp().unwrap_or_default());
    let readers = graph.consumers(tensor);
    let Some(&first) = readers.first() else { return fused };
    let operator = &graph.nodes[first].operator;
    let same = readers.iter().all(|&r| graph.nodes[r].operator == *operator);
    let read = match operator {
        // 1 / (1 + exp(7)) is a quarter of a step of 1/256, 1 - tanh(3.5) a quarter of one of 1/128.
        Operator::Unary(Unary::Sigmoid) => Clamp { min: Some(-7.0), max: Some(7.0) },
        Operator::Unary(Unary::Tanh) => Clamp { min: Some(-3.5), max: Some(3.5) },
        Operator::Unary(Unary::Clamp(clamp)) => *clamp,
        _ => return fused,
    };
    if same && !graph.is_output(tensor) { intersection(fused, read) } else { fused }
}

fn intersection(a: Clamp, b: Clamp) -> Clamp {
    let both = |a: Option<f32>, b: Option<f32>, tighter: fn(f32, f32) -> f32| match (a, b) {
        (Some(a), Some(b)) => Some(tighter(a, b)),
        (a, b) => a.or(b),
    };
    Clamp { min: both(a.min, b.min, f32::max), max: both(a.max, b.max, f32::min) }
}

/// The quantization that an operator's output has whatever the data.
fn fixed_output(operator: &Operator, level: Level) -> Option<Quantization> {
    match (level, operator) {
        (Level::Int8, Operator::Softmax | Operator::MaskedSoftmax | Operator::Unary(Unary::Sigmoid)) => {
            Some(Quantization::per_tensor(1.0 / 256.0, -128))
        }
        (Level::Int16, Operator::Softmax | Operator::Unary(Unary::Sigmoid | Unary::Tanh)) => {
            Some(Quantization::per_tensor(1.0 / 32768.0, 0))
        }
        (Level::Int8, Operator::Unary(Unary::Tanh)) => Some(Quantization::per_tensor(1.0 / 128.0, 0)),
        _ => None,
    }
}
