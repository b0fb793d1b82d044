//! Depthwise convolution: every input channel has its own filters, `multiplier` of them.

use crate::kernels::geometry::{Taps, Window2d};
use crate::kernels::parameters::{ChannelsI8, OutputF32};
use crate::kernels::{Activations, Apart};

/// Depthwise convolution in int8.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` i8
/// - `weights`: HWC `[KH, KW, O]` i8 with `O = C * m`; output channel `o` sees input channel `o / m`
/// - `output`: NHWC `[1, OH, OW, O]` i8
///
/// # Memory
/// Writes pixel after pixel ([`Strip::Pixels`](crate::kernels::geometry::Strip::Pixels) of 1).
///
/// # Algorithm
/// As [`super::conv_2d_i8`], one input channel per output channel.
pub fn depthwise_conv_2d_i8_on(
    window: &Window2d,
    channels: &ChannelsI8,
    memory: &mut impl Activations<i8>,
    weights: &[i8],
) -> Option<()> {
    let walk = TapWalk::new(window)?;
    let layer = LayerI8 { walk: &walk, weights, padding: channels.input_zero_point as i8, channels };
    walk.for_each_pixel(window, |y, x, pixel_at| {
        let mut first = 0usize;
        while walk.in_vectors.saturating_sub(first) >= 16 {
            first = layer.block::<16>(memory, y, x, pixel_at, first)?;
        }
        while walk.in_vectors.saturating_sub(first) >= 4 {
            first = layer.block::<4>(memory, y, x, pixel_at, first)?;
        }
        while first < walk.outputs {
            first = layer.block::<1>(memory, y, x, pixel_at, first)?;
        }
        Some(())
    })
}

/// [`depthwise_conv_2d_i8_on`] with `output` apart from `input`.
pub fn depthwise_conv_2d_i8(
    window: &Window2d,
    channels: &ChannelsI8,
    input: &[i8],
    weights: &[i8],
    output: &mut [i8],
) -> Option<()> {
    depthwise_conv_2d_i8_on(window, channels, &mut Apart { input, output }, weights)
}

struct LayerI8<'a> {
    walk: &'a TapWalk,
    weights: &'a [i8],
    padding: i8,
    channels: &'a ChannelsI8<'a>,
}

impl LayerI8<'_> {
    /// `N` output channels from `first` on of the pixel that starts at `pixel_at`; answers the channel after them.
    #[inline(always)]
    fn block<const N: usize>(
        &self,
        memory: &mut impl Activations<i8>,
        y: Taps,
        x: Taps,
        pixel_at: usize,
        first: usize,
    ) -> Option<usize> {
        let Self { walk, weights, padding, channels } = *self;
        let input = memory.input();
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
        let target: &mut [i8; N] = memory.output().get_mut(pixel_at.wrapping_add(first)..)?.first_chunk_mut()?;
        for ((target, acc), channel) in target.iter_mut().zip(acc).zip(channels.from(first)?) {
            *target = channels.output.requantize(channel.requantizer, acc.wrapping_add(channel.bias));
        }
        Some(first.wrapping_add(N))
    }
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
/// As [`depthwise_conv_2d_i8_on`], `bias`: `[O]`.
///
/// # Memory
/// As [`depthwise_conv_2d_i8_on`].
///
/// # Algorithm
/// `clamp(bias[o] + sum(x * w), min, max)`, summed in the order (kh, kw); taps in the padding are left out.
pub fn depthwise_conv_2d_f32_on(
    window: &Window2d,
    limits: &OutputF32,
    memory: &mut impl Activations<f32>,
    weights: &[f32],
    bias: &[f32],
) -> Option<()> {
    let walk = TapWalk::new(window)?;
    let layer = LayerF32 { walk: &walk, weights, bias, limits };
    walk.for_each_pixel(window, |y, x, pixel_at| {
        let mut first = 0usize;
        while walk.in_vectors.saturating_sub(first) >= 16 {
            first = layer.block::<16>(memory, y, x, pixel_at, first)?;
        }
        while walk.in_vectors.saturating_sub(first) >= 4 {
            first = layer.block::<4>(memory, y, x, pixel_at, first)?;
        }
        while first < walk.outputs {
            first = layer.block::<1>(memory, y, x, pixel_at, first)?;
        }
        Some(())
    })
}

/// [`depthwise_conv_2d_f32_on`] with `output` apart from `input`.
pub fn depthwise_conv_2d_f32(
    window: &Window2d,
    limits: &OutputF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Option<()> {
    depthwise_conv_2d_f32_on(window, limits, &mut Apart { input, output }, weights, bias)
}

struct LayerF32<'a> {
    walk: &'a TapWalk,
    weights: &'a [f32],
    bias: &'a [f32],
    limits: &'a OutputF32,
}

impl LayerF32<'_> {
    /// As [`LayerI8::block`].
    #[inline(always)]
    fn block<const N: usize>(
        &self,
        memory: &mut impl Activations<f32>,
        y: Taps,
        x: Taps,
        pixel_at: usize,
        first: usize,
    ) -> Option<usize> {
        let walk = self.walk;
        let input = memory.input();
        let mut acc: [f32; N] = *self.bias.get(first..)?.first_chunk()?;
        let channel = first.checked_div(walk.multiplier)?;
        for ky in y.first..y.first.wrapping_add(y.count) {
            for kx in x.first..x.first.wrapping_add(x.count) {
                let Some(position) = walk.position(y, x, ky, kx) else { continue };
                let values: [f32; N] = walk.lanes(input, position, channel)?;
                let weights: &[f32; N] = walk.weights(self.weights, ky, kx, first)?.first_chunk()?;
                for ((acc, &v), &w) in acc.iter_mut().zip(&values).zip(weights) {
                    *acc += v * w;
                }
            }
        }
        let target: &mut [f32; N] = memory.output().get_mut(pixel_at.wrapping_add(first)..)?.first_chunk_mut()?;
        *target = acc.map(|v| self.limits.finish(v));
        Some(first.wrapping_add(N))
    }
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

    /// Calls `pixel(rows, columns, element)` for every output position with the index of its first channel, in ascending
    /// order.
    #[inline(always)]
    fn for_each_pixel(&self, window: &Window2d, mut pixel: impl FnMut(Taps, Taps, usize) -> Option<()>) -> Option<()> {
        let (vertical, horizontal) = (window.vertical(), window.horizontal());
        let [height, width, _] = window.output.map(|v| v as usize);
        let mut pixel_at = 0usize;
        for oy in 0..height {
            let y = vertical.taps(oy);
            for ox in 0..width {
                pixel(y, horizontal.taps(ox), pixel_at)?;
                pixel_at = pixel_at.wrapping_add(self.outputs);
            }
        }
        Some(())
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
