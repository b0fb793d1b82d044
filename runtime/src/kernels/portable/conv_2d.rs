//! Two-dimensional convolution with groups, strides, dilation and any padding.

use super::dot::{dot_i8, dot_i16, outer_f32, sum_i8};
use super::rows::rows;
use crate::kernels::geometry::{Conv2d, Taps};
use crate::kernels::parameters::{ChannelsI8, OutputF32};
use crate::kernels::{Activations, Apart};

/// Convolution in int8.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` i8
/// - `weights`: OHWI `[O, KH, KW, C / groups]` i8
/// - `channels`: one bias, multiplier and shift per output channel
/// - `output`: NHWC `[1, OH, OW, O]` i8
///
/// # Memory
/// Writes pixel after pixel ([`Strip::Pixels`](crate::kernels::geometry::Strip::Pixels) of 1).
///
/// # Algorithm
/// `output = clamp(output_zero_point + requantize[o](bias[o] + sum(x * w)), min, max)` with raw int8 `x` and `w`.
/// `-input_zero_point * sum(w)` is in the bias already, so a tap in the padding contributes `input_zero_point * w`.
pub fn conv_2d_i8_on(
    conv: &Conv2d,
    channels: &ChannelsI8,
    memory: &mut impl Activations<i8>,
    weights: &[i8],
) -> Option<()> {
    let window = &conv.window;
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [_, width, depth] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let [_, kernel_width] = window.kernel.map(|v| v as usize);
    let group = Group {
        inputs: conv.input_channels_per_group(),
        outputs: conv.output_channels_per_group(),
        filter: conv.filter_elements(),
    };
    let row_pitch = width.wrapping_mul(depth);
    // With one group and neighbouring taps, all taps of a row are one stretch of the input and of the filter.
    let joined = conv.groups == 1 && horizontal.dilation() == 1;
    let patch_fits = group.filter <= PATCH_ELEMENTS;
    // Rounded up to whole vectors; what follows the filter stays 0 and meets the next filter's weights.
    let patch_length = group.filter.next_multiple_of(LANES).min(PATCH_ELEMENTS);
    let mut patch = [0i16; PATCH_ELEMENTS];

    // Where the next group of output channels goes.
    let mut target_at = 0usize;
    for oy in 0..output_height {
        let y = vertical.taps(oy);
        for ox in 0..output_width {
            let x = horizontal.taps(ox);
            let first_pixel = y.position.wrapping_mul(row_pitch).wrapping_add(x.position.wrapping_mul(depth));
            for g in 0..conv.groups as usize {
                let targets = target_at..target_at.wrapping_add(group.outputs);
                target_at = targets.end;
                let corner = first_pixel.wrapping_add(g.wrapping_mul(group.inputs));
                let first_output = g.wrapping_mul(group.outputs);
                let stretches = Stretches {
                    y,
                    input_pitch: vertical.dilation().wrapping_mul(row_pitch),
                    filter_pitch: kernel_width.wrapping_mul(group.inputs),
                    filter_start: x.first.wrapping_mul(group.inputs),
                    corner,
                    // A window that lies beside the image as a whole has no tap to start from.
                    per_row: if joined { x.count.min(1) } else { x.count },
                    input_step: horizontal.dilation().wrapping_mul(depth),
                    filter_step: group.inputs,
                    len: if joined { x.count.wrapping_mul(group.inputs) } else { group.inputs },
                };
                let padded = y.count.wrapping_mul(x.count) != window.kernel_elements();
                if patch_fits {
                    // A short filter is faster as one dot product with a widened copy of the taps, padding included.
                    let taps = patch.get_mut(..group.filter)?;
                    if padded {
                        taps.fill(channels.input_zero_point as i16);
                    }
                    let input = memory.input();
                    stretches.for_each(|from, to, len| {
                        let source = input.get(from..)?.get(..len)?;
                        for (t, s) in taps.get_mut(to..)?.iter_mut().zip(source) {
                            *t = i16::from(*s);
                        }
                        Some(())
                    })?;
                    let mut at = first_output.wrapping_mul(group.filter);
                    let targets = memory.output().get_mut(targets)?;
                    for (target, channel) in targets.iter_mut().zip(channels.from(first_output)?) {
                        let filter = weights.get(at..)?;
                        // The last filters have no weights behind them.
                        let sum = match (patch.get(..patch_length)?, filter.get(..patch_length)) {
                            (patch, Some(filter)) => dot_i16(patch, filter),
                            (patch, None) => dot_i16(patch, filter.get(..group.filter)?),
                        };
                        *target = channels.output.requantize(channel.requantizer, sum.wrapping_add(channel.bias));
                        at = at.wrapping_add(group.filter);
                    }
                    continue;
                }
                let filters = rows(weights.get(first_output.wrapping_mul(group.filter)..)?, group.filter);
                for ((target, filter), channel) in targets.zip(filters).zip(channels.from(first_output)?) {
                    let input = memory.input();
                    let mut acc = channel.bias;
                    let mut inside = 0i32;
                    stretches.for_each(|from, to, len| {
                        let taps = filter.get(to..)?.get(..len)?;
                        acc = acc.wrapping_add(dot_i8(input.get(from..)?.get(..len)?, taps));
                        if padded {
                            inside = inside.wrapping_add(sum_i8(taps));
                        }
                        Some(())
                    })?;
                    if padded {
                        let outside = sum_i8(filter).wrapping_sub(inside);
                        acc = acc.wrapping_add(outside.wrapping_mul(channels.input_zero_point));
                    }
                    *memory.output().get_mut(target)? = channels.output.requantize(channel.requantizer, acc);
                }
            }
        }
    }
    Some(())
}

/// [`conv_2d_i8_on`] with `output` apart from `input`.
pub fn conv_2d_i8(conv: &Conv2d, channels: &ChannelsI8, input: &[i8], weights: &[i8], output: &mut [i8]) -> Option<()> {
    conv_2d_i8_on(conv, channels, &mut Apart { input, output }, weights)
}

/// Longest filter that is run on a copied patch: 1 KiB of stack.
const PATCH_ELEMENTS: usize = 512;
/// int8 elements of the vectors that dot products are cut into.
const LANES: usize = 16;

/// Sizes of one group.
struct Group {
    inputs: usize,
    outputs: usize,
    filter: usize,
}

/// The stretches of input that one output pixel sees, and where they belong in a filter.
struct Stretches {
    y: Taps,
    input_pitch: usize,
    filter_pitch: usize,
    filter_start: usize,
    corner: usize,
    per_row: usize,
    input_step: usize,
    filter_step: usize,
    len: usize,
}

impl Stretches {
    /// Calls `stretch(input index, filter index, length)` in the order of the filter.
    #[inline(always)]
    fn for_each(&self, mut stretch: impl FnMut(usize, usize, usize) -> Option<()>) -> Option<()> {
        let mut input_row = self.corner;
        let mut filter_row = self.y.first.wrapping_mul(self.filter_pitch).wrapping_add(self.filter_start);
        for _ in 0..self.y.count {
            let (mut from, mut to) = (input_row, filter_row);
            for _ in 0..self.per_row {
                stretch(from, to, self.len)?;
                from = from.wrapping_add(self.input_step);
                to = to.wrapping_add(self.filter_step);
            }
            input_row = input_row.wrapping_add(self.input_pitch);
            filter_row = filter_row.wrapping_add(self.filter_pitch);
        }
        Some(())
    }
}

/// Convolution in float32.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` f32
/// - `weights`: GHWIO `[groups, KH, KW, C / groups, O / groups]` f32
/// - `bias`: `[O]` f32
/// - `output`: NHWC `[1, OH, OW, O]` f32
///
/// # Memory
/// As [`conv_2d_i8_on`].
///
/// # Algorithm
/// `output = clamp(bias[o] + sum(x * w), min, max)`, summed in the order (kh, kw, ci), multiply then add, never fused.
/// Taps in the padding are left out. Output channels are the innermost loop: vectorizing it changes no sum.
pub fn conv_2d_f32_on(
    conv: &Conv2d,
    limits: &OutputF32,
    memory: &mut impl Activations<f32>,
    weights: &[f32],
    bias: &[f32],
) -> Option<()> {
    let window = &conv.window;
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [_, width, depth] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let (inputs, outputs) = (conv.input_channels_per_group(), conv.output_channels_per_group());
    let [_, kernel_width] = window.kernel.map(|v| v as usize);
    let tap_elements = inputs.wrapping_mul(outputs);
    let group_elements = tap_elements.wrapping_mul(window.kernel_elements());
    let pixel = Pixel {
        inputs,
        outputs,
        row_pitch: width.wrapping_mul(depth).wrapping_mul(vertical.dilation()),
        tap_pitch: depth.wrapping_mul(horizontal.dilation()),
        weight_pitch: kernel_width.wrapping_mul(tap_elements),
        tap_elements,
    };
    // Where the next group of output channels goes.
    let mut target_at = 0usize;
    for oy in 0..output_height {
        let y = vertical.taps(oy);
        for ox in 0..output_width {
            let x = horizontal.taps(ox);
            let corner = y.position.wrapping_mul(width).wrapping_add(x.position).wrapping_mul(depth);
            for g in 0..conv.groups as usize {
                let group = PixelGroup {
                    pixel: &pixel,
                    y,
                    x,
                    corner: corner.wrapping_add(g.wrapping_mul(inputs)),
                    weights: weights.get(g.wrapping_mul(group_elements)..)?,
                    bias: bias.get(g.wrapping_mul(outputs)..)?.get(..outputs)?,
                    limits,
                };
                let mut first = 0usize;
                while outputs.wrapping_sub(first) >= 16 {
                    first = group.block::<16>(memory, target_at, first)?;
                }
                while outputs.wrapping_sub(first) >= 4 {
                    first = group.block::<4>(memory, target_at, first)?;
                }
                while first < outputs {
                    first = group.block::<1>(memory, target_at, first)?;
                }
                target_at = target_at.wrapping_add(outputs);
            }
        }
    }
    Some(())
}

/// [`conv_2d_f32_on`] with `output` apart from `input`.
pub fn conv_2d_f32(
    conv: &Conv2d,
    limits: &OutputF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Option<()> {
    conv_2d_f32_on(conv, limits, &mut Apart { input, output }, weights, bias)
}

/// Distances that one output pixel of a float32 convolution needs.
struct Pixel {
    inputs: usize,
    outputs: usize,
    row_pitch: usize,
    tap_pitch: usize,
    weight_pitch: usize,
    tap_elements: usize,
}

/// One output pixel's channels of one group.
struct PixelGroup<'a> {
    pixel: &'a Pixel,
    y: Taps,
    x: Taps,
    /// Element of the input under the first tap inside.
    corner: usize,
    weights: &'a [f32],
    bias: &'a [f32],
    limits: &'a OutputF32,
}

impl PixelGroup<'_> {
    /// `N` output channels from `first` on, of a group whose outputs start at `target_at`; answers the channel after
    /// them.
    #[inline(always)]
    fn block<const N: usize>(
        &self,
        memory: &mut impl Activations<f32>,
        target_at: usize,
        first: usize,
    ) -> Option<usize> {
        let Pixel { inputs, outputs, row_pitch, tap_pitch, weight_pitch, tap_elements } = *self.pixel;
        let mut acc: [f32; N] = *self.bias.get(first..)?.first_chunk()?;
        let input = memory.input().get(self.corner..).unwrap_or(&[]);
        for ky in 0..self.y.count {
            for kx in 0..self.x.count {
                let at = ky.wrapping_mul(row_pitch).wrapping_add(kx.wrapping_mul(tap_pitch));
                let x_taps = input.get(at..)?.get(..inputs)?;
                let row = self.y.first.wrapping_add(ky).wrapping_mul(weight_pitch);
                let tap = self.x.first.wrapping_add(kx).wrapping_mul(tap_elements);
                let rows = self.weights.get(row.wrapping_add(tap)..)?.get(..tap_elements)?;
                outer_f32(&mut acc, x_taps, rows, outputs, first)?;
            }
        }
        let target: &mut [f32; N] = memory.output().get_mut(target_at.wrapping_add(first)..)?.first_chunk_mut()?;
        *target = acc.map(|v| self.limits.finish(v));
        Some(first.wrapping_add(N))
    }
}
