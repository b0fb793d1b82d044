//! Runs the test suite of the `onnx` package: every node case, and the light models.
//!
//! `conformance FOLDER` with the folder that holds `node` and `light` prints one JSON object: `cases` with `name`,
//! `operator`, `image`, `file`; `models` with `name` and `image`. `image` is what a float32 image does, null where it has
//! none of the types or ranks; `file` is what `tinfer run MODEL.onnx` does: an `outcome` (`passed`, `refused`, `failed`, `crashed`), a `reason`, the `engine` that
//! answered and a `warning` if it was not tract's turn.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use tinfer::tensor::MAX_RANK;
use tinfer_compiler::array::{Array, NamedArray, RealType};
use tinfer_compiler::engine::{OnnxEngine, float_image};
use tinfer_compiler::error::CompileError;
use tinfer_compiler::import::ImportOptions;
use tinfer_compiler::import::case::{Outline, outline, tensor_file};
use tinfer_compiler::runner::ImageRunner;
use tinfer_compiler::samples::Sample;

fn main() {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: conformance FOLDER");
        std::process::exit(2);
    };
    let folder = Path::new(&folder);
    let cases: Vec<Value> = entries(&folder.join("node")).iter().filter_map(|case| node_case(case)).collect();
    let models: Vec<Value> = entries(&folder.join("light"))
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| light_model(path))
        .collect();
    println!("{}", json!({"cases": cases, "models": models}));
}

/// A node, or the nodes that define a function, with data.
fn node_case(case: &Path) -> Option<Value> {
    let path = case.join("model.onnx");
    let outline = outline(&std::fs::read(&path).ok()?)?;
    let data = case.join("test_data_set_0");
    let inputs = arrays(&data, "input", &outline.inputs)?;
    let outputs = arrays(&data, "output", &outline.outputs)?;
    let name = case.file_name()?.to_string_lossy().trim_start_matches("test_").to_string();
    let has_types = outline.inputs.iter().chain(&outline.outputs).all(|(_, ty)| ty.is_some());
    let has_ranks = inputs.iter().chain(&outputs).all(|a| a.array.shape.len() <= MAX_RANK);
    let one_node = outline.operators.len() == 1 && outline.n_functions == 0;
    let image =
        (one_node && has_types && has_ranks).then(|| judge(&outputs, NODE_TOLERANCE, || in_image(&path, &inputs)));
    let file = judge(&outputs, NODE_TOLERANCE, || as_file(&path, &inputs));
    let operators: Vec<String> = outline.operators.into_iter().collect();
    Some(json!({"name": name, "operator": operators.join("+"), "image": image, "file": file}))
}

/// A whole topology; its input is a ramp, as in the suite's own runner.
fn light_model(path: &Path) -> Value {
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let expected = path.with_file_name(format!("{name}_output_0.pb"));
    let outline = std::fs::read(path).ok().and_then(|b| outline(&b));
    let output = std::fs::read(expected).ok().and_then(|b| tensor_file(&b));
    let (Some(Outline { inputs, outputs, .. }), Some(output)) = (outline, output) else {
        let unread = json!({"outcome": "crashed", "reason": "its files cannot be read"});
        return json!({"name": name, "image": unread});
    };
    let shape = vec![1, 3, 224, 224];
    let n: usize = shape.iter().product();
    let ramp = (0..n).map(|i| (i as f64 / n as f64) as f32).collect();
    let input = NamedArray::new(&inputs[0].0, Array::f32(shape, ramp));
    let (inputs, expected) = ([input], [NamedArray::new(&outputs[0].0, output.array)]);
    let image = judge(&expected, MODEL_TOLERANCE, || in_image(path, &inputs));
    json!({"name": name, "image": image})
}

/// Runs a model in one way, and compares.
fn judge(expected: &[NamedArray], tolerance: (f64, f64), run: impl FnOnce() -> Result<Answer, Stop>) -> Value {
    let (outcome, reason) = match catch_unwind(AssertUnwindSafe(run)) {
        Err(_) => ("crashed", "it panicked".into()),
        Ok(Err(Stop::Refused(reason))) => ("refused", reason),
        Ok(Err(Stop::Failed(reason))) => ("failed", reason),
        Ok(Ok(Answer { engine, warning, outputs })) => {
            let (outcome, reason) = compare(expected, &outputs, tolerance);
            return json!({"outcome": outcome, "reason": reason, "engine": engine, "warning": warning});
        }
    };
    json!({"outcome": outcome, "reason": reason})
}

fn compare(expected: &[NamedArray], got: &[NamedArray], tolerance: (f64, f64)) -> (&'static str, String) {
    for want in expected {
        let Some(have) = got.iter().find(|g| g.name == want.name) else {
            return ("failed", format!("it has no output {}", want.name));
        };
        if let Some(reason) = difference(&want.array, &have.array, tolerance) {
            return ("failed", format!("output {}: {reason}", want.name));
        }
    }
    ("passed", String::new())
}

enum Stop {
    Refused(String),
    Failed(String),
}

struct Answer {
    /// What computed it.
    engine: &'static str,
    /// Why it was not tract.
    warning: Option<String>,
    outputs: Vec<NamedArray>,
}

/// As `tinfer run MODEL.onnx` does.
fn as_file(path: &Path, inputs: &[NamedArray]) -> Result<Answer, Stop> {
    let refused = |e: CompileError| Stop::Refused(e.to_string());
    let mut engine = OnnxEngine::open(path, &ImportOptions::default()).map_err(refused)?;
    let names: Vec<String> = engine.signature.outputs.iter().map(|o| o.name.clone()).collect();
    let results = engine.run(&Sample { name: String::new(), inputs: inputs.to_vec(), label: None }).map_err(refused)?;
    let outputs = in_types_of_file(&names, results, &engine.signature.real_types);
    Ok(Answer { engine: engine.name().unwrap_or_default(), warning: engine.warning(), outputs })
}

/// Converts to float32, and runs the image.
fn in_image(path: &Path, inputs: &[NamedArray]) -> Result<Answer, Stop> {
    let image = float_image(path, &ImportOptions::default(), &mut |_| {}).map_err(|e| Stop::Refused(e.to_string()))?;
    let failed = |e: &dyn std::fmt::Display| Stop::Failed(e.to_string());
    let mut runner = ImageRunner::new(&image).map_err(|e| failed(&e))?;
    let given = runner.inputs().iter().map(|port| {
        let named = inputs.iter().find(|i| i.name == port.name);
        named.map(|i| i.array.clone()).ok_or_else(|| Stop::Failed(format!("it wants an input {}", port.name)))
    });
    let given = given.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = runner.outputs().iter().map(|p| p.name.to_string()).collect();
    let results = runner.run(&given).map_err(|e| failed(&e))?;
    let outputs = in_types_of_file(&names, results, &runner.real_types());
    Ok(Answer { engine: "tinfer", warning: None, outputs })
}

/// Outputs as `tinfer run` writes them.
fn in_types_of_file(names: &[String], results: Vec<Array>, real_types: &BTreeMap<String, RealType>) -> Vec<NamedArray> {
    let in_type = |(name, array): (&String, Array)| {
        let array = match real_types.get(name) {
            Some(real) => real.applied(array),
            None => array,
        };
        NamedArray::new(name, array)
    };
    names.iter().zip(results).map(in_type).collect()
}

/// Why two arrays are not the same, within `relative * |want| + absolute`.
fn difference(want: &Array, have: &Array, (relative, absolute): (f64, f64)) -> Option<String> {
    if want.shape != have.shape || want.element_type() != have.element_type() {
        let name = |a: &Array| format!("{} {:?}", a.data.type_name(), a.shape);
        return Some(format!("{} instead of {}", name(have), name(want)));
    }
    let same = |w: f64, h: f64| w == h || (w.is_nan() && h.is_nan()) || (w - h).abs() <= absolute + relative * w.abs();
    let (w, h) = (want.to_f64(), have.to_f64());
    let at = w.iter().zip(&h).position(|(&w, &h)| !same(w, h))?;
    Some(format!("element {at} is {} instead of {}", h[at], w[at]))
}

fn arrays(
    folder: &Path,
    kind: &str,
    ports: &[(String, Option<tinfer::tensor::ElementType>)],
) -> Option<Vec<NamedArray>> {
    let read = |(i, (name, _)): (usize, &(String, _))| {
        let bytes = std::fs::read(folder.join(format!("{kind}_{i}.pb"))).ok()?;
        Some(NamedArray::new(name, tensor_file(&bytes)?.array))
    };
    ports.iter().enumerate().map(read).collect()
}

/// Files and folders in a folder, sorted.
fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

/// Relative and absolute, of the suite's runner for nodes; the absolute one is for exponentials of our own.
const NODE_TOLERANCE: (f64, f64) = (1e-3, 1e-5);
/// The suite's own for whole models.
const MODEL_TOLERANCE: (f64, f64) = (1e-3, 1e-7);
