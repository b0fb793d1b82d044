//! Transposition, padding, concatenation.

use super::moves::dims;
use super::step::StepPacker;
use super::{PackError, int16};
use crate::graph::{Node, Operator};
use tinfer::kernels::geometry::row_major_strides;
use tinfer::operators::movement::{
    CONCAT_F32, CONCAT_I8, CONCAT_I16, ConcatRecord, PAD_F32, PAD_I8, PAD_I16, PadRecord, TRANSPOSE_F32, TRANSPOSE_I8,
    TRANSPOSE_I16, TransposeRecord,
};
use tinfer::operators::require::REQUIRE;
use tinfer::operators::sized::concat::{CONCAT_B1, CONCAT_B2, CONCAT_B4, CONCAT_B8};
use tinfer::operators::sized::of_size;
use tinfer::operators::sized::view::{VIEW_B1, VIEW_B2, VIEW_B4, VIEW_B8, ViewRecord};
use tinfer::tensor::{ElementType, MAX_RANK, quantize_i8};

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    if node.operator == Operator::Require {
        return steps.emit(node, &REQUIRE, &node.inputs, &[], &[]);
    }
    let rank = steps.output(node).shape.len();
    let Some(first) = MAX_RANK.checked_sub(rank) else {
        return Err(steps.error(node, format!("it has rank {rank}, images hold up to {MAX_RANK}")));
    };
    match &node.operator {
        Operator::Transpose { permutation } => {
            let mut record = TransposeRecord { permutation: [0, 1, 2, 3, 4] };
            for (slot, axis) in record.permutation[first..].iter_mut().zip(permutation) {
                *slot = (axis + first) as u8;
            }
            let operator = match steps.output(node).element_type {
                ElementType::F32 => &TRANSPOSE_F32,
                ElementType::I8 => &TRANSPOSE_I8,
                ElementType::I16 if steps.output(node).quantization.is_some() => &TRANSPOSE_I16,
                other => {
                    let strides = row_major_strides(dims(steps.input(node, 0)));
                    let strides = record.permutation.map(|axis| strides[usize::from(axis)] as i32);
                    let kernel = of_size([&VIEW_B1, &VIEW_B2, &VIEW_B4, &VIEW_B8], other);
                    return steps.emit(node, kernel, &node.inputs, &[], &ViewRecord { start: 0, strides }.emit());
                }
            };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
        Operator::Pad { pads, value } => {
            let mut before = [0; MAX_RANK];
            for (slot, pad) in before[first..].iter_mut().zip(pads) {
                *slot = pad[0] as u32;
            }
            let (operator, value) = match steps.output(node).element_type {
                ElementType::F32 => (&PAD_F32, value.to_bits()),
                ElementType::I16 => {
                    let nearest = int16::nearest(f64::from(*value) / int16::output_scale(steps, node)?);
                    (&PAD_I16, u32::from(nearest as u16))
                }
                _ => {
                    let (scale, zero_point) = steps.quantized(node, steps.output(node))?;
                    (&PAD_I8, u32::from(quantize_i8(f64::from(*value), scale, zero_point) as u8))
                }
            };
            steps.emit(node, operator, &node.inputs, &[], &PadRecord { before, value }.emit())
        }
        Operator::Concat { axis } => {
            let record = ConcatRecord { axis: (axis + first) as u8 };
            let operator = match steps.output(node).element_type {
                ElementType::F32 => &CONCAT_F32,
                ElementType::I8 => &CONCAT_I8,
                ElementType::I16 if steps.output(node).quantization.is_some() => &CONCAT_I16,
                other => of_size([&CONCAT_B1, &CONCAT_B2, &CONCAT_B4, &CONCAT_B8], other),
            };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
        _ => Err(steps.error(node, "it moves nothing")),
    }
}
