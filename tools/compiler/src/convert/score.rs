//! What a quantized model gives on the calibration samples.

use super::auto::{Floor, Search};
use crate::aligned::AlignedBytes;
use crate::array::Array;
use crate::choose::Chosen;
use crate::engine::arrays;
use crate::error::CompileError;
use crate::graph::{Graph, Port};
use crate::metrics::{Accuracy, Comparison, Parts, Slice, Slices, n_classes, peaks, top1};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::quantize::{QuantizeOptions, quantize};
use crate::runner::ImageRunner;
use std::collections::BTreeSet;
use std::thread;

/// How far a quantized model is from the float model.
pub(super) struct Score {
    /// Least SQNR of an output.
    pub sqnr_db: f64,
    /// The same of those that are real numbers.
    real_db: f64,
    /// Noise over signal, summed over the outputs.
    pub noise: f64,
    /// Part of the samples that are classified as labelled.
    pub accuracy: Option<f64>,
    reference_accuracy: Option<f64>,
    /// Part of the samples with the float model's class.
    pub agreement: Option<f64>,
    /// Expected part of samples whose class changes.
    changes: Option<f64>,
    /// The worst part of each output.
    pub worst: Vec<Option<Slice>>,
}

impl Score {
    /// Whether this is as good as asked for.
    pub fn holds(&self, floor: &Floor) -> bool {
        floor.min_sqnr_db.is_none_or(|least| self.sqnr_db >= least)
            && floor.max_accuracy_drop.is_none_or(|most| self.drop().is_none_or(|drop| drop <= most + 1e-9))
    }

    /// Least SQNR of an output of real numbers, and nothing where a part of one has lost its signal: of two indices none is
    /// nearer than another.
    pub fn telling_db(&self) -> f64 {
        let has_signal = self.worst.iter().flatten().all(|worst| worst.has_signal);
        if has_signal { self.real_db } else { self.real_db.min(NO_SIGNAL_DB) }
    }

    /// By how much accuracy falls, as a part of 1: as counted where there are labels, else the expected part of samples
    /// whose class changes.
    fn drop(&self) -> Option<f64> {
        match (self.reference_accuracy, self.accuracy) {
            (Some(reference), Some(accuracy)) => Some(reference - accuracy),
            _ => self.changes,
        }
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SQNR {:.1} dB", self.sqnr_db)?;
        match self.drop() {
            Some(drop) => write!(f, ", accuracy {:.2} points lower", 100.0 * drop),
            None => Ok(()),
        }
    }
}

/// One sample's outputs and class.
type Found = (Vec<Array>, Option<usize>);

impl Search<'_> {
    /// How many samples are run so that no more products are computed than these.
    pub(super) fn n_samples(&self, most_macs: u64) -> usize {
        let affordable = most_macs / self.calibrated.graph.macs().max(1);
        (affordable as usize).clamp(LEAST_SAMPLES, MOST_SAMPLES).min(self.calibrated.expected.len())
    }

    /// At most `n` samples that tell most: those in which a part of an output is largest, parts in their order, and others
    /// evenly from all.
    pub(super) fn telling(&self, n: usize) -> Vec<usize> {
        let expected = &self.calibrated.expected;
        let n = n.min(expected.len());
        // The largest value of each part so far, and the sample that has it.
        let mut largest: Vec<(f64, usize)> = Vec::new();
        for (idx, outputs) in expected.iter().enumerate() {
            let peaks: Vec<f64> = outputs.iter().flat_map(peaks).collect();
            largest.resize(peaks.len().max(largest.len()), (0.0, idx));
            largest.iter_mut().zip(peaks).filter(|(l, peak)| *peak > l.0).for_each(|(l, peak)| *l = (peak, idx));
        }
        let mut told: BTreeSet<usize> = BTreeSet::new();
        let evenly = (0..n).map(|i| i * expected.len() / n);
        for idx in largest.into_iter().map(|l| l.1).chain(evenly).chain(0..expected.len()) {
            if told.len() == n {
                break;
            }
            told.insert(idx);
        }
        told.into_iter().collect()
    }

    /// What the model gives when it is quantized in this way, on the first `n` samples.
    pub(super) fn score(&self, options: &QuantizeOptions, n: usize) -> Result<Score, CompileError> {
        self.score_graph(&quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, options)?, n)
    }

    /// The same on these samples.
    pub(super) fn score_on(&self, options: &QuantizeOptions, samples: &[usize]) -> Result<Score, CompileError> {
        self.score_graph_on(&quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, options)?, samples)
    }

    /// The same for a graph that is quantized already.
    pub(super) fn score_graph(&self, graph: &Graph, n: usize) -> Result<Score, CompileError> {
        self.score_graph_on(graph, &Vec::from_iter(0..n.min(self.calibrated.expected.len())))
    }

    fn score_graph_on(&self, graph: &Graph, samples: &[usize]) -> Result<Score, CompileError> {
        let packed = pack(graph, &plan(graph, &|_, _| Chosen::PORTABLE), &PackOptions::default())?;
        let mut comparisons = vec![Comparison::default(); graph.outputs.len()];
        let parts = |output: &Port| Slices::new(Parts::of(graph, output.tensor));
        let mut slices: Vec<Slices> = graph.outputs.iter().map(parts).collect();
        let (mut found_right, mut expected_right) = (Accuracy::default(), Accuracy::default());
        let mut margins = Vec::new();
        for expected in &self.calibrated.expected {
            slices.iter_mut().zip(expected).for_each(|(slices, expected)| slices.expect(expected));
        }
        let found = self.run_all(&packed.bytes, samples)?;
        let expected = samples.iter().map(|&idx| &self.calibrated.expected[idx]);
        for (expected, (found, label)) in expected.zip(found) {
            for ((comparison, expected), found) in comparisons.iter_mut().zip(expected).zip(&found) {
                let (e, f) = (expected.to_f32(), found.to_f32());
                match n_classes(&expected.shape) {
                    Some(_) => comparison.add_scores(&e, &f),
                    None => comparison.add(&e, &f),
                }
            }
            for ((slices, expected), found) in slices.iter_mut().zip(expected).zip(&found) {
                slices.add(expected, found);
            }
            let scores = expected.iter().zip(&found).find(|(e, _)| n_classes(&e.shape).is_some());
            let Some((e, f)) = scores.map(|(e, f): (&Array, &Array)| (e.to_f32(), f.to_f32())) else { continue };
            margins.extend(margin(&e, &f));
            if let Some(label) = label {
                expected_right.add(&e, label);
                found_right.add(&f, label);
            }
        }
        let ratio = |c: &Comparison| 10f64.powf(-c.sqnr_db() / 10.0);
        let worst: Vec<Option<Slice>> = slices.iter().map(Slices::worst).collect();
        let real = comparisons.iter().zip(&worst).filter(|(_, worst)| worst.is_some()).map(|(c, _)| c.sqnr_db());
        Ok(Score {
            sqnr_db: comparisons.iter().map(Comparison::sqnr_db).fold(MOST_DB, f64::min),
            real_db: real.fold(MOST_DB, f64::min),
            noise: comparisons.iter().map(ratio).sum::<f64>().min(1e20),
            accuracy: found_right.value(),
            reference_accuracy: expected_right.value(),
            agreement: comparisons.iter().find_map(Comparison::top1_agreement),
            changes: expected_changes(margins),
            worst,
        })
    }

    /// Outputs of samples, in their order, computed by as many threads as the machine has processors.
    fn run_all(&self, image: &AlignedBytes, samples: &[usize]) -> Result<Vec<Found>, CompileError> {
        let n_threads = thread::available_parallelism().map_or(1, |n| n.get());
        let share = samples.len().div_ceil(n_threads).max(1);
        let run = |samples: &[usize]| -> Result<Vec<Found>, CompileError> {
            let mut runner = ImageRunner::new(image)?;
            let found = samples.iter().map(|&idx| {
                let sample = self.samples.get(idx)?;
                Ok((runner.run(&arrays(&sample))?, sample.label))
            });
            found.collect()
        };
        let shares = samples.chunks(share);
        let found = thread::scope(|scope| {
            let threads: Vec<_> = shares.map(|samples| scope.spawn(|| run(samples))).collect();
            let join = |t: thread::ScopedJoinHandle<'_, _>| t.join().unwrap_or_else(|e| std::panic::resume_unwind(e));
            threads.into_iter().map(join).collect::<Result<Vec<_>, CompileError>>()
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// By how much the float model's class is ahead of the next one: in the float model, and here.
fn margin(expected: &[f32], found: &[f32]) -> Option<(f64, f64)> {
    let best = top1(expected)?;
    let others = |scores: &[f32]| {
        let others = scores.iter().enumerate().filter(|&(i, _)| i != best).map(|(_, &s)| f64::from(s));
        others.fold(f64::NEG_INFINITY, f64::max)
    };
    let margins = (f64::from(expected[best]) - others(expected), f64::from(*found.get(best)?) - others(found));
    (margins.0.is_finite() && margins.1.is_finite()).then_some(margins)
}

/// The expected part of samples whose class changes.
///
/// # Algorithm
/// A count of changes says nothing below one in as many samples. So each sample has the probability that its margin
/// becomes negative by a normal error, whose size is that of the errors of samples with margins next to its own.
///
/// Models are surer of samples that they were trained on than of new ones, and calibration samples often are such ones.
/// So at least as many changes are expected as with margins that are spread evenly from 0 to the largest one, and errors
/// like those of the samples with the smallest margins: `error / (sqrt(2 pi) * largest margin)`.
fn expected_changes(mut margins: Vec<(f64, f64)>) -> Option<f64> {
    margins.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = margins.len();
    let deviation =
        |near: &[(f64, f64)]| (near.iter().map(|(e, f)| (e - f) * (e - f)).sum::<f64>() / near.len() as f64).sqrt();
    let reach = (n / 20).max(5);
    let probability = |i: usize| {
        let deviation = deviation(&margins[i.saturating_sub(reach)..(i + reach + 1).min(n)]);
        if deviation > 0.0 { normal_tail(margins[i].0 / deviation) } else { 0.0 }
    };
    let largest = margins.last()?.0;
    let seen = (0..n).map(probability).sum::<f64>() / n as f64;
    let spread = deviation(&margins[..(2 * reach).min(n)]) / (std::f64::consts::TAU.sqrt() * largest);
    Some(if largest > 0.0 { seen.max(spread.min(1.0)) } else { seen })
}

/// Probability that a standard normal variable is above `x >= 0`: Abramowitz and Stegun 26.2.17, to 1e-7.
fn normal_tail(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x);
    let p = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = p.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum
}

/// SQNR that stands for no error at all.
const MOST_DB: f64 = 200.0;
/// What a result without signal counts as.
pub(super) const NO_SIGNAL_DB: f64 = 0.0;
const LEAST_SAMPLES: usize = 4;
const MOST_SAMPLES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_the_normal_distribution() {
        for (x, expected) in [(0.0, 0.5), (1.0, 0.158_655_254), (1.959_963_985, 0.025), (4.0, 3.167e-5)] {
            assert!((normal_tail(x) - expected).abs() < 2e-7, "{x}: {}", normal_tail(x));
        }
    }

    #[test]
    fn changes_are_expected_where_errors_reach_the_margin() {
        let of = |error: f64| {
            let sign = |i: usize| if i.is_multiple_of(2) { error } else { -error };
            expected_changes((0..1000).map(|i| (i as f64 / 1000.0, i as f64 / 1000.0 + sign(i))).collect()).unwrap()
        };
        assert_eq!(of(0.0), 0.0);
        // Integral of the tail over a uniform margin: error / sqrt(2 pi).
        for error in [0.01, 0.05, 0.2] {
            let expected = error / std::f64::consts::TAU.sqrt();
            assert!((of(error) / expected - 1.0).abs() < 0.1, "{error}: {} {expected}", of(error));
        }
        assert_eq!(expected_changes(Vec::new()), None);
    }

    #[test]
    fn samples_that_the_model_knows_are_no_excuse() {
        // No margin of these is anywhere near an error of 0.02.
        let changes = expected_changes((0..100).map(|i| (0.9 + f64::from(i) / 1000.0, 0.88)).collect()).unwrap();
        assert!((0.005..0.05).contains(&changes), "{changes}");
    }

    #[test]
    fn margins_are_those_of_the_float_model_s_class() {
        let (expected, found) = margin(&[0.1, 0.7, 0.2], &[0.5, 0.4, 0.1]).unwrap();
        assert!((expected - 0.5).abs() < 1e-6 && (found + 0.1).abs() < 1e-6);
        assert_eq!(margin(&[1.0], &[1.0]), None);
    }
}
