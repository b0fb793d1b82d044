//! Models that compute in more than one number format.

use super::*;

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
