//! Logarithms, and exponentials near 1.

use super::exp;

/// Natural logarithm, at most 1 ulp off; minus infinity at 0, NaN below.
///
/// # Algorithm
/// `x = 2^e (1 + f)` with `1 + f` in `[sqrt 1/2, sqrt 2)`, a polynomial of degree 11 in f and ln 2 in two parts
/// (Cephes `logf`, S. Moshier 1992).
#[inline]
pub fn log(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    if x.is_nan() || x == f32::INFINITY {
        return x;
    }
    if x <= 0.0 {
        return if x == 0.0 { f32::NEG_INFINITY } else { f32::NAN };
    }
    let (normal, shift) = if x < f32::MIN_POSITIVE { (x * 8_388_608.0, 23) } else { (x, 0) };
    let bits = normal.to_bits();
    // From the upper half of an octave on, the next octave's lower half.
    let half = bits.wrapping_sub(core::f32::consts::FRAC_1_SQRT_2.to_bits());
    let exponent = (half.cast_signed() >> 23).wrapping_sub(shift);
    let significand = f32::from_bits(bits.wrapping_sub(half & 0xff80_0000));
    let f = significand - 1.0;
    let z = f * f;
    let mut p = 7.037_683_6e-2;
    for c in [
        -1.151_461e-1,
        1.167_699_9e-1,
        -1.242_014e-1,
        1.424_932_3e-1,
        -1.666_805_7e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = p * f + c;
    }
    let e = exponent as f32;
    (f + (p * z * f + e * LN2_LOW - 0.5 * z)) + e * LN2_HIGH
}

/// `log(1 + x)` for x in `[0, 1]`, at most 2 ulp off, also where x is tiny.
#[inline]
pub fn log_1_plus(x: f32) -> f32 {
    let sum = 1.0 + x;
    // First-order correction for what 1 + x lost.
    log(sum) + (x - (sum - 1.0)) / sum
}

/// `e^x - 1`, at most 4 ulp off, also where x is tiny.
///
/// # Algorithm
/// Between `-ln 2 / 2` and `ln 2 / 2` the polynomial of [`exp`] without its last addition, outside the difference.
#[inline]
pub fn exp_minus_1(x: f32) -> f32 {
    if x.abs() > 0.346_573_6 {
        return exp(x) - 1.0;
    }
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * x + c;
    }
    p * (x * x) + x
}

/// `log(1 + e^x)`, at most 3 ulp off, also where it is tiny.
#[inline]
pub fn softplus(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let ramp = if x > 0.0 { x } else { 0.0 };
    ramp + log_1_plus(exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float_math::measure::{Bound, check};

    #[test]
    fn errors_stay_below_the_stated_bounds() {
        check(&[
            Bound { name: "log", function: log, exact: f64::ln, range: 0.0..=f32::MAX, ulp: 1.0 },
            Bound { name: "log_1_plus", function: log_1_plus, exact: f64::ln_1p, range: 0.0..=1.0, ulp: 2.0 },
            Bound { name: "exp_minus_1", function: exp_minus_1, exact: f64::exp_m1, range: -88.0..=88.0, ulp: 4.0 },
            Bound {
                name: "softplus",
                function: softplus,
                exact: |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
                range: -88.0..=1e6,
                ulp: 3.0,
            },
        ]);
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!((log(0.0), log(-0.0), log(f32::INFINITY)), (f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY));
        assert_eq!((log(1.0), exp_minus_1(0.0), exp_minus_1(f32::NEG_INFINITY)), (0.0, 0.0, -1.0));
        assert_eq!((softplus(f32::INFINITY), softplus(f32::NEG_INFINITY), softplus(1e30)), (f32::INFINITY, 0.0, 1e30));
        assert_eq!(exp_minus_1(f32::INFINITY), f32::INFINITY);
        assert!(log(-1.0).is_nan() && log(f32::NEG_INFINITY).is_nan());
        for function in [log, exp_minus_1, softplus] {
            assert!(function(f32::NAN).is_nan());
        }
    }
}
