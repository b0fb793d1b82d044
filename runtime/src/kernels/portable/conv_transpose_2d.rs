//! Two-dimensional transposed convolution with groups, strides, dilation and any padding, output pixel after output pixel.

use super::dot::outer_f32;
use crate::kernels::geometry::{ConvTranspose2d, ReachingTaps};
use crate::kernels::parameters::{ChannelsI8, OutputF32};

/// Transposed convolution in int8.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` i8
/// - `weights`: OHWI `[O, KH, KW, C / groups]` i8
/// - `channels`: one bias, multiplier and shift per output channel
/// - `output`: NHWC `[1, OH, OW, O]` i8
///
/// # Algorithm
/// `output = clamp(output_zero_point + requantize[o](bias[o] + sum((x - input_zero_point) * w)), min, max)` over the taps
/// that reach the pixel from inside the input, wrapping in 32 bits. How many do depends on the pixel, so the zero point
/// is not in the bias.
///
/// Four output channels share every read of the input.
pub fn conv_transpose_2d_i8(
    conv: &ConvTranspose2d,
    channels: &ChannelsI8,
    input: &[i8],
    weights: &[i8],
    output: &mut [i8],
) -> Option<()> {
    let filter = conv.filter_elements();
    let per_group = conv.output_channels_per_group();
    for_each_pixel_group(conv, |pixel, group, target_at| {
        let first_output = group.wrapping_mul(per_group);
        let targets = output.get_mut(target_at..)?.get_mut(..per_group)?;
        let mut numbers = channels.from(first_output)?;
        let mut filters_at = first_output.wrapping_mul(filter);
        let (fours, rest) = targets.as_chunks_mut::<4>();
        for four in fours {
            let mut acc = [0i32; 4];
            pixel.for_each_tap(|from, to| {
                let x = input.get(from..)?.get(..pixel.inputs)?;
                let mut at = filters_at.wrapping_add(to);
                let mut rows: [&[i8]; 4] = [&[]; 4];
                for row in &mut rows {
                    *row = weights.get(at..)?.get(..pixel.inputs)?;
                    at = at.wrapping_add(filter);
                }
                dot_four(&mut acc, x, channels.input_zero_point, rows);
                Some(())
            })?;
            for ((target, acc), channel) in four.iter_mut().zip(acc).zip(&mut numbers) {
                *target = channels.output.requantize(channel.requantizer, acc.wrapping_add(channel.bias));
            }
            filters_at = filters_at.wrapping_add(filter.wrapping_mul(4));
        }
        for (target, channel) in rest.iter_mut().zip(numbers) {
            let mut acc = channel.bias;
            pixel.for_each_tap(|from, to| {
                let x = input.get(from..)?.get(..pixel.inputs)?;
                let row = weights.get(filters_at.wrapping_add(to)..)?.get(..pixel.inputs)?;
                for (&x, &w) in x.iter().zip(row) {
                    acc = acc
                        .wrapping_add(i32::from(x).wrapping_sub(channels.input_zero_point).wrapping_mul(i32::from(w)));
                }
                Some(())
            })?;
            *target = channels.output.requantize(channel.requantizer, acc);
            filters_at = filters_at.wrapping_add(filter);
        }
        Some(())
    })
}

/// Adds the products of `x - zero_point` with each of four rows.
#[inline(always)]
fn dot_four(acc: &mut [i32; 4], x: &[i8], zero_point: i32, [a, b, c, d]: [&[i8]; 4]) {
    let [mut at_a, mut at_b, mut at_c, mut at_d] = *acc;
    for ((((&x, &a), &b), &c), &d) in x.iter().zip(a).zip(b).zip(c).zip(d) {
        let x = i32::from(x).wrapping_sub(zero_point);
        at_a = at_a.wrapping_add(x.wrapping_mul(i32::from(a)));
        at_b = at_b.wrapping_add(x.wrapping_mul(i32::from(b)));
        at_c = at_c.wrapping_add(x.wrapping_mul(i32::from(c)));
        at_d = at_d.wrapping_add(x.wrapping_mul(i32::from(d)));
    }
    *acc = [at_a, at_b, at_c, at_d];
}

/// Transposed convolution in float32.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` f32
/// - `weights`: GHWIO `[groups, KH, KW, C / groups, O / groups]` f32
/// - `bias`: `[O]` f32
/// - `output`: NHWC `[1, OH, OW, O]` f32
///
/// # Algorithm
/// `output = clamp(bias[o] + sum(x * w), min, max)` over the taps that reach the pixel from inside the input, summed in
/// the order (kh, kw, ci), multiply then add, never fused. Output channels are the innermost loop.
pub fn conv_transpose_2d_f32(
    conv: &ConvTranspose2d,
    limits: &OutputF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Option<()> {
    let per_group = conv.output_channels_per_group();
    let tap_elements = conv.input_channels_per_group().wrapping_mul(per_group);
    let group_elements = tap_elements.wrapping_mul(conv.window.kernel_elements());
    for_each_pixel_group(conv, |pixel, group, target_at| {
        let weights = weights.get(group.wrapping_mul(group_elements)..)?.get(..group_elements)?;
        let bias = bias.get(group.wrapping_mul(per_group)..)?.get(..per_group)?;
        let targets = output.get_mut(target_at..)?.get_mut(..per_group)?;
        let block = Block { pixel, input, weights, bias, limits, per_group };
        let mut first = 0usize;
        while per_group.wrapping_sub(first) >= 16 {
            first = block.run::<16>(targets, first)?;
        }
        while per_group.wrapping_sub(first) >= 4 {
            first = block.run::<4>(targets, first)?;
        }
        while first < per_group {
            first = block.run::<1>(targets, first)?;
        }
        Some(())
    })
}

/// The channels of one group at one output pixel.
struct Block<'a> {
    pixel: &'a Pixel,
    input: &'a [f32],
    weights: &'a [f32],
    bias: &'a [f32],
    limits: &'a OutputF32,
    per_group: usize,
}

impl Block<'_> {
    /// `N` output channels from `first` on; answers the channel after them.
    #[inline(always)]
    fn run<const N: usize>(&self, targets: &mut [f32], first: usize) -> Option<usize> {
        let mut acc: [f32; N] = *self.bias.get(first..)?.first_chunk()?;
        let inputs = self.pixel.inputs;
        self.pixel.for_each_tap(|from, to| {
            let x = self.input.get(from..)?.get(..inputs)?;
            let rows =
                self.weights.get(to.wrapping_mul(self.per_group)..)?.get(..inputs.wrapping_mul(self.per_group))?;
            outer_f32(&mut acc, x, rows, self.per_group, first)
        })?;
        let target: &mut [f32; N] = targets.get_mut(first..)?.first_chunk_mut()?;
        *target = acc.map(|v| self.limits.finish(v));
        Some(first.wrapping_add(N))
    }
}

/// Where the taps of one output pixel lie in the input and in a filter `[KH, KW, C / groups]`.
struct Pixel {
    y: ReachingTaps,
    x: ReachingTaps,
    /// Input channels of the group.
    inputs: usize,
    /// Element of the input that the first tap reaches from.
    corner: usize,
    /// Backwards in the input from one tap to the next.
    input_steps: [usize; 2],
    /// Element of the filter of the first tap.
    filter_start: usize,
    /// Forwards in the filter from one tap to the next.
    filter_steps: [usize; 2],
}

impl Pixel {
    /// Calls `tap(input index, filter index)` in the order of the filter.
    #[inline(always)]
    fn for_each_tap(&self, mut tap: impl FnMut(usize, usize) -> Option<()>) -> Option<()> {
        let (mut input_row, mut filter_row) = (self.corner, self.filter_start);
        for _ in 0..self.y.count {
            let (mut from, mut to) = (input_row, filter_row);
            for _ in 0..self.x.count {
                tap(from, to)?;
                from = from.wrapping_sub(self.input_steps[1]);
                to = to.wrapping_add(self.filter_steps[1]);
            }
            input_row = input_row.wrapping_sub(self.input_steps[0]);
            filter_row = filter_row.wrapping_add(self.filter_steps[0]);
        }
        Some(())
    }
}

/// Calls `run(pixel, group, element of the output)` for the groups of every output pixel in ascending order.
#[inline(always)]
fn for_each_pixel_group(conv: &ConvTranspose2d, mut run: impl FnMut(&Pixel, usize, usize) -> Option<()>) -> Option<()> {
    let window = &conv.window;
    let (vertical, horizontal) = (conv.vertical(), conv.horizontal());
    let [_, width, depth] = window.input.map(|v| v as usize);
    let [output_height, output_width, _] = window.output.map(|v| v as usize);
    let [_, kernel_width] = window.kernel.map(|v| v as usize);
    let (inputs, outputs) = (conv.input_channels_per_group(), conv.output_channels_per_group());
    let row_pitch = width.wrapping_mul(depth);
    let filter_pitch = kernel_width.wrapping_mul(inputs);
    let mut target_at = 0usize;
    for oy in 0..output_height {
        let y = vertical.taps(oy);
        for ox in 0..output_width {
            let x = horizontal.taps(ox);
            let mut pixel = Pixel {
                y,
                x,
                inputs,
                corner: y.position.wrapping_mul(row_pitch).wrapping_add(x.position.wrapping_mul(depth)),
                input_steps: [
                    vertical.position_step().wrapping_mul(row_pitch),
                    horizontal.position_step().wrapping_mul(depth),
                ],
                filter_start: y.first.wrapping_mul(filter_pitch).wrapping_add(x.first.wrapping_mul(inputs)),
                filter_steps: [
                    vertical.tap_step().wrapping_mul(filter_pitch),
                    horizontal.tap_step().wrapping_mul(inputs),
                ],
            };
            for group in 0..conv.groups as usize {
                run(&pixel, group, target_at)?;
                pixel.corner = pixel.corner.wrapping_add(inputs);
                target_at = target_at.wrapping_add(outputs);
            }
        }
    }
    Some(())
}
