//! Elementwise functions of two and more operands of any type, with numpy broadcasting.

use super::Refusal;
use super::context::{Lowering, element_type_refusal, int};
use crate::graph::{Binary, Clamp, Constant, Operator, Pair, TensorId, Unary};
use crate::import::OnnxNode;
use tinfer::kernels::portable::{IntegerFunction, Relation};
use tinfer::tensor::ElementType;

/// a + b.
pub fn add(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    arithmetic(lowering, node, Binary::Add, IntegerFunction::Add)
}

/// a - b.
pub fn sub(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    arithmetic(lowering, node, Binary::Sub, IntegerFunction::Sub)
}

/// a * b.
pub fn mul(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    arithmetic(lowering, node, Binary::Mul, IntegerFunction::Mul)
}

fn arithmetic(lowering: &mut Lowering, node: &OnnxNode, real: Binary, integer: IntegerFunction) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    if lowering.element_type(a) == ElementType::F32 {
        return push_binary(lowering, node, real, a, b);
    }
    integers(lowering, node, a)?;
    push_pair(lowering, node, Pair::Integer(integer), a, b)
}

/// a / b. For constant b of float32, a times 1 / b, which differs in the last bit at most.
pub fn div(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    if lowering.element_type(a) != ElementType::F32 {
        integers(lowering, node, a)?;
        return push_pair(lowering, node, Pair::Integer(IntegerFunction::Div), a, b);
    }
    if lowering.is_constant(node, 1)
        && !lowering.is_constant(node, 0)
        && let Some(divisor) = lowering.known_f32(node, 1)?
    {
        let inverse: Vec<f32> = divisor.values().iter().map(|&x| (1.0 / f64::from(x)) as f32).collect();
        if inverse.iter().all(|x| x.is_normal()) {
            let b = lowering.constant(&format!("{}_inverse", node.inputs[1]), divisor.shape().to_vec(), inverse);
            return push_product(lowering, node, a, b);
        }
    }
    let is_one = lowering.is_constant(node, 0) && lowering.known_f32(node, 0)?.is_some_and(|a| a.values() == [1.0]);
    if is_one && lowering.shape_of(a).len() <= lowering.shape_of(b).len() {
        let shape = lowering.shape_of(b).to_vec();
        lowering.push_output(node, 0, Operator::Unary(Unary::Reciprocal), vec![b], shape, ElementType::F32);
        return Ok(());
    }
    push_pair(lowering, node, Pair::Div, a, b)
}

/// The rest of an integer division.
pub fn modulo(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    integers(lowering, node, a)?;
    let function = if int(node, "fmod", 0)? == 0 { IntegerFunction::Mod } else { IntegerFunction::Rem };
    push_pair(lowering, node, Pair::Integer(function), a, b)
}

/// a to the power of b, in the type of a.
pub fn pow(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = (typed(lowering, node, 0)?, typed(lowering, node, 1)?);
    let (base, exponent) = (lowering.element_type(a), lowering.element_type(b));
    if base != ElementType::F32 {
        if !matches!(base, ElementType::I32 | ElementType::I64) {
            return Err(element_type_refusal(&node.inputs[0], base.name()));
        }
        let b = if exponent == ElementType::F32 { b } else { cast_to(lowering, node, b, base)? };
        return push_pair(lowering, node, Pair::IntegerPow, a, b);
    }
    let b = cast_to(lowering, node, b, ElementType::F32)?;
    let scalar = lowering.known(node, 1).ok().flatten().map(|v| v.to_f32());
    let shape = lowering.shape_of(a).to_vec();
    if let Some([exponent]) = scalar.as_deref()
        && exponent.is_finite()
        && lowering.shape_of(b).len() <= shape.len()
    {
        let function = match *exponent {
            2.0 => return push_product(lowering, node, a, a),
            0.5 => Unary::Sqrt,
            -1.0 => Unary::Reciprocal,
            exponent => Unary::Power { exponent },
        };
        lowering.push_output(node, 0, Operator::Unary(function), vec![a], shape, ElementType::F32);
        return Ok(());
    }
    push_pair(lowering, node, Pair::Pow, a, b)
}

/// a, below 0 times the slope.
pub fn prelu(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, slope) = (lowering.input(node, 0)?, lowering.input(node, 1)?);
    let shape = broadcast(lowering, a, slope)?;
    if shape != lowering.shape_of(a) {
        let reason = format!("its slope of shape {:?} does not broadcast to its input", lowering.shape_of(slope));
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    if let Some(slopes) = lowering.known_f32(node, 1).ok().flatten()
        && let &[slope] = slopes.values()
        && slope.is_finite()
    {
        lowering.push_output(node, 0, Operator::Unary(Unary::LeakyRelu { slope }), vec![a], shape, ElementType::F32);
        return Ok(());
    }
    push_pair(lowering, node, Pair::PRelu, a, slope)
}

/// The largest of the operands.
pub fn max(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    variadic(lowering, node, Pair::Max, IntegerFunction::Max)
}

/// The smallest of the operands.
pub fn min(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    variadic(lowering, node, Pair::Min, IntegerFunction::Min)
}

fn variadic(lowering: &mut Lowering, node: &OnnxNode, real: Pair, integer: IntegerFunction) -> Result<(), Refusal> {
    let mut y = typed(lowering, node, 0)?;
    let element_type = lowering.element_type(y);
    if element_type != ElementType::F32 {
        integers(lowering, node, y)?;
    }
    let n = node.inputs.len();
    for i in 1..n {
        let x = typed(lowering, node, i)?;
        same_type(lowering, node, y, x)?;
        let shape = broadcast(lowering, y, x)?;
        let limit = (element_type == ElementType::F32).then(|| limit_of(lowering, node, i, x, &shape)).flatten();
        let (operator, inputs) = match (limit, element_type) {
            (Some(limit), _) if lowering.shape_of(y) == shape => {
                let (min, max) = if real == Pair::Max { (Some(limit), None) } else { (None, Some(limit)) };
                (Operator::Unary(Unary::Clamp(Clamp { min, max })), vec![y])
            }
            (_, ElementType::F32) => (Operator::Pair(real), vec![y, x]),
            _ => (Operator::Pair(Pair::Integer(integer)), vec![y, x]),
        };
        y = step(lowering, node, operator, inputs, i, n - 1, shape, element_type);
    }
    lowering.bind_output(node, 0, y);
    Ok(())
}

/// The only element of a constant that does not change the result's shape: a clamp.
fn limit_of(lowering: &Lowering, node: &OnnxNode, i: usize, x: TensorId, shape: &[usize]) -> Option<f32> {
    let values = lowering.known_f32(node, i).ok().flatten()?;
    let &[limit] = values.values() else { return None };
    (limit.is_finite() && lowering.shape_of(x).len() <= shape.len()).then_some(limit)
}

/// The sum of the operands.
pub fn sum(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let y = sum_of(lowering, node, node.inputs.len() - 1)?;
    lowering.bind_output(node, 0, y);
    Ok(())
}

/// The mean of the operands: their sum times 1 / n.
pub fn mean(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let n = node.inputs.len();
    let y = sum_of(lowering, node, n)?;
    if n == 1 {
        lowering.bind_output(node, 0, y);
        return Ok(());
    }
    let share = lowering.constant(&format!("{}_share", node.name), vec![], vec![(1.0 / n as f64) as f32]);
    push_product(lowering, node, y, share)
}

/// The sum of all operands; step `last` of it is the node's result.
fn sum_of(lowering: &mut Lowering, node: &OnnxNode, last: usize) -> Result<TensorId, Refusal> {
    let mut y = lowering.input(node, 0)?;
    for i in 1..node.inputs.len() {
        let x = lowering.input(node, i)?;
        let shape = broadcast(lowering, y, x)?;
        let operator = Operator::Binary { function: Binary::Add, clamp: Clamp::default() };
        y = step(lowering, node, operator, vec![y, x], i, last, shape, ElementType::F32);
    }
    Ok(y)
}

/// Step `i` of several, of which `last` is the node's result.
#[allow(clippy::too_many_arguments)]
fn step(
    lowering: &mut Lowering,
    node: &OnnxNode,
    operator: Operator,
    inputs: Vec<TensorId>,
    i: usize,
    last: usize,
    shape: Vec<usize>,
    element_type: ElementType,
) -> TensorId {
    if i == last {
        lowering.push_output(node, 0, operator, inputs, shape, element_type)
    } else {
        lowering.push_typed_step(node, &format!("first_{}", i + 1), operator, inputs, shape, element_type)
    }
}

/// a == b.
pub fn equal(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    push_pair(lowering, node, Pair::Compare(Relation::Equal), a, b)
}

/// a < b.
pub fn less(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    push_pair(lowering, node, Pair::Compare(Relation::Less), a, b)
}

/// a <= b.
pub fn less_or_equal(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    push_pair(lowering, node, Pair::Compare(Relation::LessOrEqual), a, b)
}

/// a > b, as b < a.
pub fn greater(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    push_pair(lowering, node, Pair::Compare(Relation::Less), b, a)
}

/// a >= b, as b <= a.
pub fn greater_or_equal(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    push_pair(lowering, node, Pair::Compare(Relation::LessOrEqual), b, a)
}

/// Bit by bit, of truths and of integers.
pub fn and(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    bits(lowering, node, IntegerFunction::And)
}

/// Bit by bit, of truths and of integers.
pub fn or(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    bits(lowering, node, IntegerFunction::Or)
}

/// Bit by bit, of truths and of integers.
pub fn xor(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    bits(lowering, node, IntegerFunction::Xor)
}

fn bits(lowering: &mut Lowering, node: &OnnxNode, function: IntegerFunction) -> Result<(), Refusal> {
    let (a, b) = operands(lowering, node)?;
    if lowering.element_type(a) != ElementType::Bool {
        integers(lowering, node, a)?;
    }
    push_pair(lowering, node, Pair::Integer(function), a, b)
}

/// The other truth, or all bits the other way.
pub fn not(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    let all = match lowering.element_type(x) {
        ElementType::Bool => 1,
        ElementType::U8 => 255,
        _ => -1,
    };
    let all = one(lowering, node, x, all)?;
    push_pair(lowering, node, Pair::Integer(IntegerFunction::Xor), x, all)
}

/// The second operand where the condition holds, else the third.
pub fn select(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let condition = lowering.any_input(node, 0)?;
    let (a, b) = (typed(lowering, node, 1)?, typed(lowering, node, 2)?);
    if lowering.element_type(condition) != ElementType::Bool {
        return Err(element_type_refusal(&node.inputs[0], lowering.element_type(condition).name()));
    }
    same_type(lowering, node, a, b)?;
    let pair = broadcast(lowering, a, b)?;
    let shape = broadcast_shapes(lowering.shape_of(condition), &pair)?;
    let element_type = lowering.element_type(a);
    lowering.push_output(node, 0, Operator::Where, vec![condition, a, b], shape, element_type);
    Ok(())
}

/// Input `i`, of any element type but quantized.
pub(super) fn typed(lowering: &mut Lowering, node: &OnnxNode, i: usize) -> Result<TensorId, Refusal> {
    lowering.any_input(node, i)
}

/// Two operands of one type.
fn operands(lowering: &mut Lowering, node: &OnnxNode) -> Result<(TensorId, TensorId), Refusal> {
    let (a, b) = (typed(lowering, node, 0)?, typed(lowering, node, 1)?);
    same_type(lowering, node, a, b)?;
    Ok((a, b))
}

/// Refuses operands of two types.
pub(super) fn same_type(lowering: &Lowering, node: &OnnxNode, a: TensorId, b: TensorId) -> Result<(), Refusal> {
    let (a, b) = (lowering.element_type(a), lowering.element_type(b));
    if a == b {
        return Ok(());
    }
    let reason = format!("its operands are {} and {}, {} takes one type", a.name(), b.name(), node.operator);
    Err(Refusal::new(reason, "check the file with onnx.checker"))
}

/// Refuses what is none of the integers that have kernels.
pub(super) fn integers(lowering: &Lowering, node: &OnnxNode, x: TensorId) -> Result<(), Refusal> {
    match lowering.element_type(x) {
        ElementType::I8 | ElementType::U8 | ElementType::I32 | ElementType::I64 => Ok(()),
        other => Err(element_type_refusal(&node.inputs[0], other.name())),
    }
}

/// An integer constant of the type of `x`.
pub(super) fn one(lowering: &mut Lowering, node: &OnnxNode, x: TensorId, value: i64) -> Result<TensorId, Refusal> {
    let constant = match lowering.element_type(x) {
        ElementType::I8 => Constant::I8(vec![value as i8]),
        ElementType::U8 => Constant::U8(vec![value as u8]),
        ElementType::I32 => Constant::I32(vec![value as i32]),
        ElementType::I64 => Constant::I64(vec![value]),
        ElementType::Bool => Constant::Bool(vec![value as u8]),
        other => return Err(element_type_refusal(&node.inputs[0], other.name())),
    };
    Ok(lowering.typed_constant(&format!("{}_{value}", node.name), vec![], constant))
}

/// `x` in another element type.
pub(super) fn cast_to(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    element_type: ElementType,
) -> Result<TensorId, Refusal> {
    if lowering.element_type(x) == element_type {
        return Ok(x);
    }
    let shape = lowering.shape_of(x).to_vec();
    let step = format!("as_{}", element_type.name());
    Ok(lowering.push_typed_step(node, &step, Operator::Cast, vec![x], shape, element_type))
}

/// Adds the node's result, a function of two operands.
pub(super) fn push_pair(
    lowering: &mut Lowering,
    node: &OnnxNode,
    function: Pair,
    a: TensorId,
    b: TensorId,
) -> Result<(), Refusal> {
    let shape = broadcast(lowering, a, b)?;
    let element_type = match function {
        Pair::Compare(_) => ElementType::Bool,
        _ => lowering.element_type(a),
    };
    lowering.push_output(node, 0, Operator::Pair(function), vec![a, b], shape, element_type);
    Ok(())
}

fn push_binary(
    lowering: &mut Lowering,
    node: &OnnxNode,
    function: Binary,
    a: TensorId,
    b: TensorId,
) -> Result<(), Refusal> {
    let shape = broadcast(lowering, a, b)?;
    let operator = Operator::Binary { function, clamp: Clamp::default() };
    lowering.push_output(node, 0, operator, vec![a, b], shape, ElementType::F32);
    Ok(())
}

/// Adds the node's result, a product of float32.
pub(super) fn push_product(lowering: &mut Lowering, node: &OnnxNode, a: TensorId, b: TensorId) -> Result<(), Refusal> {
    push_binary(lowering, node, Binary::Mul, a, b)
}

fn broadcast(lowering: &Lowering, a: TensorId, b: TensorId) -> Result<Vec<usize>, Refusal> {
    broadcast_shapes(lowering.shape_of(a), lowering.shape_of(b))
}

/// The shape that two shapes broadcast to, as numpy has it.
pub(super) fn broadcast_shapes(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Refusal::new(
                format!("shapes {a:?} and {b:?} do not broadcast to one"),
                "check the file with onnx.checker",
            )),
        })
        .collect()
}
