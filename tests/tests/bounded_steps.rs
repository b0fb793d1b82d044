//! `--max-slice`: no step of an image costs more than it may, and the image computes what it computes without.

use std::path::Path;
use tinfer_compiler::array::{Array, ArrayData};
use tinfer_compiler::convert::{ConvertRequest, Converted, Precision, convert};
use tinfer_compiler::runner::{ImageRunner, shape};
use tinfer_compiler::target::Target;
use tinfer_compiler::trim::ConstantChannels;
use tinfer_tests::{root, shared_data};

fn converted(model: &Path, target: &str, most_slice_instructions: Option<u64>) -> Converted {
    let request = ConvertRequest {
        most_slice_instructions,
        ..ConvertRequest::new(model.to_path_buf(), Target::parse(target).unwrap(), Precision::Int8)
    };
    convert(&request, &mut |_| {}).unwrap()
}

fn outputs(converted: &Converted, n: usize) -> Vec<Vec<Array>> {
    let mut runner = ImageRunner::new(&converted.image).unwrap();
    let dims = shape(&runner.inputs()[0]);
    let is_float = runner.inputs()[0].element_type == tinfer::tensor::ElementType::F32;
    let mut seed = 11u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    let mut sample = || {
        let bytes: Vec<u8> = (0..dims.iter().product()).map(|_| random()).collect();
        let data = match is_float {
            true => ArrayData::F32(bytes.iter().map(|&b| f32::from(b) / 255.0).collect()),
            false => ArrayData::I8(bytes.iter().map(|&b| b as i8).collect()),
        };
        Array::new(dims.clone(), data)
    };
    (0..n).map(|_| runner.run(&[sample()]).unwrap()).collect()
}

/// Most instructions of a step, and a bound for what rows cannot divide further.
fn check(model: &Path, target: &str, most: u64, indivisible: u64) {
    let whole = converted(model, target, None);
    let sliced = converted(model, target, Some(most));
    assert_eq!(outputs(&sliced, 10), outputs(&whole, 10), "{} on {target}", model.display());
    let (before, after) = (&whole.report, &sliced.report);
    assert_eq!(after.macs, before.macs);
    let n_slices: usize = after.sliced.iter().map(|s| s.n_slices).sum();
    assert_eq!(after.layers.len(), before.layers.len() - after.sliced.len() + n_slices);
    let worst = |c: &Converted| c.report.layers.iter().filter_map(|l| l.instructions_estimate).max().unwrap();
    for converted in [&whole, &sliced] {
        let reported = converted.report.worst_slice.map(|w| w.estimate.instructions);
        let all_known = converted.report.layers.iter().all(|l| l.instructions_estimate.is_some());
        assert_eq!(reported, all_known.then(|| worst(converted)));
    }
    println!("{} on {target}: worst step {} of {}", model.display(), worst(&sliced), worst(&whole));
    assert!(worst(&whole) > most && worst(&sliced) < worst(&whole));
    assert!(worst(&sliced) <= most.max(indivisible), "{}", worst(&sliced));
    let says_so = after.warnings.iter().any(|w| w.contains("in one step, more than"));
    assert_eq!(says_so, worst(&sliced) > most, "{:?}", after.warnings);
}

#[test]
fn slices_compute_the_same_on_every_instruction_set() {
    let model = |name: &str| root().join(format!("models/{name}/{name}.onnx"));
    for (target, most) in [("portable", 2_500_000), ("armv7em", 250_000), ("mve", 60_000)] {
        check(&model("fashion-resnet8"), target, most, most + most / 2);
    }
    // In strips already on Armv7E-M; on Helium its rows start at 16 bytes too seldom.
    check(&model("digits-cnn"), "portable", 2_500_000, 0);
    check(&model("digits-cnn"), "armv7em", 200_000, 0);
}

#[test]
fn fully_connected_layers_are_divided_by_outputs() {
    let Some(model) = shared_data("mlperf_tiny/ad01_int8.onnx") else { return };
    check(&model, "armv7em", 25_000, 0);
    check(&model, "mve", 5_000, 0);
}

#[test]
fn a_limit_needs_an_estimate() {
    let request = ConvertRequest {
        constant_channels: ConstantChannels::Keep,
        most_slice_instructions: Some(1000),
        ..ConvertRequest::new(
            root().join("models/digits-cnn/digits-cnn.onnx"),
            Target::parse("neon").unwrap(),
            Precision::Float32,
        )
    };
    let error = convert(&request, &mut |_| {}).unwrap_err();
    assert_eq!(error.code(), "not-available");
    assert!(error.to_string().contains("a limit for the steps of this model on neon"), "{error}");
}
