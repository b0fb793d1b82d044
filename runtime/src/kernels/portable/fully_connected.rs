//! Matrix times constant weights.

use super::dot::{dot_i8, outer_f32};
use super::rows::{rows, rows_mut};
use crate::kernels::parameters::{ChannelsI8, OutputF32};

/// Fully connected layer in int8.
///
/// # Shapes
/// - `input`: `[rows, I]` i8
/// - `weights`: `[O, I]` i8; `n_inputs` is I, O follows from the length of `channels`
/// - `output`: `[rows, O]` i8, apart from `input`
///
/// # Algorithm
/// `clamp(output_zero_point + requantize[o](bias[o] + sum(x * w)), min, max)` with raw int8 `x` and `w`; the input's
/// zero point is in the bias already.
pub fn fully_connected_i8(
    n_inputs: usize,
    channels: &ChannelsI8,
    input: &[i8],
    weights: &[i8],
    output: &mut [i8],
) -> Option<()> {
    let n_outputs = channels.bias.len();
    for (x, row) in rows(input, n_inputs).zip(rows_mut(output, n_outputs)) {
        let filters = rows(weights, n_inputs);
        for ((target, filter), channel) in row.iter_mut().zip(filters).zip(channels.from(0)?) {
            let acc = channel.bias.wrapping_add(dot_i8(x, filter));
            *target = channels.output.requantize(channel.requantizer, acc);
        }
    }
    Some(())
}

/// Fully connected layer in float32.
///
/// # Shapes
/// - `input`: `[rows, I]` f32
/// - `weights`: `[I, O]` f32
/// - `bias`: `[O]` f32
/// - `output`: `[rows, O]` f32, apart from `input`
///
/// # Algorithm
/// `clamp(bias[o] + sum(x[i] * w[i, o]), min, max)`, i ascending, multiply then add, never fused.
pub fn fully_connected_f32(
    n_inputs: usize,
    limits: &OutputF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) -> Option<()> {
    let n_outputs = bias.len();
    let weights = weights.get(..n_inputs.wrapping_mul(n_outputs))?;
    for (x, row) in rows(input, n_inputs).zip(rows_mut(output, n_outputs)) {
        let mut first = 0;
        let (wide, rest) = row.as_chunks_mut::<16>();
        for block in wide {
            first = block_f32(x, weights, bias, first, limits, block)?;
        }
        let (narrow, rest) = rest.as_chunks_mut::<4>();
        for block in narrow {
            first = block_f32(x, weights, bias, first, limits, block)?;
        }
        for single in rest.as_chunks_mut::<1>().0 {
            first = block_f32(x, weights, bias, first, limits, single)?;
        }
    }
    Some(())
}

#[inline(always)]
fn block_f32<const N: usize>(
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    first: usize,
    limits: &OutputF32,
    target: &mut [f32; N],
) -> Option<usize> {
    let mut acc: [f32; N] = *bias.get(first..)?.first_chunk()?;
    outer_f32(&mut acc, x, weights, bias.len(), first)?;
    *target = acc.map(|v| limits.finish(v));
    Some(first.wrapping_add(N))
}
