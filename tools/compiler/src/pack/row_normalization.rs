//! LayerNormalization and RMSNormalization in integers: factors in steps of the output.

use super::PackError;
use super::step::StepPacker;
use crate::graph::{Clamp, Node, Normalization, Operator};
use tinfer::kernels::portable::{MAX_SCALE_SHIFT, RowNormalization, Statistic};
use tinfer::operators::row_normalization::{
    ROW_NORMALIZATION_I8, ROW_NORMALIZATION_I16, RowCentre, RowNormalizationRecord,
};
use tinfer::tensor::ElementType;

pub(super) fn pack(steps: &mut StepPacker<'_>, node: &Node) -> Result<&'static str, PackError> {
    let Operator::Normalization(Normalization { statistic, epsilon, n, .. }) = node.operator else {
        return Err(steps.error(node, "it is no normalization"));
    };
    let (input_scale, _) = steps.steps_of(node, steps.input(node, 0))?;
    let (output_scale, _) = steps.quantized(node, steps.output(node))?;
    let (operator, bits) = match steps.input(node, 0).element_type {
        ElementType::I16 => (&ROW_NORMALIZATION_I16, 16),
        _ => (&ROW_NORMALIZATION_I8, 8),
    };
    let factors = |i: usize, default: f32| match node.inputs.get(i).map(|&id| steps.graph.tensor(id)) {
        None => Some(vec![default; n]),
        Some(tensor) => tensor.constant.as_ref()?.as_f32().filter(|v| v.len() == n).map(<[f32]>::to_vec),
    };
    let not_known = || steps.error(node, "its scale and bias are no constants of a row");
    let scales = factors(1, 1.0).ok_or_else(not_known)?;
    let biases = factors(2, 0.0).ok_or_else(not_known)?;
    let steps_of = |values: &[f32]| values.iter().map(|&v| f64::from(v) / output_scale).collect::<Vec<_>>();
    let (scales, biases) = (steps_of(&scales), steps_of(&biases));
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    // As many places as leave the largest factor in 16 bits.
    let places = (f64::from(i16::MAX) / largest(&scales).max(f64::MIN_POSITIVE)).log2().floor();
    if places < 0.0 || largest(&biases) * BIAS_UNIT > f64::from(i32::MAX) {
        return Err(steps.error(node, "its factors are too large for its output"));
    }
    let scale_shift = places.min(f64::from(MAX_SCALE_SHIFT)) as u8;
    let unit = f64::from(1u32 << scale_shift);
    let scales: Vec<i16> = scales.iter().map(|v| (v * unit).round() as i16).collect();
    let biases: Vec<i32> = biases.iter().map(|v| (v * BIAS_UNIT).round() as i32).collect();
    let fraction_bits = RowNormalization::most_fraction_bits(n, bits);
    let squared_steps = f64::from(epsilon) / (input_scale * input_scale) * (n * n) as f64;
    let record = RowNormalizationRecord {
        // The cast saturates, and the runtime refuses what is too large.
        epsilon: (squared_steps * f64::from(1u32 << fraction_bits)).round() as u64,
        centre: if statistic == Statistic::Variance { RowCentre::Mean } else { RowCentre::ZeroPoint },
        fraction_bits,
        scale_shift,
        limits: steps.limits_i8(node, Clamp::default())?,
    };
    let arrays = [steps.array(node, ElementType::I16, &scales)?, steps.array(node, ElementType::I32, &biases)?];
    steps.emit(node, operator, &node.inputs[..1], &arrays, &record.emit())
}

/// Bias of one output step.
const BIAS_UNIT: f64 = 65536.0;
