//! Operators that keep every element in its place: Reshape, Flatten, Squeeze, Unsqueeze, and those
//! that do nothing in inference.

use super::Refusal;
use super::context::{Lowering, axis, element_type_refusal, int, ints};
use crate::graph::{Move, Operator, TensorId};
use crate::import::OnnxNode;
use tinfer::operators::sized::shape_given::ShapeRule;
use tinfer::tensor::ElementType;

/// The same elements in the shape that an input says: 0 is the input's dimension, -1 the one that is left.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let own = lowering.shape_of(x).to_vec();
    let keeps = int(node, "allowzero", 0)? == 0;
    if !lowering.is_constant(node, 1) {
        let shape = lowering.declared_output(node, 0, "shape")?;
        let rule = if keeps { ShapeRule::Reshape } else { ShapeRule::ReshapeAllowZero };
        let x = shape_given(lowering, node, rule, &shape, x)?;
        return push(lowering, node, x, shape);
    }
    let wanted = lowering.known_ints(node, 1)?.unwrap_or_default();
    let unclear = || {
        Refusal::new(format!("its input has shape {own:?}, its output {wanted:?}"), "check the file with onnx.checker")
    };
    let mut shape = Vec::with_capacity(wanted.len());
    let mut left = None;
    for (i, &number) in wanted.iter().enumerate() {
        shape.push(match number {
            -1 if left.is_none() => {
                left = Some(i);
                1
            }
            0 if keeps => own.get(i).copied().ok_or_else(unclear)?,
            number => usize::try_from(number).map_err(|_| unclear())?,
        });
    }
    if let Some(i) = left {
        let others: usize = shape.iter().product();
        shape[i] = own.iter().product::<usize>().checked_div(others).ok_or_else(unclear)?;
    }
    push(lowering, node, x, shape)
}

/// A matrix of all axes before one and all from there on.
pub fn flatten(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let own = lowering.shape_of(x).to_vec();
    let rank = own.len() as i64;
    let at = int(node, "axis", 1)?;
    let at = if at < 0 { at + rank } else { at };
    let Some((rows, columns)) = usize::try_from(at).ok().and_then(|at| own.split_at_checked(at)) else {
        return Err(Refusal::new(
            format!("axis {at} is out of range for rank {rank}"),
            "check the file with onnx.checker",
        ));
    };
    push(lowering, node, x, vec![rows.iter().product(), columns.iter().product()])
}

/// Axes of one element are left out: all of them, or those that an attribute (an input from operator set 13) names.
pub fn squeeze(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let own = lowering.shape_of(x).to_vec();
    let shape = match axes(lowering, node)? {
        Axes::None => own.iter().copied().filter(|&d| d != 1).collect(),
        Axes::Known(axes) => {
            let axes = axes.into_iter().map(|a| axis(a, own.len())).collect::<Result<Vec<_>, _>>()?;
            if let Some(&wide) = axes.iter().find(|&&a| own[a] != 1) {
                return Err(Refusal::new(
                    format!("axis {wide} of {own:?} has several elements"),
                    "check the file with onnx.checker",
                ));
            }
            (0..own.len()).filter(|a| !axes.contains(a)).map(|a| own[a]).collect()
        }
        Axes::AtRunTime => {
            let shape = lowering.declared_output(node, 0, "axes")?;
            let x = shape_given(lowering, node, ShapeRule::Squeeze, &shape, x)?;
            return push(lowering, node, x, shape);
        }
    };
    push(lowering, node, x, shape)
}

/// Axes of one element are put in. They are an attribute up to operator set 12, an input from 13.
pub fn unsqueeze(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let own = lowering.shape_of(x).to_vec();
    let axes = match axes(lowering, node)? {
        Axes::Known(axes) => axes,
        Axes::None => vec![],
        Axes::AtRunTime => {
            let shape = lowering.declared_output(node, 0, "axes")?;
            let x = shape_given(lowering, node, ShapeRule::Unsqueeze, &shape, x)?;
            return push(lowering, node, x, shape);
        }
    };
    let rank = own.len() + axes.len();
    let axes = axes.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut others = own.iter().copied();
    let shape: Vec<usize> = (0..rank).filter_map(|a| if axes.contains(&a) { Some(1) } else { others.next() }).collect();
    push(lowering, node, x, shape)
}

enum Axes {
    None,
    Known(Vec<i64>),
    AtRunTime,
}

/// The axes of Squeeze and Unsqueeze.
fn axes(lowering: &Lowering, node: &OnnxNode) -> Result<Axes, Refusal> {
    if lowering.imported.opset < 13 {
        return Ok(ints(node, "axes")?.map_or(Axes::None, Axes::Known));
    }
    match lowering.input_name(node, 1) {
        None => Ok(Axes::None),
        Some(_) if lowering.is_constant(node, 1) => Ok(lowering.known_ints(node, 1)?.map_or(Axes::None, Axes::Known)),
        Some(_) => Ok(Axes::AtRunTime),
    }
}

/// `x` in this shape as the node's result.
fn push(lowering: &mut Lowering, node: &OnnxNode, x: TensorId, shape: Vec<usize>) -> Result<(), Refusal> {
    let own = lowering.shape_of(x);
    if own == shape {
        lowering.bind_output(node, 0, x);
        return Ok(());
    }
    if own.iter().product::<usize>() != shape.iter().product::<usize>() {
        let reason = format!("its input has shape {own:?}, its output {shape:?}");
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, Operator::Reshape, vec![x], shape, element_type);
    Ok(())
}

/// As `x`, but a run stops with an error unless the node's input 1 leads to this shape.
pub fn shape_given(
    lowering: &mut Lowering,
    node: &OnnxNode,
    rule: ShapeRule,
    shape: &[usize],
    x: TensorId,
) -> Result<TensorId, Refusal> {
    let given = lowering.any_input(node, 1)?;
    if !matches!(lowering.element_type(given), ElementType::I32 | ElementType::I64) {
        return Err(element_type_refusal(&node.inputs[1], lowering.element_type(given).name()));
    }
    let (own, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let operator = Operator::Move(Move::ShapeGiven { rule, shape: shape.to_vec() });
    Ok(lowering.push_typed_step(node, "shape_given", operator, vec![x, given], own, element_type))
}

/// Identity, of any element type.
pub fn identity(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    lowering.bind_output(node, 0, x);
    Ok(())
}

/// Dropout passes its input on in inference; `ratio` and `seed` concern training only.
pub fn dropout(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    match lowering.known(node, 2)? {
        None => identity(lowering, node),
        Some(training) if training.to_f32().iter().all(|&b| b == 0.0) => identity(lowering, node),
        Some(_) => Err(Refusal::new("it is in training mode", "export the model for inference (model.eval())")),
    }
}

/// A Constant whose value shape inference could not read.
pub fn constant(_: &mut Lowering, _: &OnnxNode) -> Result<(), Refusal> {
    Err(Refusal::new("its value is not an array of numbers", "export the model with numeric constants"))
}
