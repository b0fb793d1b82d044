//! float32 images agree with tract, and the layout pass leaves no transposes behind.

use std::path::{Path, PathBuf};
use tinfer_compiler::array::{Array, NamedArray};
use tinfer_compiler::choose::Chosen;
use tinfer_compiler::import::{ImportOptions, Reference, import};
use tinfer_compiler::lower::lower;
use tinfer_compiler::pack::{PackOptions, pack};
use tinfer_compiler::passes::simplify;
use tinfer_compiler::plan::plan;
use tinfer_compiler::runner::ImageRunner;
use tinfer_tests::{root, shared_data};

/// Uniform numbers in [0, 1).
fn random(seed: &mut u32) -> f32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*seed >> 8) as f32 / (1 << 24) as f32
}

fn sqnr_db(reference: &[f32], found: &[f32]) -> f64 {
    let (mut signal, mut noise) = (0.0, 0.0);
    for (&r, &f) in reference.iter().zip(found) {
        signal += f64::from(r) * f64::from(r);
        noise += (f64::from(r) - f64::from(f)).powi(2);
    }
    10.0 * (signal / noise.max(1e-300)).log10()
}

fn check(path: &Path, scale: f32, offset: f32) {
    let imported = import(path, &ImportOptions::default()).unwrap();
    let reference = Reference::new(&imported).unwrap();
    let simplified = simplify(lower(&imported).unwrap());
    assert_eq!(simplified.report.transposes, [], "{}", path.display());
    let graph = simplified.graph;
    let planned = plan(&graph, &|_, _| Chosen::PORTABLE);
    let packed = pack(&graph, &planned, &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    let mut seed = 1;
    for _ in 0..5 {
        let shape = graph.inputs[0].shape.clone();
        let n = shape.iter().product();
        let values = (0..n).map(|_| random(&mut seed) * scale + offset).collect();
        let array = Array::f32(shape, values);
        let expected = reference.run(&[NamedArray::new(&graph.inputs[0].name, array.clone())]).unwrap();
        let found = runner.run(&[array]).unwrap();
        let sqnr = sqnr_db(expected[0].array.as_f32().unwrap(), found[0].as_f32().unwrap());
        println!("{}: {sqnr:.1} dB, arena {} bytes", path.display(), planned.arena_bytes);
        assert!(sqnr >= 90.0, "{}: {sqnr} dB", path.display());
    }
}

fn model(name: &str) -> PathBuf {
    root().join("models").join(name).join(format!("{name}.onnx"))
}

#[test]
fn models_of_the_project() {
    check(&model("digits-cnn"), 1.0, 0.0);
    check(&model("fashion-generator"), 1.0, 0.0);
    check(&model("fashion-mobilenet"), 1.0, 0.0);
    check(&model("fashion-resnet8"), 1.0, 0.0);
    check(&model("fashion-vgg"), 1.0, 0.0);
    check(&model("series-autoencoder"), 1.0, 0.0);
}

#[test]
fn official_models() {
    for (file, scale, offset) in [
        ("pretrainedResnet.onnx", 255.0, 0.0),
        ("kws_ref_model_float32.onnx", 20.0, -10.0),
        ("vww_96_float.onnx", 1.0, 0.0),
        ("ad01_fp32.onnx", 30.0, -30.0),
    ] {
        if let Some(path) = shared_data(&format!("mlperf_tiny/{file}")) {
            check(&path, scale, offset);
        }
    }
}
