//! QuantizeLinear and DequantizeLinear around activations.
//!
//! An int8 or uint8 tensor of the file is held as the real values that its steps stand for, so that everything between
//! is lowered and simplified like a float model: QuantizeLinear becomes [`Unary::Snap`], DequantizeLinear nothing. uint8
//! steps are int8 steps 128 lower.

use super::context::{Lowering, int};
use super::{Refusal, steps};
use crate::array::{Array, ArrayData};
use crate::graph::{Grid, Operator, Quantization, Unary};
use crate::import::{Attribute, Imported, OnnxNode};
use std::collections::HashMap;
use tinfer::tensor::ElementType;

/// How an operator treats a quantized tensor that is held as real values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGrid {
    /// It moves elements.
    Moves,
    /// It selects among elements, or compares them with others of the same grid.
    Selects,
    /// It brings them back to real numbers.
    Dequantizes,
    /// It computes with the integers.
    Computes,
}

impl OnGrid {
    /// Of an ONNX operator.
    pub fn of(node: &OnnxNode) -> Self {
        match &*node.operator {
            _ if !node.domain.is_empty() => OnGrid::Computes,
            "Concat" | "DepthToSpace" | "Dropout" | "Expand" | "Flatten" | "Gather" | "GatherElements" | "GatherND"
            | "GlobalMaxPool" | "Identity" | "MaxPool" | "Pad" | "Reshape" | "Slice" | "SpaceToDepth" | "Split"
            | "Squeeze" | "Tile" | "Transpose" | "Unsqueeze" => OnGrid::Moves,
            "Resize" if node.attribute("mode").is_none_or(is_nearest) => OnGrid::Moves,
            "Clip" | "Relu" | "Max" | "Min" | "ReduceMax" | "ReduceMin" | "Where" | "ArgMax" | "ArgMin" | "Equal"
            | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => OnGrid::Selects,
            "DequantizeLinear" => OnGrid::Dequantizes,
            _ => OnGrid::Computes,
        }
    }
}

fn is_nearest(mode: &Attribute) -> bool {
    matches!(mode, Attribute::String(mode) if mode == "nearest")
}

/// The inputs and outputs of a node that have one grid.
fn on_one_grid(node: &OnnxNode) -> impl Iterator<Item = &String> + Clone {
    let inputs = match &*node.operator {
        "Concat" | "Max" | "Min" | "Clip" | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
            &node.inputs[..]
        }
        "Where" => &node.inputs[1.min(node.inputs.len())..],
        _ => &node.inputs[..1.min(node.inputs.len())],
    };
    let outputs = if node.operator == "Split" { &node.outputs[..] } else { &node.outputs[..1.min(node.outputs.len())] };
    inputs.iter().chain(outputs)
}

/// The grid of every quantized activation, found from the nodes that quantize and dequantize it, through movers both
/// ways.
pub fn grids(imported: &Imported) -> HashMap<String, Grid> {
    let mut grids: HashMap<String, Grid> = HashMap::new();
    let is_quantized = |name: &str| {
        let ty = imported.facts.get(name).and_then(|f| f.element_type);
        matches!(ty, Some(ElementType::I8 | ElementType::U8))
    };
    for node in &imported.nodes {
        let tensor = match &*node.operator {
            "QuantizeLinear" => node.outputs.first(),
            "DequantizeLinear" => node.inputs.first(),
            _ => continue,
        };
        // Known integers are dequantized where they are read.
        let Some(tensor) = tensor.filter(|t| imported.value(t).is_none()) else { continue };
        if let Ok(grid) = grid(imported, node) {
            grids.entry(tensor.clone()).or_insert(grid);
        }
    }
    loop {
        let before = grids.len();
        let keeps = |n: &&OnnxNode| matches!(OnGrid::of(n), OnGrid::Moves | OnGrid::Selects);
        let keeping = || imported.nodes.iter().filter(keeps);
        for node in keeping().chain(imported.nodes.iter().rev().filter(keeps)) {
            let on_one = on_one_grid(node).filter(|t| is_quantized(t));
            let Some(&grid) = on_one.clone().find_map(|t| grids.get(t)) else { continue };
            for tensor in on_one.clone() {
                grids.entry(tensor.clone()).or_insert(grid);
            }
        }
        if grids.len() == before {
            return grids;
        }
    }
}

/// The grid of a node's integers.
fn grid(imported: &Imported, node: &OnnxNode) -> Result<Grid, Refusal> {
    let name = |i: usize| node.inputs.get(i).filter(|n| !n.is_empty());
    let value = |i: usize| {
        let Some(name) = name(i) else { return Ok(None) };
        imported.value(name).map(Some).ok_or_else(|| {
            Refusal::new(
                format!("its scale or zero point '{name}' is computed at run time"),
                "export the model with static quantization",
            )
        })
    };
    let (scale, zero_point) = (value(1)?, value(2)?);
    let scales = scale.and_then(|a| a.as_f32()).unwrap_or(&[]);
    let &[scale] = scales else {
        return Err(Refusal::new(
            format!("it has {} scales, activations have one scale per tensor", scales.len()),
            "quantize activations per tensor; weights may be quantized per channel",
        ));
    };
    if !(scale.is_finite() && scale >= f32::MIN_POSITIVE) {
        return Err(Refusal::new(format!("its scale is {scale}"), "check the file with onnx.checker"));
    }
    let integers = if node.operator == "QuantizeLinear" { node.outputs.first() } else { name(0) };
    let element_type = integers.and_then(|t| imported.facts.get(t)).and_then(|f| f.element_type);
    let offset = match element_type {
        Some(ElementType::I8) => 0,
        Some(ElementType::U8) => 128,
        other => {
            let other = other.map_or("of another type", ElementType::name);
            return Err(Refusal::new(
                format!("its integers are {other}, int8 and uint8 are supported"),
                "quantize activations to int8 or uint8",
            ));
        }
    };
    let zero_point = match zero_point.map(|a| a.to_f64()).as_deref() {
        None => 0,
        Some(&[z]) => z as i32,
        Some(several) => {
            return Err(Refusal::new(
                format!("it has {} zero points, activations have one", several.len()),
                "quantize activations per tensor; weights may be quantized per channel",
            ));
        }
    };
    Ok(Grid { scale, zero_point: zero_point - offset })
}

/// The real value of a step of the file's own type.
pub fn real_values(steps: &Array, grid: Grid) -> Option<Vec<f32>> {
    let offset = match steps.data {
        ArrayData::I8(_) => 0.0,
        ArrayData::U8(_) => 128.0,
        _ => return None,
    };
    let real = |q: &f64| (q - offset - f64::from(grid.zero_point)) as f32 * grid.scale;
    Some(steps.to_f64().iter().map(real).collect())
}

/// The real value that the integer 0 of a tensor stands for.
pub fn real_zero(lowering: &Lowering, name: &str) -> f32 {
    let zero = lowering.grid_of(name).zip(lowering.zero_step(name));
    zero.map_or(0.0, |(grid, zero)| (zero - grid.zero_point) as f32 * grid.scale)
}

/// y = saturate(round(x / scale) + zero_point).
pub fn quantize(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    if steps::is_plain(lowering, node) {
        return steps::quantize(lowering, node);
    }
    check_attributes(lowering, node)?;
    let grid = grid(lowering.imported, node)?;
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    lowering.push_output(node, 0, Operator::Unary(Unary::Snap(grid)), vec![x], shape, ElementType::F32);
    Ok(())
}

/// y = (x - zero_point) * scale: the tensor is held as real values already.
pub fn dequantize(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    if steps::is_plain(lowering, node) {
        return steps::dequantize(lowering, node);
    }
    check_attributes(lowering, node)?;
    let grid = grid(lowering.imported, node)?;
    let x_name = lowering.input_name(node, 0).unwrap_or_default();
    if lowering.grid_of(&x_name).is_some_and(|own| own != grid) {
        return steps::dequantize(lowering, node);
    }
    let x = lowering.input(node, 0)?;
    lowering.bind_output(node, 0, x);
    Ok(())
}

/// Says that what a node selects is on its grid still: passes take that away where they see it.
pub fn keep_on_grid(lowering: &mut Lowering, node: &OnnxNode) {
    let Some(name) = node.outputs.first().filter(|_| OnGrid::of(node) == OnGrid::Selects) else { return };
    let Some((grid, id)) = lowering.grid_of(name).zip(lowering.bound(name)) else { return };
    let shape = lowering.shape_of(id).to_vec();
    let kept = lowering.push_step(node, "on_grid", Operator::Unary(Unary::Snap(grid)), vec![id], shape);
    lowering.bind_output(node, 0, kept);
}

fn check_attributes(lowering: &Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    if int(node, "block_size", 0)? != 0 {
        return Err(Refusal::new("it quantizes in blocks", "quantize activations per tensor"));
    }
    let result = node.outputs.first().and_then(|name| lowering.imported.facts.get(name));
    let found = match result.and_then(|f| f.element_type) {
        Some(ElementType::U8) => TYPE_UINT8,
        Some(ElementType::I8) => TYPE_INT8,
        _ => TYPE_FLOAT,
    };
    for (attribute, expected) in [("precision", TYPE_FLOAT), ("output_dtype", found)] {
        let stated = int(node, attribute, 0)?;
        if stated != 0 && stated != expected {
            return Err(Refusal::new(
                format!("its {attribute} is {stated}, {expected} is supported here"),
                "give a zero point of the integers' type and compute in float32",
            ));
        }
    }
    Ok(())
}

/// What the constant input `i` of a node was quantized with, in the axes that the node reads it in. Per-channel scales
/// are followed through transposes of the constant.
pub fn of_constant(imported: &Imported, node: &OnnxNode, i: usize) -> Option<Quantization> {
    followed(imported, node.inputs.get(i)?, 0)
}

fn followed(imported: &Imported, tensor: &str, depth: usize) -> Option<Quantization> {
    if let Some(own) = imported.quantizations.get(tensor) {
        return Some(own.clone());
    }
    let node = imported.nodes.iter().find(|n| n.outputs.first().is_some_and(|o| o == tensor))?;
    // Their results may have other elements than the first input, or several results.
    let others = ["Concat", "Pad", "Split"].contains(&&*node.operator);
    if depth > MAX_DEPTH || others || OnGrid::of(node) != OnGrid::Moves {
        return None;
    }
    let source = node.inputs.first()?;
    let mut quantization = followed(imported, source, depth + 1)?;
    if quantization.scales.len() > 1 {
        let rank = imported.facts.get(source)?.shape.len();
        quantization.axis = match (&*node.operator, node.attribute("perm")) {
            ("Identity" | "Dropout", _) => quantization.axis,
            ("Transpose", None) => rank - 1 - quantization.axis,
            ("Transpose", Some(Attribute::Ints(perm))) => perm
                .iter()
                .position(|&a| a == quantization.axis as i64 || a + rank as i64 == quantization.axis as i64)?,
            _ => return None,
        };
    }
    Some(quantization)
}

/// The scales of weights whose output channels are along `axis` of the file's weights, for our layout with them along
/// `own_axis`. Scales along another axis make real numbers of them: no layer has such.
pub fn of_weights(
    imported: &Imported,
    node: &OnnxNode,
    axis: usize,
    own_axis: usize,
) -> Result<Option<Quantization>, Refusal> {
    let Some(mut quantization) = of_constant(imported, node, 1) else { return Ok(None) };
    if quantization.scales.len() > 1 && quantization.axis != axis {
        return Ok(None);
    }
    quantization.axis = own_axis;
    // Of weights only the steps' width is kept: their zero is real 0.
    quantization.zero_point = 0;
    Ok(Some(quantization))
}

/// Transposes of a constant that are followed.
const MAX_DEPTH: usize = 8;
/// Element types as ONNX numbers them.
const TYPE_FLOAT: i64 = 1;
const TYPE_UINT8: i64 = 2;
const TYPE_INT8: i64 = 3;
