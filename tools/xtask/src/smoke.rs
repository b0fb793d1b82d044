//! The binary for Arm Linux gives the answers of this machine's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::{dist, process, toolchain};

/// Classifies a picture on aarch64 (under QEMU where this machine is another) and here, three times:
/// by an int8 and by a float32 image, whose answers must be the same to the last digit, and by the
/// ONNX file through tract, whose scores may differ by [`TRACT_TOLERANCE`].
///
/// # Errors
/// A command that fails, a wrong class, or another answer than the host's.
pub fn run(project: &Project, binary: &Path) -> Result<()> {
    process::run(toolchain::cargo("build", project.root()).args(["--release", "--package", "tinfer-cli"]))?;
    let host = project.target_folder().join("release/tinfer");
    let folder = project.target_folder().join("dist");
    let model = project.root().join("models/digits-cnn");
    let onnx = model.join("digits-cnn.onnx");
    let ask = |mut command: Command, file: &Path, backend: &str| -> Result<Value> {
        command.arg("run").arg(file).args(["--backend", backend, "--json", "--input"]);
        let answer = process::read(command.arg(model.join("samples/seven.png")))?;
        serde_json::from_str(&answer).with_context(|| format!("not JSON: {answer}"))
    };
    let mut cases: Vec<(String, PathBuf, &str, f64)> = Vec::new();
    for precision in ["int8", "float32"] {
        let image = folder.join(format!("digits-cnn-{precision}.tnf"));
        let mut convert = Command::new(&host);
        convert.arg("convert").arg(&onnx).arg("-o").arg(&image).args(["--target", "host", "--quiet"]);
        process::run(convert.args(["--precision", precision]))?;
        cases.push((format!("{precision} image"), image, "tinfer", 0.0));
    }
    cases.push(("ONNX through tract".into(), onnx.clone(), "tract", TRACT_TOLERANCE));
    for (name, file, backend, tolerance) in cases {
        let here = ask(Command::new(&host), &file, backend)?;
        let there = ask(dist::emulated(binary), &file, backend)?;
        let distance = compare(&here, &there, "7", tolerance).with_context(|| format!("digits-cnn, {name}"))?;
        println!("digits-cnn, {name}: class 7 on both machines, scores differ by {distance:e}");
    }
    Ok(())
}

/// The largest difference of two answers that name class `label` first.
fn compare(here: &Value, there: &Value, label: &str, tolerance: f64) -> Result<f64> {
    for (machine, answer) in [("here", here), ("there", there)] {
        if answer["top"][0]["label"] != label {
            bail!("the class {machine} is {}, expected {label}", answer["top"][0]["label"]);
        }
    }
    let (here, there) = (scores(here)?, scores(there)?);
    if here.len() != there.len() {
        bail!("{} scores here, {} there", here.len(), there.len());
    }
    let distance = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    if distance > tolerance {
        bail!("scores differ by {distance:e}, at most {tolerance:e} allowed");
    }
    Ok(distance)
}

/// All values of all outputs.
fn scores(answer: &Value) -> Result<Vec<f64>> {
    let outputs = answer["outputs"].as_object().context("the answer has no outputs")?;
    let values: Option<Vec<f64>> = outputs
        .values()
        .flat_map(|output| output["values"].as_array().map(Vec::as_slice).unwrap_or(&[Value::Null]))
        .map(Value::as_f64)
        .collect();
    values.context("the answer has an output without numbers")
}

/// tract picks other instructions on another processor.
const TRACT_TOLERANCE: f64 = 1e-5;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(score: f64) -> Value {
        json!({"top": [{"label": "7", "score": score}], "outputs": {"p": {"values": [1.0 - score, score]}}})
    }

    #[test]
    fn answers_may_differ_by_the_tolerance_only() {
        assert_eq!(compare(&answer(0.75), &answer(0.75), "7", 0.0).unwrap(), 0.0);
        assert_eq!(compare(&answer(0.75), &answer(0.5), "7", 0.3).unwrap(), 0.25);
        assert!(compare(&answer(0.75), &answer(0.5), "7", 0.2).is_err());
        assert!(compare(&answer(0.75), &answer(0.75), "2", 0.2).is_err());
        assert!(compare(&answer(0.75), &json!({"top": [{"label": "7"}], "outputs": {"p": {}}}), "7", 0.0).is_err());
    }
}
