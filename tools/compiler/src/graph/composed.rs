//! Several elementwise operators that are one function of one operand.

use super::{Binary, Clamp, Pair, Unary};
use tinfer::kernels::portable::{IntegerFunction, Relation};

/// A function that a file spells out: `x * clip(x + 3, 0, 6) / 6`, `x * sigmoid(x)`, `where(x > 0, x, 0.1 * x)`.
///
/// Value 0 is the operand, value i + 1 the result of part i, which may read all values before it; the last one is the
/// function's. Truths are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Composed {
    parts: Vec<Part>,
}

/// One operator of a [`Composed`] function, on the values that it names.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A number.
    Constant(f64),
    /// A function of one value.
    Unary(Unary, usize),
    /// A function of two values, and the clamp fused behind it.
    Binary(Binary, Clamp, [usize; 2]),
    /// A function of two values, see [`Part::pair`].
    Pair(Pair, [usize; 2]),
    /// The second value where the first is true, else the third.
    Where([usize; 3]),
}

impl Part {
    /// A function of two reals or of two truths; `None` for those of plain integers.
    pub fn pair(function: Pair, operands: [usize; 2]) -> Option<Part> {
        let known = match function {
            Pair::Div | Pair::Max | Pair::Min | Pair::PRelu | Pair::Pow | Pair::Compare(_) => true,
            Pair::Integer(IntegerFunction::And | IntegerFunction::Or | IntegerFunction::Xor) => true,
            Pair::Integer(_) | Pair::IntegerPow => false,
        };
        known.then_some(Part::Pair(function, operands))
    }

    fn evaluate(&self, values: &[f64]) -> f64 {
        let value = |at: &usize| values.get(*at).copied().unwrap_or(f64::NAN);
        let truth = |holds: bool| f64::from(u8::from(holds));
        match self {
            Part::Constant(number) => *number,
            Part::Unary(function, x) => function.evaluate(value(x)),
            Part::Binary(function, clamp, [a, b]) => {
                let (a, b) = (value(a), value(b));
                let y = match function {
                    Binary::Add => a + b,
                    Binary::Sub => a - b,
                    Binary::Mul => a * b,
                };
                Unary::Clamp(*clamp).evaluate(y)
            }
            Part::Pair(function, [a, b]) => {
                let (a, b) = (value(a), value(b));
                match function {
                    Pair::Compare(Relation::Equal) => truth(a == b),
                    Pair::Compare(Relation::Less) => truth(a < b),
                    Pair::Compare(Relation::LessOrEqual) => truth(a <= b),
                    Pair::Compare(Relation::NotEqual) => truth(a != b),
                    Pair::Integer(IntegerFunction::And) => truth(a != 0.0 && b != 0.0),
                    Pair::Integer(IntegerFunction::Or) => truth(a != 0.0 || b != 0.0),
                    Pair::Integer(IntegerFunction::Xor) => truth((a != 0.0) != (b != 0.0)),
                    function => function.evaluate(a, b).unwrap_or(f64::NAN),
                }
            }
            Part::Where([condition, a, b]) => value(if value(condition) != 0.0 { a } else { b }),
        }
    }

    fn operands_mut(&mut self) -> &mut [usize] {
        match self {
            Part::Constant(_) => &mut [],
            Part::Unary(_, x) => std::slice::from_mut(x),
            Part::Binary(_, _, operands) | Part::Pair(_, operands) => operands,
            Part::Where(operands) => operands,
        }
    }
}

impl Composed {
    /// The operand itself.
    pub fn identity() -> Self {
        Composed { parts: Vec::new() }
    }

    /// A number, whatever the operand is.
    pub fn constant(number: f64) -> Self {
        Composed { parts: vec![Part::Constant(number)] }
    }

    /// A part of several functions of the same operand: it names them as its values.
    pub fn of(mut part: Part, functions: &[Composed]) -> Self {
        let mut parts = Vec::new();
        let mut results = Vec::new();
        for function in functions {
            let start = parts.len();
            for own in &function.parts {
                let mut own = own.clone();
                // The operand keeps its place, results move behind those of the function before.
                own.operands_mut().iter_mut().filter(|at| **at > 0).for_each(|at| *at += start);
                parts.push(own);
            }
            results.push(if function.parts.is_empty() { 0 } else { parts.len() });
        }
        for at in part.operands_mut() {
            *at = results.get(*at).copied().unwrap_or(usize::MAX);
        }
        parts.push(part);
        Composed { parts }
    }

    /// The number of operators.
    pub fn n_operators(&self) -> usize {
        self.parts.iter().filter(|part| !matches!(part, Part::Constant(_))).count()
    }

    /// Its value in binary64.
    pub fn evaluate(&self, x: f64) -> f64 {
        let mut values = vec![x];
        for part in &self.parts {
            values.push(part.evaluate(&values));
        }
        values.pop().unwrap_or(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_nest_and_share_their_operand() {
        let x = Composed::identity;
        let constant = Composed::constant;
        let open = Clamp::default();
        let add = |a: Composed, b: Composed| Composed::of(Part::Binary(Binary::Add, open, [0, 1]), &[a, b]);
        let mul = |a: Composed, b: Composed| Composed::of(Part::Binary(Binary::Mul, open, [0, 1]), &[a, b]);
        let check = |function: Composed, expected: fn(f64) -> f64, n: usize| {
            for x in [-7.5, -3.0, -0.25, 0.0, 0.5, 2.0, 9.0] {
                assert!((function.evaluate(x) - expected(x)).abs() < 1e-12, "{x}: {function:?}");
            }
            assert_eq!(function.n_operators(), n);
        };
        let six = Unary::Clamp(Clamp { min: Some(0.0), max: Some(6.0) });
        let gate = Composed::of(Part::Unary(six, 0), &[add(x(), constant(3.0))]);
        check(mul(x(), gate.clone()), |x| x * (x + 3.0).clamp(0.0, 6.0), 3);
        check(mul(gate, x()), |x| x * (x + 3.0).clamp(0.0, 6.0), 3);
        let is_low = Composed::of(Part::Pair(Pair::Compare(Relation::Less), [0, 1]), &[x(), constant(0.0)]);
        let leaky = Composed::of(Part::Where([0, 1, 2]), &[is_low, mul(constant(0.1), x()), x()]);
        check(leaky, |x| if x < 0.0 { 0.1 * x } else { x }, 3);
        let quotient = Part::pair(Pair::Div, [0, 1]).unwrap();
        check(Composed::of(quotient, &[constant(1.0), add(mul(x(), x()), constant(1.0))]), |x| 1.0 / (1.0 + x * x), 3);
        check(x(), |x| x, 0);
        assert_eq!(Part::pair(Pair::Integer(IntegerFunction::Div), [0, 1]), None);
    }
}
