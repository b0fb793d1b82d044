//! The error function.

use super::exp;

/// `erf x`, at most 2 ulp off, odd to the bit.
///
/// # Algorithm
/// Up to 15/16 `x + x p(x^2)` with p of degree 6; above, `1 - e^(-t + t q(t))` with q of degree 6, where
/// `t = min(|x|, 4)`: erf 4 rounds to 1. Both are least-maximum fits of binary64 values, rounded to binary32.
#[inline]
pub fn erf(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    let t = x.abs();
    if t < 0.9375 {
        let z = x * x;
        let mut p = 8.296_612e-5;
        for c in [-8.125_807e-4, 5.199_6e-3, -2.685_885_1e-2, 1.128_368_6e-1, -3.761_263_2e-1, 1.283_791_7e-1] {
            p = p * z + c;
        }
        return p * x + x;
    }
    // `f32::min` would be a call into a platform's library.
    let t = if t > 4.0 { 4.0 } else { t };
    let mut q = -1.215_047_3e-5;
    for c in [3.319_879_5e-4, -3.679_73e-3, 2.384_073_1e-2, -1.063_280_1e-1, -6.350_963e-1, -1.286_62e-1] {
        q = q * t + c;
    }
    (1.0 - exp(q * t - t)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float_math::measure::{Bound, check};

    /// Taylor series, which converges for every x; fit for |x| < 4 in binary64.
    fn exact(x: f64) -> f64 {
        if x.abs() > 4.5 {
            return 1f64.copysign(x);
        }
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * core::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn errors_stay_below_the_stated_bound() {
        check(&[Bound { name: "erf", function: erf, exact, range: -6.0..=6.0, ulp: 2.0 }]);
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!((erf(f32::INFINITY), erf(f32::NEG_INFINITY), erf(4.0), erf(1e30)), (1.0, -1.0, 1.0, 1.0));
        assert_eq!(erf(-0.0).to_bits(), (-0.0f32).to_bits());
        assert!(erf(f32::NAN).is_nan());
    }
}
