//! Operators over windows in the ONNX file's own layout.

use super::PackError;
use super::step::StepPacker;
use crate::graph::{Counted, IndexOrder, Node, Operator, Window3d, WindowNd};
use tinfer::kernels::portable;
use tinfer::operators::batch_normalization::{BATCH_NORMALIZATION_F32, BatchNormalizationRecord};
use tinfer::operators::conv_nd::{CONV_ND_F32, CONV_TRANSPOSE_ND_F32, ConvNdRecord};
use tinfer::operators::local_response_norm::{LOCAL_RESPONSE_NORM_F32, LocalResponseNormRecord};
use tinfer::operators::pool_nd::{
    AVERAGE_POOL_ND_F32, AveragePoolNdRecord, LP_POOL_ND_F32, LpPoolNdRecord, MAX_POOL_INDICES_ND_F32,
    MAX_POOL_INDICES_ND_I8, MAX_POOL_INDICES_ND_U8, MAX_POOL_ND_F32, MAX_POOL_ND_I8, MAX_POOL_ND_U8,
    MaxPoolIndicesNdRecord, MaxPoolNdRecord,
};
use tinfer::operators::window_nd::WindowNdRecord;
use tinfer::tensor::ElementType;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let Operator::WindowNd(operator) = &node.operator else { return Err(steps.error(node, "it has no window")) };
    let element_type = steps.input(node, 0).element_type;
    let is_max = matches!(operator, WindowNd::MaxPool { .. } | WindowNd::MaxPoolIndices { .. });
    if !is_max && element_type != ElementType::F32 {
        return Err(steps.error(node, format!("there is no kernel for {}", element_type.name())));
    }
    let record = |window: &Window3d| window_record(steps, node, window);
    match operator {
        WindowNd::Conv { window, groups } => {
            let record = ConvNdRecord { window: record(window)?, groups: *groups as u32 };
            steps.emit(node, &CONV_ND_F32, &node.inputs, &[], &record.emit())
        }
        WindowNd::ConvTranspose { window, groups } => {
            let record = ConvNdRecord { window: record(window)?, groups: *groups as u32 };
            steps.emit(node, &CONV_TRANSPOSE_ND_F32, &node.inputs, &[], &record.emit())
        }
        WindowNd::MaxPool { window } => {
            let record = MaxPoolNdRecord { window: record(window)? };
            let operator = match element_type {
                ElementType::F32 => &MAX_POOL_ND_F32,
                ElementType::I8 => &MAX_POOL_ND_I8,
                ElementType::U8 => &MAX_POOL_ND_U8,
                other => return Err(steps.error(node, format!("there is no kernel for {}", other.name()))),
            };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
        WindowNd::MaxPoolIndices { window, order } => {
            let order = match order {
                IndexOrder::RowMajor => portable::IndexOrder::RowMajor,
                IndexOrder::ColumnMajor => portable::IndexOrder::ColumnMajor,
            };
            let record = MaxPoolIndicesNdRecord { window: record(window)?, order };
            let operator = match element_type {
                ElementType::F32 => &MAX_POOL_INDICES_ND_F32,
                ElementType::I8 => &MAX_POOL_INDICES_ND_I8,
                ElementType::U8 => &MAX_POOL_INDICES_ND_U8,
                other => return Err(steps.error(node, format!("there is no kernel for {}", other.name()))),
            };
            steps.emit(node, operator, &node.inputs, &[], &record.emit())
        }
        WindowNd::AveragePool { window, counted } => {
            let counted = match counted {
                Counted::Inside => portable::CountedTaps::Inside,
                Counted::Padded => portable::CountedTaps::Padded,
            };
            let record = AveragePoolNdRecord { window: record(window)?, counted };
            steps.emit(node, &AVERAGE_POOL_ND_F32, &node.inputs, &[], &record.emit())
        }
        WindowNd::LpPool { window, p } => {
            let record = LpPoolNdRecord { window: record(window)?, p: *p };
            steps.emit(node, &LP_POOL_ND_F32, &node.inputs, &[], &record.emit())
        }
        &WindowNd::LocalResponseNorm { size, alpha, beta, bias } => {
            let record = LocalResponseNormRecord { size, alpha, beta, bias };
            steps.emit(node, &LOCAL_RESPONSE_NORM_F32, &node.inputs, &[], &record.emit())
        }
        &WindowNd::BatchNormalization { epsilon } => {
            let record = BatchNormalizationRecord { epsilon };
            steps.emit(node, &BATCH_NORMALIZATION_F32, &node.inputs, &[], &record.emit())
        }
    }
}

fn window_record(steps: &StepPacker<'_>, node: &Node, window: &Window3d) -> Result<WindowNdRecord, PackError> {
    let word = |value: usize| {
        u16::try_from(value).map_err(|_| steps.error(node, format!("{value} is too large for a window")))
    };
    let words = |[a, b, c]: [usize; 3]| Ok::<_, PackError>([word(a)?, word(b)?, word(c)?]);
    Ok(WindowNdRecord {
        kernel: words(window.kernel)?,
        stride: words(window.stride)?,
        dilation: words(window.dilation)?,
        padding: words(window.padding)?,
        padding_after: words(window.padding_after)?,
    })
}
