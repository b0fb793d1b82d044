//! Changes of element type: what they give, and what bind must refuse.

use super::case::{Case, Tensor};
use super::refusals::{Break, check};
use crate::fixed_point::Requantizer;
use crate::operators::Operator;
use crate::operators::conversion::{
    DEQUANTIZE_I8, DEQUANTIZE_I16, NARROW_I16, QUANTIZE_I8, QUANTIZE_I16, RESCALE_I16, RescaleRecord, WIDEN_I8,
};
use crate::tensor::{ElementType, Quantization};
use std::vec;

fn steps(element_type: ElementType, scale: f32, zero_point: i32, bytes: &[u8]) -> Tensor {
    let n = (bytes.len() / element_type.size_bytes()) as u32;
    let quantization = Quantization { scale, zero_point };
    Tensor { element_type, shape: vec![n], quantization, bytes: bytes.to_vec(), is_constant: false }
}

fn i16s(scale: f32, values: &[i16]) -> Tensor {
    steps(ElementType::I16, scale, 0, bytemuck::cast_slice(values))
}

fn case(operator: &'static Operator, input: Tensor, output: Tensor, parameters: &[u8]) -> Case {
    Case::new(operator, &[input], output, parameters)
}

#[test]
fn conversions_take_scales_from_their_tensors() {
    let reals = Tensor::f32(&[4], &[-1.0, 0.0, 0.25, 1e9]);
    let i8s = steps(ElementType::I8, 0.5, -3, &[-5i8 as u8, -3i8 as u8, -3i8 as u8, 127]);
    let wide = i16s(0.25, &[-4, 0, 1, 32767]);
    let half = RescaleRecord { requantizer: Requantizer::from_real(0.5).unwrap() }.emit();
    let double = RescaleRecord { requantizer: Requantizer::from_real(2.0).unwrap() }.emit();
    let floats = |values: &[f32]| bytemuck::cast_slice::<f32, u8>(values).to_vec();
    let check = |case: Case, expected: &[u8]| assert_eq!(case.run().unwrap(), expected, "{}", case.operator.name);
    check(case(&QUANTIZE_I8, reals.clone(), i8s.clone(), &[]), &i8s.bytes);
    check(case(&QUANTIZE_I16, reals.clone(), wide.clone(), &[]), &wide.bytes);
    check(case(&DEQUANTIZE_I8, i8s.clone(), reals.clone(), &[]), &floats(&[-1.0, 0.0, 0.0, 65.0]));
    check(case(&DEQUANTIZE_I16, wide.clone(), reals, &[]), &floats(&[-1.0, 0.0, 0.25, 8191.75]));
    check(case(&WIDEN_I8, i8s.clone(), wide.clone(), &double), &i16s(0.25, &[-4, 0, 0, 260]).bytes);
    let narrow = [-5i8, -3, -2, 127].map(|q| q as u8);
    check(case(&NARROW_I16, wide.clone(), i8s, &half), &narrow);
    let rescale = case(&RESCALE_I16, wide.clone(), i16s(0.125, &[0; 4]), &double);
    let expected = i16s(0.125, &[-8, 0, 2, 32767]).bytes;
    check(Case { in_place: Some(0), ..rescale.clone() }, &expected);
    check(rescale, &expected);
}

#[test]
fn conversions() {
    let same: (&str, Break) = ("its input and output differ in size", |c| c.output.shape = vec![3]);
    let zero: &str = "a zero point is out of range";
    let (reals, i8s) = (Tensor::f32(&[4], &[0.0; 4]), steps(ElementType::I8, 0.5, -3, &[0; 4]));
    check(
        &case(&QUANTIZE_I8, reals.clone(), i8s.clone(), &[]),
        &[
            same,
            (zero, |c| c.output.quantization.zero_point = 128),
            ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::I32),
            ("an output has the wrong element type", |c| c.output.element_type = ElementType::U8),
        ],
    );
    check(
        &case(&DEQUANTIZE_I8, i8s.clone(), reals, &[]),
        &[
            same,
            (zero, |c| c.inputs[0].quantization.zero_point = -129),
            ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::U8),
            ("an output has the wrong element type", |c| c.output.element_type = ElementType::I32),
        ],
    );
    let record = RescaleRecord { requantizer: Requantizer::from_real(2.0).unwrap() }.emit();
    check(
        &case(&WIDEN_I8, i8s, i16s(1.0, &[0; 4]), &record),
        &[
            same,
            (zero, |c| c.inputs[0].quantization.zero_point = 128),
            ("its multiplier is out of range", |c| c.parameters[4] = 63),
            ("its multiplier is out of range", |c| c.parameters.truncate(4)),
        ],
    );
}
