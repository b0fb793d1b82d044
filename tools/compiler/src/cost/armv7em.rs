//! Kernels for the DSP extension: loops counted in their assembly, the Rust around them fitted.

use super::{Shapes, linear};
use tinfer::kernels::armv7em::conv_2d::{PairCounts, count_pairs};
use tinfer::kernels::armv7em::layout::{WindowPlane, Winograd, conv_2d_taps, is_depthwise_3x3, padded_taps, plane};
use tinfer::kernels::geometry::Conv2d;

/// Instructions on a Cortex-M4, M7 or M33.
pub(super) fn instructions(name: &str, shapes: &Shapes) -> Option<f64> {
    match name {
        "conv_2d_i8_armv7em" => conv(shapes),
        "conv_2d_winograd_i8_armv7em" => winograd(shapes),
        // The window decides which of the two kernels a layer has.
        "depthwise_conv_2d_i8_armv7em" | "depthwise_windows_i8_armv7em" => {
            if is_depthwise_3x3(&shapes.window?) {
                depthwise(shapes)
            } else {
                depthwise_windows(shapes)
            }
        }
        "fully_connected_i8_armv7em" => Some(fully_connected(shapes)),
        "max_pool_2d_i8_armv7em" => maximum(shapes),
        "average_pool_2d_i8_armv7em" => average(shapes),
        "add_i8_armv7em" => Some(linear([1323.0, 8.0], [1.0, shapes.n_outputs()])),
        _ => None,
    }
}

fn conv(shapes: &Shapes) -> Option<f64> {
    let conv = Conv2d { window: shapes.window?, groups: 1 }.check()?;
    let [taps, _] = conv_2d_taps(&conv);
    let n_outputs = f64::from(conv.window.output[2]);
    let PairCounts { runs, pairs, copied_pairs, copies, copied_rows, copied_words } = count_pairs(&conv);
    let blocks = pairs as f64 * (n_outputs / 2.0).ceil();
    let (main, rest) = ((taps / 32) as f64, (taps % 32 / 4) as f64);
    let rows = f64::from(conv.window.kernel[0]);
    let pairs = pairs as f64;
    // Of a block: start and end, 32 taps, 4 taps. Of a pair: kernel rows, four taps widened.
    let loops = linear(
        [38.0, 1.0, 95.0, 12.0, 6.0, 9.0],
        [blocks, blocks * main.min(1.0), blocks * main, blocks * rest, pairs * rows, pairs * (taps / 4) as f64],
    );
    let odd = pairs * (n_outputs % 2.0);
    let features = [1.0, runs as f64, copied_pairs as f64, copies as f64, copied_rows as f64, copied_words as f64];
    Some(loops + linear([1282.0, 443.1, 585.8, 26.5, -5.5, 5.5], features) + 20.7 * pairs + 13.5 * odd)
}

fn winograd(shapes: &Shapes) -> Option<f64> {
    let window = shapes.window?;
    let Winograd { n_inputs, n_outputs, tile_rows, tile_pairs } = Winograd::new(&window)?;
    let [height, width, _] = window.output.map(|v| v as usize);
    let tiles = (tile_rows * tile_pairs) as f64;
    let groups = n_inputs / 4;
    // Of two output channels: 16 positions, each with a start and an end, fours of input channels and rounds of the
    // unrolled loop; the way back.
    let position = linear([9.0, 10.0, 3.0], [1.0, groups as f64, (groups - 1).div_ceil(4) as f64]);
    let block = 287.0 + 16.0 * position;
    let transform = 2.0 * (12.0 + 207.0 * groups as f64);
    let loops = tiles * (transform + block * (n_outputs / 2) as f64);
    let spilled = tile_rows * usize::from(width % 4 != 0) + (height % 2) * (width / 4);
    let line_words = (tile_rows * 4 * (window.input[1] as usize) * n_inputs / 4) as f64;
    Some(loops + linear([1300.0, 400.0, 300.0, 150.0, 1.5], [1.0, tile_rows as f64, tiles, spilled as f64, line_words]))
}

fn depthwise(shapes: &Shapes) -> Option<f64> {
    let window = shapes.window?;
    let [height, width, channels] = window.input.map(f64::from);
    let [rows, columns, _] = window.output.map(f64::from);
    let [top, left] = window.padding.map(f64::from);
    let [plane_height, plane_width] = plane(&window).map(|v| v as f64);
    let (inside_rows, inside_columns) = (height.min(plane_height - top), width.min(plane_width - left));
    // Two outputs, one output; four copied elements, one.
    let row = match window.stride {
        [1, _] => 12.0 + 31.0 * (columns / 2.0).floor() + 3.0 + 20.0 * (columns % 2.0),
        _ => 12.0 + 19.0 * columns + 1.0,
    };
    let copied = inside_rows * (11.0 * (inside_columns / 4.0).floor() + 5.0 * (inside_columns % 4.0) + 8.0);
    let outputs = rows * columns * channels;
    Some(linear(
        [1234.0, 104.9, 3.38, 0.61, 1.04, 6.6],
        [1.0, channels, plane_height * plane_width, channels * rows * row, channels * copied, outputs],
    ))
}

fn depthwise_windows(shapes: &Shapes) -> Option<f64> {
    let window = shapes.window?;
    let plane = WindowPlane::new(&window)?;
    let [height, width, channels] = window.input.map(|v| v as usize);
    let [rows, columns, _] = window.output.map(f64::from);
    let [top, left] = window.padding.map(|v| v as usize);
    let inside_rows = height.min(plane.height.saturating_sub(top)) as f64;
    let inside_columns = width.min(plane.width.saturating_sub(left)) as f64;
    let (kernel_rows, pairs) = (plane.kernel_rows as f64, plane.pairs as f64);
    // Four outputs, one output; four copied elements, one.
    let four = 35.0 + kernel_rows * (5.0 + 12.0 * pairs);
    let one = 19.0 + kernel_rows * (5.0 + 5.0 * pairs);
    let row = 16.0 + four * (columns / 4.0).floor() + one * (columns % 4.0);
    let copied = inside_rows * (11.0 * (inside_columns / 4.0).floor() + 5.0 * (inside_columns % 4.0) + 8.0);
    let channels = channels as f64;
    Some(linear(
        [1234.0, 150.0, 3.4, 1.0, 1.0],
        [1.0, channels, plane.cells() as f64, channels * rows * row, channels * copied],
    ))
}

fn fully_connected(shapes: &Shapes) -> f64 {
    let &Shapes { n_inputs, n_outputs, .. } = shapes;
    let quads = n_outputs.div_ceil(4) as f64;
    let taps = padded_taps(n_inputs);
    let segments = (taps / 16 * 16).div_ceil(512) as f64;
    let is_copied = f64::from(u8::from(!n_inputs.is_multiple_of(4)));
    let is_odd = f64::from(u8::from(!n_outputs.is_multiple_of(4)));
    linear(
        [748.0, 43.6, 5.2, 68.0, 21.8, 33.3, 10.0, 87.7],
        [
            1.0,
            quads,
            quads * segments,
            quads * (taps / 16) as f64,
            quads * (taps % 16 / 4) as f64,
            is_copied,
            is_copied * n_inputs as f64,
            is_odd,
        ],
    )
}

/// Eight channels at a time, then four, then single ones.
fn maximum(shapes: &Shapes) -> Option<f64> {
    let channels = f64::from(shapes.window?.input[2]);
    let (eights, rest) = ((channels / 8.0).floor(), channels % 8.0);
    let [fours, ones] = [(rest / 4.0).floor(), rest % 4.0];
    pool(shapes, [900.0, 130.0, 13.0], &[(eights, 7.0, 6.0), (fours, 4.0, 3.0), (ones, 5.0, 4.0)])
}

/// Eight channels at a time, then single ones.
fn average(shapes: &Shapes) -> Option<f64> {
    let channels = f64::from(shapes.window?.input[2]);
    pool(shapes, [1300.0, 160.0, 11.0], &[((channels / 8.0).floor(), 42.0, 6.0), (channels % 8.0, 12.0, 2.0)])
}

/// Instructions around the loops: of the step, of a run of pixels, of a pixel. `groups` of channels: how many, and
/// instructions of one and of one of its taps.
fn pool(shapes: &Shapes, [step, run, pixel]: [f64; 3], groups: &[(f64, f64, f64)]) -> Option<f64> {
    let window = shapes.window?;
    let [rows, columns, _] = window.output;
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let (mut total, mut runs) = (0.0, 0.0);
    for y in 0..rows {
        let height = vertical.taps(y as usize).count as f64;
        let mut before = 0;
        for x in 0..columns {
            let width = horizontal.taps(x as usize).count;
            // Whole windows of a row are one run, others one each.
            runs += f64::from(u8::from(x == 0 || width != window.kernel[1] as usize || width != before));
            before = width;
            let taps = |tap: f64| 2.0 + height * (4.0 + width as f64 * (tap + 3.0));
            total += pixel + groups.iter().map(|&(n, group, tap)| n * (group + taps(tap))).sum::<f64>();
        }
    }
    Some(linear([step, run, 1.0], [1.0, runs, total]))
}
