//! Small networks (`tests/float32/generate.py`) in int8, with what has no int8 form in float32 between.

use super::recorded::{Calibration, archives, kernels, read};
use tinfer_compiler::array::Array;
use tinfer_compiler::convert::Precision;
use tinfer_compiler::runner::ImageRunner;

/// Signal to noise of an int8 image over all samples, in dB, worst output; and its kernels.
fn quality(network: &str, precision: Precision) -> (f64, String) {
    let case = read("float32", &format!("network_{network}")).remove(0);
    let converted = case.convert(precision, Calibration::Recorded).unwrap_or_else(|e| panic!("{network}: {e}"));
    let mut runner = ImageRunner::new(&converted.image).unwrap();
    let ports = |ports: &[tinfer::image::PortView<'_>]| -> Vec<(String, Vec<usize>)> {
        ports.iter().map(|p| (p.name.to_string(), p.dims().iter().map(|&d| d as usize).collect())).collect()
    };
    let (inputs, outputs) = (ports(runner.inputs()), ports(runner.outputs()));
    let mut powers = vec![(0.0, 0.0); outputs.len()];
    for i in 0..N_SAMPLES {
        let given: Vec<Array> = inputs.iter().map(|(name, shape)| case.arrays[name].sample(shape, i)).collect();
        let found = runner.run(&given).unwrap();
        for (k, (name, shape)) in outputs.iter().enumerate() {
            let expected = case.arrays[name].sample(shape, i).to_f64();
            for (e, f) in expected.into_iter().zip(found[k].to_f64()) {
                powers[k].0 += e * e;
                powers[k].1 += (e - f) * (e - f);
            }
        }
    }
    let worst = powers.iter().map(|(signal, noise)| 10.0 * (signal / noise).log10()).fold(f64::INFINITY, f64::min);
    (worst, kernels(&converted))
}

/// At least this many dB, with these among the kernels and without those.
fn check(network: &str, precision: Precision, floor: f64, with: &[&str], without: &[&str]) {
    let (sqnr, kernels) = quality(network, precision);
    let name = precision.name();
    assert!(sqnr > floor, "{network} in {name}: {sqnr:.1} dB ({kernels})");
    let has = |kernel: &&&str| kernels.split(' ').any(|k| k == **kernel);
    assert_eq!(with.iter().filter(has).count(), with.len(), "{network} in {name}: {kernels}");
    assert_eq!(without.iter().filter(has).count(), 0, "{network} in {name}: {kernels}");
}

#[test]
fn recurrent_layers_are_islands_of_float32() {
    for network in ["lstm_classifier", "gru_over_conv", "rnn_sequence"] {
        check(network, Precision::Int8, 35.0, &["fully_connected_f32"], &[]);
        check(network, Precision::Int16x8, 45.0, &["fully_connected_f32"], &[]);
    }
    check("lstm_classifier", Precision::Int8, 35.0, &["fully_connected_i8", "softmax_i8"], &["softmax_f32"]);
    check("rnn_sequence", Precision::Int8, 35.0, &["fully_connected_i8"], &[]);
}

#[test]
fn attention_computes_its_products_around_float32() {
    let layers = ["fully_connected_i8", "row_normalization_i8", "softmax_f32"];
    check("attention_block", Precision::Int8, 25.0, &layers, &["fully_connected_f32", "normalization_f32"]);
    check("attention_block", Precision::Int16x8, 35.0, &["fully_connected_i16"], &["fully_connected_f32"]);
}

#[test]
fn a_comparison_and_its_choice_are_one_table() {
    // A comparison near its threshold falls the other way for some elements.
    check("masked", Precision::Int8, 20.0, &["conv_2d_i8", "table_i8"], &["conv_2d_f32", "where_b4", "compare_f32"]);
}

#[test]
fn norms_without_an_int8_form_are_islands() {
    check("normalized_maps", Precision::Int8, 30.0, &["conv_2d_i8", "normalization_f32"], &["conv_2d_f32"]);
}

#[test]
fn what_chooses_elements_stays_in_int8() {
    check("chosen", Precision::Int8, 30.0, &["top_k_i8", "reduce_i8"], &["top_k_f32", "reduce_f32", "dequantize_i8"]);
    check("reductions", Precision::Int8, 30.0, &["reduce_i8", "reduce_f32", "concat_i8"], &["concat_f32"]);
    check("chosen", Precision::Int16x8, 35.0, &["top_k_f32"], &["conv_2d_f32"]);
}

/// All of them are in a test.
#[test]
fn every_network_is_named() {
    let networks: Vec<String> = archives("float32").into_iter().filter(|n| n.starts_with("network_")).collect();
    assert_eq!(networks.len(), 8, "{networks:?}");
}

/// What the recipe records.
const N_SAMPLES: usize = 24;
