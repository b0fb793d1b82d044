//! Kernels for Helium: loops counted in their assembly (`runtime/src/kernels/mve/instructions/`), the Rust around
//! them fitted.

use super::{Shapes, linear};
use tinfer::kernels::geometry::{Conv2d, Window2d};
use tinfer::kernels::mve::layout::{CHANNELS, LANES, Strip, is_pointwise};
use tinfer::kernels::mve::plane::{GROUP, Plane};

/// Instructions on a Cortex-M55.
pub(super) fn instructions(name: &str, shapes: &Shapes) -> Option<f64> {
    match name {
        "conv_2d_i8_mve" => conv(&Conv2d { window: shapes.window?, groups: 1 }.check()?),
        "depthwise_conv_2d_i8_mve" | "depthwise_windows_i8_mve" => depthwise(&shapes.window?),
        "fully_connected_i8_mve" => Some(fully_connected(shapes)),
        "max_pool_2d_i8_mve" => Some(700.0 + pool(&shapes.window?, maximum)),
        "average_pool_2d_i8_mve" => Some(1290.0 + pool(&shapes.window?, average)),
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
            return Some(954.0 + multiply(rows * columns, taps, n_outputs));
        }
        return Some(589.0 + rows as f64 * (453.0 + multiply(columns, taps, n_outputs)));
    }
    let strip = Strip::new(conv);
    let n_columns = width.min(strip.columns.saturating_sub(window.padding[1] as usize));
    let kernel_rows = window.kernel[0] as usize;
    let counts: Vec<usize> = (0..rows).map(|row| window.vertical().taps(row).count).collect();
    // The padding is written again unless the row before had the same.
    let is_whole = |row: usize| counts[row] == kernel_rows;
    let n_fills = (0..rows).filter(|&row| !(is_whole(row) && row > 0 && is_whole(row - 1))).count() as f64;
    let filled = n_fills * strip.bytes() as f64;
    let copied: f64 = counts.iter().map(|&n| copy_rows(n, n_columns, depth)).sum();
    let [n_channel_copies, n_row_copies] = match is_by_channel(n_columns, depth) {
        true => [rows * depth, 0],
        false => [0, rows],
    };
    let features = [1, rows, n_channel_copies, n_row_copies].map(|n| n as f64);
    let glue = linear([806.0, 289.1, 21.9, 28.4], features) + linear([30.9, 0.75], [n_fills, filled]);
    Some(glue + copied + rows as f64 * multiply(columns, taps, n_outputs))
}

/// `convolved`, or `convolved_chunks` for windows that it does not take: both per channel, line and group.
fn depthwise(window: &Window2d) -> Option<f64> {
    if let Some(plane) = Plane::new(window) {
        return Some(2206.0 + in_planes(window, &plane, plane.bytes(), [30, 7, 34]));
    }
    let plane = Plane::in_chunks(window)?;
    Some(2300.0 + in_planes(window, &plane, plane.bytes(), [36, 9, 25 + 23 * plane.taps.count]))
}

/// All channels: the plane's padding, copies, and instructions per channel, per line and group of outputs; the clamp.
fn in_planes<T>(window: &Window2d, plane: &Plane<T>, n_bytes: usize, [channel, line, group]: [usize; 3]) -> f64 {
    let [height, width, channels] = window.input.map(|v| v as usize);
    let ([length, n_lines], [n_outputs, n_output_lines]) = (plane.extents, plane.outputs);
    let [before, lines_before] = plane.inner.split(window.padding.map(|v| v as usize));
    let [columns, rows] = plane.inner.split([height, width]);
    let (columns, rows) = (columns.min(length.saturating_sub(before)), rows.min(n_lines.saturating_sub(lines_before)));
    let copied = rows * (7 + 4 * columns.div_ceil(GROUP));
    let convolved = n_output_lines * (line + group * n_outputs.div_ceil(GROUP));
    let loops = (channels * (channel + copied + convolved)) as f64;
    let clamped = (n_outputs * n_output_lines * channels).div_ceil(LANES) as f64;
    loops + linear([0.58, 5.0], [n_bytes as f64, clamped])
}

fn fully_connected(shapes: &Shapes) -> f64 {
    let (n_inputs, n_outputs) = (shapes.input_last, shapes.output_last);
    let n_rows = shapes.n_outputs.checked_div(n_outputs).unwrap_or(0);
    let is_copied = f64::from(u8::from(!n_inputs.is_multiple_of(LANES)));
    775.0 + 18.7 * is_copied + multiply(n_rows, n_inputs, n_outputs)
}

/// `short_pairs`, `pixel_pairs` and `one_pixel`: per call, per pair or pixel, per block of four outputs or two blocks, per sixteen taps,
/// per round of four times sixteen.
fn multiply(n_pixels: usize, taps: usize, n_outputs: usize) -> f64 {
    let steps = taps.div_ceil(LANES);
    let rounds = steps.div_ceil(4);
    let (pairs, odd) = (n_pixels / 2, n_pixels % 2);
    let blocks = n_outputs.div_ceil(CHANNELS);
    let pair = if steps == 1 { 18 + blocks * 35 } else { 15 + blocks * (25 + 14 * steps + 2 * rounds) };
    let in_pairs = 16 * pairs.min(1) + pairs * pair;
    let (eights, rest) = (n_outputs / 8, (n_outputs % 8).div_ceil(CHANNELS));
    let alone = 19 + eights * (30 + 17 * steps + 2 * rounds) + rest * (20 + 10 * steps);
    (in_pairs + odd * alone) as f64
}

/// Whether a strip is filled channel by channel.
fn is_by_channel(n_columns: usize, depth: usize) -> bool {
    depth * (5 * n_columns.div_ceil(8) + 7) < 6 * n_columns
}

/// `copied_lattice` for each channel, or `copied_runs`.
fn copy_rows(n_rows: usize, n_columns: usize, depth: usize) -> f64 {
    if is_by_channel(n_columns, depth) {
        return (depth * (7 + n_rows * (7 + 5 * n_columns.div_ceil(8)))) as f64;
    }
    let run = match depth {
        ..LANES => 6,
        LANES => 4,
        _ => 5 + 3 * depth.div_ceil(LANES),
    };
    (9 + n_rows * (6 + n_columns * run)) as f64
}

/// All windows, each with so many rows and columns of taps and so many channels.
fn pool(window: &Window2d, per_window: fn(usize, usize, usize) -> f64) -> f64 {
    let [rows, columns, channels] = window.output.map(|v| v as usize);
    (0..rows)
        .flat_map(|y| (0..columns).map(move |x| (y, x)))
        .map(|(y, x)| {
            let (y, x) = (window.vertical().taps(y).count, window.horizontal().taps(x).count);
            per_window(y, x, channels)
        })
        .sum()
}

/// `largest_taps`.
fn maximum(rows: usize, columns: usize, channels: usize) -> f64 {
    (90 + channels.div_ceil(LANES) * (9 + rows * (6 + 5 * columns))) as f64
}

/// `summed_taps`, and the average of each channel.
fn average(rows: usize, columns: usize, channels: usize) -> f64 {
    (100 + channels.div_ceil(8) * (60 + rows * (5 + 5 * columns)) + channels * 25) as f64
}

/// `summed`: four elements.
const SUM_VECTOR: f64 = 11.0;
