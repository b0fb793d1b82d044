//! Gemm and MatMul.

use super::context::{Lowering, float, int};
use super::{Refusal, quantized};
use crate::graph::{Binary, Clamp, Operator, TensorId};
use crate::import::OnnxNode;

/// alpha * A' * B' + beta * C, where ' is a transposition if the attribute says so.
///
/// A constant B becomes the weights of a fully connected layer, with alpha inside; a C with one
/// number per column becomes its bias, with beta inside.
pub fn gemm(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (alpha, beta) = (float(node, "alpha", 1.0)?, float(node, "beta", 1.0)?);
    let mut a = lowering.input(node, 0)?;
    let (_, shape) = lowering.result(node)?;
    if lowering.shape_of(a).len() != 2 || shape.len() != 2 {
        return Err(Refusal::new(
            format!("its left operand has shape {:?}", lowering.shape_of(a)),
            "check the file with onnx.checker",
        ));
    }
    if int(node, "transA", 0)? != 0 {
        let shape = vec![lowering.shape_of(a)[1], lowering.shape_of(a)[0]];
        a = lowering.push_step(node, "transpose_a", Operator::Transpose { permutation: vec![1, 0] }, vec![a], shape);
    }
    let transpose_b = int(node, "transB", 0)? != 0;
    let mut steps = Vec::new();
    let mut bias = None;
    if let Some(c_name) = lowering.input_name(node, 2).filter(|_| beta != 0.0) {
        match bias_of(lowering, node, &shape, beta)? {
            Some(values) if lowering.is_constant(node, 1) => bias = Some(values),
            _ => {
                let mut c = lowering.input(node, 2)?;
                if beta != 1.0 {
                    let c_shape = lowering.shape_of(c).to_vec();
                    let beta = lowering.constant(&format!("{c_name}_beta"), vec![1], vec![beta]);
                    c = lowering.push_step(node, "beta", binary(Binary::Mul), vec![c, beta], c_shape);
                }
                steps.push((Binary::Add, c));
            }
        }
    }
    let product = if lowering.is_constant(node, 1) {
        let weights = weights(lowering, node, a, transpose_b, alpha)?;
        let mut inputs = vec![a, weights];
        if let Some(values) = bias {
            inputs.push(lowering.constant(&format!("{}_bias", node.outputs[0]), vec![shape[1]], values));
        }
        (Operator::FullyConnected { clamp: Clamp::default() }, inputs)
    } else {
        let b = lowering.input(node, 1)?;
        if alpha != 1.0 {
            let alpha = lowering.constant(&format!("{}_alpha", node.name), vec![1], vec![alpha]);
            steps.insert(0, (Binary::Mul, alpha));
        }
        (Operator::BatchMatmul { transpose_b }, vec![a, b])
    };
    push_chain(lowering, node, product, steps, shape)
}

/// numpy's matmul. A constant right side becomes the weights of a fully connected layer.
pub fn matmul(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut a = lowering.input(node, 0)?;
    let (_, shape) = lowering.result(node)?;
    let a_shape = lowering.shape_of(a).to_vec();
    if let Some(b) = if lowering.is_constant(node, 1) { lowering.known_f32(node, 1)? } else { None }
        && b.shape().iter().rev().skip(2).all(|&d| d == 1)
    {
        let weights = weights(lowering, node, a, false, 1.0)?;
        let operator = Operator::FullyConnected { clamp: Clamp::default() };
        let mut direct = a_shape;
        if let (Some(last), Some(&n_outputs)) = (direct.last_mut(), lowering.shape_of(weights).first()) {
            *last = n_outputs;
        }
        if direct == shape {
            return lowering.push_result(node, operator, vec![a, weights]);
        }
        let y = lowering.push_step(node, "product", operator, vec![a, weights], direct);
        return lowering.push_result(node, Operator::Reshape, vec![y]);
    }
    let mut b = lowering.input(node, 1)?;
    let b_shape = lowering.shape_of(b).to_vec();
    if a_shape.is_empty() || b_shape.is_empty() {
        return Err(Refusal::new("an operand is a scalar", "check the file with onnx.checker"));
    }
    // numpy: a vector on the left is a row, on the right a column, and its axis vanishes again.
    let mut full = shape.clone();
    if a_shape.len() == 1 {
        a = lowering.push_step(node, "row", Operator::Reshape, vec![a], vec![1, a_shape[0]]);
        full.insert(full.len() - usize::from(b_shape.len() > 1), 1);
    }
    if b_shape.len() == 1 {
        b = lowering.push_step(node, "column", Operator::Reshape, vec![b], vec![b_shape[0], 1]);
        full.push(1);
    }
    let operator = Operator::BatchMatmul { transpose_b: false };
    if full == shape {
        return lowering.push_result(node, operator, vec![a, b]);
    }
    let y = lowering.push_step(node, "product", operator, vec![a, b], full);
    lowering.push_result(node, Operator::Reshape, vec![y])
}

/// beta * C as one number per column, when it is constant and the same for every row.
fn bias_of(lowering: &Lowering, node: &OnnxNode, shape: &[usize], beta: f32) -> Result<Option<Vec<f32>>, Refusal> {
    if !lowering.is_constant(node, 2) {
        return Ok(None);
    }
    let Some(bias) = lowering.known_f32(node, 2)? else { return Ok(None) };
    let (c_shape, c) = (bias.shape(), bias.values());
    let n = shape[1];
    let scaled = |x: f32| x * beta;
    Ok(match c_shape {
        _ if c.len() == 1 => Some(vec![scaled(c[0]); n]),
        [k] | [1, k] if *k == n => Some(c.iter().map(|&x| scaled(x)).collect()),
        _ => None,
    })
}

/// The constant right side of `a` as `[O, I]`, times alpha. Leading axes of 1 are dropped; a vector is a column.
fn weights(
    lowering: &mut Lowering,
    node: &OnnxNode,
    a: TensorId,
    transposed: bool,
    alpha: f32,
) -> Result<TensorId, Refusal> {
    let Some(right) = lowering.known_f32(node, 1)? else {
        return Err(Refusal::new("it has no weights", "check the file with onnx.checker"));
    };
    let (shape, b) = (right.shape(), right.values());
    let (rows, columns) = match *shape {
        [k] => (k, 1),
        [.., rows, columns] => (rows, columns),
        [] => return Err(Refusal::new("an operand is a scalar", "check the file with onnx.checker")),
    };
    let (n_outputs, n_inputs) = if transposed { (rows, columns) } else { (columns, rows) };
    if lowering.shape_of(a).last() != Some(&n_inputs) {
        let reason = format!("operands of shape {:?} and {shape:?} do not fit", lowering.shape_of(a));
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    let mut moved = Vec::with_capacity(b.len());
    for o in 0..n_outputs {
        for i in 0..n_inputs {
            moved.push(alpha * if transposed { b[o * n_inputs + i] } else { b[i * n_outputs + o] });
        }
    }
    let axis = if transposed { shape.len() - 2 } else { shape.len() - 1 };
    let mut quantization = quantized::of_weights(lowering.imported, node, axis, 0)?;
    if let Some(quantization) = &mut quantization {
        quantization.scales.iter_mut().for_each(|s| *s *= alpha.abs());
    }
    let id = lowering.constant(&format!("{}_weights", node.outputs[0]), vec![n_outputs, n_inputs], moved);
    lowering.set_quantization(id, quantization.filter(|_| alpha != 0.0));
    Ok(id)
}

/// The product, then each step on its result; the last one is the node's result.
fn push_chain(
    lowering: &mut Lowering,
    node: &OnnxNode,
    (operator, inputs): (Operator, Vec<TensorId>),
    steps: Vec<(Binary, TensorId)>,
    shape: Vec<usize>,
) -> Result<(), Refusal> {
    let mut next = (operator, inputs);
    for (i, (function, operand)) in steps.into_iter().enumerate() {
        let y = lowering.push_step(node, &format!("step_{i}"), next.0, next.1, shape.clone());
        next = (binary(function), vec![y, operand]);
    }
    lowering.push_result(node, next.0, next.1)
}

fn binary(function: Binary) -> Operator {
    Operator::Binary { function, clamp: Clamp::default() }
}
