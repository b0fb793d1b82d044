//! What a logarithm, a root or a quotient is computed of: there the ratio of small numbers counts, and steps of one size
//! hold the large ones only.

use super::auto::{Choice, MOST_MACS, Raised, Search};
use crate::error::CompileError;
use crate::graph::{Graph, Node, Operator, Pair, Unary};
use crate::quantize::{Level, Precisions, QuantizeOptions, has_form};
use std::collections::BTreeMap;

impl Search<'_> {
    /// Raises what a logarithm, a root, a reciprocal or a divisor is computed of, as far as that brings back what was lost:
    /// first operators without weights to float32, then layers with weights to int16 as well, at last these to float32. A
    /// model without such an operator, or one that has [`ENOUGH_DB`] anyway, stays as it is.
    ///
    /// # Errors
    /// What quantization or a run says.
    pub fn spare_relative(&self, choice: Choice, options: &QuantizeOptions) -> Result<Choice, CompileError> {
        let graph = &self.calibrated.graph;
        if operands(graph, Reach::Layers).is_empty() {
            return Ok(choice);
        }
        let n = self.n_samples(MOST_MACS / 8);
        let score = |precisions: &Precisions| {
            let options = QuantizeOptions { precisions: precisions.clone(), ..options.clone() };
            self.score(&options, n).map(|score| score.sqnr_db)
        };
        let without_db = score(&choice.precisions)?;
        let mut best = (without_db, choice);
        let attempts = [(Reach::Layers, Level::Int16), (Reach::Inputs, Level::Int16), (Reach::Inputs, Level::Float32)];
        for (reach, of_layers) in attempts {
            if best.0 >= ENOUGH_DB {
                break;
            }
            let nodes = operands(graph, reach);
            let mut precisions = best.1.precisions.clone();
            let of_node = |node: &Node| if graph.node_macs(node) > 0 { of_layers } else { Level::Float32 };
            let available = |node: &Node| Some(of_node(node)).filter(|&level| has_form(&node.operator, level));
            let levels = nodes.values().map(|of| (of, available(of.node).unwrap_or(Level::Float32)));
            let raised: Vec<_> = levels.filter(|(_, level)| *level != precisions.default).collect();
            precisions.nodes.extend(raised.iter().map(|(of, level)| (of.node.name.clone(), *level)));
            let sqnr_db = score(&precisions)?;
            if sqnr_db < best.0 + WORTHWHILE_DB {
                continue;
            }
            let reason = |reader: &str| {
                format!("{reader} tells small numbers apart: {sqnr_db:.1} dB with it, {without_db:.1} dB without")
            };
            let raised = raised.into_iter().map(|(of, level)| Raised {
                layer: of.node.name.clone(),
                operator: of.node.onnx.clone(),
                precision: level.element_type().name().into(),
                reason: reason(of.reader),
            });
            best = (sqnr_db, Choice { raised: raised.collect(), precisions });
        }
        Ok(best.1)
    }
}

/// A node on the way to an operator for which ratios count.
struct Operand<'g> {
    node: &'g Node,
    /// ONNX name of that operator.
    reader: &'g str,
}

/// How far back operands are followed.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    /// To the results of layers with weights.
    Layers,
    /// To the inputs of the graph.
    Inputs,
}

/// The operators for which ratios count, and what their operands are computed by; by name of the node.
fn operands(graph: &Graph, reach: Reach) -> BTreeMap<&str, Operand<'_>> {
    let mut found = BTreeMap::new();
    let mut todo: Vec<Operand<'_>> = Vec::new();
    for node in &graph.nodes {
        let operand = match node.operator {
            Operator::Unary(Unary::Log | Unary::Sqrt | Unary::Reciprocal) => node.inputs.first(),
            Operator::Pair(Pair::Div) => node.inputs.get(1),
            _ => None,
        };
        let Some(&operand) = operand.filter(|&&id| graph.tensor(id).constant.is_none()) else { continue };
        todo.extend(graph.producer(operand).map(|i| Operand { node: &graph.nodes[i], reader: &node.onnx }));
        found.insert(&*node.name, Operand { node, reader: &node.onnx });
    }
    while let Some(Operand { node, reader }) = todo.pop() {
        let is_beyond = reach == Reach::Layers && graph.node_macs(node) > 0;
        if is_beyond || found.contains_key(&*node.name) {
            continue;
        }
        let producers = node.inputs.iter().filter_map(|&id| graph.producer(id));
        todo.extend(producers.map(|i| Operand { node: &graph.nodes[i], reader }));
        found.insert(&node.name, Operand { node, reader });
    }
    found
}

/// A model with so much has its signal.
const ENOUGH_DB: f64 = 20.0;
/// What more memory and more instructions must gain, in dB.
const WORTHWHILE_DB: f64 = 3.0;
