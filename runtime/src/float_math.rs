//! Elementary functions in float32, the same bits on every IEEE 754 machine.
//!
//! Built only from `+ - * /`, comparisons and bit casts: no fused multiply-add, no call into a platform's libm.
//! (Which NaN comes out of a NaN is the one thing that is left open.) Errors against binary64 are measured over the
//! whole range by the tests and stated with each function in units in the last place.

mod error_function;
mod logarithm;
#[cfg(test)]
mod measure;
mod power;
mod rounding;
mod trigonometry;

pub use error_function::erf;
pub use logarithm::{exp_minus_1, log, log_1_plus, softplus};
pub use power::{is_integer, pow, pow_f64};
pub use rounding::{ceil, floor, round};
pub use trigonometry::{cos, sin};

/// `e^x`, at most 1 ulp off, denormal results included.
///
/// # Algorithm
/// `x = n ln 2 + r` with ln 2 in two parts (Cody and Waite), a polynomial of degree 7 in r (the coefficients are those
/// of Cephes `expf`, S. Moshier 1992), and two exact multiplications by powers of two.
#[inline]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Outside, the answer is 0 or infinity anyway; inside, n fits the exponent arithmetic below.
    let bounded = x.clamp(-104.0, 89.0);
    let n = round_ties_even(bounded * core::f32::consts::LOG2_E);
    let r_high = bounded - n * LN2_HIGH;
    let r_low = n * LN2_LOW;
    let r = r_high - r_low;
    let lost = (r_high - r) - r_low;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let y = ((p * (r * r) + lost) + r) + 1.0;
    let n = n as i32;
    let half = n >> 1;
    y * power_of_two(half) * power_of_two(n - half)
}

/// `tanh x`, at most 2 ulp off, odd to the bit.
///
/// # Algorithm
/// Below 0.625 an odd polynomial of degree 11 (Cephes `tanhf`), above `1 - 2 / (e^(2|x|) + 1)`.
#[inline]
pub fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();
    let result = if magnitude < 0.625 {
        let z = magnitude * magnitude;
        let mut p = -5.704_988_7e-3;
        for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -0.333_332_8] {
            p = p * z + c;
        }
        p * z * magnitude + magnitude
    } else {
        1.0 - 2.0 / (exp(magnitude + magnitude) + 1.0)
    };
    result.copysign(x)
}

/// `1 / (1 + e^-x)`, at most 2 ulp off, also where the result is tiny.
#[inline]
pub fn sigmoid(x: f32) -> f32 {
    if x < 0.0 {
        let e = exp(x);
        let denominator = 1.0 + e;
        let lost = e - (denominator - 1.0);
        let quotient = e / denominator;
        // First-order correction for what 1 + e lost; 1 - quotient stands for 1 / denominator.
        quotient - quotient * lost * (1.0 - quotient)
    } else {
        1.0 / (1.0 + exp(-x))
    }
}

/// Square root, correctly rounded; NaN below zero.
///
/// # Algorithm
/// Integer square root of the significand to 25 bits; no 24-bit significand has a root that is a tie.
pub fn sqrt(x: f32) -> f32 {
    if x.is_nan() || x == 0.0 || x == f32::INFINITY {
        return x;
    }
    if x < 0.0 {
        return f32::NAN;
    }
    let bits = x.to_bits();
    let (significand, exponent) = match bits >> 23 {
        0 => (bits & 0x7f_ffff, -149),
        biased => ((bits & 0x7f_ffff) | 0x80_0000, biased as i32 - 150),
    };
    // significand * 2^exponent = wide * 2^(exponent - up), wide in [2^48, 2^50), even exponent.
    let up = significand.leading_zeros() as i32 + 18;
    let up = if (exponent - up) % 2 == 0 { up } else { up - 1 };
    let root = (u64::from(significand) << up).isqrt();
    let rounded = (root + 1) >> 1;
    rounded as f32 * power_of_two((exponent - up) / 2 + 1)
}

/// `x` to the nearest integer, ties to even, for `|x| < 2^22`.
#[inline]
pub fn round_ties_even(x: f32) -> f32 {
    const SHIFTER: f32 = 12_582_912.0;
    (x + SHIFTER) - SHIFTER
}

/// `2^n` for n in `-126..=127`.
#[inline]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use super::measure::{Bound, check, error_in_ulp};
    use super::*;

    #[test]
    fn errors_stay_below_the_stated_bounds() {
        let range = -88.5..=88.5;
        check(&[
            Bound { name: "exp", function: exp, exact: f64::exp, range: range.clone(), ulp: 1.0 },
            Bound { name: "tanh", function: tanh, exact: f64::tanh, range: range.clone(), ulp: 2.0 },
            Bound { name: "sigmoid", function: sigmoid, exact: |x| 1.0 / (1.0 + (-x).exp()), range, ulp: 2.0 },
        ]);
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!((exp(88.8), exp(f32::INFINITY), exp(1e30)), (f32::INFINITY, f32::INFINITY, f32::INFINITY));
        assert_eq!((exp(-104.1), exp(f32::NEG_INFINITY)), (0.0, 0.0));
        assert!(error_in_ulp(exp(-100.0), (-100f64).exp()) <= 1.0);
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), tanh(20.0)), (1.0, -1.0, 1.0));
        assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!((sigmoid(f32::INFINITY), sigmoid(f32::NEG_INFINITY), sigmoid(0.0)), (1.0, 0.0, 0.5));
        for function in [exp, tanh, sigmoid, sqrt] {
            assert!(function(f32::NAN).is_nan());
        }
    }

    #[test]
    fn square_root_is_correctly_rounded() {
        for bits in (0..f32::INFINITY.to_bits()).step_by(1021).chain(0..4096) {
            let x = f32::from_bits(bits);
            assert_eq!(sqrt(x).to_bits(), x.sqrt().to_bits(), "{x}");
        }
        assert!(sqrt(-1.0).is_nan());
        assert_eq!(sqrt(f32::INFINITY), f32::INFINITY);
    }
}
