//! Models that compute in more than one number format.

use super::*;
use tinfer::kernels::portable::SumOrder;

/// Options that ask for float32 at some nodes.
fn floats(names: &[&str]) -> QuantizeOptions {
    let nodes = names.iter().map(|name| (name.to_string(), Level::Float32)).collect();
    QuantizeOptions { precisions: Precisions { nodes, ..Precisions::default() }, ..QuantizeOptions::default() }
}

/// The quantized graph, and how far its outputs are from those of the float graph, in dB.
fn with(graph: &Graph, options: &QuantizeOptions) -> (Graph, f64) {
    let samples = samples(&graph.inputs[0].shape, 24);
    let (calibration, fresh) = samples.split_at(16);
    let mixed = quantize(graph.clone(), &observed(graph, calibration), options).unwrap();
    let sqnr = sqnr_db(graph, &mixed, fresh);
    (mixed, sqnr)
}

fn types(graph: &Graph) -> Vec<(&str, ElementType)> {
    graph.nodes.iter().map(|n| (&*n.name, graph.tensor(n.outputs[0]).element_type)).collect()
}

fn three_layers() -> Graph {
    let (mut b, x) = Builder::new(21, &[1, 6, 6, 3]);
    let a = b.conv("a", x, 3, 6, RELU);
    let c = b.conv("b", a, 3, 6, RELU);
    let c = b.conv("c", c, 1, 4, OPEN);
    b.finish(&[c])
}

#[test]
fn a_layer_in_float32_has_conversions_around_it() {
    let graph = three_layers();
    let (mixed, sqnr) = with(&graph, &floats(&["b"]));
    let (i8, f32) = (ElementType::I8, ElementType::F32);
    let found = types(&mixed);
    assert_eq!(found, [("a", i8), ("a_float32", f32), ("b", f32), ("b_int8", i8), ("c", i8)]);
    assert!(sqnr > 30.0, "{sqnr:.1} dB");
    let (all, exact) = with(&graph, &floats(&["a", "b", "c"]));
    assert_eq!(types(&all), [("a", f32), ("b", f32), ("c", f32)]);
    assert!(exact > 150.0, "{exact:.1} dB");
    let (_, none) = with(&graph, &floats(&[]));
    assert!(none < sqnr && sqnr < exact, "{none:.1} < {sqnr:.1} < {exact:.1}");
}

#[test]
fn readers_of_one_tensor_share_its_conversion() {
    let (mut b, x) = Builder::new(22, &[1, 6, 6, 3]);
    let a = b.conv("a", x, 3, 6, RELU);
    let (p, q) = (b.conv("p", a, 1, 4, OPEN), b.conv("q", a, 1, 4, OPEN));
    let r = b.conv("r", a, 1, 4, OPEN);
    let (mixed, _) = with(&b.finish(&[p, q, r]), &floats(&["p", "q"]));
    assert_eq!(count(&mixed, &Operator::Requantize), 1);
    assert_eq!(mixed.nodes.len(), 5);
}

#[test]
fn movement_and_cheap_functions_follow_their_neighbours() {
    let (mut b, x) = Builder::new(23, &[1, 6, 6, 4]);
    let a = b.conv("a", x, 3, 4, OPEN);
    let pooled = b.max_pool("pooled", a);
    let tanh = b.unary("tanh", Unary::Tanh, pooled);
    let moved = Operator::Transpose { permutation: vec![0, 2, 1, 3] };
    let moved = b.node("moved", moved, &[tanh], &[1, 3, 3, 4]);
    let c = b.conv("c", moved, 1, 4, OPEN);
    let (mixed, sqnr) = with(&b.finish(&[c]), &floats(&["a", "c"]));
    assert_eq!(count(&mixed, &Operator::Requantize), 0);
    assert!(sqnr > 150.0, "{sqnr:.1} dB");
}

#[test]
fn inputs_that_nobody_reads_in_steps_stay_real() {
    let (mut b, x) = Builder::new(24, &[1, 6, 6, 4]);
    let pads = vec![[0, 0], [1, 1], [1, 1], [0, 0]];
    let padded = b.node("padded", Operator::Pad { pads, value: f32::NEG_INFINITY }, &[x], &[1, 8, 8, 4]);
    let pooled = b.max_pool("pooled", padded);
    let c = b.conv("c", pooled, 1, 4, OPEN);
    let d = b.conv("d", c, 1, 4, OPEN);
    let (mixed, _) = with(&b.finish(&[d]), &floats(&["c"]));
    assert_eq!(mixed.tensor(mixed.inputs[0].tensor).element_type, ElementType::F32);
    assert_eq!(count(&mixed, &Operator::Requantize), 1);
}

#[test]
fn constants_of_islands_stay_real_and_may_be_infinite() {
    let (mut b, x) = Builder::new(25, &[1, 4, 4, 4]);
    let a = b.conv("a", x, 1, 4, OPEN);
    let mask = b.graph.add_constant("mask", vec![4], Constant::F32(vec![0.0, f32::NEG_INFINITY, 0.0, -1e30]));
    let masked = b.binary("masked", Binary::Add, a, mask);
    let softmax = b.node("softmax", Operator::Softmax, &[masked], &[1, 4, 4, 4]);
    let c = b.conv("c", softmax, 1, 4, OPEN);
    let (mixed, sqnr) = with(&b.finish(&[c]), &floats(&["masked", "softmax"]));
    assert!(sqnr > 25.0, "{sqnr:.1} dB");
    assert_eq!(mixed.tensors.iter().find(|t| t.name == "mask").unwrap().element_type, ElementType::F32);
}

#[test]
fn plain_integers_pass_untouched() {
    let (mut b, x) = Builder::new(26, &[1, 4, 4, 4]);
    let a = b.conv("a", x, 1, 4, OPEN);
    let ids = b.activation("ids", &[2, 3]);
    let flat = b.node("flat", Operator::Reshape, &[ids], &[6]);
    for id in [ids, flat] {
        b.graph.tensor_mut(id).element_type = ElementType::I64;
    }
    let mut graph = b.finish(&[a, flat]);
    graph.inputs.push(port(&graph, ids));
    let mut ranges = Ranges::of_graph(&graph);
    for name in ["x", "a"] {
        ranges.observe(name, &Array::f32(vec![2], vec![-1.0, 1.0]));
    }
    let mixed = quantize(graph, &ranges, &QuantizeOptions::default()).unwrap();
    for name in ["ids", "flat"] {
        let tensor = mixed.tensors.iter().find(|t| t.name == name).unwrap();
        assert_eq!((tensor.element_type, &tensor.quantization), (ElementType::I64, &None), "{name}");
    }
}

/// Options for one level everywhere, but for some nodes.
fn at(default: Level, others: &[(&str, Level)]) -> QuantizeOptions {
    let nodes = others.iter().map(|&(name, level)| (name.to_string(), level)).collect();
    QuantizeOptions { precisions: Precisions { default, nodes }, ..QuantizeOptions::default() }
}

/// Weights that int8 holds exactly: 127 steps of 1/127.
fn on_steps(graph: &mut Graph) {
    for tensor in graph.tensors.iter_mut().filter(|t| t.name.ends_with(".w")) {
        let filter = tensor.n_elements() / tensor.shape[0];
        let is_depthwise = tensor.shape.len() == 3;
        let Some(Constant::F32(values)) = &mut tensor.constant else { continue };
        for (i, v) in values.iter_mut().enumerate() {
            let is_first = if is_depthwise { i < tensor.shape[2] } else { i % filter == 0 };
            *v = if is_first { 1.0 } else { (*v * 127.0).round() / 127.0 };
        }
    }
}

#[test]
fn int16_activations_lose_little() {
    for seed in 1..=6 {
        let (mut b, x) = Builder::new(seed, &[1, 6, 6, 4]);
        let a = b.conv("a", x, 3, 8, OPEN);
        let d = b.depthwise("d", a, RELU);
        let gate = b.unary("gate", Unary::Sigmoid, d);
        let silu = b.binary("silu", Binary::Mul, d, gate);
        let scale = b.weights("scale", &[8], 2.0);
        let scaled = b.binary("scaled", Binary::Mul, silu, scale);
        let sum = b.binary("sum", Binary::Add, scaled, a);
        let difference = b.binary("difference", Binary::Sub, sum, d);
        let pad = Operator::Pad { pads: vec![[0, 0], [1, 1], [1, 1], [0, 0]], value: 0.5 };
        let padded = b.node("padded", pad, &[difference], &[1, 8, 8, 8]);
        let pool = Operator::AveragePool2d {
            window: window(2, 2, 0),
            count_include_pad: false,
            sums: SumOrder::Taps,
            clamp: OPEN,
        };
        let pooled = b.node("pooled", pool, &[padded], &[1, 4, 4, 8]);
        let largest = b.max_pool("largest", pooled);
        let moved = Operator::Transpose { permutation: vec![0, 3, 1, 2] };
        let moved = b.node("moved", moved, &[largest], &[1, 8, 2, 2]);
        let clipped = b.unary("clipped", Unary::Clamp(Clamp { min: Some(-0.7), max: Some(1.4) }), moved);
        let joined = b.concat("joined", &[moved, clipped]);
        let flat = b.node("flat", Operator::Reshape, &[joined], &[1, 64]);
        let weights = b.weights("fc.w", &[5, 64], 0.3);
        let logits = b.node("fc", Operator::FullyConnected { clamp: OPEN }, &[flat, weights], &[1, 5]);
        let softmax = b.node("softmax", Operator::Softmax, &[logits], &[1, 5]);
        let mut graph = b.finish(&[softmax, clipped, logits]);
        on_steps(&mut graph);
        let (int16, sqnr) = with(&graph, &at(Level::Int16, &[]));
        assert!(sqnr >= 65.0, "{sqnr:.1} dB");
        let types = types(&int16);
        assert!(types.iter().all(|t| t.1 == ElementType::I16), "{types:?}");
    }
}

#[test]
fn levels_meet_in_every_pair() {
    let (mut b, x) = Builder::new(31, &[1, 6, 6, 3]);
    let levels = [Level::Int8, Level::Int16, Level::Int8, Level::Float32, Level::Int16, Level::Float32, Level::Int8];
    let mut y = x;
    let names: Vec<String> = (0..levels.len()).map(|i| format!("layer {i}")).collect();
    for name in &names {
        y = b.conv(name, y, 1, 4, OPEN);
    }
    let mut graph = b.finish(&[y]);
    on_steps(&mut graph);
    let wanted: Vec<(&str, Level)> = names.iter().map(String::as_str).zip(levels).collect();
    let (mixed, sqnr) = with(&graph, &at(Level::Int8, &wanted));
    assert_eq!(count(&mixed, &Operator::Requantize), 6);
    assert!(sqnr > 25.0, "{sqnr:.1} dB");
    for (name, level) in wanted {
        let node = mixed.nodes.iter().find(|n| n.name == name).unwrap();
        assert_eq!(mixed.tensor(node.outputs[0]).element_type, level.element_type(), "{name}");
    }
}

#[test]
fn a_format_that_an_operator_does_not_have_is_refused_by_name_and_avoided_by_default() {
    let (mut b, x) = Builder::new(32, &[1, 4, 4]);
    let operator = Operator::BatchMatmul { transpose_b: false };
    let square = b.node("square", operator, &[x, x], &[1, 4, 4]);
    let graph = b.finish(&[square]);
    let samples = samples(&[1, 4, 4], 4);
    let ranges = observed(&graph, &samples);
    let error = quantize(graph.clone(), &ranges, &at(Level::Int8, &[("square", Level::Int16)])).unwrap_err();
    assert_eq!(error.to_string(), "node square (Test) does not exist in int16");
    assert!(error.hint().contains("it is chosen then"));
    let (by_default, sqnr) = with(&graph, &at(Level::Int16, &[]));
    assert_eq!(types(&by_default), [("square", ElementType::F32)]);
    assert!(sqnr > 120.0, "{sqnr:.1} dB");
}

#[test]
fn what_nobody_can_observe_is_float32_and_its_neighbours_are_not() {
    let (mut b, x) = Builder::new(41, &[1, 6, 6, 4]);
    let a = b.conv("a", x, 3, 4, OPEN);
    let inside = b.binary("inside", Binary::Mul, a, a);
    let inside = b.binary("deeper", Binary::Add, inside, a);
    let c = b.conv("c", inside, 1, 4, OPEN);
    for name in ["inside", "deeper"] {
        let id = b.graph.tensors.iter().position(|t| t.name == name).unwrap();
        b.graph.tensors[id].origin = None;
    }
    let d = b.conv("d", c, 1, 4, OPEN);
    let (mixed, sqnr) = with(&b.finish(&[d]), &QuantizeOptions::default());
    let found = types(&mixed);
    let of = |name: &str| found.iter().find(|(n, _)| *n == name).unwrap().1;
    assert_eq!([of("a"), of("inside"), of("deeper"), of("d")], {
        let (i8, f32) = (ElementType::I8, ElementType::F32);
        [i8, f32, f32, i8]
    });
    assert!(sqnr > 30.0, "{sqnr:.1} dB");
}

#[test]
fn an_observable_tensor_without_a_range_is_still_refused() {
    let graph = three_layers();
    let error = quantize(graph, &Ranges::default(), &QuantizeOptions::default()).unwrap_err();
    assert!(matches!(error, QuantizeError::NoRange { .. }), "{error}");
}

#[test]
fn choices_follow_their_operand() {
    use crate::graph::Reduction;
    use tinfer::kernels::portable::{Order, ReduceFunction, Tie};
    let (mut b, x) = Builder::new(42, &[1, 6, 6, 4]);
    let a = b.conv("a", x, 3, 4, OPEN);
    let reduce = |function| Operator::Reduction(Reduction::Reduce { function, axes: Some(vec![3]), keeps_dims: false });
    let max = b.node("max", reduce(ReduceFunction::Max), &[a], &[1, 6, 6]);
    let sum = b.node("sum", reduce(ReduceFunction::Sum), &[a], &[1, 6, 6]);
    let find = Operator::Reduction(Reduction::ArgExtreme { axis: 3, order: Order::Descending, tie: Tie::First });
    let (mixed, _) = with(&b.finish(&[max, sum]), &QuantizeOptions::default());
    let found = types(&mixed);
    assert!(found.contains(&("max", ElementType::I8)) && found.contains(&("sum", ElementType::F32)), "{found:?}");
    assert_eq!(quantization(&mixed, "max"), quantization(&mixed, "a"));
    for operator in [reduce(ReduceFunction::Max), find] {
        assert!(has_form(&operator, Level::Int8));
    }
    assert!(
        !has_form(&reduce(ReduceFunction::Max), Level::Int16) && !has_form(&reduce(ReduceFunction::Sum), Level::Int8)
    );
}

#[test]
fn a_constant_that_steps_and_real_numbers_share_is_both() {
    let (mut b, x) = Builder::new(24, &[1, 6, 6, 3]);
    let zero = b.graph.add_constant("zero", vec![], Constant::F32(vec![0.0]));
    let a = b.conv("a", x, 3, 6, OPEN);
    let larger = b.node("larger", Operator::Pair(Pair::Max), &[zero, a], &[1, 6, 6, 6]);
    let c = b.conv("c", larger, 3, 4, OPEN);
    let y = b.node("y", Operator::Pair(Pair::Max), &[zero, c], &[1, 6, 6, 4]);
    let graph = b.finish(&[y]);
    for options in [floats(&["y"]), floats(&["larger"]), floats(&[])] {
        let (_, sqnr) = with(&graph, &options);
        assert!(sqnr > 25.0, "{sqnr:.1} dB with {:?}", options.precisions.nodes);
    }
}
