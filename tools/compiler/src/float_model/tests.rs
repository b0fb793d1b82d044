//! Which implementation answers, and under which names values are shown.

use super::*;
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::passes::simplify;

/// tract has no BatchNormalization in training mode. Feature maps are in NHWC inside, what is shown is not.
#[test]
fn the_float_graph_stands_in_for_tract() {
    let weights = [0.5, -1.0, 0.25, 2.0, 1.0, -0.5];
    let channels = |values: [f32; 2]| Array::f32(vec![2], values.to_vec());
    let model = ModelBuilder::new(17)
        .input("x", &[1, 3, 4, 5])
        .weight("w", Array::f32(vec![2, 3, 1, 1], weights.to_vec()))
        .weight("scale", channels([3.0, 2.0]))
        .weight("bias", channels([0.0, 1.0]))
        .weight("any", channels([1.0, 1.0]))
        .node("Conv", &["x", "w"], &["z"], &[])
        .node("BatchNormalization", &["z", "scale", "bias", "any", "any"], &["y"], &[("training_mode", Attr::I(1))]);
    let imported = model.output("y").import().unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let x: Vec<f32> = (0..60).map(|i| (i as f32 * 0.37).sin()).collect();
    let inputs = [NamedArray::new("x", Array::f32(vec![1, 3, 4, 5], x.clone()))];
    let trial = Sample { name: String::new(), inputs: inputs.to_vec(), label: None };
    let model = FloatModel::open(&imported, Some(&graph), &[trial]).unwrap();
    assert!(model.warning().unwrap().contains("own float32 kernels"));
    let mut seen = Vec::new();
    let mut tap = |name: &str, array: &Array| seen.push((name.to_string(), array.clone()));
    let outputs = model.run_with_taps(&inputs, &mut tap).unwrap();
    let names: Vec<&str> = seen.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["x", "z", "y"]);
    assert_eq!(seen[2].1, outputs[0].array);
    for c in 0..2 {
        let z = |i: usize| (0..3).map(|k| weights[3 * c + k] * x[20 * k + i]).sum::<f32>();
        let mean = (0..20).map(z).sum::<f32>() / 20.0;
        let variance = (0..20).map(|i| (z(i) - mean).powi(2)).sum::<f32>() / 20.0;
        for i in 0..20 {
            let y = (z(i) - mean) / (variance + 1e-5).sqrt() * [3.0, 2.0][c] + [0.0, 1.0][c];
            let found = [&seen[1].1, &seen[2].1].map(|array| array.to_f32()[20 * c + i]);
            assert!((found[0] - z(i)).abs() < 1e-5 && (found[1] - y).abs() < 1e-4, "{found:?} {} {y}", z(i));
        }
    }
}

#[test]
fn values_return_to_their_onnx_layout() {
    let origin = Origin { permutation: vec![0, 2, 1], ..Origin::whole("x", &[1, 3, 2]) };
    let array = in_onnx_layout(&origin, vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    assert_eq!(array, Array::f32(vec![1, 3, 2], vec![0.0, 10.0, 1.0, 11.0, 2.0, 12.0]));
    let flat = Origin::whole("x", &[1, 3]);
    assert_eq!(in_onnx_layout(&flat, vec![1.0, 2.0, 3.0]).shape, [1, 3]);
}

fn trial(inputs: &[NamedArray]) -> Sample {
    Sample { name: String::new(), inputs: inputs.to_vec(), label: None }
}

/// What is compared is the file in tract with a graph: here one of another file, whose second node has another slope. The
/// first sample has nothing below 0 and cannot tell them apart, the last one can.
#[test]
fn implementations_that_part_are_told_apart() {
    let model = |slope: f32| {
        let model = ModelBuilder::new(16).input("x", &[1, 4]).node("Tanh", &["x"], &["t"], &[]);
        let model = model.node("LeakyRelu", &["t"], &["l"], &[("alpha", Attr::F(slope))]);
        model.node("Sigmoid", &["l"], &["y"], &[]).output("y").import().unwrap()
    };
    let graph = simplify(lower(&model(0.5)).unwrap()).graph;
    let above = trial(&[NamedArray::new("x", Array::f32(vec![1, 4], vec![0.5, 1.0, 2.0, 0.25]))]);
    let both = trial(&[NamedArray::new("x", Array::f32(vec![1, 4], vec![0.5, -1.0, 2.0, -0.25]))]);
    let check = |slope: f32, trials: &[Sample], engine: &str, warning: Option<&str>| {
        let opened = FloatModel::open(&model(slope), Some(&graph), trials).unwrap();
        assert_eq!((opened.name(), opened.warning().as_deref()), (engine, warning), "{slope}");
        let y = opened.run_with_taps(&both.inputs, &mut |_, _| {}).unwrap()[0].array.to_f32();
        let slope = if engine == "tract" { slope } else { 0.5 };
        let expected = 1.0 / (1.0 + (-slope * (-1f32).tanh()).exp());
        assert!((y[1] - expected).abs() < 1e-6, "{y:?} {expected}");
    };
    let parted = "tract and tinfer differ from node 'l_node' (LeakyRelu) on: tinfer's own float32 kernels answer";
    check(0.5, &[above.clone(), both.clone()], "tract", None);
    check(0.1, std::slice::from_ref(&above), "tract", None);
    check(0.1, &[above.clone(), both.clone()], "tinfer", Some(parted));
}

/// A list that only grows would end as a list of what tract once did: each form is one that tract computes otherwise than
/// the float graph does, and never reaches it.
#[test]
fn every_listed_form_is_one_that_tract_gets_wrong() {
    let ramp = |shape: &[usize]| {
        let n = shape.iter().product::<usize>();
        Array::f32(shape.to_vec(), (0..n).map(|i| ((i * 7 + 3) % 11) as f32 / 6.0 - 0.8).collect())
    };
    let recurrent = |operator: &str, attributes: &[(&str, Attr)]| {
        let gates = match operator {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let model = ModelBuilder::new(14).input("x", &[3, 1, 2]);
        let model = model.weight("w", ramp(&[1, 2 * gates, 2])).weight("r", ramp(&[1, 2 * gates, 2]));
        let attributes = [&[("hidden_size", Attr::I(2))], attributes].concat();
        model.node(operator, &["x", "w", "r"], &["y"], &attributes).output("y")
    };
    let check = |form: &str, model: ModelBuilder| {
        let imported = model.import().unwrap();
        let inputs = [NamedArray::new("x", ramp(&imported.inputs[0].shape))];
        let why = Reference::new(&imported).unwrap_err().to_string();
        assert!(why.contains(form) && why.contains("otherwise than ONNX"), "{form}: {why}");
        let graph = simplify(lower(&imported).unwrap()).graph;
        let own = FloatModel::open(&imported, Some(&graph), &[trial(&inputs)]).unwrap();
        assert_eq!(own.name(), "tinfer", "{form}");
        let right = own.run_with_taps(&inputs, &mut |_, _| {}).unwrap();
        let tract = Reference::whatever_it_computes(&imported).and_then(|tract| tract.run(&inputs));
        let agree = tract.is_ok_and(|found| agrees(&right[0].array, &found[0].array, AGREE_DB));
        assert!(!agree, "tract computes {form} as ONNX says by now: take it off the list");
    };
    for operator in ["LSTM", "GRU", "RNN"] {
        check("in reverse", recurrent(operator, &[("direction", Attr::S("reverse"))]));
        check("with a clip", recurrent(operator, &[("clip", Attr::F(0.3))]));
    }
    check("with input_forget", recurrent("LSTM", &[("input_forget", Attr::I(1))]));
    check("with these activations", recurrent("LSTM", &[("activations", Attr::Ss(vec!["Sigmoid", "Tanh", "Relu"]))]));
    check("with these activations", recurrent("GRU", &[("activations", Attr::Ss(vec!["Sigmoid", "Relu"]))]));
    check("with these activations", recurrent("RNN", &[("activations", Attr::Ss(vec!["Relu"]))]));
    let celu = ModelBuilder::new(12).input("x", &[1, 6]).node("Celu", &["x"], &["y"], &[("alpha", Attr::F(2.0))]);
    check("with an alpha", celu.output("y"));
    let transposed = |attributes: &[(&str, Attr)]| {
        let attributes = [&[("strides", Attr::Is(vec![3, 2]))], attributes].concat();
        let model = ModelBuilder::new(11).input("x", &[1, 1, 3, 3]).weight("w", ramp(&[1, 1, 3, 3]));
        model.node("ConvTranspose", &["x", "w"], &["y"], &attributes).output("y")
    };
    let same = ("auto_pad", Attr::S("SAME_UPPER"));
    check("with output_shape", transposed(&[("output_shape", Attr::Is(vec![8, 6]))]));
    check("with output_padding", transposed(&[same, ("output_padding", Attr::Is(vec![1, 1]))]));
    let model = ModelBuilder::new(15).input("x", &[1, 2, 2, 3]);
    let model = ["scale", "bias", "mean", "variance"]
        .iter()
        .fold(model, |m, name| m.weight(name, Array::f32(vec![2], vec![0.5, 2.0])));
    let operands = ["x", "scale", "bias", "mean", "variance"];
    let training = model.node("BatchNormalization", &operands, &["y"], &[("training_mode", Attr::I(1))]);
    check("in training mode", training.output("y"));
}

/// No step computes a reshape; calibration asks for it by name all the same.
#[test]
fn reshapes_are_shown_too() {
    let shape = |dims: &[i64]| Array::new(vec![dims.len()], ArrayData::I64(dims.to_vec()));
    let model = ModelBuilder::new(13).input("x", &[1, 6]).weight("to", shape(&[2, 3])).weight("back", shape(&[3, 2]));
    let model = model.node("Reshape", &["x", "to"], &["r"], &[]).node("Tanh", &["r"], &["t"], &[]);
    let model = model.node("Reshape", &["t", "back"], &["f"], &[]).node("Sigmoid", &["f"], &["y"], &[]).output("y");
    let imported = model.import().unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let inputs = [NamedArray::new("x", Array::f32(vec![1, 6], (0..6).map(|i| i as f32 / 3.0 - 1.0).collect()))];
    let mut seen: HashMap<String, Array> = HashMap::new();
    let mut tap = |name: &str, array: &Array| drop(seen.insert(name.into(), array.clone()));
    OwnKernels::new(&imported, &graph).unwrap().run_with_taps(&inputs, &mut tap).unwrap();
    let mut expected: HashMap<String, Array> = HashMap::new();
    let mut tap = |name: &str, array: &Array| drop(expected.insert(name.into(), array.clone()));
    Reference::new(&imported).unwrap().run_with_taps(&inputs, &mut tap).unwrap();
    for name in ["x", "r", "t", "f", "y"] {
        let (seen, expected) = (&seen[name], &expected[name]);
        assert_eq!(seen.n_elements(), expected.n_elements(), "{name}");
        assert!(agrees(expected, seen, AGREE_DB), "{name}: {seen:?} {expected:?}");
    }
}
