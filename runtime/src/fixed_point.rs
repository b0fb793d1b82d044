//! Requantization: the only copy of the arithmetic that turns an accumulator into an output step.
//!
//! Every integer kernel of every CPU, and the converter's simulator, gives exactly what the functions
//! of this file give.

/// A positive real factor as `multiplier / 2^shift`.
///
/// # Units and ranges
/// `multiplier` is 0 or in `[2^30, 2^31)`, `shift` in `1..=62`: factors from 2^-32 up to (not including) 2^30,
/// and 0.
///
/// # Algorithm
/// `requantize(acc) = floor((acc * multiplier + 2^(shift - 1)) / 2^shift)`, computed in 64 bits, saturated to 32:
/// **one** rounding, ties toward +infinity. (gemmlowp and TFLite round twice, arXiv 1712.05877 section 2.4 once.)
/// ONNX's QuantizeLinear rounds ties to even: on the middle between an even step and the odd one above it the result is the
/// odd one here, one step above ONNX's. That can happen where the product of an integer and the factor is a half, as for
/// scales of which one is twice the other. What quantizes real numbers (inputs, [`crate::tensor`]) rounds ties to even.
///
/// What it costs on a CPU:
/// - Armv7E-M, `shift >= 33`: `SMMLA` with `2^(shift - 33)` as addend, then `ASR #(shift - 32)`. The addend is in the
///   top word, where `2^(shift - 1)` lies as a whole, and the floor of a floor is the floor.
/// - MVE and NEON, `shift >= 32`: `VQDMULH` keeps the top bits of `2 * acc * multiplier`, that is
///   `floor(acc * multiplier / 2^31)`, then `VRSHL` by `31 - shift` rounds half up: again only bits below the rounding
///   bit were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantizer {
    /// 0 or in `[2^30, 2^31)`.
    pub multiplier: i32,
    /// In `1..=62`.
    pub shift: u8,
}

impl Requantizer {
    /// The factor 0.
    pub const ZERO: Self = Self { multiplier: 0, shift: 1 };

    /// Smallest valid shift.
    pub const MIN_SHIFT: u8 = 1;
    /// Largest valid shift.
    pub const MAX_SHIFT: u8 = 62;

    /// The nearest factor to `real`.
    ///
    /// # Units and ranges
    /// `real` in `[0, 2^30)`; below 2^-32 the result is [`Self::ZERO`], which is exact: no 32-bit accumulator reaches
    /// one half. Everything else (negative, NaN, too large) is `None`. The relative error is at most 2^-31.
    ///
    /// # Examples
    /// ```
    /// use tinfer::fixed_point::Requantizer;
    /// let half = Requantizer::from_real(0.5).unwrap();
    /// assert_eq!((half.multiplier, half.shift), (1 << 30, 31));
    /// assert_eq!((half.requantize(3), half.requantize(-3)), (2, -1)); // 1.5 and -1.5: ties go up
    /// ```
    pub fn from_real(real: f64) -> Option<Self> {
        // Written so that NaN is refused too.
        if !(0.0..1_073_741_824.0).contains(&real) {
            return None;
        }
        let bits = real.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
        if exponent < -32 {
            return Some(Self::ZERO);
        }
        // 53 bits of significand, rounded half up to 31.
        let significand = (bits & ((1 << 52) - 1)) | (1 << 52);
        let rounded = (significand + (1 << 21)) >> 22;
        // real = significand * 2^(exponent - 52) = rounded * 2^(exponent - 30)
        let (multiplier, shift) = if rounded >> 31 == 0 { (rounded, 30 - exponent) } else { (1 << 30, 29 - exponent) };
        if shift < i32::from(Self::MIN_SHIFT) {
            return None;
        }
        Some(Self { multiplier: multiplier as i32, shift: shift as u8 })
    }

    /// A factor from its stored parts, `None` when a part is out of range.
    pub const fn from_parts(multiplier: i32, shift: u8) -> Option<Self> {
        let multiplier_valid = multiplier == 0 || multiplier >= 1 << 30;
        if multiplier_valid && shift >= Self::MIN_SHIFT && shift <= Self::MAX_SHIFT {
            Some(Self { multiplier, shift })
        } else {
            None
        }
    }

    /// The factor as a real number.
    pub fn to_real(self) -> f64 {
        // 2^-shift is exact in binary64.
        f64::from(self.multiplier) * f64::from_bits((1023 - u64::from(self.shift)) << 52)
    }

    /// `acc` times the factor, rounded once, ties toward +infinity, saturated to 32 bits.
    #[inline(always)]
    pub const fn requantize(self, acc: i32) -> i32 {
        let wide = self.requantize_wide(acc);
        if wide > i32::MAX as i64 {
            i32::MAX
        } else if wide < i32::MIN as i64 {
            i32::MIN
        } else {
            wide as i32
        }
    }

    /// [`Self::requantize`] before it saturates: enough where the result is clamped to a narrower range anyway.
    #[inline(always)]
    pub const fn requantize_wide(self, acc: i32) -> i64 {
        round_shift(acc as i64 * self.multiplier as i64, self.shift)
    }

    /// [`Self::requantize_wide`] of an accumulator of at most 62 bits, saturated to 32 bits if the factor is 1/4 or more.
    ///
    /// # Algorithm
    /// `floor(acc * multiplier / 2^32)` from the halves of `acc`, then the rest of the shift: only bits below the rounding
    /// bit are dropped before. Factors of 1/4 and more leave so little of the range that 32 bits of `acc` decide: beyond
    /// them the result is beyond 2^29 either way.
    #[inline(always)]
    pub const fn requantize_i64(self, acc: i64) -> i64 {
        if self.shift <= 32 {
            let limited = if acc > i32::MAX as i64 {
                i32::MAX
            } else if acc < i32::MIN as i64 {
                i32::MIN
            } else {
                acc as i32
            };
            return self.requantize_wide(limited);
        }
        let low = ((acc as u32 as u64).wrapping_mul(self.multiplier as u64) >> 32) as i64;
        let high = (acc >> 32).wrapping_mul(self.multiplier as i64).wrapping_add(low);
        round_shift(high, self.shift.wrapping_sub(32))
    }
}

/// `floor((value + 2^(shift - 1)) / 2^shift)` for `shift` in `1..=62`.
///
/// Out of range it wraps, it never panics. Written as `((value >> (shift - 1)) + 1) >> 1`, which is the same floor with
/// one variable shift less: those are slow on 32-bit CPUs.
#[inline(always)]
pub const fn round_shift(value: i64, shift: u8) -> i64 {
    value.wrapping_shr((shift as u32).wrapping_sub(1)).wrapping_add(1) >> 1
}

/// Two factors over one power of two, for the sum of two scaled terms with a single rounding.
///
/// `floor((x * a + y * b + 2^(shift - 1)) / 2^shift)` in 32 bits.
///
/// # Units and ranges
/// `|a|` and `|b|` at most 2^21, `shift` in `1..=30`. With `|x|, |y| <= 255` the sum stays below 2^31.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairMultiplier {
    /// Factor of the first term.
    pub a: i32,
    /// Factor of the second term, negative to subtract.
    pub b: i32,
    /// In `1..=30`.
    pub shift: u8,
}

impl PairMultiplier {
    /// Largest magnitude of a factor.
    pub const MAX_MULTIPLIER: i32 = 1 << 21;
    /// Largest valid shift.
    pub const MAX_SHIFT: u8 = 30;

    /// The finest pair for the real factors `a` and `b`, each rounded half away from zero.
    ///
    /// `None` when one is not finite or exceeds 2^20 in magnitude.
    pub fn from_real(a: f64, b: f64) -> Option<Self> {
        (1..=Self::MAX_SHIFT).rev().find_map(|shift| {
            let unit = f64::from(1u32 << shift);
            let (a, b) = (round_half_away(a * unit)?, round_half_away(b * unit)?);
            Self::from_parts(a, b, shift)
        })
    }

    /// A pair from its stored parts, `None` when a part is out of range.
    pub const fn from_parts(a: i32, b: i32, shift: u8) -> Option<Self> {
        let max = Self::MAX_MULTIPLIER.unsigned_abs();
        if a.unsigned_abs() <= max && b.unsigned_abs() <= max && shift >= 1 && shift <= Self::MAX_SHIFT {
            Some(Self { a, b, shift })
        } else {
            None
        }
    }

    /// [`PairMultiplier::combine`] in 64 bits, for terms of up to 32 bits.
    #[inline(always)]
    pub const fn combine_wide(self, x: i32, y: i32) -> i64 {
        let sum = (x as i64).wrapping_mul(self.a as i64).wrapping_add((y as i64).wrapping_mul(self.b as i64));
        round_shift(sum, self.shift)
    }

    /// The scaled sum, rounded once, ties toward +infinity.
    #[inline(always)]
    pub const fn combine(self, x: i32, y: i32) -> i32 {
        let sum = x.wrapping_mul(self.a).wrapping_add(y.wrapping_mul(self.b));
        sum.wrapping_shr((self.shift as u32).wrapping_sub(1)).wrapping_add(1) >> 1
    }
}

/// `1 / sqrt(x)` as `multiplier / 2^shift`.
///
/// # Units and ranges
/// `multiplier` is in `[2^30, 2^31]`, `shift` in `31..=62`.
///
/// # Algorithm
/// `x` is shifted by an even number of bits so that its top 32 bits are a fraction `m` in `[1/4, 1)`. Four steps of
/// Newton, `r = r * (3 - m * r^2) / 2` with 30 binary places, start from the line `2.207 - 1.333 m`, which is off by an
/// eighth at most. The relative error is at most 2^-28.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InverseSqrt {
    /// In `[2^30, 2^31]`.
    pub multiplier: u32,
    /// In `31..=62`.
    pub shift: u32,
}

impl InverseSqrt {
    /// The inverse root of `x`; of 1 when `x` is 0.
    #[inline]
    pub fn of(x: u64) -> Self {
        let x = x.max(1);
        let up = x.leading_zeros() & !1;
        let m = x.wrapping_shl(up) >> 32;
        let mut r = LINE_AT_0.wrapping_sub(m.wrapping_mul(LINE_SLOPE) >> 32);
        for _ in 0..4 {
            let square = r.wrapping_mul(r) >> 30;
            let product = m.wrapping_mul(square) >> 32;
            r = r.wrapping_mul((3u64 << 30).wrapping_sub(product)) >> 31;
        }
        let multiplier = r.clamp(1 << 30, 1 << 31) as u32;
        InverseSqrt { multiplier, shift: 62u32.wrapping_sub(up >> 1) }
    }
}

/// 2.207 with 30 binary places.
const LINE_AT_0: u64 = 2_369_748_206;
/// 4 / 3 with 30 binary places.
const LINE_SLOPE: u64 = 1_431_655_765;

/// `value` to the nearest integer, `None` beyond 2^30. Core has no `f64::round`.
fn round_half_away(value: f64) -> Option<i32> {
    if !(-1_073_741_824.0..=1_073_741_824.0).contains(&value) {
        return None;
    }
    Some(if value < 0.0 { (value - 0.5) as i32 } else { (value + 0.5) as i32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCUMULATORS: [i32; 22] = [
        i32::MIN,
        i32::MIN + 1,
        -(1 << 30) - 1,
        -(1 << 30),
        -(1 << 30) + 1,
        -65537,
        -65536,
        -65535,
        -129,
        -128,
        -3,
        -2,
        -1,
        0,
        1,
        2,
        3,
        127,
        65535,
        (1 << 30) - 1,
        i32::MAX - 1,
        i32::MAX,
    ];

    /// The definition in 128-bit arithmetic, with division instead of shifts.
    fn exact(acc: i32, multiplier: i32, shift: u8) -> i32 {
        let numerator = i128::from(acc) * i128::from(multiplier) + (1i128 << (shift - 1));
        numerator.div_euclid(1i128 << shift).clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }

    fn multipliers() -> impl Iterator<Item = i32> {
        let random = (0..64u32).map(|i| (1 << 30) | (i.wrapping_mul(0x9e37_79b9) >> 2) as i32);
        [0, 1 << 30, (1 << 30) + 1, i32::MAX - 1, i32::MAX, 0x5a82_799a].into_iter().chain(random)
    }

    #[test]
    fn requantize_is_the_definition_on_every_edge() {
        for multiplier in multipliers() {
            for shift in 1..=62 {
                let factor = Requantizer::from_parts(multiplier, shift).unwrap();
                // Around every tie that the factor can produce near zero, and the ends of the range.
                let tie = if multiplier == 0 { 0 } else { ((1i128 << (shift - 1)) / i128::from(multiplier)) as i64 };
                let near = (-3..=3).flat_map(|d| [tie + d, -tie + d, 3 * tie + d, -3 * tie + d]);
                let near = near.filter_map(|v| i32::try_from(v).ok());
                for acc in ACCUMULATORS.into_iter().chain(near) {
                    assert_eq!(
                        factor.requantize(acc),
                        exact(acc, multiplier, shift),
                        "{acc} * {multiplier} >> {shift}"
                    );
                }
            }
        }
    }

    #[test]
    fn wide_accumulators_are_rounded_once() {
        let accumulators = ACCUMULATORS.map(i64::from).into_iter().chain([1 << 34, -(1 << 34) - 1, (1 << 40) + 12_345]);
        for acc in accumulators.flat_map(|acc| [acc, acc * 3 + 1, acc << 4, -acc]) {
            for multiplier in multipliers() {
                for shift in 1..=62u8 {
                    let found = Requantizer { multiplier, shift }.requantize_i64(acc);
                    let numerator = i128::from(acc) * i128::from(multiplier) + (1i128 << (shift - 1));
                    let exact = numerator.div_euclid(1i128 << shift).clamp(-32768, 32767) as i64;
                    assert_eq!(found.clamp(-32768, 32767), exact, "{acc} * {multiplier} >> {shift}");
                }
            }
        }
    }

    #[test]
    fn every_exact_tie_goes_up() {
        for shift in 31..=50u8 {
            let factor = Requantizer::from_parts(1 << 30, shift).unwrap();
            // acc * 2^30 / 2^shift = odd / 2
            let half = 1i32 << (shift - 31);
            for odd in [-5i32, -3, -1, 1, 3, 5] {
                assert_eq!(factor.requantize(odd * half), (odd + 1).div_euclid(2), "{odd}/2 at shift {shift}");
            }
        }
    }

    #[test]
    fn from_real_finds_the_nearest_factor() {
        for real in [1.0, 0.5, 0.999_999_999_9, 1e-9, 2.4e-10, 0.003_921_568_6, 7.0 / 3.0, 1000.0, 1_073_741_823.0] {
            let factor = Requantizer::from_real(real).unwrap();
            assert_eq!(Requantizer::from_parts(factor.multiplier, factor.shift), Some(factor));
            assert!((factor.to_real() / real - 1.0).abs() <= 2f64.powi(-31), "{real}: {factor:?}");
        }
        // The significand rounds up to the next power of two.
        assert_eq!(Requantizer::from_real(1.0 - 1e-16), Requantizer::from_real(1.0));
        assert_eq!(Requantizer::from_real(2f64.powi(-32)), Some(Requantizer { multiplier: 1 << 30, shift: 62 }));
        for zero in [0.0, 5e-324, 2f64.powi(-33)] {
            assert_eq!(Requantizer::from_real(zero), Some(Requantizer::ZERO), "{zero}");
        }
        let largest_that_rounds_away = 2f64.powi(30) - 0.2;
        for invalid in [-1.0, f64::NAN, f64::INFINITY, 2f64.powi(30), largest_that_rounds_away] {
            assert_eq!(Requantizer::from_real(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn parts_out_of_range_are_refused() {
        for (multiplier, shift) in [(1, 31), (-1, 31), (i32::MIN, 31), ((1 << 30) - 1, 31), (1 << 30, 0), (1 << 30, 63)]
        {
            assert_eq!(Requantizer::from_parts(multiplier, shift), None, "{multiplier} {shift}");
        }
        for (a, b, shift) in [((1 << 21) + 1, 0, 1), (0, -(1 << 21) - 1, 1), (i32::MIN, 0, 1), (0, 0, 0), (0, 0, 31)] {
            assert_eq!(PairMultiplier::from_parts(a, b, shift), None, "{a} {b} {shift}");
        }
    }

    #[test]
    fn pairs_never_overflow_and_round_once() {
        for a in [-(1 << 21), -12345, 0, 1, 1 << 21] {
            for b in [-(1 << 21), -1, 0, 54321, 1 << 21] {
                for shift in 1..=30 {
                    let pair = PairMultiplier::from_parts(a, b, shift).unwrap();
                    for (x, y) in [(-255, -255), (-255, 255), (255, -255), (255, 255), (0, 1), (7, -3)] {
                        let sum =
                            i128::from(x) * i128::from(a) + i128::from(y) * i128::from(b) + (1i128 << (shift - 1));
                        assert_eq!(i128::from(pair.combine(x, y)), sum.div_euclid(1 << shift));
                        assert_eq!(i128::from(pair.combine_wide(x, y)), sum.div_euclid(1 << shift));
                    }
                }
            }
        }
    }

    #[test]
    fn pairs_use_all_the_precision_there_is() {
        let pair = PairMultiplier::from_real(0.75, -0.5).unwrap();
        assert_eq!(pair, PairMultiplier { a: 3 << 19, b: -1 << 20, shift: 21 });
        assert_eq!(PairMultiplier::from_real(f64::from(1 << 20), 0.0).map(|p| p.shift), Some(1));
        assert_eq!(PairMultiplier::from_real(f64::from((1 << 20) + 1), 0.0), None);
        assert_eq!(PairMultiplier::from_real(f64::NAN, 0.0), None);
        assert_eq!(PairMultiplier::from_real(1e-3, 1e-12).map(|p| (p.a, p.b, p.shift)), Some((1_073_742, 0, 30)));
    }

    #[test]
    fn inverse_roots_are_within_their_bound() {
        let mut worst: f64 = 0.0;
        let random = (0..100_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 64));
        let edges = (0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for x in random.chain(edges).chain(1..5000).chain([u64::MAX]).filter(|&x| x > 0) {
            let InverseSqrt { multiplier, shift } = InverseSqrt::of(x);
            assert!(
                (1 << 30..=1 << 31).contains(&multiplier) && (31..=62).contains(&shift),
                "{x}: {multiplier} {shift}"
            );
            let found = f64::from(multiplier) / 2f64.powi(shift as i32);
            worst = worst.max((found * (x as f64).sqrt() - 1.0).abs());
        }
        assert!(worst <= 2f64.powi(-28), "{}", worst.log2());
        assert_eq!(InverseSqrt::of(0), InverseSqrt::of(1));
    }
}
