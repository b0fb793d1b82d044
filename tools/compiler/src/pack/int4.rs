//! Layers with int4 weights: two in a byte, each filter from a byte on.

use super::PackError;
use super::step::StepPacker;
use super::windows::window_record;
use crate::choose::ChannelArrays;
use crate::graph::{Node, Operator, Window};
use tinfer::operators::conv_2d::Conv2dRecord;
use tinfer::operators::fully_connected::FullyConnectedRecord;
use tinfer::operators::int4::{CONV_2D_I4, FULLY_CONNECTED_I4};
use tinfer::tensor::ElementType;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let channels = ChannelArrays::new(steps.graph, node).map_err(|e| steps.error(node, e.reason))?;
    let n_channels = channels.bias.len();
    // Depthwise weights are HWC: a filter is a column of them.
    let filters: Vec<Vec<i8>> = match &node.operator {
        Operator::DepthwiseConv2d { .. } => {
            (0..n_channels).map(|c| channels.weights.iter().skip(c).step_by(n_channels).copied().collect()).collect()
        }
        _ => channels.weights.chunks(channels.weights.len() / n_channels.max(1)).map(<[i8]>::to_vec).collect(),
    };
    let weights: Vec<u8> = filters.iter().flat_map(|filter| packed(filter)).collect();
    let arrays = [
        steps.array(node, ElementType::U8, &weights)?,
        steps.array(node, ElementType::I32, &channels.bias)?,
        steps.array(node, ElementType::I32, &channels.multipliers())?,
        steps.array(node, ElementType::U8, &channels.shifts())?,
    ];
    let limits = steps.limits_i8(node, node.operator.clamp().unwrap_or_default())?;
    let inputs = &node.inputs[..1];
    let conv = |steps: &mut StepPacker<'_>, window: &Window, groups: usize| {
        let record = Conv2dRecord { window: window_record(steps, node, window)?, groups: groups as u32, limits };
        steps.emit(node, &CONV_2D_I4, inputs, &arrays, &record.emit())
    };
    match &node.operator {
        Operator::Conv2d { window, groups, .. } => conv(steps, window, *groups),
        Operator::DepthwiseConv2d { window, .. } => {
            let groups = *steps.input(node, 0).shape.last().unwrap_or(&1);
            conv(steps, window, groups)
        }
        _ => steps.emit(node, &FULLY_CONNECTED_I4, inputs, &arrays, &FullyConnectedRecord { limits }.emit()),
    }
}

/// One filter.
fn packed(filter: &[i8]) -> Vec<u8> {
    let byte = |pair: &[i8]| (pair[0] & 15) as u8 | (pair.get(1).map_or(0, |&w| w as u8) << 4);
    filter.chunks(2).map(byte).collect()
}
