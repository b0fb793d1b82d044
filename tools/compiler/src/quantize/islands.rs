//! Which number format each node computes in, and the steps between nodes of different formats.
//!
//! ```text
//!             int8           float32                  int8
//!   x int8 -> conv -> y int8 -> Requantize -> y float32 -> layer_norm -> z float32 -> Requantize -> z int8 -> conv
//! ```
//!
//! A node's format is that of its operands and results which are real numbers. Tensors that are plain integers or
//! booleans (indices, shapes, masks) have no format and pass as they are.

use super::{QuantizeError, deviations};
use crate::graph::{Binary, Constant, Graph, Move, Node, Normalization, Operator, Sampling, Tensor, TensorId};
use std::collections::{BTreeMap, HashMap};
use tinfer::kernels::portable::MAX_ROW;
use tinfer::operators::reduction::normalization::NormalizationResult;
use tinfer::tensor::ElementType;

/// A number format for real numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// int8 steps.
    #[default]
    Int8,
    /// int16 steps with zero point 0; weights are int8.
    Int16,
    /// As in the ONNX file.
    Float32,
}

impl Level {
    /// Type of the elements that hold real numbers.
    pub fn element_type(self) -> ElementType {
        match self {
            Level::Int8 => ElementType::I8,
            Level::Int16 => ElementType::I16,
            Level::Float32 => ElementType::F32,
        }
    }

    /// Whether its tensors have scales.
    pub fn is_quantized(self) -> bool {
        self != Level::Float32
    }
}

/// The format that is wanted for each node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Precisions {
    /// Of nodes that are not listed.
    pub default: Level,
    /// By node name.
    pub nodes: BTreeMap<String, Level>,
}

/// Whether kernels compute this operator at a level: the one place where an operator says so. What is not listed here
/// exists in float32 only, and becomes an island in a quantized model.
pub fn has_form(operator: &Operator, level: Level) -> bool {
    let moves = operator.keeps_values();
    let int16 = match operator {
        Operator::Binary { function, .. } => matches!(function, Binary::Add | Binary::Sub | Binary::Mul),
        Operator::Conv2d { .. }
        | Operator::DepthwiseConv2d { .. }
        | Operator::FullyConnected { .. }
        | Operator::Unary(_)
        | Operator::AveragePool2d { .. }
        | Operator::Softmax
        | Operator::Requantize => true,
        // Weighted sums of neighbours, and what compares elements, are there in int8 and float32.
        Operator::Move(Move::Resize { sampling, .. }) => *sampling == Sampling::Nearest,
        Operator::WindowNd(_) | Operator::Reduction(_) => false,
        _ => moves,
    };
    match level {
        Level::Float32 => true,
        Level::Int16 => int16,
        Level::Int8 => {
            int16
                || follows_operand(operator)
                || normalizes_rows(operator)
                || matches!(operator, Operator::BatchMatmul { .. } | Operator::ConvTranspose2d { .. })
                || matches!(operator, Operator::Pair(function) if function.selects())
        }
    }
}

/// LayerNormalization and RMSNormalization, one factor for each element of a row.
fn normalizes_rows(operator: &Operator) -> bool {
    match operator {
        Operator::Normalization(Normalization { result, n, groups, repeat, .. }) => {
            *result == NormalizationResult::Normalized && *n <= MAX_ROW && *groups == 1 && *repeat == 1
        }
        _ => false,
    }
}

/// Operators that compute nothing: they take the level of their operand, where they have it. All of them exist in int8
/// and float32.
fn follows_operand(operator: &Operator) -> bool {
    operator.keeps_values() || operator.finds_elements()
}

/// A level, or float32 where an operator does not have it.
fn available(operator: &Operator, level: Level) -> Level {
    if has_form(operator, level) { level } else { Level::Float32 }
}

/// Cheap functions of single elements, not worth two conversions between neighbours in float32.
fn is_elementwise(operator: &Operator) -> bool {
    matches!(operator, Operator::Unary(_) | Operator::Binary { .. })
}

/// The level of every tensor, `None` for those that hold no real numbers and for constants.
pub(super) type Levels = Vec<Option<Level>>;

/// Puts [`Operator::Requantize`] nodes between nodes of different levels and returns the level of every tensor.
///
/// # Errors
/// [`QuantizeError::NoForm`] when a node is asked for at a level that it does not have.
pub(super) fn separate(graph: &mut Graph, precisions: &Precisions) -> Result<Levels, QuantizeError> {
    let mut nodes = node_levels(graph, precisions)?;
    own_constants(graph, &nodes);
    let mut levels: Levels = vec![None; graph.tensors.len()];
    for port in &graph.inputs {
        let level = wanted_level(graph, &nodes, port.tensor).unwrap_or(Level::Float32);
        levels[port.tensor.0] = level_of(graph.tensor(port.tensor), || level);
        if let Some(level) = levels[port.tensor.0] {
            move_along(graph, &mut nodes, precisions, port.tensor, level);
        }
    }
    let mut copies: HashMap<(TensorId, Level), TensorId> = HashMap::new();
    let mut at = 0;
    for level in nodes {
        // A change of quantization takes whatever it gets; what it gives is fixed.
        if graph.nodes[at].operator != Operator::Requantize {
            at += convert_operands(graph, at, level, &mut levels, &mut copies);
        }
        for id in graph.nodes[at].outputs.clone() {
            levels[id.0] = level_of(graph.tensor(id), || level);
        }
        at += 1;
    }
    Ok(levels)
}

/// Gives the nodes of each level constants of their own: what is steps for some is a real number for others.
fn own_constants(graph: &mut Graph, nodes: &[Level]) {
    for id in (0..graph.tensors.len()).map(TensorId) {
        if !matches!(graph.tensor(id).constant, Some(Constant::F32(_))) {
            continue;
        }
        let given = graph.tensor(id).quantization.clone();
        let mut copies: Vec<(Level, TensorId)> = Vec::new();
        for reader in graph.consumers(id) {
            let own = match copies.iter().find(|(level, _)| *level == nodes[reader]) {
                Some(&(_, copy)) => copy,
                None if copies.is_empty() => id,
                None => graph.add_tensor(Tensor { quantization: given.clone(), ..graph.tensor(id).clone() }),
            };
            if nodes[reader] == Level::Float32 {
                graph.tensor_mut(own).quantization = None;
            }
            copies.push((nodes[reader], own));
            graph.nodes[reader].inputs.iter_mut().filter(|input| **input == id).for_each(|input| *input = own);
        }
    }
}

/// The level of a computed tensor whose node has `level`.
fn level_of(tensor: &Tensor, level: impl FnOnce() -> Level) -> Option<Level> {
    match tensor.element_type {
        ElementType::F32 => Some(level()),
        ElementType::I8 if tensor.quantization.is_some() => Some(Level::Int8),
        _ => None,
    }
}

/// Brings the operands of `graph.nodes[at]` to its level; gives the number of nodes that were inserted before it.
fn convert_operands(
    graph: &mut Graph,
    at: usize,
    level: Level,
    levels: &mut Levels,
    copies: &mut HashMap<(TensorId, Level), TensorId>,
) -> usize {
    let mut n_inserted = 0;
    for i in 0..graph.nodes[at].inputs.len() {
        let node = at + n_inserted;
        let input = graph.nodes[node].inputs[i];
        if levels[input.0].is_none_or(|found| found == level) {
            continue;
        }
        // Rows of int16 are normalized to int8 without a step in between.
        if i == 0
            && level == Level::Int8
            && levels[input.0] == Some(Level::Int16)
            && normalizes_rows(&graph.nodes[node].operator)
        {
            continue;
        }
        let copy = match copies.get(&(input, level)) {
            Some(&copy) => copy,
            None => {
                let copy = insert_conversion(graph, node, input, level);
                levels.push(Some(level));
                copies.insert((input, level), copy);
                n_inserted += 1;
                copy
            }
        };
        let node = at + n_inserted;
        graph.nodes[node].inputs[i] = copy;
    }
    n_inserted
}

/// Puts a conversion of `input` before `graph.nodes[at]`.
fn insert_conversion(graph: &mut Graph, at: usize, input: TensorId, level: Level) -> TensorId {
    let tensor = graph.tensor(input).clone();
    let name = format!("{}_{}", tensor.name, level.element_type().name());
    let copy = graph.add_tensor(Tensor { name, element_type: ElementType::F32, quantization: None, ..tensor });
    let node = Node {
        name: graph.tensor(copy).name.clone(),
        onnx: String::new(),
        operator: Operator::Requantize,
        inputs: vec![input],
        outputs: vec![copy],
    };
    graph.nodes.insert(at, node);
    copy
}

/// The level of every node.
///
/// # Algorithm
/// What is asked for by name, else the default, or float32 where the operator has no such form, or computes a deviation.
/// Operators that only move elements take the level of their first operand. Then elementwise functions between float32 neighbours become
/// float32 themselves, until nothing changes.
pub(super) fn node_levels(graph: &Graph, precisions: &Precisions) -> Result<Vec<Level>, QuantizeError> {
    let producers = super::share::producers(graph);
    let computed = |id: TensorId| producers[id.0];
    let deviations = deviations::nodes(graph);
    let mut levels: Vec<Level> = Vec::with_capacity(graph.nodes.len());
    for (idx, node) in graph.nodes.iter().enumerate() {
        let asked = precisions.nodes.get(&node.name).copied();
        let moved_from = node.inputs.first().filter(|_| follows_operand(&node.operator)).and_then(|&i| computed(i));
        levels.push(match (asked, moved_from) {
            // What it gives has its scale already.
            _ if node.operator == Operator::Requantize => Level::Int8,
            (Some(level), _) if has_form(&node.operator, level) => level,
            (Some(level), _) => {
                let level = level.element_type().name();
                return Err(QuantizeError::NoForm { node: node.name.clone(), onnx: node.onnx.clone(), level });
            }
            (None, _) if deviations.contains(&idx) => Level::Float32,
            (None, Some(producer)) => available(&node.operator, levels[producer]),
            (None, None) => available(&node.operator, precisions.default),
        });
    }
    let is_real = |id: &&TensorId| graph.tensor(**id).element_type == ElementType::F32;
    loop {
        let raised = (0..graph.nodes.len()).find(|&idx| {
            let node = &graph.nodes[idx];
            let is_free = is_elementwise(&node.operator) && !precisions.nodes.contains_key(&node.name);
            if levels[idx] == Level::Float32 || !is_free {
                return false;
            }
            let readers: Vec<usize> = node.outputs.iter().flat_map(|&o| readers(graph, o)).collect();
            let mut operands = node.inputs.iter().filter(is_real).filter_map(|&i| computed(i));
            let is_float = |idx: usize| levels[idx] == Level::Float32;
            operands.any(is_float) && !readers.is_empty() && readers.into_iter().all(is_float)
        });
        let Some(raised) = raised else { return Ok(levels) };
        levels[raised] = Level::Float32;
        for &output in &graph.nodes[raised].outputs {
            move_along(graph, &mut levels, precisions, output, Level::Float32);
        }
    }
}

/// The lowest level at which somebody reads an input in steps. An input that a quantized model rounds to one grid for
/// some readers and not at all, or to another one, for others has none: it stays as it is given.
fn wanted_level(graph: &Graph, levels: &[Level], id: TensorId) -> Option<Level> {
    let readers = readers(graph, id);
    let roundings = readers.iter().map(|&reader| match graph.nodes[reader].operator {
        Operator::Requantize => graph.tensor(graph.nodes[reader].outputs[0]).quantization.as_ref(),
        _ => None,
    });
    let roundings: Vec<_> = roundings.collect();
    let is_given_as_steps = graph.tensor(id).element_type != ElementType::F32;
    if !is_given_as_steps && roundings.iter().any(|r| *r != roundings[0]) {
        return None;
    }
    readers.into_iter().map(|reader| levels[reader]).filter(|level| level.is_quantized()).min()
}

/// The nodes that compute something of a tensor, directly or behind operators that move it.
fn readers(graph: &Graph, id: TensorId) -> Vec<usize> {
    let of = |reader: usize| match graph.nodes[reader].operator.keeps_values() {
        true => graph.nodes[reader].outputs.iter().flat_map(|&o| readers(graph, o)).collect(),
        false => vec![reader],
    };
    graph.consumers(id).into_iter().flat_map(of).collect()
}

/// Gives operators that move a tensor its level.
fn move_along(graph: &Graph, levels: &mut [Level], precisions: &Precisions, id: TensorId, level: Level) {
    for reader in graph.consumers(id) {
        let node = &graph.nodes[reader];
        let follows =
            follows_operand(&node.operator) && node.inputs[0] == id && !precisions.nodes.contains_key(&node.name);
        if follows {
            let level = available(&node.operator, level);
            levels[reader] = level;
            node.outputs.iter().for_each(|&o| move_along(graph, levels, precisions, o, level));
        }
    }
}

/// Whether a constant is read by a node that computes in steps.
pub(super) fn is_read_in_steps(graph: &Graph, levels: &Levels, id: TensorId) -> bool {
    let in_steps = |id: &TensorId| levels[id.0].is_some_and(Level::is_quantized);
    graph.consumers(id).into_iter().any(|reader| {
        let Node { inputs, outputs, .. } = &graph.nodes[reader];
        outputs.iter().chain(inputs).any(in_steps)
    })
}
