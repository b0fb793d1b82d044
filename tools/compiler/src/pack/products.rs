//! Convolutions, fully connected layers, matrix products: layouts, bias, multipliers.

use super::PackError;
use super::int4;
use super::step::{Precision, StepPacker, limits_f32};
use super::windows::window_record;
use crate::choose::{ChannelArrays, Method, armv7em, mve, window_2d};
use crate::graph::{Clamp, Constant, Node, Operator};
use tinfer::fixed_point::Requantizer;
use tinfer::isa::Isa;
use tinfer::kernels::armv7em::layout::is_depthwise_3x3;
use tinfer::kernels::geometry::MatrixLayout;
use tinfer::kernels::mve::plane::Plane;
use tinfer::operators::armv7em::conv_2d::{CONV_2D_I8_ARMV7EM, WindowedArmv7emRecord};
use tinfer::operators::armv7em::conv_2d_winograd::CONV_2D_WINOGRAD_I8_ARMV7EM;
use tinfer::operators::armv7em::depthwise_conv_2d::{DEPTHWISE_CONV_2D_I8_ARMV7EM, DEPTHWISE_WINDOWS_I8_ARMV7EM};
use tinfer::operators::armv7em::fully_connected::{FULLY_CONNECTED_I8_ARMV7EM, FullyConnectedArmv7emRecord};
use tinfer::operators::batch_matmul::{BATCH_MATMUL_F32, BATCH_MATMUL_I8, BatchMatmulRecord};
use tinfer::operators::conv_2d::{CONV_2D_F32, CONV_2D_I8, Conv2dRecord};
use tinfer::operators::conv_transpose_2d::{CONV_TRANSPOSE_2D_F32, CONV_TRANSPOSE_2D_I8, ConvTranspose2dRecord};
use tinfer::operators::depthwise_conv_2d::{DEPTHWISE_CONV_2D_F32, DEPTHWISE_CONV_2D_I8, DepthwiseConv2dRecord};
use tinfer::operators::fully_connected::{FULLY_CONNECTED_F32, FULLY_CONNECTED_I8, FullyConnectedRecord};
use tinfer::operators::mve::WindowedMveRecord;
use tinfer::operators::mve::conv_2d::CONV_2D_I8_MVE;
use tinfer::operators::mve::depthwise_conv_2d::{DEPTHWISE_CONV_2D_I8_MVE, DEPTHWISE_WINDOWS_I8_MVE};
use tinfer::operators::mve::fully_connected::{FULLY_CONNECTED_I8_MVE, FullyConnectedMveRecord};
use tinfer::tensor::ElementType;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let precision = steps.precision(node)?;
    match (&node.operator, precision) {
        (&Operator::BatchMatmul { transpose_b }, _) => batch_matmul(steps, node, transpose_b, precision),
        (_, Precision::I8) => pack_i8(steps, node),
        (_, Precision::F32) => pack_f32(steps, node),
    }
}

fn pack_i8(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    if steps.method() == Method::Int4 {
        return int4::pack(steps, node);
    }
    match steps.isa() {
        Isa::Armv7em => return pack_i8_armv7em(steps, node),
        Isa::Mve => return pack_i8_mve(steps, node),
        Isa::Portable | Isa::Neon => {}
    }
    let channels = ChannelArrays::new(steps.graph, node).map_err(|e| steps.error(node, e.reason))?;
    let weights = steps.array(node, ElementType::I8, &channels.weights)?;
    let arrays = [
        weights,
        steps.array(node, ElementType::I32, &channels.bias)?,
        steps.array(node, ElementType::I32, &channels.multipliers())?,
        steps.array(node, ElementType::U8, &channels.shifts())?,
    ];
    let inputs = &node.inputs[..1];
    match &node.operator {
        Operator::Conv2d { window, groups, clamp } => {
            let limits = steps.limits_i8(node, *clamp)?;
            let window = window_record(steps, node, window)?;
            let record = Conv2dRecord { window, groups: *groups as u32, limits };
            steps.emit(node, &CONV_2D_I8, inputs, &arrays, &record.emit())
        }
        Operator::ConvTranspose2d { window, groups, clamp } => {
            let limits = steps.limits_i8(node, *clamp)?;
            let window = window_record(steps, node, window)?;
            let record = ConvTranspose2dRecord { window, groups: *groups as u32, limits };
            steps.emit(node, &CONV_TRANSPOSE_2D_I8, inputs, &arrays, &record.emit())
        }
        Operator::DepthwiseConv2d { window, clamp, .. } => {
            let limits = steps.limits_i8(node, *clamp)?;
            let record = DepthwiseConv2dRecord { window: window_record(steps, node, window)?, limits };
            steps.emit(node, &DEPTHWISE_CONV_2D_I8, inputs, &arrays, &record.emit())
        }
        _ => {
            let record = FullyConnectedRecord { limits: steps.limits_i8(node, clamp_of(node))? };
            steps.emit(node, &FULLY_CONNECTED_I8, inputs, &arrays, &record.emit())
        }
    }
}

/// Weights and arithmetic of all channels in one stream.
fn pack_i8_armv7em(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let (method, graph) = (steps.method(), steps.graph);
    let stream = match method {
        Method::Direct => armv7em::stream(graph, node),
        Method::Winograd => armv7em::winograd_stream(graph, node),
        Method::Int4 => None,
    };
    let stream = stream.ok_or_else(|| steps.error(node, "its weights do not fit the kernel that was chosen"))?;
    let arrays = [steps.array(node, ElementType::I32, &stream)?];
    let inputs = &node.inputs[..1];
    match &node.operator {
        Operator::Conv2d { window, clamp, .. } | Operator::DepthwiseConv2d { window, clamp, .. } => {
            let limits = steps.limits_i8(node, *clamp)?;
            let record = WindowedArmv7emRecord { window: window_record(steps, node, window)?, limits };
            let is_3x3 = || window_2d(steps.graph, node, window).is_some_and(|window| is_depthwise_3x3(&window));
            let operator = match node.operator {
                Operator::DepthwiseConv2d { .. } if is_3x3() => &DEPTHWISE_CONV_2D_I8_ARMV7EM,
                Operator::DepthwiseConv2d { .. } => &DEPTHWISE_WINDOWS_I8_ARMV7EM,
                _ if method == Method::Winograd => &CONV_2D_WINOGRAD_I8_ARMV7EM,
                _ => &CONV_2D_I8_ARMV7EM,
            };
            steps.emit(node, operator, inputs, &arrays, &record.emit())
        }
        _ => {
            let record = FullyConnectedArmv7emRecord { limits: steps.limits_i8(node, clamp_of(node))? };
            steps.emit(node, &FULLY_CONNECTED_I8_ARMV7EM, inputs, &arrays, &record.emit())
        }
    }
}

/// Weights and arithmetic of all channels in one stream.
fn pack_i8_mve(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let stream = mve::stream(steps.graph, node)
        .ok_or_else(|| steps.error(node, "its weights do not fit the kernel that was chosen"))?;
    let arrays = [steps.array(node, ElementType::I32, &stream)?];
    let inputs = &node.inputs[..1];
    let limits = steps.limits_i8(node, clamp_of(node))?;
    let (operator, window) = match &node.operator {
        Operator::Conv2d { window, .. } => (&CONV_2D_I8_MVE, window),
        Operator::DepthwiseConv2d { window, .. } => {
            let is_small = window_2d(steps.graph, node, window).is_some_and(|window| Plane::new(&window).is_some());
            (if is_small { &DEPTHWISE_CONV_2D_I8_MVE } else { &DEPTHWISE_WINDOWS_I8_MVE }, window)
        }
        _ => {
            let record = FullyConnectedMveRecord { limits };
            return steps.emit(node, &FULLY_CONNECTED_I8_MVE, inputs, &arrays, &record.emit());
        }
    };
    let record = WindowedMveRecord { window: window_record(steps, node, window)?, limits };
    steps.emit(node, operator, inputs, &arrays, &record.emit())
}

fn pack_f32(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let shape = &steps.input(node, 1).shape;
    let Some(weights) = steps.input(node, 1).constant.as_ref().and_then(Constant::as_f32) else {
        return Err(steps.error(node, "its weights are not float32 constants"));
    };
    let n_outputs = *steps.output(node).shape.last().unwrap_or(&1);
    let bias = match node.inputs.get(2).map(|_| steps.input(node, 2).constant.as_ref().and_then(Constant::as_f32)) {
        Some(Some(bias)) => bias.to_vec(),
        Some(None) => return Err(steps.error(node, "its bias is not a float32 constant")),
        None => vec![0.0; n_outputs],
    };
    let (operator, weights, parameters) = match &node.operator {
        Operator::Conv2d { window, groups, clamp } => {
            let window = window_record(steps, node, window)?;
            let record = Conv2dRecord { window, groups: *groups as u32, limits: limits_f32(*clamp) };
            (&CONV_2D_F32, group_major(weights, shape, *groups), record.emit().to_vec())
        }
        Operator::ConvTranspose2d { window, groups, clamp } => {
            let window = window_record(steps, node, window)?;
            let record = ConvTranspose2dRecord { window, groups: *groups as u32, limits: limits_f32(*clamp) };
            (&CONV_TRANSPOSE_2D_F32, group_major(weights, shape, *groups), record.emit().to_vec())
        }
        Operator::DepthwiseConv2d { window, clamp, .. } => {
            let window = window_record(steps, node, window)?;
            let record = DepthwiseConv2dRecord { window, limits: limits_f32(*clamp) };
            (&DEPTHWISE_CONV_2D_F32, weights.to_vec(), record.emit().to_vec())
        }
        _ => {
            let record = FullyConnectedRecord { limits: limits_f32(clamp_of(node)) };
            (&FULLY_CONNECTED_F32, group_major(weights, shape, 1), record.emit().to_vec())
        }
    };
    let arrays = [steps.array(node, ElementType::F32, &weights)?, steps.array(node, ElementType::F32, &bias)?];
    steps.emit(node, operator, &node.inputs[..1], &arrays, &parameters)
}

fn batch_matmul(
    steps: &mut StepPacker<'_>,
    node: &Node,
    transpose_b: bool,
    precision: Precision,
) -> Result<&'static str, PackError> {
    let layout = if transpose_b { MatrixLayout::Nk } else { MatrixLayout::Kn };
    match precision {
        Precision::F32 => {
            let parameters = [layout as u8, 0, 0, 0];
            steps.emit(node, &BATCH_MATMUL_F32, &node.inputs, &[], &parameters)
        }
        Precision::I8 => {
            let (a, _) = steps.quantized(node, steps.input(node, 0))?;
            let (b, _) = steps.quantized(node, steps.input(node, 1))?;
            let (output, _) = steps.quantized(node, steps.output(node))?;
            let requantizer = Requantizer::from_real(a * b / output)
                .ok_or_else(|| steps.error(node, "its scales are too far apart"))?;
            let record = BatchMatmulRecord { layout, requantizer, limits: steps.limits_i8(node, Clamp::default())? };
            steps.emit(node, &BATCH_MATMUL_I8, &node.inputs, &[], &record.emit())
        }
    }
}

fn clamp_of(node: &Node) -> Clamp {
    match node.operator {
        Operator::Conv2d { clamp, .. }
        | Operator::ConvTranspose2d { clamp, .. }
        | Operator::DepthwiseConv2d { clamp, .. }
        | Operator::FullyConnected { clamp } => clamp,
        _ => Clamp::default(),
    }
}

/// Weights `[O, .., I]` as `[G, .., I, O / G]`.
fn group_major(weights: &[f32], shape: &[usize], groups: usize) -> Vec<f32> {
    let n_outputs = shape[0];
    let filter = weights.len() / n_outputs.max(1);
    let per_group = n_outputs / groups.max(1);
    let mut packed = Vec::with_capacity(weights.len());
    for group in 0..groups {
        for tap in 0..filter {
            packed.extend((0..per_group).map(|o| weights[(group * per_group + o) * filter + tap]));
        }
    }
    packed
}
