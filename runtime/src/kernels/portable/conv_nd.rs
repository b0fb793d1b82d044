//! Convolution and its transpose in the ONNX file's own layout: one to three axes, any batch, weights of any origin.
//!
//! For what has no kernel over NHWC: three axes, a batch, or weights that are computed at run time.

use super::rows::{rows, rows_mut};
use crate::kernels::geometry::{ConvNd, Direction, Window3d};

/// Sets every plane of `[N, O, D, H, W]` to its channel's bias, 0 where there is none.
///
/// # Shapes
/// - `bias`: `[O]` f32 or nothing
/// - `output`: planes of `conv.output_plane()` elements
pub fn fill_bias_f32(conv: &ConvNd, bias: Option<&[f32]>, output: &mut [f32]) -> Option<()> {
    let mut planes = rows_mut(output, conv.output_plane());
    for _ in 0..conv.batch {
        for channel in 0..conv.output_channels as usize {
            let value = match bias {
                Some(bias) => *bias.get(channel)?,
                None => 0.0,
            };
            for element in planes.next()? {
                *element = value;
            }
        }
    }
    Some(())
}

/// Convolution in float32, added to what `output` holds: the bias ([`fill_bias_f32`]).
///
/// # Shapes
/// - `input`: `[N, C, D, H, W]` f32
/// - `weights`: `[O, C / groups, KD, KH, KW]` f32; `[C, O / groups, KD, KH, KW]` when it is transposed
/// - `output`: `[N, O, OD, OH, OW]` f32
///
/// # Algorithm
/// Each element is its bias plus `sum(x * w)` in the order (ci, kd, kh, kw), multiply then add, never fused; taps in the
/// padding are left out. Works tap after tap along whole rows, which vectorizes for stride 1.
pub fn conv_nd_f32(conv: &ConvNd, input: &[f32], weights: &[f32], output: &mut [f32]) -> Option<()> {
    let (inputs, outputs) = (conv.input_channels_per_group(), conv.output_channels_per_group());
    let taps = conv.window.kernel_elements();
    let plane = conv.input_plane();
    let mut targets = rows_mut(output, conv.output_plane());
    for sample in rows(input, plane.wrapping_mul(conv.input_channels as usize)) {
        for group in 0..conv.groups as usize {
            let first_input = group.wrapping_mul(inputs);
            for o in 0..outputs {
                let target = targets.next()?;
                let sources = rows(sample.get(first_input.wrapping_mul(plane)..)?, plane).take(inputs);
                for (i, source) in sources.enumerate() {
                    let filter = match conv.direction {
                        Direction::Forward => {
                            group.wrapping_mul(outputs).wrapping_add(o).wrapping_mul(inputs).wrapping_add(i)
                        }
                        Direction::Transposed => first_input.wrapping_add(i).wrapping_mul(outputs).wrapping_add(o),
                    };
                    let filter = weights.get(filter.wrapping_mul(taps)..)?.get(..taps)?;
                    add_plane(&conv.window, conv.direction, source, filter, target)?;
                }
            }
        }
    }
    Some(())
}

/// Adds the products of one plane with one filter to another plane.
fn add_plane(
    window: &Window3d,
    direction: Direction,
    source: &[f32],
    filter: &[f32],
    target: &mut [f32],
) -> Option<()> {
    let [along_d, along_h, along_w] = window.axes();
    let [_, height, width] = window.input.map(|v| v as usize);
    let [positions_d, positions_h, positions_w] = window.output.map(|v| v as usize);
    let [taps_d, taps_h, taps_w] = window.kernel.map(|v| v as usize);
    let stride = along_w.stride().max(1);
    let mut weights = filter.iter();
    for kd in 0..taps_d {
        let d = along_d.positions(kd, positions_d);
        for kh in 0..taps_h {
            let h = along_h.positions(kh, positions_h);
            for kw in 0..taps_w {
                let w = along_w.positions(kw, positions_w);
                let weight = *weights.next()?;
                if w.count == 0 {
                    continue;
                }
                for i in 0..d.count {
                    for j in 0..h.count {
                        let row =
                            d.first.wrapping_add(i).wrapping_mul(positions_h).wrapping_add(h.first.wrapping_add(j));
                        let at_window = row.wrapping_mul(positions_w).wrapping_add(w.first);
                        let row = d.input.wrapping_add(i.wrapping_mul(along_d.stride())).wrapping_mul(height);
                        let row = row.wrapping_add(h.input.wrapping_add(j.wrapping_mul(along_h.stride())));
                        let at_tap = row.wrapping_mul(width).wrapping_add(w.input);
                        match direction {
                            Direction::Forward => {
                                let targets = target.get_mut(at_window..)?.get_mut(..w.count)?;
                                add_row(targets, source.get(at_tap..)?.iter().step_by(stride), weight);
                            }
                            Direction::Transposed => {
                                let sources = source.get(at_window..)?.get(..w.count)?;
                                let targets = target.get_mut(at_tap..)?.iter_mut().step_by(stride);
                                add_row(targets, sources, weight);
                            }
                        }
                    }
                }
            }
        }
    }
    Some(())
}

#[inline(always)]
fn add_row<'a>(
    targets: impl IntoIterator<Item = &'a mut f32>,
    sources: impl IntoIterator<Item = &'a f32>,
    weight: f32,
) {
    for (target, source) in targets.into_iter().zip(sources) {
        *target += source * weight;
    }
}
