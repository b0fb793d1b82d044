//! Activations: functions of one element.

use super::Refusal;
use super::context::{Lowering, float};
use crate::graph::{Clamp, Operator, Unary};
use crate::import::OnnxNode;

/// max(x, 0).
pub fn relu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    unary(lowering, node, Unary::Clamp(Clamp { min: Some(0.0), max: None }))
}

/// min(max(x, low), high): attributes up to operator set 10, inputs from 11.
pub fn clip(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let limit = |i: usize, name: &str, none: f32| -> Result<Option<f32>, Refusal> {
        let value = if lowering.imported.opset < 11 {
            float(node, name, none)?
        } else {
            match lowering.known_f32(node, i)? {
                None => none,
                Some(limit) if let &[x] = limit.values() => x,
                Some(limit) => {
                    return Err(Refusal::new(
                        format!("its limit has shape {:?}", limit.shape()),
                        "limits must be single numbers",
                    ));
                }
            }
        };
        Ok((value != none && value.is_finite()).then_some(value))
    };
    let (min, max) = (limit(1, "min", f32::MIN)?, limit(2, "max", f32::MAX)?);
    // ONNX: with min > max every element becomes max.
    let min = match (min, max) {
        (Some(low), Some(high)) => Some(low.min(high)),
        _ => min,
    };
    unary(lowering, node, Unary::Clamp(Clamp { min, max }))
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    unary(lowering, node, Unary::Sigmoid)
}

/// tanh(x).
pub fn tanh(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    unary(lowering, node, Unary::Tanh)
}

fn unary(lowering: &mut Lowering, node: &OnnxNode, function: Unary) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    lowering.push_result(node, Operator::Unary(function), vec![x])
}
