//! Every model in `models/`, through the command line: what its folder holds is found and used.

use std::path::{Path, PathBuf};
use tinfer_tests::command_line::tinfer;
use tinfer_tests::root;

/// Folders of all models.
fn all() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("models")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.join("model.toml").is_file()).collect();
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn every_model_converts_by_what_lies_beside_it() {
    let out = tempfile::tempdir().unwrap();
    for folder in all() {
        let (model, image) = (folder.join(format!("{}.onnx", name(&folder))), out.path().join("m.tnf"));
        for precision in ["float32", "int8"] {
            let arguments = ["convert", &text(&model), "-o", &text(&image), "--precision", precision, "--json"];
            tinfer(&arguments).ok();
            let samples = text(&folder.join("calibration.npz"));
            let arguments = ["verify", &text(&model), &text(&image), "--inputs", &samples, "--json"];
            // Integers are right or wrong; how good detections are, a distance does not tell.
            let told = tinfer(&[&arguments[..], &["--min-sqnr", "-200"]].concat()).ok().json();
            let floor = if precision == "float32" { 100.0 } else { 20.0 };
            for output in told["outputs"].as_array().unwrap() {
                let is_near = output["sqnr_db"].as_f64() >= Some(floor);
                let is_index = precision == "int8" && output["name"] == "selected";
                assert!(is_near || is_index, "{model:?} {precision}: {output}");
            }
        }
    }
}

#[test]
fn pictures_and_texts_that_come_with_a_model_get_their_class() {
    let out = tempfile::tempdir().unwrap();
    let mut n_samples = 0;
    for folder in all() {
        let about = std::fs::read_to_string(folder.join("model.toml")).unwrap();
        let value = |line: &str| line.split('"').nth(1).unwrap().to_owned();
        let samples: Vec<(String, String)> = about
            .split("[[samples]]")
            .skip(1)
            .map(|part| {
                let line = |key: &str| value(part.lines().find(|line| line.starts_with(key)).unwrap());
                (line("file"), line("label"))
            })
            .collect();
        if samples.is_empty() {
            continue;
        }
        let (model, image) = (folder.join(format!("{}.onnx", name(&folder))), out.path().join("m.tnf"));
        tinfer(&["convert", &text(&model), "-o", &text(&image), "--precision", "int8"]).ok();
        for (file, label) in samples {
            let told = tinfer(&["run", &text(&image), "--input", &text(&folder.join(&file)), "--json"]).ok().json();
            assert_eq!(told["top"][0]["label"], *label, "{folder:?} {file}: {}", told["top"]);
            n_samples += 1;
        }
    }
    assert!(n_samples >= 18, "{n_samples}");
}

#[test]
fn a_quantized_file_needs_nothing_beside_it() {
    let out = tempfile::tempdir().unwrap();
    let (model, image) = (out.path().join("alone.onnx"), out.path().join("m.tnf"));
    let folder = root().join("models/fashion-mobilenet");
    std::fs::copy(folder.join("fashion-mobilenet-qdq.onnx"), &model).unwrap();
    let converted = tinfer(&["convert", &text(&model), "-o", &text(&image), "--json"]).ok().json();
    assert_eq!(converted["precision"], "int8");
    let samples = text(&folder.join("calibration.npz"));
    let told = tinfer(&["verify", &text(&model), &text(&image), "--inputs", &samples, "--json"]).ok().json();
    // Against the quantized model itself nothing but rounding is left.
    assert!(told["outputs"][0]["sqnr_db"].as_f64() >= Some(35.0), "{}", told["outputs"]);
    assert!(told["outputs"][0]["top1_agreement"].as_f64() >= Some(0.98), "{}", told["outputs"]);
}
