//! Whole graphs: int8 images against float32 images of the same graph.

mod adopt;
mod forms;
mod islands;
mod masks;
mod moves;
mod random_qdq;

use super::*;
use crate::array::Array;
use crate::choose::Chosen;
use crate::graph::{Binary, Node, Origin, Pair, Port, Tensor, Window};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::runner::ImageRunner;
use tinfer::kernels::portable::SumOrder;
use tinfer::tensor::ElementType;

/// A graph under construction; every activation has an origin of its own name.
struct Builder {
    graph: Graph,
    random: u64,
}

impl Builder {
    fn new(seed: u64, input: &[usize]) -> (Self, TensorId) {
        let mut builder = Builder { graph: Graph::default(), random: seed.wrapping_mul(2) | 1 };
        builder.graph.name = "test".into();
        let id = builder.activation("x", input);
        builder.graph.inputs.push(port(&builder.graph, id));
        (builder, id)
    }

    fn activation(&mut self, name: &str, shape: &[usize]) -> TensorId {
        self.graph.add_tensor(Tensor {
            name: name.into(),
            shape: shape.to_vec(),
            element_type: ElementType::F32,
            constant: None,
            quantization: None,
            origin: Some(Origin::whole(name, shape)),
        })
    }

    fn node(&mut self, name: &str, operator: Operator, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let output = self.activation(name, shape);
        let node =
            Node { name: name.into(), onnx: "Test".into(), operator, inputs: inputs.to_vec(), outputs: vec![output] };
        self.graph.nodes.push(node);
        output
    }

    /// Uniform between -1 and 1.
    fn uniform(&mut self) -> f32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// A constant of uniform values up to `scale`, each slice along the last or first axis with its own size.
    fn weights(&mut self, name: &str, shape: &[usize], scale: f32) -> TensorId {
        let values = (0..shape.iter().product()).map(|_| self.uniform() * scale).collect();
        self.graph.add_constant(name, shape.to_vec(), Constant::F32(values))
    }

    fn conv(&mut self, name: &str, x: TensorId, kernel: usize, n_outputs: usize, clamp: Clamp) -> TensorId {
        let shape = self.graph.tensor(x).shape.clone();
        let n_inputs = shape[3];
        let spread = (3.0 / (kernel * kernel * n_inputs) as f32).sqrt();
        let weights = self.weights(&format!("{name}.w"), &[n_outputs, kernel, kernel, n_inputs], spread);
        let bias = self.weights(&format!("{name}.b"), &[n_outputs], 0.2);
        let operator = Operator::Conv2d { window: window(kernel, 1, kernel / 2), groups: 1, clamp };
        self.node(name, operator, &[x, weights, bias], &[1, shape[1], shape[2], n_outputs])
    }

    fn depthwise(&mut self, name: &str, x: TensorId, clamp: Clamp) -> TensorId {
        let shape = self.graph.tensor(x).shape.clone();
        let weights = self.weights(&format!("{name}.w"), &[3, 3, shape[3]], 0.6);
        let bias = self.weights(&format!("{name}.b"), &[shape[3]], 0.2);
        let operator = Operator::DepthwiseConv2d { window: window(3, 1, 1), multiplier: 1, clamp };
        self.node(name, operator, &[x, weights, bias], &shape)
    }

    fn unary(&mut self, name: &str, function: Unary, x: TensorId) -> TensorId {
        let shape = self.graph.tensor(x).shape.clone();
        self.node(name, Operator::Unary(function), &[x], &shape)
    }

    fn binary(&mut self, name: &str, function: Binary, a: TensorId, b: TensorId) -> TensorId {
        let shape = self.graph.tensor(a).shape.clone();
        self.node(name, Operator::Binary { function, clamp: OPEN }, &[a, b], &shape)
    }

    fn max_pool(&mut self, name: &str, x: TensorId) -> TensorId {
        let shape = self.graph.tensor(x).shape.clone();
        let operator = Operator::MaxPool2d { window: window(2, 2, 0) };
        self.node(name, operator, &[x], &[1, shape[1] / 2, shape[2] / 2, shape[3]])
    }

    fn concat(&mut self, name: &str, inputs: &[TensorId]) -> TensorId {
        let mut shape = self.graph.tensor(inputs[0]).shape.clone();
        let axis = shape.len() - 1;
        shape[axis] = inputs.iter().map(|&i| self.graph.tensor(i).shape[axis]).sum();
        self.node(name, Operator::Concat { axis }, inputs, &shape)
    }

    fn finish(mut self, outputs: &[TensorId]) -> Graph {
        for &id in outputs {
            let port = port(&self.graph, id);
            self.graph.outputs.push(port);
        }
        self.graph
    }
}

fn window(kernel: usize, stride: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], padding: [padding; 2] }
}

fn port(graph: &Graph, id: TensorId) -> Port {
    let tensor = graph.tensor(id);
    Port {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        batched: false,
        element_type: ElementType::F32,
        tensor: id,
        permutation: (0..tensor.shape.len()).collect(),
    }
}

fn samples(shape: &[usize], n: usize) -> Vec<Array> {
    let (mut random, _) = Builder::new(99, shape);
    let n_elements: usize = shape.iter().product();
    (0..n).map(|_| Array::f32(shape.to_vec(), (0..n_elements).map(|_| random.uniform()).collect())).collect()
}

fn run(graph: &Graph, samples: &[Array], show: &mut dyn FnMut(&str, &Array)) {
    let packed = pack(graph, &plan(graph, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    for sample in samples {
        for (port, output) in graph.outputs.iter().zip(runner.run(std::slice::from_ref(sample)).unwrap()) {
            show(&port.name, &output);
        }
    }
}

/// Observes everything that the float image computes.
fn observed(graph: &Graph, samples: &[Array]) -> Ranges {
    let mut all = graph.clone();
    all.outputs = graph.nodes.iter().map(|n| port(graph, n.outputs[0])).collect();
    calibrate(graph, samples, |sample, show| {
        show("x", sample);
        run(&all, std::slice::from_ref(sample), show);
        Ok::<(), QuantizeError>(())
    })
    .unwrap()
}

/// Quantizes, runs, and returns the quantized graph and the SQNR over all outputs of fresh samples in dB.
fn quantized(graph: &Graph, method: RangeMethod) -> (Graph, f64) {
    let samples = samples(&graph.inputs[0].shape, 24);
    let (calibration, fresh) = samples.split_at(16);
    let ranges = observed(graph, calibration);
    assert_eq!(ranges.n_samples(), 16);
    let int8 = quantize(graph.clone(), &ranges, &QuantizeOptions { method, ..QuantizeOptions::default() }).unwrap();
    let sqnr = sqnr_db(graph, &int8, fresh);
    (int8, sqnr)
}

/// SQNR of a graph's outputs against those of the float graph that it was made of.
fn sqnr_db(graph: &Graph, found: &Graph, fresh: &[Array]) -> f64 {
    let values = |graph: &Graph| {
        let mut values = Vec::new();
        run(graph, fresh, &mut |_, array| values.extend(array.to_f64()));
        values
    };
    let (expected, found) = (values(graph), values(found));
    let signal: f64 = expected.iter().map(|v| v * v).sum();
    let noise: f64 = expected.iter().zip(&found).map(|(a, b)| (a - b) * (a - b)).sum();
    10.0 * (signal / noise.max(1e-30)).log10()
}

fn check(graph: &Graph, floor_db: f64) -> Graph {
    let mut last = None;
    for method in [RangeMethod::MinMax, RangeMethod::Percentile(99.99), RangeMethod::Mse] {
        let (int8, sqnr) = quantized(graph, method);
        assert!(sqnr >= floor_db, "{method:?}: {sqnr:.1} dB, {floor_db} dB wanted");
        last = Some(int8);
    }
    last.unwrap()
}

fn quantization<'g>(graph: &'g Graph, name: &str) -> &'g Quantization {
    graph.tensors.iter().find(|t| t.name == name).unwrap().quantization.as_ref().unwrap()
}

fn count(graph: &Graph, operator: &Operator) -> usize {
    graph.nodes.iter().filter(|n| n.operator == *operator).count()
}

const OPEN: Clamp = Clamp { min: None, max: None };
const RELU: Clamp = Clamp { min: Some(0.0), max: None };

fn classifier(seed: u64) -> Graph {
    let (mut b, x) = Builder::new(seed, &[1, 8, 8, 3]);
    let conv = b.conv("conv", x, 3, 8, RELU);
    let depthwise = b.depthwise("depthwise", conv, Clamp { min: Some(0.0), max: Some(6.0) });
    let pool = b.max_pool("pool", depthwise);
    let flat = b.node("flat", Operator::Reshape, &[pool], &[1, 128]);
    let weights = b.weights("fc.w", &[5, 128], 0.15);
    let bias = b.weights("fc.b", &[5], 0.5);
    let logits = b.node("fc", Operator::FullyConnected { clamp: OPEN }, &[flat, weights, bias], &[1, 5]);
    let softmax = b.node("softmax", Operator::Softmax, &[logits], &[1, 5]);
    b.finish(&[softmax])
}

#[test]
fn classifiers_keep_their_outputs() {
    for seed in 1..=12 {
        let int8 = check(&classifier(seed), 25.0);
        assert_eq!(*quantization(&int8, "softmax"), Quantization::per_tensor(1.0 / 256.0, -128));
        assert_eq!(quantization(&int8, "flat"), quantization(&int8, "depthwise"));
        assert!(int8.tensors.iter().all(|t| t.element_type != ElementType::F32));
    }
}

#[test]
fn mixtures_of_operators_keep_their_outputs() {
    for seed in 1..=12 {
        let (mut b, x) = Builder::new(seed, &[1, 6, 6, 4]);
        let a = b.conv("a", x, 3, 8, OPEN);
        let gate = b.unary("gate", Unary::Sigmoid, a);
        let silu = b.binary("silu", Binary::Mul, a, gate);
        let tanh = b.unary("tanh", Unary::Tanh, silu);
        let scale = b.weights("scale", &[8], 2.0);
        let scaled = b.binary("scaled", Binary::Mul, silu, scale);
        let sum = b.binary("sum", Binary::Add, scaled, tanh);
        let difference = b.binary("difference", Binary::Sub, sum, a);
        let pad = Operator::Pad { pads: vec![[0, 0], [1, 1], [1, 1], [0, 0]], value: 0.5 };
        let padded = b.node("padded", pad, &[difference], &[1, 8, 8, 8]);
        let pool = Operator::AveragePool2d {
            window: window(2, 2, 0),
            count_include_pad: false,
            sums: SumOrder::Taps,
            clamp: OPEN,
        };
        let pooled = b.node("pooled", pool, &[padded], &[1, 4, 4, 8]);
        let moved = Operator::Transpose { permutation: vec![0, 3, 1, 2] };
        let moved = b.node("moved", moved, &[pooled], &[1, 8, 4, 4]);
        let clipped = b.unary("clipped", Unary::Clamp(Clamp { min: Some(-0.7), max: Some(0.4) }), moved);
        check(&b.finish(&[moved, clipped]), 25.0);
    }
}

#[test]
fn concatenation_shares_one_quantization() {
    let (mut b, x) = Builder::new(5, &[1, 6, 6, 4]);
    let (a, c) = (b.conv("a", x, 3, 4, RELU), b.conv("c", x, 1, 6, OPEN));
    let joined = b.concat("joined", &[a, c]);
    let pooled = b.max_pool("pooled", joined);
    let int8 = check(&b.finish(&[pooled]), 25.0);
    assert_eq!(count(&int8, &Operator::Requantize), 0);
    for name in ["a", "c", "pooled"] {
        assert_eq!(quantization(&int8, name), quantization(&int8, "joined"));
    }
}

#[test]
fn concatenation_leaves_shared_and_fixed_operands_alone() {
    let (mut b, x) = Builder::new(6, &[1, 6, 6, 4]);
    let a = b.conv("a", x, 3, 4, RELU);
    let ten = b.graph.add_constant("ten", vec![1], Constant::F32(vec![10.0]));
    let wide = b.binary("wide", Binary::Mul, a, ten);
    let gate = b.unary("gate", Unary::Sigmoid, a);
    let joined = b.concat("joined", &[a, wide, gate, a]);
    let other = b.conv("other", a, 1, 4, OPEN);
    let int8 = check(&b.finish(&[joined, other]), 25.0);
    // `a` has other readers and a tenth of the range, `gate` has a fixed quantization; `a` is brought once.
    assert_eq!(count(&int8, &Operator::Requantize), 2);
    assert_ne!(quantization(&int8, "a"), quantization(&int8, "joined"));
    assert_eq!(quantization(&int8, "wide"), quantization(&int8, "joined"));
    assert_eq!(*quantization(&int8, "gate"), Quantization::per_tensor(1.0 / 256.0, -128));
}

#[test]
fn concatenated_gates_stay_gates() {
    let (mut b, x) = Builder::new(7, &[1, 4, 4, 4]);
    let (p, q) = (b.unary("p", Unary::Sigmoid, x), b.unary("q", Unary::Sigmoid, x));
    let joined = b.concat("joined", &[p, q]);
    let int8 = check(&b.finish(&[joined]), 25.0);
    assert_eq!(count(&int8, &Operator::Requantize), 0);
}

#[test]
fn concatenation_takes_constants() {
    let (mut b, x) = Builder::new(8, &[1, 4, 4, 4]);
    let constant = b.weights("constant", &[1, 4, 4, 2], 3.0);
    let joined = b.concat("joined", &[x, constant]);
    let sum = b.binary("sum", Binary::Add, joined, joined);
    check(&b.finish(&[sum]), 25.0);
}

#[test]
fn padding_below_everything_needs_no_range() {
    let (mut b, x) = Builder::new(9, &[1, 6, 6, 4]);
    let pads = vec![[0, 0], [1, 1], [1, 1], [0, 0]];
    let padded = b.node("padded", Operator::Pad { pads, value: -1e30 }, &[x], &[1, 8, 8, 4]);
    let pooled = b.max_pool("pooled", padded);
    let int8 = check(&b.finish(&[pooled]), 25.0);
    assert_eq!(count(&int8, &Operator::Requantize), 0);
}

#[test]
fn padding_that_does_not_fit_gets_a_range_that_does() {
    let (mut b, x) = Builder::new(10, &[1, 4, 4, 4]);
    let gate = b.unary("gate", Unary::Sigmoid, x);
    let pads = vec![[0, 0], [1, 1], [1, 1], [0, 0]];
    let padded = b.node("padded", Operator::Pad { pads, value: -3.0 }, &[gate], &[1, 6, 6, 4]);
    let int8 = check(&b.finish(&[padded]), 25.0);
    assert_eq!(count(&int8, &Operator::Requantize), 1);
    let range = Range::of_quantization(quantization(&int8, "padded"));
    assert!(range.min <= -2.98, "{range:?}");
}

#[test]
fn tied_and_shared_constants_are_quantized_for_each_reader() {
    let (mut b, x) = Builder::new(11, &[1, 4, 4, 4]);
    let a = b.conv("a", x, 1, 4, RELU);
    let (weights, bias) = (b.graph.nodes[0].inputs[1], b.graph.nodes[0].inputs[2]);
    let operator = b.graph.nodes[0].operator.clone();
    let again = b.node("again", operator, &[a, weights, bias], &[1, 4, 4, 4]);
    let sum = b.binary("sum", Binary::Add, again, bias);
    check(&b.finish(&[sum]), 25.0);
}

/// Any function of one element is a table.
#[test]
fn functions_of_one_element() {
    for function in [
        Unary::Abs,
        Unary::Exp,
        Unary::LeakyRelu { slope: 0.1 },
        Unary::Elu { alpha: 1.0 },
        Unary::Selu { alpha: 1.67, gamma: 1.05 },
        Unary::HardSigmoid { slope: 0.2, offset: 0.5 },
        Unary::HardSwish,
        Unary::Softplus,
        Unary::Softsign,
        Unary::Gelu,
        Unary::GeluTanh,
        Unary::Erf,
        Unary::Mish,
        Unary::Swish { alpha: 1.0 },
        Unary::Power { exponent: 2.0 },
    ] {
        let (mut b, x) = Builder::new(41, &[1, 6, 6, 4]);
        let conv = b.conv("conv", x, 3, 8, OPEN);
        let y = b.unary("function", function, conv);
        check(&b.finish(&[y]), 25.0);
    }
}

/// The larger of two has one quantization with both of them, and with a constant.
#[test]
fn the_larger_of_two() {
    let (mut b, x) = Builder::new(42, &[1, 6, 6, 4]);
    let left = b.conv("left", x, 3, 8, OPEN);
    let right = b.conv("right", x, 1, 8, RELU);
    let limits = b.weights("limits", &[8], 0.3);
    let larger = b.node("larger", Operator::Pair(Pair::Max), &[left, right], &[1, 6, 6, 8]);
    let smaller = b.node("smaller", Operator::Pair(Pair::Min), &[larger, limits], &[1, 6, 6, 8]);
    let int8 = check(&b.finish(&[smaller]), 25.0);
    assert_eq!(quantization(&int8, "larger"), quantization(&int8, "left"));
    assert_eq!(quantization(&int8, "smaller"), quantization(&int8, "larger"));
}

/// Sets the constant of this name.
fn set(graph: &mut Graph, name: &str, value: impl Fn(usize, f32) -> f32) {
    let tensor = graph.tensors.iter_mut().find(|t| t.name == name).unwrap();
    let Some(Constant::F32(values)) = &mut tensor.constant else { panic!("{name} is no float constant") };
    for (i, v) in values.iter_mut().enumerate() {
        *v = value(i, *v);
    }
}

/// Extremes of weights and biases: the result must stay as good as the values allow.
#[test]
fn extreme_channels() {
    let check = |name: &str, change: &dyn Fn(&mut Graph)| {
        let (mut b, x) = Builder::new(12, &[1, 6, 6, 4]);
        let conv = b.conv("conv", x, 3, 4, OPEN);
        let mut graph = b.finish(&[conv]);
        change(&mut graph);
        let (_, sqnr) = quantized(&graph, RangeMethod::Mse);
        assert!(sqnr >= 25.0, "{name}: {sqnr:.1} dB");
    };
    check("a channel of zeros", &|g| set(g, "conv.w", |i, v| if i < 36 { 0.0 } else { v }));
    check("only zeros", &|g| set(g, "conv.w", |_, _| 0.0));
    check("negative only", &|g| set(g, "conv.b", |_, v| v - 10.0));
    check("huge bias", &|g| set(g, "conv.b", |i, v| if i == 1 { 1e9 } else { v }));
    check("huge bias over tiny weights", &|g| {
        set(g, "conv.w", |_, v| v * 1e-12);
        set(g, "conv.b", |_, v| v * 100.0);
    });
    check("weights near nothing", &|g| set(g, "conv.w", |i, v| if i < 36 { v * 1e-37 } else { v }));
    check("channels of unlike sizes", &|g| set(g, "conv.w", |i, v| v * [1.0, 0.1, 0.01, 10.0][i / 36]));
    check("no spread at all", &|g| {
        set(g, "conv.w", |_, _| 0.0);
        set(g, "conv.b", |_, _| 0.25);
    });
}

#[test]
fn constant_tensors_have_a_scale() {
    let (mut b, x) = Builder::new(13, &[1, 4, 4, 4]);
    let conv = b.conv("conv", x, 3, 4, RELU);
    let zero = b.binary("zero", Binary::Sub, conv, conv);
    let mut graph = b.finish(&[zero, conv]);
    set(&mut graph, "conv.w", |_, v| v * 1e9);
    check(&graph, 25.0);
    set(&mut graph, "conv.w", |_, _| 0.0);
    set(&mut graph, "conv.b", |_, _| -1.0);
    let (int8, _) = quantized(&graph, RangeMethod::Mse);
    assert_eq!(quantization(&int8, "conv").scales, [1.0 / 255.0]);
}

/// A float32 tensor that an int8 model converts back and forth takes the int8 steps.
#[test]
fn islands_of_int8_keep_their_steps() {
    let (mut b, x) = Builder::new(14, &[1, 4, 4, 4]);
    let steps = b.node("steps", Operator::Requantize, &[x], &[1, 4, 4, 4]);
    let real = b.node("real", Operator::Requantize, &[steps], &[1, 4, 4, 4]);
    let pooled = b.max_pool("pooled", real);
    let mut graph = b.finish(&[pooled]);
    let given = Quantization::per_tensor(0.03, 5);
    graph.tensor_mut(steps).element_type = ElementType::I8;
    graph.tensor_mut(steps).quantization = Some(given.clone());
    let int8 = quantize(graph, &Ranges::default(), &QuantizeOptions::default()).unwrap();
    assert_eq!(int8.nodes.len(), 1);
    assert_eq!(*quantization(&int8, "pooled"), given);
}

#[test]
fn refusals_name_the_tensor_and_the_cure() {
    let check = |change: &dyn Fn(&mut Graph, &mut Ranges), expected: &str, cure: &str| {
        let mut graph = classifier(3);
        let mut ranges = observed(&graph, &samples(&[1, 8, 8, 3], 2));
        change(&mut graph, &mut ranges);
        let error = quantize(graph, &ranges, &QuantizeOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().contains(cure), "{}", error.hint());
    };
    check(&|_, ranges| *ranges = Ranges::default(), "tensor x has no observed range", "--calibration");
    check(
        &|_, ranges| ranges.observe("fc", &Array::f32(vec![2], vec![f32::NAN, f32::INFINITY])),
        "tensor fc had 2 values that are NaN or infinite",
        "remove the calibration samples",
    );
    check(
        &|graph, _| {
            let (fc, input) = (graph.nodes.len() - 2, graph.nodes[0].inputs[0]);
            graph.nodes[fc].inputs[1] = input;
        },
        "the weights of node fc are no constants",
        "--precision float32",
    );
    check(
        &|graph, _| {
            let pads = vec![[0, 0]; 2];
            graph.nodes[3].operator = Operator::Pad { pads, value: f32::NEG_INFINITY };
        },
        "node flat pads with -inf, which int8 cannot hold",
        "--precision float32",
    );
}

#[test]
fn only_tensors_of_the_graph_are_observed() {
    let mut ranges = Ranges::of_graph(&classifier(1));
    ranges.observe("elsewhere", &Array::f32(vec![1], vec![1.0]));
    ranges.observe("fc", &Array::f32(vec![1], vec![1.0]));
    assert!(ranges.histogram("elsewhere").is_none());
    assert_eq!(ranges.histogram("fc").and_then(Histogram::min_max), Some((1.0, 1.0)));
    assert!(ranges.histogram("conv").is_none());
}
