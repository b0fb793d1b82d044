//! Winograd tiles, see [`crate::kernels::armv7em::winograd`].

use super::{dual, finish};
use crate::kernels::armv7em::layout::{POSITIONS, Winograd};

pub(in crate::kernels::armv7em) fn transform_tiles(
    n_inputs: usize,
    pitch: usize,
    source: &[i8],
    patch: &mut [u32],
) -> Option<()> {
    for group in 0..n_inputs / 4 {
        for (word, (tile, channel)) in [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter().enumerate() {
            let value = |position: usize, channel: usize| {
                let mut sum = 0i16;
                for (y, a) in difference(position / 4) {
                    for (x, b) in difference(position % 4) {
                        let pixel = x.wrapping_add(usize::wrapping_mul(tile, 2)).wrapping_mul(n_inputs);
                        let at = y.wrapping_mul(pitch).wrapping_add(pixel).wrapping_add(channel);
                        sum = sum.wrapping_add(i16::from(*source.get(at)?).wrapping_mul(a).wrapping_mul(b));
                    }
                }
                Some(u32::from(sum as u16))
            };
            let channel = group.wrapping_mul(4).wrapping_add(channel);
            for position in 0..POSITIONS {
                let at = position.wrapping_mul(n_inputs).wrapping_add(group.wrapping_mul(4)).wrapping_add(word);
                *patch.get_mut(at)? = value(position, channel)? | value(position, channel.wrapping_add(2))? << 16;
            }
        }
    }
    Some(())
}

/// Row `i` of `B'`: which two taps, and their signs.
fn difference(i: usize) -> [(usize, i16); 2] {
    match i {
        0 => [(0, 1), (2, -1)],
        1 => [(1, 1), (2, 1)],
        2 => [(2, 1), (1, -1)],
        _ => [(1, 1), (3, -1)],
    }
}

pub(in crate::kernels::armv7em) fn multiply_tiles(
    shapes: &Winograd,
    patch: &[u32],
    stream: &[u32],
    output: &mut [i8],
    pitch: usize,
) -> Option<()> {
    let n_inputs = shapes.n_inputs.max(1);
    for (o, block) in stream.chunks_exact(shapes.block_words().max(1)).enumerate() {
        let (weights, finishes) = block.split_at_checked(n_inputs.wrapping_mul(POSITIONS))?;
        // Per position: the first channel of both tiles, the second of both.
        let mut sums = [[0i32; 4]; POSITIONS];
        let positions = weights.chunks_exact(n_inputs).zip(patch.chunks_exact(n_inputs));
        for (sums, (weights, taps)) in sums.iter_mut().zip(positions) {
            for (w, x) in weights.as_chunks::<2>().0.iter().zip(taps.as_chunks::<2>().0) {
                for (sum, (w, x)) in sums.iter_mut().zip([(w[0], x[0]), (w[0], x[1]), (w[1], x[0]), (w[1], x[1])]) {
                    *sum = sum.wrapping_add(dual(w, x));
                }
            }
        }
        for (k, (channel, tile)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
            let [bias, multiplier, addend, shift] = *finishes.as_chunks::<4>().0.get(channel)?;
            let outputs = back(&sums.map(|sums| sums.get(k).copied().unwrap_or(0)));
            for (i, sum) in outputs.into_iter().enumerate() {
                let pixel = usize::wrapping_mul(tile, 2).wrapping_add(i % 2).wrapping_mul(shapes.n_outputs);
                let at = (i / 2).wrapping_mul(pitch).wrapping_add(pixel).wrapping_add(o.wrapping_mul(2));
                let acc = (bias as i32).wrapping_add(sum >> 2);
                *output.get_mut(at.wrapping_add(channel))? = finish(acc, multiplier, addend, shift);
            }
        }
    }
    Some(())
}

/// `A' m A`, row by row.
fn back(m: &[i32; POSITIONS]) -> [i32; 4] {
    let line = |[a, b, c, d]: [i32; 4]| {
        let sum = a.wrapping_add(b).wrapping_add(c);
        [sum, b.wrapping_sub(c).wrapping_sub(d)]
    };
    let [r0, r1, r2, r3] =
        [0, 4, 8, 12].map(|i| line([0, 1, 2, 3].map(|j| m.get(usize::wrapping_add(i, j)).copied().unwrap_or(0))));
    let [[y00, y10], [y01, y11]] = [line([r0[0], r1[0], r2[0], r3[0]]), line([r0[1], r1[1], r2[1], r3[1]])];
    [y00, y01, y10, y11]
}
