//! Normalizations by statistics of the values themselves.

use super::Refusal;
use super::context::{Lowering, axis, float, int, ints};
use crate::graph::{Binary, Clamp, Normalization, Operator, Pair, Reduction, TensorId, Unary};
use crate::import::OnnxNode;
use tinfer::kernels::portable::{LpNorm, ReduceFunction, Statistic};
use tinfer::operators::reduction::normalization::NormalizationResult;
use tinfer::tensor::ElementType;

/// LayerNormalization, with its mean and inverse deviation as results where somebody reads them.
pub fn layer(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    over_last_axes(lowering, node, Statistic::Variance)
}

/// RMSNormalization.
pub fn root_mean_square(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    over_last_axes(lowering, node, Statistic::MeanSquare)
}

/// MeanVarianceNormalization: `d / (sqrt(mean(d^2)) + 1e-9)` with `d = x - mean(x)`, over any axes.
pub fn mean_variance(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let axes = ints(node, "axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes = axes.into_iter().map(|a| axis(a, shape.len())).collect::<Result<Vec<_>, _>>()?;
    let one = |(i, &n): (usize, &usize)| if axes.contains(&i) { 1 } else { n };
    let reduced: Vec<usize> = shape.iter().enumerate().map(one).collect();
    let mean = Operator::Reduction(Reduction::Reduce {
        function: ReduceFunction::Mean,
        axes: Some(axes.iter().copied().collect::<std::collections::BTreeSet<_>>().into_iter().collect()),
        keeps_dims: true,
    });
    let binary = |function| Operator::Binary { function, clamp: Clamp::default() };
    let center = lowering.push_step(node, "mean", mean.clone(), vec![x], reduced.clone());
    let d = lowering.push_step(node, "centered", binary(Binary::Sub), vec![x, center], shape.clone());
    let squares = lowering.push_step(node, "squares", binary(Binary::Mul), vec![d, d], shape.clone());
    let variance = lowering.push_step(node, "variance", mean, vec![squares], reduced.clone());
    let root = Operator::Unary(Unary::Sqrt);
    let deviation = lowering.push_step(node, "deviation", root, vec![variance], reduced.clone());
    let least = lowering.constant(&format!("{}/least", node.name), vec![1], vec![1e-9]);
    let divisor = lowering.push_step(node, "divisor", binary(Binary::Add), vec![deviation, least], reduced);
    lowering.push_output(node, 0, Operator::Pair(Pair::Div), vec![d, divisor], shape, ElementType::F32);
    Ok(())
}

fn over_last_axes(lowering: &mut Lowering, node: &OnnxNode, statistic: Statistic) -> Result<(), Refusal> {
    check_stash_type(node)?;
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", -1)?, shape.len())?;
    let (rows, normalized) = shape.split_at(axis);
    let mut inputs = vec![x];
    for i in 1..3 {
        if lowering.input_name(node, i).is_some() {
            inputs.push(factors(lowering, node, i, normalized)?);
        }
    }
    let operator = |result| {
        let n = normalized.iter().product();
        let epsilon = float(node, "epsilon", 1e-5)?;
        Ok(Operator::Normalization(Normalization { result, statistic, epsilon, n, groups: 1, repeat: 1 }))
    };
    if lowering.is_wanted(node, 0) {
        let normalized = operator(NormalizationResult::Normalized)?;
        lowering.push_output(node, 0, normalized, inputs, shape.clone(), ElementType::F32);
    }
    let reduced: Vec<usize> = rows.iter().copied().chain(normalized.iter().map(|_| 1)).collect();
    for (slot, result) in [(1, NormalizationResult::Mean), (2, NormalizationResult::InverseDeviation)] {
        if lowering.is_wanted(node, slot) {
            lowering.push_output(node, slot, operator(result)?, vec![x], reduced.clone(), ElementType::F32);
        }
    }
    Ok(())
}

/// Scale or bias, one number for each normalized element: a constant that is repeated along some axes is written out.
fn factors(lowering: &mut Lowering, node: &OnnxNode, i: usize, normalized: &[usize]) -> Result<TensorId, Refusal> {
    let id = lowering.input(node, i)?;
    let own = lowering.shape_of(id).to_vec();
    if own.iter().product::<usize>() == normalized.iter().product::<usize>() {
        return Ok(id);
    }
    let Some(weights) = (if lowering.is_constant(node, i) { lowering.known_f32(node, i)? } else { None }) else {
        return Err(Refusal::new(
            format!("its input '{}' has shape {own:?} for rows of shape {normalized:?}", node.inputs[i]),
            "give every normalized element a factor of its own, or a constant one",
        ));
    };
    let values = repeated(weights.values(), &own, normalized).ok_or_else(|| {
        Refusal::new(
            format!("its input '{}' of shape {own:?} does not broadcast to {normalized:?}", node.inputs[i]),
            "check the file with onnx.checker",
        )
    })?;
    let name = format!("{}_repeated", node.inputs[i]);
    Ok(lowering.constant(&name, normalized.to_vec(), values))
}

/// An array repeated along the axes where it has length 1, aligned on the right.
fn repeated(values: &[f32], own: &[usize], to: &[usize]) -> Option<Vec<f32>> {
    let padded: Vec<usize> =
        std::iter::repeat_n(1, to.len().checked_sub(own.len())?).chain(own.iter().copied()).collect();
    if padded.iter().zip(to).any(|(own, to)| own != to && *own != 1) {
        return None;
    }
    let place = |mut i: usize| {
        let (mut at, mut stride) = (0, 1);
        for (own, to) in padded.iter().zip(to).rev() {
            at += if *own == 1 { 0 } else { i % to * stride };
            stride *= own;
            i /= to;
        }
        at
    };
    (0..to.iter().product()).map(|i| values.get(place(i)).copied()).collect()
}

/// InstanceNormalization: every channel of every sample for itself.
pub fn instance(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let channels = lowering.shape_of(x).get(1).copied().unwrap_or(0);
    over_groups(lowering, node, channels, Factors::PerChannel)
}

/// GroupNormalization: before operator set 21 its factors belong to groups, from it on to channels.
pub fn group(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    check_stash_type(node)?;
    let groups = usize::try_from(int(node, "num_groups", 0)?).unwrap_or(0);
    let factors = if lowering.imported.opset < 21 { Factors::PerGroup } else { Factors::PerChannel };
    over_groups(lowering, node, groups, factors)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Factors {
    PerChannel,
    PerGroup,
}

fn over_groups(lowering: &mut Lowering, node: &OnnxNode, groups: usize, factors: Factors) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let [_, channels, spatial @ ..] = &shape[..] else {
        return Err(Refusal::new(format!("its input has shape {shape:?}"), "check the file with onnx.checker"));
    };
    if groups == 0 || channels % groups != 0 {
        let reason = format!("{channels} channels cannot be divided into {groups} groups");
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    let area: usize = spatial.iter().product();
    let n = channels / groups * area;
    let (n_factors, repeat) = if factors == Factors::PerChannel { (*channels, area) } else { (groups, n) };
    let mut inputs = vec![x];
    for i in 1..3 {
        let id = lowering.input(node, i)?;
        let found = lowering.shape_of(id);
        if found != [n_factors] {
            let reason = format!("its input '{}' has shape {found:?}, it needs [{n_factors}]", node.inputs[i]);
            return Err(Refusal::new(reason, "check the file with onnx.checker"));
        }
        inputs.push(id);
    }
    let operator = Operator::Normalization(Normalization {
        result: NormalizationResult::Normalized,
        statistic: Statistic::Variance,
        epsilon: float(node, "epsilon", 1e-5)?,
        n,
        groups,
        repeat,
    });
    lowering.push_output(node, 0, operator, inputs, shape, ElementType::F32);
    Ok(())
}

/// The type in which statistics are computed: float32 is the only one.
fn check_stash_type(node: &OnnxNode) -> Result<(), Refusal> {
    match int(node, "stash_type", 1)? {
        1 => Ok(()),
        other => Err(Refusal::new(
            format!("its statistics are in type {other}, not in float32"),
            "export the model with stash_type=1",
        )),
    }
}

/// LpNormalization.
pub fn lp(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", -1)?, shape.len())?;
    let norm = match int(node, "p", 2)? {
        1 => LpNorm::L1,
        2 => LpNorm::L2,
        p => return Err(Refusal::new(format!("its norm is of order {p}"), "orders 1 and 2 are supported")),
    };
    let operator = Operator::Reduction(Reduction::LpNormalization { axis, norm });
    lowering.push_output(node, 0, operator, vec![x], shape, ElementType::F32);
    Ok(())
}
