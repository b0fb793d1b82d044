//! Convolutions and fully connected layers on int16 activations.

use crate::fixed_point::Requantizer;
use crate::kernels::Activations;
use crate::kernels::geometry::{Conv2d, Taps, Window2d};
use crate::kernels::portable::rows::{rows, rows_mut};

/// Clamping limits of an int16 output, whose zero point is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputI16 {
    /// Lower limit.
    pub min: i16,
    /// Upper limit, not below `min`.
    pub max: i16,
}

impl OutputI16 {
    /// `clamp(steps, min, max)`
    #[inline(always)]
    pub fn finish(&self, steps: i64) -> i16 {
        steps.max(i64::from(self.min)).min(i64::from(self.max)) as i16
    }
}

/// Per-channel arithmetic of a layer; one entry for each output channel in every array.
#[derive(Clone, Copy, Debug)]
pub struct ChannelsI16<'a> {
    /// At scale_in * scale_w.
    pub bias: &'a [i32],
    /// See [`Requantizer::multiplier`].
    pub multipliers: &'a [i32],
    /// See [`Requantizer::shift`].
    pub shifts: &'a [u8],
    /// Limits of the output.
    pub output: OutputI16,
}

impl ChannelsI16<'_> {
    /// `clamp(requantize[o](bias[o] + sum), min, max)`
    #[inline(always)]
    fn finish(&self, channel: usize, sum: i64) -> Option<i16> {
        let multiplier = *self.multipliers.get(channel)?;
        let requantizer = Requantizer { multiplier, shift: *self.shifts.get(channel)? };
        let acc = sum.wrapping_add(i64::from(*self.bias.get(channel)?));
        Some(self.output.finish(requantizer.requantize_i64(acc)))
    }
}

/// `sum(x[i] * w[i])`: 256 products of 22 bits fit in 32 bits, their sums are added in 64.
#[inline(always)]
fn dot(x: &[i16], w: &[i8]) -> i64 {
    let part = |(x, w): (&[i16], &[i8])| {
        let products = x.iter().zip(w).map(|(&x, &w)| i32::from(x).wrapping_mul(i32::from(w)));
        i64::from(products.fold(0i32, i32::wrapping_add))
    };
    x.chunks(256).zip(w.chunks(256)).map(part).fold(0, i64::wrapping_add)
}

/// Convolution.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i16
/// - `weights`: OHWI `[O, KH, KW, C / groups]` i8
/// - output: NHWC `[1, OH, OW, O]` i16
///
/// # Memory
/// Writes pixel after pixel ([`Strip::Pixels`](crate::kernels::geometry::Strip::Pixels) of 1).
///
/// # Algorithm
/// `clamp(requantize[o](bias[o] + sum(x * w)), min, max)`, the sum in 64 bits. Taps in the padding are 0.
pub fn conv_2d_i16_on(
    conv: &Conv2d,
    channels: &ChannelsI16<'_>,
    memory: &mut impl Activations<i16>,
    weights: &[i8],
) -> Option<()> {
    let window = &conv.window;
    let (inputs, outputs) = (conv.input_channels_per_group(), conv.output_channels_per_group());
    let filter = conv.filter_elements();
    let kernel_width = window.kernel[1] as usize;
    for_each_pixel(window, |y, x, pixel| {
        for o in 0..outputs.wrapping_mul(conv.groups as usize) {
            let group_at = o.checked_div(outputs)?.wrapping_mul(inputs);
            let filter_at = o.wrapping_mul(filter);
            let mut sum = 0i64;
            for_each_tap(window, y, x, |ky, kx, at| {
                let tap = ky.wrapping_mul(kernel_width).wrapping_add(kx).wrapping_mul(inputs);
                let taps = memory.input().get(at.wrapping_add(group_at)..)?.get(..inputs)?;
                let weights = weights.get(filter_at.wrapping_add(tap)..)?.get(..inputs)?;
                sum = sum.wrapping_add(dot(taps, weights));
                Some(())
            })?;
            *memory.output().get_mut(pixel.wrapping_add(o))? = channels.finish(o, sum)?;
        }
        Some(())
    })
}

/// Depthwise convolution.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i16
/// - `weights`: HWC `[KH, KW, O]` i8 with `O = C * m`; output channel `o` sees input channel `o / m`
/// - output: NHWC `[1, OH, OW, O]` i16
///
/// # Memory
/// As [`conv_2d_i16_on`].
///
/// # Algorithm
/// As [`conv_2d_i16_on`], one input channel per output channel.
pub fn depthwise_conv_2d_i16_on(
    window: &Window2d,
    channels: &ChannelsI16<'_>,
    memory: &mut impl Activations<i16>,
    weights: &[i8],
) -> Option<()> {
    let [inputs, outputs] = [window.input[2], window.output[2]].map(|n| n as usize);
    let multiplier = outputs.checked_div(inputs)?;
    let kernel_width = window.kernel[1] as usize;
    for_each_pixel(window, |y, x, pixel| {
        for o in 0..outputs {
            let channel = o.checked_div(multiplier)?;
            let mut sum = 0i64;
            for_each_tap(window, y, x, |ky, kx, at| {
                let tap = ky.wrapping_mul(kernel_width).wrapping_add(kx).wrapping_mul(outputs);
                let value = i32::from(*memory.input().get(at.wrapping_add(channel))?);
                let weight = i32::from(*weights.get(tap.wrapping_add(o))?);
                sum = sum.wrapping_add(i64::from(value.wrapping_mul(weight)));
                Some(())
            })?;
            *memory.output().get_mut(pixel.wrapping_add(o))? = channels.finish(o, sum)?;
        }
        Some(())
    })
}

/// Fully connected layer.
///
/// # Shapes
/// - `input`: `[rows, I]` i16
/// - `weights`: `[O, I]` i8; `n_inputs` is I
/// - `output`: `[rows, O]` i16, apart from `input`
///
/// # Algorithm
/// As [`conv_2d_i16_on`].
pub fn fully_connected_i16(
    n_inputs: usize,
    channels: &ChannelsI16<'_>,
    input: &[i16],
    weights: &[i8],
    output: &mut [i16],
) -> Option<()> {
    for (x, row) in rows(input, n_inputs).zip(rows_mut(output, channels.bias.len())) {
        for (o, (target, filter)) in row.iter_mut().zip(rows(weights, n_inputs)).enumerate() {
            *target = channels.finish(o, dot(x, filter))?;
        }
    }
    Some(())
}

/// Calls `pixel(rows, columns, first output element)` for every output pixel.
#[inline(always)]
fn for_each_pixel(window: &Window2d, mut pixel: impl FnMut(Taps, Taps, usize) -> Option<()>) -> Option<()> {
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [height, width, channels] = window.output.map(|n| n as usize);
    let mut at = 0usize;
    for oy in 0..height {
        for ox in 0..width {
            pixel(vertical.taps(oy), horizontal.taps(ox), at)?;
            at = at.wrapping_add(channels);
        }
    }
    Some(())
}

/// Calls `tap(kernel row, kernel column, first input element)` for every tap inside the picture.
#[inline(always)]
fn for_each_tap(
    window: &Window2d,
    y: Taps,
    x: Taps,
    mut tap: impl FnMut(usize, usize, usize) -> Option<()>,
) -> Option<()> {
    let [_, width, channels] = window.input.map(|n| n as usize);
    let [row_step, column_step] = [window.vertical().dilation(), window.horizontal().dilation()];
    for row in 0..y.count {
        let iy = y.position.wrapping_add(row.wrapping_mul(row_step));
        for column in 0..x.count {
            let ix = x.position.wrapping_add(column.wrapping_mul(column_step));
            let at = iy.wrapping_mul(width).wrapping_add(ix).wrapping_mul(channels);
            tap(y.first.wrapping_add(row), x.first.wrapping_add(column), at)?;
        }
    }
    Some(())
}
