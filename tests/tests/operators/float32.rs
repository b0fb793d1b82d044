//! Float models of one operator (`tests/float32/generate.py`): movement of elements of every type, recurrent layers,
//! attention, rotary embeddings.

use super::recorded::{Calibration, archives, read};
use tinfer_compiler::convert::Precision;
use tinfer_compiler::runner::ImageRunner;

/// Largest difference of a real result from the recorded one, over the largest recorded value or 1.
const TOLERANCE: f64 = 1e-5;

#[test]
fn every_operator_computes_what_onnxruntime_computes() {
    let (mut complaints, mut n_cases) = (Vec::new(), 0);
    for operator in archives("float32").iter().filter(|name| !name.starts_with("network_")) {
        for case in read("float32", operator) {
            n_cases += 1;
            let problem = match case.convert(Precision::Float32, Calibration::None) {
                Ok(converted) => ImageRunner::new(&converted.image)
                    .map_err(|e| e.to_string())
                    .and_then(|mut runner| case.run(&mut runner))
                    .map(|outputs| outputs.iter().find_map(|(expected, found)| difference(expected, found))),
                Err(reason) => Err(reason),
            };
            match problem {
                Ok(None) => {}
                Ok(Some(wrong)) => complaints.push(format!("{operator}/{}: {wrong}", case.name)),
                Err(reason) => complaints.push(format!("{operator}/{}: {reason}", case.name)),
            }
        }
    }
    assert!(complaints.is_empty(), "{} of {n_cases}:\n{}", complaints.len(), complaints.join("\n"));
    assert_eq!(n_cases, N_CASES);
}

/// What is wrong with an output, if anything is.
fn difference(expected: &tinfer_compiler::array::Array, found: &tinfer_compiler::array::Array) -> Option<String> {
    if (expected.element_type(), &expected.shape) != (found.element_type(), &found.shape) {
        let (types, shapes) = ([expected, found].map(|a| a.element_type()), [&expected.shape, &found.shape]);
        return Some(format!("{types:?} {shapes:?}"));
    }
    let pairs: Vec<(f64, f64)> = expected.to_f64().into_iter().zip(found.to_f64()).collect();
    let largest = pairs.iter().fold(1.0, |m: f64, p| m.max(p.0.abs()));
    let most = if expected.as_f32().is_some() { TOLERANCE * largest } else { 0.0 };
    let far = pairs.iter().find(|(e, f)| (e - f).abs() > most || e.is_nan() != f.is_nan());
    far.map(|(e, f)| format!("{f} instead of {e}"))
}

/// What the recipe records.
const N_CASES: usize = 244;
