//! The shipped models from ONNX file to class, through the command line.

use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;
use tinfer::Image;
use tinfer::error::BindError;
use tinfer::operators;
use tinfer::session::Session;
use tinfer_compiler::aligned::AlignedBytes;
use tinfer_compiler::array::{Array, NamedArray, read_npz, write_npz};
use tinfer_tests::command_line::tinfer;
use tinfer_tests::onnx::{Model, Weight};
use tinfer_tests::{root, shared_data};

/// A model and a folder for what is made of it.
struct Case {
    folder: TempDir,
    model: String,
}

impl Case {
    fn new(model: PathBuf) -> Self {
        Case { folder: tempfile::tempdir().unwrap(), model: model.display().to_string() }
    }

    fn shipped(name: &str) -> Self {
        Self::new(root().join("models").join(name).join(format!("{name}.onnx")))
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).display().to_string()
    }

    /// Converts; gives the image and what `convert` says of it.
    fn convert(&self, precision: &str, more: &[&str]) -> (String, Value) {
        let image = self.path(&format!("{precision}.tnf"));
        let arguments = ["convert", &self.model, "-o", &image, "--precision", precision, "--json"];
        let json = tinfer(&[&arguments[..], more].concat()).ok().json();
        (image, json)
    }
}

fn keys(value: &Value, expected: &[&str]) {
    for key in expected {
        assert!(!value[key].is_null(), "{key} in {value}");
    }
}

#[test]
fn answers_have_the_promised_keys() {
    let case = Case::shipped("digits-cnn");
    let (image, converted) = case.convert("int8", &["--target", "mps2-an386"]);
    keys(&converted, &["image_bytes", "weights_bytes", "arena_bytes", "state_bytes", "scratch_bytes", "stack_bytes"]);
    keys(&converted, &["macs", "precision", "target", "layers"]);
    keys(&converted["layers"][0], &["name", "operator", "kernel", "precision", "macs", "arena_offset", "bytes"]);
    assert_eq!(converted["image_bytes"].as_u64(), Some(std::fs::metadata(&image).unwrap().len()));
    let inspected = tinfer(&["inspect", &case.model, "--json"]).ok().json();
    keys(&inspected, &["inputs", "outputs", "operators", "supported", "unsupported", "macs", "parameters"]);
    let whole = &converted["constant_channels"]["macs_before"];
    assert_eq!((&inspected["supported"], &inspected["macs"]), (&Value::Bool(true), whole));
    // Strips repeat rows at their seams and leave out rows that nobody reads.
    let repeated = converted["streamed"].as_array().unwrap().iter().map(|s| s["repeated_macs"].as_i64().unwrap());
    let streamed = converted["constant_channels"]["macs_after"].as_i64().unwrap() + repeated.sum::<i64>();
    assert_eq!(Some(streamed), converted["macs"].as_i64());
    let text = tinfer(&["convert", &case.model, "-o", &image, "--precision", "int8", "--target", "mps2-an386"]).ok();
    assert!(text.stdout.contains("which spares 202,752 MACs of rows that nobody reads"), "{}", text.stdout);
    let of_image = tinfer(&["inspect", &image, "--json"]).ok().json();
    keys(&of_image, &["inputs", "outputs", "operators", "supported", "unsupported", "macs", "parameters"]);
    assert_eq!((&of_image["macs"], &of_image["target"]), (&converted["macs"], &Value::from("mps2-an386")));
    let macs = of_image["layers"].as_array().unwrap().iter().map(|l| l["macs"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(Some(macs), converted["macs"].as_u64());
    let bench = tinfer(&["bench", &image, "--json"]).ok().json();
    keys(&bench, &["on", "nanoseconds", "layers"]);
    keys(&bench["layers"][0], &["name", "operator", "kernel", "macs", "nanoseconds"]);
}

#[test]
fn shipped_models_keep_their_accuracy() {
    for name in ["digits-cnn", "fashion-resnet8"] {
        let case = Case::shipped(name);
        let samples = root().join("models").join(name).join("calibration.npz").display().to_string();
        for (precision, floor) in [("float32", 100.0), ("int8", 20.0)] {
            let (image, converted) = case.convert(precision, &[]);
            assert_eq!(converted["transposes"], Value::from(Vec::<Value>::new()), "{name}");
            assert_eq!(converted["reference"], "tract", "{name} {precision}");
            let told = tinfer(&["verify", &case.model, &image, "--inputs", &samples, "--json"]).ok().json();
            keys(&told, &["on", "samples", "passed", "outputs", "layers"]);
            assert_eq!(told["reference"], "tract", "{name} {precision}");
            keys(&told["outputs"][0], &["name", "sqnr_db", "max_abs_error", "cosine", "top1_agreement"]);
            assert!(told["outputs"][0]["sqnr_db"].as_f64() >= Some(floor), "{name} {precision}: {told}");
            assert!(told["layers"].as_array().unwrap().iter().all(|l| l["sqnr_db"].as_f64() >= Some(floor)), "{told}");
        }
    }
}

#[test]
fn a_missed_tolerance_is_an_answer() {
    let case = Case::shipped("digits-cnn");
    let (image, _) = case.convert("int8", &[]);
    let samples = root().join("models/digits-cnn/calibration.npz").display().to_string();
    let verify =
        |more: &[&str]| tinfer(&[&["verify", &case.model, &image, "--inputs", &samples, "--json"], more].concat());
    let told = verify(&["--min-sqnr", "120"]);
    assert_eq!((told.code, &told.json()["passed"]), (1, &Value::Bool(false)));
    let other = tinfer(&["verify", &Case::shipped("fashion-resnet8").model, &image, "--inputs", &samples, "--json"]);
    assert_eq!((other.code, other.json()["error"]["code"].as_str()), (2, Some("model-mismatch")), "{other:?}");
}

#[test]
fn pictures_are_classified_in_every_way() {
    for (name, picture, label) in
        [("digits-cnn", "seven-140x140-rgb.png", "7"), ("fashion-resnet8", "ankle-boot-140x140-rgb.png", "Ankle boot")]
    {
        let case = Case::shipped(name);
        let picture = root().join("models").join(name).join("samples").join(picture).display().to_string();
        let (image, _) = case.convert("int8", &[]);
        let check = |arguments: &[&str], engine: &str| {
            let told = tinfer(&[&["run"], arguments, &["--input", &picture, "--json"]].concat()).ok().json();
            assert_eq!((&told["top"][0]["label"], &told["engine"]), (&label.into(), &engine.into()), "{arguments:?}");
            assert!(told["outputs"].as_object().unwrap().values().all(|o| o["values"].is_array()));
        };
        check(&[&image], "tinfer");
        check(&[&case.model], "tract");
        check(&[&case.model, "--backend", "tract"], "tract");
        check(&[&case.model, "--backend", "tinfer"], "tinfer");
    }
}

/// Also where the number of rows depends on the values: an image fills those that are left.
#[test]
fn implementations_agree_on_shipped_models() {
    for name in ["digits-detector", "series-autoencoder"] {
        let case = Case::shipped(name);
        let samples = root().join("models").join(name).join("calibration.npz").display().to_string();
        let told =
            tinfer(&["run", &case.model, "--input", &samples, "--output", &case.path("y.npz"), "--json"]).ok().json();
        assert_eq!((&told["engine"], &told["warnings"]), (&"tract".into(), &Value::Array(Vec::new())), "{name}");
    }
}

/// tract ignores the training mode of BatchNormalization: every command answers by tinfer's kernels, and says so.
#[test]
fn what_tract_gets_wrong_is_never_its_answer() {
    let names = ["scale", "bias", "mean", "variance"];
    let model = names
        .iter()
        .fold(Model::new(&[1, 1, 2, 2]), |model, name| model.weight(&Weight { name, dims: &[1], values: &[2.0] }));
    let operands = ["x", "scale", "bias", "mean", "variance"];
    let model = model.node_with("BatchNormalization", &operands, "y", &[("training_mode", 1)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("training.onnx");
    std::fs::write(&path, model.bytes()).unwrap();
    let case = Case::new(path);
    let samples = case.path("x.npz");
    let x = Array::f32(vec![1, 1, 2, 2], vec![1.0, 3.0, 1.0, 3.0]);
    write_npz(samples.as_ref(), &[NamedArray::new("x", x)]).unwrap();
    let check = |told: &Value, key: &str| {
        assert_eq!(told[key], "tinfer", "{told}");
        let warnings = told["warnings"].as_array().unwrap();
        assert!(
            warnings.iter().any(|w| w.as_str().unwrap().contains("in training mode otherwise than ONNX")),
            "{told}"
        );
    };
    let run = tinfer(&["run", &case.model, "--input", &samples, "--json"]).ok().json();
    check(&run, "engine");
    // Mean 2 and variance 1 of the sample, not those of the file.
    for (value, expected) in run["outputs"]["y"]["values"].as_array().unwrap().iter().zip([0.0, 4.0, 0.0, 4.0]) {
        assert!((value.as_f64().unwrap() - expected).abs() < 1e-4, "{run}");
    }
    for (precision, more) in [("float32", &[][..]), ("int8", &["--calibration", &samples])] {
        let (image, converted) = case.convert(precision, more);
        check(&converted, "reference");
        check(&tinfer(&["verify", &case.model, &image, "--inputs", &samples, "--json"]).json(), "reference");
    }
    let tract = tinfer(&["run", &case.model, "--input", &samples, "--backend", "tract", "--json"]);
    assert_eq!((tract.code, tract.json()["error"]["code"].as_str()), (2, Some("reference-failed")), "{tract:?}");
}

#[test]
fn outputs_are_stacked_in_the_order_of_the_samples() {
    let case = Case::shipped("digits-cnn");
    let samples = read_npz(&root().join("models/digits-cnn/calibration.npz")).unwrap();
    let images = samples.iter().find(|a| a.name == "image").unwrap();
    let n = images.array.shape[0];
    let (input, output) = (case.path("in.npz"), case.path("out.npz"));
    let run = |arrays: &[NamedArray], backend: &str| {
        write_npz(input.as_ref(), arrays).unwrap();
        tinfer(&["run", &case.model, "--backend", backend, "--input", &input, "--output", &output, "--json"]).ok();
        read_npz(output.as_ref()).unwrap().remove(0).array
    };
    let all = run(std::slice::from_ref(images), "tract");
    assert_eq!(all.shape, [n, 10]);
    let ours = run(std::slice::from_ref(images), "tinfer");
    let worst = all.to_f32().iter().zip(ours.to_f32()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(ours.shape == all.shape && worst < 1e-5, "{worst}");
    let last = Array::f32(vec![1, 28, 28, 1], images.array.to_f32()[(n - 1) * 784..].to_vec());
    let one = run(&[NamedArray::new("image", last)], "tinfer");
    assert_eq!((one.shape.as_slice(), one.to_f32().as_slice()), (&[1, 10][..], &ours.to_f32()[(n - 1) * 10..]));
}

#[test]
fn an_arena_of_one_byte_less_is_refused_with_both_numbers() {
    for name in ["digits-cnn", "fashion-resnet8"] {
        let (image, converted) = Case::shipped(name).convert_bytes();
        let need = converted["arena_bytes"].as_u64().unwrap() as usize;
        let image = Image::check(&image).unwrap();
        let mut arena = AlignedBytes::zeroed(need);
        let error = Session::bind(&image, &mut arena[..need - 1], operators::ALL).unwrap_err();
        let (need_bytes, have_bytes) = (need as u32, need as u32 - 1);
        assert_eq!(error, BindError::ArenaTooSmall { need_bytes, have_bytes });
        assert!(
            error.to_string().contains(&need_bytes.to_string()) && error.to_string().contains(&have_bytes.to_string())
        );
        Session::bind(&image, &mut arena, operators::ALL).unwrap().run().unwrap();
    }
}

impl Case {
    fn convert_bytes(&self) -> (AlignedBytes, Value) {
        let (image, converted) = self.convert("int8", &[]);
        (AlignedBytes::from_slice(&std::fs::read(image).unwrap()), converted)
    }
}

#[test]
fn a_board_that_is_too_small_is_an_answer_with_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("large.onnx");
    std::fs::write(&model, Model::new(&[1, 200_000]).node("Relu", &["x"], "y").bytes()).unwrap();
    let case = Case::new(model);
    let image = case.path("large.tnf");
    let told =
        tinfer(&["convert", &case.model, "-o", &image, "--target", "mps2-an386", "--precision", "float32", "--json"]);
    assert_eq!((told.code, told.json()["error"]["code"].as_str()), (1, Some("does-not-fit")), "{told:?}");
    assert!(told.json()["error"]["message"].as_str().unwrap().contains("800000"), "{told:?}");
    assert!(!PathBuf::from(image).exists());
}

#[test]
fn stages_can_be_looked_at() {
    let case = Case::shipped("digits-cnn");
    for (stage, key) in [
        ("imported", "opset"),
        ("graph", "nodes"),
        ("simplified", "nodes"),
        ("quantized", "tensors"),
        ("trimmed", "tensors"),
        ("planned", "steps"),
    ] {
        let dump = tinfer(&["convert", &case.model, "--stop-after", stage, "--json"]).ok().json();
        assert!(!dump[key].is_null(), "{stage}");
    }
}

#[test]
fn tables_come_from_the_code() {
    let boards = tinfer(&["boards", "--json"]).ok().json();
    keys(&boards["boards"][0], &["name", "description", "isa", "target"]);
    let operators = tinfer(&["operators", "--json"]).ok().json();
    keys(&operators["operators"][0], &["name", "float32", "int8", "notes"]);
    assert!(operators["operators"].as_array().unwrap().iter().any(|o| o["name"] == "Conv"));
}

#[test]
fn int8_loses_little_on_the_benchmark_models() {
    for (model, calibration, samples) in [
        ("pretrainedResnet", "ic_calibration", "ic_eval"),
        ("kws_ref_model_float32", "kws_float_calibration", "kws_float_eval"),
    ] {
        let files = [format!("{model}.onnx"), format!("{calibration}.npz"), format!("{samples}.npz")];
        let found: Option<Vec<PathBuf>> = files.iter().map(|f| shared_data(&format!("mlperf_tiny/{f}"))).collect();
        let Some(found) = found else { return };
        let case = Case::new(found[0].clone());
        let (image, _) = case.convert("int8", &["--calibration", &found[1].display().to_string()]);
        let samples = found[2].display().to_string();
        let told =
            tinfer(&["verify", &case.model, &image, "--inputs", &samples, "--max-accuracy-drop", "0.5", "--json"]);
        assert_eq!(told.code, 0, "{told:?}");
    }
}
