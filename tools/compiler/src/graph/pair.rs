//! Functions of two operands that nothing is fused into.

use tinfer::kernels::portable::{IntegerFunction, Relation};

/// Elementwise function of two operands with numpy broadcasting, without a fused clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// a / b of float32.
    Div,
    /// The larger one of float32; in int8 all three tensors have one quantization.
    Max,
    /// The smaller one of float32; in int8 all three tensors have one quantization.
    Min,
    /// a, below 0 times b, of float32.
    PRelu,
    /// a to the power of b, of float32.
    Pow,
    /// Of two plain integers of one type, or of two truths.
    Integer(IntegerFunction),
    /// Integer a to the power of b, which has the same type or is float32.
    IntegerPow,
    /// Whether two elements of one type are so related; the result is Bool.
    Compare(Relation),
}

impl Pair {
    /// Whether operands and result are real numbers, so that passes may move it.
    pub fn is_real(self) -> bool {
        matches!(self, Pair::Div | Pair::Max | Pair::Min | Pair::PRelu | Pair::Pow)
    }

    /// Whether its kernel selects one of two values, so that int8 tensors must have one quantization.
    pub fn selects(self) -> bool {
        matches!(self, Pair::Max | Pair::Min)
    }

    /// The operand that makes the other one the result, whatever that is.
    pub fn neutral(self) -> Option<f32> {
        match self {
            Pair::Max => Some(f32::NEG_INFINITY),
            Pair::Min => Some(f32::INFINITY),
            _ => None,
        }
    }

    /// Whether the result may lie over an operand of the same size.
    pub fn works_in_place(self) -> bool {
        self.is_real() || matches!(self, Pair::Integer(_))
    }

    /// The result for real operands; `None` for functions of other types.
    pub fn evaluate(self, a: f64, b: f64) -> Option<f64> {
        Some(match self {
            Pair::Div => a / b,
            Pair::Max => a.max(b),
            Pair::Min => a.min(b),
            Pair::PRelu => a.max(0.0) + b * a.min(0.0),
            Pair::Pow => a.powf(b),
            Pair::Integer(_) | Pair::IntegerPow | Pair::Compare(_) => return None,
        })
    }
}
