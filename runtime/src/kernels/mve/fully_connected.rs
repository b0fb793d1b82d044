//! Fully connected layer.

use super::instructions::{Finish, Pixels, multiply};
use super::layout::padded_taps;
use crate::kernels::Placed;
use crate::kernels::parameters::OutputI8;

/// Rows times a matrix in int8.
///
/// # Shapes
/// - input: `[rows, I]` i8
/// - `stream`: see [`super::layout`], filters `[O, I]`
/// - output: `[rows, O]` i8, apart from the input
/// - scratch: [`super::layout::fully_connected_scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::fully_connected_i8`].
pub fn fully_connected_i8(
    [n_inputs, n_outputs]: [usize; 2],
    output: OutputI8,
    stream: &[u32],
    placed: Placed<'_, i8>,
) -> Option<()> {
    let n_rows = placed.input.len().checked_div(n_inputs)?;
    let pixels = Pixels {
        source: placed.input.start,
        source_step: n_inputs,
        taps: n_inputs,
        target: placed.output.start,
        n_outputs,
        n_pixels: n_rows,
    };
    multiply_in_place(pixels, stream, output.into(), placed)
}

/// Multiplies pixels where they are; those whose last vector would reach beyond the region from a copy in the scratch.
pub(super) fn multiply_in_place(pixels: Pixels, stream: &[u32], finish: Finish, placed: Placed<'_, i8>) -> Option<()> {
    let Placed { region, scratch, .. } = placed;
    let Pixels { source, source_step, taps, target, n_outputs, n_pixels } = pixels;
    let reach = padded_taps(taps);
    let room = region.len().checked_sub(source)?;
    // Pixels before the last that fits: all of them unless the input ends with the region.
    let n_direct = match room.checked_sub(reach) {
        Some(rest) => rest.checked_div(source_step).map_or(n_pixels, |n| n.wrapping_add(1).min(n_pixels)),
        None => 0,
    };
    // Pairs stay together: both are read before the second one is written.
    let n_direct = if n_direct < n_pixels { n_direct & !1 } else { n_direct };
    if n_direct > 0 {
        multiply(region, Pixels { n_pixels: n_direct, ..pixels }, stream, finish)?;
    }
    for pixel in n_direct..n_pixels {
        let from = source.wrapping_add(pixel.wrapping_mul(source_step));
        let inputs = from..from.checked_add(taps)?;
        let [inputs, copy] = region.get_disjoint_mut([inputs, scratch.clone()]).ok()?;
        if copy.len() < reach {
            return None;
        }
        copy.iter_mut().zip(&*inputs).for_each(|(copy, &input)| *copy = input);
        let target = target.wrapping_add(pixel.wrapping_mul(n_outputs));
        multiply(region, Pixels { source: scratch.start, target, n_pixels: 1, ..pixels }, stream, finish)?;
    }
    Some(())
}
