//! Which activations have one quantization, and what it is.
//!
//! Operators that only move or select elements (pools of maxima, the larger of two, transposition, reshape, padding,
//! concatenation) need one quantization for all their tensors. Tensors form groups along them; a group has
//! the hull of the ranges of its sources, or the fixed quantization of one of them. Where two fixed
//! quantizations meet, or where a concatenation would cost another reader resolution, a
//! [`Operator::Requantize`] node separates the groups.

use super::islands::{Level, Levels};
use super::{QuantizeError, Range, fixed_output};
use crate::graph::{Binary, Graph, Node, Operator, Quantization, Reduction, Tensor, TensorId, Unary, WindowNd};
use tinfer::kernels::portable::ReduceFunction;
use tinfer::tensor::ElementType;

/// Gives every activation that has steps its quantization, or says for which ones there is none. `own` is the range of
/// each tensor on its own.
///
/// # Errors
/// [`QuantizeError::PadValue`]
pub(super) fn activations(
    graph: &mut Graph,
    own: Vec<Option<Range>>,
    levels: Levels,
) -> Result<Vec<TensorId>, QuantizeError> {
    let mut sharing = Sharing::new(graph, own, levels);
    let mut idx = 0;
    while idx < graph.nodes.len() {
        idx += sharing.follow(graph, idx)?;
    }
    idx = 0;
    while idx < graph.nodes.len() {
        idx += sharing.concatenate(graph, idx)?;
    }
    let without = sharing.assign(graph);
    if without.is_empty() {
        drop_useless_requantize(graph);
    }
    Ok(without)
}

/// Index of the node that computes each tensor.
pub(super) fn producers(graph: &Graph) -> Vec<Option<usize>> {
    let mut producers = vec![None; graph.tensors.len()];
    for (idx, node) in graph.nodes.iter().enumerate() {
        for output in &node.outputs {
            producers[output.0] = Some(idx);
        }
    }
    producers
}

struct Sharing {
    own: Vec<Option<Range>>,
    levels: Levels,
    /// Union-find forest over tensors.
    parent: Vec<usize>,
    /// Quantization that is given, by root.
    fixed: Vec<Option<Quantization>>,
    /// What a group must hold besides the values of its tensors, by root: values of padding.
    extra: Vec<Range>,
}

impl Sharing {
    fn new(graph: &Graph, own: Vec<Option<Range>>, levels: Levels) -> Self {
        let n = graph.tensors.len();
        let given = |t: &Tensor| match t.element_type {
            ElementType::I8 => t.quantization.clone().filter(|q| q.scales.len() == 1),
            _ => None,
        };
        let mut fixed: Vec<Option<Quantization>> = graph.tensors.iter().map(given).collect();
        for node in &graph.nodes {
            let output = node.outputs[0];
            if is_table_of_given_steps(graph, node, &fixed) {
                continue;
            }
            if let (None, Some(level)) = (&fixed[output.0], levels[output.0]) {
                fixed[output.0] = fixed_output(&node.operator, level).or_else(|| joined_for(graph, node, &fixed));
            }
        }
        Sharing { own, levels, parent: (0..n).collect(), fixed, extra: vec![Range::new(0.0, 0.0); n] }
    }

    fn root(&mut self, id: TensorId) -> usize {
        let mut at = id.0;
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    /// Whether a tensor is computed in steps.
    fn has_steps(&self, id: TensorId) -> bool {
        self.levels[id.0].is_some_and(Level::is_quantized)
    }

    fn fixed(&mut self, id: TensorId) -> Option<Quantization> {
        let root = self.root(id);
        self.fixed[root].clone()
    }

    /// Makes one group of two, unless their quantizations are fixed and differ.
    fn join(&mut self, a: TensorId, b: TensorId) -> Joined {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return Joined::Yes;
        }
        if let (Some(x), Some(y)) = (&self.fixed[a], &self.fixed[b])
            && x != y
        {
            return Joined::No;
        }
        self.parent[b] = a;
        self.fixed[a] = self.fixed[a].take().or(self.fixed[b].take());
        self.extra[a] = self.extra[a].hull(self.extra[b]);
        Joined::Yes
    }

    /// Joins the operand and the result of an operator that moves elements of one operand. Returns how far to
    /// the next node.
    fn follow(&mut self, graph: &mut Graph, idx: usize) -> Result<usize, QuantizeError> {
        let node = &graph.nodes[idx];
        let (Some(&input), output) = (node.inputs.first(), node.outputs[0]) else { return Ok(1) };
        if !self.has_steps(output) {
            return Ok(1);
        }
        match node.operator {
            Operator::Requantize => {
                if self.levels[input.0] == self.levels[output.0] {
                    self.join(input, output);
                }
                return Ok(1);
            }
            Operator::Pad { value, .. } => return self.pad(graph, idx, value),
            // All its operands, behind everything else.
            Operator::Concat { .. } => return Ok(1),
            ref operator if operator.keeps_values() => {}
            _ => return Ok(1),
        }
        match self.join(input, output) {
            Joined::Yes => Ok(1),
            Joined::No => {
                self.requantize_input(graph, idx, 0, output);
                Ok(2)
            }
        }
    }

    fn pad(&mut self, graph: &mut Graph, idx: usize, value: f32) -> Result<usize, QuantizeError> {
        let (input, output) = (graph.nodes[idx].inputs[0], graph.nodes[idx].outputs[0]);
        let value_range = Range::new(f64::from(value), f64::from(value));
        let readers = graph.consumers(output);
        let takes_largest = |&reader: &usize| {
            matches!(
                graph.nodes[reader].operator,
                Operator::MaxPool2d { .. }
                    | Operator::WindowNd(WindowNd::MaxPool { .. })
                    | Operator::Reduction(Reduction::Reduce { function: ReduceFunction::Max, .. })
            )
        };
        let maxima = !readers.is_empty() && !graph.is_output(output) && readers.iter().all(takes_largest);
        // A maximum never sees padding that saturates at the smallest step.
        let saturates = maxima && self.own[input.0].is_some_and(|own| f64::from(value) <= own.min);
        if !saturates && !value.is_finite() {
            return Err(QuantizeError::PadValue { node: graph.nodes[idx].name.clone(), value });
        }
        let level = self.levels[output.0].unwrap_or_default();
        let holds = |q: &Quantization| {
            let range = Range::of_steps(q, level);
            saturates || range.hull(value_range) == range
        };
        if let Some(q) = self.fixed(output)
            && !holds(&q)
        {
            return Err(QuantizeError::PadValue { node: graph.nodes[idx].name.clone(), value });
        }
        let fits = self.fixed(input).is_none_or(|q| holds(&q));
        let steps = match fits && self.join(input, output) == Joined::Yes {
            true => 1,
            false => {
                self.requantize_input(graph, idx, 0, output);
                2
            }
        };
        if !saturates {
            let root = self.root(output);
            self.extra[root] = self.extra[root].hull(value_range);
        }
        Ok(steps)
    }

    /// Joins all tensors of a concatenation, or of a maximum of two. Returns how far to the next node.
    fn concatenate(&mut self, graph: &mut Graph, idx: usize) -> Result<usize, QuantizeError> {
        match graph.nodes[idx].operator {
            Operator::Concat { .. } => {}
            Operator::Pair(function) if function.selects() => {}
            _ => return Ok(1),
        }
        let (inputs, output) = (graph.nodes[idx].inputs.clone(), graph.nodes[idx].outputs[0]);
        if !self.has_steps(output) {
            return Ok(1);
        }
        let quantizations: Vec<Option<Quantization>> = inputs.iter().map(|&i| self.fixed(i)).collect();
        if quantizations.iter().all(|q| q.is_some() && *q == quantizations[0]) {
            // Two sigmoids: their quantization serves the result as well.
            self.join(inputs[0], output);
        }
        let mut all = self.group_range(graph, output);
        for &input in &inputs {
            all = all.into_iter().chain(self.group_range(graph, input)).reduce(Range::hull);
        }
        let mut n_inserted = 0;
        for (i, &input) in inputs.iter().enumerate() {
            // Already separated, as the same tensor is listed twice.
            let input = if graph.nodes[idx + n_inserted].inputs[i] == input { input } else { continue };
            let joins = self.may_widen(graph, input, output, all) && self.join(input, output) == Joined::Yes;
            if !joins {
                self.requantize_input(graph, idx + n_inserted, i, output);
                n_inserted += 1;
            }
        }
        Ok(1 + n_inserted)
    }

    /// Whether a tensor's group may take the quantization of `target` without loss to readers elsewhere.
    fn may_widen(&mut self, graph: &Graph, input: TensorId, target: TensorId, all: Option<Range>) -> bool {
        if self.fixed(input).is_some() {
            return self.fixed(input) == self.fixed(target);
        }
        let level = self.levels[target.0].unwrap_or_default();
        let wanted = self.fixed(target).map(|q| Range::of_steps(&q, level)).or(all);
        let wide_already = match (self.group_range(graph, input), wanted) {
            (Some(own), Some(wanted)) => {
                wanted.hull(own) == wanted && wanted.width() <= own.width() * TOLERATED_WIDENING
            }
            _ => false,
        };
        wide_already || !self.read_elsewhere(graph, input, target)
    }

    /// Whether somebody besides the nodes that `target` is concatenated by reads a tensor's group.
    fn read_elsewhere(&mut self, graph: &Graph, input: TensorId, target: TensorId) -> bool {
        let root = self.root(input);
        let members: Vec<TensorId> =
            (0..graph.tensors.len()).map(TensorId).filter(|&id| self.root(id) == root).collect();
        members.iter().any(|&id| {
            graph.tensor(id).constant.is_none()
                && (graph.is_output(id)
                    || graph.consumers(id).iter().any(|&reader| {
                        let result = graph.nodes[reader].outputs[0];
                        result != target && !members.contains(&result)
                    }))
        })
    }

    /// Puts a node before `graph.nodes[idx]` that brings operand `i` to the quantization of `target`. If the operand
    /// is listed more than once, all of them are replaced.
    fn requantize_input(&mut self, graph: &mut Graph, idx: usize, i: usize, target: TensorId) {
        let input = graph.nodes[idx].inputs[i];
        let tensor = graph.tensor(input);
        let copy = Tensor {
            name: format!("{}_requantized", tensor.name),
            constant: None,
            quantization: None,
            element_type: ElementType::F32,
            ..tensor.clone()
        };
        let copy = graph.add_tensor(copy);
        let level = self.levels[input.0].unwrap_or_default();
        let range = self.own[input.0].or_else(|| self.fixed(input).map(|q| Range::of_steps(&q, level)));
        self.own.push(range);
        self.levels.push(self.levels[target.0]);
        self.parent.push(copy.0);
        self.fixed.push(None);
        self.extra.push(Range::new(0.0, 0.0));
        self.join(target, copy);
        let name = format!("{}/requantize_{i}", graph.nodes[idx].name);
        for operand in graph.nodes[idx].inputs.iter_mut().filter(|o| **o == input) {
            *operand = copy;
        }
        let node = Node {
            name,
            onnx: String::new(),
            operator: Operator::Requantize,
            inputs: vec![input],
            outputs: vec![copy],
        };
        graph.nodes.insert(idx, node);
    }

    /// The range of a group: of those of its tensors that are not themselves moved from another one, or else of
    /// any tensor that was observed.
    fn group_range(&mut self, graph: &Graph, id: TensorId) -> Option<Range> {
        let root = self.root(id);
        let producers = producers(graph);
        let mut sources: Option<Range> = None;
        let mut moved: Option<Range> = None;
        for (idx, producer) in producers.iter().enumerate() {
            if self.root(TensorId(idx)) != root {
                continue;
            }
            let Some(own) = self.own[idx] else { continue };
            let is_moved = producer.is_some_and(|p| {
                let inputs = &graph.nodes[p].inputs;
                graph.nodes[p].operator != Operator::Requantize && inputs.iter().any(|&i| self.root(i) == root)
            });
            let range = if is_moved { &mut moved } else { &mut sources };
            *range = Some(range.map_or(own, |r| r.hull(own)));
        }
        sources.or(moved).map(|r| r.hull(self.extra[root]))
    }

    /// Writes the quantizations into the graph, unless there are tensors without one: it returns those.
    fn assign(&mut self, graph: &mut Graph) -> Vec<TensorId> {
        let mut without = Vec::new();
        let mut by_root: Vec<Option<Quantization>> = self.fixed.clone();
        for (inputs, output, function) in activations_in_order(graph) {
            let root = self.root(output);
            if by_root[root].is_some() || !self.has_steps(output) {
                continue;
            }
            let Some(range) = self.group_range(graph, output) else {
                without.push(output);
                continue;
            };
            let mut quantization = range.quantization_at(self.levels[output.0].unwrap_or_default());
            if let Some(Binary::Add | Binary::Sub) = function {
                // Operands that cancel: steps far below theirs mean nothing, and the kernel's factors end at 2^20.
                for input in inputs {
                    let scale = by_root[self.root(input)].as_ref().map_or(0.0, |q| q.scales[0]);
                    quantization.scales[0] = quantization.scales[0].max(scale * FINEST_SUM);
                }
            }
            by_root[root] = Some(quantization);
        }
        if !without.is_empty() {
            return without;
        }
        for idx in 0..graph.tensors.len() {
            let root = self.root(TensorId(idx));
            let tensor = &mut graph.tensors[idx];
            if tensor.constant.is_none() {
                if let Some(level) = self.levels[idx].filter(|level| level.is_quantized()) {
                    tensor.quantization = by_root[root].clone();
                    tensor.element_type = level.element_type();
                }
            } else if root != idx || by_root[root].is_some() {
                // A constant that is moved or concatenated; `weights.rs` converts its values.
                tensor.quantization = by_root[root].clone();
            }
        }
        without
    }
}

/// The steps of a concatenation that is clamped into steps that are given: in those of an operand the others would round,
/// and saturate, once more.
fn joined_for(graph: &Graph, node: &Node, fixed: &[Option<Quantization>]) -> Option<Quantization> {
    let only_reader = |id: TensorId| match graph.consumers(id)[..] {
        [reader] if !graph.is_output(id) => Some(&graph.nodes[reader]),
        _ => None,
    };
    let is_join = matches!(node.operator, Operator::Concat { .. });
    let clamp = only_reader(node.outputs[0]).filter(|_| is_join)?;
    let is_clamp = matches!(clamp.operator, Operator::Unary(Unary::Clamp(_)));
    let change = only_reader(clamp.outputs[0]).filter(|_| is_clamp)?;
    fixed[change.outputs[0].0].clone().filter(|_| change.operator == Operator::Requantize)
}

/// Whether a function of one operand, or a Softmax, which may have steps of any size, is followed by a change to steps that are given:
/// its table rounds once, to those.
fn is_table_of_given_steps(graph: &Graph, node: &Node, fixed: &[Option<Quantization>]) -> bool {
    let is_given = |reader: usize| {
        let reader = &graph.nodes[reader];
        reader.operator == Operator::Requantize && fixed[reader.outputs[0].0].is_some()
    };
    let output = node.outputs[0];
    matches!(node.operator, Operator::Unary(_) | Operator::Softmax)
        && !graph.is_output(output)
        && matches!(graph.consumers(output)[..], [reader] if is_given(reader))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    Yes,
    No,
}

/// Operands, result and function of everything that is computed, graph inputs first.
fn activations_in_order(graph: &Graph) -> Vec<(Vec<TensorId>, TensorId, Option<Binary>)> {
    let inputs = graph.inputs.iter().map(|p| (Vec::new(), p.tensor, None));
    let function = |operator: &Operator| match operator {
        Operator::Binary { function, .. } => Some(*function),
        _ => None,
    };
    let nodes = graph
        .nodes
        .iter()
        .flat_map(|n| n.outputs.iter().map(|&output| (n.inputs.clone(), output, function(&n.operator))));
    inputs.chain(nodes).collect()
}

/// A change of quantization between equal ones is no change.
fn drop_useless_requantize(graph: &mut Graph) {
    let mut idx = 0;
    while idx < graph.nodes.len() {
        let node = &graph.nodes[idx];
        if node.operator == Operator::Requantize {
            let (input, output) = (node.inputs[0], node.outputs[0]);
            let quantization = |id| &graph.tensor(id).quantization;
            if quantization(input).is_some() && quantization(input) == quantization(output) {
                graph.nodes.remove(idx);
                take_identity(graph, input, output);
                graph.replace_uses(output, input);
                continue;
            }
        }
        idx += 1;
    }
}

/// A computed tensor that holds what `output` held is called so too, and compared with the same ONNX tensor.
fn take_identity(graph: &mut Graph, input: TensorId, output: TensorId) {
    if graph.producer(input).is_none() || graph.tensor(output).origin.is_none() {
        return;
    }
    let (name, origin) = (graph.tensor(output).name.clone(), graph.tensor(output).origin.clone());
    graph.tensor_mut(output).name = std::mem::replace(&mut graph.tensor_mut(input).name, name);
    graph.tensor_mut(input).origin = origin;
}

/// How much wider than its own range a tensor's steps may become to save a step of the plan.
const TOLERATED_WIDENING: f64 = 1.25;

/// Finest scale of a sum against the scales of its operands.
const FINEST_SUM: f32 = 1.0 / 65_536.0;
