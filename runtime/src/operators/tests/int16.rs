//! What bind must refuse of operators on int16.

use super::case::{Case, Tensor};
use super::refusals::{Break, check};
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::operators::int16::*;
use crate::operators::movement::{CONCAT_I16, ConcatRecord};
use crate::operators::pool_2d::MaxPool2dRecord;
use crate::operators::window::WindowRecord;
use crate::tensor::{ElementType, Quantization};
use std::vec;
use std::vec::Vec;

const FULL: LimitsI16 = LimitsI16 { min: -32768, max: 32767 };
const HALF: Requantizer = Requantizer { multiplier: 1 << 30, shift: 31 };
const WINDOW: WindowRecord = WindowRecord { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0; 4] };

fn i16s(shape: &[u32], values: &[i16]) -> Tensor {
    let quantization = Quantization { scale: 1.0, zero_point: 0 };
    let bytes = bytemuck::cast_slice(values).to_vec();
    Tensor { element_type: ElementType::I16, shape: shape.to_vec(), quantization, bytes, is_constant: false }
}

fn layer(x: Tensor, weights: &[i8], n: usize) -> Vec<Tensor> {
    let weights = Tensor::i8(&[weights.len() as u32], 0, weights).constant();
    vec![x, weights, Tensor::i32(&vec![1; n]), Tensor::i32(&vec![1 << 30; n]), Tensor::u8(&vec![31; n])]
}

const ZERO: (&str, Break) = ("a zero point is not 0", |c| c.inputs[0].quantization.zero_point = 1);
const LIMITS: &str = "its output limits are out of order";
const FACTOR: &str = "its multiplier is out of range";

fn limits_at(case: &mut Case, at: usize) {
    case.parameters[at..at + 4].copy_from_slice(&[1, 0, 0, 0]);
}

#[test]
fn layers_on_int16() {
    let x = i16s(&[1, 1, 2, 2], &[100, -3, 7, 30_000]);
    let inputs = layer(x.clone(), &[2, 4, 0, -2], 2);
    let conv = Case::new(
        &CONV_2D_I16,
        &inputs,
        i16s(&[1, 1, 2, 2], &[0; 4]),
        &Conv2dI16Record { window: WINDOW, groups: 1, limits: FULL }.emit(),
    );
    // (2 * 100 - 4 * 3 + 1) / 2 and so on.
    let expected = i16s(&[4], &[95, 4, 32_767, -29_999]).bytes;
    assert_eq!(conv.run().unwrap(), expected);
    let broken: &[(&str, Break)] = &[
        ZERO,
        (LIMITS, |c| limits_at(c, 24)),
        ("a multiplier or shift is out of range", |c| c.inputs[4].bytes[1] = 0),
        ("a constant has the wrong length", |c| c.inputs[1].shape = vec![3]),
        ("an input has the wrong element type", |c| c.inputs[0].element_type = ElementType::U8),
        ("its window does not fit its tensors", |c| c.parameters[20] = 3),
    ];
    check(&conv, broken);
    let depthwise = Case::new(
        &DEPTHWISE_CONV_2D_I16,
        &layer(x.clone(), &[2, -1], 2),
        i16s(&[1, 1, 2, 2], &[0; 4]),
        &DepthwiseI16Record { window: WINDOW, limits: FULL }.emit(),
    );
    assert_eq!(depthwise.run().unwrap(), i16s(&[4], &[101, 2, 8, -14_999]).bytes);
    check(&depthwise, &[ZERO, (LIMITS, |c| limits_at(c, 20))]);
    let row = Tensor { shape: vec![1, 4], ..x };
    let inputs = layer(row, &[1, 1, 1, 0, 0, 0, 0, 1], 2);
    let full = Case::new(&FULLY_CONNECTED_I16, &inputs, i16s(&[1, 2], &[0; 2]), &FULL.emit());
    assert_eq!(full.run().unwrap(), i16s(&[2], &[53, 15_001]).bytes);
    check(
        &full,
        &[
            ZERO,
            (LIMITS, |c| limits_at(c, 0)),
            ("its input and output have different numbers of rows", |c| c.output.shape = vec![2, 1]),
        ],
    );
}

#[test]
fn elements_of_int16() {
    let (a, b) = (i16s(&[4], &[1, -2, 300, 32_767]), i16s(&[4], &[2, 2, -2, 32_767]));
    let multiplier = PairMultiplier { a: 1 << 20, b: 1 << 20, shift: 20 };
    let add = Case::new(
        &ADD_I16,
        &[a.clone(), b.clone()],
        i16s(&[4], &[0; 4]),
        &AddI16Record { multiplier, limits: FULL }.emit(),
    );
    assert_eq!(add.run().unwrap(), i16s(&[4], &[3, 0, 298, 32_767]).bytes);
    check(&add, &[ZERO, (LIMITS, |c| limits_at(c, 12)), (FACTOR, |c| c.parameters[8] = 31)]);
    let record = MulI16Record { requantizer: HALF, limits: FULL }.emit();
    let mul = Case::new(&MUL_I16, &[a.clone(), b], i16s(&[4], &[0; 4]), &record);
    assert_eq!(mul.run().unwrap(), i16s(&[4], &[1, -2, -300, 32_767]).bytes);
    check(
        &mul,
        &[
            ZERO,
            (LIMITS, |c| limits_at(c, 8)),
            (FACTOR, |c| c.parameters[4] = 63),
            ("its operands do not broadcast to its output", |c| c.output.shape = vec![2, 2]),
        ],
    );
    let record = ClampI16Record { requantizer: HALF, limits: LimitsI16 { min: 0, max: 100 } }.emit();
    let clamp = Case::new(&CLAMP_I16, core::slice::from_ref(&a), i16s(&[4], &[0; 4]), &record);
    assert_eq!(clamp.run().unwrap(), i16s(&[4], &[1, 0, 100, 100]).bytes);
    let size: (&str, Break) = ("its input and output differ in size", |c| c.output.shape = vec![3]);
    check(&clamp, &[ZERO, size, (LIMITS, |c| limits_at(c, 8)), (FACTOR, |c| c.parameters[4] = 0)]);
    let entries: Vec<i16> = (0..513).map(|i| (i * 64 - 16_384) as i16).collect();
    let inputs = [a.clone(), i16s(&[513], &entries).constant()];
    let table = Case::new(&TABLE_I16, &inputs, i16s(&[4], &[0; 4]), &[]);
    assert_eq!(table.run().unwrap(), i16s(&[4], &[1, -1, 150, 16_384]).bytes);
    check(&table, &[ZERO, size, ("a constant has the wrong length", |c| c.inputs[1].shape = vec![512])]);
    let exponentials: Vec<i32> = (0..512).map(|i| i32::from(i == 0) << 30).chain([1 << 30; 128]).collect();
    let output = Tensor { quantization: Quantization { scale: 1.0 / 32768.0, zero_point: 0 }, ..i16s(&[4], &[0; 4]) };
    let softmax = Case::new(&SOFTMAX_I16, &[a, Tensor::i32(&exponentials)], output, &[]);
    assert_eq!(softmax.run().unwrap(), i16s(&[4], &[0, 0, 0, 32_767]).bytes);
    check(
        &softmax,
        &[
            ZERO,
            ("its table is not one of exponentials", |c| c.inputs[1].bytes[3] = 0),
            ("its output is not in steps of 1/32768", |c| c.output.quantization.scale = 0.5),
            ("its input and output differ in shape", |c| c.output.shape = vec![2, 2]),
        ],
    );
}

#[test]
fn pools_and_movement_of_int16() {
    let x = i16s(&[1, 2, 1, 2], &[1, -2, 300, 32_767]);
    let window = WindowRecord { kernel: [2, 1], ..WINDOW };
    let output = i16s(&[1, 1, 1, 2], &[0; 2]);
    let record = MaxPool2dRecord { window }.emit();
    let max = Case::new(&MAX_POOL_2D_I16, core::slice::from_ref(&x), output.clone(), &record);
    assert_eq!(max.run().unwrap(), i16s(&[2], &[300, 32_767]).bytes);
    let scale: (&str, Break) = ("its input and output differ in quantization", |c| c.output.quantization.scale = 2.0);
    check(&max, &[ZERO, scale, ("its window does not fit its tensors", |c| c.output.shape = vec![1, 1, 2, 1])]);
    let record = AveragePool2dI16Record { window, requantizer: HALF, count_include_pad: false, limits: FULL }.emit();
    let average = Case::new(&AVERAGE_POOL_2D_I16, core::slice::from_ref(&x), output, &record);
    assert_eq!(average.run().unwrap(), i16s(&[2], &[75, 8191]).bytes);
    check(
        &average,
        &[
            ZERO,
            (LIMITS, |c| limits_at(c, 26)),
            (FACTOR, |c| c.parameters[24] = 0),
            ("unknown divisor", |c| c.parameters[25] = 2),
        ],
    );
    let joined = i16s(&[1, 2, 2, 2], &[0; 8]);
    let concat = Case::new(&CONCAT_I16, &[x.clone(), x], joined, &ConcatRecord { axis: 3 }.emit());
    assert_eq!(concat.run().unwrap(), i16s(&[8], &[1, -2, 1, -2, 300, 32_767, 300, 32_767]).bytes);
    check(&concat, &[scale]);
}
