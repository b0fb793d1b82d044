//! Kernels on int16 against formulas in binary64 or wide integers.

use super::*;
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::kernels::geometry::{Conv2d, StridedLoops, Window2d};
use crate::kernels::portable::Divisor;
use crate::kernels::{Apart, Operand};
use std::vec;
use std::vec::Vec;

const FULL: OutputI16 = OutputI16 { min: i16::MIN, max: i16::MAX };

struct Random(u64);

impl Random {
    fn next(&mut self) -> i32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i32
    }

    fn i16s(&mut self, n: usize) -> Vec<i16> {
        (0..n).map(|_| self.next() as i16).collect()
    }

    fn i8s(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| (self.next() % 255 - 127) as i8).collect()
    }
}

/// `clamp(floor(acc * multiplier / 2^shift + 1/2))` in 128 bits.
fn finish(acc: i128, requantizer: Requantizer, limits: OutputI16) -> i16 {
    let half = 1i128 << (requantizer.shift - 1);
    let steps = (acc * i128::from(requantizer.multiplier) + half) >> requantizer.shift;
    steps.clamp(i128::from(limits.min), i128::from(limits.max)) as i16
}

#[test]
fn layers_sum_products_of_taps_inside() {
    let mut random = Random(3);
    let limits = OutputI16 { min: -20_000, max: 30_000 };
    for (groups, depthwise) in [(1usize, false), (2, false), (4, true)] {
        let (h, w, c, o) = (5usize, 4, 4, if depthwise { 8 } else { 6 });
        let window = Window2d {
            input: [h as u32, w as u32, c as u32],
            output: [3, 4, o as u32],
            kernel: [3, 2],
            stride: [2, 1],
            dilation: [1, 2],
            padding: [1, 1],
        };
        let seen = c / groups;
        let input = random.i16s(h * w * c);
        let weights = random.i8s(o * 6 * seen);
        let bias: Vec<i32> = (0..o).map(|_| random.next() % (1 << 24)).collect();
        let factors: Vec<Requantizer> =
            (0..o).map(|i| Requantizer::from_real(0.002 * (i + 1) as f64).unwrap()).collect();
        let multipliers: Vec<i32> = factors.iter().map(|f| f.multiplier).collect();
        let shifts: Vec<u8> = factors.iter().map(|f| f.shift).collect();
        let channels = ChannelsI16 { bias: &bias, multipliers: &multipliers, shifts: &shifts, output: limits };
        let mut output = vec![0i16; 12 * o];
        let memory = &mut Apart { input: &input, output: &mut output };
        match depthwise {
            true => depthwise_conv_2d_i16_on(&window, &channels, memory, &weights).unwrap(),
            false => conv_2d_i16_on(&Conv2d { window, groups: groups as u32 }, &channels, memory, &weights).unwrap(),
        }
        for (at, &found) in output.iter().enumerate() {
            let (oy, ox, channel) = (at / o / 4, at / o % 4, at % o);
            let mut acc = i128::from(bias[channel]);
            for (tap, (ky, kx)) in (0..3).flat_map(|ky| (0..2).map(move |kx| (ky, kx))).enumerate() {
                let (y, x) = ((2 * oy + ky) as i32 - 1, (ox + 2 * kx) as i32 - 1);
                if !(0..h as i32).contains(&y) || !(0..w as i32).contains(&x) {
                    continue;
                }
                for k in 0..seen {
                    let from = channel / (o / groups) * seen + k;
                    let weight = if depthwise { tap * o + channel } else { (channel * 6 + tap) * seen + k };
                    let value = input[(y as usize * w + x as usize) * c + from];
                    acc += i128::from(value) * i128::from(weights[weight]);
                }
            }
            assert_eq!(found, finish(acc, factors[channel], limits), "{groups} {depthwise} {at}");
        }
    }
}

/// Sums beyond 32 bits.
#[test]
fn long_rows_do_not_wrap() {
    for (n, x, w) in [(4000usize, i16::MIN, -128i8), (4000, i16::MAX, -128), (600, i16::MIN, 127)] {
        let factor = Requantizer::from_real(1e-6).unwrap();
        let channels =
            ChannelsI16 { bias: &[7], multipliers: &[factor.multiplier], shifts: &[factor.shift], output: FULL };
        let mut output = [0i16];
        fully_connected_i16(n, &channels, &vec![x; n], &vec![w; n], &mut output).unwrap();
        let acc = i128::from(x) * i128::from(w) * n as i128 + 7;
        assert_eq!(output[0], finish(acc, factor, FULL));
    }
}

#[test]
fn sums_and_products_round_once() {
    let mut random = Random(9);
    let (a, b) = (random.i16s(300), random.i16s(300));
    let loops = StridedLoops::broadcast([1, 1, 1, 1, 300], [1, 1, 1, 1, 300], [1, 1, 1, 1, 300]).unwrap();
    let multiplier = PairMultiplier::from_real(0.7, -0.4).unwrap();
    let requantizer = Requantizer::from_real(3.1e-5).unwrap();
    let (mut sums, mut products) = (vec![0i16; 300], vec![0i16; 300]);
    let (left, right) = (Operand::Constant(&a[..]), Operand::Constant(&b[..]));
    add_i16(&loops, &AddI16 { multiplier, output: FULL }, &mut sums, left, right, 0).unwrap();
    mul_i16(&loops, &MulI16 { requantizer, output: FULL }, &mut products, left, right, 0).unwrap();
    for i in 0..300 {
        let real = 0.7 * f64::from(a[i]) - 0.4 * f64::from(b[i]);
        assert!((f64::from(sums[i]) - real.clamp(-32768.0, 32767.0)).abs() <= 0.55, "{} {real}", sums[i]);
        assert_eq!(products[i], finish(i128::from(a[i]) * i128::from(b[i]), requantizer, FULL));
    }
    let mut region = a.clone();
    let limits = OutputI16 { min: -5, max: 9000 };
    clamp_i16(Requantizer::from_real(0.5).unwrap(), limits, &mut region, Operand::Region { offset: 0, len: 300 }, 0)
        .unwrap();
    let expected = |q: &i16| finish(i128::from(*q), Requantizer::from_real(0.5).unwrap(), limits);
    assert!(a.iter().map(expected).eq(region));
}

/// Every input of smooth functions: sigmoid and tanh over the ranges that matter.
#[test]
fn tables_stay_near_their_functions() {
    type Case = (fn(f64) -> f64, f64, f64);
    let sigmoid: fn(f64) -> f64 = |x| 1.0 / (1.0 + (-x).exp());
    let cases: [Case; 3] = [(sigmoid, 8.0, 3.0), (f64::tanh, 4.0, 10.0), (f64::tanh, 1.0, 2.0)];
    for (function, reach, bound) in cases {
        let scale = reach / 32768.0;
        let exact = |q: i32| (function(f64::from(q) * scale) * 32768.0).round().clamp(-32768.0, 32767.0);
        let table: Vec<i16> = (0..=512).map(|i| exact(128 * i - 32768) as i16).collect();
        let table: &[i16; 513] = table.first_chunk().unwrap();
        let mut region: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        let n = region.len();
        table_lookup_i16(table, &mut region, Operand::Region { offset: 0, len: n }, 0).unwrap();
        let errors = region.iter().zip(-32768..).map(|(&y, q)| (f64::from(y) - exact(q)).abs());
        let worst = errors.fold(0.0, f64::max);
        std::println!("{worst} steps over +-{reach}");
        assert!(worst <= bound, "{worst} steps over +-{reach}");
    }
}

#[test]
fn softmax_is_exact_to_half_a_step() {
    let mut random = Random(11);
    for scale in [1e-5, 3e-4, 2e-3, 0.1] {
        let table = |d: u32| ((-f64::from(d) * scale).exp() * f64::from(1u32 << 30)).round() as u32;
        let coarse: [u32; 512] = core::array::from_fn(|i| table(128 * i as u32));
        let fine: [u32; 128] = core::array::from_fn(|i| table(i as u32));
        for n in [1usize, 2, 10, 1000] {
            let input = random.i16s(n * 3);
            let mut output = vec![0; n * 3];
            softmax_i16(n, &coarse, &fine, &input, &mut output).unwrap();
            for (x, y) in input.chunks(n).zip(output.chunks(n)) {
                let largest = x.iter().fold(i16::MIN, |m, &x| m.max(x));
                let exponentials: Vec<f64> =
                    x.iter().map(|&x| (f64::from(i32::from(x) - i32::from(largest)) * scale).exp()).collect();
                let sum: f64 = exponentials.iter().sum();
                for (e, &y) in exponentials.iter().zip(y) {
                    let exact = (e / sum * 32768.0).min(32767.0);
                    assert!((f64::from(y) - exact).abs() <= 0.51, "{y}, exactly {exact}, scale {scale}, {n} elements");
                }
            }
        }
    }
}

#[test]
fn pools_of_windows() {
    let window = Window2d {
        input: [3, 3, 2],
        output: [2, 2, 2],
        kernel: [2, 2],
        stride: [2, 2],
        dilation: [1, 1],
        padding: [0, 0],
    };
    let input: Vec<i16> =
        [1, -9, 30_000, -7, 5, -32768, 7, -3, 32_767, 2, 11, 1, 13, 0, 15, 32_767, 17, 32_767].to_vec();
    let mut output = [0i16; 8];
    max_pool_2d_i16_on(&window, &mut Apart { input: &input, output: &mut output }).unwrap();
    assert_eq!(output, [32_767, 2, 11, 1, 15, 32_767, 17, 32_767]);
    let one = Requantizer::from_real(1.0).unwrap();
    average_pool_2d_i16_on(&window, one, FULL, Divisor::Inside, &mut Apart { input: &input, output: &mut output })
        .unwrap();
    // (1 + 30000 + 7 + 32767) / 4 = 15693.75, (-9 - 7 - 3 + 2) / 4 = -4.25
    assert_eq!(output, [15_694, -4, 8, -16_383, 14, 16_384, 17, 32_767]);
}
