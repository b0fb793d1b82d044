//! QuantizeLinear and DequantizeLinear computed as they are written: between tensors of real numbers and tensors of
//! plain integers.
//!
//! For scales that are known at run time only, or that belong to slices of an activation. Everything else is held as
//! real values on a grid, see [`super::quantized`].

use super::Refusal;
use super::context::{Lowering, axis, int};
use crate::graph::{Binary, Clamp, Constant, Grid, Move, Operator, Pair, TensorId, Unary};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// y = (x - zero_point) * scale.
pub fn dequantize(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.integers(&node.inputs[0])?;
    let shape = lowering.shape_of(x).to_vec();
    let mut real = cast(lowering, node, "real", x, ElementType::F32);
    if let Some(zero_point) = lowering.optional_input(node, 2)? {
        let zero_point = cast(lowering, node, "zero", zero_point, ElementType::F32);
        let zero_point = along(lowering, node, "zero_along", zero_point, &shape)?;
        real = lowering.push_step(node, "steps", binary(Binary::Sub), vec![real, zero_point], shape.clone());
    }
    let scale = lowering.input(node, 1)?;
    let scale = along(lowering, node, "scale_along", scale, &shape)?;
    lowering.push_output(node, 0, binary(Binary::Mul), vec![real, scale], shape, ElementType::F32);
    Ok(())
}

/// y = saturate(round(x / scale) + zero_point), ties to even.
pub fn quantize(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let zero_point = lowering.optional_input(node, 2)?;
    let to = match (zero_point.map(|z| lowering.element_type(z)), int(node, "output_dtype", 0)?) {
        (Some(to), _) => to,
        (None, 0 | 2) => ElementType::U8,
        (None, 3) => ElementType::I8,
        (None, other) => {
            return Err(Refusal::new(format!("its output_dtype is {other}"), "quantize to int8 or uint8"));
        }
    };
    let (low, high) = match to {
        ElementType::U8 => (0.0, 255.0),
        ElementType::I8 => (-128.0, 127.0),
        other => {
            return Err(Refusal::new(
                format!("its integers are {}, int8 and uint8 are supported", other.name()),
                "quantize activations to int8 or uint8",
            ));
        }
    };
    let scale = lowering.input(node, 1)?;
    let scale = along(lowering, node, "scale_along", scale, &shape)?;
    let steps = lowering.push_step(node, "divided", Operator::Pair(Pair::Div), vec![x, scale], shape.clone());
    let mut steps = lowering.push_step(node, "rounded", Operator::Unary(Unary::Round), vec![steps], shape.clone());
    if let Some(zero_point) = zero_point {
        let zero_point = cast(lowering, node, "zero", zero_point, ElementType::F32);
        let zero_point = along(lowering, node, "zero_along", zero_point, &shape)?;
        steps = lowering.push_step(node, "moved", binary(Binary::Add), vec![steps, zero_point], shape.clone());
    }
    let saturate = Operator::Unary(Unary::Clamp(Clamp { min: Some(low), max: Some(high) }));
    let steps = lowering.push_step(node, "saturated", saturate, vec![steps], shape.clone());
    lowering.push_output(node, 0, Operator::Cast, vec![steps], shape, to);
    Ok(())
}

/// The integers that real values on a grid stand for: `x / scale + zero_point`.
pub fn integers(
    lowering: &mut Lowering,
    name: &str,
    x: TensorId,
    (grid, zero_step): (Grid, i32),
    to: ElementType,
) -> TensorId {
    let shape = lowering.shape_of(x).to_vec();
    let scale = lowering.constant(&format!("{name}/scale"), vec![], vec![grid.scale]);
    let zero = lowering.constant(&format!("{name}/zero"), vec![], vec![(grid.zero_point - zero_step) as f32]);
    let mut step = |suffix: &str, operator: Operator, inputs: Vec<TensorId>, element_type: ElementType| {
        let output = lowering.typed_tensor(&format!("{name}/{suffix}"), shape.clone(), element_type);
        lowering.push(format!("{name}/{suffix}"), "", operator, inputs, output);
        output
    };
    let steps = step("divided", Operator::Pair(Pair::Div), vec![x, scale], ElementType::F32);
    let steps = step("rounded", Operator::Unary(Unary::Round), vec![steps], ElementType::F32);
    let steps = step("moved", binary(Binary::Add), vec![steps, zero], ElementType::F32);
    step("integers", Operator::Cast, vec![steps], to)
}

fn binary(function: Binary) -> Operator {
    Operator::Binary { function, clamp: Clamp::default() }
}

fn cast(lowering: &mut Lowering, node: &OnnxNode, step: &str, x: TensorId, to: ElementType) -> TensorId {
    if lowering.element_type(x) == to {
        return x;
    }
    let shape = lowering.shape_of(x).to_vec();
    lowering.push_typed_step(node, step, Operator::Cast, vec![x], shape, to)
}

/// One number, one for each slice along the node's axis, or one for each block of slices, in a shape that broadcasts to the
/// tensor's.
fn along(
    lowering: &mut Lowering,
    node: &OnnxNode,
    step: &str,
    parameter: TensorId,
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let own = lowering.shape_of(parameter).to_vec();
    if own.iter().product::<usize>() == 1 {
        let one = vec![1; shape.len().min(1)];
        return Ok(match own == one {
            true => parameter,
            false => lowering.push_step(node, step, Operator::Reshape, vec![parameter], one),
        });
    }
    let axis = axis(int(node, "axis", 1)?, shape.len())?;
    let block = usize::try_from(int(node, "block_size", 0)?).unwrap_or(0);
    if block > 0 {
        let mut blocks = shape.to_vec();
        blocks[axis] = shape[axis].div_ceil(block);
        if own != blocks {
            return Err(Refusal::new(
                format!(
                    "its scales of shape {own:?} do not belong to blocks of {block} along axis {axis} of {shape:?}"
                ),
                "check the file with onnx.checker",
            ));
        }
        let numbers = Constant::I64((0..shape[axis]).map(|i| (i / block) as i64).collect());
        let numbers = lowering.typed_constant(&format!("{}/{step}_blocks", node.name), vec![shape[axis]], numbers);
        let gather = Operator::Move(Move::Gather { axis });
        return Ok(lowering.push_step(node, step, gather, vec![parameter, numbers], shape.to_vec()));
    }
    if own.len() != 1 || own[0] != shape[axis] {
        return Err(Refusal::new(
            format!("its scales of shape {own:?} do not belong to slices along axis {axis} of {shape:?}"),
            "quantize per tensor, along one axis, or in blocks of it",
        ));
    }
    let mut wide = vec![1; shape.len()];
    wide[axis] = own[0];
    Ok(lowering.push_step(node, step, Operator::Reshape, vec![parameter], wide))
}

/// Whether a node of the two has to be computed as it is written.
pub fn is_plain(lowering: &Lowering, node: &OnnxNode) -> bool {
    let several = |i: usize| lowering.known(node, i).is_ok_and(|v| v.is_some_and(|v| v.n_elements() > 1));
    let at_run_time = |i: usize| node.inputs.get(i).is_some_and(|n| !n.is_empty()) && !lowering.is_constant(node, i);
    let reads_integers = node.operator == "DequantizeLinear" && lowering.holds_integers(&node.inputs[0]);
    at_run_time(1) || at_run_time(2) || several(1) || lowering.is_constant(node, 0) || reads_integers
}
