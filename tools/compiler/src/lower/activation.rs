//! Limits and signs: functions of one element of any type.

use super::binary::{integers, one, push_pair, same_type, typed};
use super::context::{Lowering, float, int};
use super::unary;
use super::{Refusal, quantized};
use crate::graph::{Clamp, Operator, Pair, TensorId, Unary};
use crate::import::OnnxNode;
use tinfer::kernels::portable::{IntegerFunction, Relation};
use tinfer::tensor::ElementType;

/// max(x, 0).
pub fn relu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    if lowering.element_type(x) == ElementType::F32 {
        // Of a quantized tensor it is the integer 0 that counts.
        let zero = quantized::real_zero(lowering, &node.inputs[0]);
        return unary::push(lowering, node, Unary::Clamp(Clamp { min: Some(zero), max: None }));
    }
    let zero = one(lowering, node, x, 0)?;
    push_pair(lowering, node, Pair::Integer(IntegerFunction::Max), x, zero)
}

/// |x|.
pub fn abs(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    if lowering.element_type(x) == ElementType::F32 {
        return unary::push(lowering, node, Unary::Abs);
    }
    let negative = negated(lowering, node, x)?;
    push_pair(lowering, node, Pair::Integer(IntegerFunction::Max), x, negative)
}

/// -x, of float32 as a product, which fuses into layers.
pub fn neg(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    if lowering.element_type(x) == ElementType::F32 {
        let minus_one = lowering.constant(&format!("{}_minus_one", node.name), vec![], vec![-1.0]);
        return super::binary::push_product(lowering, node, x, minus_one);
    }
    let zero = one(lowering, node, x, 0)?;
    push_pair(lowering, node, Pair::Integer(IntegerFunction::Sub), zero, x)
}

/// -1, 0 or 1.
pub fn sign(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    let element_type = lowering.element_type(x);
    if element_type == ElementType::F32 {
        return unary::push(lowering, node, Unary::Sign);
    }
    let (low, high) = (if element_type == ElementType::U8 { 0 } else { -1 }, one(lowering, node, x, 1)?);
    let low = one(lowering, node, x, low)?;
    let shape = lowering.shape_of(x).to_vec();
    let minimum = Operator::Pair(Pair::Integer(IntegerFunction::Min));
    let x = lowering.push_typed_step(node, "at_most_one", minimum, vec![x, high], shape, element_type);
    push_pair(lowering, node, Pair::Integer(IntegerFunction::Max), x, low)
}

fn negated(lowering: &mut Lowering, node: &OnnxNode, x: TensorId) -> Result<TensorId, Refusal> {
    let zero = one(lowering, node, x, 0)?;
    let (shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let difference = Operator::Pair(Pair::Integer(IntegerFunction::Sub));
    let inputs = if element_type == ElementType::U8 { vec![x, zero] } else { vec![zero, x] };
    Ok(lowering.push_typed_step(node, "negative", difference, inputs, shape, element_type))
}

/// min(max(x, low), high): attributes up to operator set 10, inputs from 11.
pub fn clip(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    let element_type = lowering.element_type(x);
    let fixed = [1, 2].iter().all(|&i| lowering.input_name(node, i).is_none() || lowering.is_constant(node, i));
    if element_type == ElementType::F32 && fixed {
        let clamp = constant_limits(lowering, node)?;
        return unary::push(lowering, node, Unary::Clamp(clamp));
    }
    if element_type != ElementType::F32 {
        integers(lowering, node, x)?;
    }
    let mut y = x;
    let shape = lowering.shape_of(x).to_vec();
    for (i, function, step) in [(1, IntegerFunction::Max, "at_least"), (2, IntegerFunction::Min, "at_most")] {
        let Some(limit) = lowering.optional_input(node, i)? else { continue };
        same_type(lowering, node, x, limit)?;
        if lowering.shape_of(limit).iter().product::<usize>() != 1 {
            let reason = format!("its limit has shape {:?}", lowering.shape_of(limit));
            return Err(Refusal::new(reason, "limits must be single numbers"));
        }
        let function = match (element_type, function) {
            (ElementType::F32, IntegerFunction::Max) => Pair::Max,
            (ElementType::F32, _) => Pair::Min,
            _ => Pair::Integer(function),
        };
        let inputs = vec![y, limit];
        let last = i == 2 || lowering.input_name(node, 2).is_none();
        let operator = Operator::Pair(function);
        y = match last {
            true => lowering.push_output(node, 0, operator, inputs, shape.clone(), element_type),
            false => lowering.push_typed_step(node, step, operator, inputs, shape.clone(), element_type),
        };
    }
    lowering.bind_output(node, 0, y);
    Ok(())
}

fn constant_limits(lowering: &Lowering, node: &OnnxNode) -> Result<Clamp, Refusal> {
    let limit = |i: usize, name: &str, none: f32| -> Result<Option<f32>, Refusal> {
        let value = if lowering.imported.opset < 11 {
            float(node, name, none)?
        } else if let Some(grid) = lowering.grid_of(&node.inputs[0]) {
            match lowering.known(node, i)?.as_deref().map(|limit| quantized::real_values(limit, grid)) {
                None => none,
                Some(Some(real)) if real.len() == 1 => real[0],
                Some(_) => {
                    return Err(Refusal::new("its limit is no integer of its type", "limits must be single numbers"));
                }
            }
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
    Ok(Clamp { min, max })
}

/// Whether an element is not a number: it differs from itself.
pub fn is_nan(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    push_pair(lowering, node, Pair::Compare(Relation::NotEqual), x, x)
}

/// Whether an element is infinite, or one of the infinities.
pub fn is_inf(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let (negative, positive) = (int(node, "detect_negative", 1)? != 0, int(node, "detect_positive", 1)? != 0);
    let shape = lowering.shape_of(x).to_vec();
    let (x, limit) = match (negative, positive) {
        (true, true) => {
            let abs = Operator::Unary(Unary::Abs);
            (lowering.push_typed_step(node, "magnitude", abs, vec![x], shape, ElementType::F32), f32::INFINITY)
        }
        (true, false) => (x, f32::NEG_INFINITY),
        (false, true) => (x, f32::INFINITY),
        // NaN equals nothing.
        (false, false) => (x, f32::NAN),
    };
    let limit = lowering.constant(&format!("{}_limit", node.name), vec![], vec![limit]);
    push_pair(lowering, node, Pair::Compare(Relation::Equal), x, limit)
}
