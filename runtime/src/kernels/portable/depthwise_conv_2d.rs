//! Depthwise convolution: every input channel has its own filters, `multiplier` of them.

use super::rows::rows_mut;
use crate::kernels::geometry::{Axis, Taps, Window2d};
use crate::kernels::parameters::{ChannelsI8, OutputF32};

/// Depthwise convolution in int8.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` i8
/// - `weights`: HWC `[KH, KW, O]` i8 with `O = C * m`; output channel `o` sees input channel `o / m`
/// - `output`: NHWC `[1, OH, OW, O]` i8, apart from `input`
///
/// # Algorithm
/// As [`super::conv_2d_i8`], one input channel per output channel.
pub fn depthwise_conv_2d_i8(
    window: &Window2d,
    channels: &ChannelsI8,
    input: &[i8],
    weights: &[i8],
    output: &mut [i8],
) -> Option<()> {
    let taps = TapWalk::new(window)?;
    let padding = channels.input_zero_point as i8;
    for_each_pixel(window, output, |y, x, pixel| {
        let mut first = 0;
        let (wide, rest) = pixel.as_chunks_mut::<16>();
        for block in wide {
            first = block_i8(&taps, y, x, first, input, weights, padding, channels, block)?;
        }
        let (narrow, rest) = rest.as_chunks_mut::<4>();
        for block in narrow {
            first = block_i8(&taps, y, x, first, input, weights, padding, channels, block)?;
        }
        for single in rest.as_chunks_mut::<1>().0 {
            first = block_i8(&taps, y, x, first, input, weights, padding, channels, single)?;
        }
        Some(())
    })
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn block_i8<const N: usize>(
    walk: &TapWalk,
    y: Taps,
    x: Taps,
    first: usize,
    input: &[i8],
    weights: &[i8],
    padding: i8,
    channels: &ChannelsI8,
    target: &mut [i8; N],
) -> Option<usize> {
    let mut acc = [0i32; N];
    let lane = walk.lane(first);
    for ky in 0..walk.kernel_height {
        for kx in 0..walk.kernel_width {
            let values = match walk.position(y, x, ky, kx) {
                Some(position) => walk.lanes(input, position, lane)?,
                None => [padding; N],
            };
            let weights: &[i8; N] = walk.weights(weights, ky, kx, first)?.first_chunk()?;
            for ((acc, &v), &w) in acc.iter_mut().zip(&values).zip(weights) {
                // The product of two int8 fits int16, which SIMD units multiply faster.
                *acc = acc.wrapping_add(i32::from(i16::from(v) * i16::from(w)));
            }
        }
    }
    for ((target, acc), channel) in target.iter_mut().zip(acc).zip(channels.from(first)?) {
        *target = channels.output.requantize(channel.requantizer, acc.wrapping_add(channel.bias));
    }
    Some(first.wrapping_add(N))
}

/// Depthwise convolution in float32.
///
/// # Shapes
/// As [`depthwise_conv_2d_i8`], `bias`: `[O]`.
///
/// # Algorithm
/// `clamp(bias[o] + sum(x * w), min, max)`, summed in the order (kh, kw); taps in the padding are left out.
pub fn depthwise_conv_2d_f32(
    window: &Window2d,
    limits: &OutputF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Option<()> {
    let taps = TapWalk::new(window)?;
    for_each_pixel(window, output, |y, x, pixel| {
        let mut first = 0;
        let (wide, rest) = pixel.as_chunks_mut::<16>();
        for block in wide {
            first = block_f32(&taps, y, x, first, input, weights, bias, limits, block)?;
        }
        let (narrow, rest) = rest.as_chunks_mut::<4>();
        for block in narrow {
            first = block_f32(&taps, y, x, first, input, weights, bias, limits, block)?;
        }
        for single in rest.as_chunks_mut::<1>().0 {
            first = block_f32(&taps, y, x, first, input, weights, bias, limits, single)?;
        }
        Some(())
    })
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn block_f32<const N: usize>(
    walk: &TapWalk,
    y: Taps,
    x: Taps,
    first: usize,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    limits: &OutputF32,
    target: &mut [f32; N],
) -> Option<usize> {
    let mut acc: [f32; N] = *bias.get(first..)?.first_chunk()?;
    let lane = walk.lane(first);
    for ky in y.first..y.first.wrapping_add(y.count) {
        for kx in x.first..x.first.wrapping_add(x.count) {
            let Some(position) = walk.position(y, x, ky, kx) else { continue };
            let values: [f32; N] = walk.lanes(input, position, lane)?;
            let weights: &[f32; N] = walk.weights(weights, ky, kx, first)?.first_chunk()?;
            for ((acc, &v), &w) in acc.iter_mut().zip(&values).zip(weights) {
                *acc += v * w;
            }
        }
    }
    *target = acc.map(|v| limits.finish(v));
    Some(first.wrapping_add(N))
}

/// Calls `pixel(rows, columns, output channels)` for every output position.
#[inline(always)]
fn for_each_pixel<T>(
    window: &Window2d,
    output: &mut [T],
    mut pixel: impl FnMut(Taps, Taps, &mut [T]) -> Option<()>,
) -> Option<()> {
    let (vertical, horizontal): (Axis, Axis) = (window.vertical(), window.horizontal());
    let [_, width, channels] = window.output.map(|v| v as usize);
    let row_elements = width.wrapping_mul(channels);
    for (oy, row) in rows_mut(output.get_mut(..window.output_elements())?, row_elements).enumerate() {
        let y = vertical.taps(oy);
        for (ox, target) in rows_mut(row, channels).enumerate() {
            pixel(y, horizontal.taps(ox), target)?;
        }
    }
    Some(())
}

/// Where taps lie in the input and in HWC weights.
struct TapWalk {
    width: usize,
    inputs: usize,
    outputs: usize,
    multiplier: usize,
    dilation: [usize; 2],
    kernel_height: usize,
    kernel_width: usize,
}

/// Input channel of an output channel, and how many output channels before it share that channel.
#[derive(Clone, Copy)]
struct Lane {
    channel: usize,
    used: usize,
}

impl TapWalk {
    fn new(window: &Window2d) -> Option<Self> {
        let [_, width, inputs] = window.input.map(|v| v as usize);
        let outputs = window.output[2] as usize;
        let [kernel_height, kernel_width] = window.kernel.map(|v| v as usize);
        let dilation = [window.vertical().dilation(), window.horizontal().dilation()];
        let multiplier = outputs.checked_div(inputs).filter(|m| m.wrapping_mul(inputs) == outputs && *m > 0)?;
        Some(Self { width, inputs, outputs, multiplier, dilation, kernel_height, kernel_width })
    }

    /// Index of the first channel of the pixel under tap (ky, kx), `None` in the padding.
    #[inline(always)]
    fn position(&self, y: Taps, x: Taps, ky: usize, kx: usize) -> Option<usize> {
        let (dy, dx) = (ky.checked_sub(y.first)?, kx.checked_sub(x.first)?);
        if dy >= y.count || dx >= x.count {
            return None;
        }
        let row = y.position.wrapping_add(dy.wrapping_mul(self.dilation[0]));
        let column = x.position.wrapping_add(dx.wrapping_mul(self.dilation[1]));
        Some(row.wrapping_mul(self.width).wrapping_add(column).wrapping_mul(self.inputs))
    }

    #[inline(always)]
    fn lane(&self, output_channel: usize) -> Lane {
        let channel = output_channel.checked_div(self.multiplier).unwrap_or(0);
        Lane { channel, used: output_channel.wrapping_sub(channel.wrapping_mul(self.multiplier)) }
    }

    /// The inputs of `N` output channels.
    #[inline(always)]
    fn lanes<T: Copy, const N: usize>(&self, input: &[T], position: usize, lane: Lane) -> Option<[T; N]> {
        let from = input.get(position.wrapping_add(lane.channel)..)?;
        if self.multiplier == 1 {
            return from.first_chunk().copied();
        }
        let mut values = [*from.first()?; N];
        let (mut channel, mut used) = (0, lane.used);
        for value in &mut values {
            *value = *from.get(channel)?;
            used += 1;
            if used >= self.multiplier {
                used = 0;
                channel += 1;
            }
        }
        Some(values)
    }

    #[inline(always)]
    fn weights<'a, T>(&self, weights: &'a [T], ky: usize, kx: usize, first: usize) -> Option<&'a [T]> {
        let tap = ky.wrapping_mul(self.kernel_width).wrapping_add(kx);
        weights.get(tap.wrapping_mul(self.outputs).wrapping_add(first)..)
    }
}
