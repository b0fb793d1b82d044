//! Outputs that hold large and small things side by side.

use super::*;
use crate::metrics::{Slice, Slices};

/// A model being built around one input `x`, with weights at random.
struct Net {
    model: ModelBuilder,
    random: Random,
    n: usize,
}

impl Net {
    fn new(seed: u64, input: &[usize]) -> Self {
        Net { model: ModelBuilder::new(13).input("x", input), random: Random(seed), n: 0 }
    }

    fn weight(&mut self, array: Array) -> String {
        self.n += 1;
        let name = format!("w{}", self.n);
        self.model = self.model.clone().weight(&name, array);
        name
    }

    fn constant(&mut self, values: &[f32], shape: &[usize]) -> String {
        self.weight(Array::f32(shape.to_vec(), values.to_vec()))
    }

    fn integers(&mut self, values: &[i64]) -> String {
        self.weight(Array::new(vec![values.len()], crate::array::ArrayData::I64(values.to_vec())))
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attr)]) -> String {
        self.n += 1;
        let name = format!("t{}", self.n);
        self.model = self.model.clone().node(operator, inputs, &[&name], attributes);
        name
    }

    /// Rows of `n_inputs` numbers become rows of `n_outputs` with this deviation, around `bias`.
    fn dense(&mut self, x: &str, n_inputs: usize, n_outputs: usize, deviation: f32, bias: f32) -> String {
        let weights = self.random.array(&[n_inputs, n_outputs], deviation * (3.0 / n_inputs as f32).sqrt());
        let (weights, bias) = (self.weight(weights), self.constant(&vec![bias; n_outputs], &[n_outputs]));
        let product = self.node("MatMul", &[x, &weights], &[]);
        self.node("Add", &[&product, &bias], &[])
    }

    fn scaled(&mut self, x: &str, factor: f32) -> String {
        let factor = self.constant(&[factor], &[]);
        self.node("Mul", &[x, &factor], &[])
    }

    /// The features that all heads read: 16 for each of 12 places.
    fn trunk(&mut self) -> String {
        let hidden = self.dense("x", FEATURES, 16, 1.0, 0.1);
        self.node("Relu", &[&hidden], &[])
    }

    fn concat(&mut self, parts: &[&str], axis: i64) -> String {
        self.node("Concat", parts, &[("axis", Attr::I(axis))])
    }

    fn slice(&mut self, x: &str, axis: i64, from: i64, to: i64) -> String {
        let [from, to, axis] = [from, to, axis].map(|n| self.integers(&[n]));
        self.node("Slice", &[x, &from, &to, &axis], &[])
    }

    fn finish(self, output: &str) -> ModelBuilder {
        self.model.node("Identity", &[output], &["y"], &[]).output("y")
    }
}

/// What came of a conversion to `precision`: the weakest part on samples that calibration has not seen.
fn weakest(model: &ModelBuilder, seed: u64, precision: Precision) -> Result<Slice, CompileError> {
    let mut random = Random(seed);
    let folder = tempfile::tempdir().unwrap();
    let calibration = folder.path().join("samples.npz");
    write_npz(&calibration, &[NamedArray::new("x", random.array(&[24, PLACES, FEATURES], 1.7))]).unwrap();
    let request = ConvertRequest {
        calibration: Some(calibration),
        method: Some(RangeMethod::MinMax),
        ..ConvertRequest::new("m.onnx", Target::Host, precision)
    };
    let stages = Stages::of(&request, model.import().unwrap(), None, Stage::Planned, &mut |_| {})?;
    let converted = converted(&request, &stages, &mut |_| {})?;
    let reference = &stages.witness.as_ref().expect("a float model").reference;
    let mut runner = crate::runner::ImageRunner::new(&converted.image).unwrap();
    let mut slices = Slices::default();
    for _ in 0..16 {
        let x = random.array(&[1, PLACES, FEATURES], 1.7);
        let expected = reference.run_with_taps(&[NamedArray::new("x", x.clone())], &mut |_, _| {}).unwrap();
        slices.add(&expected[0].array, &runner.run(&[x]).unwrap()[0]);
    }
    Ok(slices.worst().expect("an output with something to tell"))
}

const PLACES: usize = 12;
const FEATURES: usize = 8;

/// Detectors and their kin, after the forms in which they are exported.
fn head(name: &str) -> ModelBuilder {
    let mut net = Net::new(41, &[1, PLACES, FEATURES]);
    let trunk = net.trunk();
    let transposed = [("perm", Attr::Is(vec![0, 2, 1]))];
    let y = match name {
        // [1, N, 5 + classes]: centres in cells, sizes as squares of twice a sigmoid, times stride and anchors.
        "yolo v5" => {
            let raw = net.dense(&trunk, 16, 9, 1.5, -1.0);
            let all = net.node("Sigmoid", &[&raw], &[]);
            let (centres, sizes) = (net.slice(&all, 2, 0, 2), net.slice(&all, 2, 2, 4));
            let scores = net.slice(&all, 2, 4, 9);
            let cells: Vec<f32> = (0..2 * PLACES).map(|i| (i / 2) as f32 - 0.5).collect();
            let cells = net.constant(&cells, &[1, PLACES, 2]);
            let centres = net.scaled(&centres, 2.0);
            let centres = net.node("Add", &[&centres, &cells], &[]);
            let centres = net.scaled(&centres, 32.0);
            let sizes = net.scaled(&sizes, 2.0);
            let sizes = net.node("Mul", &[&sizes, &sizes], &[]);
            let sizes = net.scaled(&sizes, 116.0);
            net.concat(&[&centres, &sizes, &scores], 2)
        }
        // [1, 4 + classes, N]: distances are expected values of distributions, strides differ by place.
        "yolo v8" => {
            let raw = net.dense(&trunk, 16, 32, 1.5, 0.0);
            let bins = net.integers(&[1, PLACES as i64, 4, 8]);
            let bins = net.node("Reshape", &[&raw, &bins], &[]);
            let bins = net.node("Softmax", &[&bins], &[("axis", Attr::I(3))]);
            let numbers = net.constant(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &[8, 1]);
            let distances = net.node("MatMul", &[&bins, &numbers], &[]);
            let boxes = net.integers(&[1, PLACES as i64, 4]);
            let distances = net.node("Reshape", &[&distances, &boxes], &[]);
            let strides: Vec<f32> = (0..PLACES).map(|i| [8.0, 16.0, 32.0][i / 4]).collect();
            let strides = net.constant(&strides, &[1, PLACES, 1]);
            let boxes = net.node("Mul", &[&distances, &strides], &[]);
            let scores = net.dense(&trunk, 16, 5, 1.2, -4.0);
            let scores = net.node("Sigmoid", &[&scores], &[]);
            let [boxes, scores] = [boxes, scores].map(|t| net.node("Transpose", &[&t], &transposed));
            net.concat(&[&boxes, &scores], 1)
        }
        "ssd" => {
            let boxes = net.dense(&trunk, 16, 4, 60.0, 150.0);
            let scores = net.dense(&trunk, 16, 6, 2.0, 0.0);
            let scores = net.node("Softmax", &[&scores], &[("axis", Attr::I(2))]);
            net.concat(&[&boxes, &scores], 2)
        }
        // A heatmap that starts at a probability of 0.01, sizes in pixels and offsets below 1.
        "centernet" => {
            let heat = net.dense(&trunk, 16, 3, 1.0, -4.6);
            let heat = net.node("Sigmoid", &[&heat], &[]);
            let (sizes, offsets) = (net.dense(&trunk, 16, 2, 40.0, 80.0), net.dense(&trunk, 16, 2, 0.3, 0.5));
            net.concat(&[&heat, &sizes, &offsets], 2)
        }
        "fcos" => {
            let sides = net.dense(&trunk, 16, 4, 0.6, 1.0);
            let sides = net.node("Exp", &[&sides], &[]);
            let sides = net.scaled(&sides, 64.0);
            let classes = net.dense(&trunk, 16, 3, 1.0, -4.0);
            let classes = net.node("Sigmoid", &[&classes], &[]);
            let centre = net.dense(&trunk, 16, 1, 1.0, 0.0);
            let centre = net.node("Sigmoid", &[&centre], &[]);
            let scores = net.node("Mul", &[&classes, &centre], &[]);
            net.concat(&[&sides, &scores], 2)
        }
        "strides behind the join" => {
            let boxes = net.dense(&trunk, 16, 4, 1.0, 2.0);
            let scores = net.dense(&trunk, 16, 3, 1.0, -3.0);
            let scores = net.node("Sigmoid", &[&scores], &[]);
            let joined = net.concat(&[&boxes, &scores], 2);
            let factors = net.constant(&[640.0, 480.0, 640.0, 480.0, 1.0, 1.0, 1.0], &[7]);
            net.node("Mul", &[&joined, &factors], &[])
        }
        "one score" => {
            let score = net.dense(&trunk, 16, 1, 0.7, -6.2);
            net.node("Sigmoid", &[&score], &[])
        }
        "two classes" => {
            let scores = net.dense(&trunk, 16, 2, 0.5, 0.0);
            let apart = net.constant(&[6.0, 0.0], &[2]);
            let scores = net.node("Add", &[&scores, &apart], &[]);
            net.node("Softmax", &[&scores], &[("axis", Attr::I(2))])
        }
        // One layer for all: a scale of their own is all that the small numbers need.
        "one layer" => {
            let weights = net.random.array(&[16, 3], 0.5).to_f32();
            let weights: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w * [1.0, 0.002, 300.0][i % 3]).collect();
            let weights = net.constant(&weights, &[16, 3]);
            net.node("MatMul", &[&trunk, &weights], &[])
        }
        other => panic!("no head {other}"),
    };
    net.finish(&y)
}

#[test]
fn every_part_of_a_head_keeps_its_signal() {
    let check = |name: &str, precision: Precision, least_db: f64| {
        let found = weakest(&head(name), 7, precision).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(found.has_signal && found.sqnr_db > least_db, "{name} {}: {found:?}", precision.name());
    };
    for name in ["yolo v5", "yolo v8", "ssd", "centernet", "fcos", "strides behind the join", "one score"] {
        check(name, Precision::Int8, 18.0);
        check(name, Precision::Int16x8, 20.0);
    }
    check("two classes", Precision::Int8, 18.0);
    check("one layer", Precision::Int8, 18.0);
}

/// Some outputs of a layer read the small part of a join only: nothing that comes after the join brings it back.
fn lost_inside() -> ModelBuilder {
    let mut net = Net::new(43, &[1, PLACES, FEATURES]);
    let trunk = net.trunk();
    let (large, small) = (net.dense(&trunk, 16, 2, 1000.0, 0.0), net.dense(&trunk, 16, 2, 0.01, 0.0));
    let joined = net.concat(&[&large, &small], 2);
    let weights = net.constant(&[0.0, 0.0, 1.0, 0.0, 0.0, -0.5, 1.0, -2.0, 0.0, 0.5, 1.5, 0.0], &[4, 3]);
    let y = net.node("MatMul", &[&joined, &weights], &[]);
    net.finish(&y)
}

#[test]
fn an_image_without_signal_is_refused_or_forced() {
    let folder = tempfile::tempdir().unwrap();
    let calibration = folder.path().join("samples.npz");
    write_npz(&calibration, &[NamedArray::new("x", Random(3).array(&[24, PLACES, FEATURES], 1.7))]).unwrap();
    let convert = |without_signal: WithoutSignal| {
        let calibration = Some(calibration.clone());
        let request = ConvertRequest::new("m.onnx", Target::Host, Precision::Int8);
        let request = ConvertRequest { calibration, without_signal, ..request };
        let stages = Stages::of(&request, lost_inside().import().unwrap(), None, Stage::Planned, &mut |_| {})?;
        Ok::<_, CompileError>(converted(&request, &stages, &mut |_| {})?.report.warnings)
    };
    let error = convert(WithoutSignal::Refuse).unwrap_err();
    assert_eq!((error.code(), error.is_refusal()), ("no-signal", true));
    let (text, hint) = (error.to_string(), error.hint());
    // The layer that computes the small part writes it in the steps of the join.
    let expected = ["output y has no signal in index 0 of axis 2", "it is lost in node 't13_node' (Add)"];
    assert!(expected.iter().all(|words| text.contains(words)), "{text}");
    assert!(hint.contains(" with --precision ") && hint.contains("--force writes the image"), "{hint}");
    let warnings = convert(WithoutSignal::Warn).unwrap();
    assert!(warnings.contains(&text), "{warnings:?}");
}

/// Branches whose sizes are decades apart, joined, and moved afterwards.
fn join(seed: u64) -> ModelBuilder {
    let mut net = Net::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, &[1, PLACES, FEATURES]);
    // The first numbers of seeds that are alike are alike.
    let _ = net.random.array(&[8], 1.0);
    let draw = |net: &mut Net, n: usize| ((net.random.next() + 1.0) / 2.0 * n as f32) as usize % n;
    let trunk = net.trunk();
    let mut n_channels = 0;
    let parts: Vec<String> = (0..2 + draw(&mut net, 3))
        .map(|_| {
            let n = 1 + draw(&mut net, 4);
            n_channels += n;
            let function = draw(&mut net, 5);
            let bias = if function == 1 { -6.0 * draw(&mut net, 100) as f32 / 100.0 } else { 0.2 };
            // Tails that calibration does not see are another matter.
            let deviation = if function == 2 { 0.5 } else { 1.0 };
            let values = net.dense(&trunk, 16, n, deviation, bias);
            let values = match function {
                0 => values,
                1 => net.node("Sigmoid", &[&values], &[]),
                2 => net.node("Exp", &[&values], &[]),
                3 => net.node("Tanh", &[&values], &[]),
                _ => net.node("Abs", &[&values], &[]),
            };
            let decades = draw(&mut net, 600) as f32 / 100.0 - 3.0;
            net.scaled(&values, 10f32.powf(decades))
        })
        .collect();
    let mut joined = net.concat(&parts.iter().map(|p| &**p).collect::<Vec<_>>(), 2);
    if draw(&mut net, 3) == 0 {
        let factors: Vec<f32> = (0..n_channels).map(|_| 10f32.powf(2.0 * net.random.next())).collect();
        let factors = net.constant(&factors, &[n_channels]);
        joined = net.node("Mul", &[&joined, &factors], &[]);
    }
    if n_channels > 2 && draw(&mut net, 3) == 0 {
        joined = net.slice(&joined, 2, 1, n_channels as i64);
    }
    if draw(&mut net, 2) == 0 {
        joined = net.node("Transpose", &[&joined], &[("perm", Attr::Is(vec![0, 2, 1]))]);
    }
    net.finish(&joined)
}

/// `TINFER_TEST_GRAPHS=2000` tries so many.
#[test]
fn joins_of_any_ranges_keep_their_parts_or_are_refused() {
    let n = std::env::var("TINFER_TEST_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    let (mut wrong, mut n_refused) = (Vec::new(), 0);
    for seed in 0..n {
        match weakest(&join(seed), seed + 1, Precision::Int8) {
            // Samples that calibration has not seen go beyond its ranges.
            Ok(slice) if slice.has_signal && slice.sqnr_db > 8.0 => {}
            Ok(slice) => wrong.push((seed, slice)),
            Err(CompileError::NoSignal { .. }) => n_refused += 1,
            Err(other) => panic!("{seed}: {other}"),
        }
    }
    println!("{n} joins, {n_refused} refused");
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(n_refused <= n / 10, "{n_refused} of {n} are refused");
}
