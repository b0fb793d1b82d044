//! Pad, in every mode.

use super::context::{Lowering, axis, element_type_refusal, float, ints, text};
use super::slice::Slice;
use super::{Refusal, quantized};
use crate::array::ArrayData;
use crate::graph::{Given, Move, Operator, TensorId};
use crate::import::OnnxNode;
use tinfer::kernels::geometry::BorderMode;
use tinfer::tensor::ElementType;

/// Attributes up to operator set 10; inputs from 11, with axes from 18.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mode = match text(node, "mode", "constant")? {
        "constant" => BorderMode::Constant,
        "edge" => BorderMode::Edge,
        "reflect" => BorderMode::Reflect,
        "wrap" => BorderMode::Wrap,
        other => return Err(Refusal::new(format!("mode '{other}' is not known"), "check the file with onnx.checker")),
    };
    let x = lowering.any_input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let known = |i: usize| lowering.input_name(node, i).is_none() || lowering.is_constant(node, i);
    let (pads, axes) = if lowering.imported.opset < 11 {
        (ints(node, "pads")?, None)
    } else if [1, 2, 3].into_iter().all(known) {
        (lowering.known_ints(node, 1)?, lowering.known_ints(node, 3)?)
    } else {
        return at_run_time(lowering, node, x, mode);
    };
    let axes = axes.unwrap_or_else(|| (0..shape.len() as i64).collect());
    let pads = by_axis(&pads.unwrap_or_default(), &axes, shape.len())?;
    // What is taken away goes first, so that a border continues what is left.
    let mut cut = Slice::whole(&shape);
    for (axis, [before, behind]) in pads.iter().enumerate().filter(|(_, p)| p[0] < 0 || p[1] < 0) {
        cut.cut(axis, (-before).max(0), (shape[axis] as i64 + behind.min(&0)).max(0), 1)?;
    }
    let x = cut.push_step(lowering, node, x);
    let pads: Vec<[usize; 2]> = pads.into_iter().map(|p| p.map(|n| n.max(0) as usize)).collect();
    if pads.iter().all(|p| *p == [0, 0]) {
        lowering.bind_output(node, 0, x);
        return Ok(());
    }
    let padded = lowering.shape_of(x).iter().zip(&pads).map(|(dim, [before, behind])| before + dim + behind).collect();
    let element_type = lowering.element_type(x);
    let operator = if mode == BorderMode::Constant && element_type == ElementType::F32 {
        let value = if lowering.imported.opset < 11 { float(node, "value", 0.0)? } else { real_value(lowering, node)? };
        if value.is_nan() {
            return Err(Refusal::new("it pads with NaN", "pad with a number"));
        }
        Operator::Pad { pads, value }
    } else {
        let before = pads.iter().map(|p| p[0] as i32).collect();
        let value = if mode == BorderMode::Constant { value_bytes(lowering, node, element_type)? } else { [0; 8] };
        Operator::Move(Move::Border { mode, before, value, operands: [Given::Absent; 3] })
    };
    lowering.push_output(node, 0, operator, vec![x], padded, element_type);
    Ok(())
}

/// Elements before and behind each axis.
fn by_axis(pads: &[i64], axes: &[i64], rank: usize) -> Result<Vec<[i64; 2]>, Refusal> {
    let mut by_axis = vec![[0, 0]; rank];
    if pads.len() != 2 * axes.len() {
        return Err(Refusal::new(
            format!("it has pads {pads:?} for axes {axes:?}"),
            "check the file with onnx.checker",
        ));
    }
    for (i, &own) in axes.iter().enumerate() {
        by_axis[axis(own, rank)?] = [pads[i], pads[i + axes.len()]];
    }
    Ok(by_axis)
}

/// Pads, value or axes are computed while the model runs.
fn at_run_time(lowering: &mut Lowering, node: &OnnxNode, x: TensorId, mode: BorderMode) -> Result<(), Refusal> {
    let shape = lowering.declared_output(node, 0, "pads")?;
    let (rank, element_type) = (lowering.shape_of(x).len(), lowering.element_type(x));
    let mut inputs = vec![x, lowering.any_input(node, 1)?];
    let mut operands = [Given::Input, Given::Absent, Given::Absent];
    let mut value = [0; 8];
    if lowering.is_constant(node, 2) {
        value = value_bytes(lowering, node, element_type)?;
    } else if let Some(id) = lowering.optional_input(node, 2)? {
        if lowering.element_type(id) != element_type || lowering.grid_of(&node.inputs[0]).is_some() {
            return Err(element_type_refusal(&node.inputs[2], lowering.element_type(id).name()));
        }
        inputs.push(id);
        operands[1] = Given::Input;
    }
    if let Some(id) = lowering.optional_input(node, 3)? {
        inputs.push(id);
        operands[2] = Given::Input;
    }
    let operator = Operator::Move(Move::Border { mode, before: vec![0; rank], value, operands });
    lowering.push_output(node, 0, operator, inputs, shape, element_type);
    Ok(())
}

/// The bytes of the known value, zeros by default.
fn value_bytes(lowering: &Lowering, node: &OnnxNode, element_type: ElementType) -> Result<[u8; 8], Refusal> {
    let data = if element_type == ElementType::F32 {
        ArrayData::F32(vec![real_value(lowering, node)?])
    } else {
        match lowering.known(node, 2)? {
            None => return Ok([0; 8]),
            Some(value) => value.data.clone(),
        }
    };
    if data.element_type() != Some(element_type) || data.len() != 1 {
        return Err(element_type_refusal(&node.inputs[2], data.type_name()));
    }
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(data.to_le_bytes()) {
        *to = from;
    }
    Ok(bytes)
}

/// The value in real units. In a quantized tensor it is a step, 0 by default.
fn real_value(lowering: &Lowering, node: &OnnxNode) -> Result<f32, Refusal> {
    let Some(value) = lowering.known(node, 2)? else {
        return Ok(quantized::real_zero(lowering, &node.inputs[0]));
    };
    let real = match lowering.input_name(node, 0).and_then(|name| lowering.grid_of(&name)) {
        Some(grid) => quantized::real_values(&value, grid),
        None => value.as_f32().map(<[f32]>::to_vec),
    };
    match real.as_deref() {
        Some(&[value]) => Ok(value),
        Some(_) => Err(Refusal::new(format!("its value has shape {:?}", value.shape), "pad with a single number")),
        None => Err(element_type_refusal(&node.inputs[2], value.data.type_name())),
    }
}
