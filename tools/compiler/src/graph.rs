//! The compiler's graph: named nodes over tensors with static shapes.
//!
//! One representation serves every stage after import; the stages differ in what holds of it
//! (see `ARCHITECTURE.md`): after `lower` every operator is one of [`Operator`], after `passes`
//! feature maps are NHWC and activations are fused, after `quantize` every tensor has its final
//! element type and quantization.
//!
//! Layouts: [`Operator::Conv2d`], the pools and depthwise convolutions always work on NHWC
//! `[N, H, W, C]`; one-dimensional convolutions are `[N, 1, L, C]`. Lowering wraps them into
//! [`Operator::Transpose`] nodes, and the layout pass removes those.

mod composed;
mod constant;
mod movement;
mod origin;
mod pair;
mod reduction;
mod unary;
mod window_nd;

pub use composed::{Composed, Part};
pub use constant::Constant;
pub use movement::{Given, Move, Sampling, Weights};
pub use origin::{Origin, transposed};
pub use pair::Pair;
pub use reduction::{Normalization, Reduction};
pub use unary::Unary;
pub use window_nd::{Counted, IndexOrder, Window3d, WindowNd};

use std::fmt;
use tinfer::kernels::portable::SumOrder;
use tinfer::tensor::ElementType;

/// Index of a tensor in [`Graph::tensors`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

impl fmt::Debug for TensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// real = scale * (q - zero_point).
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one per slice along [`Quantization::axis`].
    pub scales: Vec<f32>,
    /// Always a single one: weights are symmetric (0), activations are per tensor.
    pub zero_point: i32,
    /// The axis of the scales when there are several.
    pub axis: usize,
}

impl Quantization {
    /// Per-tensor quantization.
    pub fn per_tensor(scale: f32, zero_point: i32) -> Self {
        Quantization { scales: vec![scale], zero_point, axis: 0 }
    }
}

/// A value: graph input, constant, or the result of a node.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Unique; the ONNX name where there is one.
    pub name: String,
    /// Row-major dimensions, all positive.
    pub shape: Vec<usize>,
    /// Element type at this stage.
    pub element_type: ElementType,
    /// Set for constants.
    pub constant: Option<Constant>,
    /// Set by quantized imports and by the quantizer.
    pub quantization: Option<Quantization>,
    /// The ONNX tensor it holds, if it holds one.
    pub origin: Option<Origin>,
}

impl Tensor {
    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Size in the arena or in the weights section.
    pub fn n_bytes(&self) -> usize {
        self.n_elements() * self.element_type.size_bytes()
    }
}

/// A function fused behind a kernel: a clamp of the real value. `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Clamp {
    /// Lower limit in real units.
    pub min: Option<f32>,
    /// Upper limit in real units.
    pub max: Option<f32>,
}

/// Window geometry of convolutions and pools over NHWC.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Strides.
    pub stride: [usize; 2],
    /// Dilations.
    pub dilation: [usize; 2],
    /// Top and left padding; bottom and right follow from the output's shape.
    pub padding: [usize; 2],
}

/// Elementwise function of two operands with numpy broadcasting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
}

/// Per-tensor quantization: real = scale * (q - zero_point) with q int8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Real units of one step, positive.
    pub scale: f32,
    /// The step of real 0, in [-128, 127].
    pub zero_point: i32,
}

impl Grid {
    /// The nearest step in real units, ties to even as ONNX has it.
    pub fn snap(self, x: f64) -> f64 {
        let (scale, zero_point) = (f64::from(self.scale), f64::from(self.zero_point));
        (((x / scale).round_ties_even() + zero_point).clamp(-128.0, 127.0) - zero_point) * scale
    }
}

impl From<Grid> for Quantization {
    fn from(grid: Grid) -> Self {
        Quantization::per_tensor(grid.scale, grid.zero_point)
    }
}

/// What a node computes. Inputs are listed in order; optional ones may be missing at the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// inputs: x NHWC, weights OHWI (I = C / groups), bias [O] (optional).
    Conv2d {
        /// Geometry.
        window: Window,
        /// Groups; 1 <= groups, C % groups == 0, O % groups == 0.
        groups: usize,
        /// Fused clamp.
        clamp: Clamp,
    },
    /// inputs: x NHWC, weights OHWI (I = C / groups), bias [O] (optional).
    ConvTranspose2d {
        /// Geometry of the convolution that is transposed.
        window: Window,
        /// Groups; 1 <= groups, C % groups == 0, O % groups == 0.
        groups: usize,
        /// Fused clamp.
        clamp: Clamp,
    },
    /// inputs: x NHWC, weights HWC (C = output channels), bias [C] (optional).
    /// Output channel c reads input channel c / multiplier.
    DepthwiseConv2d {
        /// Geometry.
        window: Window,
        /// Output channels per input channel.
        multiplier: usize,
        /// Fused clamp.
        clamp: Clamp,
    },
    /// inputs: x [.., I] (the last axis), weights [O, I], bias [O] (optional).
    FullyConnected {
        /// Fused clamp.
        clamp: Clamp,
    },
    /// inputs: a [.., M, K], b [.., K, N] or [.., N, K] when `transpose_b`; equal batch dimensions after broadcasting.
    BatchMatmul {
        /// b is stored as [.., N, K].
        transpose_b: bool,
    },
    /// inputs: a, b with numpy broadcasting; either may be constant.
    Binary {
        /// The function.
        function: Binary,
        /// Fused clamp.
        clamp: Clamp,
    },
    /// inputs: x.
    Unary(Unary),
    /// inputs: a, b with numpy broadcasting; either may be constant.
    Pair(Pair),
    /// The second input where the first, which is Bool, holds, else the third; with numpy broadcasting. inputs:
    /// condition, a, b.
    Where,
    /// The same numbers in the element type of the output. inputs: x.
    Cast,
    /// inputs: x NHWC.
    MaxPool2d {
        /// Geometry.
        window: Window,
    },
    /// inputs: x NHWC.
    AveragePool2d {
        /// Geometry; a global pool has kernel = image.
        window: Window,
        /// Whether padded zeros count in the divisor.
        count_include_pad: bool,
        /// In which order sums go where they are real numbers and decide about ties.
        sums: SumOrder,
        /// Fused clamp.
        clamp: Clamp,
    },
    /// Windows and channels in the ONNX file's own layout.
    WindowNd(WindowNd),
    /// Over the last axis. inputs: x.
    Softmax,
    /// [`Operator::Softmax`] in int8 whose lowest step stands for minus infinity: what a mask excludes. inputs: x.
    MaskedSoftmax,
    /// Many elements decide about one: reductions, choices along an axis, sums up to each element.
    Reduction(Reduction),
    /// LayerNormalization and its kin.
    Normalization(Normalization),
    /// Same elements in the same order. inputs: x; the output's shape says the rest. Never becomes a step of the plan.
    Reshape,
    /// Some rows of an image, without a copy. inputs: x [1, H, W, C]; the output's shape says how many. Never becomes a
    /// step of the plan.
    Rows {
        /// The first row.
        start: usize,
    },
    /// An image whose rows were made in strips, without a copy. inputs: x0, x1, … [1, h, W, C] from top to bottom, read
    /// by nobody else; or a vector [1, N] that was made in parts [1, n]. Never becomes a step of the plan.
    JoinRows,
    /// inputs: x; axis i of the output is axis `permutation[i]` of the input.
    Transpose {
        /// Axes of the input in the output's order.
        permutation: Vec<usize>,
    },
    /// Constant padding. inputs: x.
    Pad {
        /// Elements added before and after each axis.
        pads: Vec<[usize; 2]>,
        /// The value in real units.
        value: f32,
    },
    /// inputs: x0, x1, …
    Concat {
        /// The axis along which the inputs follow each other.
        axis: usize,
    },
    /// x, if the second input has the elements of the third, which is a constant; otherwise the run stops with an error.
    /// inputs: x, given, expected, of any element type.
    Require,
    /// Elements of any type that move by another rule. inputs: see [`Move`].
    Move(Move),
    /// Change of quantization or element type: float32 -> int8, int8 -> int8, int8 -> float32.
    Requantize,
}

impl Operator {
    /// The clamp fused behind it; `None` for operators that have no place for one.
    pub fn clamp(&self) -> Option<Clamp> {
        match self {
            Operator::Conv2d { clamp, .. }
            | Operator::ConvTranspose2d { clamp, .. }
            | Operator::DepthwiseConv2d { clamp, .. }
            | Operator::FullyConnected { clamp }
            | Operator::Binary { clamp, .. }
            | Operator::Unary(Unary::Clamp(clamp))
            | Operator::AveragePool2d { clamp, .. } => Some(*clamp),
            _ => None,
        }
    }

    /// Replaces the clamp; does nothing for operators that have no place for one.
    pub fn set_clamp(&mut self, new: Clamp) {
        match self {
            Operator::Conv2d { clamp, .. }
            | Operator::ConvTranspose2d { clamp, .. }
            | Operator::DepthwiseConv2d { clamp, .. }
            | Operator::FullyConnected { clamp }
            | Operator::Binary { clamp, .. }
            | Operator::Unary(Unary::Clamp(clamp))
            | Operator::AveragePool2d { clamp, .. } => *clamp = new,
            _ => {}
        }
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Node {
    /// Unique; the ONNX node's name, or its first output's.
    pub name: String,
    /// ONNX operators that it came from, for reports: "Conv+BatchNormalization+Relu".
    pub onnx: String,
    /// What it computes.
    pub operator: Operator,
    /// Operands.
    pub inputs: Vec<TensorId>,
    /// Results.
    pub outputs: Vec<TensorId>,
}

/// What the outside sees of a graph input or output.
#[derive(Clone, Debug)]
pub struct Port {
    /// Name in the ONNX file.
    pub name: String,
    /// Shape in the ONNX file's layout (dynamic dimensions fixed).
    pub shape: Vec<usize>,
    /// Whether the first dimension is a batch: it is 1 and the file has 1 or a symbol there.
    pub batched: bool,
    /// Element type in the ONNX file.
    pub element_type: ElementType,
    /// The graph's tensor; its data are those of the port transposed by `permutation` and reshaped.
    pub tensor: TensorId,
    /// Axes of the port's shape in the tensor's order; identity when nothing moves.
    pub permutation: Vec<usize>,
}

impl Port {
    /// A port that is as the tensor itself is.
    pub fn of_tensor(id: TensorId, tensor: &Tensor) -> Port {
        Port {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            batched: false,
            element_type: tensor.element_type,
            tensor: id,
            permutation: (0..tensor.shape.len()).collect(),
        }
    }
}

/// Nodes in execution order over tensors.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Model name.
    pub name: String,
    /// All tensors; unused ones are dropped by [`Graph::compact`].
    pub tensors: Vec<Tensor>,
    /// Topologically sorted.
    pub nodes: Vec<Node>,
    /// Graph inputs in the file's order (initializers are not inputs).
    pub inputs: Vec<Port>,
    /// Graph outputs in the file's order.
    pub outputs: Vec<Port>,
}

impl Graph {
    /// Adds a tensor. Its name is made unique by a suffix if it is taken.
    pub fn add_tensor(&mut self, mut tensor: Tensor) -> TensorId {
        if self.tensors.iter().any(|t| t.name == tensor.name) {
            let n = (1..).find(|n| !self.tensors.iter().any(|t| t.name == format!("{}_{n}", tensor.name)));
            tensor.name = format!("{}_{}", tensor.name, n.unwrap_or(0));
        }
        self.tensors.push(tensor);
        TensorId(self.tensors.len() - 1)
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, name: &str, shape: Vec<usize>, constant: Constant) -> TensorId {
        let element_type = constant.element_type();
        self.add_tensor(Tensor {
            name: name.to_string(),
            shape,
            element_type,
            constant: Some(constant),
            quantization: None,
            origin: None,
        })
    }

    /// The tensor with this index.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The tensor with this index.
    pub fn tensor_mut(&mut self, id: TensorId) -> &mut Tensor {
        &mut self.tensors[id.0]
    }

    /// Index of the node that computes a tensor.
    pub fn producer(&self, id: TensorId) -> Option<usize> {
        self.nodes.iter().position(|n| n.outputs.contains(&id))
    }

    /// Indices of the nodes that read a tensor.
    pub fn consumers(&self, id: TensorId) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&i| self.nodes[i].inputs.contains(&id)).collect()
    }

    /// Whether a tensor is a graph output.
    pub fn is_output(&self, id: TensorId) -> bool {
        self.outputs.iter().any(|p| p.tensor == id)
    }

    /// Lets every reader of `from`, graph outputs included, read `to` instead.
    pub fn replace_uses(&mut self, from: TensorId, to: TensorId) {
        for node in &mut self.nodes {
            for input in node.inputs.iter_mut().filter(|i| **i == from) {
                *input = to;
            }
        }
        for port in self.outputs.iter_mut().filter(|p| p.tensor == from) {
            port.tensor = to;
        }
    }

    /// Drops nodes whose results nobody reads, then tensors that nobody names.
    pub fn compact(&mut self) {
        let mut live: Vec<bool> = vec![false; self.tensors.len()];
        for port in self.outputs.iter().chain(&self.inputs) {
            live[port.tensor.0] = true;
        }
        let mut keep = vec![false; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if node.outputs.iter().any(|o| live[o.0]) {
                keep[i] = true;
                for id in node.inputs.iter().chain(&node.outputs) {
                    live[id.0] = true;
                }
            }
        }
        let mut kept = keep.into_iter();
        self.nodes.retain(|_| kept.next().unwrap_or(false));
        let mut new_index = vec![usize::MAX; self.tensors.len()];
        let mut tensors = Vec::new();
        for (i, tensor) in std::mem::take(&mut self.tensors).into_iter().enumerate() {
            if live[i] {
                new_index[i] = tensors.len();
                tensors.push(tensor);
            }
        }
        self.tensors = tensors;
        let renumber = |id: &mut TensorId| *id = TensorId(new_index[id.0]);
        for node in &mut self.nodes {
            node.inputs.iter_mut().chain(&mut node.outputs).for_each(renumber);
        }
        self.inputs.iter_mut().chain(&mut self.outputs).for_each(|p| renumber(&mut p.tensor));
    }

    /// Multiply-accumulates of one node.
    pub fn node_macs(&self, node: &Node) -> u64 {
        let out = node.outputs.first().map_or(0, |&o| self.tensor(o).n_elements()) as u64;
        let shape = |i: usize| &self.tensor(node.inputs[i]).shape;
        match &node.operator {
            Operator::Conv2d { .. } => out * shape(1)[1..].iter().product::<usize>() as u64,
            Operator::ConvTranspose2d { .. } => {
                let pixels = shape(0)[..3].iter().product::<usize>();
                (pixels * shape(1).iter().product::<usize>()) as u64
            }
            Operator::WindowNd(WindowNd::Conv { .. }) => out * shape(1)[1..].iter().product::<usize>() as u64,
            Operator::WindowNd(WindowNd::ConvTranspose { .. }) => {
                shape(0).iter().product::<usize>() as u64 * shape(1)[1..].iter().product::<usize>() as u64
            }
            Operator::DepthwiseConv2d { window, .. } => out * (window.kernel[0] * window.kernel[1]) as u64,
            Operator::FullyConnected { .. } | Operator::BatchMatmul { .. } => {
                out * shape(0).last().copied().unwrap_or(0) as u64
            }
            _ => 0,
        }
    }

    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|n| self.node_macs(n)).sum()
    }
}
