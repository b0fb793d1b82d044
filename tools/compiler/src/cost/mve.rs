//! Kernels for Helium: loops counted in their assembly (`runtime/src/kernels/mve/instructions.rs`), the Rust around
//! them fitted.

use super::{Shapes, linear};
use tinfer::kernels::geometry::{Conv2d, Window2d};
use tinfer::kernels::mve::layout::{CHANNELS, LANES, Plane, Strip, is_pointwise};

/// Instructions on a Cortex-M55.
pub(super) fn instructions(name: &str, shapes: &Shapes) -> Option<f64> {
    match name {
        "conv_2d_i8_mve" => conv(&Conv2d { window: shapes.window?, groups: 1 }.check()?),
        "depthwise_conv_2d_i8_mve" => depthwise(&shapes.window?),
        "fully_connected_i8_mve" => Some(fully_connected(shapes)),
        "add_i8_mve" => Some(984.0 + SUM_VECTOR * shapes.n_outputs.div_ceil(CHANNELS) as f64),
        _ => None,
    }
}

fn conv(conv: &Conv2d) -> Option<f64> {
    let window = &conv.window;
    let [height, width, depth] = window.input.map(|v| v as usize);
    let [rows, columns, n_outputs] = window.output.map(|v| v as usize);
    let taps = conv.filter_elements();
    if is_pointwise(conv) {
        if window.stride == [1, 1] && (rows, columns) == (height, width) {
            return Some(1306.0 + multiply(rows * columns, taps, n_outputs));
        }
        return Some(903.0 + rows as f64 * (403.0 + multiply(columns, taps, n_outputs)));
    }
    let strip = Strip::new(conv);
    let n_columns = width.min(strip.columns.saturating_sub(window.padding[1] as usize));
    let kernel_rows = window.kernel[0] as usize;
    let counts: Vec<usize> = (0..rows).map(|row| window.vertical().taps(row).count).collect();
    let n_copies = counts.iter().sum::<usize>() as f64;
    // The padding is written again unless the row before had the same.
    let is_whole = |row: usize| counts[row] == kernel_rows;
    let n_fills = (0..rows).filter(|&row| !(is_whole(row) && row > 0 && is_whole(row - 1))).count() as f64;
    let filled = n_fills * strip.bytes() as f64;
    let glue = linear([903.0, 238.7, 25.7, 101.1, 0.93], [1.0, rows as f64, n_copies, n_fills, filled]);
    Some(glue + n_copies * copy_runs(n_columns, depth) + rows as f64 * multiply(columns, taps, n_outputs))
}

fn depthwise(window: &Window2d) -> Option<f64> {
    let plane = Plane::new(window)?;
    let [height, width, channels] = window.input.map(|v| v as usize);
    let [top, left] = window.padding.map(|v| v as usize);
    let [rows, columns] = [height.min(plane.height.saturating_sub(top)), width.min(plane.width.saturating_sub(left))];
    // The kernel copies along the side that needs fewer vectors of eight.
    let n_vectors = |outer: usize, inner: usize| outer * (inner.div_ceil(8) + 1);
    let [outer, inner] =
        if n_vectors(columns, rows) < n_vectors(rows, columns) { [columns, rows] } else { [rows, columns] };
    let copied = 7 + outer * (7 + 5 * inner.div_ceil(8));
    let [inner, outer] = plane.outputs;
    let convolved = 16 + outer * (14 + 21 * inner.div_ceil(CHANNELS));
    let n_elements = (plane.height * plane.width) as f64;
    Some(linear(
        [1814.0, 211.3, 0.74, 1.0],
        [1.0, channels as f64, n_elements, (channels * (copied + convolved)) as f64],
    ))
}

fn fully_connected(shapes: &Shapes) -> f64 {
    let (n_inputs, n_outputs) = (shapes.input_last, shapes.output_last);
    let n_rows = shapes.n_outputs.checked_div(n_outputs).unwrap_or(0);
    let is_copied = f64::from(u8::from(!n_inputs.is_multiple_of(LANES)));
    1104.0 + 18.7 * is_copied + multiply(n_rows, n_inputs, n_outputs)
}

/// `pixel_pairs` and `one_pixel`: per call, per pair or pixel, per four outputs, per sixteen taps, per iteration of two.
fn multiply(n_pixels: usize, taps: usize, n_outputs: usize) -> f64 {
    let (blocks, steps) = (n_outputs.div_ceil(CHANNELS), taps.div_ceil(LANES));
    let iterations = steps.div_ceil(2);
    let (pairs, odd) = (n_pixels / 2, n_pixels % 2);
    let in_pairs = 13 * pairs.min(1) + pairs * (19 + blocks * (28 + 14 * steps + 2 * iterations));
    (in_pairs + odd * (8 + blocks * (20 + 9 * steps + iterations))) as f64
}

/// `copied_runs`: runs of one vector in one loop, longer ones in a loop each.
fn copy_runs(n_runs: usize, length: usize) -> f64 {
    let instructions = match length {
        ..=LANES => 7 + 6 * n_runs,
        _ => 5 + n_runs * (7 + 3 * length.div_ceil(LANES)),
    };
    instructions as f64
}

/// `summed`: four elements.
const SUM_VECTOR: f64 = 11.0;
