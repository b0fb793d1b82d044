//! Gather, GatherElements, OneHot, Trilu.

use super::Refusal;
use super::context::{Lowering, axis, element_type_refusal, int};
use crate::graph::{Constant, Move, Operator, TensorId};
use crate::import::OnnxNode;
use tinfer::kernels::portable::Triangle;
use tinfer::tensor::ElementType;

/// Slices along an axis.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", 0)?, shape.len())?;
    let indices = indices(lowering, node, shape[axis])?;
    let mut result = shape[..axis].to_vec();
    result.extend(lowering.shape_of(indices));
    result.extend(&shape[axis + 1..]);
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, Operator::Move(Move::Gather { axis }), vec![x, indices], result, element_type);
    Ok(())
}

/// Single elements along an axis.
pub fn elements(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", 0)?, shape.len())?;
    let indices = indices(lowering, node, shape[axis])?;
    let result = lowering.shape_of(indices).to_vec();
    let fits = |(i, (&n, &dim)): (usize, (&usize, &usize))| i == axis || n <= dim;
    if result.len() != shape.len() || !result.iter().zip(&shape).enumerate().all(fits) {
        return Err(Refusal::new(
            format!("its indices have shape {result:?}, its input {shape:?}"),
            "check the file with onnx.checker",
        ));
    }
    let element_type = lowering.element_type(x);
    lowering.push_output(
        node,
        0,
        Operator::Move(Move::GatherElements { axis }),
        vec![x, indices],
        result,
        element_type,
    );
    Ok(())
}

/// Input 1: integers; known ones must name elements among `n`.
fn indices(lowering: &mut Lowering, node: &OnnxNode, n: usize) -> Result<TensorId, Refusal> {
    let id = lowering.any_input(node, 1)?;
    let element_type = lowering.element_type(id);
    if !matches!(element_type, ElementType::I32 | ElementType::I64) {
        return Err(element_type_refusal(&node.inputs[1], element_type.name()));
    }
    if lowering.is_constant(node, 1) {
        let n = n as i64;
        let beyond = |i: &i64| !(-n..n).contains(i);
        if let Some(index) = lowering.known_ints(node, 1)?.unwrap_or_default().into_iter().find(beyond) {
            return Err(Refusal::new(
                format!("index {index} is out of range for an axis of {n}"),
                "check the file with onnx.checker",
            ));
        }
    }
    Ok(id)
}

/// One-hot vectors. The depth is an input, like the values off and on.
pub fn one_hot(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let indices = lowering.any_input(node, 0)?;
    let ty = lowering.element_type(indices);
    if matches!(ty, ElementType::Bool | ElementType::I16) {
        return Err(element_type_refusal(&node.inputs[0], ty.name()));
    }
    let mut shape = lowering.shape_of(indices).to_vec();
    let axis = axis(int(node, "axis", -1)?, shape.len() + 1)?;
    let mut values = lowering.any_input(node, 2)?;
    let depth = if lowering.is_constant(node, 1) {
        let depth = lowering.known(node, 1)?.map(|a| a.to_f32());
        depth.as_deref().and_then(<[f32]>::first).map_or(0, |&d| d as usize)
    } else {
        let declared = lowering.declared_output(node, 0, "depth")?;
        let depth = declared.get(axis).copied().unwrap_or(0);
        let given = lowering.any_input(node, 1)?;
        let expected = match lowering.element_type(given) {
            ElementType::F32 => Constant::F32(vec![depth as f32]),
            ElementType::I32 => Constant::I32(vec![depth as i32]),
            ElementType::I64 => Constant::I64(vec![depth as i64]),
            ElementType::U8 => Constant::U8(vec![depth as u8]),
            ElementType::I8 => Constant::I8(vec![depth as i8]),
            other => return Err(element_type_refusal(&node.inputs[1], other.name())),
        };
        values = lowering.require(node, 1, expected, values)?;
        depth
    };
    if depth == 0 {
        return Err(Refusal::new("its depth is 0", "images hold no empty tensors: use a depth of 1 or more"));
    }
    shape.insert(axis, depth);
    let element_type = lowering.element_type(values);
    lowering.push_output(node, 0, Operator::Move(Move::OneHot { axis }), vec![values, indices], shape, element_type);
    Ok(())
}

/// A triangle of matrices.
pub fn trilu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    if shape.len() < 2 {
        return Err(Refusal::new(format!("its input has shape {shape:?}"), "give it matrices"));
    }
    let triangle = if int(node, "upper", 1)? == 0 { Triangle::Lower } else { Triangle::Upper };
    let mut inputs = vec![x];
    let mut k = 0;
    if lowering.is_constant(node, 1) {
        let known = lowering.known_ints(node, 1)?.and_then(|k| k.first().copied()).unwrap_or(0);
        // Beyond the corners of the matrix all diagonals are alike.
        k = known.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    } else {
        inputs.extend(lowering.optional_input(node, 1)?);
    }
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, Operator::Move(Move::Trilu { triangle, k }), inputs, shape, element_type);
    Ok(())
}
