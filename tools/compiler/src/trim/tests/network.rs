//! Small int8 graphs with planted channels, and both images of a graph side by side.

use crate::array::{Array, ArrayData};
use crate::choose;
use crate::graph::{
    Binary, Clamp, Constant, Graph, Node, Operator, Origin, Port, Quantization, Tensor, TensorId, Window,
};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::runner::ImageRunner;
use crate::trim::{TrimReport, trim};
use std::num::NonZeroUsize;
use tinfer::isa::Isa;
use tinfer::kernels::portable::SumOrder;
use tinfer::tensor::ElementType;

/// A graph under construction.
pub struct Network {
    pub graph: Graph,
    random: u64,
}

/// What an output channel of a layer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Random weights.
    Living,
    /// No weights; the bias gives this value.
    Constant(i8),
    /// Weights, and a bias so low that the clamp takes everything.
    Clamped,
}

/// Every activation has this zero point unless it is given one.
pub const ZERO_POINT: i32 = -7;

pub const RELU: Clamp = Clamp { min: Some(0.0), max: None };
pub const OPEN: Clamp = Clamp { min: None, max: None };

impl Network {
    pub fn new(seed: u64, input: &[usize]) -> (Self, TensorId) {
        let mut network = Network { graph: Graph::default(), random: seed.wrapping_mul(2) | 1 };
        network.graph.name = "test".into();
        let id = network.activation("x", input);
        network.graph.inputs.push(port(&network.graph, id));
        (network, id)
    }

    pub fn finish(mut self, outputs: &[TensorId]) -> Graph {
        self.graph.outputs = outputs.iter().map(|&id| port(&self.graph, id)).collect();
        self.graph
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % n
    }

    pub fn activation(&mut self, name: &str, shape: &[usize]) -> TensorId {
        self.graph.add_tensor(Tensor {
            name: name.into(),
            shape: shape.to_vec(),
            element_type: ElementType::I8,
            constant: None,
            quantization: Some(Quantization::per_tensor(0.05, ZERO_POINT)),
            origin: Some(Origin::whole(name, shape)),
        })
    }

    pub fn node(&mut self, name: &str, operator: Operator, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let output = self.activation(name, shape);
        let node =
            Node { name: name.into(), onnx: "Test".into(), operator, inputs: inputs.to_vec(), outputs: vec![output] };
        self.graph.nodes.push(node);
        output
    }

    pub fn shape(&self, id: TensorId) -> Vec<usize> {
        self.graph.tensor(id).shape.clone()
    }

    /// An int8 constant with the quantization of activations.
    pub fn constant(&mut self, name: &str, shape: &[usize], values: Vec<i8>) -> TensorId {
        let id = self.graph.add_constant(name, shape.to_vec(), Constant::I8(values));
        self.graph.tensor_mut(id).quantization = Some(Quantization::per_tensor(0.05, ZERO_POINT));
        id
    }

    /// Weights and bias of `planted.len()` output channels with `filter` weights each, output channel first.
    fn layer(&mut self, name: &str, shape: Vec<usize>, axis: usize, planted: &[Planted]) -> [TensorId; 2] {
        let n = planted.len();
        let filter = shape.iter().product::<usize>() / n;
        let at = |o: usize, i: usize| if axis == 0 { o * filter + i } else { i * n + o };
        let mut weights = vec![0i8; n * filter];
        let mut bias = vec![0i32; n];
        for (o, kind) in planted.iter().enumerate() {
            for i in 0..filter {
                if *kind == Planted::Living || *kind == Planted::Clamped {
                    weights[at(o, i)] = self.below(61) as i8 - 30;
                }
            }
            bias[o] = match *kind {
                Planted::Living => self.below(2000) as i32 - 1000,
                // Scales of input and output are equal and the weights' scale is 1/64.
                Planted::Constant(value) => (i32::from(value) - ZERO_POINT) * 64,
                Planted::Clamped => -(filter as i32) * 30 * 256 - 64,
            };
        }
        let w = self.graph.add_constant(&format!("{name}.w"), shape, Constant::I8(weights));
        self.graph.tensor_mut(w).quantization = Some(Quantization { scales: vec![1.0 / 64.0; n], zero_point: 0, axis });
        let b = self.graph.add_constant(&format!("{name}.b"), vec![n], Constant::I32(bias));
        [w, b]
    }

    pub fn conv(&mut self, name: &str, x: TensorId, window: Window, clamp: Clamp, planted: &[Planted]) -> TensorId {
        self.grouped(name, x, window, 1, clamp, planted)
    }

    pub fn grouped(
        &mut self,
        name: &str,
        x: TensorId,
        window: Window,
        groups: usize,
        clamp: Clamp,
        planted: &[Planted],
    ) -> TensorId {
        let [_, h, w, c] = self.shape(x)[..] else { panic!("not NHWC") };
        let [kh, kw] = window.kernel;
        let [weights, bias] = self.layer(name, vec![planted.len(), kh, kw, c / groups], 0, planted);
        let shape = [1, extent(h, &window, 0), extent(w, &window, 1), planted.len()];
        self.node(name, Operator::Conv2d { window, groups, clamp }, &[x, weights, bias], &shape)
    }

    pub fn depthwise(&mut self, name: &str, x: TensorId, window: Window, clamp: Clamp) -> TensorId {
        let [_, h, w, c] = self.shape(x)[..] else { panic!("not NHWC") };
        let [kh, kw] = window.kernel;
        let [weights, bias] = self.layer(name, vec![kh, kw, c], 2, &vec![Planted::Living; c]);
        let shape = [1, extent(h, &window, 0), extent(w, &window, 1), c];
        self.node(name, Operator::DepthwiseConv2d { window, multiplier: 1, clamp }, &[x, weights, bias], &shape)
    }

    pub fn fully_connected(&mut self, name: &str, x: TensorId, clamp: Clamp, planted: &[Planted]) -> TensorId {
        let mut shape = self.shape(x);
        let n_inputs = *shape.last().unwrap();
        *shape.last_mut().unwrap() = planted.len();
        let [weights, bias] = self.layer(name, vec![planted.len(), n_inputs], 0, planted);
        self.node(name, Operator::FullyConnected { clamp }, &[x, weights, bias], &shape)
    }

    pub fn binary(&mut self, name: &str, function: Binary, a: TensorId, b: TensorId) -> TensorId {
        let shape = self.shape(a);
        self.node(name, Operator::Binary { function, clamp: OPEN }, &[a, b], &shape)
    }

    pub fn max_pool(&mut self, name: &str, x: TensorId, window: Window) -> TensorId {
        let [_, h, w, c] = self.shape(x)[..] else { panic!("not NHWC") };
        let shape = [1, extent(h, &window, 0), extent(w, &window, 1), c];
        self.node(name, Operator::MaxPool2d { window }, &[x], &shape)
    }

    pub fn average_pool(&mut self, name: &str, x: TensorId, window: Window) -> TensorId {
        let [_, h, w, c] = self.shape(x)[..] else { panic!("not NHWC") };
        let shape = [1, extent(h, &window, 0), extent(w, &window, 1), c];
        let operator = Operator::AveragePool2d { window, count_include_pad: true, sums: SumOrder::Taps, clamp: OPEN };
        self.node(name, operator, &[x], &shape)
    }

    pub fn concat(&mut self, name: &str, inputs: &[TensorId]) -> TensorId {
        let mut shape = self.shape(inputs[0]);
        let axis = shape.len() - 1;
        shape[axis] = inputs.iter().map(|&i| self.shape(i)[axis]).sum();
        self.node(name, Operator::Concat { axis }, inputs, &shape)
    }

    pub fn flatten(&mut self, name: &str, x: TensorId) -> TensorId {
        let n = self.shape(x).iter().product();
        self.node(name, Operator::Reshape, &[x], &[1, n])
    }

    /// Lets no output of layer `name` read input channel `channel`.
    pub fn ignore(&mut self, name: &str, channel: usize) {
        let weights = self.graph.tensors.iter_mut().find(|t| t.name == format!("{name}.w")).unwrap();
        let n_inputs = *weights.shape.last().unwrap();
        let Some(Constant::I8(values)) = &mut weights.constant else { panic!("no weights") };
        values.iter_mut().skip(channel).step_by(n_inputs).for_each(|w| *w = 0);
    }

    /// Only the middle tap of a 3x3 layer keeps its weights for input channel `channel`.
    pub fn only_middle(&mut self, name: &str, channel: usize) {
        let weights = self.graph.tensors.iter_mut().find(|t| t.name == format!("{name}.w")).unwrap();
        let n_inputs = *weights.shape.last().unwrap();
        let Some(Constant::I8(values)) = &mut weights.constant else { panic!("no weights") };
        for (i, w) in values.iter_mut().enumerate().filter(|(i, _)| i % n_inputs == channel) {
            *w = if i / n_inputs % 9 == 4 { 21 } else { 0 };
        }
    }
}

pub fn window(kernel: usize, stride: usize, padding: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], padding: [padding; 2] }
}

fn extent(n: usize, window: &Window, axis: usize) -> usize {
    (n + 2 * window.padding[axis] - window.kernel[axis]) / window.stride[axis] + 1
}

fn port(graph: &Graph, id: TensorId) -> Port {
    let tensor = graph.tensor(id);
    Port {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        batched: false,
        element_type: ElementType::I8,
        tensor: id,
        permutation: (0..tensor.shape.len()).collect(),
    }
}

/// Trims, and compares both images on extreme and random inputs, with the kernels of every instruction set.
pub fn check_equal(graph: &Graph) -> (Graph, TrimReport) {
    check_equal_to(graph, &trim(graph, NonZeroUsize::new(4).unwrap()).graph);
    let trimmed = trim(graph, NonZeroUsize::MIN);
    check_equal_to(graph, &trimmed.graph);
    (trimmed.graph, trimmed.report)
}

fn check_equal_to(graph: &Graph, trimmed: &Graph) {
    let shape = graph.inputs[0].shape.clone();
    let n: usize = shape.iter().product();
    let (mut random, _) = Network::new(77, &shape);
    let filled = |f: &mut dyn FnMut(usize) -> i8| (0..n).map(f).collect::<Vec<i8>>();
    let mut inputs = vec![
        filled(&mut |_| -128),
        filled(&mut |_| 127),
        filled(&mut |i| if i % 2 == 0 { -128 } else { 127 }),
        filled(&mut |i| if i % 3 == 0 { 127 } else { -128 }),
    ];
    inputs.extend((0..40).map(|_| filled(&mut |_| random.below(256) as u8 as i8)));
    for isa in [Isa::Portable, Isa::Armv7em, Isa::Mve] {
        let image = |graph: &Graph| {
            let options = PackOptions { isa: Some(isa), ..PackOptions::default() };
            pack(graph, &plan(graph, &choose::for_isa(isa)), &options).unwrap().bytes
        };
        let (whole, small) = (image(graph), image(trimmed));
        let (mut whole, mut small) = (ImageRunner::new(&whole).unwrap(), ImageRunner::new(&small).unwrap());
        for values in &inputs {
            let input = [Array::new(shape.clone(), ArrayData::I8(values.clone()))];
            assert_eq!(whole.run(&input).unwrap(), small.run(&input).unwrap(), "{isa:?} {values:?}");
        }
    }
}

/// [`check_equal`], and that tensors have so many channels afterwards; 0 is a tensor that is gone.
pub fn check(graph: &Graph, expected: &[(&str, usize)]) -> TrimReport {
    let (after, report) = check_equal(graph);
    for (name, channels) in expected {
        let found = after.tensors.iter().find(|t| t.name == *name).map_or(0, |t| *t.shape.last().unwrap());
        assert_eq!(found, *channels, "{name}\n{report}");
    }
    assert_eq!(report.macs_before, graph.macs());
    assert_eq!(report.macs_after, after.macs());
    report
}
