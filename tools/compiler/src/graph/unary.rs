//! Functions of one real operand.

use super::{Clamp, Composed, Grid};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};
use std::sync::Arc;

/// Elementwise function of one operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Unary {
    /// Clip and Relu; fused into the producer where possible.
    Clamp(Clamp),
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// tanh(x)
    Tanh,
    /// |x|
    Abs,
    /// Square root.
    Sqrt,
    /// 1 / x
    Reciprocal,
    /// e^x
    Exp,
    /// Natural logarithm.
    Log,
    /// x below 0 times the slope.
    LeakyRelu {
        /// The slope.
        slope: f32,
    },
    /// alpha (e^x - 1) below 0.
    Elu {
        /// Its factor.
        alpha: f32,
    },
    /// alpha (e^(x / alpha) - 1) below 0.
    Celu {
        /// Its factor.
        alpha: f32,
    },
    /// gamma times Elu.
    Selu {
        /// Factor of Elu.
        alpha: f32,
        /// Factor of everything.
        gamma: f32,
    },
    /// clamp(slope x + offset, 0, 1)
    HardSigmoid {
        /// The slope.
        slope: f32,
        /// The value at 0.
        offset: f32,
    },
    /// x clamp(x / 6 + 1/2, 0, 1)
    HardSwish,
    /// log(1 + e^x)
    Softplus,
    /// x / (1 + |x|)
    Softsign,
    /// x above the threshold, 0 elsewhere.
    ThresholdedRelu {
        /// The threshold.
        threshold: f32,
    },
    /// x (1 + erf(x / sqrt 2)) / 2
    Gelu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    GeluTanh,
    /// The error function.
    Erf,
    /// x tanh(log(1 + e^x))
    Mish,
    /// x / (1 + e^(-alpha x))
    Swish {
        /// Its steepness.
        alpha: f32,
    },
    /// -1, 0 or 1.
    Sign,
    /// The largest integer that is not above x.
    Floor,
    /// The smallest integer that is not below x.
    Ceil,
    /// The nearest integer, ties to even.
    Round,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// x to a constant power.
    Power {
        /// The exponent.
        exponent: f32,
    },
    /// The nearest step of an int8 grid, in real units: QuantizeLinear and DequantizeLinear of a quantized model. The
    /// quantizer makes it the quantization of a tensor.
    Snap(Grid),
    /// Several operators; a table, in quantized models only.
    Composed(Arc<Composed>),
}

impl Unary {
    /// Its value in binary64.
    pub fn evaluate(&self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let elu = |x: f64, alpha: f32| if x < 0.0 { f64::from(alpha) * x.exp_m1() } else { x };
        match *self {
            Unary::Composed(ref function) => function.evaluate(x),
            Unary::Clamp(clamp) => {
                let low = clamp.min.map_or(x, |min| x.max(f64::from(min)));
                clamp.max.map_or(low, |max| low.min(f64::from(max)))
            }
            Unary::Sigmoid => sigmoid(x),
            Unary::Tanh => x.tanh(),
            Unary::Abs => x.abs(),
            Unary::Sqrt => x.sqrt(),
            Unary::Reciprocal => 1.0 / x,
            Unary::Exp => x.exp(),
            Unary::Log => x.ln(),
            Unary::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
            Unary::Elu { alpha } => elu(x, alpha),
            Unary::Celu { alpha } => x.max(0.0) + (f64::from(alpha) * (x / f64::from(alpha)).exp_m1()).min(0.0),
            Unary::Selu { alpha, gamma } => f64::from(gamma) * elu(x, alpha),
            Unary::HardSigmoid { slope, offset } => (f64::from(slope) * x + f64::from(offset)).clamp(0.0, 1.0),
            Unary::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Unary::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Unary::Softsign => x / (1.0 + x.abs()),
            Unary::ThresholdedRelu { threshold } => {
                if x > f64::from(threshold) {
                    x
                } else {
                    0.0
                }
            }
            Unary::Gelu => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
            Unary::GeluTanh => 0.5 * x * (1.0 + (FRAC_2_PI.sqrt() * (x + 0.044_715 * x.powi(3))).tanh()),
            Unary::Erf => erf(x),
            Unary::Mish => x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
            Unary::Swish { alpha } => x * sigmoid(f64::from(alpha) * x),
            Unary::Sign => {
                if x == 0.0 {
                    0.0
                } else {
                    x.signum()
                }
            }
            Unary::Floor => x.floor(),
            Unary::Ceil => x.ceil(),
            Unary::Round => x.round_ties_even(),
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Power { exponent } => x.powf(f64::from(exponent)),
            Unary::Snap(grid) => grid.snap(x),
        }
    }
}

/// The error function to about 1e-11, by a series without cancellation (Abramowitz and Stegun 7.1.6), and 1 from where
/// that is as near.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.0 {
        return 1f64.copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..150 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    sum * (-x * x).exp() * FRAC_2_SQRT_PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_has_its_published_values() {
        // Abramowitz and Stegun, table 7.1.
        for (x, expected) in [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)] {
            assert!((erf(x) - expected).abs() < 1e-10, "{x}");
            assert!((erf(-x) + expected).abs() < 1e-10, "-{x}");
        }
        assert!((erf(4.9) - 1.0).abs() < 1e-9 && erf(5.1) == 1.0);
    }
}
