//! Operators that keep every element in its place: Reshape, Flatten, Squeeze, Unsqueeze, and those
//! that do nothing in inference.

use super::Refusal;
use super::binary::typed;
use super::context::Lowering;
use crate::graph::Operator;
use crate::import::OnnxNode;

/// Reshape, Flatten, Squeeze, Unsqueeze: shape inference has found the output's shape.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let (name, shape) = lowering.result(node)?;
    if lowering.shape_of(x) == shape {
        lowering.alias(&name, x);
        return Ok(());
    }
    if lowering.shape_of(x).iter().product::<usize>() != shape.iter().product::<usize>() {
        let reason = format!("its input has shape {:?}, its output {shape:?}", lowering.shape_of(x));
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    lowering.push_result(node, Operator::Reshape, vec![x])
}

/// Identity.
pub fn identity(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    let (name, _) = lowering.result(node)?;
    lowering.alias(&name, x);
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
