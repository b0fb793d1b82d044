//! The int8 image of a regression model keeps its signal: nothing but the noise of quantization is added.

use tinfer_compiler::array::{Array, NamedArray};
use tinfer_compiler::choose::Chosen;
use tinfer_compiler::import::{ImportError, ImportOptions, Reference, import};
use tinfer_compiler::lower::lower;
use tinfer_compiler::metrics::Comparison;
use tinfer_compiler::pack::{PackOptions, pack};
use tinfer_compiler::passes::simplify;
use tinfer_compiler::plan::plan;
use tinfer_compiler::quantize::{QuantizeOptions, calibrate, quantize};
use tinfer_compiler::runner::ImageRunner;
use tinfer_tests::shared_data;

/// Spectra like those of machine noise: normal, in dB.
fn spectra(n: usize) -> Vec<Array> {
    let mut seed = 1u64;
    let mut uniform = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 41) as f32 + 0.5) / (1 << 23) as f32
    };
    let mut normal = || (-2.0 * uniform().ln()).sqrt() * (uniform() * std::f32::consts::TAU).cos();
    (0..n).map(|_| Array::f32(vec![1, 640], (0..640).map(|_| normal() * 8.0 - 20.0).collect())).collect()
}

#[test]
fn the_anomaly_detector_keeps_its_signal() {
    let Some(model) = shared_data("mlperf_tiny/ad01_fp32.onnx") else { return };
    let samples = spectra(40);
    let (calibration, fresh) = samples.split_at(20);
    let imported = import(&model, &ImportOptions::default()).unwrap();
    let reference = Reference::new(&imported).unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let name = graph.inputs[0].name.clone();
    let named = |array: &Array| [NamedArray::new(&name, array.clone())];
    let ranges = calibrate(&graph, calibration, |sample, show| {
        reference.run_with_taps(&named(sample), show)?;
        Ok::<(), ImportError>(())
    })
    .unwrap();
    let int8 = quantize(graph, &ranges, &QuantizeOptions::default()).unwrap();
    let packed = pack(&int8, &plan(&int8, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    let mut comparison = Comparison::default();
    for sample in fresh {
        let expected = reference.run(&named(sample)).unwrap()[0].array.to_f32();
        let found = runner.run(std::slice::from_ref(sample)).unwrap()[0].to_f32();
        comparison.add(&expected, &found);
    }
    assert!(comparison.sqnr_db() >= 33.0, "{:.1} dB", comparison.sqnr_db());
}
