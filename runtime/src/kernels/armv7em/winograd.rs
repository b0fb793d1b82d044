//! Convolution with 3x3 windows by Winograd's minimal filtering, two tiles at a time.

#[cfg(all(target_arch = "arm", kernel_isa = "armv7em"))]
use super::instructions as implementation;
use super::layout::{POSITIONS, Winograd};
use super::loops::{clamp, copy_rows};
#[cfg(not(all(target_arch = "arm", kernel_isa = "armv7em")))]
use super::twins as implementation;
use crate::kernels::Placed;
use crate::kernels::geometry::Window2d;
use core::ops::Range;

/// Convolution in int8 with 3x3 windows.
///
/// # Shapes
/// - input: NHWC `[1, H, W, C]` i8
/// - `stream`: see [`super::layout::winograd`], filters OHWI
/// - output: NHWC `[1, OH, OW, O]` i8, apart from the input
/// - scratch: [`Winograd::scratch_bytes`]
///
/// # Algorithm
/// As [`crate::kernels::portable::conv_2d_i8`], by F(2x2, 3x3) of Lavin and Gray (arXiv 1509.09308): 2x2 outputs are
/// `A' [(G g G') * (B' d B)] A` of their 4x4 inputs `d`, 16 products per channel in place of 36. The stream holds
/// `4 G g G'`, which is whole; `B' d B` is at most 512 in magnitude. Sums may leave 32 bits on their way, but the last,
/// four times the sum of the products, fits, and what is exact modulo 2^32 and fits is exact. Its division by four has no
/// remainder.
///
/// Four lines of the input are copied with their padding. The taps of two tiles become pairs of int16, then every pair of
/// output channels is one pass over them: 10 instructions for 16 products. Tiles that reach beyond the output go through
/// scratch.
pub fn conv_2d_winograd_i8(
    window: &Window2d,
    padding: i8,
    limits: [i8; 2],
    stream: &[u32],
    placed: Placed<'_, i8>,
) -> Option<()> {
    let shapes = Winograd::new(window)?;
    let Placed { region, input, output, scratch } = placed;
    let [height, width, n_outputs] = window.output.map(|v| v as usize);
    let patch = scratch.start..scratch.start.checked_add(shapes.patch_bytes())?;
    let lines = patch.end..patch.end.checked_add(shapes.line_bytes().checked_mul(4)?)?;
    let spill = lines.end..lines.end.checked_add(shapes.spill_bytes())?;
    region.get_mut(lines.clone())?.fill(padding);
    let [output_pitch, spill_pitch] = [width, 4].map(|columns| columns.wrapping_mul(n_outputs));
    for tile_row in 0..shapes.tile_rows {
        let row = tile_row.wrapping_mul(2);
        copy_lines(window, &shapes, padding, row, region, [input.clone(), lines.clone()])?;
        for tile_pair in 0..shapes.tile_pairs {
            let column = tile_pair.wrapping_mul(4);
            let [source, taps] = region.get_disjoint_mut([lines.clone(), patch.clone()]).ok()?;
            transform(&shapes, source.get(column.wrapping_mul(shapes.n_inputs)..)?, words(taps)?)?;
            let (rows, columns) = (height.wrapping_sub(row).min(2), width.wrapping_sub(column).min(4));
            let is_whole = rows == 2 && columns == 4;
            let first = row.wrapping_mul(output_pitch).wrapping_add(column.wrapping_mul(n_outputs));
            let target = output.start.wrapping_add(first)..output.end;
            let (place, pitch) = if is_whole { (&target, output_pitch) } else { (&spill, spill_pitch) };
            let [taps, outputs] = region.get_disjoint_mut([patch.clone(), place.clone()]).ok()?;
            multiply(&shapes, words(taps)?, stream, outputs, pitch)?;
            if !is_whole {
                let [source, target] = region.get_disjoint_mut([spill.clone(), target]).ok()?;
                let run = columns.wrapping_mul(n_outputs);
                copy_rows(source, target, run, rows, [spill_pitch, output_pitch])?;
            }
        }
    }
    clamp(region.get_mut(output)?, limits);
    Some(())
}

/// Copies the four input lines of the tiles from output row `row` on. Columns of padding are there already, and stay.
fn copy_lines(
    window: &Window2d,
    shapes: &Winograd,
    padding: i8,
    row: usize,
    region: &mut [i8],
    places: [Range<usize>; 2],
) -> Option<()> {
    let [height, width, depth] = window.input.map(|v| v as usize);
    let [top, left] = window.padding.map(|v| v as usize);
    let [source, lines] = region.get_disjoint_mut(places).ok()?;
    let columns = width.min(shapes.line_columns().saturating_sub(left));
    let line_bytes = shapes.line_bytes();
    for (y, line) in lines.chunks_exact_mut(line_bytes.max(1)).enumerate() {
        match row.wrapping_add(y).checked_sub(top).filter(|&y| y < height) {
            Some(y) if columns > 0 => {
                let from = y.wrapping_mul(width).wrapping_mul(depth);
                let target = line.get_mut(left.wrapping_mul(depth)..)?;
                copy_rows(source.get(from..)?, target, columns.wrapping_mul(depth), 1, [0, 0])?;
            }
            _ => line.fill(padding),
        }
    }
    Some(())
}

fn words(bytes: &mut [i8]) -> Option<&mut [u32]> {
    bytemuck::try_cast_slice_mut(bytes).ok()
}

/// Transforms the taps of two tiles: `B' d B`.
///
/// # Shapes
/// - `source`: four lines of `[columns, C]` i8, from the first tap of the first tile on
/// - `patch`: `[16, C / 4, 4]`, per four channels the words `(c0, c2)` of each tile, then `(c1, c3)` of each
fn transform(shapes: &Winograd, source: &[i8], patch: &mut [u32]) -> Option<()> {
    let pitch = shapes.line_bytes();
    let taps = shapes.n_inputs.checked_mul(6)?;
    let source = source.get(..pitch.checked_mul(3)?.checked_add(taps)?)?;
    let patch = patch.get_mut(..shapes.n_inputs.checked_mul(POSITIONS)?)?;
    implementation::transform_tiles(shapes.n_inputs, pitch, source, patch)
}

/// Multiplies the transformed taps of two tiles with all filters, and transforms the sums back.
///
/// # Shapes
/// - `patch`: as [`transform`] writes it
/// - `output`: two rows of `[4, O]` i8, `pitch` elements apart
fn multiply(shapes: &Winograd, patch: &[u32], stream: &[u32], output: &mut [i8], pitch: usize) -> Option<()> {
    let run = shapes.n_outputs.checked_mul(4)?;
    let patch = patch.get(..shapes.n_inputs.checked_mul(POSITIONS)?)?;
    let stream = stream.get(..shapes.stream_words())?;
    let output = output.get_mut(..pitch.checked_add(run)?)?;
    if pitch < run || stream.is_empty() || shapes.n_inputs < 8 {
        return None;
    }
    implementation::multiply_tiles(shapes, patch, stream, output, pitch)
}
