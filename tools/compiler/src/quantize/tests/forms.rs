//! Random small networks, written in the many forms that exporters have: all of it is int8.

use super::*;
use crate::array::{ArrayData, NamedArray};
use crate::import::Reference;
use crate::import::build::{Attr, ModelBuilder};
use crate::lower::lower;
use crate::metrics::Comparison;
use crate::passes::simplify;

/// A file under construction: `x` is the tensor that goes on, `[1, channels, ..]`.
struct Net {
    model: ModelBuilder,
    random: u64,
    n_names: usize,
    x: String,
    shape: Vec<usize>,
    /// What was done, for reports.
    story: Vec<String>,
}

impl Net {
    fn new(seed: u64) -> Self {
        let mut net = Net {
            model: ModelBuilder::new(14),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            n_names: 0,
            x: "x".into(),
            shape: Vec::new(),
            story: Vec::new(),
        };
        let channels = [1, 2, 3, 4, 8][net.below(5)];
        net.shape = match net.below(2) {
            0 => vec![1, channels, 2 * (6 + net.below(12))],
            _ => vec![1, channels, 2 * (3 + net.below(4)), 2 * (3 + net.below(4))],
        };
        net.model = net.model.input("x", &net.shape.clone());
        net
    }

    fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % n
    }

    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.below(10_000) as f32 / 10_000.0 - 0.5).sum::<f32>() * std::f32::consts::SQRT_2
    }

    fn name(&mut self) -> String {
        self.n_names += 1;
        format!("t{}", self.n_names)
    }

    fn weight(&mut self, shape: &[usize], fan_in: usize) -> String {
        let size = (1.5 / fan_in as f32).sqrt();
        let values = (0..shape.iter().product()).map(|_| self.normal() * size).collect();
        self.constant(Array::f32(shape.to_vec(), values))
    }

    fn constant(&mut self, array: Array) -> String {
        let name = self.name();
        self.model = self.model.clone().weight(&name, array);
        name
    }

    fn ints(&mut self, values: &[i64]) -> String {
        self.constant(Array::new(vec![values.len()], ArrayData::I64(values.to_vec())))
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: &[(&str, Attr)]) -> String {
        let y = self.name();
        self.model = self.model.clone().node(operator, inputs, &[&y], attributes);
        y
    }

    /// The tensor goes through an operator.
    fn apply(&mut self, operator: &str, others: &[&str], attributes: &[(&str, Attr)], shape: Vec<usize>) {
        let x = self.x.clone();
        let inputs: Vec<&str> = [&*x].into_iter().chain(others.iter().copied()).collect();
        self.story.push(format!("{operator} {shape:?}"));
        self.x = self.node(operator, &inputs, attributes);
        self.shape = shape;
    }

    fn transpose(&mut self, p: &[usize]) {
        let shape = p.iter().map(|&axis| self.shape[axis]).collect();
        let perm = Attr::Is(p.iter().map(|&axis| axis as i64).collect());
        self.apply("Transpose", &[], &[("perm", perm)], shape);
    }

    fn reshape(&mut self, shape: &[usize]) {
        let to = self.ints(&shape.iter().map(|&d| d as i64).collect::<Vec<_>>());
        self.apply("Reshape", &[&to], &[], shape.to_vec());
    }

    fn unsqueeze(&mut self, axis: usize) {
        let axes = self.ints(&[axis as i64]);
        let mut shape = self.shape.clone();
        shape.insert(axis, 1);
        self.apply("Unsqueeze", &[&axes], &[], shape);
    }

    fn squeeze(&mut self, axis: usize) {
        let axes = self.ints(&[axis as i64]);
        let mut shape = self.shape.clone();
        shape.remove(axis);
        self.apply("Squeeze", &[&axes], &[], shape);
    }

    /// A convolution over the last axes, depthwise now and then; an axis of length 1 has a kernel of 1.
    fn conv(&mut self) {
        let channels = self.shape[1];
        let depthwise = channels > 1 && self.below(4) == 0;
        let (outputs, groups) = if depthwise { (channels, channels) } else { ([4, 6, 8, 12][self.below(4)], 1) };
        let size = [1, 3, 5][self.below(3)];
        let kernel: Vec<usize> = self.shape[2..].iter().map(|&d| if d == 1 { 1 } else { size }).collect();
        let stride = if self.below(4) == 0 { 2 } else { 1 };
        let strides: Vec<usize> = self.shape[2..].iter().map(|&d| if d == 1 { 1 } else { stride }).collect();
        let shape = [&[outputs, channels / groups], &kernel[..]].concat();
        let weights = self.weight(&shape, shape[1..].iter().product());
        let bias = self.weight(&[outputs], 20);
        let is = |values: &[usize]| Attr::Is(values.iter().map(|&v| v as i64).collect());
        let pads: Vec<usize> = kernel.iter().chain(&kernel).map(|k| k / 2).collect();
        let attributes = [("pads", is(&pads)), ("strides", is(&strides)), ("group", Attr::I(groups as i64))];
        let spatial = self.shape[2..].iter().zip(&strides).map(|(d, s)| (d - 1) / s + 1);
        let shape = [1, outputs].into_iter().chain(spatial).collect();
        self.apply("Conv", &[&weights, &bias], &attributes, shape);
    }

    /// A convolution as converters from channels-last frameworks write it.
    fn moved_conv(&mut self) {
        match (self.shape.len(), self.below(3)) {
            (3, 0) => {
                self.unsqueeze(2);
                self.conv();
                self.squeeze(2);
            }
            (3, 1) => {
                self.transpose(&[0, 2, 1]);
                self.unsqueeze(1);
                self.transpose(&[0, 3, 1, 2]);
                self.conv();
                self.transpose(&[0, 2, 3, 1]);
                self.squeeze(1);
                self.activation();
                self.transpose(&[0, 2, 1]);
            }
            (4, 0) => {
                let (h, w) = (self.shape[2], self.shape[3]);
                self.reshape(&[1, self.shape[1], h * w]);
                self.conv();
            }
            (4, 1) => {
                self.transpose(&[0, 2, 3, 1]);
                self.activation();
                self.transpose(&[0, 3, 1, 2]);
                self.conv();
            }
            _ => self.conv(),
        }
    }

    /// Some function of single elements.
    fn activation(&mut self) {
        let shape = self.shape.clone();
        if self.below(2) == 0 {
            let operators = ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Elu"];
            let operator = operators[self.below(operators.len())];
            return self.apply(operator, &[], &[], shape);
        }
        let x = self.x.clone();
        let (name, y) = self.spelled_out(&x);
        self.story.push(format!("{name} spelled out {shape:?}"));
        self.x = y;
    }

    /// An activation in several nodes, as exporters write it.
    fn spelled_out(&mut self, x: &str) -> (&'static str, String) {
        let scalar = |net: &mut Self, value: f32| net.constant(Array::f32(vec![], vec![value]));
        let by = |net: &mut Self, operator: &str, a: &str, value: f32| {
            let value = scalar(net, value);
            net.node(operator, &[a, &value], &[])
        };
        match self.below(8) {
            0 => {
                let sum = by(self, "Add", x, 3.0);
                let (zero, six) = (scalar(self, 0.0), scalar(self, 6.0));
                let gate = self.node("Clip", &[&sum, &zero, &six], &[]);
                let product = self.node("Mul", &[x, &gate], &[]);
                ("hard swish", by(self, "Div", &product, 6.0))
            }
            1 => {
                let gate = self.node("Sigmoid", &[x], &[]);
                ("silu", self.node("Mul", &[x, &gate], &[]))
            }
            2 => {
                let soft = self.node("Softplus", &[x], &[]);
                let gate = self.node("Tanh", &[&soft], &[]);
                ("mish", self.node("Mul", &[&gate, x], &[]))
            }
            3 => {
                let root = by(self, "Div", x, std::f32::consts::SQRT_2);
                let erf = self.node("Erf", &[&root], &[]);
                let gate = by(self, "Add", &erf, 1.0);
                let product = self.node("Mul", &[x, &gate], &[]);
                ("gelu", by(self, "Mul", &product, 0.5))
            }
            4 => {
                let steep = by(self, "Mul", x, 1.702);
                let gate = self.node("Sigmoid", &[&steep], &[]);
                ("quick gelu", self.node("Mul", &[x, &gate], &[]))
            }
            5 => {
                let is_high = by(self, "Greater", x, 0.0);
                let low = by(self, "Mul", x, 0.1);
                ("leaky relu by where", self.node("Where", &[&is_high, x, &low], &[]))
            }
            6 => {
                let high = by(self, "Max", x, 0.0);
                let low = by(self, "Min", x, 0.0);
                let small = by(self, "Mul", &low, 0.25);
                ("prelu by max and min", self.node("Add", &[&high, &small], &[]))
            }
            _ => {
                let size = self.node("Abs", &[x], &[]);
                let sum = by(self, "Add", &size, 1.0);
                ("softsign", self.node("Div", &[x, &sum], &[]))
            }
        }
    }

    fn pool(&mut self) {
        if self.shape[2..].iter().any(|&d| d < 4) {
            return;
        }
        let operator = ["MaxPool", "AveragePool"][self.below(2)];
        let twos = || Attr::Is(vec![2; self.shape.len() - 2]);
        let attributes = [("kernel_shape", twos()), ("strides", twos())];
        let shape = self.shape[..2].iter().copied().chain(self.shape[2..].iter().map(|d| d / 2)).collect();
        self.apply(operator, &[], &attributes, shape);
    }

    /// The tensor plus a convolution of it.
    fn residual(&mut self) {
        let (x, channels) = (self.x.clone(), self.shape[1]);
        let weights = self.weight(&[channels, channels, 3, 3][..self.shape.len()], channels * 3);
        let pads = Attr::Is(vec![1; 2 * (self.shape.len() - 2)]);
        let shape = self.shape.clone();
        self.apply("Conv", &[&weights], &[("pads", pads)], shape.clone());
        self.apply("Add", &[&x], &[], shape);
    }

    fn head(&mut self) {
        let (channels, rank) = (self.shape[1], self.shape.len());
        let n = match self.below(5) {
            0 => return,
            1 => {
                let pooled = [&[1, channels], &vec![1; rank - 2][..]].concat();
                let operator = ["GlobalAveragePool", "GlobalMaxPool"][self.below(2)];
                self.apply(operator, &[], &[], pooled);
                channels
            }
            2 => {
                let axes = Attr::Is((2..rank as i64).collect());
                let shape = vec![1, channels];
                self.apply("ReduceMean", &[], &[("axes", axes), ("keepdims", Attr::I(0))], shape);
                channels
            }
            _ => self.shape.iter().product(),
        };
        if self.shape != [1, n] {
            self.apply("Flatten", &[], &[], vec![1, n]);
        }
        if self.below(2) == 0 {
            self.activation();
        }
        let weights = self.weight(&[n, 5], n);
        self.apply("MatMul", &[&weights], &[], vec![1, 5]);
    }

    fn finish(mut self) -> (ModelBuilder, Vec<String>) {
        let model = std::mem::replace(&mut self.model, ModelBuilder::new(14));
        (model.output(&self.x), self.story)
    }
}

fn network(seed: u64) -> (ModelBuilder, Vec<usize>, Vec<String>) {
    let mut net = Net::new(seed);
    let shape = net.shape.clone();
    for _ in 0..1 + net.below(3) {
        match net.below(6) {
            0 => net.residual(),
            1 | 2 => net.moved_conv(),
            _ => net.conv(),
        }
        // A clamp before or behind the pool.
        match net.below(4) {
            0 => {}
            1 => {
                net.pool();
                net.activation();
            }
            2 => {
                net.activation();
                net.pool();
            }
            _ => net.activation(),
        }
    }
    net.head();
    let (model, story) = net.finish();
    (model, shape, story)
}

/// The int8 graph of a file, and how far the outputs of its image are from those of the float model, in dB.
fn int8_of(model: &ModelBuilder, shape: &[usize]) -> Result<(Graph, f64), QuantizeError> {
    let imported = model.import().unwrap();
    let graph = simplify(lower(&imported).unwrap()).graph;
    let reference = Reference::new(&imported).unwrap();
    let inputs = |n: usize| samples(shape, n).into_iter().map(|x| [NamedArray::new("x", x)]);
    let ranges = calibrate(&graph, inputs(24), |x, tap: &mut dyn FnMut(&str, &Array)| {
        reference.run_with_taps(&x, tap).map(|_| ())
    });
    let int8 = quantize(graph, &ranges.unwrap(), &QuantizeOptions::default())?;
    let mut comparison = Comparison::default();
    let packed = pack(&int8, &plan(&int8, &|_, _| Chosen::PORTABLE), &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    for x in inputs(24) {
        let expected = reference.run(&x).unwrap();
        let found = runner.run(&[x[0].array.clone()]).unwrap();
        comparison.add(&expected[0].array.to_f32(), &found[0].to_f32());
    }
    Ok((int8, comparison.sqnr_db()))
}

/// What is wrong with the int8 image of a network, if something is.
fn problem(seed: u64) -> Option<String> {
    let (model, shape, story) = network(seed);
    let story = story.join(", ");
    let (int8, db) = match int8_of(&model, &shape) {
        Ok(found) => found,
        Err(error) => return Some(format!("{error}: {story}")),
    };
    let is_real = |id: TensorId| int8.tensor(id).element_type == ElementType::F32;
    let real = int8.nodes.iter().find(|n| n.outputs.iter().any(|&y| is_real(y) && !int8.is_output(y)));
    match real {
        Some(node) => Some(format!("{} ({}) is float32: {story}", node.name, node.onnx)),
        None => (db < LEAST_DB).then(|| format!("{db:.1} dB: {story}")),
    }
}

/// `TINFER_TEST_GRAPHS=2000` tries as many.
#[test]
fn networks_in_any_form_are_int8() {
    let n = std::env::var("TINFER_TEST_GRAPHS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let problems: Vec<String> = (0..n).filter_map(|seed| Some(format!("{seed}: {}", problem(seed)?))).collect();
    assert!(problems.is_empty(), "{} of {n}:\n{}", problems.len(), problems.join("\n"));
}

/// Bounds without end are none, on either side and wherever they stand.
#[test]
fn infinite_constants_limit_nothing() {
    let scalar = |value: f32| Array::f32(vec![], vec![value]);
    let start = || {
        let weights = (0..32).map(|i| (i as f32 * 0.7).sin()).collect();
        ModelBuilder::new(13)
            .input("x", &[1, 8])
            .weight("w", Array::f32(vec![8, 4], weights))
            .weight("lowest", scalar(f32::NEG_INFINITY))
            .weight("highest", scalar(f32::INFINITY))
            .weight("some", Array::f32(vec![4], vec![f32::NEG_INFINITY, 0.1, f32::NEG_INFINITY, -0.2]))
            .node("MatMul", &["x", "w"], &["l"], &[])
    };
    let largest = || start().node("ReduceMax", &["l"], &["m"], &[("axes", Attr::Is(vec![1]))]);
    let check = |model: ModelBuilder| {
        let (_, db) = int8_of(&model.output("y"), &[1, 8]).unwrap();
        assert!(db > 30.0, "{db:.1} dB");
    };
    check(largest().node("Max", &["lowest", "m"], &["n"], &[]).node("Sub", &["l", "n"], &["y"], &[]));
    check(largest().node("Min", &["m", "highest"], &["n"], &[]).node("Sub", &["l", "n"], &["y"], &[]));
    check(start().node("Clip", &["l", "lowest", "highest"], &["y"], &[]));
    check(start().node("Max", &["l", "some"], &["y"], &[]));
    let computed = largest().node("ReduceMin", &["m"], &["low"], &[("keepdims", Attr::I(0))]);
    check(computed.node("Clip", &["l", "low", "highest"], &["y"], &[]));
    // An infinite result is none.
    let nonsense = start().node("Add", &["l", "highest"], &["y"], &[]).output("y");
    assert!(matches!(int8_of(&nonsense, &[1, 8]), Err(QuantizeError::NotFinite { .. })));
}

/// A variance over an axis that no normalization has stays real, until something is divided by its root.
#[test]
fn deviations_are_no_int8() {
    let scalar = |value: f32| Array::f32(vec![], vec![value]);
    let mean =
        |model: ModelBuilder, x: &str, y: &str| model.node("ReduceMean", &[x], &[y], &[("axes", Attr::Is(vec![1]))]);
    let start = ModelBuilder::new(13).input("x", &[1, 16, 4]).weight("epsilon", scalar(1e-6)).node(
        "Mul",
        &["x", "x"],
        &["square"],
        &[],
    );
    let model = mean(mean(start, "x", "mean"), "square", "squares")
        .node("Mul", &["mean", "mean"], &["squared"], &[])
        .node("Sub", &["squares", "squared"], &["variance"], &[])
        .node("Add", &["variance", "epsilon"], &["sum"], &[])
        .node("Sqrt", &["sum"], &["deviation"], &[])
        .node("Div", &["x", "deviation"], &["y"], &[]);
    let (graph, db) = int8_of(&model.output("y"), &[1, 16, 4]).unwrap();
    assert!(db > 30.0, "{db:.1} dB");
    let type_of = |name: &str| graph.tensors.iter().find(|t| t.name == name).unwrap().element_type;
    for name in ["square", "squared", "variance", "sum", "deviation"] {
        assert_eq!(type_of(name), ElementType::F32, "{name}");
    }
}

const LEAST_DB: f64 = 20.0;
