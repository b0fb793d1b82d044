//! Files and arguments that are wrong: exit code 2, a short text, and nothing written.

use std::path::{Path, PathBuf};
use tinfer_tests::command_line::tinfer;
use tinfer_tests::onnx::{Model, Weight};
use tinfer_tests::root;

/// `convert` refuses `input` with this code in its answer.
fn check(folder: &Path, input: &Path, code: &str) {
    let output = folder.join("out.tnf");
    let name = |p: &Path| p.display().to_string();
    let arguments = ["convert", &name(input), "-o", &name(&output), "--target", "mps2-an386", "--precision", "float32"];
    let told = tinfer(&arguments);
    assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{told:?}");
    let n_lines = told.stderr.lines().count();
    assert!((1..=6).contains(&n_lines) && !told.stderr.contains("panicked"), "{told:?}");
    let json = tinfer(&[&arguments[..], &["--json"]].concat());
    assert_eq!((json.code, json.json()["error"]["code"].as_str()), (2, Some(code)), "{json:?}");
    assert!(json.json()["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{json:?}");
    let left: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!output.exists() && left.iter().all(|p| p.extension().is_some()), "{left:?}");
}

fn check_bytes(name: &str, bytes: &[u8], code: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    check(folder.path(), &file, code);
}

fn digits() -> PathBuf {
    root().join("models/digits-cnn/digits-cnn.onnx")
}

#[test]
fn files_that_are_no_models() {
    let noise: Vec<u8> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 21) as u8).collect();
    let good = std::fs::read(digits()).unwrap();
    check_bytes("empty.onnx", b"", "empty-file");
    check_bytes("random.onnx", &noise, "not-onnx");
    check_bytes("cut.onnx", &good[..good.len() / 2], "truncated-file");
    check_bytes("png.onnx", &[b"\x89PNG\r\n\x1a\n", &noise[..500]].concat(), "other-format");
}

#[test]
fn paths_that_are_no_files() {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), &folder.path().join("missing.onnx"), "missing-file");
    check(folder.path(), folder.path(), "is-a-directory");
}

#[test]
fn graphs_that_make_no_sense() {
    let weight = |values| Weight { name: "w", dims: &[2, 2], values };
    let product = |m: Model| m.node("MatMul", &["x", "w"], "y");
    let model = Model::new(&[1, 2]);
    check_bytes("unknown.onnx", &model.clone().node("NoSuchOperator", &["x"], "y").bytes(), "unsupported-operator");
    let nan = product(model.clone()).weight(&weight(&[1.0, 1.0, 1.0, f32::NAN]));
    check_bytes("nan.onnx", &nan.bytes(), "weight-not-finite");
    check_bytes("zerodim.onnx", &Model::new(&[1, 0]).node("Relu", &["x"], "y").bytes(), "zero-dimension");
    let cycle = model.clone().node("Add", &["x", "y"], "z").node("Relu", &["z"], "y");
    check_bytes("cycle.onnx", &cycle.bytes(), "graph-cycle");
    let outside = product(model.clone()).external_weight("w", &[2, 2], "../../../../../../etc/passwd");
    check_bytes("external.onnx", &outside.bytes(), "external-data-outside");
    check_bytes("short.onnx", &product(model).weight(&weight(&[1.0])).bytes(), "weight-size");
}

#[test]
fn without_a_command_the_help_is_shown() {
    let told = tinfer::<&str>(&[]);
    assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{told:?}");
    assert!(told.stderr.contains("\n  convert") && !told.stderr.contains("error"), "{told:?}");
}

#[test]
fn arguments_that_are_wrong() {
    let check = |arguments: &[&str], code: &str| {
        let told = tinfer(arguments);
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{told:?}");
        assert!((1..=6).contains(&told.stderr.lines().count()), "{told:?}");
        let json = tinfer(&[arguments, &["--json"]].concat());
        assert_eq!((json.code, json.json()["error"]["code"].as_str()), (2, Some(code)), "{json:?}");
    };
    let model = digits().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("o.tnf").display().to_string();
    let convert = |more: &[&str], code: &str| check(&[&["convert", &model, "-o", &output], more].concat(), code);
    check(&["convert"], "usage");
    check(&["frobnicate"], "usage");
    check(&["convert", &model], "usage");
    convert(&["--dim", "batch"], "usage");
    convert(&["--target", "mps2-an387"], "unknown-target");
    convert(&["--precision", "float16"], "not-available");
    convert(&["--calibration-method", "guess"], "not-available");
    convert(&["--calibration", "missing.npz"], "samples-file");
    convert(&["--dim", "nothing=3"], "unknown-dimension");
    check(&["convert", &model, "-o", "no-such-folder/o.tnf"], "file");
    check(&["run", &model, "--input", "missing.npz"], "samples-file");
    check(&["run", &model, "--input", &model], "samples-kind");
    check(&["bench", &model], "not-available");
    check(&["bench", &output, "--on", "probe:nrf52840-dk"], "not-available");
    check(&["bench", &output, "--on", "emulator:toaster"], "unknown-board");
    check(&["flash", &output, "--board", "mps2-an386", "--on", "uf2"], "not-available");
    assert!(!Path::new(&output).exists());
}

#[test]
fn int8_without_samples_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.onnx");
    std::fs::write(&model, Model::new(&[1, 2]).node("Relu", &["x"], "y").bytes()).unwrap();
    let output = folder.path().join("o.tnf").display().to_string();
    let told = tinfer(&["convert", &model.display().to_string(), "-o", &output]);
    assert_eq!(told.code, 2, "{told:?}");
    for word in ["--calibration", "x [1, 2]", "--precision float32"] {
        assert!(told.stderr.contains(word), "{word}: {told:?}");
    }
}

#[test]
fn damaged_images_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("m.tnf").display().to_string();
    tinfer(&["convert", &digits().display().to_string(), "-o", &image, "--precision", "float32"]).ok();
    let good = std::fs::read(&image).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&image, bytes).unwrap();
        for command in [&["inspect", &image][..], &["bench", &image]] {
            let told = tinfer(&[command, &["--json"]].concat());
            assert_eq!((told.code, told.json()["error"]["code"].as_str()), (2, Some("not-an-image")), "{told:?}");
        }
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    refused(&flipped);
    refused(&good[..good.len() - 1]);
    refused(b"");
}
