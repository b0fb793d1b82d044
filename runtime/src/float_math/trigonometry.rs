//! Sine and cosine over the whole range.

/// `sin x`, at most 0.51 ulp off; NaN for infinities.
///
/// # Algorithm
/// [`reduce`], then Taylor's series in binary64, rounded once.
pub fn sin(x: f32) -> f32 {
    if x == 0.0 {
        return x;
    }
    at_quarter(x, 0)
}

/// `cos x`, at most 0.51 ulp off; NaN for infinities.
///
/// # Algorithm
/// As [`sin`], a quarter further.
pub fn cos(x: f32) -> f32 {
    at_quarter(x, 1)
}

/// `sin(|x| + quarters pi / 2)`, with the sign of `x` for an even number of quarters.
fn at_quarter(x: f32, quarters: u32) -> f32 {
    if !x.is_finite() {
        return f32::NAN;
    }
    let (quadrant, r) = reduce(x.abs());
    let z = r * r;
    let quadrant = quadrant.wrapping_add(quarters);
    let mut p = 1.0;
    let value = if quadrant & 1 == 0 {
        for k in [12.0 * 13.0, 10.0 * 11.0, 8.0 * 9.0, 6.0 * 7.0, 4.0 * 5.0, 2.0 * 3.0] {
            p = 1.0 - p * z / k;
        }
        p * r
    } else {
        for k in [13.0 * 14.0, 11.0 * 12.0, 9.0 * 10.0, 7.0 * 8.0, 5.0 * 6.0, 3.0 * 4.0, 1.0 * 2.0] {
            p = 1.0 - p * z / k;
        }
        p
    };
    let negative = (quadrant & 2 != 0) != (quarters == 0 && x.is_sign_negative());
    (if negative { -value } else { value }) as f32
}

/// The multiple `q` of pi/2 next to a finite `x` that is not negative, and `x - q pi/2` in binary64.
///
/// # Algorithm
/// Payne and Hanek 1983: `x = m 2^e` times those 96 bits of 2/pi that neither give a multiple of 4 nor vanish, in
/// integers. No binary32 is so close to a multiple of pi/2 that fewer than 30 significant bits are left.
fn reduce(x: f32) -> (u32, f64) {
    if x < core::f32::consts::FRAC_PI_4 {
        return (0, f64::from(x));
    }
    let bits = x.to_bits();
    let m = (bits & 0x7f_ffff) | 0x80_0000;
    // e = exponent - 150 is at least -24; bit 1 of 2/pi is bit 32 of the table, and the window begins at bit e - 1.
    let start = (bits >> 23).wrapping_sub(120);
    let first = (start >> 5) as usize;
    let mut window = 0u128;
    for word in TWO_OVER_PI.iter().skip(first).take(4) {
        window = window << 32 | u128::from(*word);
    }
    let window = (window << (start & 31)) >> 32;
    let product = u128::from(m).wrapping_mul(window) & ((1 << 96) - 1);
    let quadrant = product.wrapping_add(1 << 93) >> 94;
    let fraction = product.cast_signed().wrapping_sub((quadrant << 94).cast_signed());
    // 2^-63 of what is left after 31 bits.
    let r = (fraction >> 31) as i64 as f64 * (core::f64::consts::FRAC_PI_2 / 9_223_372_036_854_775_808.0);
    (quadrant as u32 & 3, r)
}

/// 2/pi behind 32 zeros.
const TWO_OVER_PI: [u32; 9] =
    [0, 0xa2f9_836e, 0x4e44_1529, 0xfc27_57d1, 0xf534_ddc0, 0xdb62_9599, 0x3c43_9041, 0xfe51_63ab, 0xdebb_c561];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float_math::measure::{Bound, check};

    #[test]
    fn errors_stay_below_the_stated_bounds() {
        check(&[
            Bound { name: "sin", function: sin, exact: f64::sin, range: f32::MIN..=f32::MAX, ulp: 0.51 },
            Bound { name: "cos", function: cos, exact: f64::cos, range: f32::MIN..=f32::MAX, ulp: 0.51 },
        ]);
    }

    #[test]
    fn ends_of_the_range() {
        assert_eq!((sin(-0.0).to_bits(), cos(0.0), cos(-0.0)), ((-0.0f32).to_bits(), 1.0, 1.0));
        assert_eq!(sin(f32::MIN_POSITIVE), f32::MIN_POSITIVE);
        for x in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(sin(x).is_nan() && cos(x).is_nan());
        }
    }
}
