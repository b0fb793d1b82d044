//! Outputs whose parts differ more than the steps of one scale can tell apart: boxes in pixels beside scores, a score of
//! 0.002 beside one of 1.

use super::auto::{Choice, MOST_MACS, Raised, Search};
use crate::error::CompileError;
use crate::graph::{Graph, Node, Operator, TensorId};
use crate::metrics::Slice;
use crate::quantize::{Level, Precisions, QuantizeOptions, has_form};
use std::collections::{BTreeMap, BTreeSet};

impl Search<'_> {
    /// Raises what the outputs are made of, from their end, as far as that gives their weakest parts a signal: first a
    /// concatenation and what is behind it, then everything behind layers with weights, both to float32, which has a scale
    /// for every number; where a part has no signal then, those layers as well,
    /// to int16 or at last to float32.
    /// A model whose parts have [`ENOUGH_DB`] stays as it is.
    ///
    /// # Errors
    /// What quantization or a run says.
    pub fn spare_parts(&self, choice: Choice, options: &QuantizeOptions) -> Result<Spared, CompileError> {
        let graph = &self.calibrated.graph;
        let samples = self.telling(self.n_samples(MOST_MACS / 32));
        let score = |precisions: &Precisions| {
            self.score_on(&QuantizeOptions { precisions: precisions.clone(), ..options.clone() }, &samples)
        };
        let mut best = score(&choice.precisions)?;
        let without = best.worst.clone();
        let mut precisions = choice.precisions.clone();
        // The nodes that are raised, and the output for which each is.
        let mut raised: BTreeMap<usize, usize> = BTreeMap::new();
        for reach in [Reach::Joins, Reach::Functions, Reach::Layers, Reach::RealLayers] {
            let weak = |&i: &usize| best.worst[i].is_some() && decibels(best.worst[i]) < reach.least_db();
            let weak: Vec<usize> = (0..graph.outputs.len()).filter(weak).collect();
            let (mut attempt, mut nodes) = (precisions.clone(), raised.clone());
            for &output in &weak {
                for idx in reach.nodes(graph, graph.outputs[output].tensor) {
                    let node = &graph.nodes[idx];
                    let (level, before) = (reach.level(graph, node), attempt.nodes.get(&node.name).copied());
                    if before.unwrap_or(attempt.default) < level {
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
}

impl Reach {
    /// The SQNR of a part that leaves nothing to be done here.
    fn least_db(self) -> f64 {
        match self {
            Reach::Joins | Reach::Functions => ENOUGH_DB,
            Reach::Layers | Reach::RealLayers => NONE_DB,
        }
    }

    /// The level to which a node is raised.
    fn level(self, graph: &Graph, node: &Node) -> Level {
        let is_int16 = self == Reach::Layers && graph.node_macs(node) > 0 && has_form(&node.operator, Level::Int16);
        if is_int16 { Level::Int16 } else { Level::Float32 }
    }

    fn nodes(self, graph: &Graph, output: TensorId) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        self.follow(graph, output, &mut found);
        found
    }

    /// Whether the way to the graph's inputs goes through a node of this reach's end.
    fn follow(self, graph: &Graph, id: TensorId, found: &mut BTreeSet<usize>) -> bool {
        let Some(idx) = graph.producer(id) else { return self != Reach::Joins };
        if found.contains(&idx) {
            return true;
        }
        let node = &graph.nodes[idx];
        let has_weights = graph.node_macs(node) > 0;
        let is_end = match self {
            Reach::Joins => matches!(node.operator, Operator::Concat { .. }),
            Reach::Functions | Reach::Layers | Reach::RealLayers => has_weights,
        };
        if has_weights && matches!(self, Reach::Joins | Reach::Functions) {
            return self == Reach::Functions;
        }
        let mut is_way = is_end;
        if !is_end {
            for &input in &node.inputs {
                is_way |= self.follow(graph, input, found);
            }
        }
        if is_way || self != Reach::Joins {
            found.insert(idx);
        }
        is_way
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
