//! Elementwise functions of two operands.

use super::Refusal;
use super::context::Lowering;
use crate::graph::{Binary, Clamp, Operator};
use crate::import::OnnxNode;

/// a + b.
pub fn add(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    binary(lowering, node, Binary::Add)
}

/// a - b.
pub fn sub(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    binary(lowering, node, Binary::Sub)
}

/// a * b.
pub fn mul(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    binary(lowering, node, Binary::Mul)
}

/// a / b for constant b: a times 1 / b, which differs in the last bit at most.
pub fn div(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let a = lowering.input(node, 0)?;
    let Some(b) = lowering.known_f32(node, 1)? else {
        return Err(Refusal::new("its divisor is missing", "check the file with onnx.checker"));
    };
    let inverse: Vec<f32> = b.values().iter().map(|&x| (1.0 / f64::from(x)) as f32).collect();
    if !inverse.iter().all(|x| x.is_finite() && *x != 0.0) {
        return Err(Refusal::new("its divisor has no finite inverse", "divide by numbers of moderate size"));
    }
    let b = lowering.constant(&format!("{}_inverse", node.inputs[1]), b.shape().to_vec(), inverse);
    lowering.push_result(node, Operator::Binary { function: Binary::Mul, clamp: Clamp::default() }, vec![a, b])
}

/// -a.
pub fn neg(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let a = lowering.input(node, 0)?;
    let minus_one = lowering.constant(&format!("{}_minus_one", node.name), vec![1], vec![-1.0]);
    lowering.push_result(node, Operator::Binary { function: Binary::Mul, clamp: Clamp::default() }, vec![a, minus_one])
}

fn binary(lowering: &mut Lowering, node: &OnnxNode, function: Binary) -> Result<(), Refusal> {
    let inputs = vec![lowering.input(node, 0)?, lowering.input(node, 1)?];
    let (_, shape) = lowering.result(node)?;
    for &x in &inputs {
        let own = lowering.shape_of(x);
        let fits =
            own.len() <= shape.len() && own.iter().rev().zip(shape.iter().rev()).all(|(&d, &out)| d == out || d == 1);
        if !fits {
            return Err(Refusal::new(
                format!("an operand of shape {own:?} does not broadcast to {shape:?}"),
                "check the file with onnx.checker",
            ));
        }
    }
    lowering.push_result(node, Operator::Binary { function, clamp: Clamp::default() }, inputs)
}
