//! Quantized models of one operator, from file to outputs, without calibration, against what onnxruntime recorded
//! (`tests/quantized/operators.py`): the QLinear family, integer products, and QuantizeLinear and DequantizeLinear around
//! each operator.

use super::recorded::{Calibration, archives, kernels, read};
use std::fmt;
use tinfer::tensor::ElementType;
use tinfer_compiler::convert::Precision;
use tinfer_compiler::runner::ImageRunner;

/// What became of all cases of one operator.
#[derive(Default)]
struct Tally {
    n_cases: usize,
    n_elements: usize,
    n_off_by_one: usize,
    wrong: Vec<String>,
    refused: Vec<String>,
    in_float: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { n_cases, n_elements, n_off_by_one, .. } = self;
        write!(f, "{n_cases} cases, {n_off_by_one} of {n_elements} elements off by one")?;
        for (what, cases) in [("wrong", &self.wrong), ("refused", &self.refused), ("in float", &self.in_float)] {
            if !cases.is_empty() {
                write!(f, "\n  {what} {}:\n    {}", cases.len(), cases.join("\n    "))?;
            }
        }
        Ok(())
    }
}

/// Runs all cases of an operator.
fn tally(operator: &str, precision: Precision) -> Tally {
    let cases = read("quantized/operators", operator);
    let mut tally = Tally { n_cases: cases.len(), ..Tally::default() };
    for recorded in &cases {
        let case = &recorded.name;
        let converted = match recorded.convert(precision, Calibration::None) {
            Ok(converted) => converted,
            Err(reason) => {
                tally.refused.push(format!("{case}: {reason}"));
                continue;
            }
        };
        let kernels = kernels(&converted);
        if kernels.split(' ').any(|k| k.ends_with("_f32") || k.starts_with("where")) {
            tally.in_float.push(format!("{case}: {kernels}"));
        }
        let mut runner = ImageRunner::new(&converted.image).unwrap();
        let outputs = match recorded.run(&mut runner) {
            Ok(outputs) => outputs,
            Err(reason) => {
                tally.wrong.push(format!("{case}: {reason}"));
                continue;
            }
        };
        for (expected, found) in &outputs {
            if (expected.element_type(), expected.n_elements()) != (found.element_type(), found.n_elements()) {
                tally.wrong.push(format!("{case}: an output is {:?}", found.element_type()));
                continue;
            }
            // Real results are exact, steps are at most one away.
            let most = if matches!(found.element_type(), Some(ElementType::I8 | ElementType::U8)) { 1.0 } else { 0.0 };
            let apart = expected.to_f64().into_iter().zip(found.to_f64()).map(|(e, f)| (e - f).abs());
            let apart: Vec<f64> = apart.collect();
            let largest = apart.iter().fold(0.0, |m: f64, &d| m.max(d));
            if largest > most {
                let n = apart.iter().filter(|&&d| d > most).count();
                tally.wrong.push(format!("{case}: {n} of {} up to {largest} ({kernels})", apart.len()));
            }
            tally.n_elements += apart.len();
            tally.n_off_by_one += apart.iter().filter(|&&d| d == 1.0).count();
        }
    }
    tally
}

#[test]
fn every_operator_is_within_one_step_of_onnxruntime() {
    let names = archives("quantized/operators");
    let (mut complaints, mut n_cases) = (Vec::new(), 0);
    for name in &names {
        let is_integer = INTEGERS.contains(&&**name);
        let found = tally(name, if is_integer { Precision::Float32 } else { Precision::Int8 });
        println!("{name}: {found}");
        n_cases += found.n_cases;
        let most_off = MOST_OFF_BY_ONE.iter().find(|(n, _)| n == name).map_or(0, |(_, most)| *most);
        let most_in_float = match IN_FLOAT.iter().find(|(n, _)| n == name) {
            Some((_, n)) => *n,
            None if is_integer => found.n_cases,
            None => 0,
        };
        let is_fine = found.wrong.is_empty()
            && found.refused.is_empty()
            && found.n_off_by_one <= most_off
            && found.in_float.len() <= most_in_float;
        if !is_fine {
            complaints.push(format!("{name}: {found}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert_eq!((names.len(), n_cases), (N_OPERATORS, N_CASES));
}

/// What the recipe records.
const N_OPERATORS: usize = 67;
const N_CASES: usize = 608;

/// Results are int32 or real numbers, and exact.
const INTEGERS: &[&str] = &["ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"];

/// Elements that are one step away, where there are any: sums near the middle between two steps, and what is rounded twice,
/// to steps of the operand (Resize) and to those of the file. onnxruntime's QLinearSoftmax has steps of 1/256, whatever the
/// file says.
const MOST_OFF_BY_ONE: &[(&str, usize)] = &[("QDQConvTranspose", 6), ("QDQResizeLinear", 311), ("QLinearSoftmax", 8)];

/// Cases that compute in float32: operators without an int8 form, and weights around another zero than 0.
const IN_FLOAT: &[(&str, usize)] = &[
    ("QDQDiv", 8),
    ("QDQLogSoftmax", 8),
    ("QDQPRelu", 8),
    ("QDQReduceMean", 8),
    ("QLinearConv", 2),
    ("QLinearMatMul", 1),
    ("QLinearWhere", 8),
];
