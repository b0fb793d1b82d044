//! Kernels for Helium: which layers they take, and their packed weights.

use super::armv7em::window_2d;
use super::{Average, ChannelArrays, Chosen, Method, Overlap, average, pair_multiplier};
use crate::graph::{Graph, Node, Operator};
use tinfer::isa::Isa;
use tinfer::kernels::geometry::{Conv2d, Strip};
use tinfer::kernels::mve::layout::{
    DEPTHWISE_WORDS, Products, conv_2d_lead_bytes, conv_2d_scratch_bytes, fully_connected_scratch_bytes,
    is_convolution, stream_words,
};
use tinfer::kernels::mve::plane::Plane;
use tinfer::operators::mve::pool_2d::has_few_taps;
use tinfer::tensor::ElementType;

/// The kernel for a node; `None` when only the portable one takes it.
pub(super) fn choose(graph: &Graph, node: &Node) -> Option<Chosen> {
    let input = graph.tensor(*node.inputs.first()?);
    if input.constant.is_some() || graph.tensor(node.outputs[0]).element_type != ElementType::I8 {
        return None;
    }
    let fast = |scratch_bytes, overlap| Chosen { isa: Isa::Mve, method: Method::Direct, scratch_bytes, overlap };
    let stream = || stream(graph, node).map(|_| ());
    match &node.operator {
        Operator::Conv2d { window, groups: 1, .. } => {
            let conv = Conv2d { window: window_2d(graph, node, window)?, groups: 1 }.check().filter(is_convolution)?;
            stream().map(|()| fast(conv_2d_scratch_bytes(&conv), Overlap::Lead(conv_2d_lead_bytes(&conv) as usize)))
        }
        Operator::DepthwiseConv2d { window, multiplier: 1, .. } => {
            let window = window_2d(graph, node, window)?.check()?;
            let scratch_bytes = match Plane::new(&window) {
                Some(plane) => plane.bytes(),
                None => Plane::in_chunks(&window)?.bytes(),
            };
            stream().map(|()| fast(scratch_bytes, Overlap::SameStart))
        }
        Operator::FullyConnected { .. } => {
            let n_inputs = *input.shape.last()?;
            stream().map(|()| fast(fully_connected_scratch_bytes(n_inputs), Overlap::Never))
        }
        Operator::MaxPool2d { window } => {
            let window = window_2d(graph, node, window)?.check()?;
            Some(fast(0, Overlap::Lead(window.lead_elements(Strip::Pixels(1)) as usize)))
        }
        Operator::AveragePool2d { window, .. } => {
            let window = window_2d(graph, node, window)?.check().filter(has_few_taps)?;
            let Ok(Average::Requantized(_)) = average(graph, node) else { return None };
            Some(fast(0, Overlap::Lead(window.lead_elements(Strip::Pixels(1)) as usize)))
        }
        Operator::Binary { .. } => {
            let same = node.inputs.iter().all(|&id| {
                let operand = graph.tensor(id);
                operand.constant.is_none() && operand.n_elements() == graph.tensor(node.outputs[0]).n_elements()
            });
            (same && pair_multiplier(graph, node).is_some()).then(|| fast(0, Overlap::Never))
        }
        _ => None,
    }
}

/// The packed weights of a layer for [`choose`]'s kernel.
pub fn stream(graph: &Graph, node: &Node) -> Option<Vec<u32>> {
    let channels = ChannelArrays::new(graph, node).ok()?;
    let n_outputs = channels.bias.len();
    let taps = channels.weights.len().checked_div(n_outputs)?;
    let products = Products { weights: &channels.weights, bias: &channels.bias, requantizers: &channels.requantizers };
    match &node.operator {
        Operator::DepthwiseConv2d { window, .. } => {
            let window = window_2d(graph, node, window)?.check()?;
            if Plane::new(&window).is_none() {
                let plane = Plane::in_chunks(&window)?;
                let mut stream = vec![0; n_outputs * plane.words()];
                products.pack_windows(&plane, &mut stream)?;
                return Some(stream);
            }
            let mut stream = vec![0; n_outputs * DEPTHWISE_WORDS];
            products.pack_depthwise(&mut stream)?;
            Some(stream)
        }
        operator => {
            let kernel = match operator {
                Operator::Conv2d { window, .. } => window.kernel,
                _ => [1, 1],
            };
            let mut stream = vec![0; stream_words(taps, n_outputs)];
            products.pack(kernel, &mut stream)?;
            Some(stream)
        }
    }
}
