//! Masks before Softmax: large negative numbers that exclude elements, and must not decide about the steps of the scores.
//!
//! ```text
//! scores ─┐                                        range of the scores alone, and one step below it
//!         Add or Where ──> masked ──> Softmax      masked elements saturate at that step, which has no share
//! mask ───┘                                        at least -10000, whatever the file has
//! ```

use super::islands::{Level, Levels};
use super::{Precisions, RangeMethod, Ranges};
use crate::graph::{Binary, Clamp, Constant, Graph, Operator, TensorId};
use crate::quantize::Range;
use std::collections::{BTreeMap, BTreeSet};

/// What is masked in a graph, and by what.
#[derive(Debug, Default)]
pub(super) struct Masks {
    /// The scores of each masked tensor.
    scores: BTreeMap<TensorId, TensorId>,
    /// Everything that masks are made of.
    parts: BTreeSet<TensorId>,
}

impl Masks {
    /// Finds the masks before every Softmax, limits their constants, and lets Softmax know.
    pub(super) fn apply(graph: &mut Graph, ranges: &Ranges, levels: &Levels) -> Self {
        let mut masks = Masks::default();
        for softmax in 0..graph.nodes.len() {
            let level = levels[graph.nodes[softmax].outputs[0].0];
            if graph.nodes[softmax].operator != Operator::Softmax || level != Some(Level::Int8) {
                continue;
            }
            let Some((path, scores, mask)) = masked(graph, ranges, graph.nodes[softmax].inputs[0]) else { continue };
            masks.scores.extend(path.into_iter().map(|tensor| (tensor, scores)));
            masks.collect(graph, mask);
            graph.nodes[softmax].operator = Operator::MaskedSoftmax;
        }
        masks.limit_constants(graph);
        masks
    }

    /// The range of a tensor that is masked or a mask; `None` for every other tensor.
    pub(super) fn range(&self, graph: &Graph, ranges: &Ranges, method: RangeMethod, id: TensorId) -> Option<Range> {
        if let Some(&scores) = self.scores.get(&id) {
            let scores = observed(graph, ranges, method, scores, Clamp::default())?;
            // Of 255 steps one is taken from the scores.
            return Some(Range { min: scores.min - scores.width().max(f64::MIN_POSITIVE) / 254.0, ..scores });
        }
        let limit = Clamp { min: Some(LOWEST), max: None };
        if self.parts.contains(&id) { observed(graph, ranges, RangeMethod::MinMax, id, limit) } else { None }
    }

    /// Adds a tensor and what it is made of.
    fn collect(&mut self, graph: &Graph, id: TensorId) {
        if !self.parts.insert(id) {
            return;
        }
        let Some(node) = graph.producer(id).map(|i| &graph.nodes[i]) else { return };
        let is_made = matches!(
            node.operator,
            Operator::Binary { .. }
                | Operator::Where
                | Operator::Move(_)
                | Operator::Reshape
                | Operator::Transpose { .. }
                | Operator::Concat { .. }
                | Operator::Requantize
        );
        if is_made {
            node.inputs.iter().for_each(|&input| self.collect(graph, input));
        }
    }

    /// Numbers below the lowest one, infinity too, become the lowest one where nobody else reads them.
    fn limit_constants(&self, graph: &mut Graph) {
        let is_masked = |id: &TensorId| self.parts.contains(id) || self.scores.contains_key(id);
        for &id in &self.parts {
            let only_mask = graph.consumers(id).into_iter().all(|n| graph.nodes[n].outputs.iter().all(is_masked));
            if let (true, Some(Constant::F32(values))) = (only_mask, &mut graph.tensor_mut(id).constant) {
                values.iter_mut().filter(|v| **v < LOWEST).for_each(|v| *v = LOWEST);
            }
        }
    }
}

/// Asks for float32 for every Softmax that was to be in int16 behind a mask, from the mask on: int16 has no step for minus
/// infinity, and one scale for it and the scores has no steps for these.
pub(super) fn in_float(graph: &Graph, ranges: &Ranges, precisions: &mut Precisions) {
    for node in graph.nodes.iter().filter(|n| n.operator == Operator::Softmax) {
        let asked = precisions.nodes.get(&node.name).copied().unwrap_or(precisions.default);
        if asked != Level::Int16 {
            continue;
        }
        let Some((path, _, _)) = masked(graph, ranges, node.inputs[0]) else { continue };
        let computed = path.iter().chain(&node.outputs).filter_map(|&id| graph.producer(id));
        precisions.nodes.extend(computed.map(|idx| (graph.nodes[idx].name.clone(), Level::Float32)));
    }
}

/// The tensors between a Softmax and the node that masks, the scores and the mask.
fn masked(graph: &Graph, ranges: &Ranges, input: TensorId) -> Option<(Vec<TensorId>, TensorId, TensorId)> {
    let (mut path, mut id) = (Vec::new(), input);
    loop {
        // Whoever else reads it would find the mask gone.
        if graph.consumers(id).len() != 1 || graph.is_output(id) {
            return None;
        }
        path.push(id);
        let node = &graph.nodes[graph.producer(id)?];
        let (a, b) = match &node.operator {
            Operator::Requantize => {
                id = node.inputs[0];
                continue;
            }
            Operator::Binary { function: Binary::Add, clamp } if *clamp == Clamp::default() => {
                (node.inputs[0], node.inputs[1])
            }
            Operator::Where => (node.inputs[1], node.inputs[2]),
            _ => return None,
        };
        return match (excludes(graph, ranges, a), excludes(graph, ranges, b)) {
            (false, true) => Some((path, a, b)),
            (true, false) => Some((path, b, a)),
            _ => None,
        };
    }
}

/// Whether a tensor has numbers that leave nothing of a score, and none above 0.
pub(super) fn excludes(graph: &Graph, ranges: &Ranges, id: TensorId) -> bool {
    let is_mask = |min: f32, max: f32| min <= EXCLUDING && max <= 0.0;
    match (&graph.tensor(id).constant, histogram(graph, ranges, id)) {
        (Some(Constant::F32(values)), _) => {
            let ends = values.iter().fold((0.0f32, f32::NEG_INFINITY), |(min, max), &v| (min.min(v), max.max(v)));
            is_mask(ends.0, ends.1)
        }
        (None, Some(histogram)) => histogram
            .min_max()
            .is_some_and(|(min, max)| is_mask(min, max) || (histogram.n_not_finite() > 0 && max <= 0.0)),
        _ => false,
    }
}

fn histogram<'r>(graph: &Graph, ranges: &'r Ranges, id: TensorId) -> Option<&'r super::Histogram> {
    graph.tensor(id).origin.as_ref().and_then(|origin| ranges.histogram(&origin.name))
}

fn observed(graph: &Graph, ranges: &Ranges, method: RangeMethod, id: TensorId, limit: Clamp) -> Option<Range> {
    match &graph.tensor(id).constant {
        Some(Constant::F32(values)) => {
            let range = |r: Range, &v: &f32| r.hull(Range::new(f64::from(v), f64::from(v)));
            Some(values.iter().fold(Range::new(0.0, 0.0), range))
        }
        _ => Range::choose(histogram(graph, ranges, id)?, method, limit),
    }
}

/// What leaves nothing of a score, in real units.
const EXCLUDING: f32 = -1000.0;
/// The most negative number of a mask in steps.
const LOWEST: f32 = -10_000.0;
