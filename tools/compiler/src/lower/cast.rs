//! Changes of the element type.

use super::Refusal;
use super::binary::typed;
use super::context::{Lowering, int};
use crate::graph::Operator;
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// To the type that the attribute names.
pub fn cast(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    // TensorProto.DataType.
    let to = match int(node, "to", 0)? {
        1 => ElementType::F32,
        2 => ElementType::U8,
        3 => ElementType::I8,
        6 => ElementType::I32,
        7 => ElementType::I64,
        9 => ElementType::Bool,
        other => {
            let name = match other {
                5 => "int16",
                8 => "string",
                10 => "float16",
                11 => "float64",
                16 => "bfloat16",
                _ => "a type that no image has",
            };
            return Err(Refusal::new(
                format!("it converts to {name}"),
                "float32, int8, uint8, int32, int64 and bool are supported",
            ));
        }
    };
    push(lowering, node, to)
}

/// To the type of the second input.
pub fn cast_like(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let like = lowering.any_input(node, 1)?;
    let to = lowering.element_type(like);
    push(lowering, node, to)
}

fn push(lowering: &mut Lowering, node: &OnnxNode, to: ElementType) -> Result<(), Refusal> {
    let x = typed(lowering, node, 0)?;
    let from = lowering.element_type(x);
    if from == to {
        lowering.bind_output(node, 0, x);
        return Ok(());
    }
    if let Some(other) = [from, to].into_iter().find(|t| *t == ElementType::I16) {
        return Err(Refusal::new(
            format!("it converts {} to {}, and there is no kernel for {}", from.name(), to.name(), other.name()),
            "float32, int8, uint8, int32, int64 and bool are supported",
        ));
    }
    let shape = lowering.shape_of(x).to_vec();
    lowering.push_output(node, 0, Operator::Cast, vec![x], shape, to);
    Ok(())
}
