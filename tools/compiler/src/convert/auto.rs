//! Which layers need more than int8, so that a model is as accurate as it must be.

use super::Progress;
use super::budget::Budget;
use super::calibration::Calibrated;
use super::score::Score;
use crate::cost;
use crate::error::CompileError;
use crate::graph::{Graph, Node, Operator};
use crate::quantize::{Level, Precisions, QuantizeOptions, has_form, quantize};
use crate::samples::Samples;
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Raised {
    /// Node name.
    pub layer: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// Its number format.
    pub precision: String,
    /// Why this one.
    pub reason: String,
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
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub calibrated: &'a Calibrated,
    pub samples: &'a Samples,
    pub isa: Isa,
}

/// A node that can be raised.
struct Candidate<'g> {
    node: &'g Node,
    /// Noise that it alone causes in int8 and int16, over the signal; float32 causes none.
    noise: [f64; 2],
    /// Instructions in int8, int16 and float32.
    instructions: [f64; 3],
    /// Of the weights.
    weight_bytes: [f64; 3],
    /// Of the result.
    result_bytes: [f64; 3],
}

/// What is to be spared: the order in which nodes are raised is by noise over this.
#[derive(Clone, Copy)]
enum Price {
    Instructions,
    WeightBytes,
    ResultBytes,
}

impl Search<'_> {
    /// Raises nodes, those first that cause most of the noise for what they cost, until the floor holds.
    ///
    /// # Algorithm
    /// The noise of a node is measured with this node in int8 or int16 and all others in float32; such noises add up,
    /// nearly. Every node has up to two steps up; steps are ordered by how much noise they take away for what they cost
    /// (the greedy solution of the multiple-choice knapsack, on the convex hull of each node's levels). Bisection finds
    /// the shortest prefix that holds the floor; then nodes are lowered again, the most expensive first, where the floor
    /// holds without. Cost is instructions; where the answer is beyond the budget, bytes of weights, then bytes of
    /// results are tried.
    ///
    /// # Errors
    /// [`CompileError::NotAvailable`] without a floor, [`CompileError::FloorNotReached`] where even float32 is below it or
    /// beyond the budget; what quantization or a run says.
    pub fn choose(
        &self,
        options: &QuantizeOptions,
        floor: &Floor,
        budget: &Budget<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Choice, CompileError> {
        if *floor == Floor::default() {
            return Err(CompileError::NotAvailable {
                what: "precision auto without a floor".into(),
                instead: "say what must hold: --min-sqnr DB or --max-accuracy-drop POINTS".into(),
            });
        }
        let n = self.n_samples(MOST_MACS);
        if self.score(options, n)?.holds(floor) {
            // What int8 needs is the least; `convert` says if that is too much.
            return Ok(Choice::default());
        }
        let candidates = self.candidates(options, progress)?;
        let trial = Trial { search: self, options, floor, n };
        let mut beyond = None;
        for price in [Price::Instructions, Price::WeightBytes, Price::ResultBytes] {
            let ladder = ladder(&candidates, price);
            let raised = trial.shortest(&ladder, &candidates, price, progress)?;
            let raised_options = with_raised(options, &raised);
            match budget.excess(&self.quantized(&raised_options)?)? {
                None => return Ok(choice(&candidates, raised_options.precisions, &raised)),
                Some(excess) => beyond = beyond.or(Some((ladder, excess))),
            }
        }
        let Some((ladder, excess)) = beyond else { unreachable!("an answer is within the budget or beyond it") };
        let affordable = self.affordable(options, &ladder, budget)?;
        let best = self.score(&with_raised(options, &ladder[..affordable]), n)?;
        Err(CompileError::FloorNotReached { floor: floor.to_string(), reached: best.to_string(), excess })
    }

    fn quantized(&self, options: &QuantizeOptions) -> Result<Graph, CompileError> {
        Ok(quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, options)?)
    }

    /// How many steps of a ladder the budget allows.
    fn affordable(
        &self,
        options: &QuantizeOptions,
        ladder: &[Raise<'_>],
        budget: &Budget<'_>,
    ) -> Result<usize, CompileError> {
        let (mut low, mut high) = (0, ladder.len());
        while high - low > 1 {
            let middle = (low + high) / 2;
            let graph = self.quantized(&with_raised(options, &ladder[..middle]))?;
            if budget.excess(&graph)?.is_none() { low = middle } else { high = middle }
        }
        Ok(low)
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
            let noise = |level: Level| -> Result<f64, CompileError> {
                let nodes = BTreeMap::from([(node.name.clone(), level)]);
                let precisions = Precisions { default: Level::Float32, nodes };
                Ok(self.score(&QuantizeOptions { precisions, ..options.clone() }, n)?.noise)
            };
            let int8 = noise(Level::Int8)?;
            let int16 = if has_form(&node.operator, Level::Int16) { noise(Level::Int16)? } else { f64::INFINITY };
            let result = graph.tensor(node.outputs[0]).n_elements() as f64;
            let constants = node.inputs.iter().map(|&id| graph.tensor(id)).filter(|t| t.constant.is_some());
            let weights = constants.map(|t| t.n_elements()).sum::<usize>() as f64;
            let guess = || 5.0 * (graph.node_macs(node) as f64 + result);
            let cost = cost::of_node(graph, node, self.isa, Isa::Portable).unwrap_or_else(guess).max(1.0);
            Ok(Candidate {
                node,
                noise: [int8, int16],
                instructions: [cost, cost * INT16_COST, cost * FLOAT32_COST],
                weight_bytes: [weights, weights, 4.0 * weights],
                result_bytes: [result, 2.0 * result, 4.0 * result],
            })
        });
        alone.collect()
    }
}

/// A floor that raised nodes are tried against.
struct Trial<'a> {
    search: &'a Search<'a>,
    options: &'a QuantizeOptions,
    floor: &'a Floor,
    n: usize,
}

impl Trial<'_> {
    fn score(&self, raised: &[Raise<'_>]) -> Result<Score, CompileError> {
        self.search.score(&with_raised(self.options, raised), self.n)
    }

    /// The shortest prefix of a ladder that holds the floor, without what it does not need.
    fn shortest<'g>(
        &self,
        ladder: &[Raise<'g>],
        candidates: &[Candidate<'g>],
        price: Price,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Raise<'g>>, CompileError> {
        let mut score = self.score(ladder)?;
        if !score.holds(self.floor) {
            let (floor, reached) = (self.floor.to_string(), score.to_string());
            return Err(CompileError::FloorNotReached { floor, reached, excess: String::new() });
        }
        let (mut low, mut high) = (0, ladder.len());
        while high - low > 1 {
            progress(Progress { stage: "choosing precisions", done: ladder.len() - (high - low), total: ladder.len() });
            let middle = (low + high) / 2;
            let found = self.score(&ladder[..middle])?;
            if found.holds(self.floor) { (high, score) = (middle, found) } else { low = middle }
        }
        let mut raised: BTreeMap<&str, Level> = ladder[..high].iter().copied().collect();
        let as_list = |raised: &BTreeMap<&'g str, Level>| raised.iter().map(|(&n, &l)| (n, l)).collect::<Vec<_>>();
        let mut by_cost: Vec<&Candidate<'_>> =
            candidates.iter().filter(|c| raised.contains_key(&*c.node.name)).collect();
        let spared = |c: &Candidate<'_>| c.price(price)[index(raised[&*c.node.name])];
        by_cost.sort_by(|a, b| spared(b).total_cmp(&spared(a)));
        let mut n_tried = 0;
        for candidate in by_cost {
            let name = &*candidate.node.name;
            for level in [Level::Int8, Level::Int16] {
                // What alone makes more noise than all the others do now need not be tried.
                let is_hopeless = level >= raised[name] || candidate.noise[index(level)] > score.noise;
                if is_hopeless || n_tried == MOST_LOWERED {
                    continue;
                }
                n_tried += 1;
                let mut lowered = raised.clone();
                lowered.insert(name, level);
                let found = self.score(&as_list(&lowered))?;
                if found.holds(self.floor) {
                    (raised, score) = (lowered, found);
                    break;
                }
            }
        }
        raised.retain(|_, level| *level != Level::Int8);
        Ok(as_list(&raised))
    }
}

impl Candidate<'_> {
    /// What each level costs; instructions decide between what is equal.
    fn price(&self, price: Price) -> [f64; 3] {
        let bytes = match price {
            Price::Instructions => return self.instructions,
            Price::WeightBytes => self.weight_bytes,
            Price::ResultBytes => self.result_bytes,
        };
        [0, 1, 2].map(|i| bytes[i] + 1e-6 * self.instructions[i])
    }

    /// The steps up that are worth it, with the noise that each takes away for what it costs, best first.
    fn steps(&self, price: Price) -> Vec<(f64, Level)> {
        let cost = self.price(price);
        let [int8, int16] = self.noise;
        let worth = |noise: f64, from: usize, to: usize| noise / (cost[to] - cost[from]).max(f64::MIN_POSITIVE);
        if int16 < int8 {
            let (first, second) = (worth(int8 - int16, 0, 1), worth(int16, 1, 2));
            if first >= second {
                return vec![(first, Level::Int16), (second, Level::Float32)];
            }
        }
        vec![(worth(int8, 0, 2), Level::Float32)]
    }
}

/// All steps of all nodes, the most useful first.
fn ladder<'g>(candidates: &[Candidate<'g>], price: Price) -> Vec<Raise<'g>> {
    let steps = |c: &Candidate<'g>| {
        let name = &*c.node.name;
        c.steps(price).into_iter().map(move |(worth, level)| (worth, (name, level)))
    };
    let mut ladder: Vec<(f64, Raise<'g>)> = candidates.iter().flat_map(steps).collect();
    ladder.sort_by(|a, b| b.0.total_cmp(&a.0));
    ladder.into_iter().map(|(_, raise)| raise).collect()
}

/// Position of a level in the arrays of a [`Candidate`].
fn index(level: Level) -> usize {
    match level {
        Level::Int8 => 0,
        Level::Int16 => 1,
        Level::Float32 => 2,
    }
}

/// What was chosen, in the order of the graph, with reasons.
fn choice(candidates: &[Candidate<'_>], precisions: Precisions, raised: &[Raise<'_>]) -> Choice {
    let total = |value: fn(&Candidate<'_>) -> f64| candidates.iter().map(value).sum::<f64>().max(f64::MIN_POSITIVE);
    let (noise, cost) = (total(|c| c.noise[0]), total(|c| c.instructions[0]));
    let reason = |c: &Candidate<'_>| {
        let (_, level) = raised.iter().find(|r| r.0 == c.node.name)?;
        Some(Raised {
            layer: c.node.name.clone(),
            operator: c.node.onnx.clone(),
            precision: level.element_type().name().into(),
            reason: format!(
                "{:.1} % of the noise of int8 comes from it, at {:.1} % of the instructions",
                100.0 * c.noise[0] / noise,
                100.0 * c.instructions[0] / cost
            ),
        })
    };
    Choice { precisions, raised: candidates.iter().filter_map(reason).collect() }
}

impl std::fmt::Display for Floor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sqnr = self.min_sqnr_db.map(|db| format!("SQNR of at least {db} dB"));
        let drop = self.max_accuracy_drop.map(|part| format!("accuracy at most {:.2} points lower", 100.0 * part));
        f.write_str(&sqnr.into_iter().chain(drop).collect::<Vec<_>>().join(" and "))
    }
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

/// Products of one evaluation of the floor: some seconds.
pub(super) const MOST_MACS: u64 = 3_000_000_000;

/// Samples of the measurement of a single node.
const MOST_ALONE: usize = 32;
/// Evaluations of nodes that may be lowered again.
const MOST_LOWERED: usize = 12;

/// Instructions of portable kernels for int16 and float32, over those for int8: what an order of layers needs to know.
const INT16_COST: f64 = 2.0;
const FLOAT32_COST: f64 = 3.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        Node { name: name.into(), onnx: "Conv".into(), operator: Operator::Reshape, inputs: vec![], outputs: vec![] }
    }

    fn candidate(node: &Node, noise: [f64; 2], cost: f64) -> Candidate<'_> {
        let instructions = [cost, cost * INT16_COST, cost * FLOAT32_COST];
        Candidate { node, noise, instructions, weight_bytes: [8.0, 8.0, 32.0], result_bytes: [1.0, 2.0, 4.0] }
    }

    fn check(candidates: &[Candidate<'_>], price: Price, expected: &[(&str, Level)]) {
        assert_eq!(ladder(candidates, price), expected);
    }

    #[test]
    fn steps_up_are_ordered_by_noise_over_cost() {
        use Level::{Float32, Int16};
        let [a, b, c] = ["a", "b", "c"].map(node);
        // b has no int16 form; int16 hardly helps c.
        let (a, b) = (candidate(&a, [8.0, 1.0], 1.0), candidate(&b, [8.0, f64::INFINITY], 1.0));
        let c = candidate(&c, [8.0, 7.0], 2.0);
        let all = [a, b, c];
        check(&all, Price::Instructions, &[("a", Int16), ("b", Float32), ("c", Float32), ("a", Float32)]);
        // int16 costs no weights, so whatever it takes away comes first.
        check(&all, Price::WeightBytes, &[("a", Int16), ("c", Int16), ("b", Float32), ("c", Float32), ("a", Float32)]);
    }

    #[test]
    fn floors_are_told_in_the_units_of_the_command_line() {
        let floor = Floor { min_sqnr_db: Some(30.0), max_accuracy_drop: Some(0.001) };
        assert_eq!(floor.to_string(), "SQNR of at least 30 dB and accuracy at most 0.10 points lower");
    }
}
