//! Pooling, and the window record that convolutions share.

use super::PackError;
use super::step::{Precision, StepPacker, limits_f32};
use crate::choose::{Average, average};
use crate::graph::{Clamp, Node, Operator, Window};
use tinfer::isa::Isa;
use tinfer::kernels::portable::SumOrder;
use tinfer::operators::armv7em::pool_2d::{AVERAGE_POOL_2D_I8_ARMV7EM, MAX_POOL_2D_I8_ARMV7EM};
use tinfer::operators::mve::pool_2d::{AVERAGE_POOL_2D_I8_MVE, MAX_POOL_2D_I8_MVE};
use tinfer::operators::pool_2d::{
    AVERAGE_POOL_2D_DEQUANTIZED_I8, AVERAGE_POOL_2D_F32, AVERAGE_POOL_2D_I8, AveragePool2dDequantizedI8Record,
    AveragePool2dF32Record, AveragePool2dI8Record, MAX_POOL_2D_F32, MAX_POOL_2D_I8, MaxPool2dRecord,
};
use tinfer::operators::window::WindowRecord;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let precision = steps.precision(node)?;
    match &node.operator {
        Operator::MaxPool2d { window } => {
            let record = MaxPool2dRecord { window: window_record(steps, node, window)? };
            let operator = match (precision, steps.isa()) {
                (Precision::F32, _) => &MAX_POOL_2D_F32,
                (Precision::I8, Isa::Armv7em) => &MAX_POOL_2D_I8_ARMV7EM,
                (Precision::I8, Isa::Mve) => &MAX_POOL_2D_I8_MVE,
                (Precision::I8, _) => &MAX_POOL_2D_I8,
            };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
        Operator::AveragePool2d { window, count_include_pad, clamp, sums } => {
            let record = window_record(steps, node, window)?;
            pack_average(steps, node, record, (*count_include_pad, *sums), *clamp, precision)
        }
        _ => Err(steps.error(node, "it has no window")),
    }
}

fn pack_average(
    steps: &mut StepPacker<'_>,
    node: &Node,
    window: WindowRecord,
    (count_include_pad, sums): (bool, SumOrder),
    clamp: Clamp,
    precision: Precision,
) -> Result<&'static str, PackError> {
    match precision {
        Precision::F32 => {
            let record = AveragePool2dF32Record { window, count_include_pad, limits: limits_f32(clamp) };
            steps.emit(node, &AVERAGE_POOL_2D_F32, &node.inputs, &[], &record.emit())
        }
        Precision::I8 => {
            let limits = steps.limits_i8(node, clamp)?;
            let requantizer = match average(steps.graph, node).map_err(|e| steps.error(node, e.reason))? {
                Average::Requantized(requantizer) => requantizer,
                Average::Dequantized => {
                    let record = AveragePool2dDequantizedI8Record { window, count_include_pad, sums, limits };
                    return steps.emit(node, &AVERAGE_POOL_2D_DEQUANTIZED_I8, &node.inputs, &[], &record.emit());
                }
            };
            let operator = match steps.isa() {
                Isa::Armv7em => &AVERAGE_POOL_2D_I8_ARMV7EM,
                Isa::Mve => &AVERAGE_POOL_2D_I8_MVE,
                _ => &AVERAGE_POOL_2D_I8,
            };
            let record = AveragePool2dI8Record { window, requantizer, count_include_pad, limits };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
    }
}

/// The record of a window between a node's first input and its output.
pub(super) fn window_record(steps: &StepPacker<'_>, node: &Node, window: &Window) -> Result<WindowRecord, PackError> {
    let (input, output) = (&steps.input(node, 0).shape, &steps.output(node).shape);
    let after = |axis: usize| {
        let reach =
            (output[axis + 1] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        reach.saturating_sub(input[axis + 1] + window.padding[axis])
    };
    let word = |value: usize| {
        u16::try_from(value).map_err(|_| steps.error(node, format!("{value} is too large for a window")))
    };
    let pair = |[a, b]: [usize; 2]| Ok::<_, PackError>([word(a)?, word(b)?]);
    let [top, left] = window.padding;
    Ok(WindowRecord {
        kernel: pair(window.kernel)?,
        stride: pair(window.stride)?,
        dilation: pair(window.dilation)?,
        padding: [word(top)?, word(left)?, word(after(0))?, word(after(1))?],
    })
}
