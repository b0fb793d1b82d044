//! Reductions and normalizations in f64.

use crate::graph::{Normalization, Reduction};
use tinfer::kernels::portable::{LpNorm, ReduceFunction, Statistic};
use tinfer::operators::reduction::normalization::NormalizationResult;

/// The result of a reduction of `x`, row-major.
pub(super) fn reduction(reduction: &Reduction, x: &[f64], shape: &[usize]) -> Result<Vec<f64>, String> {
    match reduction {
        Reduction::Reduce { function, axes: Some(axes), .. } => Ok(groups(shape, axes)
            .iter()
            .map(|places| reduce(*function, places.iter().map(|&i| x[i]).collect()))
            .collect()),
        Reduction::LogSoftmax => Ok(by_lane(x, shape, shape.len() - 1, |lane| {
            let shift = reduce(ReduceFunction::LogSumExp, lane.to_vec());
            lane.iter().map(|x| x - shift).collect()
        })),
        Reduction::LpNormalization { axis, norm } => Ok(by_lane(x, shape, *axis, |lane| {
            let function = if *norm == LpNorm::L1 { ReduceFunction::L1 } else { ReduceFunction::L2 };
            let length = reduce(function, lane.to_vec());
            lane.iter().map(|x| if length == 0.0 { 0.0 } else { x / length }).collect()
        })),
        _ => Err("its results are not reals, or its axes not known".into()),
    }
}

/// The result of a normalization.
pub(super) fn normalization(q: &Normalization, x: &[&[f64]]) -> Vec<f64> {
    let rows = x[0].chunks(q.n).enumerate().map(|(row, values)| {
        let n = values.len() as f64;
        let mean = if q.statistic == Statistic::Variance { values.iter().sum::<f64>() / n } else { 0.0 };
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let inverse = 1.0 / (variance + f64::from(q.epsilon)).sqrt();
        let first = row % q.groups * q.n;
        let factor = |i: usize, k: usize, none: f64| x.get(i).map_or(none, |f| f[(first + k) / q.repeat]);
        let normalized = values.iter().enumerate();
        let normalized = normalized.map(|(k, x)| (x - mean) * inverse * factor(1, k, 1.0) + factor(2, k, 0.0));
        match q.result {
            NormalizationResult::Normalized => normalized.collect(),
            NormalizationResult::Mean => vec![mean],
            NormalizationResult::InverseDeviation => vec![inverse],
        }
    });
    rows.collect::<Vec<_>>().concat()
}

/// For each result, the places of the elements that it joins.
fn groups(shape: &[usize], axes: &[usize]) -> Vec<Vec<usize>> {
    let kept: Vec<usize> = shape.iter().enumerate().map(|(i, &d)| if axes.contains(&i) { 1 } else { d }).collect();
    let mut groups = vec![Vec::new(); kept.iter().product()];
    for i in 0..shape.iter().product() {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for (d, k) in shape.iter().zip(&kept).rev() {
            at += rest % d % k * stride;
            stride *= k;
            rest /= d;
        }
        groups[at].push(i);
    }
    groups
}

fn reduce(function: ReduceFunction, x: Vec<f64>) -> f64 {
    let sum = |f: fn(f64) -> f64| x.iter().map(|&x| f(x)).sum::<f64>();
    let largest = || x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match function {
        ReduceFunction::Mean => sum(|x| x) / x.len() as f64,
        ReduceFunction::Sum => sum(|x| x),
        ReduceFunction::Max => largest(),
        ReduceFunction::Min => x.iter().copied().fold(f64::INFINITY, f64::min),
        ReduceFunction::Prod => x.iter().product(),
        ReduceFunction::L1 => sum(f64::abs),
        ReduceFunction::L2 => sum(|x| x * x).sqrt(),
        ReduceFunction::SumSquare => sum(|x| x * x),
        ReduceFunction::LogSum => sum(|x| x).ln(),
        ReduceFunction::LogSumExp => {
            let top = largest();
            x.iter().map(|x| (x - top).exp()).sum::<f64>().ln() + top
        }
    }
}

/// Applies a function to each lane along an axis.
fn by_lane(x: &[f64], shape: &[usize], axis: usize, function: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for places in groups(shape, &[axis]) {
        let lane: Vec<f64> = places.iter().map(|&i| x[i]).collect();
        for (&place, value) in places.iter().zip(function(&lane)) {
            y[place] = value;
        }
    }
    y
}
