//! Operators over windows against loops over every index, in f64 and i64.

use crate::fixed_point::Requantizer;
use crate::kernels::geometry::{ConvNd, ConvTranspose2d, Direction, Window2d, Window3d};
use crate::kernels::parameters::{ChannelsI8, OutputF32, OutputI8};
use crate::kernels::portable::{
    conv_nd_f32, conv_transpose_2d_f32, conv_transpose_2d_i8, fill_bias_f32, max_pool_2d_f32, max_pool_nd,
};
use std::vec;
use std::vec::Vec;

/// Small integers, so that every sum in float32 is exact.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % n
    }

    fn list(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.next(256) as u8 as i8).collect()
    }
}

/// A transposed convolution over NHWC with OHWI weights by adding up what every input element gives: sums per output.
fn scattered(conv: &ConvTranspose2d, x: &[i64], weights: &[i8]) -> Vec<i64> {
    let w = &conv.window;
    let [input_height, input_width, channels] = w.input.map(|v| v as usize);
    let [height, width, outputs] = w.output.map(|v| v as usize);
    let [kernel_height, kernel_width] = w.kernel.map(|v| v as usize);
    let (per_group, outputs_per_group) = (channels / conv.groups as usize, outputs / conv.groups as usize);
    let mut sums = vec![0; height * width * outputs];
    let to = |i: usize, k: usize, axis: usize| {
        (i * w.stride[axis] as usize + k * w.dilation[axis] as usize).checked_sub(w.padding[axis] as usize)
    };
    for (at, x) in x.iter().enumerate() {
        let (iy, ix, c) = (at / channels / input_width, at / channels % input_width, at % channels);
        for ky in 0..kernel_height {
            for kx in 0..kernel_width {
                let (Some(oy), Some(ox)) = (to(iy, ky, 0), to(ix, kx, 1)) else { continue };
                if oy >= height || ox >= width {
                    continue;
                }
                for o in (0..outputs).filter(|o| o / outputs_per_group == c / per_group) {
                    let weight = weights[((o * kernel_height + ky) * kernel_width + kx) * per_group + c % per_group];
                    sums[(oy * width + ox) * outputs + o] += x * i64::from(weight);
                }
            }
        }
    }
    assert_eq!(input_height * input_width * channels, x.len());
    sums
}

#[test]
fn transposed_convolutions_add_what_every_input_gives() {
    let mut numbers = Numbers(1);
    let mut n_cases = 0;
    for _ in 0..400 {
        let groups = [1, 1, 2, 3][numbers.next(4) as usize];
        let (per_group, outputs_per_group) = (1 + numbers.next(5), 1 + numbers.next(7));
        let mut pair = |n: u32, least: u32| [least + numbers.next(n), least + numbers.next(n)];
        let (input, kernel, stride, dilation) = (pair(4, 1), pair(4, 1), pair(4, 1), pair(3, 1));
        let (padding, output) = (pair(4, 0), pair(12, 1));
        let conv = ConvTranspose2d {
            window: Window2d {
                input: [input[0], input[1], per_group * groups],
                output: [output[0], output[1], outputs_per_group * groups],
                kernel,
                stride,
                dilation,
                padding,
            },
            groups,
        };
        let conv = conv.check().unwrap();
        let n_outputs = conv.window.output[2] as usize;
        let (x, weights) = (numbers.list(conv.window.input_elements()), numbers.list(conv.weight_elements()));
        let bias: Vec<i32> = (0..n_outputs).map(|_| numbers.next(2000) as i32 - 1000).collect();
        let zero_point = numbers.next(256) as i32 - 128;

        // In int8: one step is one unit, so the accumulator comes out as it is, clamped.
        let one = Requantizer::from_real(1.0 / 64.0).unwrap();
        let channels = ChannelsI8 {
            input_zero_point: zero_point,
            bias: &bias,
            multipliers: &vec![one.multiplier; n_outputs],
            shifts: &vec![one.shift; n_outputs],
            output: OutputI8 { zero_point: 3, min: -120, max: 127 },
        };
        let shifted: Vec<i64> = x.iter().map(|&x| i64::from(x) - i64::from(zero_point)).collect();
        let expected: Vec<i8> = scattered(&conv, &shifted, &weights)
            .iter()
            .enumerate()
            .map(|(i, sum)| channels.output.requantize(one, (*sum + i64::from(bias[i % n_outputs])) as i32))
            .collect();
        let mut found = vec![0; conv.window.output_elements()];
        conv_transpose_2d_i8(&conv, &channels, &x, &weights, &mut found).unwrap();
        assert_eq!(found, expected, "{conv:?}");

        // In float32, over NHWC and in the file's layout.
        let floats = |values: &[i8]| values.iter().map(|&v| f32::from(v)).collect::<Vec<f32>>();
        let real_bias: Vec<f32> = bias.iter().map(|&b| b as f32).collect();
        let wide: Vec<i64> = x.iter().map(|&x| i64::from(x)).collect();
        let expected: Vec<f32> = scattered(&conv, &wide, &weights)
            .iter()
            .enumerate()
            .map(|(i, sum)| (*sum + i64::from(bias[i % n_outputs])) as f32)
            .collect();
        let filter = conv.filter_elements();
        let (taps, inputs) = (conv.window.kernel_elements(), per_group as usize);
        let at = |o: usize, tap: usize, i: usize| f32::from(weights[o * filter + tap * inputs + i]);
        let outputs = outputs_per_group as usize;
        let ghwio: Vec<f32> = (0..weights.len())
            .map(|n| {
                at(n / (filter * outputs) * outputs + n % outputs, n / (inputs * outputs) % taps, n / outputs % inputs)
            })
            .collect();
        let mut found = vec![0.0; expected.len()];
        let limits = OutputF32::UNBOUNDED;
        conv_transpose_2d_f32(&conv, &limits, &floats(&x), &ghwio, &real_bias, &mut found).unwrap();
        assert_eq!(found, expected, "{conv:?}");

        let planes = Window3d {
            input: [1, output[0], output[1]],
            output: [1, input[0], input[1]],
            kernel: [1, kernel[0], kernel[1]],
            stride: [1, stride[0], stride[1]],
            dilation: [1, dilation[0], dilation[1]],
            padding: [0, padding[0], padding[1]],
            padding_after: [0; 3],
        };
        let nd = ConvNd {
            window: planes,
            direction: Direction::Transposed,
            batch: 1,
            input_channels: conv.window.input[2],
            output_channels: conv.window.output[2],
            groups,
        };
        let Some(nd) = nd.check() else { continue };
        let iohw: Vec<f32> = (0..weights.len())
            .map(|n| {
                let (c, own) = (n / (taps * outputs), n / taps % outputs);
                at(c / inputs * outputs + own, n % taps, c % inputs)
            })
            .collect();
        let nchw = |values: &[f32], channels: usize| -> Vec<f32> {
            let plane = values.len() / channels;
            (0..values.len()).map(|i| values[i % plane * channels + i / plane]).collect()
        };
        let mut found = vec![f32::NAN; expected.len()];
        fill_bias_f32(&nd, Some(&real_bias), &mut found).unwrap();
        conv_nd_f32(&nd, &nchw(&floats(&x), conv.window.input[2] as usize), &iohw, &mut found).unwrap();
        assert_eq!(found, nchw(&expected, n_outputs), "{nd:?}");
        n_cases += 1;
    }
    assert!(n_cases > 200, "only {n_cases} cases");
}

/// The two layouts of a maximum, over windows that also lie in the padding.
#[test]
fn maxima_are_the_same_in_both_layouts() {
    let mut numbers = Numbers(2);
    let mut n_cases = 0;
    for _ in 0..300 {
        let channels = 1 + numbers.next(3);
        let mut pair = |n: u32, least: u32| [least + numbers.next(n), least + numbers.next(n)];
        let (input, kernel, stride, dilation, padding) = (pair(7, 1), pair(4, 1), pair(3, 1), pair(3, 1), pair(3, 0));
        let output = pair(5, 1);
        let window = Window2d {
            input: [input[0], input[1], channels],
            output: [output[0], output[1], channels],
            kernel,
            stride,
            dilation,
            padding,
        };
        let Some(window) = window.check() else { continue };
        let planes = Window3d {
            input: [1, input[0], input[1]],
            output: [1, output[0], output[1]],
            kernel: [1, kernel[0], kernel[1]],
            stride: [1, stride[0], stride[1]],
            dilation: [1, dilation[0], dilation[1]],
            padding: [0, padding[0], padding[1]],
            padding_after: [0; 3],
        };
        let x: Vec<f32> = numbers.list(window.input_elements()).iter().map(|&v| f32::from(v)).collect();
        let mut nhwc = vec![0.0; window.output_elements()];
        max_pool_2d_f32(&window, &x, &mut nhwc).unwrap();
        let nchw = |values: &[f32]| -> Vec<f32> {
            let plane = values.len() / channels as usize;
            (0..values.len()).map(|i| values[i % plane * channels as usize + i / plane]).collect()
        };
        let mut found = vec![0.0; nhwc.len()];
        max_pool_nd(&planes.check().unwrap(), &nchw(&x), &mut found).unwrap();
        assert_eq!(found, nchw(&nhwc), "{window:?}");
        n_cases += 1;
    }
    assert!(n_cases > 100, "only {n_cases} cases");
}
