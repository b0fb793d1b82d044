//! Layers whose weights are int4: two in a byte, which halves the flash of weights.

use super::dot::{dot_i8, sum_i8};
use super::rows::{rows, rows_mut};
use crate::kernels::geometry::Conv2d;
use crate::kernels::parameters::ChannelsI8;

/// Bytes of a filter of so many weights; every filter starts at a byte.
pub fn packed_bytes(filter_elements: usize) -> usize {
    filter_elements.div_ceil(2)
}

/// Weights of one filter, as int8.
///
/// # Shapes
/// - `packed`: [`packed_bytes`] of the filter; the weight with the lower index is in the low four bits, both in two's
///   complement
/// - `filter`: as many weights as it has elements
pub fn unpack(packed: &[u8], filter: &mut [i8]) {
    let (pairs, last) = filter.as_chunks_mut::<2>();
    let mut bytes = packed.iter();
    for (pair, &byte) in pairs.iter_mut().zip(&mut bytes) {
        *pair = [low(byte), (byte as i8) >> 4];
    }
    for (weight, &byte) in last.iter_mut().zip(bytes) {
        *weight = low(byte);
    }
}

fn low(byte: u8) -> i8 {
    ((byte << 4) as i8) >> 4
}

/// Convolution in int8 with int4 weights.
///
/// # Shapes
/// - `input`: NHWC `[1, H, W, C]` i8
/// - `weights`: OHWI `[O, KH, KW, C / groups]`, each output channel packed as [`unpack`] reads it. A depthwise convolution
///   has C groups
/// - `filter`: scratch, one weight of an output channel per byte
/// - `output`: NHWC `[1, OH, OW, O]` i8, apart from `input`
///
/// # Memory
/// One output channel after the other, so that each filter is unpacked once.
///
/// # Algorithm
/// As [`conv_2d_i8`](super::conv_2d_i8).
pub fn conv_2d_i4(
    conv: &Conv2d,
    channels: &ChannelsI8,
    input: &[i8],
    weights: &[u8],
    filter: &mut [i8],
    output: &mut [i8],
) -> Option<()> {
    let window = &conv.window;
    let (vertical, horizontal) = (window.vertical(), window.horizontal());
    let [_, width, depth] = window.input.map(|v| v as usize);
    let [height_out, width_out, n_outputs] = window.output.map(|v| v as usize);
    let [_, kernel_width] = window.kernel.map(|v| v as usize);
    let (inputs, per_group) = (conv.input_channels_per_group(), conv.output_channels_per_group());
    let filter = filter.get_mut(..conv.filter_elements())?;
    let filters = rows(weights, packed_bytes(conv.filter_elements()));
    for ((o, packed), channel) in (0..n_outputs).zip(filters).zip(channels.from(0)?) {
        unpack(packed, filter);
        let first = o.checked_div(per_group)?.wrapping_mul(inputs);
        // What a window would add if all of it were padding.
        let padding = sum_i8(filter).wrapping_mul(channels.input_zero_point);
        let mut pixels = rows_mut(output, n_outputs);
        for oy in 0..height_out {
            let y = vertical.taps(oy);
            for ox in 0..width_out {
                let x = horizontal.taps(ox);
                let (mut acc, mut inside) = (0i32, 0i32);
                for ky in 0..y.count {
                    let row = y.position.wrapping_add(ky.wrapping_mul(vertical.dilation())).wrapping_mul(width);
                    let tap_row = y.first.wrapping_add(ky).wrapping_mul(kernel_width);
                    for kx in 0..x.count {
                        let column = x.position.wrapping_add(kx.wrapping_mul(horizontal.dilation()));
                        let pixel = row.wrapping_add(column).wrapping_mul(depth).wrapping_add(first);
                        let tap = tap_row.wrapping_add(x.first.wrapping_add(kx)).wrapping_mul(inputs);
                        let taps = filter.get(tap..)?.get(..inputs)?;
                        acc = acc.wrapping_add(dot_i8(input.get(pixel..)?.get(..inputs)?, taps));
                        inside = inside.wrapping_add(sum_i8(taps));
                    }
                }
                let outside = padding.wrapping_sub(inside.wrapping_mul(channels.input_zero_point));
                let acc = acc.wrapping_add(outside).wrapping_add(channel.bias);
                *pixels.next()?.get_mut(o)? = channels.output.requantize(channel.requantizer, acc);
            }
        }
    }
    Some(())
}

/// Fully connected layer in int8 with int4 weights.
///
/// # Shapes
/// - `input`: `[rows, I]` i8
/// - `weights`: `[O, I]`, each row packed as [`unpack`] reads it
/// - `filter`: scratch, I bytes
/// - `output`: `[rows, O]` i8, apart from `input`
///
/// # Algorithm
/// As [`fully_connected_i8`](super::fully_connected_i8).
pub fn fully_connected_i4(
    n_inputs: usize,
    channels: &ChannelsI8,
    input: &[i8],
    weights: &[u8],
    filter: &mut [i8],
    output: &mut [i8],
) -> Option<()> {
    let n_outputs = channels.bias.len();
    let filter = filter.get_mut(..n_inputs)?;
    let filters = rows(weights, packed_bytes(n_inputs));
    for ((o, packed), channel) in (0..n_outputs).zip(filters).zip(channels.from(0)?) {
        unpack(packed, filter);
        for (x, row) in rows(input, n_inputs).zip(rows_mut(output, n_outputs)) {
            let acc = channel.bias.wrapping_add(dot_i8(x, filter));
            *row.get_mut(o)? = channels.output.requantize(channel.requantizer, acc);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::geometry::Window2d;
    use crate::kernels::parameters::OutputI8;
    use crate::kernels::portable::{conv_2d_i8, fully_connected_i8};
    use std::vec;
    use std::vec::Vec;

    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u8 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 56) as u8
        }

        fn below(&mut self, n: u8) -> u32 {
            u32::from(self.next() % n)
        }

        fn bytes(&mut self, n: usize) -> Vec<i8> {
            (0..n).map(|_| self.next() as i8).collect()
        }

        /// Filters of int4 weights, and the same packed.
        fn weights(&mut self, filter: usize, n: usize) -> (Vec<i8>, Vec<u8>) {
            let weights: Vec<i8> = self.bytes(filter * n).iter().map(|w| w >> 4).collect();
            let pack = |pair: &[i8]| (pair[0] & 15) as u8 | (pair.get(1).map_or(0, |&w| w as u8) << 4);
            let packed = weights.chunks(filter).flat_map(|f| f.chunks(2).map(pack).collect::<Vec<u8>>());
            (weights.clone(), packed.collect())
        }
    }

    #[test]
    fn every_pair_of_weights_is_found_again() {
        for byte in 0..=255u8 {
            let mut filter = [0; 3];
            unpack(&[byte, byte], &mut filter);
            let [low, high, last] = filter;
            assert!((-8..8).contains(&low) && (-8..8).contains(&high));
            assert_eq!((low & 15) as u8 | ((high as u8) << 4), byte);
            assert_eq!(last, low);
        }
    }

    fn channels<'a>(random: &mut Random, bias: &'a [i32], multipliers: &'a [i32], shifts: &'a [u8]) -> ChannelsI8<'a> {
        let zero_point = i32::from(random.next() as i8);
        let output = OutputI8 { zero_point: i32::from(random.next() as i8), min: -128, max: 127 };
        ChannelsI8 { input_zero_point: zero_point, bias, multipliers, shifts, output }
    }

    /// Every layer with weights that four bits hold is the same as in int8.
    #[test]
    fn layers_compute_what_int8_computes() {
        let mut random = Random(1);
        let mut n_padded = 0;
        for _ in 0..3000 {
            let groups = [1, 1, 2, 3][random.below(4) as usize];
            let (depth, n_outputs) = (groups * (1 + random.below(5)), groups * (1 + random.below(4)));
            let kernel = [1 + random.below(3), 1 + random.below(4)];
            let window = Window2d {
                input: [1 + random.below(6), 1 + random.below(6), depth],
                output: [1 + random.below(5), 1 + random.below(5), n_outputs],
                kernel,
                stride: [1 + random.below(2), 1 + random.below(3)],
                dilation: [1 + random.below(2), 1 + random.below(2)],
                padding: [random.below(3), random.below(3)],
            };
            let Some(conv) = (Conv2d { window, groups }).check() else { continue };
            n_padded += u32::from(conv.window.padding.iter().any(|&p| p > 0));
            let n = n_outputs as usize;
            let (weights, packed) = random.weights(conv.filter_elements(), n);
            let bias: Vec<i32> = random.bytes(n).into_iter().map(i32::from).collect();
            let (multipliers, shifts) = (vec![1 << 30; n], vec![33; n]);
            let channels = channels(&mut random, &bias, &multipliers, &shifts);
            let input = random.bytes(conv.window.input.iter().product::<u32>() as usize);
            let n_results = conv.window.output_elements();
            let (mut expected, mut found) = (vec![0; n_results], vec![0; n_results]);
            conv_2d_i8(&conv, &channels, &input, &weights, &mut expected).unwrap();
            let mut filter = vec![99; conv.filter_elements()];
            conv_2d_i4(&conv, &channels, &input, &packed, &mut filter, &mut found).unwrap();
            assert_eq!(found, expected, "{conv:?}");
        }
        assert!(n_padded > 100, "{n_padded}");
        for n_inputs in 1..40 {
            let (n, n_rows) = (1 + random.below(9) as usize, 1 + random.below(3) as usize);
            let (weights, packed) = random.weights(n_inputs, n);
            let (bias, multipliers, shifts) = (vec![7; n], vec![1 << 30; n], vec![33; n]);
            let channels = channels(&mut random, &bias, &multipliers, &shifts);
            let input = random.bytes(n_inputs * n_rows);
            let (mut expected, mut found) = (vec![0; n * n_rows], vec![0; n * n_rows]);
            fully_connected_i8(n_inputs, &channels, &input, &weights, &mut expected).unwrap();
            fully_connected_i4(n_inputs, &channels, &input, &packed, &mut vec![0; n_inputs], &mut found).unwrap();
            assert_eq!(found, expected);
        }
    }
}
