//! Which tensors share memory, and from which step to which step each piece of memory is needed.

use super::{ARENA_ALIGNMENT, Step};
use crate::choose::{Chosen, Overlap as KernelOverlap};
use crate::graph::{Graph, Node, Operator, TensorId};

/// Where a tensor's elements are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Buffer(usize),
    Constant(TensorId),
    Unused,
}

/// A piece of the arena that is needed during steps `first..=last`.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub first: usize,
    pub last: usize,
    /// Largest of its tensors.
    pub bytes: usize,
    /// The step whose working memory it is; such a buffer holds no tensor.
    pub scratch_of: Option<usize>,
    /// Decided by the arena planner.
    pub offset: usize,
}

impl Buffer {
    /// Size in units of [`ARENA_ALIGNMENT`].
    pub fn units(&self) -> usize {
        self.bytes.div_ceil(ARENA_ALIGNMENT)
    }

    pub fn is_live_at(&self, step: usize) -> bool {
        self.first <= step && step <= self.last
    }

    pub fn is_live_with(&self, other: &Buffer) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A step that may write its result over an operand that nobody needs after it.
#[derive(Clone, Debug)]
pub(super) struct Overlap {
    /// The step that reads `input` last and writes `output` first.
    pub step: usize,
    /// Buffer of the operand.
    pub input: usize,
    /// Buffer of the result.
    pub output: usize,
    pub kind: Kind,
}

/// Where the result may lie, if not apart from the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At the same offset.
    Together,
    /// So many units of [`ARENA_ALIGNMENT`] below, or more.
    Lead { units: usize },
}

impl Overlap {
    /// By how much less memory the two need than apart, at best.
    pub fn saved_units(&self, buffers: &[Buffer]) -> usize {
        let (input, output) = (buffers[self.input].units(), buffers[self.output].units());
        let least = match self.kind {
            Kind::Together => input.max(output),
            Kind::Lead { units } => output.max(input + units),
        };
        (input + output).saturating_sub(least)
    }
}

/// The memory problem of a graph.
pub(super) struct Lifetimes {
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    pub overlaps: Vec<Overlap>,
    /// One entry per tensor.
    pub storage: Vec<Storage>,
}

impl Lifetimes {
    /// The problem when the nodes run in `order`.
    pub fn new(graph: &Graph, order: &[usize], choose: &dyn Fn(&Graph, &Node) -> Chosen) -> Self {
        let mut lifetimes =
            Lifetimes { steps: Vec::new(), buffers: Vec::new(), overlaps: Vec::new(), storage: initial_storage(graph) };
        for port in &graph.inputs {
            lifetimes.write(graph, port.tensor, 0);
        }
        for &idx in order {
            let node = &graph.nodes[idx];
            if node.operator == Operator::Reshape {
                lifetimes.storage[node.outputs[0].0] = lifetimes.storage[node.inputs[0].0];
                continue;
            }
            let step = lifetimes.steps.len();
            for &input in &node.inputs {
                lifetimes.extend(input, step);
            }
            for &output in &node.outputs {
                lifetimes.write(graph, output, step);
            }
            let kernel = choose(graph, node);
            let bytes = kernel.scratch_bytes;
            if bytes > 0 {
                lifetimes.buffers.push(Buffer { first: step, last: step, bytes, scratch_of: Some(step), offset: 0 });
            }
            let (inputs, outputs) = (node.inputs.clone(), node.outputs.clone());
            lifetimes.steps.push(Step { node: idx, kernel, inputs, outputs, scratch: None });
        }
        // The outside reads results after the last step.
        let end = lifetimes.steps.len();
        for port in &graph.outputs {
            lifetimes.extend(port.tensor, end);
        }
        for step in 0..lifetimes.steps.len() {
            let overlaps = lifetimes.overlaps_of(graph, step);
            lifetimes.overlaps.extend(overlaps);
        }
        lifetimes
    }

    /// The tensor receives its value in this step.
    fn write(&mut self, graph: &Graph, tensor: TensorId, step: usize) {
        match self.storage[tensor.0] {
            Storage::Buffer(b) => self.buffers[b].last = self.buffers[b].last.max(step),
            Storage::Unused => {
                self.storage[tensor.0] = Storage::Buffer(self.buffers.len());
                let bytes = graph.tensor(tensor).n_bytes();
                self.buffers.push(Buffer { first: step, last: step, bytes, scratch_of: None, offset: 0 });
            }
            Storage::Constant(_) => {}
        }
    }

    /// The tensor is still needed in this step.
    fn extend(&mut self, tensor: TensorId, step: usize) {
        if let Storage::Buffer(b) = self.storage[tensor.0] {
            self.buffers[b].last = self.buffers[b].last.max(step);
        }
    }

    /// Where the step may write its result over an operand.
    fn overlaps_of(&self, graph: &Graph, step: usize) -> Vec<Overlap> {
        let Step { node, kernel, inputs, outputs, .. } = &self.steps[step];
        let [output] = outputs[..] else { return Vec::new() };
        let Some(output_buffer) = self.buffer_of(output).filter(|&b| self.buffers[b].first == step) else {
            return Vec::new();
        };
        let dying = |id: TensorId| self.buffer_of(id).filter(|&b| b != output_buffer && self.buffers[b].last == step);
        let overlap = |input, kind| Overlap { step, input, output: output_buffer, kind };
        if is_elementwise(&graph.nodes[*node].operator) {
            let result = graph.tensor(output);
            let fits = |&&id: &&TensorId| {
                let operand = graph.tensor(id);
                operand.n_elements() == result.n_elements()
                    && operand.element_type.size_bytes() == result.element_type.size_bytes()
            };
            let mut operands: Vec<usize> = inputs.iter().filter(fits).filter_map(|&id| dying(id)).collect();
            operands.dedup();
            return operands.into_iter().map(|input| overlap(input, Kind::Together)).collect();
        }
        let Some(input) = inputs.first().and_then(|&id| dying(id)) else { return Vec::new() };
        if inputs[1..].iter().any(|&other| self.buffer_of(other) == Some(input)) {
            return Vec::new();
        }
        let kind = match kernel.overlap {
            KernelOverlap::Never => return Vec::new(),
            KernelOverlap::SameStart => Kind::Together,
            // Two buffers never have the same offset, so that their order is that of their offsets.
            KernelOverlap::Lead(bytes) => Kind::Lead { units: bytes.div_ceil(ARENA_ALIGNMENT).max(1) },
        };
        let overlap = overlap(input, kind);
        if overlap.saved_units(&self.buffers) == 0 { Vec::new() } else { vec![overlap] }
    }

    fn buffer_of(&self, tensor: TensorId) -> Option<usize> {
        match self.storage[tensor.0] {
            Storage::Buffer(b) => Some(b),
            _ => None,
        }
    }
}

fn is_elementwise(operator: &Operator) -> bool {
    matches!(operator, Operator::Unary(_) | Operator::Binary { .. } | Operator::Requantize)
}

fn initial_storage(graph: &Graph) -> Vec<Storage> {
    let of = |(i, t): (usize, &crate::graph::Tensor)| match t.constant {
        Some(_) => Storage::Constant(TensorId(i)),
        None => Storage::Unused,
    };
    graph.tensors.iter().enumerate().map(of).collect()
}
