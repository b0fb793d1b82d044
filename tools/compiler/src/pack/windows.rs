//! Pooling, and the window record that convolutions share.

use super::PackError;
use super::step::{Precision, StepPacker, limits_f32};
use crate::graph::{Clamp, Node, Operator, Window};
use tinfer::fixed_point::Requantizer;
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
            let operator = if precision == Precision::I8 { &MAX_POOL_2D_I8 } else { &MAX_POOL_2D_F32 };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
        Operator::AveragePool2d { window, count_include_pad, clamp } => {
            let record = window_record(steps, node, window)?;
            average(steps, node, record, *count_include_pad, *clamp, precision)
        }
        _ => Err(steps.error(node, "it has no window")),
    }
}

fn average(
    steps: &mut StepPacker<'_>,
    node: &Node,
    window: WindowRecord,
    count_include_pad: bool,
    clamp: Clamp,
    precision: Precision,
) -> Result<&'static str, PackError> {
    match precision {
        Precision::F32 => {
            let record = AveragePool2dF32Record { window, count_include_pad, limits: limits_f32(clamp) };
            steps.emit(node, &AVERAGE_POOL_2D_F32, &node.inputs, &[], &record.emit())
        }
        Precision::I8 => {
            let (input, _) = steps.quantized(node, steps.input(node, 0))?;
            let (output, _) = steps.quantized(node, steps.output(node))?;
            if has_ties(&window, count_include_pad) && input == output {
                let record = AveragePool2dDequantizedI8Record {
                    window,
                    count_include_pad,
                    limits: steps.limits_i8(node, clamp)?,
                };
                return steps.emit(node, &AVERAGE_POOL_2D_DEQUANTIZED_I8, &node.inputs, &[], &record.emit());
            }
            let requantizer = Requantizer::from_real(input / output)
                .ok_or_else(|| steps.error(node, "its scales are too far apart"))?;
            let limits = steps.limits_i8(node, clamp)?;
            let record = AveragePool2dI8Record { window, requantizer, count_include_pad, limits };
            steps.emit(node, &AVERAGE_POOL_2D_I8, &node.inputs, &[], &record.emit())
        }
    }
}

/// Whether a mean of integers may lie half way between two of them: where some divisor is even.
fn has_ties(window: &WindowRecord, count_include_pad: bool) -> bool {
    let [height, width] = window.kernel.map(u32::from);
    let varies = window.padding != [0; 4] && !count_include_pad;
    varies || (height * width).is_multiple_of(2)
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
