//! Every pass keeps what a graph computes: images of the graph before and after give the same.

use crate::array::{Array, ArrayData};
use crate::choose::Chosen;
use crate::graph::{Binary, Clamp, Constant, Graph, Node, Operator, Port, Tensor, TensorId, Unary, Window};
use crate::pack::{PackOptions, pack};
use crate::passes::simplify;
use crate::plan::plan;
use crate::runner::ImageRunner;
use tinfer::tensor::ElementType;

const TO_NHWC: [usize; 4] = [0, 2, 3, 1];
const TO_NCHW: [usize; 4] = [0, 3, 1, 2];
const RELU: Clamp = Clamp { min: Some(0.0), max: None };

/// Builds graphs with one input and remembers the last result.
struct Builder {
    graph: Graph,
    seed: u32,
}

impl Builder {
    fn new(shape: &[usize]) -> (Self, TensorId) {
        let mut builder = Builder { graph: Graph { name: "test".into(), ..Graph::default() }, seed: 1 };
        let x = builder.tensor(shape.to_vec());
        builder.graph.inputs.push(port("x", x, shape));
        (builder, x)
    }

    fn tensor(&mut self, shape: Vec<usize>) -> TensorId {
        let name = format!("t{}", self.graph.tensors.len());
        let element_type = ElementType::F32;
        self.graph.add_tensor(Tensor { name, shape, element_type, constant: None, quantization: None, origin: None })
    }

    fn constant(&mut self, shape: &[usize]) -> TensorId {
        let values = (0..shape.iter().product::<usize>()).map(|_| self.random()).collect();
        self.graph.add_constant("c", shape.to_vec(), Constant::F32(values))
    }

    fn random(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn node(&mut self, operator: Operator, inputs: &[TensorId], shape: Vec<usize>) -> TensorId {
        let output = self.tensor(shape);
        let name = format!("n{}", self.graph.nodes.len());
        self.graph.nodes.push(Node {
            name,
            onnx: "Op".into(),
            operator,
            inputs: inputs.to_vec(),
            outputs: vec![output],
        });
        output
    }

    fn transpose(&mut self, x: TensorId, permutation: &[usize]) -> TensorId {
        let shape = permutation.iter().map(|&a| self.graph.tensor(x).shape[a]).collect();
        self.node(Operator::Transpose { permutation: permutation.to_vec() }, &[x], shape)
    }

    fn reshape(&mut self, x: TensorId, shape: &[usize]) -> TensorId {
        self.node(Operator::Reshape, &[x], shape.to_vec())
    }

    fn relu(&mut self, x: TensorId) -> TensorId {
        let shape = self.graph.tensor(x).shape.clone();
        self.node(Operator::Unary(Unary::Clamp(RELU)), &[x], shape)
    }

    fn binary(&mut self, function: Binary, a: TensorId, b: TensorId) -> TensorId {
        let (a_shape, b_shape) = (&self.graph.tensor(a).shape, &self.graph.tensor(b).shape);
        let shape = if a_shape.len() >= b_shape.len() { a_shape.clone() } else { b_shape.clone() };
        self.node(Operator::Binary { function, clamp: Clamp::default() }, &[a, b], shape)
    }

    /// An ONNX convolution over NCHW: 3x3, same padding.
    fn conv(&mut self, x: TensorId, n_outputs: usize) -> TensorId {
        let nhwc = self.transpose(x, &TO_NHWC);
        let shape = self.graph.tensor(nhwc).shape.clone();
        let weights = self.constant(&[n_outputs, 3, 3, shape[3]]);
        let bias = self.constant(&[n_outputs]);
        let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] };
        let operator = Operator::Conv2d { window, groups: 1, clamp: Clamp::default() };
        let y = self.node(operator, &[nhwc, weights, bias], vec![1, shape[1], shape[2], n_outputs]);
        self.transpose(y, &TO_NCHW)
    }

    fn max_pool(&mut self, x: TensorId) -> TensorId {
        let nhwc = self.transpose(x, &TO_NHWC);
        let shape = self.graph.tensor(nhwc).shape.clone();
        let window = Window { kernel: [2, 2], stride: [2, 2], dilation: [1, 1], padding: [0, 0] };
        let operator = Operator::MaxPool2d { window };
        let y = self.node(operator, &[nhwc], vec![1, shape[1] / 2, shape[2] / 2, shape[3]]);
        self.transpose(y, &TO_NCHW)
    }

    fn fully_connected(&mut self, x: TensorId, n_outputs: usize) -> TensorId {
        let shape = self.graph.tensor(x).shape.clone();
        let weights = self.constant(&[n_outputs, shape[1]]);
        self.node(Operator::FullyConnected { clamp: Clamp::default() }, &[x, weights], vec![shape[0], n_outputs])
    }

    fn flatten(&mut self, x: TensorId) -> TensorId {
        let n = self.graph.tensor(x).n_elements();
        self.reshape(x, &[1, n])
    }

    fn finish(mut self, output: TensorId) -> Graph {
        let shape = self.graph.tensor(output).shape.clone();
        self.graph.outputs.push(port("y", output, &shape));
        self.graph
    }
}

fn port(name: &str, tensor: TensorId, shape: &[usize]) -> Port {
    Port {
        name: name.into(),
        shape: shape.to_vec(),
        batched: true,
        element_type: ElementType::F32,
        tensor,
        permutation: (0..shape.len()).collect(),
    }
}

fn run(graph: &Graph) -> Vec<f32> {
    let planned = plan(graph, &|_, _| Chosen::PORTABLE);
    let packed = pack(graph, &planned, &PackOptions::default()).unwrap();
    let mut runner = ImageRunner::new(&packed.bytes).unwrap();
    let shape = graph.inputs[0].shape.clone();
    let n: usize = shape.iter().product();
    let data = ArrayData::F32((0..n).map(|i| ((i * 7919) % 101) as f32 / 50.0 - 1.0).collect());
    let outputs = runner.run(&[Array { shape, data }]).unwrap();
    match &outputs[0].data {
        ArrayData::F32(v) => v.clone(),
        other => panic!("{other:?}"),
    }
}

/// The simplified graph computes the same and has these operators left.
fn check(name: &str, graph: Graph, expected: &[&str]) {
    let before = run(&graph);
    let simplified = simplify(graph);
    let after = run(&simplified.graph);
    assert_eq!(before.len(), after.len(), "{name}");
    for (a, b) in before.iter().zip(&after) {
        assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{name}: {a} became {b}");
    }
    let left: Vec<String> = simplified
        .graph
        .nodes
        .iter()
        .filter(|n| n.operator != Operator::Reshape)
        .map(|n| format!("{:?}", n.operator).split([' ', '(']).next().unwrap_or_default().to_string())
        .collect();
    assert_eq!(left, expected, "{name}: {:#?}", simplified.graph.nodes);
    let n_transposes = left.iter().filter(|l| *l == "Transpose").count();
    assert_eq!(simplified.report.transposes.len(), n_transposes, "{name}");
}

#[test]
fn convolutions_in_a_row() {
    let (mut b, x) = Builder::new(&[1, 3, 4, 6]);
    let y = b.conv(x, 4);
    let y = b.relu(y);
    let y = b.conv(y, 5);
    check("nchw to nchw", b.finish(y), &["Conv2d", "Conv2d"]);
}

#[test]
fn residual_block_and_flatten() {
    let (mut b, x) = Builder::new(&[1, 3, 4, 4]);
    let a = b.conv(x, 4);
    let a = b.relu(a);
    let c = b.conv(a, 4);
    let sum = b.binary(Binary::Add, a, c);
    let sum = b.relu(sum);
    let pooled = b.max_pool(sum);
    let flat = b.flatten(pooled);
    let y = b.fully_connected(flat, 7);
    let bias = b.constant(&[7]);
    let y = b.binary(Binary::Add, y, bias);
    check("residual", b.finish(y), &["Conv2d", "Conv2d", "Binary", "MaxPool2d", "FullyConnected"]);
}

#[test]
fn normalisation_before_the_first_convolution() {
    let (mut b, x) = Builder::new(&[1, 3, 4, 5]);
    let mean = b.constant(&[1, 3, 1, 1]);
    let std = b.constant(&[3, 1, 1]);
    let y = b.binary(Binary::Sub, x, mean);
    let y = b.binary(Binary::Mul, y, std);
    let y = b.conv(y, 2);
    check("normalised", b.finish(y), &["Binary", "Binary", "Conv2d"]);
}

#[test]
fn clamp_behind_max_pool_reaches_the_convolution() {
    let (mut b, x) = Builder::new(&[1, 2, 4, 4]);
    let y = b.conv(x, 3);
    let y = b.max_pool(y);
    let y = b.relu(y);
    check("pool", b.finish(y), &["Conv2d", "MaxPool2d"]);
}

#[test]
fn a_clamp_behind_a_pool_that_cannot_take_it_stays() {
    let (mut b, x) = Builder::new(&[1, 2, 4, 4]);
    let y = b.max_pool(x);
    let y = b.relu(y);
    check("pool of an input", b.finish(y), &["MaxPool2d", "Unary"]);
}

#[test]
fn concatenation_and_padding_move_their_axes() {
    let (mut b, x) = Builder::new(&[1, 2, 4, 4]);
    let (a, c) = (b.conv(x, 3), b.conv(x, 2));
    let joined = b.node(Operator::Concat { axis: 1 }, &[a, c], vec![1, 5, 4, 4]);
    let pads = vec![[0, 0], [0, 0], [1, 1], [0, 1]];
    let padded = b.node(Operator::Pad { pads, value: 0.0 }, &[joined], vec![1, 5, 6, 5]);
    let y = b.conv(padded, 2);
    check("concat", b.finish(y), &["Conv2d", "Conv2d", "Concat", "Conv2d"]);
}

#[test]
fn padding_wider_than_the_kernel_stays() {
    let (mut b, x) = Builder::new(&[1, 2, 4, 4]);
    let pads = vec![[0, 0], [0, 0], [1, 2], [0, 0]];
    let padded = b.node(Operator::Pad { pads, value: 0.0 }, &[x], vec![1, 2, 7, 4]);
    let y = b.conv(padded, 2);
    check("pad", b.finish(y), &["Pad", "Conv2d"]);
}

#[test]
fn a_map_read_in_both_orders_keeps_one_transpose() {
    let (mut b, x) = Builder::new(&[1, 3, 4, 4]);
    let y = b.conv(x, 4);
    let rows = b.reshape(y, &[4, 16]);
    let y = b.fully_connected(rows, 3);
    check("rows", b.finish(y), &["Conv2d", "Transpose", "FullyConnected"]);
}

#[test]
fn one_dimensional_convolutions() {
    let (mut b, x) = Builder::new(&[1, 2, 9]);
    let mut y = x;
    for n_outputs in [3, 4] {
        let nlc = b.transpose(y, &[0, 2, 1]);
        let shape = b.graph.tensor(nlc).shape.clone();
        let map = b.reshape(nlc, &[1, 1, shape[1], shape[2]]);
        let weights = b.constant(&[n_outputs, 1, 3, shape[2]]);
        let window = Window { kernel: [1, 3], stride: [1, 1], dilation: [1, 1], padding: [0, 1] };
        let operator = Operator::Conv2d { window, groups: 1, clamp: Clamp::default() };
        let map = b.node(operator, &[map, weights], vec![1, 1, shape[1], n_outputs]);
        let nlc = b.reshape(map, &[1, shape[1], n_outputs]);
        y = b.transpose(nlc, &[0, 2, 1]);
        y = b.relu(y);
    }
    check("1-d", b.finish(y), &["Conv2d", "Conv2d"]);
}

#[test]
fn clamps_compose() {
    let (mut b, x) = Builder::new(&[1, 8]);
    let six = Clamp { min: Some(-0.5), max: Some(0.25) };
    let y = b.relu(x);
    let y = b.node(Operator::Unary(Unary::Clamp(six)), &[y], vec![1, 8]);
    check("clamps", b.finish(y), &["Unary"]);
}
