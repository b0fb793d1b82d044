//! Models that are quantized already, from file to outputs, without calibration: small ones against what onnxruntime
//! recorded (`tests/quantized/generate.py`), and those of MLPerf Tiny against the reference where they are at hand.

use std::path::{Path, PathBuf};
use tinfer::tensor::ElementType;
use tinfer_compiler::array::{Array, NamedArray, read_npz};
use tinfer_compiler::convert::{ConvertRequest, Converted, Precision, convert};
use tinfer_compiler::import::{ImportOptions, Reference, import};
use tinfer_compiler::runner::ImageRunner;
use tinfer_compiler::target::Target;
use tinfer_compiler::trim::ConstantChannels;
use tinfer_tests::{root, shared_data};

fn converted(model: &Path, precision: Precision) -> Result<Converted, String> {
    let request = ConvertRequest {
        constant_channels: ConstantChannels::Keep,
        ..ConvertRequest::new(model.to_path_buf(), Target::parse("portable").unwrap(), precision)
    };
    convert(&request, &mut |_| {}).map_err(|e| e.to_string())
}

/// Kernels of the steps, in their order.
fn kernels(converted: &Converted) -> String {
    let names = converted.report.layers.iter().map(|l| l.kernel.trim_end_matches("_i8"));
    names.collect::<Vec<_>>().join(" ")
}

/// Differences between the elements of two arrays, in steps of the image's output.
fn steps_apart(runner: &ImageRunner<'_>, output: usize, expected: &Array, found: &Array) -> Vec<f64> {
    let port = &runner.outputs()[output];
    let scale = match port.element_type {
        ElementType::F32 => f64::from(runner.image().tensor(port.tensor).unwrap().quantization.scale),
        _ => 1.0,
    };
    assert_eq!((expected.n_elements(), expected.element_type()), (found.n_elements(), found.element_type()));
    expected.to_f64().iter().zip(found.to_f64()).map(|(e, f)| (e - f).abs() / scale).collect()
}

/// A small model: exactly these kernels, every output within one step of onnxruntime, and at most this share of them not
/// equal to it.
fn check(name: &str, expected_kernels: &str, share: f64) {
    let converted = converted(&small(name), Precision::Int8).unwrap();
    assert_eq!(kernels(&converted), expected_kernels, "{name}");
    compare(name, &converted, &converted, share);
}

/// Every output within one step of onnxruntime, and at most this share of them not equal to it; the steps are those of the
/// int8 image.
fn compare(name: &str, converted: &Converted, int8: &Converted, share: f64) {
    assert_eq!(converted.report.warnings, [""; 0], "{name}");
    let mut runner = ImageRunner::new(&converted.image).unwrap();
    let stepped = ImageRunner::new(&int8.image).unwrap();
    let recorded = read_npz(&small(name).with_extension("npz")).unwrap();
    let array = |name: &str| recorded.iter().find(|a| a.name == name).map(|a| a.array.clone()).unwrap();
    let sample = |name: &str, shape: &[usize], i: usize| array(name).sample(shape, i);
    let ports = |ports: &[tinfer::image::PortView<'_>]| -> Vec<(String, Vec<usize>)> {
        let shape = |p: &tinfer::image::PortView<'_>| p.dims().iter().map(|&d| d as usize).collect();
        ports.iter().map(|p| (p.name.to_string(), shape(p))).collect()
    };
    let (inputs, outputs) = (ports(runner.inputs()), ports(runner.outputs()));
    let mut differences = Vec::new();
    for i in 0..8 {
        let given: Vec<Array> = inputs.iter().map(|(name, shape)| sample(name, shape, i)).collect();
        let found = runner.run(&given).unwrap();
        for (k, (name, shape)) in outputs.iter().enumerate() {
            differences.extend(steps_apart(&stepped, k, &sample(name, shape, i), &found[k]));
        }
    }
    let off = differences.iter().filter(|d| **d > 0.01).count();
    let largest = differences.iter().fold(0.0, |m: f64, d| m.max(*d));
    assert!(
        largest < 1.01 && off as f64 <= share * differences.len() as f64,
        "{name}: {off} of {}, up to {largest}",
        differences.len()
    );
}

fn small(name: &str) -> PathBuf {
    root().join(format!("tests/quantized/{name}.onnx"))
}

#[test]
fn models_of_other_quantizers_compute_what_they_computed() {
    check("onnxruntime_quantizer", "conv_2d depthwise_conv_2d max_pool_2d average_pool_2d fully_connected", 0.04);
    check("tensorflow_lite", "conv_2d conv_2d add average_pool_2d_dequantized fully_connected softmax", 0.04);
    check("aware_training", "fully_connected table mul", 0.04);
    check("several_readers", "conv_2d conv_2d", 0.04);
    check("concatenated", "max_pool_2d conv_2d conv_2d table concat conv_2d", 0.04);
    check("one_dimensional", "conv_2d average_pool_2d", 0.04);
    // The softmax kernel gives steps of 1/256; the table behind it rounds them again, to the steps of the file.
    check("attention", "batch_matmul softmax_scaled batch_matmul", 0.12);
}

/// In float32 the roundings stay, as operators on real numbers.
#[test]
fn quantized_models_keep_their_steps_in_float32() {
    for name in ["onnxruntime_quantizer", "tensorflow_lite", "aware_training", "several_readers", "one_dimensional"] {
        let [float, int8] = [Precision::Float32, Precision::Int8].map(|p| converted(&small(name), p).unwrap());
        assert_eq!(float.report.reference, Some("tract"), "{name}");
        compare(name, &float, &int8, 0.04);
    }
}

/// An official model: as many layers and multiplications as its peers count, and the reference's outputs. `share` is the
/// largest part of the elements that is more than one step away: rounding errors of float32 move some sums across the
/// middle between two steps, and a softmax shows each such step many times over.
fn check_official(file: &str, n_layers: usize, macs: u64, share: f64) {
    let Some(model) = shared_data(&format!("mlperf_tiny/{file}")) else { return };
    let converted = converted(&model, Precision::Int8).unwrap();
    let report = &converted.report;
    let strips: usize = report.streamed.iter().map(|s| 2 * (s.n_strips - 1)).sum();
    let repeated: i64 = report.streamed.iter().map(|s| s.repeated_macs).sum();
    let whole = (report.layers.len() - strips, report.macs.strict_sub_signed(repeated));
    assert_eq!(whole, (n_layers, macs), "{}", kernels(&converted));
    let mut runner = ImageRunner::new(&converted.image).unwrap();
    let imported = import(&model, &ImportOptions::default()).unwrap();
    let reference = Reference::new(&imported).unwrap();
    let input = &imported.inputs[0];
    let mut random = 1u64;
    let mut differences = Vec::new();
    for _ in 0..10 {
        let steps = (0..input.shape.iter().product()).map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as i8
        });
        let x = Array::new(input.shape.clone(), tinfer_compiler::array::ArrayData::I8(steps.collect()));
        let expected = reference.run(&[NamedArray::new(&input.name, x.clone())]).unwrap();
        let found = runner.run(&[x]).unwrap();
        differences.extend(steps_apart(&runner, 0, &expected[0].array, &found[0]));
    }
    let far = differences.iter().filter(|d| **d > 1.01).count();
    assert!(far as f64 <= share * differences.len() as f64, "{file}: {far} of {} elements", differences.len());
}

#[test]
fn official_models_are_imported_without_loss() {
    check_official("kws_ref_model.onnx", 12, 2_656_768, 0.0);
    check_official("pretrainedResnet_quant.onnx", 15, 12_501_632, 0.03);
    check_official("vww_96_int8.onnx", 30, 7_489_664, 0.0);
    check_official("ad01_int8.onnx", 10, 264_192, 0.001);
}
