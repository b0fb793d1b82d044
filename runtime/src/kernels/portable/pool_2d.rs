//! Maximum and average over windows; global pooling is a window as large as the image.

use crate::fixed_point::{Requantizer, round_shift};
use crate::float_math::round_ties_even;
use crate::kernels::geometry::{Taps, Window2d, divide_up};
use crate::kernels::parameters::{OutputF32, OutputI8};
use crate::kernels::{Activations, Apart};

/// Maximum in int8, the same quantization before and after.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` i8
/// - `output`: NHWC `[1, OH, OW, C]` i8
///
/// # Memory
/// Writes pixel after pixel ([`Strip::Pixels`](crate::kernels::geometry::Strip::Pixels) of 1).
///
/// # Algorithm
/// The largest tap inside the image, -128 when there is none.
pub fn max_pool_2d_i8_on(window: &Window2d, memory: &mut impl Activations<i8>) -> Option<()> {
    pool(window, memory, i8::MIN, |largest, x| largest.max(x), |_, _, largest, output| copy(largest, output))
}

/// [`max_pool_2d_i8_on`] with `output` apart from `input`.
pub fn max_pool_2d_i8(window: &Window2d, input: &[i8], output: &mut [i8]) -> Option<()> {
    max_pool_2d_i8_on(window, &mut Apart { input, output })
}

/// Maximum in float32.
///
/// # Shapes
/// As [`max_pool_2d_i8_on`].
///
/// # Memory
/// As [`max_pool_2d_i8_on`].
///
/// # Algorithm
/// The largest tap inside the image, minus infinity when there is none, NaN when one is NaN.
pub fn max_pool_2d_f32_on(window: &Window2d, memory: &mut impl Activations<f32>) -> Option<()> {
    let larger = |largest: f32, x: f32| if x > largest || x.is_nan() { x } else { largest };
    pool(window, memory, f32::NEG_INFINITY, larger, |_, _, largest, output| copy(largest, output))
}

/// [`max_pool_2d_f32_on`] with `output` apart from `input`.
pub fn max_pool_2d_f32(window: &Window2d, input: &[f32], output: &mut [f32]) -> Option<()> {
    max_pool_2d_f32_on(window, &mut Apart { input, output })
}

/// What an average is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    /// Taps inside the image (ONNX `count_include_pad = 0`).
    Inside,
    /// Taps inside the image and its padding (`count_include_pad = 1`).
    Padded {
        /// Rows of padding below the image.
        bottom: u32,
        /// Columns of padding right of the image.
        right: u32,
    },
}

/// Arithmetic of [`average_pool_2d_i8_on`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AveragePoolI8 {
    /// The integer that stands for 0 in the input.
    pub input_zero_point: i32,
    /// The input's scale over the output's.
    pub requantizer: Requantizer,
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// Average in int8.
///
/// # Shapes
/// As [`max_pool_2d_i8_on`].
///
/// # Memory
/// As [`max_pool_2d_i8_on`].
///
/// # Algorithm
/// With `n` the divisor and `m` taps inside the image: `acc = sum(x) - m * input_zero_point`,
/// `output = clamp(output_zero_point + ((acc * (multiplier / n) + 2^(shift-1)) >> shift), min, max)`, `multiplier / n`
/// rounded down, all in 64 bits. The relative error of `multiplier / n` is below `n / 2^30`.
pub fn average_pool_2d_i8_on(
    window: &Window2d,
    q: &AveragePoolI8,
    divisor: Divisor,
    memory: &mut impl Activations<i8>,
) -> Option<()> {
    let counts = Counts::new(window, divisor);
    let add = |sum: i32, x: i8| sum.wrapping_add(i32::from(x));
    pool(window, memory, 0i32, add, |y, x, sums, output| {
        let inside = y.taps.count.wrapping_mul(x.taps.count) as i32;
        let multiplier = q.requantizer.multiplier.checked_div(counts.divisor(y, x) as i32).unwrap_or(0);
        average(q, multiplier, inside.wrapping_mul(q.input_zero_point), sums, output);
    })
}

/// Once per window, after many inputs: a call instead of a copy for each of the channels that are folded side by side.
#[inline(never)]
pub(in crate::kernels) fn average(q: &AveragePoolI8, multiplier: i32, zero: i32, sums: &[i32], output: &mut [i8]) {
    for (output, sum) in output.iter_mut().zip(sums) {
        let acc = i64::from(sum.wrapping_sub(zero));
        *output = q.output.finish_wide(round_shift(acc * i64::from(multiplier), q.requantizer.shift));
    }
}

/// [`average_pool_2d_i8_on`] with `output` apart from `input`.
pub fn average_pool_2d_i8(
    window: &Window2d,
    q: &AveragePoolI8,
    divisor: Divisor,
    input: &[i8],
    output: &mut [i8],
) -> Option<()> {
    average_pool_2d_i8_on(window, q, divisor, &mut Apart { input, output })
}

/// The order of additions in a float32 average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SumOrder {
    /// From 0 over the taps in the order (kh, kw).
    Taps = 0,
    /// Of a window that is the whole image: every fourth tap in a lane of its own, `(l0 + l2) + (l1 + l3)`, and then the taps
    /// that are left. So does MLAS, the kernels of onnxruntime, for GlobalAveragePool.
    FourLanes = 1,
}

impl SumOrder {
    /// The order with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(SumOrder::Taps),
            1 => Some(SumOrder::FourLanes),
            _ => None,
        }
    }
}

/// Arithmetic of [`average_pool_2d_dequantized_i8_on`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AveragePoolDequantizedI8 {
    /// The integer that stands for 0 in the input.
    pub input_zero_point: i32,
    /// Real units of one input step.
    pub input_scale: f32,
    /// Real units of one output step, positive.
    pub output_scale: f32,
    /// In which order sums go.
    pub sums: SumOrder,
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// Average of int8 in float32, to the bit what a float model between DequantizeLinear and QuantizeLinear computes.
///
/// Where input and output have one scale, means lie half way between two steps often (one in `n` for an even divisor
/// `n`), and the rounding errors of the float32 sum decide. A model that is quantized already says so, and behind a
/// softmax a step more or less is seen.
///
/// # Shapes
/// As [`max_pool_2d_i8_on`].
///
/// # Memory
/// As [`max_pool_2d_i8_on`].
///
/// # Algorithm
/// `output = clamp(output_zero_point + round(sum((x - input_zero_point) * input_scale) / n / output_scale), min, max)` in
/// binary32, summed over the taps inside the image in the order that `q.sums` says, rounded to the nearest, ties to even.
pub fn average_pool_2d_dequantized_i8_on(
    window: &Window2d,
    q: &AveragePoolDequantizedI8,
    divisor: Divisor,
    memory: &mut impl Activations<i8>,
) -> Option<()> {
    let counts = Counts::new(window, divisor);
    let add = |sum: f32, x: i8| sum + i32::from(x).wrapping_sub(q.input_zero_point) as f32 * q.input_scale;
    if q.sums == SumOrder::FourLanes && is_whole_image(window) {
        return whole_image(window, memory, &add, |sums, n, output| average_dequantized(q, n as f32, sums, output));
    }
    pool(window, memory, 0.0f32, add, |y, x, sums, output| {
        average_dequantized(q, counts.divisor(y, x) as f32, sums, output);
    })
}

/// Whether one window covers every pixel, and no padding.
fn is_whole_image(window: &Window2d) -> bool {
    let [height, width, _] = window.input;
    window.kernel == [height, width] && window.padding == [0, 0] && window.dilation == [1, 1] && {
        let [output_height, output_width, _] = window.output;
        [output_height, output_width] == [1, 1]
    }
}

/// Sums of all pixels of each channel, in lanes; `finish` takes a channel's sum and the number of pixels.
fn whole_image(
    window: &Window2d,
    memory: &mut impl Activations<i8>,
    add: &impl Fn(f32, i8) -> f32,
    finish: impl Fn(&[f32], usize, &mut [i8]),
) -> Option<()> {
    let [height, width, channels] = window.input.map(|v| v as usize);
    let n = height.wrapping_mul(width);
    for channel in 0..channels {
        let pixels = memory.input().get(channel..)?.iter().step_by(channels).take(n);
        let sum = sum_in_lanes(pixels, n, add)?;
        finish(&[sum], n, memory.output().get_mut(channel..)?.first_chunk_mut::<1>()?);
    }
    Some(())
}

/// The sum of `n` pixels: every fourth one in a lane, the lanes in pairs, then what is left.
fn sum_in_lanes<'p>(mut pixels: impl Iterator<Item = &'p i8>, n: usize, add: &impl Fn(f32, i8) -> f32) -> Option<f32> {
    let mut lanes = [0.0f32; LANES];
    for _ in 0..n / LANES {
        for lane in &mut lanes {
            *lane = add(*lane, *pixels.next()?);
        }
    }
    let [l0, l1, l2, l3] = lanes;
    let sum = (l0 + l2) + (l1 + l3);
    Some(pixels.fold(sum, |sum, &x| sum + add(0.0, x)))
}

/// Partial sums of a window over the whole image.
const LANES: usize = 4;

/// As [`average`].
#[inline(never)]
fn average_dequantized(q: &AveragePoolDequantizedI8, divisor: f32, sums: &[f32], output: &mut [i8]) {
    for (output, sum) in output.iter_mut().zip(sums) {
        let steps = sum / divisor / q.output_scale;
        *output = q.output.finish(round_ties_even(steps.clamp(-FAR, FAR)) as i32);
    }
}

/// [`average_pool_2d_dequantized_i8_on`] with `output` apart from `input`.
pub fn average_pool_2d_dequantized_i8(
    window: &Window2d,
    q: &AveragePoolDequantizedI8,
    divisor: Divisor,
    input: &[i8],
    output: &mut [i8],
) -> Option<()> {
    average_pool_2d_dequantized_i8_on(window, q, divisor, &mut Apart { input, output })
}

/// Steps beyond any clamp, small enough to round.
const FAR: f32 = 1024.0;

/// Average in float32.
///
/// # Shapes
/// As [`max_pool_2d_i8_on`].
///
/// # Memory
/// As [`max_pool_2d_i8_on`].
///
/// # Algorithm
/// `clamp(sum / n, min, max)`, summed from 0 in the order (kh, kw) over the taps inside the image.
pub fn average_pool_2d_f32_on(
    window: &Window2d,
    limits: &OutputF32,
    divisor: Divisor,
    memory: &mut impl Activations<f32>,
) -> Option<()> {
    let counts = Counts::new(window, divisor);
    pool(
        window,
        memory,
        0.0f32,
        |sum, x| sum + x,
        |y, x, sums, output| {
            let divisor = counts.divisor(y, x) as f32;
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = limits.finish(sum / divisor);
            }
        },
    )
}

/// [`average_pool_2d_f32_on`] with `output` apart from `input`.
pub fn average_pool_2d_f32(
    window: &Window2d,
    limits: &OutputF32,
    divisor: Divisor,
    input: &[f32],
    output: &mut [f32],
) -> Option<()> {
    average_pool_2d_f32_on(window, limits, divisor, &mut Apart { input, output })
}

/// An output position on one axis.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Position {
    /// Index of the output.
    pub output: usize,
    /// Taps inside the image.
    pub taps: Taps,
}

/// How many taps an average is divided by.
pub(in crate::kernels) struct Counts {
    padded: Option<[u32; 2]>,
    window: Window2d,
}

impl Counts {
    pub fn new(window: &Window2d, divisor: Divisor) -> Self {
        let padded = match divisor {
            Divisor::Inside => None,
            Divisor::Padded { bottom, right } => Some([bottom, right]),
        };
        Self { padded, window: *window }
    }

    /// At least 1. Not inlined: the loops around it would be compiled once for each kind of divisor.
    #[inline(never)]
    pub fn divisor(&self, y: Position, x: Position) -> u32 {
        let Some([bottom, right]) = self.padded else {
            return (y.taps.count.wrapping_mul(x.taps.count) as u32).max(1);
        };
        let w = &self.window;
        let along = |axis: usize, output: usize, after: u32| {
            let at = |values: [u32; 2]| values.get(axis).copied().unwrap_or(0);
            // In coordinates of the padded image, which begin where the padding does.
            let size = w.input.get(axis).map_or(0, |&v| v).wrapping_add(at(w.padding)).wrapping_add(after);
            let left = size.saturating_sub((output as u32).wrapping_mul(at(w.stride)));
            divide_up(left, at(w.dilation)).min(at(w.kernel))
        };
        along(0, y.output, bottom).wrapping_mul(along(1, x.output, right)).max(1)
    }
}

/// `copy_from_slice` without its panic.
#[inline(always)]
pub(super) fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Folds every channel of every window, starting from `start`, in the order (kh, kw); `finish` makes the outputs of
/// neighbouring channels of one window.
#[inline(always)]
pub(super) fn pool<T: Copy, A: Copy>(
    window: &Window2d,
    memory: &mut impl Activations<T>,
    start: A,
    fold: impl Fn(A, T) -> A,
    finish: impl Fn(Position, Position, &[A], &mut [T]),
) -> Option<()> {
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [_, input_width, channels] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let pitch = [
        vertical.dilation().wrapping_mul(input_width).wrapping_mul(channels),
        horizontal.dilation().wrapping_mul(channels),
    ];
    // Where the next channels go.
    let mut target_at = 0usize;
    for oy in 0..output_height {
        let y = Position { output: oy, taps: vertical.taps(oy) };
        for ox in 0..output_width {
            let x = Position { output: ox, taps: horizontal.taps(ox) };
            let mut first =
                y.taps.position.wrapping_mul(input_width).wrapping_add(x.taps.position).wrapping_mul(channels);
            let end = first.wrapping_add(channels);
            while end.wrapping_sub(first) >= BLOCK {
                let folded = fold_block::<_, _, BLOCK>(memory.input(), first, pitch, y.taps, x.taps, start, &fold)?;
                finish(y, x, &folded, memory.output().get_mut(target_at..)?.first_chunk_mut::<BLOCK>()?);
                (first, target_at) = (first.wrapping_add(BLOCK), target_at.wrapping_add(BLOCK));
            }
            while first < end {
                let folded = fold_block::<_, _, 1>(memory.input(), first, pitch, y.taps, x.taps, start, &fold)?;
                finish(y, x, &folded, memory.output().get_mut(target_at..)?.first_chunk_mut::<1>()?);
                (first, target_at) = (first.wrapping_add(1), target_at.wrapping_add(1));
            }
        }
    }
    Some(())
}

/// Channels side by side.
const BLOCK: usize = 16;

#[inline(always)]
fn fold_block<T: Copy, A: Copy, const N: usize>(
    input: &[T],
    first: usize,
    [row_pitch, tap_pitch]: [usize; 2],
    y: Taps,
    x: Taps,
    start: A,
    fold: &impl Fn(A, T) -> A,
) -> Option<[A; N]> {
    let mut acc = [start; N];
    for ky in 0..y.count {
        for kx in 0..x.count {
            let at = first.wrapping_add(ky.wrapping_mul(row_pitch)).wrapping_add(kx.wrapping_mul(tap_pitch));
            let taps: &[T; N] = input.get(at..)?.first_chunk()?;
            for (acc, &tap) in acc.iter_mut().zip(taps) {
                *acc = fold(*acc, tap);
            }
        }
    }
    Some(acc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The average of a whole image as GlobalAveragePool of onnxruntime has it, written plainly.
    #[test]
    fn a_whole_image_is_summed_in_four_lanes() {
        for (size, channels) in [([8u32, 8], 6u32), ([5, 5], 5), ([1, 3], 4), ([1, 1], 1)] {
            let (n, c) = ((size[0] * size[1]) as usize, channels as usize);
            let input: Vec<i8> =
                (0..n * c).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_le_bytes()[3] as i8).collect();
            let window = Window2d {
                input: [size[0], size[1], channels],
                output: [1, 1, channels],
                kernel: size,
                stride: [1, 1],
                dilation: [1, 1],
                padding: [0, 0],
            };
            let q = AveragePoolDequantizedI8 {
                input_zero_point: -7,
                input_scale: 0.0157,
                output_scale: 0.0157,
                sums: SumOrder::FourLanes,
                output: OutputI8 { zero_point: -7, min: -128, max: 127 },
            };
            let mut found = std::vec![0; c];
            average_pool_2d_dequantized_i8(&window, &q, Divisor::Inside, &input, &mut found).unwrap();
            let expected = (0..c).map(|channel| {
                let real: Vec<f32> = (0..n).map(|i| (i32::from(input[i * c + channel]) + 7) as f32 * 0.0157).collect();
                let whole = n / 4 * 4;
                let lane = |l: usize| real[..whole].iter().skip(l).step_by(4).fold(0.0f32, |sum, x| sum + x);
                let lanes = (lane(0) + lane(2)) + (lane(1) + lane(3));
                let sum = real[whole..].iter().fold(lanes, |sum, x| sum + x);
                (sum / n as f32 / 0.0157).round_ties_even() as i8 - 7
            });
            assert_eq!(found, expected.collect::<Vec<i8>>(), "{size:?} x {channels}");
        }
    }
}
