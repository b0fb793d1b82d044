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
        let (vectors, singles) = pixel.split_at_mut_checked(taps.in_vectors)?;
        let (wide, rest) = vectors.as_chunks_mut::<16>();
        for block in wide {
            first = block_i8(&taps, y, x, first, input, weights, padding, channels, block)?;
        }
        for block in rest.as_chunks_mut::<4>().0 {
            first = block_i8(&taps, y, x, first, input, weights, padding, channels, block)?;
        }
        for single in singles.as_chunks_mut::<1>().0 {
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
    let channel = first.checked_div(walk.multiplier)?;
    for ky in y.first..y.first.wrapping_add(y.count) {
        for kx in x.first..x.first.wrapping_add(x.count) {
            let values: [i8; N] = walk.lanes(input, walk.position(y, x, ky, kx)?, channel)?;
            add_products(&mut acc, &values, walk.weights(weights, ky, kx, first)?.first_chunk()?);
        }
    }
    if y.count < walk.kernel_height || x.count < walk.kernel_width {
        for ky in 0..walk.kernel_height {
            for kx in 0..walk.kernel_width {
                if walk.position(y, x, ky, kx).is_none() {
                    let weights = walk.weights(weights, ky, kx, first)?.first_chunk()?;
                    add_products(&mut acc, &[padding; N], weights);
                }
            }
        }
    }
    for ((target, acc), channel) in target.iter_mut().zip(acc).zip(channels.from(first)?) {
        *target = channels.output.requantize(channel.requantizer, acc.wrapping_add(channel.bias));
    }
    Some(first.wrapping_add(N))
}

/// `acc[i] += x[i] * w[i]`; the products fit int16, which SIMD units multiply faster.
#[inline(always)]
fn add_products<const N: usize>(acc: &mut [i32; N], x: &[i8; N], w: &[i8; N]) {
    for ((acc, &x), &w) in acc.iter_mut().zip(x).zip(w) {
        *acc = acc.wrapping_add(i32::from(i16::from(x) * i16::from(w)));
    }
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
        let (vectors, singles) = pixel.split_at_mut_checked(taps.in_vectors)?;
        let (wide, rest) = vectors.as_chunks_mut::<16>();
        for block in wide {
            first = block_f32(&taps, y, x, first, input, weights, bias, limits, block)?;
        }
        for block in rest.as_chunks_mut::<4>().0 {
            first = block_f32(&taps, y, x, first, input, weights, bias, limits, block)?;
        }
        for single in singles.as_chunks_mut::<1>().0 {
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
    let channel = first.checked_div(walk.multiplier)?;
    for ky in y.first..y.first.wrapping_add(y.count) {
        for kx in x.first..x.first.wrapping_add(x.count) {
            let Some(position) = walk.position(y, x, ky, kx) else { continue };
            let values: [f32; N] = walk.lanes(input, position, channel)?;
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
    /// Leading output channels that run in vectors: none when several of them share an input channel.
    in_vectors: usize,
    dilation: [usize; 2],
    kernel_height: usize,
    kernel_width: usize,
}

impl TapWalk {
    fn new(window: &Window2d) -> Option<Self> {
        let [_, width, inputs] = window.input.map(|v| v as usize);
        let outputs = window.output[2] as usize;
        let [kernel_height, kernel_width] = window.kernel.map(|v| v as usize);
        let dilation = [window.vertical().dilation(), window.horizontal().dilation()];
        let multiplier = outputs.checked_div(inputs).filter(|m| m.wrapping_mul(inputs) == outputs && *m > 0)?;
        let in_vectors = if multiplier == 1 { outputs & !3 } else { 0 };
        Some(Self { width, inputs, outputs, multiplier, in_vectors, dilation, kernel_height, kernel_width })
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

    /// The inputs of `N` output channels, the first of which sees input channel `channel`.
    #[inline(always)]
    fn lanes<T: Copy, const N: usize>(&self, input: &[T], position: usize, channel: usize) -> Option<[T; N]> {
        input.get(position.wrapping_add(channel)..)?.first_chunk().copied()
    }

    #[inline(always)]
    fn weights<'a, T>(&self, weights: &'a [T], ky: usize, kx: usize, first: usize) -> Option<&'a [T]> {
        let tap = ky.wrapping_mul(self.kernel_width).wrapping_add(kx);
        weights.get(tap.wrapping_mul(self.outputs).wrapping_add(first)..)
    }
}
