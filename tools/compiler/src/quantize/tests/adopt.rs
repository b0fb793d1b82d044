//! Models that bring their quantization along: which steps they become, and with which numbers.

use super::*;
use crate::array::{ArrayData, NamedArray};
use crate::import::Reference;
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::passes::simplify;

const RELU: (f32, i8) = (0.043, -128);
const SUM: (f32, i8) = (0.071, 5);

fn steps(shape: &[usize], seed: u64) -> Array {
    let n: usize = shape.iter().product();
    // Weights of a layer reach both ends: -127 and 127.
    let value = |i: usize| ((((i as u64 * 131 + seed * 17) * 2_654_435_761) >> 7) % 255) as i64 - 127;
    Array::new(shape.to_vec(), ArrayData::I8((0..n).map(|i| value(i) as i8).collect()))
}

/// x [1, 3, 6, 6] in int8 with NHWC inside, and weights for convolutions of it.
fn images() -> ModelBuilder {
    ModelBuilder::new(17)
        .int8_input("x", &[1, 6, 6, 3])
        .node("Transpose", &["x"], &["nchw"], &[("perm", Attr::Is(vec![0, 3, 1, 2]))])
        .dequantize("nchw", "xr", (0.031, 7))
        .quantized_weight("w", steps(&[4, 3, 3, 3], 1), &[0.011, 0.007, 0.013, 0.002], 0)
}

fn quantized(model: &ModelBuilder, without_range: WithoutRange) -> Result<Graph, QuantizeError> {
    let graph = simplify(lower(&model.import().unwrap()).unwrap()).graph;
    quantize(graph, &Ranges::default(), &QuantizeOptions { without_range, ..QuantizeOptions::default() })
}

fn operators(graph: &Graph) -> Vec<String> {
    let name = |o: &Operator| format!("{o:?}").split([' ', '(']).next().unwrap_or_default().to_string();
    graph.nodes.iter().filter(|n| n.operator != Operator::Reshape).map(|n| name(&n.operator)).collect()
}

/// The model becomes exactly these steps, and its image computes what the reference does, to one step in few elements.
fn check(model: &ModelBuilder, expected: &[&str]) -> Graph {
    let graph = quantized(model, WithoutRange::Float32).unwrap();
    assert_eq!(operators(&graph), expected);
    let imported = model.import().unwrap();
    let reference = Reference::new(&imported).unwrap();
    let packed = pack(&graph, &plan(&graph, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    let inputs: Vec<Array> = imported.inputs.iter().enumerate().map(|(i, p)| steps(&p.shape, 5 + i as u64)).collect();
    let named: Vec<NamedArray> =
        imported.inputs.iter().zip(&inputs).map(|(p, x)| NamedArray::new(&p.name, x.clone())).collect();
    let (expected, found) = (reference.run(&named).unwrap(), runner.run(&inputs).unwrap());
    for (e, f) in expected.iter().zip(&found) {
        assert_eq!(e.array.data.element_type(), f.data.element_type());
        let differences: Vec<f64> =
            e.array.to_f64().iter().zip(f.to_f64()).map(|(e, f)| (e - f).abs()).filter(|d| *d > 0.0).collect();
        assert!(
            differences.iter().all(|d| *d <= 1.0) && differences.len() <= 1 + f.n_elements() / 50,
            "{differences:?}"
        );
        assert!(e.array.to_f64().iter().any(|&v| v != e.array.to_f64()[0]), "nothing is compared");
    }
    graph
}

#[test]
fn layers_keep_scales_and_integers_of_the_file() {
    let bias = Array::new(vec![4], ArrayData::I32(vec![1000, -70_000, 3, 16_777_217]));
    let model = images()
        .weight("b_q", bias.clone())
        .weight("b_s", Array::f32(vec![4], [0.011f32, 0.007, 0.013, 0.002].map(|s| s * 0.031).to_vec()))
        .weight("b_z", Array::new(vec![4], ArrayData::I32(vec![0; 4])))
        .node("DequantizeLinear", &["b_q", "b_s", "b_z"], &["b"], &[("axis", Attr::I(0))])
        .node("Conv", &["xr", "w", "b"], &["c"], &[("pads", Attr::Is(vec![1, 1, 1, 1]))])
        .node("Relu", &["c"], &["r"], &[])
        .quantize("r", "y", RELU)
        .int8_output("y");
    let graph = check(&model, &["Conv2d"]);
    let conv = graph.nodes.iter().find(|n| matches!(n.operator, Operator::Conv2d { .. })).unwrap();
    let [x, weights, bias_found, y] =
        [conv.inputs[0], conv.inputs[1], conv.inputs[2], conv.outputs[0]].map(|id| graph.tensor(id));
    assert_eq!(x.quantization, Some(Quantization::per_tensor(0.031, 7)));
    assert_eq!(y.quantization, Some(Quantization::per_tensor(RELU.0, RELU.1.into())));
    assert_eq!(weights.quantization.as_ref().unwrap().scales, [0.011, 0.007, 0.013, 0.002]);
    let ArrayData::I8(file) = steps(&[4, 3, 3, 3], 1).data else { unreachable!() };
    // OIHW to OHWI.
    assert_eq!(weights.constant, Some(Constant::I8(crate::evaluate::transpose(&file, &[4, 3, 3, 3], &[0, 2, 3, 1]))));
    // float32 in between keeps 24 bits.
    let Some(Constant::I32(found)) = &bias_found.constant else { panic!("{bias_found:?}") };
    assert_eq!(found[..3], [1000, -70_000, 3]);
    assert!((found[3] - 16_777_217).abs() <= 2, "{}", found[3]);
    assert_eq!(graph.inputs[0].element_type, ElementType::I8);
}

#[test]
fn what_has_no_scale_stays_real() {
    let conv = images().node("Conv", &["xr", "w"], &["c"], &[]);
    let model = conv.node("Sigmoid", &["c"], &["s"], &[]).node("Mul", &["c", "s"], &["m"], &[]);
    let model = model.quantize("m", "y", SUM).int8_output("y");
    check(&model, &["Requantize", "Conv2d", "Unary", "Binary", "Requantize"]);
    let refused = quantized(&model, WithoutRange::Refuse).unwrap_err();
    assert_eq!(refused.to_string(), "the model is quantized already, but tensor c has no scale in it");
}

#[test]
fn roundings_that_change_nothing_go_away() {
    let conv = images().node("Conv", &["xr", "w"], &["c"], &[]);
    // Rounded, clamped and rounded again to one grid; then moved, each time between two roundings.
    let model = conv
        .clone()
        .pair("c", "c1", RELU)
        .node("Relu", &["c1"], &["r"], &[])
        .pair("r", "r1", RELU)
        .node("MaxPool", &["r1"], &["p"], &[("kernel_shape", Attr::Is(vec![2, 2]))])
        .pair("p", "p1", RELU)
        .node("Transpose", &["p1"], &["t"], &[("perm", Attr::Is(vec![0, 2, 3, 1]))])
        .pair("t", "t1", RELU)
        .node("Flatten", &["t1"], &["f"], &[])
        .quantize("f", "y", RELU)
        .int8_output("y");
    check(&model, &["Conv2d", "MaxPool2d"]);
    // On another grid the clamp is a step of its own, as the model says.
    let model = conv.pair("c", "c1", SUM).node("Relu", &["c1"], &["r"], &[]).quantize("r", "y", RELU).int8_output("y");
    check(&model, &["Conv2d", "Unary"]);
}

#[test]
fn normalization_and_bias_go_into_quantized_weights() {
    let model = images()
        .node("Conv", &["xr", "w"], &["c"], &[])
        .weight("f", Array::f32(vec![1, 4, 1, 1], vec![0.5, -2.0, 0.3, 1.0]))
        .node("Mul", &["c", "f"], &["m"], &[])
        .weight("o", Array::f32(vec![1, 4, 1, 1], vec![0.5, -1.0, 0.0, 2.0]))
        .node("Add", &["m", "o"], &["a"], &[])
        .node("Relu", &["a"], &["r"], &[])
        .quantize("r", "y", RELU)
        .int8_output("y");
    let graph = check(&model, &["Conv2d"]);
    let conv = graph.nodes.iter().find(|n| matches!(n.operator, Operator::Conv2d { .. })).unwrap();
    let scales = &graph.tensor(conv.inputs[1]).quantization.as_ref().unwrap().scales;
    assert_eq!(scales[..2], [0.0055, 0.014]);
}

#[test]
fn a_value_on_two_grids_is_computed_for_each() {
    let model = images()
        .node("Conv", &["xr", "w"], &["c"], &[])
        .quantize("c", "y", SUM)
        .quantize("c", "z", (0.023, -10))
        .int8_output("y")
        .int8_output("z");
    check(&model, &["Conv2d", "Conv2d"]);
    // One of the readers clamps before it rounds, at several steps' distance.
    let model = images()
        .node("Conv", &["xr", "w"], &["c"], &[])
        .quantize("c", "y", SUM)
        .node("Relu", &["c"], &["r"], &[])
        .node("Transpose", &["r"], &["t"], &[("perm", Attr::Is(vec![0, 2, 3, 1]))])
        .quantize("t", "z", RELU)
        .node("Relu", &["c"], &["s"], &[])
        .quantize("s", "v", (0.019, -128))
        .int8_output("y")
        .int8_output("z")
        .int8_output("v");
    check(&model, &["Conv2d", "Conv2d", "Conv2d"]);
}

#[test]
fn operands_of_a_concatenation_come_to_its_grid() {
    let model = images()
        .node("Conv", &["xr", "w"], &["c"], &[])
        .pair("c", "c1", SUM)
        .node("AveragePool", &["c1"], &["p"], &[("kernel_shape", Attr::Is(vec![1, 1]))])
        .pair("p", "p1", (0.037, 1))
        .node("Concat", &["c1", "p1"], &["k"], &[("axis", Attr::I(1))])
        .quantize("k", "y", SUM)
        .int8_output("y");
    check(&model, &["Conv2d", "AveragePool2d", "Requantize", "Concat"]);
}

#[test]
fn shares_keep_the_steps_of_the_file() {
    let shares = |grid| {
        let conv = images().node("Conv", &["xr", "w"], &["c"], &[]).pair("c", "c1", (2.5, 3));
        let model = conv.node("Softmax", &["c1"], &["s"], &[("axis", Attr::I(-1))]);
        model.quantize("s", "y", grid).int8_output("y")
    };
    check(&shares((1.0 / 256.0, -128)), &["Conv2d", "Transpose", "Softmax"]);
    // Rounded once, not to 1/256 and again.
    check(&shares((0.0011, -128)), &["Conv2d", "Transpose", "Softmax"]);
}

#[test]
fn a_mask_of_the_file_is_on_the_grid_of_the_file() {
    let model = images()
        .weight("keep", Array::new(vec![1, 1, 1, 4], ArrayData::Bool(vec![1, 0, 1, 0])))
        .weight("excluded", Array::f32(vec![1], vec![-1e9]))
        .node("Conv", &["xr", "w"], &["c"], &[])
        .node("Where", &["keep", "c", "excluded"], &["m"], &[])
        .pair("m", "m1", (1e9 / 255.0, 127))
        .node("Softmax", &["m1"], &["s"], &[("axis", Attr::I(-1))])
        .quantize("s", "y", (1.0 / 256.0, -128))
        .int8_output("y");
    let graph = check(&model, &["Requantize", "Conv2d", "Where", "Requantize", "Transpose", "Softmax"]);
    assert!(!graph.nodes.iter().any(|n| n.operator == Operator::MaskedSoftmax));
}

#[test]
fn what_integers_cannot_say_is_refused_in_words() {
    let refusal = |model: ModelBuilder, text: &str, cure: &str| {
        let error = quantized(&model, WithoutRange::Refuse).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.hint().contains(cure), "{}", error.hint());
    };
    let conv = || images().node("Conv", &["xr", "w"], &["c"], &[]);
    refusal(
        conv().node("Tanh", &["c"], &["t"], &[]).quantize("t", "y", SUM).int8_output("y"),
        "quantized already, but tensor c has no scale",
        "--calibration",
    );
    let asymmetric = images()
        .weight("u", Array::new(vec![2, 3, 1, 1], ArrayData::U8(vec![0, 5, 200, 255, 3, 9])))
        .weight("u_s", Array::f32(vec![], vec![0.01]))
        .weight("u_z", Array::new(vec![], ArrayData::U8(vec![40])))
        .node("DequantizeLinear", &["u", "u_s", "u_z"], &["v"], &[])
        .node("Conv", &["xr", "v"], &["c"], &[]);
    let asymmetric = || asymmetric.clone().quantize("c", "y", SUM).int8_output("y");
    refusal(asymmetric(), "weights of node c_node", "zero point 0");
    let real = quantized(&asymmetric(), WithoutRange::Float32).unwrap();
    assert_eq!(operators(&real).last().unwrap(), "Requantize", "{:?}", operators(&real));
}

#[test]
fn nodes_that_other_quantizers_write_are_refused_in_words() {
    let refusal = |model: ModelBuilder, text: &str| {
        let error = lower(&model.import().unwrap()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    let x = || ModelBuilder::new(17).input("x", &[1, 4]);
    let two = |name: &'static str| Array::f32(vec![2], vec![0.1, 0.2 + name.len() as f32]);
    refusal(
        x().weight("s", two("s")).node("QuantizeLinear", &["x", "s"], &["y"], &[]).output("y"),
        "do not belong to slices along axis 1",
    );
    let zero = Array::f32(vec![], vec![0.0]);
    refusal(x().weight("s", zero).node("QuantizeLinear", &["x", "s"], &["y"], &[]).output("y"), "its scale is 0");
}

#[test]
fn weights_with_scales_of_input_channels_are_real_numbers() {
    let scales: Vec<f32> = (0..108).map(|i| 0.001 + i as f32 * 1e-5).collect();
    let rows = images().quantized_weight("v", steps(&[108, 2], 3), &scales, 0);
    let model = rows.node("Flatten", &["xr"], &["f"], &[]).node("MatMul", &["f", "v"], &["m"], &[]);
    let model = model.quantize("m", "y", (0.9, 3)).int8_output("y");
    assert_eq!(real_weights(&lower(&model.import().unwrap()).unwrap()), ["m_node"]);
    check(&model, &["FullyConnected"]);
}

#[test]
fn what_another_node_compares_and_selects_is_real() {
    let model = images()
        .weight("three", Array::new(vec![], ArrayData::I8(vec![3])))
        .weight("many", Array::new(vec![], ArrayData::I8(vec![100])))
        .node("Conv", &["xr", "w"], &["c"], &[])
        .quantize("c", "q", SUM)
        .node("Equal", &["q", "three"], &["e"], &[])
        .node("Where", &["e", "many", "q"], &["y"], &[])
        .int8_output("y");
    check(&model, &["Conv2d", "Requantize", "Pair", "Where", "Requantize"]);
}
