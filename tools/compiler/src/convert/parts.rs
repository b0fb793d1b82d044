//! Outputs whose parts differ more than the steps of one scale can tell apart: boxes in pixels beside scores, a score of
//! 0.002 beside one of 1.

use super::auto::{Choice, Raised, Search};
use super::gate;
use crate::error::CompileError;
use crate::graph::{Graph, Node, Operator, TensorId};
use crate::metrics::Slice;
use crate::quantize::{Level, Precisions, QuantizeOptions, has_form, quantize};
use std::collections::{BTreeMap, BTreeSet};
use tinfer::tensor::ElementType;

impl Search<'_> {
    /// Raises what the outputs are made of, from their end, as far as that gives their weakest parts a signal: first a
    /// concatenation and what is behind it, then everything behind layers with weights, both to float32, which has a scale
    /// for every number; where a part has no signal then, those layers as well, to int16 or to float32, at last all that the
    /// output is computed of.
    /// A model whose parts have [`ENOUGH_DB`] stays as it is.
    ///
    /// # Errors
    /// What quantization or a run says.
    pub fn spare_parts(&self, choice: Choice, options: &QuantizeOptions) -> Result<Spared, CompileError> {
        let graph = &self.calibrated.graph;
        let samples = self.telling(self.n_samples(gate::MOST_MACS).min(gate::MOST_SAMPLES));
        let score = |precisions: &Precisions| {
            self.score_on(&QuantizeOptions { precisions: precisions.clone(), ..options.clone() }, &samples)
        };
        let mut best = score(&choice.precisions)?;
        let without = best.worst.clone();
        let mut precisions = choice.precisions.clone();
        // The nodes that are raised, and the output for which each is.
        let mut raised: BTreeMap<usize, usize> = BTreeMap::new();
        let mut was_lost = vec![false; graph.outputs.len()];
        for reach in Reach::ALL {
            was_lost.iter_mut().zip(&best.worst).for_each(|(lost, &worst)| *lost |= decibels(worst) < NONE_DB);
            // What needs more than its last nodes anyway gets enough.
            let least_db = |i: usize| if was_lost[i] { ENOUGH_DB } else { reach.least_db() };
            let weak = |&i: &usize| best.worst[i].is_some() && decibels(best.worst[i]) < least_db(i);
            let weak: Vec<usize> = (0..graph.outputs.len()).filter(weak).collect();
            if weak.is_empty() {
                continue;
            }
            let in_steps = self.in_steps(&QuantizeOptions { precisions: precisions.clone(), ..options.clone() })?;
            let (mut attempt, mut nodes) = (precisions.clone(), raised.clone());
            for &output in &weak {
                for idx in reach.nodes(graph, graph.outputs[output].tensor) {
                    let node = &graph.nodes[idx];
                    let level = reach.level(graph, node);
                    if in_steps.get(&node.name).is_some_and(|&now| now < level) {
                        attempt.nodes.insert(node.name.clone(), level);
                        nodes.entry(idx).or_insert(output);
                    }
                }
            }
            if attempt == precisions {
                continue;
            }
            // What has no kernels at these levels is no way out.
            let Ok(found) = score(&attempt) else { continue };
            if weak.iter().any(|&i| decibels(found.worst[i]) >= decibels(best.worst[i]) + WORTHWHILE_DB) {
                (best, precisions, raised) = (found, attempt, nodes);
            }
        }
        let mut all = choice.raised;
        for (idx, output) in raised {
            let node = &graph.nodes[idx];
            let level = precisions.nodes.get(&node.name).copied().unwrap_or_default();
            let weakest = without[output].map(|s| s.to_string()).unwrap_or_default();
            let [with, without] = [best.worst[output], without[output]].map(told);
            let name = &graph.outputs[output].name;
            all.retain(|r| r.layer != node.name);
            all.push(Raised {
                layer: node.name.clone(),
                operator: node.onnx.clone(),
                precision: level.element_type().name().into(),
                reason: format!(
                    "output {name} has parts that its steps cannot tell apart: {with} in the weakest with it, \
                     {without} without ({weakest})"
                ),
            });
        }
        Ok(Spared { choice: Choice { precisions, raised: all }, sqnr_db: best.telling_db(), samples })
    }
}

impl Search<'_> {
    /// The nodes that compute in steps, and in which.
    fn in_steps(&self, options: &QuantizeOptions) -> Result<BTreeMap<String, Level>, CompileError> {
        let graph = quantize(self.calibrated.graph.clone(), &self.calibrated.ranges, options)?;
        let level = |node: &Node| match graph.tensor(node.outputs[0]).element_type {
            ElementType::I8 => Some(Level::Int8),
            ElementType::I16 => Some(Level::Int16),
            _ => None,
        };
        Ok(graph.nodes.iter().filter_map(|node| Some((node.name.clone(), level(node)?))).collect())
    }
}

fn told(slice: Option<Slice>) -> String {
    match slice {
        Some(slice) if slice.has_signal => format!("{:.1} dB", slice.sqnr_db),
        Some(_) => "no signal".into(),
        None => "nothing to tell".into(),
    }
}

/// Precisions that keep the parts of the outputs.
pub(super) struct Spared {
    pub choice: Choice,
    /// What they give: the least SQNR of an output, at most 0 dB where a part has no signal.
    pub sqnr_db: f64,
    /// On these samples.
    pub samples: Vec<usize>,
}

/// How far back from an output nodes are raised.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// To the first concatenation on each way.
    Joins,
    /// To the results of layers with weights.
    Functions,
    /// To these layers, in int16 as far as they have it.
    Layers,
    /// To these layers, in float32.
    RealLayers,
    /// To the inputs, in int16 as far as there is such a form.
    Inputs,
}

impl Reach {
    /// In the order in which they are tried.
    const ALL: [Reach; 5] = [Reach::Joins, Reach::Functions, Reach::Layers, Reach::RealLayers, Reach::Inputs];

    /// The SQNR of a part that leaves nothing to be done here.
    fn least_db(self) -> f64 {
        match self {
            Reach::Joins | Reach::Functions => ENOUGH_DB,
            Reach::Layers | Reach::RealLayers | Reach::Inputs => NONE_DB,
        }
    }

    /// The level to which a node is raised.
    fn level(self, graph: &Graph, node: &Node) -> Level {
        let is_int16 = match self {
            Reach::Layers => graph.node_macs(node) > 0,
            Reach::Inputs => true,
            _ => false,
        };
        if is_int16 && has_form(&node.operator, Level::Int16) { Level::Int16 } else { Level::Float32 }
    }

    /// The nodes between an output and the end of this reach.
    fn nodes(self, graph: &Graph, output: TensorId) -> BTreeSet<usize> {
        let mut wanted = vec![false; graph.tensors.len()];
        wanted[output.0] = true;
        let mut found = BTreeSet::new();
        // Nodes are in the order of execution.
        for (idx, node) in graph.nodes.iter().enumerate().rev() {
            let has_weights = graph.node_macs(node) > 0;
            let is_beyond = has_weights && matches!(self, Reach::Joins | Reach::Functions);
            if is_beyond || !node.outputs.iter().any(|y| wanted[y.0]) {
                continue;
            }
            found.insert(idx);
            let is_end = match self {
                Reach::Joins => matches!(node.operator, Operator::Concat { .. }),
                Reach::Functions | Reach::Layers | Reach::RealLayers => has_weights,
                Reach::Inputs => false,
            };
            if !is_end {
                node.inputs.iter().for_each(|x| wanted[x.0] = true);
            }
        }
        if self == Reach::Joins {
            // What no concatenation leads to is left alone.
            let mut joined = vec![false; graph.tensors.len()];
            found.retain(|&idx| {
                let node = &graph.nodes[idx];
                let is_behind = node.inputs.iter().any(|x| joined[x.0]);
                let is_way = is_behind || matches!(node.operator, Operator::Concat { .. });
                node.outputs.iter().for_each(|y| joined[y.0] = is_way);
                is_way
            });
        }
        found
    }
}

/// What lost its signal is below everything else.
fn decibels(slice: Option<Slice>) -> f64 {
    slice.map_or(200.0, |s| if s.has_signal { s.sqnr_db.max(NONE_DB) } else { NONE_DB - 100.0 })
}

/// Parts with so much have their signal.
const ENOUGH_DB: f64 = 20.0;
/// What only parts without signal are below.
const NONE_DB: f64 = -50.0;
/// What more memory and more instructions must gain, in dB.
const WORTHWHILE_DB: f64 = 6.0;
