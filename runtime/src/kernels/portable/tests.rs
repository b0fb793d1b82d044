//! The portable kernels against a second writing of the same definitions: nested loops over indices in i64 and f32,
//! without any of the shortcuts.

mod in_place;
mod windows;

extern crate std;
use super::*;
use crate::fixed_point::Requantizer;
use crate::float_math;
use crate::kernels::Operand;
use crate::kernels::contract::{self, KernelSet, PORTABLE};
use crate::kernels::geometry::{Conv2d, MatMul, MatrixLayout, StridedLoops, Window2d};
use crate::kernels::parameters::{ChannelsI8, OutputF32, OutputI8};
use std::vec::Vec;

const NAIVE: KernelSet = KernelSet {
    conv_2d_i8,
    conv_2d_f32,
    depthwise_conv_2d_i8: |w, channels, x, weights, out| {
        // HWC to OHWI with one group per input channel.
        let (taps, outputs) = (w.kernel_elements(), w.output[2] as usize);
        let ohwi: Vec<i8> = (0..outputs * taps).map(|i| weights[(i % taps) * outputs + i / taps]).collect();
        conv_2d_i8(&Conv2d { window: *w, groups: w.input[2] }, channels, x, &ohwi, out)
    },
    depthwise_conv_2d_f32: |w, limits, x, weights, bias, out| {
        // HWC to GHWIO with one group per input channel.
        let (taps, outputs) = (w.kernel_elements(), w.output[2] as usize);
        let per_group = outputs / w.input[2] as usize;
        let ghwio: Vec<f32> = (0..outputs * taps)
            .map(|i| {
                let (group, tap, o) = (i / (taps * per_group), i / per_group % taps, i % per_group);
                weights[tap * outputs + group * per_group + o]
            })
            .collect();
        conv_2d_f32(&Conv2d { window: *w, groups: w.input[2] }, limits, x, &ghwio, bias, out)
    },
    fully_connected_i8: |n, channels, x, w, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let (row, c) = (i / channels.bias.len(), i % channels.bias.len());
            let sum: i64 = (0..n).map(|k| i64::from(x[row * n + k]) * i64::from(w[c * n + k])).sum();
            *o = finish_channel(channels, c, sum);
        }
        Some(())
    },
    fully_connected_f32: |n, limits, x, w, bias, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let (row, c) = (i / bias.len(), i % bias.len());
            *o = limit(limits, (0..n).fold(bias[c], |sum, k| sum + x[row * n + k] * w[k * bias.len() + c]));
        }
        Some(())
    },
    batch_matmul_i8: |g, q, a, b, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let sum: i64 = (0..g.k as usize)
                .map(|k| {
                    let (a_at, b_at) = matmul_indices(g, i, k);
                    (i64::from(a[a_at]) - i64::from(q.a_zero_point)) * (i64::from(b[b_at]) - i64::from(q.b_zero_point))
                })
                .sum();
            *o = finish(&q.output, requantize(q.requantizer, sum));
        }
        Some(())
    },
    batch_matmul_f32: |g, limits, a, b, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let sum = (0..g.k as usize).fold(0.0, |sum, k| {
                let (a_at, b_at) = matmul_indices(g, i, k);
                sum + a[a_at] * b[b_at]
            });
            *o = limit(limits, sum);
        }
        Some(())
    },
    add_i8: |loops, q, region, a, b, output| {
        elementwise(loops, region, a, b, output, |a, b| {
            let m = q.multiplier;
            let (a, b) = (i64::from(a) - i64::from(q.a_zero_point), i64::from(b) - i64::from(q.b_zero_point));
            let sum = a * i64::from(m.a) + b * i64::from(m.b) + (1 << (m.shift - 1));
            finish(&q.output, sum.div_euclid(1 << m.shift))
        })
    },
    mul_i8: |loops, q, region, a, b, output| {
        elementwise(loops, region, a, b, output, |a, b| {
            let product = (i64::from(a) - i64::from(q.a_zero_point)) * (i64::from(b) - i64::from(q.b_zero_point));
            finish(&q.output, requantize(q.requantizer, product))
        })
    },
    binary_f32: |loops, function, limits, region, a, b, output| {
        elementwise(loops, region, a, b, output, |a, b| {
            let value = match function {
                BinaryF32::Add => a + b,
                BinaryF32::Sub => a - b,
                BinaryF32::Mul => a * b,
                BinaryF32::Div => a / b,
            };
            limit(limits, value)
        })
    },
    table_lookup_i8: |table, region, input, output| {
        let input = elements_of(region, input);
        for (o, x) in region[output..].iter_mut().zip(input) {
            *o = table[if x < 0 { (256 + i32::from(x)) as usize } else { x as usize }];
        }
        Some(())
    },
    unary_f32: |function, region, input, output| {
        let input = elements_of(region, input);
        for (o, x) in region[output..].iter_mut().zip(input) {
            *o = match function {
                UnaryF32::Clip(limits) => limit(&limits, x),
                UnaryF32::LeakyRelu(slope) => {
                    if x < 0.0 {
                        x * slope
                    } else {
                        x
                    }
                }
                UnaryF32::Abs => {
                    if x.is_sign_negative() {
                        -x
                    } else {
                        x
                    }
                }
                UnaryF32::Neg => -x,
                UnaryF32::Reciprocal => 1.0 / x,
                UnaryF32::Sqrt => x.sqrt(),
                UnaryF32::Exp => float_math::exp(x),
                UnaryF32::Sigmoid => float_math::sigmoid(x),
                UnaryF32::Tanh => float_math::tanh(x),
                UnaryF32::Silu => x * float_math::sigmoid(x),
                UnaryF32::HardSigmoid { slope, offset } => (slope * x + offset).clamp(0.0, 1.0),
                UnaryF32::HardSwish => x * ((x + 3.0).clamp(0.0, 6.0) / 6.0),
            };
        }
        Some(())
    },
    max_pool_2d_i8: |w, x, out| {
        for (i, o) in out.iter_mut().enumerate() {
            *o = inside(w, i, w.input[2]).map(|at| x[at]).max().unwrap_or(i8::MIN);
        }
        Some(())
    },
    max_pool_2d_f32: |w, x, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let taps: Vec<f32> = inside(w, i, w.input[2]).map(|at| x[at]).collect();
            let nan = taps.iter().any(|v| v.is_nan());
            // Of two zeros the first one stays.
            let largest = taps.into_iter().fold(f32::NEG_INFINITY, |l, v| if v > l { v } else { l });
            *o = if nan { f32::NAN } else { largest };
        }
        Some(())
    },
    average_pool_2d_i8: |w, q, divisor, x, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let sum: i64 = inside(w, i, w.input[2]).map(|at| i64::from(x[at]) - i64::from(q.input_zero_point)).sum();
            let multiplier = i64::from(q.requantizer.multiplier) / divisor_of(w, i, divisor);
            let shift = q.requantizer.shift;
            let steps = (i128::from(sum) * i128::from(multiplier) + (1 << (shift - 1))).div_euclid(1 << shift);
            *o = finish(&q.output, steps.clamp(i32::MIN.into(), i32::MAX.into()) as i64);
        }
        Some(())
    },
    average_pool_2d_f32: |w, limits, divisor, x, out| {
        for (i, o) in out.iter_mut().enumerate() {
            let sum = inside(w, i, w.input[2]).fold(0.0, |sum, at| sum + x[at]);
            *o = limit(limits, sum / divisor_of(w, i, divisor) as f32);
        }
        Some(())
    },
    softmax_i8: |n, table, x, out| {
        for (x, out) in x.chunks(n).zip(out.chunks_mut(n)) {
            let max = *x.iter().max().unwrap();
            let e = |v: i8| u128::from(table[(i32::from(max) - i32::from(v)) as usize]);
            let sum: u128 = x.iter().map(|&v| e(v)).sum();
            for (o, &v) in out.iter_mut().zip(x) {
                *o = (((e(v) * 256 + sum / 2) / sum) as i64 - 128).min(127) as i8;
            }
        }
        Some(())
    },
    softmax_f32: |n, x, out| {
        for (x, out) in x.chunks(n).zip(out.chunks_mut(n)) {
            let max = x.iter().copied().fold(f32::NEG_INFINITY, |m, v| if v > m { v } else { m });
            let e: Vec<f32> = x.iter().map(|&v| float_math::exp(v - max)).collect();
            let sum = e.iter().fold(0.0, |s, v| s + v);
            for (o, e) in out.iter_mut().zip(e) {
                *o = e / sum;
            }
        }
        Some(())
    },
    strided_copy_i8: copy,
    strided_copy_f32: copy,
};

fn conv_2d_i8(conv: &Conv2d, channels: &ChannelsI8, x: &[i8], weights: &[i8], out: &mut [i8]) -> Option<()> {
    let per_group = conv.input_channels_per_group();
    let outputs = conv.window.output[2] as usize;
    for (i, o) in out.iter_mut().enumerate() {
        let c = i % outputs;
        let first_input = c / conv.output_channels_per_group() * per_group;
        let mut sum = 0i64;
        for (tap, at) in taps(&conv.window, i, outputs as u32).into_iter().enumerate() {
            for ci in 0..per_group {
                let value = at.map_or(channels.input_zero_point, |at| i32::from(x[at + first_input + ci]));
                sum += i64::from(value) * i64::from(weights[c * conv.filter_elements() + tap * per_group + ci]);
            }
        }
        *o = finish_channel(channels, c, sum);
    }
    Some(())
}

fn conv_2d_f32(conv: &Conv2d, limits: &OutputF32, x: &[f32], w: &[f32], bias: &[f32], out: &mut [f32]) -> Option<()> {
    let (per_group, outputs_per_group) = (conv.input_channels_per_group(), conv.output_channels_per_group());
    let outputs = conv.window.output[2] as usize;
    for (i, o) in out.iter_mut().enumerate() {
        let c = i % outputs;
        let group = c / outputs_per_group;
        let mut sum = bias[c];
        for (tap, at) in taps(&conv.window, i, outputs as u32).into_iter().enumerate() {
            for ci in 0..per_group {
                let Some(at) = at else { continue };
                let weight = ((group * conv.window.kernel_elements() + tap) * per_group + ci) * outputs_per_group;
                sum += x[at + group * per_group + ci] * w[weight + c % outputs_per_group];
            }
        }
        *o = limit(limits, sum);
    }
    Some(())
}

/// Index of the first channel of the input pixel under every tap of output element `element`, `None` in the padding.
fn taps(w: &Window2d, element: usize, output_channels: u32) -> Vec<Option<usize>> {
    let pixel = element as i64 / i64::from(output_channels);
    let (oy, ox) = (pixel / i64::from(w.output[1]), pixel % i64::from(w.output[1]));
    let along = |axis: usize, output: i64| {
        (0..i64::from(w.kernel[axis])).map(move |k| {
            let at = output * i64::from(w.stride[axis]) + k * i64::from(w.dilation[axis]) - i64::from(w.padding[axis]);
            (0..i64::from(w.input[axis])).contains(&at).then_some(at)
        })
    };
    let pixel =
        |y: Option<i64>, x: Option<i64>| Some(((y? * i64::from(w.input[1]) + x?) * i64::from(w.input[2])) as usize);
    along(0, oy).flat_map(|y| along(1, ox).map(move |x| pixel(y, x))).collect()
}

/// Input elements under the window of pooled element `element`.
fn inside(w: &Window2d, element: usize, channels: u32) -> impl Iterator<Item = usize> {
    let channel = element % channels as usize;
    taps(w, element, channels).into_iter().flatten().map(move |at| at + channel)
}

fn divisor_of(w: &Window2d, element: usize, divisor: Divisor) -> i64 {
    let counted = match divisor {
        Divisor::Inside => inside(w, element, w.input[2]).count(),
        Divisor::Padded { bottom, right } => {
            // The same window over an image that includes its padding.
            let [h, width, c] = w.input;
            let input = [h + w.padding[0] + bottom, width + w.padding[1] + right, c];
            inside(&Window2d { input, padding: [0, 0], ..*w }, element, c).count()
        }
    };
    counted.max(1) as i64
}

fn matmul_indices(g: &MatMul, element: usize, k: usize) -> (usize, usize) {
    let (m, kk, n) = (g.m as usize, g.k as usize, g.n as usize);
    let (batch, row, column) = (element / (m * n), element / n % m, element % n);
    let b = match g.b_layout {
        MatrixLayout::Kn => k * n + column,
        MatrixLayout::Nk => column * kk + k,
    };
    (batch * g.a_batch_stride as usize + row * kk + k, batch * g.b_batch_stride as usize + b)
}

/// All loops by their indices, results kept apart until the end.
fn elementwise<T: Copy>(
    loops: &StridedLoops<3>,
    region: &mut [T],
    a: Operand<T>,
    b: Operand<T>,
    output: usize,
    function: impl Fn(T, T) -> T,
) -> Option<()> {
    let (a, b) = (elements_of(region, a), elements_of(region, b));
    for_each_index(loops, |[i, j, o]| region[output + o] = function(a[i], b[j]));
    Some(())
}

fn copy<T: Copy>(loops: &StridedLoops<2>, source: &[T], target: &mut [T]) -> Option<()> {
    for_each_index(loops, |[from, to]| target[to] = source[from]);
    Some(())
}

fn for_each_index<const N: usize>(loops: &StridedLoops<N>, mut body: impl FnMut([usize; N])) {
    for i in 0..loops.dims.iter().product::<u32>() {
        let mut rest = i;
        let mut offsets = [0; N];
        for axis in (0..loops.dims.len()).rev() {
            let index = rest % loops.dims[axis];
            rest /= loops.dims[axis];
            for (offset, strides) in offsets.iter_mut().zip(loops.strides) {
                *offset += (index * strides[axis]) as usize;
            }
        }
        body(offsets);
    }
}

fn elements_of<T: Copy>(region: &[T], operand: Operand<T>) -> Vec<T> {
    match operand {
        Operand::Region { offset, len } => region[offset..offset + len].to_vec(),
        Operand::Constant(slice) => slice.to_vec(),
    }
}

fn requantize(factor: Requantizer, value: i64) -> i64 {
    let value = i128::from(value as i32) * i128::from(factor.multiplier) + (1 << (factor.shift - 1));
    value.div_euclid(1 << factor.shift).clamp(i32::MIN.into(), i32::MAX.into()) as i64
}

fn finish_channel(channels: &ChannelsI8, c: usize, sum: i64) -> i8 {
    let factor = Requantizer { multiplier: channels.multipliers[c], shift: channels.shifts[c] };
    finish(&channels.output, requantize(factor, sum + i64::from(channels.bias[c])))
}

fn finish(output: &OutputI8, steps: i64) -> i8 {
    (steps + i64::from(output.zero_point)).clamp(output.min.into(), output.max.into()) as i8
}

fn limit(limits: &OutputF32, value: f32) -> f32 {
    value.clamp(limits.min, limits.max)
}

#[test]
fn portable_kernels_are_the_definitions() {
    for seed in 0..4 {
        match contract::compare(&PORTABLE, &NAIVE, 1500, seed) {
            Ok(digest) => std::println!("seed {seed}: {digest:016x}"),
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
}

#[test]
fn the_contract_finds_a_wrong_kernel_and_says_where() {
    let mut wrong = PORTABLE;
    wrong.max_pool_2d_i8 = |window, input, output| {
        max_pool_2d_i8(window, input, output)?;
        *output.last_mut()? = output.last()?.wrapping_add(1);
        Some(())
    };
    let failure = contract::run(&wrong, 10, 1).unwrap_err();
    assert_eq!((failure.kernel, failure.case), ("max_pool_2d_i8", 0));
    assert!(std::format!("{failure}").starts_with("max_pool_2d_i8, case 0, element "), "{failure}");

    wrong = PORTABLE;
    wrong.softmax_f32 = |_, _, _| None;
    let failure = contract::run(&wrong, 10, 1).unwrap_err();
    assert_eq!(
        std::format!("{failure}"),
        "softmax_f32, case 0: accepted by one set of kernels and refused by the other"
    );
}

#[test]
fn the_digest_depends_on_the_seed_and_on_nothing_else() {
    let digest = |seed| contract::run(&PORTABLE, 20, seed).unwrap();
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

#[test]
fn the_arithmetic_has_not_changed() {
    assert_eq!(contract::run(&PORTABLE, contract::PINNED_CASES, 0), Ok(contract::PINNED_DIGEST));
}

/// Whatever is too short, a kernel says so and does not panic.
#[test]
fn short_slices_are_refused() {
    let window = Window2d {
        input: [4, 4, 3],
        output: [4, 4, 3],
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [1, 1],
    };
    let conv = Conv2d { window, groups: 1 };
    let q = ChannelsI8 {
        input_zero_point: 0,
        bias: &[0; 3],
        multipliers: &[1 << 30; 3],
        shifts: &[31; 3],
        output: OutputI8 { zero_point: 0, min: -128, max: 127 },
    };
    let mut output = [0; 48];
    assert!(super::conv_2d_i8(&conv, &q, &[0; 48], &[0; 81], &mut output).is_some());
    assert!(super::conv_2d_i8(&conv, &q, &[0; 47], &[0; 81], &mut output).is_none());
    assert!(super::conv_2d_i8(&conv, &q, &[0; 48], &[0; 81], &mut output[..47]).is_none());
    assert!(super::depthwise_conv_2d_i8(&window, &q, &[0; 48], &[0; 26], &mut output).is_none());
    assert!(max_pool_2d_i8(&window, &[0; 47], &mut output).is_none());
    assert!(table_lookup_i8(&[0; 256], &mut output, Operand::Region { offset: 1, len: 48 }, 0).is_none());
}

/// The stated error bound of the int8 softmax, over every pair of inputs and long rows of all inputs.
#[test]
fn softmax_i8_stays_within_its_error_bound() {
    let mut worst = 0.0f64;
    for scale in [1e-4, 0.004, 0.02, 0.1, 0.25, 1.0, 8.0] {
        for n in [1usize, 2, 3, 10, 255, 256, 257, 512, 513, 1000, 4096] {
            let bits = softmax_table_bits(n as u32);
            let unit = f64::from(1u32 << bits);
            let mut table = [0; 256];
            for (d, entry) in table.iter_mut().enumerate() {
                *entry = ((-(d as f64) * scale).exp() * unit).round() as u32;
            }
            for step in 1..=31 {
                let x: Vec<i8> = (0..n).map(|i| (i * step % 256) as u8 as i8).collect();
                let mut out = std::vec![0; n];
                softmax_i8(n, &table, &x, &mut out).unwrap();
                let max = f64::from(*x.iter().max().unwrap());
                let sum: f64 = x.iter().map(|&v| ((f64::from(v) - max) * scale).exp()).sum();
                for (&x, &o) in x.iter().zip(&out) {
                    let exact = (((f64::from(x) - max) * scale).exp() / sum * 256.0).min(255.0);
                    let error = (f64::from(o) + 128.0 - exact).abs();
                    worst = worst.max(error);
                }
            }
        }
    }
    std::println!("softmax_i8: at most {worst:.5} steps from the exact value");
    assert!(worst <= 0.501, "{worst}");
}

/// The stated error bound of the int8 softmax with other steps.
#[test]
fn softmax_in_any_steps_stays_within_its_error_bound() {
    let mut worst = 0.0f64;
    for (scale, n) in [(1e-4, 3usize), (0.02, 10), (0.1, 1), (0.1, 257), (0.25, 40), (1.0, 200), (8.0, 5)] {
        let unit = f64::from(1u32 << softmax_table_bits(n as u32));
        let table = core::array::from_fn(|d| ((-(d as f64) * scale).exp() * unit).round() as u32);
        for (steps, zero_point) in
            [(0.0039, -128), (0.02, -128), (0.007_874, 0), (0.5, 3), (0.000_11, -128), (3.0, 100)]
        {
            let requantizer = Requantizer::from_real(1.0 / (steps * f64::from(1u32 << 30))).unwrap();
            for stride in 1..=31 {
                let x: Vec<i8> = (0..n).map(|i| (i * stride % 256) as u8 as i8).collect();
                let mut out = std::vec![0; n];
                softmax_scaled_i8(n, &table, requantizer, zero_point, &x, &mut out).unwrap();
                let max = f64::from(*x.iter().max().unwrap());
                let sum: f64 = x.iter().map(|&v| ((f64::from(v) - max) * scale).exp()).sum();
                for (&x, &o) in x.iter().zip(&out) {
                    let exact = ((f64::from(x) - max) * scale).exp() / sum / steps + f64::from(zero_point);
                    worst = worst.max((f64::from(o) - exact.clamp(-128.0, 127.0)).abs());
                }
            }
        }
    }
    std::println!("softmax_scaled_i8: at most {worst:.5} steps from the exact value");
    assert!(worst <= 0.52, "{worst}");
    // A table of zeros has no shares.
    let mut out = [1; 4];
    softmax_scaled_i8(4, &[0; 256], Requantizer::ZERO, 5, &[1, 2, 3, 4], &mut out).unwrap();
    assert_eq!(out, [5; 4]);
}

#[test]
fn masked_elements_have_no_share() {
    let (n, scale) = (40usize, 0.05);
    let unit = f64::from(1u32 << softmax_table_bits(n as u32));
    let table = core::array::from_fn(|d| ((-(d as f64) * scale).exp() * unit).round() as u32);
    // Row 0 has masked elements among others near the lowest step, row 1 has nothing else, row 2 none.
    let mut x: Vec<i8> = (0..n).map(|i| if i % 3 == 0 { -128 } else { -127 + (i % 5) as i8 }).collect();
    x.extend(std::vec![-128; n]);
    x.extend((0..n).map(|i| i as i8));
    let mut out = std::vec![0; 3 * n];
    softmax_masked_i8(n, &table, &x, &mut out).unwrap();
    assert!(out[n..2 * n].iter().all(|&y| y == -128));
    for row in [0, 2] {
        let (x, out) = (&x[row * n..][..n], &out[row * n..][..n]);
        let weight = |&x: &i8| if x == -128 { 0.0 } else { (f64::from(x) * scale).exp() };
        let sum: f64 = x.iter().map(weight).sum();
        for (x, &y) in x.iter().zip(out) {
            assert!((f64::from(y) + 128.0 - weight(x) / sum * 256.0).abs() < 0.501, "{x}: {y}");
        }
    }
    let mut plain = std::vec![0; n];
    softmax_i8(n, &table, &x[2 * n..], &mut plain).unwrap();
    assert_eq!(plain, &out[2 * n..]);
}
