//! Elementwise operators that are one function of one tensor become one table.
//!
//! ```text
//! x ─┬─> Add 3 ─> Clip 0..6 ─┐
//!    └───────────────────────Mul ─> Div 6 ─> y         x ─> y, a table of 256 entries
//! ```
//!
//! Any such graph will do, as long as all of it would be int8: what lies between has no steps of its own then, and is not
//! even computed. Real numbers that are no int8 anyway keep their operators.

use super::islands::{self, Level, Precisions};
use super::masks::excludes;
use super::{QuantizeError, Ranges, deviations};
use crate::graph::{Composed, Constant, Graph, Node, Operator, Part, TensorId, Unary};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tinfer::tensor::ElementType;

/// Replaces what one table can compute.
///
/// # Errors
/// As [`islands::separate`].
pub(super) fn compose(graph: &mut Graph, precisions: &Precisions, ranges: &Ranges) -> Result<(), QuantizeError> {
    let deviations = deviations::nodes(graph);
    let mut stay: BTreeSet<String> = deviations.into_iter().map(|idx| graph.nodes[idx].name.clone()).collect();
    loop {
        let mut attempt = graph.clone();
        for (idx, function) in functions(graph, precisions, ranges, &stay) {
            let node = &mut attempt.nodes[idx];
            node.operator = Operator::Unary(Unary::Composed(Arc::new(function.composed)));
            node.onnx = function.onnx;
            node.inputs = vec![function.of];
        }
        attempt.compact();
        // Between real numbers there is no table.
        let n_before = stay.len();
        stay.extend(real_tables(&attempt, precisions)?);
        if stay.len() == n_before {
            *graph = attempt;
            return Ok(());
        }
    }
}

/// Names of the tables that would read or be real numbers.
fn real_tables(graph: &Graph, precisions: &Precisions) -> Result<Vec<String>, QuantizeError> {
    let levels = islands::node_levels(graph, precisions)?;
    let producers = super::share::producers(graph);
    let is_real = |idx: usize| levels[idx] == Level::Float32;
    let tables = (0..graph.nodes.len()).filter(|&idx| is_table(&graph.nodes[idx]));
    let real = tables.filter(|&idx| is_real(idx) || producers[graph.nodes[idx].inputs[0].0].is_some_and(is_real));
    Ok(real.map(|idx| graph.nodes[idx].name.clone()).collect())
}

fn is_table(node: &Node) -> bool {
    matches!(node.operator, Operator::Unary(Unary::Composed(_)))
}

/// What a tensor is of another one.
#[derive(Clone)]
struct Function {
    of: TensorId,
    composed: Composed,
    /// The operators, for reports.
    onnx: String,
}

/// The functions that are worth a table, by the node that computes their result.
fn functions(
    graph: &Graph,
    precisions: &Precisions,
    ranges: &Ranges,
    stay: &BTreeSet<String>,
) -> Vec<(usize, Function)> {
    let is_free = |node: &Node| {
        let level = precisions.nodes.get(&node.name).copied().unwrap_or(precisions.default);
        level == Level::Int8 && !stay.contains(&node.name) && is_elementwise(graph, node)
    };
    let free: Vec<bool> = graph.nodes.iter().map(is_free).collect();
    let mut known: HashMap<TensorId, Function> = HashMap::new();
    let mut found = Vec::new();
    for (idx, node) in graph.nodes.iter().enumerate().filter(|&(idx, _)| free[idx]) {
        let is_read_by_others = |id| graph.is_output(id) || graph.consumers(id).into_iter().any(|reader| !free[reader]);
        let Some(function) = function_of(graph, node, &known, is_read_by_others) else { continue };
        let y = node.outputs[0];
        if is_worth_a_table(graph, ranges, node, &function.composed) {
            found.push((idx, function.clone()));
        }
        known.insert(y, function);
    }
    found
}

/// Whether a node's result has a range of int8 steps, and is not the table of an operator already.
fn is_worth_a_table(graph: &Graph, ranges: &Ranges, node: &Node, composed: &Composed) -> bool {
    let y = graph.tensor(node.outputs[0]);
    let is_one_already = composed.n_operators() == 1 && matches!(node.operator, Operator::Unary(_));
    let seen = y.origin.as_ref().and_then(|origin| ranges.histogram(&origin.name));
    let has_range = seen.is_some_and(|seen| seen.n_not_finite() == 0);
    // Masks have a treatment of their own.
    y.element_type == ElementType::F32 && !is_one_already && has_range && !excludes(graph, ranges, node.outputs[0])
}

fn is_elementwise(graph: &Graph, node: &Node) -> bool {
    let type_of = |id: &TensorId| graph.tensor(*id).element_type;
    match &node.operator {
        Operator::Unary(function) => !matches!(function, Unary::Snap(_)),
        Operator::Binary { .. } | Operator::Where => true,
        Operator::Pair(function) => Part::pair(*function, [0, 1]).is_some(),
        Operator::Cast => {
            type_of(&node.inputs[0]) == ElementType::Bool && type_of(&node.outputs[0]) == ElementType::F32
        }
        _ => false,
    }
}

/// The function that a node's result is, of the tensor that all its operands are functions of.
fn function_of(
    graph: &Graph,
    node: &Node,
    known: &HashMap<TensorId, Function>,
    is_read_by_others: impl Fn(TensorId) -> bool,
) -> Option<Function> {
    let mut operands: Vec<TensorId> = node.inputs.iter().copied().filter(|&id| number(graph, id).is_none()).collect();
    operands.dedup();
    let first = *operands.first()?;
    // What is there in any case is nearer than what it was made of.
    let starts_here =
        operands.len() == 1 && (is_read_by_others(first) && graph.tensor(first).element_type == ElementType::F32);
    let own = |id: TensorId| Function { of: id, composed: Composed::identity(), onnx: String::new() };
    let function = |id: TensorId| match known.get(&id) {
        Some(function) if !starts_here => function.clone(),
        _ => own(id),
    };
    let of = function(first).of;
    let mut onnx = String::new();
    let mut composed = Vec::new();
    for &id in &node.inputs {
        if let Some(number) = number(graph, id) {
            composed.push(Composed::constant(number));
            continue;
        }
        let operand = function(id);
        if operand.of != of {
            return None;
        }
        if !operand.onnx.is_empty() && !onnx.contains(&operand.onnx) {
            onnx = format!("{onnx}{}+", operand.onnx);
        }
        composed.push(operand.composed);
    }
    let (source, y) = (graph.tensor(of), graph.tensor(node.outputs[0]));
    let is_of_reals = source.element_type == ElementType::F32 && source.constant.is_none() && source.shape == y.shape;
    if !is_of_reals || y.quantization.is_some() {
        return None;
    }
    let composed = match part(&node.operator)? {
        Some(part) => Composed::of(part, &composed),
        None => composed.pop()?,
    };
    let onnx = format!("{onnx}{}", node.onnx);
    (composed.n_operators() <= MOST_OPERATORS).then_some(Function { of, composed, onnx })
}

/// The part that an operator is on its operands; none for a change of type that changes no number.
fn part(operator: &Operator) -> Option<Option<Part>> {
    Some(match operator {
        Operator::Unary(function) => Some(Part::Unary(function.clone(), 0)),
        Operator::Binary { function, clamp } => Some(Part::Binary(*function, *clamp, [0, 1])),
        Operator::Pair(function) => Some(Part::pair(*function, [0, 1])?),
        Operator::Where => Some(Part::Where([0, 1, 2])),
        Operator::Cast => None,
        _ => return None,
    })
}

/// The only element of a constant.
fn number(graph: &Graph, id: TensorId) -> Option<f64> {
    let tensor = graph.tensor(id);
    match (&tensor.constant, tensor.n_elements()) {
        (Some(Constant::F32(values)), 1) => values.first().map(|&v| f64::from(v)),
        (Some(Constant::Bool(values)), 1) => values.first().map(|&v| f64::from(v)),
        _ => None,
    }
}

/// Of a function. Squares of squares have operands without end.
const MOST_OPERATORS: usize = 64;
