//! Which layers need more than int8, so that a model is as accurate as it must be, and what each method gives.

use super::calibration::Calibrated;
use super::{Progress, instructions};
use crate::array::Array;
use crate::choose::Chosen;
use crate::cost;
use crate::engine::arrays;
use crate::error::CompileError;
use crate::graph::{Graph, Node, Operator};
use crate::metrics::{Accuracy, Comparison, n_classes, top1};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::quantize::{Corrections, Level, Precisions, QuantizeOptions, RangeMethod, has_form, quantize};
use crate::runner::ImageRunner;
use crate::samples::Samples;
use serde::Serialize;
use std::collections::BTreeMap;
use tinfer::isa::Isa;
use tinfer::tensor::ElementType;

/// What a model must reach on the calibration samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floor {
    /// Least SQNR of every output against the float model, in dB.
    pub min_sqnr_db: Option<f64>,
    /// Most that accuracy may be below the float model's, as a part of 1. Without labels it is the expected part of
    /// samples whose class changes, which is never less.
    pub max_accuracy_drop: Option<f64>,
}

/// A layer that computes in more than int8.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Raised {
    /// Node name.
    pub layer: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// Its number format.
    pub precision: &'static str,
    /// Why this one.
    pub reason: String,
}

/// One way to quantize a model: what it gives on the calibration samples, and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// Calibration method, tools and precision.
    pub method: String,
    /// Least SQNR of an output, in dB.
    pub sqnr_db: f64,
    /// Part of the samples that are classified as labelled.
    pub accuracy: Option<f64>,
    /// Part of the samples with the float model's class.
    pub top1_agreement: Option<f64>,
    /// Length of the image with portable kernels.
    pub image_bytes: usize,
    /// Activations.
    pub arena_bytes: usize,
    /// Estimate for the target; `None` where a kernel has none.
    pub instructions: Option<u64>,
}

/// The precision of each node, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub precisions: Precisions,
    pub raised: Vec<Raised>,
}

impl Choice {
    /// One level for all nodes that have it.
    pub fn all(default: Level) -> Self {
        Choice { precisions: Precisions { default, ..Precisions::default() }, raised: Vec::new() }
    }
}

/// A calibrated model that is quantized in many ways.
pub(super) struct Search<'a> {
    pub calibrated: &'a Calibrated,
    pub samples: &'a Samples,
    pub isa: Isa,
}

/// What a quantized model gives.
struct Score {
    sqnr_db: f64,
    /// Noise over signal, summed over the outputs.
    noise: f64,
    accuracy: Option<f64>,
    reference_accuracy: Option<f64>,
    agreement: Option<f64>,
    /// Expected part of samples whose class changes.
    changes: Option<f64>,
}

/// A node that can be raised.
struct Candidate<'g> {
    node: &'g Node,
    /// Noise that it alone causes, over the signal.
    noise: f64,
    /// Instructions in int8.
    cost: f64,
}

impl Search<'_> {
    /// Raises nodes, those first that cause most of the noise for their cost, until the floor holds.
    ///
    /// # Algorithm
    /// The noise of a node is measured with this node in int8 and all others in float32; such noises add up, nearly.
    /// Nodes are ordered by noise over instructions. Bisection finds the shortest prefix that holds the floor when it is
    /// raised; then nodes are lowered again, the most expensive first, where the floor holds without them.
    ///
    /// # Errors
    /// [`CompileError::NotAvailable`] without a floor; what quantization or a run says.
    pub fn choose(
        &self,
        options: &QuantizeOptions,
        floor: &Floor,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Choice, CompileError> {
        if *floor == Floor::default() {
            return Err(CompileError::NotAvailable {
                what: "precision auto without a floor".into(),
                instead: "say what must hold: --min-sqnr DB or --max-accuracy-drop POINTS".into(),
            });
        }
        let n = self.n_samples(MOST_MACS);
        let holds = |raised: &[Raise<'_>]| -> Result<bool, CompileError> {
            Ok(self.score(&with_raised(options, raised), n)?.holds(floor))
        };
        if holds(&[])? {
            return Ok(Choice::default());
        }
        let mut candidates = self.candidates(options, progress)?;
        candidates.sort_by(|a, b| (b.noise / b.cost).total_cmp(&(a.noise / a.cost)));
        // All to int16 where there is such a kernel; then, if that does not do, all to float32.
        let first =
            |c: &Candidate<'_>| if has_form(&c.node.operator, Level::Int16) { Level::Int16 } else { Level::Float32 };
        let ladder = candidates.iter().map(|c| (&*c.node.name, first(c)));
        let reals = candidates.iter().filter(|c| first(c) == Level::Int16).map(|c| (&*c.node.name, Level::Float32));
        let ladder: Vec<Raise<'_>> = ladder.chain(reals).collect();
        let (mut low, mut high) = (0, ladder.len());
        while high - low > 1 {
            progress(Progress { stage: "choosing precisions", done: ladder.len() - (high - low), total: ladder.len() });
            let middle = (low + high) / 2;
            if holds(&ladder[..middle])? { high = middle } else { low = middle }
        }
        let mut raised = ladder[..high].to_vec();
        let mut by_cost: Vec<&Candidate<'_>> = candidates.iter().collect();
        by_cost.sort_by(|a, b| b.cost.total_cmp(&a.cost));
        by_cost.retain(|c| raised.iter().any(|r| r.0 == c.node.name));
        for candidate in by_cost.into_iter().take(MOST_LOWERED) {
            let without: Vec<Raise<'_>> = raised.iter().copied().filter(|r| r.0 != candidate.node.name).collect();
            if holds(&without)? {
                raised = without;
            }
        }
        let precisions = with_raised(options, &raised).precisions;
        let total: f64 = candidates.iter().map(|c| c.noise).sum();
        let reasons = candidates.iter().filter_map(|c| {
            let level = precisions.nodes.get(&c.node.name).filter(|_| raised.iter().any(|r| r.0 == c.node.name))?;
            Some(Raised {
                layer: c.node.name.clone(),
                operator: c.node.onnx.clone(),
                precision: level.element_type().name(),
                reason: format!(
                    "{:.1} % of the noise of int8 comes from it, at {:.1} % of the instructions",
                    100.0 * c.noise / total.max(f64::MIN_POSITIVE),
                    100.0 * c.cost / candidates.iter().map(|c| c.cost).sum::<f64>().max(f64::MIN_POSITIVE)
                ),
            })
        });
        let raised = reasons.collect();
        Ok(Choice { precisions, raised })
    }

    /// All methods side by side: ranges, tools as far as they were calibrated, precisions.
    ///
    /// # Errors
    /// What quantization or a run says.
    pub fn methods(
        &self,
        chosen: &QuantizeOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Method>, CompileError> {
        let plain = QuantizeOptions {
            precisions: Precisions::default(),
            corrections: Corrections::default(),
            ..chosen.clone()
        };
        let mut ways: Vec<(String, QuantizeOptions)> = [
            ("minmax", RangeMethod::MinMax),
            ("percentile", RangeMethod::Percentile(RangeMethod::PERCENTILE)),
            ("entropy", RangeMethod::Entropy),
            ("mse", RangeMethod::Mse),
        ]
        .map(|(name, method)| (format!("int8, {name}"), QuantizeOptions { method, ..plain.clone() }))
        .to_vec();
        let Corrections { statistics, inputs } = chosen.corrections.clone();
        if statistics.is_some() {
            let corrections = Corrections { statistics, inputs: None };
            ways.push(("int8, bias correction".into(), QuantizeOptions { corrections, ..plain.clone() }));
        }
        if inputs.is_some() {
            let corrections = Corrections { statistics: None, inputs };
            ways.push(("int8, adaround".into(), QuantizeOptions { corrections, ..plain.clone() }));
        }
        if let Corrections { statistics: Some(_), inputs: Some(_) } = &chosen.corrections {
            let both = QuantizeOptions { corrections: chosen.corrections.clone(), ..plain.clone() };
            ways.push(("int8, bias correction, adaround".into(), both));
        }
        if !chosen.precisions.nodes.is_empty() {
            ways.push(("auto".into(), chosen.clone()));
        }
        for (name, level) in [("int16x8", Level::Int16), ("float32", Level::Float32)] {
            let precisions = Choice::all(level).precisions;
            ways.push((name.into(), QuantizeOptions { precisions, ..plain.clone() }));
        }
        let n = self.n_samples(MOST_MACS);
        let total = ways.len();
        let rows = ways.into_iter().enumerate().map(|(done, (method, options))| {
            progress(Progress { stage: "comparing methods", done, total });
            let graph = quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, &options)?;
            let planned = plan(&graph, &|_, _| Chosen::PORTABLE);
            let image_bytes = pack(&graph, &planned, &PackOptions::default())?.bytes.len();
            let score = self.score_graph(&graph, n)?;
            Ok(Method {
                method,
                sqnr_db: score.sqnr_db,
                accuracy: score.accuracy,
                top1_agreement: score.agreement,
                image_bytes,
                arena_bytes: planned.arena_bytes,
                instructions: instructions(&graph, self.isa),
            })
        });
        rows.collect()
    }

    /// The nodes that could be raised, and what each does alone.
    fn candidates(
        &self,
        options: &QuantizeOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Candidate<'_>>, CompileError> {
        let graph = &self.calibrated.graph;
        let nodes: Vec<&Node> = graph.nodes.iter().filter(|node| is_raisable(graph, node)).collect();
        let n = self.n_samples(MOST_MACS / nodes.len().max(1) as u64).min(MOST_ALONE);
        let total = nodes.len();
        let alone = nodes.into_iter().enumerate().map(|(done, node)| {
            progress(Progress { stage: "weighing layers", done, total });
            let nodes = BTreeMap::from([(node.name.clone(), Level::Int8)]);
            let precisions = Precisions { default: Level::Float32, nodes };
            let noise = self.score(&QuantizeOptions { precisions, ..options.clone() }, n)?.noise;
            let elements = graph.tensor(node.outputs[0]).n_elements() as f64;
            let guess = || 5.0 * (graph.node_macs(node) as f64 + elements);
            let cost = cost::of_node(graph, node, self.isa, Isa::Portable).unwrap_or_else(guess).max(1.0);
            Ok(Candidate { node, noise, cost })
        });
        alone.collect()
    }

    /// How many samples are run so that no more products are computed than these.
    fn n_samples(&self, most_macs: u64) -> usize {
        let affordable = most_macs / self.calibrated.graph.macs().max(1);
        (affordable as usize).clamp(LEAST_SAMPLES, MOST_SAMPLES).min(self.calibrated.expected.len())
    }

    fn score(&self, options: &QuantizeOptions, n: usize) -> Result<Score, CompileError> {
        self.score_graph(&quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, options)?, n)
    }

    fn score_graph(&self, graph: &Graph, n: usize) -> Result<Score, CompileError> {
        let packed = pack(graph, &plan(graph, &|_, _| Chosen::PORTABLE), &PackOptions::default())?;
        let mut runner = ImageRunner::new(&packed.bytes)?;
        let mut comparisons = vec![Comparison::default(); graph.outputs.len()];
        let (mut found_right, mut expected_right) = (Accuracy::default(), Accuracy::default());
        let mut margins = Vec::new();
        for (idx, expected) in self.calibrated.expected.iter().enumerate().take(n) {
            let sample = self.samples.get(idx)?;
            let found = runner.run(&arrays(&sample))?;
            for ((comparison, expected), found) in comparisons.iter_mut().zip(expected).zip(&found) {
                let (e, f) = (expected.to_f32(), found.to_f32());
                match n_classes(&expected.shape) {
                    Some(_) => comparison.add_scores(&e, &f),
                    None => comparison.add(&e, &f),
                }
            }
            let scores = expected.iter().zip(&found).find(|(e, _)| n_classes(&e.shape).is_some());
            let Some((e, f)) = scores.map(|(e, f): (&Array, &Array)| (e.to_f32(), f.to_f32())) else { continue };
            margins.extend(margin(&e, &f));
            if let Some(label) = sample.label {
                expected_right.add(&e, label);
                found_right.add(&f, label);
            }
        }
        let ratio = |c: &Comparison| 10f64.powf(-c.sqnr_db() / 10.0);
        Ok(Score {
            sqnr_db: comparisons.iter().map(Comparison::sqnr_db).fold(MOST_DB, f64::min),
            noise: comparisons.iter().map(ratio).sum::<f64>().min(1e20),
            accuracy: found_right.value(),
            reference_accuracy: expected_right.value(),
            agreement: comparisons.iter().find_map(Comparison::top1_agreement),
            changes: expected_changes(margins),
        })
    }
}

impl Score {
    fn holds(&self, floor: &Floor) -> bool {
        let drop = match (self.reference_accuracy, self.accuracy) {
            (Some(reference), Some(accuracy)) => Some(reference - accuracy),
            _ => self.changes,
        };
        floor.min_sqnr_db.is_none_or(|least| self.sqnr_db >= least)
            && floor.max_accuracy_drop.is_none_or(|most| drop.is_none_or(|drop| drop <= most + 1e-9))
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
fn expected_changes(mut margins: Vec<(f64, f64)>) -> Option<f64> {
    margins.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = margins.len();
    let reach = (n / 20).max(5);
    let probability = |i: usize| {
        let near = &margins[i.saturating_sub(reach)..(i + reach + 1).min(n)];
        let variance = near.iter().map(|(e, f)| (e - f) * (e - f)).sum::<f64>() / near.len() as f64;
        if variance > 0.0 { normal_tail(margins[i].0 / variance.sqrt()) } else { 0.0 }
    };
    (n > 0).then(|| (0..n).map(probability).sum::<f64>() / n as f64)
}

/// Probability that a standard normal variable is above `x >= 0`: Abramowitz and Stegun 26.2.17, to 1e-7.
fn normal_tail(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x);
    let p = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = p.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * sum
}

/// A node and its level.
type Raise<'a> = (&'a str, Level);

/// The options with these nodes at other levels; of several entries of a node the last one counts.
fn with_raised(options: &QuantizeOptions, raised: &[Raise<'_>]) -> QuantizeOptions {
    let mut options = options.clone();
    options.precisions.nodes.extend(raised.iter().map(|&(name, level)| (name.to_string(), level)));
    options
}

/// Nodes that compute something, in int8 if nobody asks for more.
fn is_raisable(graph: &Graph, node: &Node) -> bool {
    let is_real = node.outputs.iter().any(|&id| graph.tensor(id).element_type == ElementType::F32);
    let moves = matches!(
        node.operator,
        Operator::Reshape
            | Operator::Rows { .. }
            | Operator::JoinRows
            | Operator::Transpose { .. }
            | Operator::Pad { .. }
            | Operator::Concat { .. }
            | Operator::MaxPool2d { .. }
            | Operator::Requantize
    );
    is_real && !moves && has_form(&node.operator, Level::Int8)
}

/// SQNR that stands for no error at all.
const MOST_DB: f64 = 200.0;

/// Products of one evaluation of the floor: some seconds.
const MOST_MACS: u64 = 8_000_000_000;

const LEAST_SAMPLES: usize = 4;
const MOST_SAMPLES: usize = 1000;
/// Samples of the measurement of a single node.
const MOST_ALONE: usize = 32;
/// Nodes of which it is tried whether they can be lowered again.
const MOST_LOWERED: usize = 24;

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
    fn margins_are_those_of_the_float_model_s_class() {
        let (expected, found) = margin(&[0.1, 0.7, 0.2], &[0.5, 0.4, 0.1]).unwrap();
        assert!((expected - 0.5).abs() < 1e-6 && (found + 0.1).abs() < 1e-6);
        assert_eq!(margin(&[1.0], &[1.0]), None);
    }
}
