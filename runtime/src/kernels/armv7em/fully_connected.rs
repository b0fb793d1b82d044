//! Fully connected layer for one vector.

use super::layout::padded_taps;
use super::loops::{clamp, multiply_vector};
use crate::kernels::Placed;

/// One vector times a matrix in int8.
///
/// # Shapes
/// - input: `[I]` i8
/// - `stream`: see [`super::layout`], blocks of four channels, filters `[O, I]`
/// - output: `[O]` i8, apart from the input
/// - scratch: [`super::layout::fully_connected_scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::fully_connected_i8`]: 65 instructions for 64 multiply-accumulates.
pub fn fully_connected_i8(limits: [i8; 2], stream: &[u32], placed: Placed<'_, i8>) -> Option<()> {
    let Placed { region, input, output, scratch } = placed;
    let taps = input.len();
    let [input, output, scratch] = region.get_disjoint_mut([input, output, scratch]).ok()?;
    let input = if padded_taps(taps) == taps {
        &*input
    } else {
        let (copy, rest) = scratch.get_mut(..padded_taps(taps))?.split_at_mut_checked(taps)?;
        for (t, s) in copy.iter_mut().zip(&*input) {
            *t = *s;
        }
        rest.fill(0);
        scratch
    };
    multiply_vector(taps, input, stream, output)?;
    clamp(output, limits);
    Some(())
}
