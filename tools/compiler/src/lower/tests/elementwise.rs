//! Elementwise operators of all types, through images.

use super::{array, numbers};
use crate::array::{Array, ArrayData, NamedArray};
use crate::choose::Chosen;
use crate::evaluate::evaluate;
use crate::graph::{Graph, Operator, Pair, Unary};
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::pack::{PackOptions, pack};
use crate::passes::simplify;
use crate::plan::plan;
use crate::runner::ImageRunner;

fn graph(model: &ModelBuilder) -> Graph {
    simplify(lower(&model.import().unwrap()).unwrap()).graph
}

/// The result of a model's float32 image.
fn run(graph: &Graph, x: &Array) -> Vec<f32> {
    let packed = pack(graph, &plan(graph, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    let outputs = ImageRunner::new(&packed.bytes).unwrap().run(std::slice::from_ref(x)).unwrap();
    outputs[0].to_f32()
}

/// A model of one node between casts: x to the type `to`, the node with the constants `others` behind x, and back.
fn between_casts(operator: &str, to: i64, others: &[ArrayData]) -> ModelBuilder {
    let mut model = ModelBuilder::new(18).input("x", &[2, 3, 4]).node("Cast", &["x"], &["q"], &[("to", Attr::I(to))]);
    let names: Vec<String> = (0..others.len()).map(|i| format!("c{i}")).collect();
    for (name, data) in names.iter().zip(others) {
        model = model.weight(name, Array::new(vec![], data.clone()));
    }
    let inputs: Vec<&str> = std::iter::once("q").chain(names.iter().map(|n| &**n)).collect();
    model.node(operator, &inputs, &["r"], &[]).node("Cast", &["r"], &["y"], &[("to", Attr::I(1))]).output("y")
}

fn integers(to: i64, values: &[i64]) -> Vec<ArrayData> {
    let one = |v: i64| match to {
        2 => ArrayData::U8(vec![v as u8]),
        3 => ArrayData::I8(vec![v as i8]),
        6 => ArrayData::I32(vec![v as i32]),
        _ => ArrayData::I64(vec![v]),
    };
    values.iter().map(|&v| one(v)).collect()
}

#[test]
fn integers_of_every_type_are_computed() {
    type Case = (&'static str, &'static [i64], fn(i64) -> i64);
    let cases: [Case; 18] = [
        ("Abs", &[], i64::abs),
        ("Neg", &[], |q| -q),
        ("Sign", &[], i64::signum),
        ("Relu", &[], |q| q.max(0)),
        ("Add", &[3], |q| q + 3),
        ("Sub", &[3], |q| q - 3),
        ("Mul", &[3], |q| q * 3),
        ("Div", &[3], |q| q / 3),
        ("Mod", &[3], |q| q.rem_euclid(3)),
        ("Max", &[3, 5], |q| q.max(5)),
        ("Min", &[3, 5], |q| q.min(3)),
        ("Max", &[], |q| q),
        ("Clip", &[2, 4], |q| q.clamp(2, 4)),
        ("Greater", &[3], |q| i64::from(q > 3)),
        ("GreaterOrEqual", &[3], |q| i64::from(q >= 3)),
        ("LessOrEqual", &[3], |q| i64::from(q <= 3)),
        ("Equal", &[3], |q| i64::from(q == 3)),
        ("BitwiseAnd", &[3], |q| q & 3),
    ];
    let x: Vec<f32> = numbers(24, 5).iter().map(|v| v * 5.0).collect();
    for (operator, others, exact) in cases {
        for to in [2, 3, 6, 7] {
            let x: Vec<f32> = if to == 2 { x.iter().map(|v| v.abs() + 3.0).collect() } else { x.clone() };
            if to == 2 && operator == "Neg" {
                continue;
            }
            let expected: Vec<f32> = x.iter().map(|&v| exact(v as i64) as f32).collect();
            let graph = graph(&between_casts(operator, to, &integers(to, others)));
            assert_eq!(run(&graph, &Array::f32(vec![2, 3, 4], x)), expected, "{operator} of type {to}");
        }
    }
}

#[test]
fn integer_powers_take_integers_and_float32() {
    let x: Vec<f32> = numbers(24, 5).iter().map(|v| v * 3.0).collect();
    for to in [6, 7] {
        for exponent in [ArrayData::I32(vec![3]), ArrayData::I64(vec![3]), ArrayData::F32(vec![3.0])] {
            let graph = graph(&between_casts("Pow", to, &[exponent]));
            let expected: Vec<f32> = x.iter().map(|&v| (v as i64).pow(3) as f32).collect();
            assert_eq!(run(&graph, &Array::f32(vec![2, 3, 4], x.clone())), expected);
        }
    }
}

#[test]
fn truths_choose() {
    // Where(Not(x > 0) xor (x > 1) or isnan, x, -1)
    let model = ModelBuilder::new(18)
        .input("x", &[2, 3, 4])
        .weight("zero", Array::f32(vec![], vec![0.0]))
        .weight("one", Array::f32(vec![1], vec![1.0]))
        .weight("minus_one", Array::f32(vec![1, 1], vec![-1.0]))
        .node("Greater", &["x", "zero"], &["above_zero"], &[])
        .node("Less", &["one", "x"], &["above_one"], &[])
        .node("Not", &["above_zero"], &["not"], &[])
        .node("Xor", &["not", "above_one"], &["either"], &[])
        .node("IsNaN", &["x"], &["nan"], &[])
        .node("IsInf", &["x"], &["inf"], &[])
        .node("Or", &["either", "nan"], &["some"], &[])
        .node("Or", &["some", "inf"], &["any"], &[])
        .node("Where", &["any", "minus_one", "x"], &["y"], &[])
        .output("y");
    let mut x = numbers(24, 3);
    (x[3], x[5], x[7]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let expected: Vec<f32> = x.iter().map(|&v| if v > 0.0 && v <= 1.0 { v } else { -1.0 }).collect();
    assert_eq!(run(&graph(&model), &Array::f32(vec![2, 3, 4], x)), expected);
}

/// Functions whose operands must be positive, and pairs of activations.
#[test]
fn real_functions_equal_their_definitions() {
    let model = ModelBuilder::new(20)
        .input("x", &[2, 3, 4])
        .weight("half", Array::f32(vec![], vec![0.5]))
        .weight("third", Array::f32(vec![], vec![1.0 / 3.0]))
        .weight("powers", array(&[3, 1], 4))
        .weight("one", Array::f32(vec![], vec![1.0]))
        .node("Mul", &["x", "x"], &["square"], &[])
        .node("Add", &["square", "half"], &["positive"], &[])
        .node("Log", &["positive"], &["log"], &[])
        .node("Sqrt", &["positive"], &["sqrt"], &[])
        .node("Pow", &["positive", "half"], &["root"], &[])
        .node("Pow", &["positive", "third"], &["cube_root"], &[])
        .node("Pow", &["positive", "powers"], &["power"], &[])
        .node("Div", &["one", "positive"], &["inverse"], &[])
        .node("Div", &["x", "positive"], &["quotient"], &[])
        .node("Div", &["quotient", "half"], &["double"], &[])
        .node("Gelu", &["x"], &["gelu"], &[])
        .node("Gelu", &["x"], &["gelu_tanh"], &[("approximate", Attr::S("tanh"))])
        .node("Mish", &["x"], &["mish"], &[])
        .node("Sum", &["log", "sqrt", "root", "cube_root", "power"], &["first"], &[])
        .node("Max", &["inverse", "double", "gelu"], &["second"], &[])
        .node("Min", &["gelu_tanh", "mish", "power"], &["third_sum"], &[])
        .node("Mean", &["first", "second", "third_sum"], &["y"], &[])
        .output("y");
    let graph = graph(&model);
    let x = array(&[2, 3, 4], 8);
    let exact = evaluate(&graph, &[NamedArray::new("x", x.clone())]).unwrap();
    for (found, expected) in run(&graph, &x).into_iter().zip(exact[0].array.to_f32()) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} is not {expected}");
    }
    let has = |wanted: &Operator| graph.nodes.iter().any(|n| n.operator == *wanted);
    assert!(has(&Operator::Unary(Unary::Reciprocal)) && has(&Operator::Pair(Pair::Div)));
    assert_eq!(graph.nodes.iter().filter(|n| n.operator == Operator::Unary(Unary::Sqrt)).count(), 2);
}

/// As exporters write weights that are standardized: statistics of the weights themselves, known when the model is read.
#[test]
fn standardized_weights_are_constants() {
    let ones = |n: usize| Array::f32(vec![n], vec![1.0; n]);
    let model = ModelBuilder::new(17)
        .input("x", &[1, 3, 4, 4])
        .weight("w", array(&[1, 2, 12], 3))
        .weight("scale", Array::f32(vec![2], vec![0.5, 2.0]))
        .weight("zero", Array::f32(vec![2], vec![0.0; 2]))
        .weight("one", ones(2))
        .weight("grid", Array::new(vec![4], ArrayData::I64(vec![2, 3, 2, 2])))
        .node("BatchNormalization", &["w", "scale", "zero", "zero", "one"], &["s"], &[("training_mode", Attr::I(1))])
        .node("Reshape", &["s", "grid"], &["k"], &[])
        .node("Conv", &["x", "k"], &["y"], &[])
        .output("y");
    let graph = graph(&model);
    let weights: Vec<&[f32]> =
        graph.nodes.iter().filter_map(|n| graph.tensor(n.inputs[1]).constant.as_ref()?.as_f32()).collect();
    let [kernel] = weights[..] else { panic!("{:?}", graph.nodes) };
    for (channel, scale) in kernel.chunks(12).zip([0.5, 2.0]) {
        let mean = channel.iter().sum::<f32>() / 12.0;
        let variance = channel.iter().map(|w| (w - mean) * (w - mean)).sum::<f32>() / 12.0;
        assert!(mean.abs() < 1e-6 && (variance.sqrt() - scale).abs() < 1e-3, "{mean} {variance}");
    }
}

#[test]
fn slopes_per_channel_leave_no_transpose() {
    let conv = |model: ModelBuilder, x: &str, y: &str| {
        let weights = format!("{y}_w");
        model.weight(&weights, array(&[3, 3, 1, 1], 2)).node("Conv", &[x, &weights], &[y], &[])
    };
    let model = conv(ModelBuilder::new(16).input("x", &[1, 3, 6, 5]), "x", "a");
    let model = model.weight("slope", array(&[3, 1, 1], 6)).node("PRelu", &["a", "slope"], &["r"], &[]);
    let model = conv(model.node("Max", &["r", "slope"], &["m"], &[]), "m", "y").output("y");
    let operators: Vec<_> = graph(&model).nodes.into_iter().map(|n| n.operator).collect();
    assert_eq!(operators.len(), 4, "{operators:?}");
    assert!(operators.contains(&Operator::Pair(Pair::PRelu)) && operators.contains(&Operator::Pair(Pair::Max)));
}

#[test]
fn limits_and_constants_become_clamps() {
    let model = ModelBuilder::new(13)
        .input("x", &[1, 4])
        .weight("w", array(&[4, 4], 1))
        .weight("low", Array::f32(vec![], vec![-0.5]))
        .weight("high", Array::f32(vec![1], vec![0.5]))
        .node("MatMul", &["x", "w"], &["m"], &[])
        .node("Max", &["m", "low"], &["a"], &[])
        .node("Min", &["a", "high"], &["y"], &[])
        .output("y");
    assert_eq!(graph(&model).nodes.len(), 1);
}
