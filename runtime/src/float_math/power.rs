//! Powers, in binary64 so that exact results come out exact.

/// `x^y`, at most 0.51 ulp off, with the special cases of IEEE 754 `pow`.
///
/// # Algorithm
/// [`pow_f64`], rounded once.
pub fn pow(x: f32, y: f32) -> f32 {
    pow_f64(f64::from(x), y) as f32
}

/// `x^y` in binary64, relative error below 2^-40 where the result is a normal binary32, with the special cases of
/// IEEE 754 `pow`. Results beyond 2^±300 may come out as 0 or infinity.
///
/// # Algorithm
/// `2^(y log2 |x|)`: the logarithm by the series of the inverse hyperbolic tangent, the exponential by Taylor's.
pub fn pow_f64(x: f64, y: f32) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let magnitude = x.abs();
    let grows = (magnitude > 1.0) == (y > 0.0);
    let result = if y.is_infinite() {
        match (magnitude == 1.0, grows) {
            (true, _) => 1.0,
            (_, true) => f64::INFINITY,
            (_, false) => 0.0,
        }
    } else if magnitude == 0.0 || magnitude == f64::INFINITY {
        if grows { f64::INFINITY } else { 0.0 }
    } else if x < 0.0 && !is_integer(y) {
        return f64::NAN;
    } else {
        exp2(f64::from(y) * log2(magnitude))
    };
    if x.is_sign_negative() && is_odd(y) { -result } else { result }
}

/// Whether a finite number has no fraction.
pub fn is_integer(x: f32) -> bool {
    // From 2^23 on there are no fractions.
    x.abs() >= 8_388_608.0 || (x as i32) as f32 == x
}

fn is_odd(x: f32) -> bool {
    // From 2^24 on all numbers are even.
    x.abs() < 16_777_216.0 && is_integer(x) && (x as i32) & 1 == 1
}

/// Binary logarithm of a positive, finite, normal number.
fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let half = bits.wrapping_sub(core::f64::consts::FRAC_1_SQRT_2.to_bits());
    let exponent = half.cast_signed() >> 52;
    let m = f64::from_bits(bits.wrapping_sub(half & 0xfff0_0000_0000_0000));
    // ln m = 2 artanh s with |s| < 0.172: the next term of the series is below 2^-54.
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 1.0 / 19.0;
    for odd in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        p = p * z + 1.0 / odd;
    }
    exponent as f64 + 2.0 * core::f64::consts::LOG2_E * (p * s)
}

/// `2^x`.
fn exp2(x: f64) -> f64 {
    const SHIFTER: f64 = 6_755_399_441_055_744.0;
    let bounded = x.clamp(-300.0, 300.0);
    let n = (bounded + SHIFTER) - SHIFTER;
    // e^r with |r| < 0.347: the next term of the series is below 2^-55.
    let r = (bounded - n) * core::f64::consts::LN_2;
    let mut p = 1.0;
    for k in [13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        p = p * r / k + 1.0;
    }
    p * f64::from_bits(((n as i64).wrapping_add(1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::float_math::measure::error_in_ulp;

    #[test]
    fn errors_stay_below_the_stated_bound() {
        let mut worst = (0.0, 0.0, 0.0);
        let bases = (0..f32::INFINITY.to_bits()).step_by(3_000_017).map(f32::from_bits);
        for x in bases.chain((0..400).map(|i| 0.9 + i as f32 * 5e-4)) {
            for y in (-300..300).map(|i| i as f32 * 0.37).chain([1e-3, -1e-3, 500.0, -500.0, 1e4]) {
                let exact = f64::from(x).powf(f64::from(y));
                let found = pow(x, y);
                if exact as f32 == f32::INFINITY {
                    assert_eq!(found, f32::INFINITY, "{x}^{y}");
                    continue;
                }
                let error = error_in_ulp(found, exact);
                if error > worst.0 || error.is_nan() {
                    worst = (error, x, y);
                }
            }
        }
        std::println!("pow: {} ulp at {}^{}", worst.0, worst.1, worst.2);
        assert!(worst.0 <= 0.51, "{} ulp at {}^{}", worst.0, worst.1, worst.2);
    }

    #[test]
    fn exact_powers_are_exact() {
        for x in 1..60i64 {
            for y in 0..5u32 {
                let exact = x.pow(y);
                if exact < 1 << 24 {
                    assert_eq!(pow(x as f32, y as f32), exact as f32, "{x}^{y}");
                    assert_eq!(pow(-x as f32, y as f32), (-x).pow(y) as f32, "-{x}^{y}");
                }
            }
            assert_eq!(pow((x * x) as f32, 0.5), x as f32);
        }
    }

    #[test]
    fn special_cases_are_those_of_ieee_754() {
        let numbers = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0, 3.0, -3.0, 16_777_216.0, 8_388_609.0];
        let numbers = numbers.into_iter().chain([f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MIN_POSITIVE]);
        for x in numbers.clone() {
            for y in numbers.clone() {
                let (found, exact) = (pow(x, y), f64::from(x).powf(f64::from(y)) as f32);
                assert!(found.to_bits() == exact.to_bits() || (found.is_nan() && exact.is_nan()), "{x}^{y} is {found}");
            }
        }
    }
}
