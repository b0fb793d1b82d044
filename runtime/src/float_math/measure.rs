//! Measures functions against binary64.

extern crate std;
use core::ops::RangeInclusive;

/// A function, what it stands for, and how far it may be off.
pub(super) struct Bound {
    pub name: &'static str,
    pub function: fn(f32) -> f32,
    pub exact: fn(f64) -> f64,
    pub range: RangeInclusive<f32>,
    pub ulp: f64,
}

/// Distance of `got` from `exact` in units in the last place of `exact`.
pub(super) fn error_in_ulp(got: f32, exact: f64) -> f64 {
    if f64::from(got) == exact {
        return 0.0;
    }
    let magnitude = exact.abs().max(f64::from(f32::MIN_POSITIVE));
    let exponent = ((magnitude.to_bits() >> 52) as i32) - 1023;
    (f64::from(got) - exact).abs() / 2f64.powi(exponent - 23)
}

/// Every 257th float32 of the range.
pub(super) fn check(bounds: &[Bound]) {
    for Bound { name, function, exact, range, ulp } in bounds {
        let largest = range.start().abs().max(range.end().abs());
        let mut worst = (0.0, 0.0);
        for bits in (0..=largest.to_bits()).step_by(257) {
            let positive = f32::from_bits(bits);
            for x in [positive, -positive].into_iter().filter(|x| range.contains(x)) {
                let error = error_in_ulp(function(x), exact(f64::from(x)));
                if error > worst.0 || error.is_nan() {
                    worst = (error, x);
                }
            }
        }
        assert!(worst.0 <= *ulp, "{name}: {} ulp at {}", worst.0, worst.1);
    }
}
