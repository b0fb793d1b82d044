//! Functions of two operands, choices and changes of the element type, for elements of every type.

use super::PackError;
use super::step::{StepPacker, limits_f32};
use crate::graph::{Clamp, Node, Operator, Pair, Tensor};
use tinfer::kernels::portable::{BinaryF32, IntegerFunction};
use tinfer::operators::binary::{BINARY_F32, BinaryF32Record};
use tinfer::operators::elementwise::binary_f32::{MAX_F32, MIN_F32, POW_F32, PRELU_F32};
use tinfer::operators::elementwise::cast::{
    CAST_TO_BOOL, CAST_TO_F32, CAST_TO_I8, CAST_TO_I32, CAST_TO_I64, CAST_TO_U8,
};
use tinfer::operators::elementwise::comparison::{
    COMPARE_BOOL, COMPARE_F32, COMPARE_I8, COMPARE_I32, COMPARE_I64, COMPARE_U8, ComparisonRecord,
};
use tinfer::operators::elementwise::integers::{
    BINARY_BOOL, BINARY_I32, BINARY_I64, BINARY_S8, BINARY_U8, IntegerRecord, POW_I32, POW_I64,
};
use tinfer::operators::elementwise::select::{WHERE_B1, WHERE_B4, WHERE_B8};
use tinfer::tensor::ElementType;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let (first, output) = (steps.input(node, 0), steps.output(node));
    let no_kernel = |t: &Tensor| {
        let name = if t.quantization.is_some() { "quantized int8" } else { t.element_type.name() };
        steps.error(node, format!("there is no kernel for {name}"))
    };
    if let Operator::Pair(function) = node.operator
        && function.selects()
        && output.element_type == ElementType::I8
    {
        return select_i8(steps, node, function);
    }
    let operands = node.inputs.iter().chain(&node.outputs).map(|&id| steps.graph.tensor(id));
    if let Some(quantized) = operands.clone().find(|t| t.quantization.is_some() && node.operator != Operator::Where) {
        return Err(no_kernel(quantized));
    }
    let (operator, parameters) = match node.operator {
        Operator::Pair(Pair::Div) => {
            let record = BinaryF32Record { function: BinaryF32::Div, limits: limits_f32(Clamp::default()) };
            (&BINARY_F32, record.emit().to_vec())
        }
        Operator::Pair(Pair::Max) => (&MAX_F32, vec![]),
        Operator::Pair(Pair::Min) => (&MIN_F32, vec![]),
        Operator::Pair(Pair::PRelu) => (&PRELU_F32, vec![]),
        Operator::Pair(Pair::Pow) => (&POW_F32, vec![]),
        Operator::Pair(Pair::Integer(function)) => {
            let operator = match first.element_type {
                ElementType::I8 => &BINARY_S8,
                ElementType::U8 => &BINARY_U8,
                ElementType::I32 => &BINARY_I32,
                ElementType::I64 => &BINARY_I64,
                ElementType::Bool => &BINARY_BOOL,
                ElementType::F32 | ElementType::I16 => return Err(no_kernel(first)),
            };
            (operator, IntegerRecord { function }.emit().to_vec())
        }
        Operator::Pair(Pair::IntegerPow) => {
            let operator = match first.element_type {
                ElementType::I32 => &POW_I32,
                ElementType::I64 => &POW_I64,
                _ => return Err(no_kernel(first)),
            };
            (operator, vec![])
        }
        Operator::Pair(Pair::Compare(relation)) => {
            let operator = match first.element_type {
                ElementType::F32 => &COMPARE_F32,
                ElementType::I8 => &COMPARE_I8,
                ElementType::U8 => &COMPARE_U8,
                ElementType::I32 => &COMPARE_I32,
                ElementType::I64 => &COMPARE_I64,
                ElementType::Bool => &COMPARE_BOOL,
                ElementType::I16 => return Err(no_kernel(first)),
            };
            (operator, ComparisonRecord { relation }.emit().to_vec())
        }
        Operator::Where => {
            let operator = match output.element_type.size_bytes() {
                1 => &WHERE_B1,
                4 => &WHERE_B4,
                8 => &WHERE_B8,
                _ => return Err(no_kernel(output)),
            };
            (operator, vec![])
        }
        Operator::Cast => {
            let operator = match output.element_type {
                ElementType::F32 => &CAST_TO_F32,
                ElementType::I8 => &CAST_TO_I8,
                ElementType::U8 => &CAST_TO_U8,
                ElementType::I32 => &CAST_TO_I32,
                ElementType::I64 => &CAST_TO_I64,
                ElementType::Bool => &CAST_TO_BOOL,
                ElementType::I16 => return Err(no_kernel(output)),
            };
            (operator, vec![])
        }
        _ => return Err(steps.error(node, "it is no function of two operands")),
    };
    steps.emit(node, operator, &node.inputs, &[], &parameters)
}

/// The larger or smaller of two int8 of one quantization is that of their integers.
fn select_i8(steps: &mut StepPacker<'_>, node: &Node, function: Pair) -> Result<&'static str, PackError> {
    let output = &steps.output(node).quantization;
    if node.inputs.iter().any(|&id| steps.graph.tensor(id).quantization != *output) {
        return Err(steps.error(node, "its operands have more than one quantization"));
    }
    let function = if function == Pair::Max { IntegerFunction::Max } else { IntegerFunction::Min };
    steps.emit(node, &BINARY_S8, &node.inputs, &[], &IntegerRecord { function }.emit())
}
