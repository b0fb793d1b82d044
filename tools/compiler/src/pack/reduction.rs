//! Reductions, choices along an axis, normalizations.

use super::PackError;
use super::step::StepPacker;
use crate::graph::{Node, Operator, Reduction};
use tinfer::operators::reduction::cumulative_sum::{
    CUMULATIVE_SUM_F32, CUMULATIVE_SUM_I32, CUMULATIVE_SUM_I64, CumulativeSumRecord,
};
use tinfer::operators::reduction::non_max_suppression::{NON_MAX_SUPPRESSION_F32, NonMaxSuppressionRecord};
use tinfer::operators::reduction::normalization::{
    LP_NORMALIZATION_F32, LpNormalizationRecord, NORMALIZATION_F32, NormalizationRecord,
};
use tinfer::operators::reduction::reduce::{
    REDUCE_BOOL, REDUCE_F32, REDUCE_I8, REDUCE_I32, REDUCE_I64, REDUCE_U8, ReduceAxes, ReduceRecord,
};
use tinfer::operators::reduction::selection::{
    ARG_EXTREME_F32, ARG_EXTREME_I8, ARG_EXTREME_I32, ARG_EXTREME_I64, ARG_EXTREME_U8, ArgExtremeRecord, HARDMAX_F32,
    HardmaxRecord, TOP_K_F32, TOP_K_I8, TOP_K_I32, TOP_K_I64, TOP_K_U8, TopKRecord,
};
use tinfer::operators::softmax::LOG_SOFTMAX_F32;
use tinfer::tensor::{ElementType, MAX_RANK};

/// An operator for each element type that has one.
type ByType = &'static [(ElementType, &'static tinfer::operators::Operator)];

const REDUCE: ByType = &[
    (ElementType::F32, &REDUCE_F32),
    (ElementType::I8, &REDUCE_I8),
    (ElementType::U8, &REDUCE_U8),
    (ElementType::I32, &REDUCE_I32),
    (ElementType::I64, &REDUCE_I64),
    (ElementType::Bool, &REDUCE_BOOL),
];
const ARG_EXTREME: ByType = &[
    (ElementType::F32, &ARG_EXTREME_F32),
    (ElementType::I8, &ARG_EXTREME_I8),
    (ElementType::U8, &ARG_EXTREME_U8),
    (ElementType::I32, &ARG_EXTREME_I32),
    (ElementType::I64, &ARG_EXTREME_I64),
];
const TOP_K: ByType = &[
    (ElementType::F32, &TOP_K_F32),
    (ElementType::I8, &TOP_K_I8),
    (ElementType::U8, &TOP_K_U8),
    (ElementType::I32, &TOP_K_I32),
    (ElementType::I64, &TOP_K_I64),
];
const CUMULATIVE_SUM: ByType = &[
    (ElementType::F32, &CUMULATIVE_SUM_F32),
    (ElementType::I32, &CUMULATIVE_SUM_I32),
    (ElementType::I64, &CUMULATIVE_SUM_I64),
];
const LOG_SOFTMAX: ByType = &[(ElementType::F32, &LOG_SOFTMAX_F32)];
const HARDMAX: ByType = &[(ElementType::F32, &HARDMAX_F32)];
const LP_NORMALIZATION: ByType = &[(ElementType::F32, &LP_NORMALIZATION_F32)];
const NORMALIZATION: ByType = &[(ElementType::F32, &NORMALIZATION_F32)];
const NON_MAX_SUPPRESSION: ByType = &[(ElementType::F32, &NON_MAX_SUPPRESSION_F32)];

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let x = steps.input(node, 0);
    let (rank, element_type) = (x.shape.len(), x.element_type);
    let Some(first) = MAX_RANK.checked_sub(rank) else {
        return Err(steps.error(node, format!("it has rank {rank}, images hold up to {MAX_RANK}")));
    };
    let aligned = |axis: usize| (axis + first) as u8;
    let (operators, record): (ByType, Vec<u8>) = match &node.operator {
        Operator::Reduction(reduction) => match reduction {
            Reduction::Reduce { function, axes, keeps_dims } => {
                let axes = match axes {
                    Some(axes) => ReduceAxes::Fixed(axes.iter().fold(0, |bits, &axis| bits | 1 << aligned(axis))),
                    None => ReduceAxes::Given,
                };
                (REDUCE, ReduceRecord { function: *function, keeps_dims: *keeps_dims, axes }.emit().into())
            }
            Reduction::ArgExtreme { axis, order, tie } => {
                (ARG_EXTREME, ArgExtremeRecord { axis: aligned(*axis), order: *order, tie: *tie }.emit().into())
            }
            Reduction::TopK { axis, order, result } => {
                (TOP_K, TopKRecord { axis: aligned(*axis), order: *order, result: *result }.emit().into())
            }
            Reduction::Hardmax { axis } => (HARDMAX, HardmaxRecord { axis: aligned(*axis) }.emit().into()),
            Reduction::LogSoftmax => (LOG_SOFTMAX, Vec::new()),
            Reduction::CumulativeSum { axis, reading, start } => {
                let record = CumulativeSumRecord { axis: axis.map(aligned), reading: *reading, start: *start };
                (CUMULATIVE_SUM, record.emit().into())
            }
            Reduction::LpNormalization { axis, norm } => {
                (LP_NORMALIZATION, LpNormalizationRecord { axis: aligned(*axis), norm: *norm }.emit().into())
            }
            Reduction::NonMaxSuppression { format, spare_rows } => {
                let record = NonMaxSuppressionRecord { format: *format, spare_rows: *spare_rows };
                (NON_MAX_SUPPRESSION, record.emit().into())
            }
        },
        Operator::Normalization(normalization) => {
            let record = NormalizationRecord {
                result: normalization.result,
                statistic: normalization.statistic,
                epsilon: normalization.epsilon,
                n: normalization.n as u32,
                groups: normalization.groups as u32,
                repeat: normalization.repeat as u32,
            };
            (NORMALIZATION, record.emit().into())
        }
        _ => return Err(steps.error(node, "it is no reduction")),
    };
    match operators.iter().find(|(own, _)| *own == element_type) {
        Some((_, operator)) => steps.emit(node, operator, &node.inputs, &[], &record),
        None => Err(steps.error(node, format!("there is no kernel for {}", element_type.name()))),
    }
}
