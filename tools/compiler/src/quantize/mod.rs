//! From a float graph and observed ranges to an int8 graph.
//!
//! ```text
//! Graph (f32) + Ranges -> share.rs    which tensors have one quantization; Requantize where they cannot
//!                      -> range.rs    a range for each, its scale and zero point
//!                      -> weights.rs  weights per channel, biases, constants
//!                      -> Graph (int8)
//! ```
//!
//! real = scale * (q - zero_point), see Jacob et al. 2018 (arXiv 1712.05877) and the TFLite int8
//! specification. Tensors that are quantized already (QDQ models) keep their quantization.

mod adopt;
mod calibrate;
mod histogram;
mod range;
mod share;
#[cfg(test)]
mod tests;
mod weights;

pub use adopt::{is_quantized, real_weights};
pub use calibrate::{Ranges, calibrate};
pub use histogram::{Bin, Histogram};
pub use range::{Range, RangeMethod};

use crate::graph::{Clamp, Constant, Graph, Operator, Quantization, TensorId, Unary};
use tinfer::tensor::ElementType;

/// How a graph is quantized.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantizeOptions {
    /// How ranges follow from observed values.
    pub method: RangeMethod,
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
    /// A tensor's elements are no real numbers.
    #[error("tensor {tensor} is {found}, int8 models are made of float32 tensors only")]
    ElementType {
        /// The tensor.
        tensor: String,
        /// Its type.
        found: &'static str,
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
    /// An input that a model quantizes in two ways.
    #[error("the model quantizes its input {tensor} in two ways")]
    TwoScales {
        /// The input.
        tensor: String,
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
            QuantizeError::TwoScales { .. } => "quantize the input once and let all its readers have the result",
            QuantizeError::WeightSteps { .. } => "quantize weights symmetrically to int8 (zero point 0)",
            QuantizeError::NotFinite { .. } => "remove the calibration samples that cause them, or mend the weights",
            QuantizeError::ElementType { .. } | QuantizeError::NotConstant { .. } | QuantizeError::PadValue { .. } => {
                "`--precision float32` keeps the model as it is"
            }
        };
        cure.into()
    }
}

/// Quantizes a simplified graph to int8.
///
/// Every tensor gets its final element type and quantization. Ports keep the element type of the ONNX
/// file: the host quantizes.
///
/// # Errors
/// [`QuantizeError`]
pub fn quantize(graph: Graph, ranges: &Ranges, options: &QuantizeOptions) -> Result<Graph, QuantizeError> {
    let mut graph = graph;
    graph.compact();
    let quantized = is_quantized(&graph);
    adopt::quantizations(&mut graph)?;
    check_element_types(&graph)?;
    let own = own_ranges(&graph, ranges, options.method)?;
    share::activations(&mut graph, own).map_err(|e| match e {
        QuantizeError::NoRange { tensor } if quantized => QuantizeError::Partly { tensor },
        other => other,
    })?;
    weights::constants(&mut graph)?;
    graph.compact();
    Ok(graph)
}

fn check_element_types(graph: &Graph) -> Result<(), QuantizeError> {
    let computed = graph.nodes.iter().flat_map(|n| &n.outputs).chain(graph.inputs.iter().map(|p| &p.tensor));
    for tensor in computed.map(|&id| graph.tensor(id)) {
        let known = match tensor.element_type {
            ElementType::F32 => true,
            ElementType::I8 => tensor.quantization.is_some(),
            _ => false,
        };
        if !known {
            let found = tensor.element_type.name();
            return Err(QuantizeError::ElementType { tensor: tensor.name.clone(), found });
        }
    }
    Ok(())
}

/// The range of each tensor on its own, from what was observed and from constants.
fn own_ranges(graph: &Graph, ranges: &Ranges, method: RangeMethod) -> Result<Vec<Option<Range>>, QuantizeError> {
    let producers = share::producers(graph);
    let own = |(idx, tensor): (usize, &crate::graph::Tensor)| {
        let not_finite = |n: u64| QuantizeError::NotFinite { tensor: tensor.name.clone(), n };
        match &tensor.constant {
            Some(Constant::F32(values)) => {
                let n = values.iter().filter(|v| !v.is_finite()).count();
                if n > 0 {
                    return Err(not_finite(n as u64));
                }
                let range = |r: Range, &v: &f32| r.hull(Range::new(f64::from(v), f64::from(v)));
                return Ok(Some(values.iter().fold(Range::new(0.0, 0.0), range)));
            }
            Some(_) => return Ok(None),
            None => {}
        }
        let Some(histogram) = tensor.origin.as_ref().and_then(|o| ranges.histogram(&o.name)) else { return Ok(None) };
        if histogram.n_not_finite() > 0 {
            return Err(not_finite(histogram.n_not_finite()));
        }
        let bounds = bounds(graph, producers[idx], TensorId(idx));
        Ok(Range::choose(histogram, method, bounds))
    };
    graph.tensors.iter().enumerate().map(own).collect()
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
fn fixed_output(operator: &Operator) -> Option<Quantization> {
    match operator {
        Operator::Softmax | Operator::Unary(Unary::Sigmoid) => Some(Quantization::per_tensor(1.0 / 256.0, -128)),
        Operator::Unary(Unary::Tanh) => Some(Quantization::per_tensor(1.0 / 128.0, 0)),
        _ => None,
    }
}
