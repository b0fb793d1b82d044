//! Which kernel computes a node on an instruction set, and what memory that kernel asks for.
//!
//! The one place that decides: the planner takes the memory from here, the packer the layout. A fast kernel says what
//! it supports; every other node runs on the portable kernel, which exists for all.

pub mod armv7em;
mod average;
mod channels;
mod int4;
pub mod mve;
mod portable;
mod rows;
mod winograd;

pub use armv7em::window_2d;
pub use average::{Average, average};
pub use channels::{ChannelArrays, ChannelsError, output_i8, pair_multiplier};
pub use rows::rows_as_pixels;
pub use winograd::{Winograd, WinogradLayers};

use crate::cost;
use crate::graph::{Graph, Node};
use crate::quantize::WeightFormat;
use tinfer::isa::Isa;

/// The kernel of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The set of kernels that it is from.
    pub isa: Isa,
    /// Which of that set's kernels for the operator.
    pub method: Method,
    /// Working memory.
    pub scratch_bytes: usize,
    /// Whether the output may overlap the first input.
    pub overlap: Overlap,
}

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every product of the definition; also what operators have that are no convolutions.
    Direct,
    /// By transformed tiles: fewer products, 3.6 times the weights.
    Winograd,
    /// Every product, of weights that are two in a byte: half the flash.
    Int4,
}

/// How a kernel's output may overlap its first input; elementwise operators have a rule of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    Never,
    /// Both start at the same byte.
    SameStart,
    /// The output starts so many bytes below the input, or more.
    Lead(usize),
}

impl Chosen {
    /// A portable kernel without working memory whose operands are apart: what every node can be planned with.
    pub const PORTABLE: Self =
        Chosen { isa: Isa::Portable, method: Method::Direct, scratch_bytes: 0, overlap: Overlap::Never };
}

/// The kernel for a node of a graph whose tensors have their final element types: of those that take it the one that
/// [`cost`] expects to execute fewest instructions.
pub fn choose(graph: &Graph, node: &Node, isa: Isa) -> Chosen {
    let fast = match isa {
        Isa::Armv7em => armv7em::choose(graph, node),
        Isa::Mve => mve::choose(graph, node),
        Isa::Portable | Isa::Neon => None,
    };
    let instructions = |kernel: &Chosen| cost::of_node(graph, node, isa, kernel.isa);
    let portable = portable::choose(graph, node);
    let Some(fast) = fast else { return portable };
    match (instructions(&fast), instructions(&portable)) {
        (Some(a), Some(b)) if b < a => portable,
        _ => fast,
    }
}

/// [`choose`] for one instruction set; layers whose weights four bits hold have them packed so, if that is the format.
pub fn for_weights(isa: Isa, format: WeightFormat) -> impl Fn(&Graph, &Node) -> Chosen {
    move |graph, node| {
        let packed = if format == WeightFormat::Int4 { int4::choose(graph, node) } else { None };
        packed.unwrap_or_else(|| choose(graph, node, isa))
    }
}

/// [`choose`] for one instruction set.
pub fn for_isa(isa: Isa) -> impl Fn(&Graph, &Node) -> Chosen {
    move |graph, node| choose(graph, node, isa)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Clamp, Constant, Operator, Quantization, Tensor, Window};
    use tinfer::tensor::ElementType;

    /// A depthwise convolution with a square kernel, without padding.
    fn depthwise(rows: usize, columns: usize, channels: usize, kernel: usize, stride: usize) -> Graph {
        let mut graph = Graph::default();
        let output = [rows, columns].map(|n| (n - kernel) / stride + 1);
        let shapes = [[1, rows, columns, channels], [1, output[0], output[1], channels]];
        let [input, output] = shapes.map(|shape| {
            graph.add_tensor(Tensor {
                name: format!("{shape:?}"),
                shape: shape.to_vec(),
                element_type: ElementType::I8,
                constant: None,
                quantization: Some(Quantization::per_tensor(0.05, 0)),
                origin: None,
            })
        });
        let n_weights = kernel * kernel * channels;
        let weights = graph.add_constant("weights", vec![kernel, kernel, channels], Constant::I8(vec![1; n_weights]));
        graph.tensor_mut(weights).quantization = Some(Quantization::per_tensor(0.01, 0));
        let window = Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1, 1], padding: [0, 0] };
        let operator = Operator::DepthwiseConv2d { window, multiplier: 1, clamp: Clamp::default() };
        let (name, onnx) = ("depthwise".into(), "Conv".into());
        graph.nodes.push(Node { name, onnx, operator, inputs: vec![input, weights], outputs: vec![output] });
        graph
    }

    #[test]
    fn a_layer_runs_on_the_kernel_that_should_cost_least() {
        for (rows, columns, channels, kernel, stride, kernels) in [
            (12, 12, 16, 3, 1, Isa::Mve),
            (5, 5, 40, 3, 2, Isa::Mve),
            (3, 3, 16, 3, 1, Isa::Portable),
            (12, 12, 16, 5, 1, Isa::Mve),
            (9, 9, 4, 4, 1, Isa::Mve),
        ] {
            let graph = depthwise(rows, columns, channels, kernel, stride);
            let node = &graph.nodes[0];
            let costs = [Isa::Mve, Isa::Portable].map(|kernels| cost::of_node(&graph, node, Isa::Mve, kernels));
            assert_eq!(
                choose(&graph, node, Isa::Mve).isa,
                kernels,
                "{rows}x{columns}x{channels}, {kernel}x{kernel}: {costs:?}"
            );
        }
    }
}
