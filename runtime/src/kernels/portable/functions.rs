//! Functions of one or two float32 elements, as ONNX defines them. What is not a number stays so.

use crate::float_math::{erf as error_function, exp, exp_minus_1, sigmoid, tanh};
use crate::kernels::parameters::OutputF32;

/// `x` below 0 times `slope`.
#[inline]
pub fn leaky_relu(x: f32, slope: f32) -> f32 {
    if x < 0.0 { x * slope } else { x }
}

/// `alpha (e^x - 1)` below 0, `x` above.
#[inline]
pub fn elu(x: f32, alpha: f32) -> f32 {
    if x < 0.0 { alpha * exp_minus_1(x) } else { x }
}

/// `alpha (e^(x / alpha) - 1)` below 0, `x` above.
#[inline]
pub fn celu(x: f32, alpha: f32) -> f32 {
    if x < 0.0 { alpha * exp_minus_1(x / alpha) } else { x }
}

/// `gamma` times [`elu`].
#[inline]
pub fn selu(x: f32, alpha: f32, gamma: f32) -> f32 {
    gamma * elu(x, alpha)
}

/// `clamp(slope x + offset, 0, 1)`
#[inline]
pub fn hard_sigmoid(x: f32, slope: f32, offset: f32) -> f32 {
    OutputF32 { min: 0.0, max: 1.0 }.finish(slope * x + offset)
}

/// `x * clamp(x / 6 + 1/2, 0, 1)`, as `x * (clamp(x + 3, 0, 6) / 6)`
#[inline]
pub fn hard_swish(x: f32) -> f32 {
    x * (OutputF32 { min: 0.0, max: 6.0 }.finish(x + 3.0) / 6.0)
}

/// `x sigmoid(alpha x)`; 0 where that would be infinity times 0.
#[inline]
pub fn swish(x: f32, alpha: f32) -> f32 {
    let gate = sigmoid(alpha * x);
    if gate == 0.0 { 0.0 } else { x * gate }
}

/// `x / (1 + |x|)`
#[inline]
pub fn softsign(x: f32) -> f32 {
    if x.is_infinite() { 1f32.copysign(x) } else { x / (1.0 + x.abs()) }
}

/// `x` above `threshold`, 0 elsewhere.
#[inline]
pub fn thresholded_relu(x: f32, threshold: f32) -> f32 {
    if x <= threshold { 0.0 } else { x }
}

/// `x (1 + erf(x / sqrt 2)) / 2`
#[inline]
pub fn gelu(x: f32) -> f32 {
    let gate = 1.0 + error_function(x * core::f32::consts::FRAC_1_SQRT_2);
    if gate == 0.0 { 0.0 } else { 0.5 * x * gate }
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`
#[inline]
pub fn gelu_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = 0.797_884_6;
    let gate = 1.0 + tanh(SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x));
    if gate == 0.0 { 0.0 } else { 0.5 * x * gate }
}

/// `x tanh(log(1 + e^x))`
///
/// # Algorithm
/// With `w = e^x (e^x + 2)`, the hyperbolic tangent is `w / (w + 2)`, without cancellation; from 20 on it is 1.
#[inline]
pub fn mish(x: f32) -> f32 {
    if x > 20.0 {
        return x;
    }
    let e = exp(x);
    let w = e * (e + 2.0);
    if w == 0.0 { 0.0 } else { x * (w / (w + 2.0)) }
}

/// -1, 0 or 1.
#[inline]
pub fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// `1 / x`
#[inline]
pub fn reciprocal(x: f32) -> f32 {
    1.0 / x
}

/// The larger one; not a number when either is not.
#[inline]
pub fn maximum(a: f32, b: f32) -> f32 {
    if a >= b || a.is_nan() { a } else { b }
}

/// The smaller one; not a number when either is not.
#[inline]
pub fn minimum(a: f32, b: f32) -> f32 {
    if a <= b || a.is_nan() { a } else { b }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn they_follow_their_formulas() {
        type Case = (&'static str, fn(f32) -> f32, fn(f64) -> f64);
        let cases: [Case; 12] = [
            ("leaky_relu", |x| leaky_relu(x, 0.1), |x| if x < 0.0 { 0.1 * x } else { x }),
            ("elu", |x| elu(x, 1.5), |x| if x < 0.0 { 1.5 * x.exp_m1() } else { x }),
            ("celu", |x| celu(x, 2.0), |x| x.max(0.0) + (2.0 * (x / 2.0).exp_m1()).min(0.0)),
            ("selu", |x| selu(x, 1.67, 1.05), |x| 1.05 * if x < 0.0 { 1.67 * x.exp_m1() } else { x }),
            ("hard_sigmoid", |x| hard_sigmoid(x, 0.2, 0.5), |x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
            ("hard_swish", hard_swish, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            ("swish", |x| swish(x, 1.7), |x| x / (1.0 + (-1.7 * x).exp())),
            ("softsign", softsign, |x| x / (1.0 + x.abs())),
            ("gelu_tanh", gelu_tanh, |x| {
                0.5 * x * (1.0 + ((2.0 / core::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
            }),
            ("mish", mish, |x| x * x.exp().ln_1p().tanh()),
            ("reciprocal", reciprocal, |x| 1.0 / x),
            ("thresholded_relu", |x| thresholded_relu(x, 1.25), |x| if x > 1.25 { x } else { 0.0 }),
        ];
        for (name, function, exact) in cases {
            for x in (-4000..=4000).map(|i| i as f32 / 100.0) {
                let (found, expected) = (function(x), exact(f64::from(x)));
                let tolerance = 1e-6 * expected.abs().max(f64::from(x.abs())).max(1e-6);
                let equal = f64::from(found) == expected || (f64::from(found) - expected).abs() <= tolerance;
                assert!(equal, "{name}({x}) is {found}, not {expected}");
            }
        }
    }

    #[test]
    fn ends_of_the_range() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let at_minus_infinity: [(f32, f32); 8] = [
            (elu(-inf, 2.0), -2.0),
            (celu(-inf, 2.0), -2.0),
            (swish(-inf, 1.0), 0.0),
            (softsign(-inf), -1.0),
            (gelu(-inf), 0.0),
            (gelu_tanh(-inf), 0.0),
            (mish(-inf), 0.0),
            (sign(-inf), -1.0),
        ];
        for (i, (found, expected)) in at_minus_infinity.into_iter().enumerate() {
            assert_eq!(found, expected, "{i}");
        }
        let all: [fn(f32) -> f32; 11] = [
            |x| elu(x, 1.0),
            |x| celu(x, 1.0),
            |x| swish(x, 1.0),
            |x| leaky_relu(x, 0.5),
            gelu,
            gelu_tanh,
            mish,
            |x| selu(x, 1.0, 1.0),
            |x| thresholded_relu(x, 1.0),
            softsign,
            sign,
        ];
        for (i, function) in all.iter().enumerate() {
            assert!(function(nan).is_nan(), "{i}");
            assert_eq!(function(inf), if i > 8 { 1.0 } else { inf }, "{i}");
        }
        for (a, b) in [(nan, 1.0), (1.0, nan)] {
            assert!(maximum(a, b).is_nan() && minimum(a, b).is_nan());
        }
        assert_eq!((maximum(-1.0, 2.0), minimum(-1.0, 2.0)), (2.0, -1.0));
        assert_eq!(gelu(1.0), 0.841_344_7);
    }
}
