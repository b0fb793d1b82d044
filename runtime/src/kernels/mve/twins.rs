//! What [`super::instructions`] do, in plain Rust, for every other processor.

#![cfg(not(all(target_arch = "arm", kernel_isa = "mve")))]

use super::chunks::Chunks;
use super::instructions::{Finish, Lattice, Pixels, Planes, Runs, Sum, Window};
use super::layout::{CHANNELS, DEPTHWISE_WORDS, LANES, block_words, padded_taps};
use super::plane::{PairLanes, Plane};

impl Finish {
    /// `VQDMULH`, `VRSHL`, `VADD`, `VMAX`, `VMIN` on one lane.
    fn finish(self, acc: i32, multiplier: u32, shift: u32) -> i8 {
        let product = i64::from(acc).wrapping_mul(i64::from(multiplier as i32)) >> 31;
        let steps = round_shift_left(product.min(i64::from(i32::MAX)) as i32, shift as u8 as i8);
        steps.wrapping_add(self.zero_point).max(self.min).min(self.max) as i8
    }
}

/// `VRSHL.S32` on one lane: left, or right with rounding when `shift` is negative.
fn round_shift_left(value: i32, shift: i8) -> i32 {
    if shift >= 0 {
        return value.checked_shl(u32::from(shift.unsigned_abs())).unwrap_or(0);
    }
    let right = u32::from(shift.unsigned_abs()).min(62);
    let half = 1i64.wrapping_shl(right.wrapping_sub(1));
    i64::from(value).wrapping_add(half).wrapping_shr(right) as i32
}

pub(super) fn multiply_pairs(region: &mut [i8], pixels: Pixels, stream: &[u32], finish: Finish) {
    for pixel in 0..pixels.n_pixels / 2 {
        let at = |pixel: usize| Pixels {
            source: pixels.source.wrapping_add(pixel.wrapping_mul(pixels.source_step)),
            target: pixels.target.wrapping_add(pixel.wrapping_mul(pixels.n_outputs)),
            ..pixels
        };
        let pair = [at(pixel.wrapping_mul(2)), at(pixel.wrapping_mul(2).wrapping_add(1))];
        multiply_blocks(region, &pair, stream, finish);
    }
}

pub(super) fn multiply_one(region: &mut [i8], pixel: Pixels, stream: &[u32], finish: Finish) {
    multiply_blocks(region, &[pixel], stream, finish);
}

/// Block after block of four outputs, each of all `pixels`, as the instructions do it: an output that lies over the taps
/// of one of them would be seen.
fn multiply_blocks(region: &mut [i8], pixels: &[Pixels], stream: &[u32], finish: Finish) -> Option<()> {
    let Pixels { taps, n_outputs, .. } = *pixels.first()?;
    for (block, first) in stream.chunks_exact(block_words(taps)).zip((0..n_outputs).step_by(CHANNELS)) {
        let (biases, block) = block.split_at_checked(CHANNELS)?;
        let (weights, factors) = block.split_at_checked(padded_taps(taps))?;
        let (multipliers, shifts) = factors.split_at_checked(CHANNELS)?;
        for pixel in pixels {
            let x = region.get(pixel.source..)?.get(..padded_taps(taps))?;
            let mut accs = [0i32; CHANNELS];
            for (acc, bias) in accs.iter_mut().zip(biases) {
                *acc = *bias as i32;
            }
            for (x, weights) in x.chunks_exact(LANES).zip(weights.chunks_exact(LANES)) {
                for (acc, weights) in accs.iter_mut().zip(weights.chunks_exact(LANES / 4)) {
                    *acc = acc.wrapping_add(dot(x.iter().copied(), weights));
                }
            }
            let target = region.get_mut(pixel.target.wrapping_add(first)..)?;
            let n = n_outputs.wrapping_sub(first).min(CHANNELS);
            for (target, ((acc, multiplier), shift)) in
                target.get_mut(..n)?.iter_mut().zip(accs.into_iter().zip(multipliers).zip(shifts))
            {
                *target = finish.finish(acc, *multiplier, *shift);
            }
        }
    }
    Some(())
}

/// `VMLADAV.S8` with the bytes of `weights`.
fn dot(x: impl Iterator<Item = i8>, weights: &[u32]) -> i32 {
    let weights = weights.iter().flat_map(|word| word.to_le_bytes());
    x.zip(weights).fold(0, |sum: i32, (x, w)| sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w as i8))))
}

pub(super) fn copy_runs(region: &mut [i8], runs: Runs) {
    let ([n_runs, n_rows], [target_step, target_row_step]) = (runs.counts, runs.target_steps);
    for row in 0..n_rows {
        for run in 0..n_runs {
            let source = run.wrapping_mul(runs.length).wrapping_add(row.wrapping_mul(runs.source_row_step));
            let target = run.wrapping_mul(target_step).wrapping_add(row.wrapping_mul(target_row_step));
            for i in 0..runs.length {
                let (source, target) = (source.wrapping_add(i), target.wrapping_add(i));
                copy(region, runs.source.wrapping_add(source), runs.target.wrapping_add(target));
            }
        }
    }
}

pub(super) fn copy_lattice(region: &mut [i8], lattice: Lattice) {
    let [n_inner, n_outer] = lattice.counts;
    let place = |start: usize, [inner, outer]: [usize; 2], i: usize, o: usize| {
        start.wrapping_add(i.wrapping_mul(inner)).wrapping_add(o.wrapping_mul(outer))
    };
    for o in 0..n_outer {
        for i in 0..n_inner {
            let source = place(lattice.source, lattice.source_steps, i, o);
            copy(region, source, place(lattice.target, lattice.target_steps, i, o));
        }
    }
}

fn copy(region: &mut [i8], source: usize, target: usize) {
    if let Some(value) = region.get(source).copied()
        && let Some(target) = region.get_mut(target)
    {
        *target = value;
    }
}

pub(super) fn convolve(region: &mut [i8], plane: &Plane<PairLanes>, planes: Planes, stream: &[u32], zero_point: i32) {
    let finish = Finish { min: i8::MIN.into(), max: i8::MAX.into(), zero_point };
    let ([n_inner, n_outer], [step, line_step]) = (plane.outputs, plane.steps);
    for (c, block) in stream.as_chunks::<DEPTHWISE_WORDS>().0.iter().take(planes.n_channels).enumerate() {
        copy_channel(region, plane, planes, c);
        let [weights @ .., bias, multiplier, shift] = block;
        for outer in 0..n_outer {
            for inner in 0..n_inner {
                let numbers = if inner % 2 == 0 { &plane.taps.first } else { &plane.taps.second };
                let first = (inner & !1).wrapping_mul(step).wrapping_add(outer.wrapping_mul(line_step));
                let window = planes.plane.wrapping_add(first);
                let products = plane.taps.offsets.iter().zip(numbers).map(|(&offset, &number)| {
                    let x = region.get(window.wrapping_add(usize::from(offset))).copied().unwrap_or(0);
                    let weight = weights.iter().flat_map(|word| word.to_le_bytes()).nth(usize::from(number));
                    i32::from(x).wrapping_mul(i32::from(weight.unwrap_or(0) as i8))
                });
                let acc = products.fold(*bias as i32, i32::wrapping_add);
                put_output(region, planes, [inner, outer, c], finish.finish(acc, *multiplier, *shift));
            }
        }
    }
}

pub(super) fn convolve_chunks(
    region: &mut [i8],
    plane: &Plane<Chunks>,
    planes: Planes,
    stream: &[u32],
    zero_point: i32,
) {
    let finish = Finish { min: i8::MIN.into(), max: i8::MAX.into(), zero_point };
    let ([n_inner, n_outer], [step, line_step]) = (plane.outputs, plane.steps);
    for (c, block) in stream.chunks_exact(plane.words()).take(planes.n_channels).enumerate() {
        copy_channel(region, plane, planes, c);
        let [bias, multiplier, shift, weights @ ..] = block else { return };
        for outer in 0..n_outer {
            for inner in 0..n_inner {
                let mut first =
                    planes.plane.wrapping_add(inner.wrapping_mul(step)).wrapping_add(outer.wrapping_mul(line_step));
                let mut acc = *bias as i32;
                for weights in weights.chunks_exact(LANES / 4) {
                    let taps = plane.taps.offsets.iter().map(|&offset| first.wrapping_add(offset.into()));
                    acc = acc.wrapping_add(dot(taps.map(|at| region.get(at).copied().unwrap_or(0)), weights));
                    first = first.wrapping_add(plane.taps.step);
                }
                put_output(region, planes, [inner, outer, c], finish.finish(acc, *multiplier, *shift));
            }
        }
    }
}

/// Copies one channel to its plane.
fn copy_channel<T>(region: &mut [i8], plane: &Plane<T>, planes: Planes, c: usize) {
    let ([length, _], [before, lines_before]) = (plane.extents, planes.padding);
    let lattice = Lattice {
        source: planes.source.wrapping_add(c),
        target: planes.plane.wrapping_add(lines_before.wrapping_mul(length)).wrapping_add(before),
        counts: planes.source_counts,
        source_steps: planes.source_steps,
        target_steps: [1, length],
    };
    copy_lattice(region, lattice);
}

/// Writes the output at this place of the line, of this line, of this channel.
fn put_output(region: &mut [i8], planes: Planes, [inner, outer, c]: [usize; 3], output: i8) {
    let [step, line_step] = planes.target_steps;
    let along = inner.wrapping_mul(step).wrapping_add(outer.wrapping_mul(line_step));
    if let Some(target) = region.get_mut(planes.target.wrapping_add(c).wrapping_add(along)) {
        *target = output;
    }
}

pub(super) fn clamp(outputs: &mut [i8], min: i8, max: i8) {
    for output in outputs {
        *output = (*output).max(min).min(max);
    }
}

pub(super) fn add(region: &mut [i8], sum: Sum, finish: Finish) {
    for i in 0..sum.n {
        let at = |start: usize| region.get(start.wrapping_add(i)).map_or(0, |&x| i32::from(x));
        let (a, b) = (at(sum.a).wrapping_mul(sum.multiplier.a), at(sum.b).wrapping_mul(sum.multiplier.b));
        let steps =
            round_shift_left(a.wrapping_add(b).wrapping_add(sum.addend), (sum.multiplier.shift as i8).wrapping_neg());
        if let Some(target) = region.get_mut(sum.output.wrapping_add(i)) {
            *target = steps.wrapping_add(finish.zero_point).max(finish.min).min(finish.max) as i8;
        }
    }
}

/// The taps of one channel.
fn taps(region: &[i8], window: Window, c: usize) -> impl Iterator<Item = i8> {
    let ([columns, rows], [step, row_step]) = (window.counts, window.steps);
    let first = window.source.wrapping_add(c);
    let row = move |row: usize| first.wrapping_add(row.wrapping_mul(row_step));
    let starts = (0..rows).flat_map(move |r| (0..columns).map(move |t| row(r).wrapping_add(t.wrapping_mul(step))));
    starts.map(|at| region.get(at).copied().unwrap_or(0))
}

pub(super) fn largest(region: &mut [i8], window: Window, target: usize) {
    for first in (0..window.n_channels).step_by(LANES) {
        let n = window.n_channels.wrapping_sub(first).min(LANES);
        let mut found = [i8::MIN; LANES];
        for (lane, found) in found.iter_mut().enumerate().take(n) {
            *found = taps(region, window, first.wrapping_add(lane)).fold(i8::MIN, i8::max);
        }
        let targets = region.iter_mut().skip(target.wrapping_add(first));
        targets.zip(found.iter().take(n)).for_each(|(target, found)| *target = *found);
    }
}

pub(super) fn sums(region: &[i8], window: Window, sums: &mut [i16; 8]) {
    for (c, sum) in sums.iter_mut().enumerate().take(window.n_channels) {
        *sum = taps(region, window, c).fold(0, |sum, x| sum.wrapping_add(x.into()));
    }
}
