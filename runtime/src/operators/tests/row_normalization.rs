//! Integer LayerNormalization and RMSNormalization as steps of an image: values, and what bind must refuse.

use super::case::{Case, Tensor};
use super::golden::FULL;
use super::refusals::{check, put, resize};
use crate::operators::row_normalization::{
    ROW_NORMALIZATION_I8, ROW_NORMALIZATION_I16, RowCentre, RowNormalizationRecord,
};
use crate::tensor::ElementType;
use std::vec;
use std::vec::Vec;

fn int16(shape: &[u32], values: &[i16]) -> Tensor {
    let n = values.len();
    Tensor {
        element_type: ElementType::I16,
        shape: shape.to_vec(),
        bytes: bytemuck::cast_slice(values).to_vec(),
        ..Tensor::i8(&[n as u32], 0, &[])
    }
}

const RECORD: RowNormalizationRecord =
    RowNormalizationRecord { epsilon: 0, centre: RowCentre::Mean, fraction_bits: 16, scale_shift: 10, limits: FULL };

/// Two rows of four, scales of 10 steps, biases of 1 and 2 steps.
fn case(x: Tensor, record: &RowNormalizationRecord) -> Case {
    let operator = match x.element_type {
        ElementType::I16 => &ROW_NORMALIZATION_I16,
        _ => &ROW_NORMALIZATION_I8,
    };
    let scale = int16(&[4], &[10 << 10; 4]).constant();
    let bias = Tensor::i32(&[1 << 16, 2 << 16, 1 << 16, 2 << 16]);
    Case::new(operator, &[x, scale, bias], Tensor::i8(&[2, 4], 3, &[0; 8]), &record.emit())
}

fn values(case: &Case) -> Vec<i8> {
    case.run().unwrap().into_iter().map(|byte| byte as i8).collect()
}

#[test]
fn rows_become_their_distances_from_the_mean() {
    // Mean 2, standard deviation 1, then mean 0, deviation 1; ties of y at 10 steps per unit do not occur.
    let bytes = Tensor::i8(&[2, 4], 7, &[1, 1, 3, 3, -1, 1, -1, 1]);
    assert_eq!(values(&case(bytes, &RECORD)), [-6, -5, 14, 15, -6, 15, -6, 15]);
    let words = int16(&[2, 4], &[1000, 1000, 3000, 3000, -32768, 32767, -32768, 32767]);
    assert_eq!(values(&case(words, &RECORD)), [-6, -5, 14, 15, -6, 15, -6, 15]);
}

#[test]
fn rms_measures_from_the_zero_point() {
    // Steps 3 and 4 around the zero point: root of the mean square is sqrt(12.5).
    let bytes = Tensor::i8(&[2, 4], 7, &[10, 11, 4, 3, 7, 7, 7, 7]);
    let record = RowNormalizationRecord { centre: RowCentre::ZeroPoint, ..RECORD };
    // 10 * 3 / 3.5355 = 8.49, 10 * 4 / 3.5355 = 11.31; a row of zeros leaves the bias.
    assert_eq!(values(&case(bytes, &record)), [12, 16, -4, -6, 4, 5, 4, 5]);
}

#[test]
fn normalization_refuses_what_its_kernel_cannot_bear() {
    let case = case(Tensor::i8(&[2, 4], 7, &[1; 8]), &RECORD);
    check(
        &case,
        &[
            ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::U8),
            ("an input has the wrong element type", |c| c.inputs[1].element_type = ElementType::U8),
            ("an operand that must be a constant is not", |c| c.inputs[1].is_constant = false),
            ("a constant has the wrong length", |c| resize(&mut c.inputs[2], 3)),
            ("its input and output differ in shape", |c| c.output.shape = vec![4, 2]),
            ("its numbers could overflow", |c| put(c, 7, &[0x40])),
            ("its numbers could overflow", |c| put(c, 8, &[2])),
            ("its numbers could overflow", |c| put(c, 9, &[1])),
            ("its numbers could overflow", |c| put(c, 9, &[18])),
            ("its numbers could overflow", |c| put(c, 10, &[31])),
            ("its output limits or zero point are out of range", |c| put(c, 12, &[1, 0])),
            ("an output overlaps an input", |c| c.in_place = Some(0)),
        ],
    );
}
