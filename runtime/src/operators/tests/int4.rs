//! Layers with int4 weights, and what bind must refuse of them.

use super::case::{Case, Tensor};
use super::refusals::{Break, check};
use crate::operators::conv_2d::Conv2dRecord;
use crate::operators::fully_connected::FullyConnectedRecord;
use crate::operators::int4::*;
use crate::operators::limits::LimitsI8;
use crate::operators::window::WindowRecord;
use crate::tensor::ElementType;
use std::vec;
use std::vec::Vec;

const FULL: LimitsI8 = LimitsI8 { min: -128, max: 127 };
const WINDOW: WindowRecord = WindowRecord { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [0; 4] };

/// Packed weights, a bias of 1 and a factor of a half.
fn layer(x: Tensor, weights: &[u8], n: usize) -> Vec<Tensor> {
    vec![x, Tensor::u8(weights), Tensor::i32(&vec![1; n]), Tensor::i32(&vec![1 << 30; n]), Tensor::u8(&vec![31; n])]
}

const SCRATCH: (&str, Break) = ("its scratch is too small", |c| c.scratch_bytes -= 1);
const WEIGHTS: (&str, Break) = ("a constant has the wrong length", |c| c.inputs[1].shape = vec![1]);
const TYPE: (&str, Break) = ("an input has the wrong element type", |c| c.inputs[1].element_type = ElementType::I8);
const FACTOR: (&str, Break) = ("a multiplier, shift or zero point is out of range", |c| c.inputs[4].bytes[1] = 0);

#[test]
fn layers_with_int4_weights() {
    // Two pixels of two channels; the filters are 2, -3 and 7, -8.
    let x = Tensor::i8(&[1, 1, 2, 2], 0, &[10, -3, 7, 30]);
    let record = Conv2dRecord { window: WINDOW, groups: 1, limits: FULL };
    let output = Tensor::i8(&[1, 1, 2, 2], 0, &[0; 4]);
    let conv = Case::new(&CONV_2D_I4, &layer(x.clone(), &[0xd2, 0x87], 2), output.clone(), &record.emit());
    let conv = Case { scratch_bytes: 2, ..conv };
    // (2 * 10 + 3 * 3 + 1) / 2 and so on.
    let expected = Tensor::i8(&[4], 0, &[15, 48, -37, -95]).bytes;
    assert_eq!(conv.run().unwrap(), expected);
    let window: (&str, Break) = ("its window does not fit its tensors", |c| c.parameters[20] = 3);
    check(&conv, &[SCRATCH, WEIGHTS, TYPE, FACTOR, window]);
    // With a group for each channel a filter has one weight, and four bits are left over.
    let record = Conv2dRecord { groups: 2, ..record };
    let depthwise = Case::new(&CONV_2D_I4, &layer(x.clone(), &[0x02, 0x0d], 2), output, &record.emit());
    let depthwise = Case { scratch_bytes: 1, ..depthwise };
    assert_eq!(depthwise.run().unwrap(), Tensor::i8(&[4], 0, &[11, 5, 8, -44]).bytes);

    let row = Tensor { shape: vec![1, 4], ..x };
    let inputs = layer(row, &[0x11, 0x01, 0x00, 0x10], 2);
    let output = Tensor::i8(&[1, 2], 0, &[0; 2]);
    let full = Case::new(&FULLY_CONNECTED_I4, &inputs, output, &FullyConnectedRecord { limits: FULL }.emit());
    let full = Case { scratch_bytes: 4, ..full };
    assert_eq!(full.run().unwrap(), Tensor::i8(&[2], 0, &[8, 16]).bytes);
    let rows: (&str, Break) = ("its input and output have different numbers of rows", |c| c.output.shape = vec![2, 1]);
    check(&full, &[SCRATCH, WEIGHTS, TYPE, FACTOR, rows]);
}
