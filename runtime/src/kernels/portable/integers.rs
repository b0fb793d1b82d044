//! Functions of two integers: those of numpy, without a value that could stop the processor.

/// Function of two integers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IntegerFunction {
    /// `a + b`, wrapping.
    Add = 0,
    /// `a - b`, wrapping.
    Sub = 1,
    /// `a * b`, wrapping.
    Mul = 2,
    /// `a / b` towards zero; 0 for b = 0.
    Div = 3,
    /// The larger one.
    Max = 4,
    /// The smaller one.
    Min = 5,
    /// The rest of a floored division, with the sign of `b`; 0 for b = 0.
    Mod = 6,
    /// The rest of a division towards zero, with the sign of `a`; 0 for b = 0.
    Rem = 7,
    /// Bit by bit; on 0 and 1 the logical function.
    And = 8,
    /// Bit by bit; on 0 and 1 the logical function.
    Or = 9,
    /// Bit by bit; on 0 and 1 the logical function.
    Xor = 10,
}

impl IntegerFunction {
    /// All of them, in the order of their codes.
    pub const ALL: [IntegerFunction; 11] = [
        IntegerFunction::Add,
        IntegerFunction::Sub,
        IntegerFunction::Mul,
        IntegerFunction::Div,
        IntegerFunction::Max,
        IntegerFunction::Min,
        IntegerFunction::Mod,
        IntegerFunction::Rem,
        IntegerFunction::And,
        IntegerFunction::Or,
        IntegerFunction::Xor,
    ];

    /// The function with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// Integer arithmetic that wraps and never traps.
pub trait Integer: Copy + Default + Ord {
    /// `function(a, b)`.
    fn apply(function: IntegerFunction, a: Self, b: Self) -> Self;

    /// `a^n`, wrapping; for a negative `n` the power's integer part, which is 0 unless a is 1 or -1.
    fn power(a: Self, n: i64) -> Self;
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Integer for $type {
            #[inline(always)]
            fn apply(function: IntegerFunction, a: Self, b: Self) -> Self {
                match function {
                    IntegerFunction::Add => a.wrapping_add(b),
                    IntegerFunction::Sub => a.wrapping_sub(b),
                    IntegerFunction::Mul => a.wrapping_mul(b),
                    // Without a quotient, b is 0, or it is -1 and the least number stays what it is.
                    IntegerFunction::Div => a.checked_div(b).unwrap_or(if b == 0 { 0 } else { a }),
                    IntegerFunction::Max => a.max(b),
                    IntegerFunction::Min => a.min(b),
                    IntegerFunction::Mod => {
                        let rest = a.checked_rem(b).unwrap_or(0);
                        #[allow(unused_comparisons)]
                        let apart = rest != 0 && (rest < 0) != (b < 0);
                        if apart { rest.wrapping_add(b) } else { rest }
                    }
                    IntegerFunction::Rem => a.checked_rem(b).unwrap_or(0),
                    IntegerFunction::And => a & b,
                    IntegerFunction::Or => a | b,
                    IntegerFunction::Xor => a ^ b,
                }
            }

            fn power(a: Self, n: i64) -> Self {
                if n < 0 {
                    let squared = a.wrapping_mul(a);
                    return match (a == 1, squared == 1 && a.wrapping_add(1) == 0) {
                        (true, _) => 1,
                        (_, true) => if n & 1 == 0 { 1 } else { a },
                        _ => 0,
                    };
                }
                let (mut result, mut factor, mut rest) = (1 as $type, a, n);
                while rest > 0 {
                    if rest & 1 == 1 {
                        result = result.wrapping_mul(factor);
                    }
                    factor = factor.wrapping_mul(factor);
                    rest >>= 1;
                }
                result
            }
        }
    )*};
}

integer!(i8, u8, i32, i64);

#[cfg(test)]
mod tests {
    use super::IntegerFunction::*;
    use super::*;

    #[test]
    fn integers_wrap_and_never_trap() {
        let cases = [
            (Add, i8::MAX, 1, i8::MIN),
            (Sub, i8::MIN, 1, i8::MAX),
            (Mul, 64, 2, -128),
            (Div, 7, -2, -3),
            (Div, -7, 2, -3),
            (Div, i8::MIN, -1, i8::MIN),
            (Div, 5, 0, 0),
            (Max, -3, 2, 2),
            (Min, -3, 2, -3),
            (Mod, -7, 3, 2),
            (Mod, 7, -3, -2),
            (Mod, i8::MIN, -1, 0),
            (Mod, 5, 0, 0),
            (Rem, -7, 3, -1),
            (Rem, 5, 0, 0),
            (And, 6, 3, 2),
            (Or, 6, 3, 7),
            (Xor, 6, 3, 5),
        ];
        for (function, a, b, expected) in cases {
            assert_eq!(i8::apply(function, a, b), expected, "{function:?} {a} {b}");
            assert_eq!(IntegerFunction::from_code(function as u8), Some(function));
        }
        assert_eq!((u8::apply(Mod, 7, 4), u8::apply(Sub, 1, 2), u8::apply(Div, 200, 3)), (3, 255, 66));
        assert_eq!(i64::apply(Div, i64::MIN, -1), i64::MIN);
        assert_eq!(IntegerFunction::from_code(11), None);
    }

    #[test]
    fn powers() {
        for (a, n, expected) in [
            (2, 10, 1024),
            (-3, 3, -27),
            (5, 0, 1),
            (0, 0, 1),
            (7, -1, 0),
            (1, -5, 1),
            (-1, -3, -1),
            (-1, -4, 1),
            (0, -1, 0),
        ] {
            assert_eq!((i32::power(a, n), i64::power(i64::from(a), n)), (expected, i64::from(expected)), "{a}^{n}");
        }
        assert_eq!(i32::power(3, 40), 3i32.wrapping_pow(40));
        assert_eq!(i32::power(2, i64::MAX), 0);
    }
}
