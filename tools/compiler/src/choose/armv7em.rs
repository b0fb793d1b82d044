//! Kernels for the DSP extension: which layers they take, and their packed weights.

use super::{Average, ChannelArrays, Chosen, Method, Overlap, average, pair_multiplier};
use crate::graph::{Graph, Node, Operator, Window};
use tinfer::isa::Isa;
use tinfer::kernels::armv7em::add;
use tinfer::kernels::armv7em::layout::{
    Block, DEPTHWISE_WORDS, Products, WindowPlane, Winograd, conv_2d_lead_bytes, conv_2d_scratch_bytes,
    depthwise_scratch_bytes, fully_connected_scratch_bytes, is_depthwise_3x3, padded_taps,
};
use tinfer::kernels::armv7em::pool_2d::takes_average;
use tinfer::kernels::geometry::{Conv2d, Strip, Window2d};
use tinfer::tensor::ElementType;

/// The kernel for a node; `None` when only the portable one takes it.
pub(super) fn choose(graph: &Graph, node: &Node) -> Option<Chosen> {
    let input = graph.tensor(*node.inputs.first()?);
    if input.constant.is_some() || graph.tensor(node.outputs[0]).element_type != ElementType::I8 {
        return None;
    }
    let fast = |scratch_bytes, overlap| Chosen { isa: Isa::Armv7em, method: Method::Direct, scratch_bytes, overlap };
    let stream = || stream(graph, node).map(|_| ());
    match &node.operator {
        Operator::Conv2d { window, groups: 1, .. } => {
            let conv = Conv2d { window: window_2d(graph, node, window)?, groups: 1 }.check()?;
            stream().map(|()| fast(conv_2d_scratch_bytes(&conv), Overlap::Lead(conv_2d_lead_bytes(&conv) as usize)))
        }
        Operator::DepthwiseConv2d { window, multiplier: 1, .. } => {
            let window = window_2d(graph, node, window)?.check()?;
            let scratch_bytes = match is_depthwise_3x3(&window) {
                true => depthwise_scratch_bytes(&window),
                false => WindowPlane::new(&window)?.cells().checked_mul(2)?,
            };
            stream().map(|()| fast(scratch_bytes, Overlap::SameStart))
        }
        Operator::FullyConnected { .. } => {
            let n_inputs = *input.shape.last()?;
            let one_row = input.n_elements() == n_inputs;
            one_row.then(stream)?.map(|()| fast(fully_connected_scratch_bytes(n_inputs), Overlap::Never))
        }
        Operator::Binary { .. } => {
            let same = node.inputs.iter().all(|&id| {
                let operand = graph.tensor(id);
                operand.constant.is_none() && operand.n_elements() == graph.tensor(node.outputs[0]).n_elements()
            });
            let fits = pair_multiplier(graph, node).is_some_and(add::takes);
            (same && fits).then(|| fast(0, Overlap::Never))
        }
        Operator::MaxPool2d { window } => Some(fast(0, lead(&window_2d(graph, node, window)?.check()?))),
        Operator::AveragePool2d { window, .. } => {
            let window = window_2d(graph, node, window)?.check()?;
            let Ok(Average::Requantized(requantizer)) = average(graph, node) else { return None };
            takes_average(&window, requantizer).then(|| fast(0, lead(&window)))
        }
        _ => None,
    }
}

/// The overlap of kernels that work pixel after pixel.
fn lead(window: &Window2d) -> Overlap {
    Overlap::Lead(window.lead_elements(Strip::Pixels(1)) as usize)
}

/// Winograd's kernel for a node; `None` when it does not take it.
pub(super) fn choose_winograd(graph: &Graph, node: &Node) -> Option<Chosen> {
    let input = graph.tensor(*node.inputs.first()?);
    if input.constant.is_some() || graph.tensor(node.outputs[0]).element_type != ElementType::I8 {
        return None;
    }
    let scratch_bytes = winograd(graph, node)?.scratch_bytes();
    winograd_stream(graph, node)?;
    Some(Chosen { isa: Isa::Armv7em, method: Method::Winograd, scratch_bytes, overlap: Overlap::Never })
}

/// The shapes of a layer as Winograd's kernel takes them.
fn winograd(graph: &Graph, node: &Node) -> Option<Winograd> {
    let Operator::Conv2d { window, groups: 1, .. } = &node.operator else { return None };
    Winograd::new(&Conv2d { window: window_2d(graph, node, window)?, groups: 1 }.check()?.window)
}

/// The packed weights of a layer for [`choose_winograd`]'s kernel.
pub fn winograd_stream(graph: &Graph, node: &Node) -> Option<Vec<u32>> {
    let shapes = winograd(graph, node)?;
    let channels = ChannelArrays::new(graph, node).ok()?;
    let mut stream = vec![0; shapes.stream_words()];
    products(graph, node, &channels, 3 * shapes.n_inputs)?.pack_winograd(&shapes, &mut stream)?;
    Some(stream)
}

fn products<'a>(graph: &Graph, node: &Node, channels: &'a ChannelArrays, row_taps: usize) -> Option<Products<'a>> {
    Some(Products {
        weights: &channels.weights,
        bias: &channels.bias,
        row_taps,
        requantizers: &channels.requantizers,
        output_zero_point: graph.tensor(node.outputs[0]).quantization.as_ref()?.zero_point,
    })
}

/// The packed weights of a layer for [`choose`]'s kernel.
pub fn stream(graph: &Graph, node: &Node) -> Option<Vec<u32>> {
    let channels = ChannelArrays::new(graph, node).ok()?;
    let n_outputs = channels.bias.len();
    let taps = channels.weights.len().checked_div(n_outputs)?;
    let row_taps = match graph.tensor(node.inputs[1]).shape[..] {
        [_, _, width, depth] => width * depth,
        _ => taps,
    };
    let products = products(graph, node, &channels, row_taps)?;
    let block = match &node.operator {
        Operator::DepthwiseConv2d { window, .. } => {
            let window = window_2d(graph, node, window)?;
            if is_depthwise_3x3(&window) {
                let mut stream = vec![0; n_outputs * DEPTHWISE_WORDS];
                products.pack_depthwise(&mut stream)?;
                return Some(stream);
            }
            let plane = WindowPlane::new(&window)?;
            let mut stream = vec![0; n_outputs * plane.words()];
            Products { row_taps: window.kernel[1] as usize, ..products }.pack_windows(&plane, &mut stream)?;
            return Some(stream);
        }
        Operator::FullyConnected { .. } => Block::Quad,
        _ => Block::Pair,
    };
    let padded = taps.checked_div(row_taps)? * padded_taps(row_taps);
    let mut stream = vec![0; block.stream_words(padded, n_outputs)];
    products.pack(block, &mut stream)?;
    Some(stream)
}

/// The window as kernels see it.
pub fn window_2d(graph: &Graph, node: &Node, window: &Window) -> Option<Window2d> {
    let nhwc = |id: crate::graph::TensorId| match graph.tensor(id).shape[..] {
        [1, h, w, c] => Some([h, w, c].map(|d| d as u32)),
        _ => None,
    };
    let pair = |p: [usize; 2]| p.map(|v| v as u32);
    Some(Window2d {
        input: nhwc(node.inputs[0])?,
        output: nhwc(node.outputs[0])?,
        kernel: pair(window.kernel),
        stride: pair(window.stride),
        dilation: pair(window.dilation),
        padding: pair(window.padding),
    })
}
