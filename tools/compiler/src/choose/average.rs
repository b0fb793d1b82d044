//! How an int8 average over windows is computed.

use super::channels::per_tensor;
use super::{ChannelsError, window_2d};
use crate::graph::{Graph, Node, Operator};
use tinfer::fixed_point::Requantizer;
use tinfer::kernels::geometry::{Axis, Window2d};

/// The arithmetic of an int8 average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// Integers, by the input's scale over the output's.
    Requantized(Requantizer),
    /// float32, because one scale on both sides makes many means lie half way between two steps.
    Dequantized,
}

/// How an average pool whose tensors are int8 is computed.
///
/// # Errors
/// A node that is none, a tensor that is not quantized, or scales that no 32-bit multiplier reaches.
pub fn average(graph: &Graph, node: &Node) -> Result<Average, ChannelsError> {
    let Operator::AveragePool2d { window, count_include_pad, .. } = &node.operator else {
        return Err(ChannelsError { reason: "it is no average".into() });
    };
    let (input, _) = per_tensor(graph.tensor(node.inputs[0]))?;
    let (output, _) = per_tensor(graph.tensor(node.outputs[0]))?;
    let window = window_2d(graph, node, window)
        .ok_or_else(|| ChannelsError { reason: "its window is over no picture".into() })?;
    if input == output && has_ties(&window, *count_include_pad) {
        return Ok(Average::Dequantized);
    }
    let factor = Requantizer::from_real(input / output);
    factor.map(Average::Requantized).ok_or_else(|| ChannelsError { reason: "its scales are too far apart".into() })
}

/// Whether a mean of integers may lie half way between two of them: where some divisor is even.
fn has_ties(window: &Window2d, count_include_pad: bool) -> bool {
    let [height, width] = window.kernel;
    let [output_height, output_width, _] = window.output;
    let leaves = |axis: Axis, outputs: u32, kernel: u32| {
        let is_whole = |output: u32| axis.taps(output as usize).count == kernel as usize;
        !is_whole(0) || !is_whole(outputs.saturating_sub(1))
    };
    let varies = leaves(window.vertical(), output_height, height) || leaves(window.horizontal(), output_width, width);
    (varies && !count_include_pad) || height.wrapping_mul(width).is_multiple_of(2)
}
