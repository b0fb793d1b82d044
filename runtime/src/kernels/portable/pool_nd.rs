//! Pooling in the ONNX file's own layout: one to three axes, any batch.

use super::rows::{rows, rows_mut};
use crate::float_math::{pow, sqrt};
use crate::kernels::geometry::{Taps, Window3d};

/// An element that has a maximum.
pub trait Ordered: Copy {
    /// Below all others.
    const LEAST: Self;

    /// Whether it takes the place of `other`, which came before.
    fn beats(self, other: Self) -> bool;
}

impl Ordered for f32 {
    const LEAST: f32 = f32::NEG_INFINITY;

    /// NaN beats everything but an earlier NaN.
    #[inline(always)]
    fn beats(self, other: f32) -> bool {
        self > other || (self.is_nan() && !other.is_nan())
    }
}

impl Ordered for i8 {
    const LEAST: i8 = i8::MIN;

    #[inline(always)]
    fn beats(self, other: i8) -> bool {
        self > other
    }
}

impl Ordered for u8 {
    const LEAST: u8 = u8::MIN;

    #[inline(always)]
    fn beats(self, other: u8) -> bool {
        self > other
    }
}

/// Largest element of every window.
///
/// # Shapes
/// - `input`: planes `[D, H, W]` one after the other
/// - `output`: as many planes `[OD, OH, OW]`
///
/// # Algorithm
/// The largest tap inside the plane, the least value of the type when there is none, NaN when one is NaN.
pub fn max_pool_nd<T: Ordered>(window: &Window3d, input: &[T], output: &mut [T]) -> Option<()> {
    let larger = |largest: T, x: T, _| if x.beats(largest) { x } else { largest };
    pool(window, input, output, T::LEAST, larger, |_, _, largest| largest)
}

/// In which order the elements of a plane are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexOrder {
    /// The last axis is the innermost (ONNX `storage_order = 0`).
    RowMajor,
    /// The first axis of the plane is the innermost (`storage_order = 1`).
    ColumnMajor,
}

/// Where the largest element of every window lies.
///
/// # Shapes
/// As [`max_pool_nd`]; `output`: i64, counted from the first element of the whole tensor.
///
/// # Algorithm
/// The first of the largest taps inside the plane in the order (kd, kh, kw); the plane's first element when there is
/// none. Planes follow each other; `order` is the order inside one.
pub fn max_pool_indices_nd<T: Ordered>(
    window: &Window3d,
    order: IndexOrder,
    input: &[T],
    output: &mut [i64],
) -> Option<()> {
    let [depth, height, width] = window.input.map(|v| v as usize);
    let plane = window.input_elements();
    let first = |best: Option<(T, usize)>, x: T, at: usize| match best {
        Some((largest, _)) if !x.beats(largest) => best,
        _ => Some((x, at)),
    };
    pool(window, input, output, None, first, |plane_idx, _, best: Option<(T, usize)>| {
        let at = best.map_or(0, |(_, at)| at);
        let inside = match order {
            IndexOrder::RowMajor => at,
            IndexOrder::ColumnMajor => {
                let row = at.checked_div(width).unwrap_or(0);
                let (w, d) = (at.wrapping_sub(row.wrapping_mul(width)), row.checked_div(height).unwrap_or(0));
                let h = row.wrapping_sub(d.wrapping_mul(height));
                w.wrapping_mul(height).wrapping_add(h).wrapping_mul(depth).wrapping_add(d)
            }
        };
        plane_idx.wrapping_mul(plane).wrapping_add(inside) as i64
    })
}

/// Whether an average counts the taps in the padding, which are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedTaps {
    /// Taps inside the plane (ONNX `count_include_pad = 0`).
    Inside,
    /// Taps inside the plane and its padding (`count_include_pad = 1`).
    Padded,
}

/// Mean of every window in float32.
///
/// # Shapes
/// As [`max_pool_nd`].
///
/// # Algorithm
/// `sum / n`, summed from 0 in the order (kd, kh, kw) over the taps inside the plane; 0 when n is 0.
pub fn average_pool_nd_f32(window: &Window3d, counted: CountedTaps, input: &[f32], output: &mut [f32]) -> Option<()> {
    pool(
        window,
        input,
        output,
        0.0f32,
        |sum, x, _| sum + x,
        |_, position, sum| {
            let n = match counted {
                CountedTaps::Inside => position.n_taps() as u32,
                CountedTaps::Padded => window.padded_taps(position.output),
            };
            sum / n.max(1) as f32
        },
    )
}

/// Norm of every window in float32.
///
/// # Shapes
/// As [`max_pool_nd`].
///
/// # Algorithm
/// `(sum |x|^p)^(1/p)`, summed from 0 in the order (kd, kh, kw) over the taps inside the plane. `p` is at least 1.
pub fn lp_pool_nd_f32(window: &Window3d, p: u32, input: &[f32], output: &mut [f32]) -> Option<()> {
    let power = p as f32;
    match p {
        1 => pool(window, input, output, 0.0f32, |sum, x, _| sum + x.abs(), |_, _, sum| sum),
        2 => pool(window, input, output, 0.0f32, |sum, x, _| sum + x * x, |_, _, sum| sqrt(sum)),
        _ => pool(
            window,
            input,
            output,
            0.0f32,
            |sum, x, _| sum + pow(x.abs(), power),
            |_, _, sum| pow(sum, 1.0 / power),
        ),
    }
}

/// A window over its plane.
struct Position {
    /// D, H, W of the output.
    output: [usize; 3],
    /// D, H, W: taps inside.
    taps: [Taps; 3],
}

impl Position {
    fn n_taps(&self) -> usize {
        self.taps.iter().fold(1usize, |n, taps| n.wrapping_mul(taps.count))
    }
}

/// Folds every window from `start` on with `fold(folded, element, where it is in its plane)`, in the order
/// (kd, kh, kw); `finish(plane, position, folded)` makes the output.
#[inline(always)]
fn pool<T: Copy, A: Copy, O>(
    window: &Window3d,
    input: &[T],
    output: &mut [O],
    start: A,
    fold: impl Fn(A, T, usize) -> A,
    finish: impl Fn(usize, &Position, A) -> O,
) -> Option<()> {
    let [along_d, along_h, along_w] = window.axes();
    let [_, height, width] = window.input.map(|v| v as usize);
    let [output_depth, output_height, output_width] = window.output.map(|v| v as usize);
    let planes = rows(input, window.input_elements()).zip(rows_mut(output, window.output_elements()));
    for (plane_idx, (plane, target)) in planes.enumerate() {
        let mut targets = target.iter_mut();
        for od in 0..output_depth {
            let d = along_d.taps(od);
            for oh in 0..output_height {
                let h = along_h.taps(oh);
                for ow in 0..output_width {
                    let w = along_w.taps(ow);
                    let mut folded = start;
                    for kd in 0..d.count {
                        let row = d.position.wrapping_add(kd.wrapping_mul(along_d.dilation())).wrapping_mul(height);
                        for kh in 0..h.count {
                            let row = row.wrapping_add(h.position.wrapping_add(kh.wrapping_mul(along_h.dilation())));
                            let mut at = row.wrapping_mul(width).wrapping_add(w.position);
                            for _ in 0..w.count {
                                folded = fold(folded, *plane.get(at)?, at);
                                at = at.wrapping_add(along_w.dilation());
                            }
                        }
                    }
                    *targets.next()? = finish(plane_idx, &Position { output: [od, oh, ow], taps: [d, h, w] }, folded);
                }
            }
        }
    }
    Some(())
}
