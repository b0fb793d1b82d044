//! Windows that lie beside the image as a whole.

use super::case::{Case, Tensor};
use super::golden::FULL;
use crate::fixed_point::Requantizer;
use crate::operators::conv_2d::{CONV_2D_I8, Conv2dRecord};
use crate::operators::depthwise_conv_2d::{DEPTHWISE_CONV_2D_I8, DepthwiseConv2dRecord};
use crate::operators::window::WindowRecord;
use std::vec::Vec;

/// A 3x3 window over one pixel, padded by five on the top and the left: it meets the pixel in the last three of six
/// rows and columns.
#[test]
fn padding_may_be_wider_than_the_kernel() {
    let window = WindowRecord { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [5, 5, 2, 2] };
    let one = Requantizer { multiplier: 1 << 30, shift: 30 };
    let expected: Vec<u8> = (0..36).map(|i| if i / 6 >= 3 && i % 6 >= 3 { 4 } else { 0 }).collect();
    for (operator, weights, parameters) in [
        (&CONV_2D_I8, [1, 3, 3, 1].as_slice(), Conv2dRecord { window, groups: 1, limits: FULL }.emit().to_vec()),
        (&DEPTHWISE_CONV_2D_I8, &[3, 3, 1], DepthwiseConv2dRecord { window, limits: FULL }.emit().to_vec()),
    ] {
        // real = 7 - 3; the bias holds -3 times the sum of the weights.
        let inputs = [
            Tensor::i8(&[1, 1, 1, 1], 3, &[7]),
            Tensor::i8(weights, 0, &[1; 9]).constant(),
            Tensor::i32(&[-27]),
            Tensor::i32(&[one.multiplier]),
            Tensor::u8(&[one.shift]),
        ];
        let output = Tensor::i8(&[1, 6, 6, 1], 0, &[0; 36]);
        assert_eq!(Case::new(operator, &inputs, output, &parameters).run(), Ok(expected.clone()), "{}", operator.name);
    }
}
