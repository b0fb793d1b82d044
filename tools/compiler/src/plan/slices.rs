//! Bounded steps: a layer that costs too much in one step runs as several, each making some of its rows.
//!
//! ```text
//!            whole, one step          in slices, three steps
//!   x    [ 12 x 12 x 8 ]      x    [ rows ][ rows ][ rows ]     views of x; neighbours overlap where the window does
//!            | conv                  | conv  | conv  | conv     the same weights
//!   y    [ 12 x 12 x 16 ]     y    [ rows ][ rows ][ rows ]     views of y
//! ```
//! A fully connected layer has outputs for rows, and each slice has its rows of the weights. Nothing is computed twice,
//! and slices are ordinary steps of the same kernels: the runtime knows nothing of them.

use super::ARENA_ALIGNMENT;
use super::strips::{row_bytes, seen, strip_node, strip_of, window};
use crate::graph::{Graph, Node, Operator, Tensor, TensorId};
use serde::Serialize;
use std::ops::Range;

/// A layer that runs in slices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sliced {
    /// Name of its node.
    pub layer: String,
    /// Number of steps that it became.
    pub n_slices: usize,
    /// Estimated instructions of the most expensive one; above the limit where rows cannot be divided further.
    pub instructions_estimate: u64,
}

/// Divides every layer whose step costs more than `most_instructions`, as far as its rows allow.
///
/// `cost` estimates the instructions of a node's step. Layers without an estimate, and those that have no rows (softmax,
/// transposes, matrix products), stay whole.
///
/// # Algorithm
/// From the top: the largest slice that stays within the limit, or the smallest there is. Slices start where their rows
/// start at a multiple of [`ARENA_ALIGNMENT`] bytes, in every tensor that they are a part of.
pub fn slice(
    graph: &Graph,
    most_instructions: u64,
    cost: &dyn Fn(&Graph, &Node) -> Option<u64>,
) -> (Graph, Vec<Sliced>) {
    let mut sliced = graph.clone();
    sliced.nodes.clear();
    let mut report = Vec::new();
    for node in &graph.nodes {
        let is_above = cost(graph, node).is_some_and(|whole| whole > most_instructions);
        let rows = if is_above { Rows::of(graph, node) } else { None };
        match rows.and_then(|rows| rows.divide(&mut sliced, most_instructions, cost)) {
            Some(divided) => report.push(divided),
            None => sliced.nodes.push(node.clone()),
        }
    }
    (sliced, report)
}

/// A layer whose result can be made some rows at a time.
struct Rows<'g> {
    graph: &'g Graph,
    node: &'g Node,
    /// Rows that a slice may begin with, 0 first, and the number of rows.
    cuts: Vec<usize>,
}

impl<'g> Rows<'g> {
    fn of(graph: &'g Graph, node: &'g Node) -> Option<Self> {
        let [output] = node.outputs[..] else { return None };
        let y = graph.tensor(output);
        let n_rows = match (&node.operator, &y.shape[..]) {
            (Operator::FullyConnected { .. }, &[1, outputs]) => {
                let is_constant = |&id: &TensorId| graph.tensor(id).constant.is_some();
                node.inputs[1..].iter().all(is_constant).then_some(outputs)?
            }
            (operator, &[1, height, _, _]) => {
                let x = graph.tensor(node.inputs[0]);
                let is_image = x.constant.is_none() && matches!(x.shape[..], [1, _, _, _]);
                (is_image && (window(operator).is_some() || is_rowwise(graph, node))).then_some(height)?
            }
            _ => return None,
        };
        let mut rows = Rows { graph, node, cuts: Vec::new() };
        rows.cuts = (0..n_rows).filter(|&row| rows.is_cut(row, n_rows)).chain([n_rows]).collect();
        (rows.cuts.len() > 2).then_some(rows)
    }

    /// Whether a slice may start at a row.
    fn is_cut(&self, row: usize, n_rows: usize) -> bool {
        let starts_aligned = |tensor: &Tensor, row: usize| (row * row_bytes(tensor)).is_multiple_of(ARENA_ALIGNMENT);
        let output_fits = starts_aligned(self.graph.tensor(self.node.outputs[0]), row);
        output_fits
            && self.views(&(row..n_rows)).is_some_and(|views| {
                views.iter().all(|(i, rows)| starts_aligned(self.graph.tensor(self.node.inputs[*i]), rows.start))
            })
    }

    /// Which rows of which operands the slice reads; `None` when it would see none.
    fn views(&self, rows: &Range<usize>) -> Option<Vec<(usize, Range<usize>)>> {
        if let Operator::FullyConnected { .. } = self.node.operator {
            return Some(Vec::new());
        }
        if let Some(window) = window(&self.node.operator) {
            let height = self.graph.tensor(self.node.inputs[0]).shape[1];
            return Some(vec![(0, seen(window, rows, height)?.0)]);
        }
        let images = self.node.inputs.iter().enumerate();
        let images = images.filter(|&(_, &id)| self.graph.tensor(id).constant.is_none());
        Some(images.map(|(i, _)| (i, rows.clone())).collect())
    }

    /// Writes the slices behind the nodes of `target`, whose tensors begin with those of the layer's graph.
    fn divide(
        &self,
        target: &mut Graph,
        most_instructions: u64,
        cost: &dyn Fn(&Graph, &Node) -> Option<u64>,
    ) -> Option<Sliced> {
        let estimate = |rows: Range<usize>| {
            let mut trial = part_of(self.graph, self.node);
            let node = self.add(&mut trial, &rows)?;
            cost(&trial, &node)
        };
        let mut slices = Vec::new();
        let mut first = 0;
        while first + 1 < self.cuts.len() {
            let start = self.cuts[first];
            let ends = &self.cuts[first + 1..];
            let n_fitting = ends.partition_point(|&end| estimate(start..end).is_none_or(|n| n <= most_instructions));
            let end = ends[n_fitting.saturating_sub(1)];
            slices.push(start..end);
            first += n_fitting.max(1);
        }
        let steps = slices.iter().map(|rows| self.add(target, rows)).collect::<Option<Vec<Node>>>()?;
        let worst = steps.iter().filter_map(|step| cost(target, step)).max()?;
        let parts = steps.iter().map(|step| step.outputs[0]).collect();
        target.nodes.extend(steps);
        let output = self.node.outputs[0];
        let name = self.graph.tensor(output).name.clone();
        let join = Operator::JoinRows;
        target.nodes.push(Node { name, onnx: String::new(), operator: join, inputs: parts, outputs: vec![output] });
        Some(Sliced { layer: self.node.name.clone(), n_slices: slices.len(), instructions_estimate: worst })
    }

    /// Adds the tensors and views of one slice, and gives its node.
    fn add(&self, target: &mut Graph, rows: &Range<usize>) -> Option<Node> {
        let padding_above = match window(&self.node.operator) {
            Some(window) => seen(window, rows, self.graph.tensor(self.node.inputs[0]).shape[1])?.1,
            None => 0,
        };
        let output = target.add_tensor(strip_of(self.graph.tensor(self.node.outputs[0]), rows));
        let mut node = strip_node(self.node, padding_above, rows, self.node.inputs[0], output);
        for (i, rows) in self.views(rows)? {
            let whole = self.node.inputs[i];
            let view = target.add_tensor(strip_of(self.graph.tensor(whole), &rows));
            target.nodes.push(Node {
                name: target.tensor(view).name.clone(),
                onnx: String::new(),
                operator: Operator::Rows { start: rows.start },
                inputs: vec![whole],
                outputs: vec![view],
            });
            node.inputs[i] = view;
        }
        if let Operator::FullyConnected { .. } = self.node.operator {
            for input in &mut node.inputs[1..] {
                *input = target.add_tensor(constant_rows(self.graph.tensor(*input), rows)?);
            }
        }
        Some(node)
    }
}

/// A graph to try things in: all tensors, without the values of those that the node does not read.
fn part_of(graph: &Graph, node: &Node) -> Graph {
    let tensors = graph.tensors.iter().enumerate();
    let named = |i: usize| node.inputs.contains(&TensorId(i));
    let tensors = tensors.map(|(i, t)| if named(i) { t.clone() } else { without_values(t) }).collect();
    Graph { tensors, ..Graph::default() }
}

/// Elementwise over images: every operand has the result's rows, or one row for all.
fn is_rowwise(graph: &Graph, node: &Node) -> bool {
    let y = graph.tensor(node.outputs[0]);
    let has_no_rows = |t: &Tensor| t.shape.len() < 3 || t.shape[t.shape.len() - 3] == 1;
    let fits = |&id: &TensorId| {
        let operand = graph.tensor(id);
        if operand.constant.is_some() { has_no_rows(operand) } else { operand.shape == y.shape }
    };
    matches!(node.operator, Operator::Binary { .. } | Operator::Unary(_) | Operator::Requantize)
        && node.inputs.iter().all(fits)
}

/// Rows of the first axis of weights, a bias, and their scales.
fn constant_rows(whole: &Tensor, rows: &Range<usize>) -> Option<Tensor> {
    let n_rows = *whole.shape.first()?;
    let row = whole.n_elements() / n_rows;
    let constant = whole.constant.as_ref()?.gathered(rows.start * row..rows.end * row)?;
    let mut part = without_values(whole);
    part.shape[0] = rows.len();
    part.constant = Some(constant);
    if let Some(q) = &mut part.quantization
        && q.axis == 0
        && q.scales.len() == n_rows
    {
        q.scales = q.scales.get(rows.clone())?.to_vec();
    }
    Some(Tensor { name: format!("{} rows {}..{}", whole.name, rows.start, rows.end), ..part })
}

fn without_values(tensor: &Tensor) -> Tensor {
    let Tensor { name, shape, element_type, constant: _, quantization, origin } = tensor;
    Tensor {
        name: name.clone(),
        shape: shape.clone(),
        element_type: *element_type,
        constant: None,
        quantization: quantization.clone(),
        origin: origin.clone(),
    }
}
