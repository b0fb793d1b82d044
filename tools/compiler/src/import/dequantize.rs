//! Constants that are stored quantized: dequantized before anybody reads them.
//!
//! Exporters write them as DequantizeLinear nodes over integers, or, after quantization-aware training, as
//! QuantizeLinear and DequantizeLinear over float weights. tract reads such nodes with their first scale only, so it
//! must never see one. In models whose activations are quantized too, the scales travel on as [`Quantization`] of the
//! result, so that the very same integers come out in the image.

use super::{ImportError, constants, tensor};
use crate::array::{Array, ArrayData};
use crate::graph::Quantization;
use std::collections::{BTreeMap, HashMap, HashSet};
use tract_onnx::pb::{GraphProto, NodeProto, OperatorSetIdProto, TensorProto};

/// Replaces each DequantizeLinear over constants by its result. Returns what the results of 8-bit integers were
/// quantized with, when the model's activations are quantized as well.
pub(super) fn fold(
    graph: &mut GraphProto,
    opsets: &[OperatorSetIdProto],
) -> Result<BTreeMap<String, Quantization>, ImportError> {
    let mut quantizations = BTreeMap::new();
    if !graph.node.iter().any(|n| n.op_type == "DequantizeLinear") {
        return Ok(quantizations);
    }
    let wanted = constants::leading_to(graph, &["QuantizeLinear", "DequantizeLinear"]);
    let mut constants: HashMap<String, Array> = HashMap::new();
    for proto in &graph.initializer {
        if let Some(array) = tensor::array(proto)? {
            constants.insert(proto.name.clone(), array);
        }
    }
    let mut folded: HashSet<String> = HashSet::new();
    let mut results: Vec<TensorProto> = Vec::new();
    for node in &graph.node {
        let Some(output) = node.output.first() else { continue };
        if node.op_type == "Constant" {
            let value = node.attribute.iter().find(|a| a.name == "value").and_then(|a| a.t.as_ref());
            if let Some(array) = value.map(tensor::array).transpose()?.flatten() {
                constants.insert(output.clone(), array);
            }
        } else if let Some(array) = quantize(node, &constants) {
            folded.insert(output.clone());
            constants.insert(output.clone(), array);
        } else if let Some((array, quantization)) = dequantize(node, &constants) {
            folded.insert(output.clone());
            results.push(tensor::proto(output, &array));
            constants.insert(output.clone(), array);
            quantizations.extend(quantization.map(|q| (output.clone(), q)));
        } else if node.output.iter().any(|o| wanted.contains(o))
            && let Some(values) = constants::evaluate(node, &constants, opsets)
        {
            constants.extend(node.output.iter().zip(values).map(|(name, value)| (name.clone(), Array::clone(&value))));
        }
    }
    // Whoever reads the integers of a folded QuantizeLinear besides a DequantizeLinear still has them.
    let (gone, kept): (Vec<NodeProto>, Vec<NodeProto>) = std::mem::take(&mut graph.node)
        .into_iter()
        .partition(|n| n.output.first().is_some_and(|o| folded.contains(o)) && n.op_type != "Constant");
    graph.node = kept;
    graph.initializer.extend(results);
    let read: HashSet<&str> =
        graph.node.iter().flat_map(|n| &n.input).chain(graph.output.iter().map(|o| &o.name)).map(|s| &**s).collect();
    let integers = gone.iter().filter(|n| n.op_type == "QuantizeLinear").filter_map(|n| n.output.first());
    let integers: Vec<TensorProto> =
        integers.filter(|o| read.contains(&***o)).map(|o| tensor::proto(o, &constants[o])).collect();
    graph.initializer.extend(integers);
    let unread: HashSet<&str> =
        gone.iter().flat_map(|n| &n.input).map(|s| &**s).filter(|i| !read.contains(i)).collect();
    graph.initializer.retain(|t| !unread.contains(&*t.name));
    graph.input.retain(|i| !unread.contains(&*i.name));
    if !graph.node.iter().any(|n| n.op_type == "QuantizeLinear" || n.op_type == "DequantizeLinear") {
        quantizations.clear();
    }
    Ok(quantizations)
}

/// Scales, zero points and the axis of a node that quantizes or dequantizes a constant.
struct Parameters<'c> {
    x: &'c Array,
    scales: &'c [f32],
    zero_points: Vec<f64>,
    /// Type of the integers, if the zero point says it.
    integers: Option<&'c ArrayData>,
    axis: usize,
    /// Which elements have one scale.
    slices: Slices,
}

/// Which elements of a tensor have one scale.
#[derive(Clone, Copy, PartialEq)]
enum Slices {
    /// All of them.
    One,
    /// Those with one index along the axis; `inner` elements from one index to the next.
    Axis { inner: usize },
    /// `size` neighbours along the axis, of `n` elements.
    Blocks { inner: usize, n: usize, size: usize },
}

impl<'c> Parameters<'c> {
    /// `None` if this is no such node or one that we do not read: it stays and is reported.
    fn new(node: &NodeProto, operator: &str, constants: &'c HashMap<String, Array>) -> Option<Self> {
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        let known = |a: &tract_onnx::pb::AttributeProto| {
            ["axis", "saturate", "block_size"].contains(&&*a.name)
                || (["precision", "output_dtype"].contains(&&*a.name) && a.i == 0)
        };
        if node.op_type != operator || !standard || !node.attribute.iter().all(known) {
            return None;
        }
        let input = |i: usize| node.input.get(i).filter(|n| !n.is_empty());
        let constant = |i: usize| input(i).and_then(|n| constants.get(n));
        let (x, scale, zero_point) = (constant(0)?, constant(1)?, constant(2));
        let ArrayData::F32(scales) = &scale.data else { return None };
        if input(2).is_some() && zero_point.is_none() {
            return None;
        }
        let zero_points = zero_point.map_or_else(|| vec![0.0; scales.len()], Array::to_f64);
        let axis = node.attribute.iter().find(|a| a.name == "axis").map_or(1, |a| a.i);
        let axis = if axis < 0 { axis + x.shape.len() as i64 } else { axis };
        // One scale needs no axis, whatever the attribute says.
        let block = node.attribute.iter().find(|a| a.name == "block_size").map_or(0, |a| a.i);
        let (axis, slices) = match x.shape.get(axis as usize) {
            _ if scales.len() == 1 && block == 0 => (0, Slices::One),
            Some(&n) => {
                let (axis, size) = (axis as usize, usize::try_from(block).ok()?);
                let inner = x.shape[axis + 1..].iter().product();
                let mut blocks = x.shape.clone();
                blocks[axis] = n.div_ceil(size.max(1));
                match size {
                    0 if n == scales.len() => (axis, Slices::Axis { inner }),
                    1.. if blocks == scale.shape => (axis, Slices::Blocks { inner, n, size }),
                    _ => return None,
                }
            }
            None => return None,
        };
        let positive = scales.iter().all(|s| s.is_finite() && *s > 0.0);
        (zero_points.len() == scales.len() && positive).then_some(Parameters {
            x,
            scales,
            zero_points,
            integers: zero_point.map(|z| &z.data),
            axis,
            slices,
        })
    }

    fn slice(&self, i: usize) -> usize {
        match self.slices {
            Slices::One => 0,
            Slices::Axis { inner } => i / inner % self.scales.len(),
            Slices::Blocks { inner, n, size } => {
                let (outer, k) = (i / inner / n, i / inner % n);
                (outer * n.div_ceil(size) + k / size) * inner + i % inner
            }
        }
    }
}

/// q = saturate(round(x / scale) + zero_point), ties to even.
fn quantize(node: &NodeProto, constants: &HashMap<String, Array>) -> Option<Array> {
    let parameters = Parameters::new(node, "QuantizeLinear", constants)?;
    let ArrayData::F32(values) = &parameters.x.data else { return None };
    let steps = values.iter().enumerate().map(|(i, &v)| {
        let slice = parameters.slice(i);
        f64::from((v / parameters.scales[slice]).round_ties_even()) + parameters.zero_points[slice]
    });
    let data = match parameters.integers {
        Some(ArrayData::I8(_)) => ArrayData::I8(steps.map(|q| q as i8).collect()),
        Some(ArrayData::U8(_)) | None => ArrayData::U8(steps.map(|q| q as u8).collect()),
        _ => return None,
    };
    Some(Array { shape: parameters.x.shape.clone(), data })
}

/// y = (x - zero_point) * scale, with one scale, one per slice along `axis`, or one per block of it.
fn dequantize(node: &NodeProto, constants: &HashMap<String, Array>) -> Option<(Array, Option<Quantization>)> {
    let parameters = Parameters::new(node, "DequantizeLinear", constants)?;
    let x = parameters.x;
    // uint8 is held as int8, 128 lower.
    let offset = match x.data {
        ArrayData::I8(_) => Some(0.0),
        ArrayData::U8(_) => Some(-128.0),
        ArrayData::I32(_) | ArrayData::I16(_) => None,
        _ => return None,
    };
    let real = |(i, q): (usize, f64)| {
        let slice = parameters.slice(i);
        ((q - parameters.zero_points[slice]) as f32) * parameters.scales[slice]
    };
    let values = x.to_f64().into_iter().enumerate().map(real).collect();
    // Scales of blocks are no scales of channels: such weights are real numbers from here on.
    let offset = offset.filter(|_| !matches!(parameters.slices, Slices::Blocks { .. }));
    let quantization = offset.map(|offset| Quantization {
        scales: parameters.scales.to_vec(),
        zero_point: (parameters.zero_points[0] + offset) as i32,
        axis: parameters.axis,
    });
    Some((Array::f32(x.shape.clone(), values), quantization))
}
