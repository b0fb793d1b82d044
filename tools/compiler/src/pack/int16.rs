//! Nodes on int16 activations: portable kernels for all.

use super::step::StepPacker;
use super::windows::window_record;
use super::{PackError, movement};
use crate::choose::{ChannelArrays, pair_multiplier};
use crate::graph::{Binary, Clamp, Node, Operator, Unary};
use tinfer::fixed_point::Requantizer;
use tinfer::operators::int16::{
    ADD_I16, AVERAGE_POOL_2D_I16, AddI16Record, AveragePool2dI16Record, CLAMP_I16, CONV_2D_I16, ClampI16Record,
    Conv2dI16Record, DEPTHWISE_CONV_2D_I16, DepthwiseI16Record, FULLY_CONNECTED_I16, LimitsI16, MAX_POOL_2D_I16,
    MUL_I16, MulI16Record, SOFTMAX_I16, TABLE_I16,
};
use tinfer::operators::pool_2d::MaxPool2dRecord;
use tinfer::tensor::ElementType;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    match &node.operator {
        Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. } | Operator::FullyConnected { .. } => {
            layer(steps, node)
        }
        Operator::Binary { function, clamp } => binary(steps, node, *function, *clamp),
        Operator::Unary(Unary::Clamp(clamp)) => {
            let requantizer = rescale(steps, node)?;
            let record = ClampI16Record { requantizer, limits: limits(steps, node, *clamp)? };
            steps.emit(node, &CLAMP_I16, &node.inputs, &[], &record.emit())
        }
        Operator::Unary(function) => table(steps, node, function),
        Operator::Softmax | Operator::MaskedSoftmax => softmax(steps, node),
        Operator::MaxPool2d { window } => {
            let record = MaxPool2dRecord { window: window_record(steps, node, window)? };
            steps.emit(node, &MAX_POOL_2D_I16, &node.inputs, &[], &record.emit())
        }
        Operator::AveragePool2d { window, count_include_pad, clamp, .. } => {
            let record = AveragePool2dI16Record {
                window: window_record(steps, node, window)?,
                requantizer: rescale(steps, node)?,
                count_include_pad: *count_include_pad,
                limits: limits(steps, node, *clamp)?,
            };
            steps.emit(node, &AVERAGE_POOL_2D_I16, &node.inputs, &[], &record.emit())
        }
        Operator::Transpose { .. } | Operator::Pad { .. } | Operator::Concat { .. } => movement::pack(steps, node),
        _ => Err(steps.error(node, "there is no int16 kernel for it")),
    }
}

fn layer(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let channels = ChannelArrays::new(steps.graph, node).map_err(|e| steps.error(node, e.reason))?;
    let arrays = [
        steps.array(node, ElementType::I8, &channels.weights)?,
        steps.array(node, ElementType::I32, &channels.bias)?,
        steps.array(node, ElementType::I32, &channels.multipliers())?,
        steps.array(node, ElementType::U8, &channels.shifts())?,
    ];
    let limits = limits(steps, node, node.operator.clamp().unwrap_or_default())?;
    let (operator, parameters) = match &node.operator {
        Operator::Conv2d { window, groups, .. } => {
            let window = window_record(steps, node, window)?;
            (&CONV_2D_I16, Conv2dI16Record { window, groups: *groups as u32, limits }.emit().to_vec())
        }
        Operator::DepthwiseConv2d { window, .. } => {
            let window = window_record(steps, node, window)?;
            (&DEPTHWISE_CONV_2D_I16, DepthwiseI16Record { window, limits }.emit().to_vec())
        }
        _ => (&FULLY_CONNECTED_I16, limits.emit().to_vec()),
    };
    steps.emit(node, operator, &node.inputs[..1], &arrays, &parameters)
}

fn binary(steps: &mut StepPacker<'_>, node: &Node, function: Binary, clamp: Clamp) -> Result<&'static str, PackError> {
    let limits = limits(steps, node, clamp)?;
    let too_far = || steps.error(node, "its scales are too far apart");
    if function == Binary::Mul {
        let (a, b, output) = (scale(steps, node, 0)?, scale(steps, node, 1)?, output_scale(steps, node)?);
        let requantizer = Requantizer::from_real(a * b / output).ok_or_else(too_far)?;
        return steps.emit(node, &MUL_I16, &node.inputs, &[], &MulI16Record { requantizer, limits }.emit());
    }
    let multiplier = pair_multiplier(steps.graph, node).ok_or_else(too_far)?;
    steps.emit(node, &ADD_I16, &node.inputs, &[], &AddI16Record { multiplier, limits }.emit())
}

/// A function at 513 points, computed in binary64.
fn table(steps: &mut StepPacker<'_>, node: &Node, function: &Unary) -> Result<&'static str, PackError> {
    let (input, output) = (scale(steps, node, 0)?, output_scale(steps, node)?);
    let entry = |i: i32| nearest(function.evaluate(input * f64::from(128 * i - 32768)) / output);
    let entries: Vec<i16> = (0..=512).map(entry).collect();
    let entries = steps.array(node, ElementType::I16, &entries)?;
    steps.emit(node, &TABLE_I16, &node.inputs, &[entries], &[])
}

fn softmax(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let scale = scale(steps, node, 0)?;
    let exponential = |d: u32| (f64::from(1u32 << 30) * (-f64::from(d) * scale).exp()).round() as u32;
    let table: Vec<u32> = (0..512).map(|i| 128 * i).chain(0..128).map(exponential).collect();
    let table = steps.array(node, ElementType::I32, &table)?;
    steps.emit(node, &SOFTMAX_I16, &node.inputs, &[table], &[])
}

/// A clamp in steps of the node's output.
fn limits(steps: &StepPacker<'_>, node: &Node, clamp: Clamp) -> Result<LimitsI16, PackError> {
    let scale = output_scale(steps, node)?;
    let at = |limit: Option<f32>, default: i16| limit.map_or(default, |limit| nearest(f64::from(limit) / scale));
    Ok(LimitsI16 { min: at(clamp.min, i16::MIN), max: at(clamp.max, i16::MAX) })
}

fn rescale(steps: &StepPacker<'_>, node: &Node) -> Result<Requantizer, PackError> {
    let factor = scale(steps, node, 0)? / output_scale(steps, node)?;
    Requantizer::from_real(factor).ok_or_else(|| steps.error(node, "its scales are too far apart"))
}

fn scale(steps: &StepPacker<'_>, node: &Node, input: usize) -> Result<f64, PackError> {
    Ok(steps.steps_of(node, steps.input(node, input))?.0)
}

pub(super) fn output_scale(steps: &StepPacker<'_>, node: &Node) -> Result<f64, PackError> {
    Ok(steps.steps_of(node, steps.output(node))?.0)
}

/// The cast saturates.
pub(super) fn nearest(steps: f64) -> i16 {
    steps.round() as i16
}
