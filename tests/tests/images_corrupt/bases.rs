//! Small images that together use every operator, and one real model.

use super::moves;
use super::reductions;
use std::collections::BTreeMap;
use std::ops::Range;
use tinfer::image::{Envelope, Image};
use tinfer::isa::Isa;
use tinfer::kernels::portable::SumOrder;
use tinfer::kernels::portable::{IntegerFunction, Relation, Statistic};
use tinfer::operators::reduction::normalization::NormalizationResult;

use tinfer::preprocess::{Binarise, Channels, Fit, ImagePreprocess, Resize};
use tinfer::tensor::ElementType;
use tinfer_compiler::aligned::AlignedBytes;
use tinfer_compiler::choose::{Chosen, WinogradLayers, for_weights};
use tinfer_compiler::graph::{
    Binary, Clamp, Constant, Counted, Graph, IndexOrder, Node, Normalization, Operator, Pair, Port, Quantization,
    Tensor, TensorId, Unary, Window, Window3d, WindowNd,
};
use tinfer_compiler::import::{ImportOptions, import};
use tinfer_compiler::lower::lower;
use tinfer_compiler::pack::{PackOptions, pack};
use tinfer_compiler::passes::simplify;
use tinfer_compiler::plan::plan;
use tinfer_compiler::quantize::WeightFormat;
use tinfer_tests::root;

/// An image that works, and where its parts are.
pub struct Base {
    pub name: String,
    pub bytes: AlignedBytes,
    pub body: Vec<u8>,
    pub manifest: Vec<u8>,
    pub version: [u16; 3],
    pub arena_bytes: usize,
    /// Work units of one inference.
    pub work: u64,
    /// Ranges of the body: header with section table, PLAN, TENSORS, WEIGHTS, IO, DOC.
    pub parts: [Range<usize>; 6],
    /// Ranges of the body, one per step of the plan.
    pub steps: Vec<Range<usize>>,
    /// Operators that the plan uses.
    pub codes: Vec<u16>,
}

pub const PLAN: usize = 1;
pub const TENSORS: usize = 2;
pub const IO: usize = 4;

impl Base {
    fn new(name: &str, graph: &Graph, isa: Isa) -> Self {
        Self::with_winograd(name, graph, isa, &WinogradLayers::default())
    }

    fn with_winograd(name: &str, graph: &Graph, isa: Isa, winograd: &WinogradLayers) -> Self {
        Self::with_kernels(name, graph, isa, &|graph, node| winograd.choose(graph, node, isa))
    }

    fn with_kernels(name: &str, graph: &Graph, isa: Isa, choose: &dyn Fn(&Graph, &Node) -> Chosen) -> Self {
        // A little scratch for some steps more, so that there is some to damage.
        let scratch = |graph: &Graph, node: &Node| {
            let chosen = choose(graph, node);
            let more = if matches!(node.operator, Operator::Conv2d { .. }) { 32 } else { 0 };
            Chosen { scratch_bytes: chosen.scratch_bytes.max(more), ..chosen }
        };
        let picture = ImagePreprocess {
            width: 6,
            height: 6,
            channels: Channels::Rgb,
            resize: Resize::Bilinear,
            fit: Fit::Pad(7),
            binarise: Binarise::Otsu,
            scale: 0.01,
            mean: [1.0, 0.5, 0.25],
            std: [1.0, 2.0, 3.0],
        };
        let options = PackOptions {
            version: [1, 2, 3],
            isa: Some(isa),
            labels: vec!["cat".into(), "dog".into()],
            licence: Some("MIT".into()),
            preprocess: BTreeMap::from([("picture".to_string(), picture)]),
            ..PackOptions::default()
        };
        let bytes = pack(graph, &plan(graph, &scratch), &options).unwrap().bytes;
        let image = Image::check(&bytes).unwrap();
        let envelope = Envelope::open(&bytes).unwrap();
        let body = envelope.body().to_vec();
        let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap()) as usize;
        let section = |i: usize| word(64 + 16 * i + 4)..word(64 + 16 * i + 4) + word(64 + 16 * i + 8);
        let parts = [0..64 + 16 * 5, section(0), section(1), section(2), section(3), section(4)];
        let mut steps = Vec::new();
        let mut at = parts[PLAN].start;
        while at < parts[PLAN].end {
            let length = usize::from(u16::from_le_bytes([body[at + 4], body[at + 5]]));
            steps.push(at..at + length);
            at += length;
        }
        Base {
            name: name.to_string(),
            manifest: envelope.manifest().to_vec(),
            version: image.manifest().version,
            arena_bytes: image.arena_bytes(),
            work: image.header().work,
            codes: image.steps().map(|s| s.code).collect(),
            parts,
            steps,
            body,
            bytes,
        }
    }
}

/// All bases; the last one is much larger than the others.
pub fn bases() -> Vec<Base> {
    let mut bases = Vec::new();
    for precision in [ElementType::I8, ElementType::I16, ElementType::F32] {
        for (name, graph) in
            [("products", products as fn(_) -> _), ("windows", windows), ("elements", elements), ("moves", moves)]
        {
            bases.push(Base::new(&format!("{name} {}", precision.name()), &graph(precision), Isa::Portable));
        }
    }
    bases.push(Base::new("functions float32", &functions(), Isa::Portable));
    for (name, graph) in [("products", products as fn(_) -> _), ("windows", windows), ("elements", elements)] {
        for isa in [Isa::Armv7em, Isa::Mve] {
            bases.push(Base::new(&format!("{name} int8 for {}", isa.name()), &graph(ElementType::I8), isa));
        }
    }
    for element_type in [ElementType::U8, ElementType::I16, ElementType::I32, ElementType::I64] {
        let name = format!("moves of {}", element_type.name());
        bases.push(Base::new(&name, &moves::sized(element_type), Isa::Portable));
    }
    for element_type in [ElementType::F32, ElementType::I8] {
        let name = format!("resize in {}", element_type.name());
        bases.push(Base::new(&name, &moves::resize(element_type), Isa::Portable));
    }
    for element_type in [ElementType::F32, ElementType::I8, ElementType::U8, ElementType::I32, ElementType::I64] {
        let name = format!("choices of {}", element_type.name());
        bases.push(Base::new(&name, &reductions::choices(element_type), Isa::Portable));
    }
    bases.push(Base::new("normalizations", &reductions::normalizations(), Isa::Portable));
    bases.push(Base::new("large windows int8 for mve", &large_windows(ElementType::I8), Isa::Mve));
    let tiles = tiles();
    let winograd = WinogradLayers::within(&tiles, Isa::Armv7em, usize::MAX);
    bases.push(Base::with_winograd("tiles int8 for armv7em", &tiles, Isa::Armv7em, &winograd));
    let int4 = for_weights(Isa::Portable, WeightFormat::Int4);
    bases.push(Base::with_kernels("products with int4 weights", &int4_weights(), Isa::Portable, &int4));
    bases.push(Base::new("borders", &borders(), Isa::Portable));
    for precision in [ElementType::F32, ElementType::I8, ElementType::U8] {
        bases.push(Base::new(&format!("maxima {}", precision.name()), &maxima(precision), Isa::Portable));
    }
    bases.push(Base::new("rows", &rows(), Isa::Portable));
    bases.push(Base::new("file's layout float32", &file_layout(), Isa::Portable));
    let imported = import(&root().join("models/digits-cnn/digits-cnn.onnx"), &ImportOptions::default()).unwrap();
    bases.push(Base::new("digits-cnn", &simplify(lower(&imported).unwrap()).graph, Isa::Portable));
    bases
}

/// Convolutions, fully connected layers, matrix products.
fn products(precision: ElementType) -> Graph {
    let mut b = Builder::new("products", precision);
    let x = b.input("x", &[1, 6, 5, 4]);
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] };
    let clamp = Clamp { min: Some(0.0), max: Some(6.0) };
    let operator = Operator::Conv2d { window, groups: 2, clamp };
    let y = b.layer(operator, x, &[6, 3, 3, 2], 6, &[1, 6, 5, 6]);
    let window = Window { kernel: [2, 3], stride: [1, 1], dilation: [2, 1], padding: [2, 1] };
    let operator = Operator::Conv2d { window, groups: 1, clamp: Clamp::default() };
    let y = b.layer(operator, y, &[5, 2, 3, 6], 5, &[1, 6, 5, 5]);
    let window = Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], padding: [1, 1] };
    let operator = Operator::DepthwiseConv2d { window: window.clone(), multiplier: 1, clamp };
    let y = b.layer(operator, y, &[3, 3, 5], 5, &[1, 3, 3, 5]);
    let window = Window { stride: [1, 1], ..window };
    let operator = Operator::DepthwiseConv2d { window, multiplier: 2, clamp: Clamp::default() };
    let y = b.layer(operator, y, &[3, 3, 10], 10, &[1, 3, 3, 10]);
    let window = Window { kernel: [1, 3], stride: [1, 1], dilation: [1, 1], padding: [0, 1] };
    let operator = Operator::DepthwiseConv2d { window, multiplier: 1, clamp };
    let y = b.layer(operator, y, &[1, 3, 10], 10, &[1, 3, 3, 10]);
    let row = b.node(Operator::Reshape, &[y], &[1, 90]);
    let row = b.layer(Operator::FullyConnected { clamp }, row, &[3, 90], 3, &[1, 3]);
    if precision == ElementType::I16 {
        return b.finish(&[y, row]);
    }
    let window = Window { kernel: [4, 3], stride: [2, 2], dilation: [1, 2], padding: [1, 2] };
    let operator = Operator::ConvTranspose2d { window, groups: 2, clamp };
    let larger = b.layer(operator, y, &[6, 4, 3, 5], 6, &[1, 6, 6, 6]);
    let y = b.node(Operator::Reshape, &[y], &[9, 10]);
    let a = b.layer(Operator::FullyConnected { clamp: Clamp::default() }, y, &[4, 10], 4, &[9, 4]);
    let a = b.node(Operator::Reshape, &[a], &[3, 3, 4]);
    let c = b.layer(Operator::FullyConnected { clamp }, a, &[4, 4], 4, &[3, 3, 4]);
    let y = b.node(Operator::BatchMatmul { transpose_b: true }, &[a, c], &[3, 3, 3]);
    let y = b.node(Operator::BatchMatmul { transpose_b: false }, &[y, a], &[3, 3, 4]);
    let (p, q) = (b.input("p", &[7, 5]), b.input("q", &[5, 9]));
    let z = b.node(Operator::BatchMatmul { transpose_b: false }, &[p, q], &[7, 9]);
    b.finish(&[y, z, row, larger])
}

/// [`products`] with weights that four bits hold.
fn int4_weights() -> Graph {
    let mut graph = products(ElementType::I8);
    for tensor in &mut graph.tensors {
        if let Some(Constant::I8(steps)) = &mut tensor.constant {
            steps.iter_mut().for_each(|w| *w >>= 4);
        }
    }
    graph
}

/// Pools, the first of them over a picture.
fn windows(precision: ElementType) -> Graph {
    let mut b = Builder::new("windows", precision);
    let x = b.input("picture", &[1, 6, 6, 3]);
    let window = Window { kernel: [3, 2], stride: [1, 2], dilation: [1, 1], padding: [1, 0] };
    let y = b.node(Operator::MaxPool2d { window }, &[x], &[1, 6, 3, 3]);
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] };
    let operator =
        Operator::AveragePool2d { window, count_include_pad: true, sums: SumOrder::Taps, clamp: Clamp::default() };
    let y = b.node(operator, &[y], &[1, 6, 3, 3]);
    let window = Window { kernel: [6, 3], stride: [1, 1], dilation: [1, 1], padding: [0, 0] };
    let operator =
        Operator::AveragePool2d { window, count_include_pad: false, sums: SumOrder::Taps, clamp: Clamp::default() };
    let mean = b.node(operator, &[y], &[1, 1, 1, 3]);
    b.finish(&[y, mean])
}

/// Maxima and where they lie, in the file's own layout.
fn maxima(precision: ElementType) -> Graph {
    let mut b = Builder::new("maxima", precision);
    let x = b.input("x", &[2, 3, 4, 5]);
    let y = b.node(Operator::WindowNd(WindowNd::MaxPool { window: WINDOW }), &[x], &[2, 3, 2, 4]);
    let operator = WindowNd::MaxPoolIndices { window: WINDOW, order: IndexOrder::ColumnMajor };
    let indices = b.node(Operator::WindowNd(operator), &[x], &[2, 3, 2, 4]);
    let tensor = b.graph.tensor_mut(indices);
    (tensor.element_type, tensor.quantization) = (ElementType::I64, None);
    b.finish(&[y, indices])
}

/// Operators in the file's own layout, in float32.
fn file_layout() -> Graph {
    let mut b = Builder::new("file's layout", ElementType::F32);
    let (x, weights) = (b.input("x", &[2, 3, 4, 5]), b.input("w", &[4, 3, 3, 2]));
    let bias = b.constant(&[4]);
    let operator = Operator::WindowNd(WindowNd::Conv { window: WINDOW, groups: 1 });
    let y = b.node(operator, &[x, weights, bias], &[2, 4, 2, 4]);
    let operator = Operator::WindowNd(WindowNd::ConvTranspose { window: WINDOW, groups: 1 });
    let x = b.node(operator, &[y, weights], &[2, 3, 4, 5]);
    let operator = WindowNd::AveragePool { window: WINDOW, counted: Counted::Padded };
    let y = b.node(Operator::WindowNd(operator), &[x], &[2, 3, 2, 4]);
    let norm = b.node(Operator::WindowNd(WindowNd::LpPool { window: WINDOW, p: 3 }), &[x], &[2, 3, 2, 4]);
    let operator = WindowNd::LocalResponseNorm { size: 3, alpha: 0.5, beta: 0.75, bias: 1.0 };
    let y = b.node(Operator::WindowNd(operator), &[y], &[2, 3, 2, 4]);
    let [scale, offset, mean, variance] = [0; 4].map(|_| b.constant(&[3]));
    let operator = Operator::WindowNd(WindowNd::BatchNormalization { epsilon: 1.5 });
    let y = b.node(operator, &[y, scale, offset, mean, variance], &[2, 3, 2, 4]);
    b.finish(&[y, norm])
}

const WINDOW: Window3d = Window3d {
    kernel: [1, 3, 2],
    stride: [1, 2, 1],
    dilation: [1, 1, 1],
    padding: [0, 1, 0],
    padding_after: [0, 0, 0],
};

/// Depthwise windows of many taps, in a plane and along an axis.
fn large_windows(precision: ElementType) -> Graph {
    let mut b = Builder::new("large windows", precision);
    let x = b.input("x", &[1, 9, 6, 3]);
    let window = Window { kernel: [5, 5], stride: [1, 1], dilation: [1, 1], padding: [2, 2] };
    let clamp = Clamp { min: Some(0.0), max: Some(6.0) };
    let operator = Operator::DepthwiseConv2d { window, multiplier: 1, clamp };
    let y = b.layer(operator, x, &[5, 5, 3], 3, &[1, 9, 6, 3]);
    let window = Window { kernel: [17, 1], stride: [2, 1], dilation: [1, 1], padding: [8, 0] };
    let operator = Operator::DepthwiseConv2d { window, multiplier: 1, clamp: Clamp::default() };
    let y = b.layer(operator, y, &[17, 1, 3], 3, &[1, 5, 6, 3]);
    b.finish(&[y])
}

/// A convolution that is cheaper by tiles.
fn tiles() -> Graph {
    let mut b = Builder::new("tiles", ElementType::I8);
    let x = b.input("x", &[1, 7, 8, 16]);
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], padding: [1, 1] };
    let operator = Operator::Conv2d { window, groups: 1, clamp: Clamp::default() };
    let y = b.layer(operator, x, &[16, 3, 3, 16], 16, &[1, 7, 8, 16]);
    b.finish(&[y])
}

/// Functions of single elements, with broadcasting and constants, and Softmax.
fn elements(precision: ElementType) -> Graph {
    let mut b = Builder::new("elements", precision);
    let shape = [1, 4, 5, 3];
    let (x, row) = (b.input("x", &shape), b.input("row", &[1, 1, 1, 3]));
    let binary = |function| Operator::Binary { function, clamp: Clamp::default() };
    let y = b.node(binary(Binary::Add), &[x, row], &shape);
    let y = b.node(binary(Binary::Sub), &[y, x], &shape);
    let factor = b.operand(&[5, 1]);
    let y = b.node(binary(Binary::Mul), &[y, factor], &shape);
    let y = b.node(Operator::Unary(Unary::Clamp(Clamp { min: Some(-1.0), max: Some(1.0) })), &[y], &shape);
    let y = b.node(Operator::Unary(Unary::Sigmoid), &[y], &shape);
    let y = b.node(Operator::Unary(Unary::Tanh), &[y], &shape);
    // There is no int16 kernel for it.
    let y = if precision == ElementType::I16 { y } else { b.node(Operator::Pair(Pair::Max), &[y, x], &shape) };
    let y = b.node(Operator::Reshape, &[y], &[4, 15]);
    let y = b.node(Operator::Softmax, &[y], &[4, 15]);
    b.finish(&[y])
}

/// Rows in integers: norms of int8 and int16, Softmax in other steps than 1/256, and behind a mask.
fn rows() -> Graph {
    let mut b = Builder::new("rows", ElementType::I8);
    let shape = [1, 4, 6];
    let norm = |statistic| {
        let result = NormalizationResult::Normalized;
        Operator::Normalization(Normalization { result, statistic, epsilon: 1e-5, n: 6, groups: 1, repeat: 1 })
    };
    let x = b.input("x", &shape);
    let y = b.node(norm(Statistic::Variance), &[x], &shape);
    b.precision = ElementType::I16;
    let y = b.node(Operator::Requantize, &[y], &shape);
    b.precision = ElementType::I8;
    let y = b.node(norm(Statistic::MeanSquare), &[y], &shape);
    let y = b.node(Operator::Softmax, &[y], &shape);
    b.graph.tensor_mut(y).quantization = Some(Quantization::per_tensor(0.011, -90));
    let y = b.node(Operator::MaskedSoftmax, &[y], &shape);
    b.finish(&[y])
}

/// Functions of float32 elements, and elements of every other type.
fn functions() -> Graph {
    let mut b = Builder::new("functions", ElementType::F32);
    let shape = [1, 2, 3];
    let x = b.input("x", &shape);
    let slope = b.constant(&[3]);
    let mut y = x;
    for function in FUNCTIONS {
        y = b.node(Operator::Unary(function.clone()), &[y], &shape);
    }
    for function in [Pair::Div, Pair::Max, Pair::Min, Pair::PRelu, Pair::Pow] {
        y = b.node(Operator::Pair(function), &[y, slope], &shape);
    }
    let mut truth = b.typed_node(Operator::Pair(Pair::Compare(Relation::Less)), &[x, y], &shape, ElementType::Bool);
    for element_type in [ElementType::I8, ElementType::U8, ElementType::I32, ElementType::I64] {
        let q = b.typed_node(Operator::Cast, &[y], &shape, element_type);
        let sum = Operator::Pair(Pair::Integer(IntegerFunction::Add));
        let mut sum = b.typed_node(sum, &[q, q], &shape, element_type);
        if element_type.size_bytes() >= 4 {
            sum = b.typed_node(Operator::Pair(Pair::IntegerPow), &[sum, q], &shape, element_type);
            sum = b.typed_node(Operator::Pair(Pair::IntegerPow), &[sum, x], &shape, element_type);
        }
        let equal = Operator::Pair(Pair::Compare(Relation::Equal));
        let equal = b.typed_node(equal, &[sum, q], &shape, ElementType::Bool);
        truth = b.typed_node(
            Operator::Pair(Pair::Integer(IntegerFunction::Xor)),
            &[truth, equal],
            &shape,
            ElementType::Bool,
        );
        let chosen = b.typed_node(Operator::Where, &[truth, sum, q], &shape, element_type);
        let real = b.typed_node(Operator::Cast, &[chosen], &shape, ElementType::F32);
        y = b.node(Operator::Where, &[truth, real, y], &shape);
    }
    let same = b.typed_node(Operator::Pair(Pair::Compare(Relation::Equal)), &[truth, truth], &shape, ElementType::Bool);
    let other = b.typed_node(Operator::Cast, &[y], &shape, ElementType::Bool);
    let both = Operator::Pair(Pair::Integer(IntegerFunction::And));
    let both = b.typed_node(both, &[same, other], &shape, ElementType::Bool);
    let real = b.typed_node(Operator::Cast, &[both], &shape, ElementType::F32);
    b.finish(&[y, real])
}

/// Every function of one float32 element but those of [`elements`].
const FUNCTIONS: &[Unary] = &[
    Unary::Abs,
    Unary::Sqrt,
    Unary::Reciprocal,
    Unary::Exp,
    Unary::Log,
    Unary::LeakyRelu { slope: 0.1 },
    Unary::Elu { alpha: 1.0 },
    Unary::Celu { alpha: 2.0 },
    Unary::Selu { alpha: 1.5, gamma: 1.25 },
    Unary::HardSigmoid { slope: 0.2, offset: 0.5 },
    Unary::HardSwish,
    Unary::Softplus,
    Unary::Softsign,
    Unary::ThresholdedRelu { threshold: 0.125 },
    Unary::Gelu,
    Unary::GeluTanh,
    Unary::Erf,
    Unary::Mish,
    Unary::Swish { alpha: 1.5 },
    Unary::Sign,
    Unary::Floor,
    Unary::Ceil,
    Unary::Round,
    Unary::Sin,
    Unary::Cos,
    Unary::Power { exponent: 1.5 },
];

/// Transposition, padding, concatenation.
fn moves(precision: ElementType) -> Graph {
    let mut b = Builder::new("moves", precision);
    let x = b.input("x", &[1, 4, 5, 3]);
    let y = b.node(Operator::Transpose { permutation: vec![0, 3, 1, 2] }, &[x], &[1, 3, 4, 5]);
    let pads = vec![[0, 0], [1, 0], [2, 1], [0, 3]];
    let y = b.node(Operator::Pad { pads, value: -0.5 }, &[y], &[1, 4, 7, 8]);
    let z = b.node(Operator::Transpose { permutation: vec![0, 1, 3, 2] }, &[y], &[1, 4, 8, 7]);
    let z = b.node(Operator::Reshape, &[z], &[1, 4, 7, 8]);
    let y = b.node(Operator::Concat { axis: 2 }, &[y, z, y], &[1, 4, 21, 8]);
    let given = b.constant(&[3]);
    let y = b.node(Operator::Require, &[y, given, given], &[1, 4, 21, 8]);
    b.finish(&[y])
}

/// From one element type to another, and back.
fn borders() -> Graph {
    let mut b = Builder::new("borders", ElementType::I8);
    let shape = [1, 4, 5, 3];
    let x = b.input("x", &shape);
    b.precision = ElementType::F32;
    let y = b.node(Operator::Requantize, &[x], &shape);
    let mut y = b.node(Operator::Unary(Unary::Sigmoid), &[y], &shape);
    for precision in [ElementType::I8, ElementType::I16, ElementType::F32, ElementType::I16, ElementType::I8] {
        b.precision = precision;
        y = b.node(Operator::Requantize, &[y], &shape);
        if precision == ElementType::I16 {
            y = b.node(Operator::Requantize, &[y], &shape);
        }
    }
    b.finish(&[y])
}

/// Builds graphs that are quantized, or not, as the quantizer would leave them.
struct Builder {
    graph: Graph,
    precision: ElementType,
    seed: u32,
}

impl Builder {
    fn new(name: &str, precision: ElementType) -> Self {
        Builder { graph: Graph { name: name.into(), ..Graph::default() }, precision, seed: 1 }
    }

    fn input(&mut self, name: &str, shape: &[usize]) -> TensorId {
        let id = self.tensor(shape, Quantization::per_tensor(0.05, 3));
        self.graph.inputs.push(self.port(name, id));
        id
    }

    fn tensor(&mut self, shape: &[usize], quantization: Quantization) -> TensorId {
        self.graph.add_tensor(Tensor {
            name: format!("t{}", self.graph.tensors.len()),
            shape: shape.to_vec(),
            element_type: self.precision,
            constant: None,
            quantization: match self.precision {
                ElementType::I8 => Some(quantization),
                ElementType::I16 => Some(Quantization { zero_point: 0, ..quantization }),
                _ => None,
            },
            origin: None,
        })
    }

    fn node(&mut self, operator: Operator, inputs: &[TensorId], shape: &[usize]) -> TensorId {
        let quantization = match operator {
            Operator::Softmax if self.precision == ElementType::I16 => Quantization::per_tensor(1.0 / 32768.0, 0),
            Operator::Softmax | Operator::MaskedSoftmax => Quantization::per_tensor(1.0 / 256.0, -128),
            _ => Quantization::per_tensor(0.05, 3),
        };
        let output = self.tensor(shape, quantization);
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

    /// A node whose result is of an element type of its own, without quantization.
    fn typed_node(
        &mut self,
        operator: Operator,
        inputs: &[TensorId],
        shape: &[usize],
        element_type: ElementType,
    ) -> TensorId {
        let output = self.node(operator, inputs, shape);
        let tensor = self.graph.tensor_mut(output);
        (tensor.element_type, tensor.quantization) = (element_type, None);
        output
    }

    /// A node with weights and a bias of `n_outputs` channels.
    fn layer(
        &mut self,
        operator: Operator,
        x: TensorId,
        weights: &[usize],
        n_outputs: usize,
        shape: &[usize],
    ) -> TensorId {
        let weights = self.constant(weights);
        let bias = match self.precision {
            ElementType::I8 | ElementType::I16 => Constant::I32((0..n_outputs).map(|i| 50 * i as i32 - 100).collect()),
            _ => Constant::F32((0..n_outputs).map(|i| 0.25 * i as f32 - 0.5).collect()),
        };
        let bias = self.graph.add_constant("bias", vec![n_outputs], bias);
        self.node(operator, &[x, weights, bias], shape)
    }

    fn constant(&mut self, shape: &[usize]) -> TensorId {
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|_| self.random()).collect();
        if self.precision == ElementType::F32 {
            return self.graph.add_constant("c", shape.to_vec(), Constant::F32(values));
        }
        let steps = values.iter().map(|v| (v * 127.0) as i8).collect();
        let id = self.graph.add_constant("c", shape.to_vec(), Constant::I8(steps));
        self.graph.tensor_mut(id).quantization = Some(Quantization::per_tensor(0.01, 0));
        id
    }

    /// A constant like an activation.
    fn operand(&mut self, shape: &[usize]) -> TensorId {
        let id = self.constant(shape);
        if self.precision == ElementType::I16 {
            let tensor = self.graph.tensor_mut(id);
            let steps = (0..tensor.n_elements()).map(|i| 100 * i as i16).collect();
            (tensor.element_type, tensor.constant) = (ElementType::I16, Some(Constant::I16(steps)));
        }
        id
    }

    /// Uniform in [-1, 1).
    fn random(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn port(&self, name: &str, tensor: TensorId) -> Port {
        let shape = self.graph.tensor(tensor).shape.clone();
        Port {
            name: name.into(),
            batched: true,
            element_type: ElementType::F32,
            tensor,
            permutation: (0..shape.len()).collect(),
            shape,
        }
    }

    fn finish(mut self, outputs: &[TensorId]) -> Graph {
        for (i, &id) in outputs.iter().enumerate() {
            self.graph.outputs.push(self.port(&format!("y{i}"), id));
        }
        self.graph
    }
}
