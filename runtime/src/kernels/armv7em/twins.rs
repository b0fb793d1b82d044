//! The inner loops in plain Rust, for every machine without the DSP extension.

mod winograd;

pub(super) use winograd::{multiply_tiles, transform_tiles};

use super::loops::{Mean, PixelPairs, Places, Plane, Sum, WindowPlane, Windows};
use crate::kernels::armv7em::layout::{DEPTHWISE_WORDS, SEGMENT};

pub(super) fn add(region: &mut [i8], [x, y, target]: [usize; 3], n: usize, sum: &Sum) -> Option<()> {
    for i in 0..n {
        let at = |start: usize| region.get(start.wrapping_add(i)).map(|&v| i32::from(v));
        let (x, y) = (at(x)?.wrapping_mul(sum.a), at(y)?.wrapping_mul(sum.b));
        let steps = x.wrapping_add(y).wrapping_add(sum.constant).wrapping_shr(sum.shift);
        *region.get_mut(target.wrapping_add(i))? = steps.max(i32::from(i8::MIN)).min(i32::from(i8::MAX)) as i8;
    }
    Some(())
}

pub(super) fn copy_rows(
    source: &[i8],
    target: &mut [i8],
    run: usize,
    n_rows: usize,
    [source_pitch, target_pitch]: [usize; 2],
) -> Option<()> {
    for row in 0..n_rows {
        let source = source.get(row.wrapping_mul(source_pitch)..)?.get(..run)?;
        let target = target.get_mut(row.wrapping_mul(target_pitch)..)?.get_mut(..run)?;
        for (t, s) in target.iter_mut().zip(source) {
            *t = *s;
        }
    }
    Some(())
}

pub(super) fn copy_channel(
    source: &[i8],
    width: usize,
    depth: usize,
    plane: &mut [i16],
    pitch: usize,
    [rows, columns]: [usize; 2],
) -> Option<()> {
    for row in 0..rows {
        for column in 0..columns {
            let at = row.wrapping_mul(width).wrapping_add(column).wrapping_mul(depth);
            let to = row.wrapping_mul(pitch).wrapping_add(column);
            *plane.get_mut(to)? = i16::from(*source.get(at)?);
        }
    }
    Some(())
}

pub(super) fn convolve_plane(
    plane: &Plane,
    block: &[u32; DEPTHWISE_WORDS],
    cells: &[i16],
    target: &mut [i8],
) -> Option<()> {
    let [row_0, row_1, row_2, bias, multiplier, addend, shift] = *block;
    let weights = [row_0, row_1, row_2].map(|w| {
        let [a, b, _, c] = w.to_le_bytes().map(|b| i32::from(b as i8));
        [a, b, c]
    });
    let mut at = 0usize;
    for row in 0..plane.rows {
        for column in 0..plane.columns {
            let mut acc = bias as i32;
            let corner = row.wrapping_mul(plane.pitch).wrapping_add(column).wrapping_mul(plane.stride);
            for (y, taps) in weights.iter().enumerate() {
                let cells = cells.get(corner.wrapping_add(y.wrapping_mul(plane.pitch))..)?.first_chunk::<3>()?;
                for (w, x) in taps.iter().zip(cells) {
                    acc = acc.wrapping_add(w.wrapping_mul(i32::from(*x)));
                }
            }
            *target.get_mut(at)? = finish(acc, multiplier, addend, shift);
            at = at.wrapping_add(plane.depth);
        }
    }
    Some(())
}

pub(super) fn convolve_windows(plane: &WindowPlane, block: &[u32], cells: &[i16], target: &mut [i8]) -> Option<()> {
    let (weights, &[bias, multiplier, addend, shift]) = block.split_last_chunk()?;
    let [stride_y, stride_x] = plane.stride;
    let mut at = 0usize;
    for row in 0..plane.rows {
        for column in 0..plane.columns {
            let corner =
                row.wrapping_mul(stride_y).wrapping_mul(plane.pitch).wrapping_add(column.wrapping_mul(stride_x));
            let mut sums = [bias as i32, 0];
            for (y, words) in weights.chunks_exact(plane.pairs.max(1)).enumerate() {
                let taps = cells.get(corner.wrapping_add(y.wrapping_mul(plane.pitch))..)?;
                for (w, x) in words.iter().zip(taps.as_chunks::<2>().0) {
                    accumulate(&mut sums, *w, u32::from(x[0] as u16) | u32::from(x[1] as u16) << 16);
                }
            }
            *target.get_mut(at)? = finish(sums[0], multiplier, addend, shift);
            at = at.wrapping_add(plane.depth);
        }
    }
    Some(())
}

pub(super) fn multiply_pairs(
    pairs: &PixelPairs,
    region: &mut [i8],
    places: Places,
    n_pairs: usize,
    stream: &[u32],
) -> Option<()> {
    let patch_bytes = pairs.rows.checked_mul(pairs.row_taps)?.checked_mul(4)?;
    let patch = places.patch..places.patch.checked_add(patch_bytes)?;
    let pixel = |i: usize| {
        let (from, to) = (i.checked_mul(pairs.pixel_step)?, i.checked_mul(pairs.n_outputs)?);
        Some((places.source.checked_add(from)?, places.target.checked_add(to)?))
    };
    for pair in 0..n_pairs {
        let both = [pixel(pair.wrapping_mul(2))?, pixel(pair.wrapping_mul(2).wrapping_add(1))?];
        for (p, (from, _)) in both.iter().enumerate() {
            for group in 0..patch_bytes / 16 {
                let (row, tap) = (
                    group.checked_mul(4)?.checked_div(pairs.row_taps)?,
                    group.checked_mul(4)?.checked_rem(pairs.row_taps)?,
                );
                let at = from.wrapping_add(row.wrapping_mul(pairs.row_step)).wrapping_add(tap);
                let t = *region.get(at..)?.first_chunk::<4>()?;
                let words =
                    region.get_mut(patch.start.wrapping_add(group.wrapping_mul(16))..)?.first_chunk_mut::<16>()?;
                let words = bytemuck::try_cast_slice_mut::<i8, u32>(words).ok()?;
                *words.get_mut(p)? = self::pair(t[0], t[2]);
                *words.get_mut(p.wrapping_add(2))? = self::pair(t[1], t[3]);
            }
        }
        let mut rest = stream;
        for o in (0..pairs.n_outputs).step_by(2) {
            let ([start], tail) = rest.split_first_chunk::<1>()?;
            let mut sums = [[*start as i32; 2]; 2];
            let (weights, tail) = tail.split_at_checked(patch_bytes / 8)?;
            let taps = bytemuck::try_cast_slice::<i8, u32>(region.get(patch.clone())?).ok()?;
            for (w, x) in weights.iter().zip(taps.as_chunks::<2>().0) {
                for (sum, x) in sums.iter_mut().zip(x) {
                    accumulate(sum, *w, *x);
                }
            }
            let ([bias, finish @ ..], tail) = tail.split_first_chunk::<7>()?;
            for ((_, to), sum) in both.iter().zip(sums) {
                let n = pairs.n_outputs.wrapping_sub(o).min(2);
                let target = region.get_mut(to.wrapping_add(o)..)?.get_mut(..n)?;
                for (t, v) in target.iter_mut().zip(requantize([fold(*bias as i32, sum), sum[1]], finish)) {
                    *t = v;
                }
            }
            rest = tail;
        }
    }
    Some(())
}

pub(super) fn multiply_vector(input: &[i8], stream: &[u32], output: &mut [[i8; 4]]) -> Option<()> {
    let mut rest = stream;
    for target in output {
        let ([b, d, bias_a, bias_c], tail) = rest.split_first_chunk::<4>()?;
        let mut sums = [[*b as i32; 2], [*d as i32; 2]];
        let mut totals = [*bias_a as i32, *bias_c as i32];
        let (weights, tail) = tail.split_at_checked(input.len())?;
        for (weights, input) in weights.chunks(SEGMENT).zip(input.chunks(SEGMENT)) {
            for (words, x) in weights.as_chunks::<4>().0.iter().zip(input.as_chunks::<4>().0) {
                let (even, odd) = (pair(x[0], x[2]), pair(x[1], x[3]));
                for (sum, (w, v)) in sums.iter_mut().zip([(words[0], words[2]), (words[1], words[3])]) {
                    accumulate(sum, w, even);
                    accumulate(sum, v, odd);
                }
            }
            for (total, sum) in totals.iter_mut().zip(&mut sums) {
                *total = fold(*total, *sum);
                sum[0] = sum[1];
            }
        }
        let (finish, tail) = tail.split_first_chunk::<12>()?;
        let (first, second) = finish.split_at(6);
        let [a, b] = requantize([totals[0], sums[0][1]], first.first_chunk()?);
        let [c, d] = requantize([totals[1], sums[1][1]], second.first_chunk()?);
        *target = [a, b, c, d];
        rest = tail;
    }
    Some(())
}

pub(super) fn maximum(windows: &Windows, region: &mut [i8]) -> Option<()> {
    each_output(windows, region, |taps| taps.fold(i8::MIN, i8::max))
}

pub(super) fn mean(windows: &Windows, region: &mut [i8], mean: &Mean) -> Option<()> {
    each_output(windows, region, |taps| {
        let sum = taps.fold(mean.start as i16, |sum, x| sum.wrapping_add(i16::from(x)));
        let product = (i64::from(sum).wrapping_mul(i64::from(mean.multiplier)) >> 16) as i32;
        let steps = product.wrapping_add(mean.addend).wrapping_shr(mean.shift);
        steps.max(i32::from(i8::MIN)).min(i32::from(i8::MAX)) as i8
    })
}

/// Makes every output, channel after channel and pixel after pixel, from its taps.
fn each_output(
    windows: &Windows,
    region: &mut [i8],
    output: impl Fn(&mut dyn Iterator<Item = i8>) -> i8,
) -> Option<()> {
    for pixel in 0..windows.n_pixels {
        let source = windows.source.wrapping_add(pixel.wrapping_mul(windows.pixel_step));
        let target = windows.target.wrapping_add(pixel.wrapping_mul(windows.channels));
        for channel in 0..windows.channels {
            let corner = source.wrapping_add(channel);
            let tap = |row: usize, column: usize| {
                corner
                    .wrapping_add(row.wrapping_mul(windows.row_step))
                    .wrapping_add(column.wrapping_mul(windows.tap_step))
            };
            let mut taps = (0..windows.rows).flat_map(|row| (0..windows.columns).map(move |column| tap(row, column)));
            let mut taps = taps.by_ref().map_while(|at| region.get(at).copied());
            let value = output(&mut taps);
            *region.get_mut(target.wrapping_add(channel))? = value;
        }
    }
    Some(())
}

/// `SXTB16`
fn pair(low: i8, high: i8) -> u32 {
    u32::from(low as i16 as u16) | u32::from(high as i16 as u16) << 16
}

/// `SMLAD` with the packed channels and with the lower one.
fn accumulate(sums: &mut [i32; 2], w: u32, x: u32) {
    sums[0] = sums[0].wrapping_add(dual(w, x));
    sums[1] = sums[1].wrapping_add(dual(pair(w as i8, (w >> 16) as i8), x));
}

/// `SMUAD`
fn dual(w: u32, x: u32) -> i32 {
    let low = i32::from(w as i16).wrapping_mul(i32::from(x as i16));
    let high = i32::from((w >> 16) as i16).wrapping_mul(i32::from((x >> 16) as i16));
    low.wrapping_add(high)
}

/// The channel above, whose sum is `(sums[0] - sums[1]) / 256`, added to its total.
fn fold(total: i32, sums: [i32; 2]) -> i32 {
    total.wrapping_add(sums[0].wrapping_sub(sums[1]) >> 8)
}

/// Both channels of a pair.
fn requantize([first, second]: [i32; 2], block: &[u32; 6]) -> [i8; 2] {
    let [m, a, s, n, c, t] = *block;
    [finish(first, m, a, s), finish(second, n, c, t)]
}

/// `SMMLA`, `ASR`, `SSAT`
fn finish(acc: i32, multiplier: u32, addend: u32, shift: u32) -> i8 {
    let top = (i64::from(acc).wrapping_mul(i64::from(multiplier as i32)) >> 32) as i32;
    let steps = top.wrapping_add(addend as i32).checked_shr(shift).unwrap_or(0);
    steps.max(i32::from(i8::MIN)).min(i32::from(i8::MAX)) as i8
}
