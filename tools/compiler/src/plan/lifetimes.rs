//! Which tensors share memory, and from which step to which step each piece of memory is needed.

use super::{ARENA_ALIGNMENT, Step};
use crate::choose::Chosen;
use crate::graph::{Graph, Node, Operator, TensorId};

/// Which dying operand an elementwise step may overwrite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InPlace {
    FirstOperand,
    LastOperand,
    Never,
}

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

    pub fn is_live_with(&self, other: &Buffer) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The memory problem of a graph.
pub(super) struct Lifetimes {
    pub steps: Vec<Step>,
    pub buffers: Vec<Buffer>,
    /// One entry per tensor.
    pub storage: Vec<Storage>,
}

impl Lifetimes {
    pub fn new(graph: &Graph, choose: &dyn Fn(&Graph, &Node) -> Chosen, in_place: InPlace) -> Self {
        let mut lifetimes = Lifetimes { steps: Vec::new(), buffers: Vec::new(), storage: initial_storage(graph) };
        let last_reads = last_reads(graph);
        for port in &graph.inputs {
            lifetimes.write(graph, port.tensor, 0);
        }
        for (idx, node) in graph.nodes.iter().enumerate() {
            if node.operator == Operator::Reshape {
                lifetimes.storage[node.outputs[0].0] = lifetimes.storage[node.inputs[0].0];
                continue;
            }
            let step = lifetimes.steps.len();
            for &input in &node.inputs {
                lifetimes.extend(input, step);
            }
            if let Some(operand) = lifetimes.overwritable(graph, idx, &last_reads, in_place) {
                lifetimes.storage[node.outputs[0].0] = lifetimes.storage[operand.0];
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
            lifetimes.steps.push(Step { node: idx, inputs, outputs, scratch: None, kernel });
        }
        let end = lifetimes.steps.len().saturating_sub(1);
        for port in &graph.outputs {
            lifetimes.extend(port.tensor, end);
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

    /// The operand over which the node may write its only result.
    fn overwritable(&self, graph: &Graph, node: usize, last_reads: &[usize], mode: InPlace) -> Option<TensorId> {
        let is_elementwise =
            matches!(graph.nodes[node].operator, Operator::Unary(_) | Operator::Binary { .. } | Operator::Requantize);
        let [output] = graph.nodes[node].outputs[..] else { return None };
        if !is_elementwise || mode == InPlace::Never {
            return None;
        }
        let result = graph.tensor(output);
        let fits = |&id: &TensorId| {
            let operand = graph.tensor(id);
            operand.n_elements() == result.n_elements()
                && operand.element_type.size_bytes() == result.element_type.size_bytes()
                && matches!(self.storage[id.0], Storage::Buffer(_))
                && self.dies_at(id, node, last_reads)
        };
        let mut operands = graph.nodes[node].inputs.iter();
        match mode {
            InPlace::LastOperand => operands.rfind(|id| fits(id)).copied(),
            _ => operands.find(|id| fits(id)).copied(),
        }
    }

    /// Whether nobody reads this memory, under any of its names, after the node.
    fn dies_at(&self, tensor: TensorId, node: usize, last_reads: &[usize]) -> bool {
        let storage = self.storage[tensor.0];
        (0..self.storage.len()).filter(|&t| self.storage[t] == storage).all(|t| last_reads[t] <= node)
    }
}

fn initial_storage(graph: &Graph) -> Vec<Storage> {
    let of = |(i, t): (usize, &crate::graph::Tensor)| match t.constant {
        Some(_) => Storage::Constant(TensorId(i)),
        None => Storage::Unused,
    };
    graph.tensors.iter().enumerate().map(of).collect()
}

/// Per tensor the index of the last node that reads it; readers behind a Reshape count for its
/// operand, and a graph output is read after all nodes.
fn last_reads(graph: &Graph) -> Vec<usize> {
    let mut last = vec![0; graph.tensors.len()];
    for port in &graph.outputs {
        last[port.tensor.0] = usize::MAX;
    }
    for (idx, node) in graph.nodes.iter().enumerate().rev() {
        let read = match node.operator {
            Operator::Reshape => last[node.outputs[0].0],
            _ => idx,
        };
        for input in &node.inputs {
            last[input.0] = last[input.0].max(read);
        }
    }
    last
}
