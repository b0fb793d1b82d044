//! Gemm and MatMul.

use super::context::{Lowering, float, int};
use super::{Refusal, quantized};
use crate::graph::{Binary, Clamp, Operator, TensorId};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// alpha * A' * B' + beta * C, where ' is a transposition if the attribute says so.
///
/// A constant B becomes the weights of a fully connected layer, with alpha inside; a C with one
/// number per column becomes its bias, with beta inside.
pub fn gemm(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (alpha, beta) = (float(node, "alpha", 1.0)?, float(node, "beta", 1.0)?);
    let mut a = lowering.input(node, 0)?;
    let &[rows, columns] = lowering.shape_of(a) else { return Err(not_a_matrix("left", lowering.shape_of(a))) };
    let mut n_rows = rows;
    if int(node, "transA", 0)? != 0 {
        let operator = Operator::Transpose { permutation: vec![1, 0] };
        a = lowering.push_step(node, "transpose_a", operator, vec![a], vec![columns, rows]);
        n_rows = columns;
    }
    let transpose_b = int(node, "transB", 0)? != 0;
    let b_shape = lowering.shape(&lowering.input_name(node, 1).unwrap_or_default())?;
    let &[b_rows, b_columns] = &b_shape[..] else { return Err(not_a_matrix("right", &b_shape)) };
    let (n_inputs, n_columns) = if transpose_b { (b_columns, b_rows) } else { (b_rows, b_columns) };
    if lowering.shape_of(a)[1] != n_inputs {
        return Err(not_fitting(lowering.shape_of(a), &b_shape));
    }
    let shape = vec![n_rows, n_columns];
    let mut steps = Vec::new();
    let mut bias = None;
    if let Some(c_name) = lowering.input_name(node, 2).filter(|_| beta != 0.0) {
        match bias_of(lowering, node, n_columns, beta)? {
            Some(values) if lowering.is_constant(node, 1) => bias = Some(values),
            _ => {
                let mut c = lowering.input(node, 2)?;
                let c_shape = lowering.shape_of(c).to_vec();
                if broadcast(&c_shape, &shape).as_ref() != Some(&shape) {
                    return Err(not_fitting(&shape, &c_shape));
                }
                if beta != 1.0 {
                    let beta = lowering.constant(&format!("{c_name}_beta"), vec![1], vec![beta]);
                    let product = broadcast(&c_shape, &[1]).unwrap_or_default();
                    c = lowering.push_step(node, "beta", binary(Binary::Mul), vec![c, beta], product);
                }
                steps.push((Binary::Add, c));
            }
        }
    }
    let product = if lowering.is_constant(node, 1) {
        let weights = weights(lowering, node, a, transpose_b, alpha)?;
        let mut inputs = vec![a, weights];
        if let Some(values) = bias {
            inputs.push(lowering.constant(&format!("{}_bias", node.outputs[0]), vec![n_columns], values));
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
    push_chain(lowering, node, product, steps, shape);
    Ok(())
}

/// numpy's matmul. A constant right side becomes the weights of a fully connected layer.
pub fn matmul(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut a = lowering.input(node, 0)?;
    let a_shape = lowering.shape_of(a).to_vec();
    let b_shape = lowering.shape(&lowering.input_name(node, 1).unwrap_or_default())?;
    let Product { shape, full } = Product::of(&a_shape, &b_shape)?;
    if lowering.is_constant(node, 1) && b_shape.iter().rev().skip(2).all(|&d| d == 1) {
        let weights = weights(lowering, node, a, false, 1.0)?;
        let operator = Operator::FullyConnected { clamp: Clamp::default() };
        let mut direct = a_shape;
        if let (Some(last), Some(&n_outputs)) = (direct.last_mut(), lowering.shape_of(weights).first()) {
            *last = n_outputs;
        }
        push_shaped(lowering, node, operator, vec![a, weights], direct, shape);
        return Ok(());
    }
    let mut b = lowering.input(node, 1)?;
    // numpy: a vector on the left is a row, on the right a column, and its axis vanishes again.
    if a_shape.len() == 1 {
        a = lowering.push_step(node, "row", Operator::Reshape, vec![a], vec![1, a_shape[0]]);
    }
    if b_shape.len() == 1 {
        b = lowering.push_step(node, "column", Operator::Reshape, vec![b], vec![b_shape[0], 1]);
    }
    push_shaped(lowering, node, Operator::BatchMatmul { transpose_b: false }, vec![a, b], full, shape);
    Ok(())
}

/// Shapes of a product of two tensors.
struct Product {
    /// The result's.
    shape: Vec<usize>,
    /// The result's before axes of vectors vanish.
    full: Vec<usize>,
}

impl Product {
    fn of(a: &[usize], b: &[usize]) -> Result<Self, Refusal> {
        let (Some(&a_last), Some(&b_last)) = (a.last(), b.last()) else {
            return Err(Refusal::new("an operand is a scalar", "check the file with onnx.checker"));
        };
        let (a_matrix, b_matrix) = (a.len() > 1, b.len() > 1);
        let b_rows = if b_matrix { b[b.len() - 2] } else { b_last };
        let batch = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
        let batch = broadcast(&batch(a), &batch(b)).filter(|_| a_last == b_rows).ok_or_else(|| not_fitting(a, b))?;
        let m = if a_matrix { a[a.len() - 2] } else { 1 };
        let n = if b_matrix { b_last } else { 1 };
        let full = [&batch[..], &[m, n]].concat();
        let mut shape = batch;
        shape.extend(a_matrix.then_some(m));
        shape.extend(b_matrix.then_some(n));
        Ok(Product { shape, full })
    }
}

/// numpy's broadcast of two shapes.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|i| match (axis(a, i), axis(b, i)) {
            (a, b) if a == b || b == 1 => Some(a),
            (1, b) => Some(b),
            _ => None,
        })
        .collect()
}

/// The node's result in `shape`, from an operator that makes it in `direct`.
fn push_shaped(
    lowering: &mut Lowering,
    node: &OnnxNode,
    operator: Operator,
    inputs: Vec<TensorId>,
    direct: Vec<usize>,
    shape: Vec<usize>,
) {
    if direct == shape {
        lowering.push_output(node, 0, operator, inputs, shape, ElementType::F32);
    } else {
        let y = lowering.push_step(node, "product", operator, inputs, direct);
        lowering.push_output(node, 0, Operator::Reshape, vec![y], shape, ElementType::F32);
    }
}

/// beta * C as one number per column, when it is constant and the same for every row.
fn bias_of(lowering: &Lowering, node: &OnnxNode, n: usize, beta: f32) -> Result<Option<Vec<f32>>, Refusal> {
    if !lowering.is_constant(node, 2) {
        return Ok(None);
    }
    let Some(bias) = lowering.known_f32(node, 2)? else { return Ok(None) };
    let (c_shape, c) = (bias.shape(), bias.values());
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
        return Err(not_fitting(lowering.shape_of(a), shape));
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
) {
    let mut next = (operator, inputs);
    for (i, (function, operand)) in steps.into_iter().enumerate() {
        let y = lowering.push_step(node, &format!("step_{i}"), next.0, next.1, shape.clone());
        next = (binary(function), vec![y, operand]);
    }
    lowering.push_output(node, 0, next.0, next.1, shape, ElementType::F32);
}

fn binary(function: Binary) -> Operator {
    Operator::Binary { function, clamp: Clamp::default() }
}

fn not_a_matrix(side: &str, shape: &[usize]) -> Refusal {
    Refusal::new(format!("its {side} operand has shape {shape:?}"), "check the file with onnx.checker")
}

fn not_fitting(a: &[usize], b: &[usize]) -> Refusal {
    Refusal::new(format!("operands of shape {a:?} and {b:?} do not fit"), "check the file with onnx.checker")
}
