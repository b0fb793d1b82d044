//! Which tensors share memory, and from which step to which step each piece of memory is needed.

use super::views::{View, Views};
use super::{ARENA_ALIGNMENT, Step};
use crate::choose::{Chosen, Overlap as KernelOverlap};
use crate::graph::{Graph, Node, Operator, TensorId};

/// Where a tensor's elements are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In a buffer, from this byte on.
    Buffer {
        buffer: usize,
        start: usize,
    },
    Constant(TensorId),
    Unused,
}

/// A piece of the arena that is needed during steps `first..=last`.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    pub first: usize,
    pub last: usize,
    /// Size of the tensor whose views all others in it are.
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

/// Two buffers of which the younger one may be written over the older one as far as that is used up.
#[derive(Clone, Debug)]
pub(super) struct Overlap {
    /// The older one, read last while the younger one is live.
    pub input: usize,
    /// The younger one, written after the last write to the older one.
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

    /// Whether both are needed in the step.
    pub fn is_live_at(&self, step: usize, buffers: &[Buffer]) -> bool {
        buffers[self.input].is_live_at(step) && buffers[self.output].is_live_at(step)
    }
}

/// The most that overlaps save in one step.
///
/// In an elementwise step the result lies over one of the operands, so only one of its overlaps counts.
pub(super) fn saved_units(overlaps: &[Overlap], step: usize, buffers: &[Buffer]) -> usize {
    let live = || overlaps.iter().filter(|o| o.is_live_at(step, buffers));
    let together = live().filter(|o| o.kind == Kind::Together).map(|o| o.saved_units(buffers)).max();
    let leads: usize = live().filter(|o| o.kind != Kind::Together).map(|o| o.saved_units(buffers)).sum();
    together.unwrap_or(0) + leads
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
        let mut lifetimes = Lifetimes {
            steps: Vec::new(),
            buffers: Vec::new(),
            overlaps: Vec::new(),
            storage: vec![Storage::Unused; graph.tensors.len()],
        };
        let views = Views::new(graph);
        let mut buffer_of_root = vec![None; graph.tensors.len()];
        for port in &graph.inputs {
            lifetimes.write(graph, &views, &mut buffer_of_root, port.tensor, 0);
        }
        for &idx in order {
            let node = &graph.nodes[idx];
            if is_view(&node.operator) {
                continue;
            }
            let step = lifetimes.steps.len();
            for &input in &node.inputs {
                lifetimes.read(&views, &buffer_of_root, input, step);
            }
            for &output in &node.outputs {
                lifetimes.write(graph, &views, &mut buffer_of_root, output, step);
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
            lifetimes.read(&views, &buffer_of_root, port.tensor, end);
        }
        for (tensor, storage) in lifetimes.storage.iter_mut().enumerate() {
            let View { root, start } = views.of(TensorId(tensor));
            *storage = match (&graph.tensor(root).constant, buffer_of_root[root.0]) {
                (Some(_), _) => Storage::Constant(root),
                (None, Some(buffer)) => Storage::Buffer { buffer, start },
                (None, None) => Storage::Unused,
            };
        }
        for step in 0..lifetimes.steps.len() {
            let overlaps = lifetimes.overlaps_of(graph, step);
            lifetimes.overlaps.extend(overlaps);
        }
        let strips = lifetimes.overlaps_of_strips(graph);
        lifetimes.overlaps.extend(strips);
        lifetimes
    }

    /// The tensor receives its value in this step.
    fn write(
        &mut self,
        graph: &Graph,
        views: &Views,
        buffer_of_root: &mut [Option<usize>],
        tensor: TensorId,
        step: usize,
    ) {
        let root = views.of(tensor).root;
        if graph.tensor(root).constant.is_some() {
            return;
        }
        match buffer_of_root[root.0] {
            Some(b) => self.buffers[b].last = self.buffers[b].last.max(step),
            None => {
                buffer_of_root[root.0] = Some(self.buffers.len());
                let bytes = graph.tensor(root).n_bytes();
                self.buffers.push(Buffer { first: step, last: step, bytes, scratch_of: None, offset: 0 });
            }
        }
    }

    /// The tensor is still needed in this step.
    fn read(&mut self, views: &Views, buffer_of_root: &[Option<usize>], tensor: TensorId, step: usize) {
        if let Some(b) = buffer_of_root[views.of(tensor).root.0] {
            self.buffers[b].last = self.buffers[b].last.max(step);
        }
    }

    /// Where the step may write its result over an operand.
    fn overlaps_of(&self, graph: &Graph, step: usize) -> Vec<Overlap> {
        let Step { node, kernel, inputs, outputs, .. } = &self.steps[step];
        let [output] = outputs[..] else { return Vec::new() };
        // A buffer that is written for the first time, from its start on.
        let Some((output_buffer, 0)) = self.place(output).filter(|&(b, _)| self.buffers[b].first == step) else {
            return Vec::new();
        };
        let dying = |id: TensorId| self.place(id).filter(|&(b, _)| b != output_buffer && self.buffers[b].last == step);
        let overlap = |input, kind| Overlap { input, output: output_buffer, kind };
        if is_elementwise(&graph.nodes[*node].operator) {
            let result = graph.tensor(output);
            let fits = |&&id: &&TensorId| {
                let operand = graph.tensor(id);
                operand.n_elements() == result.n_elements()
                    && operand.element_type.size_bytes() == result.element_type.size_bytes()
            };
            let operands = inputs.iter().filter(fits).filter_map(|&id| dying(id));
            let mut operands: Vec<usize> = operands.filter(|&(_, start)| start == 0).map(|(b, _)| b).collect();
            operands.dedup();
            return operands.into_iter().map(|input| overlap(input, Kind::Together)).collect();
        }
        let Some((input, start)) = inputs.first().and_then(|&id| dying(id)) else { return Vec::new() };
        if inputs[1..].iter().any(|&other| self.place(other).is_some_and(|(b, _)| b == input)) {
            return Vec::new();
        }
        let kind = match kernel.overlap {
            KernelOverlap::SameStart if start == 0 => Kind::Together,
            KernelOverlap::Never | KernelOverlap::SameStart => return Vec::new(),
            // What is below the operand in its buffer is not needed any more.
            KernelOverlap::Lead(bytes) => lead(bytes.saturating_sub(start)),
        };
        let overlap = overlap(input, kind);
        if overlap.saved_units(&self.buffers) == 0 { Vec::new() } else { vec![overlap] }
    }

    /// Where an image that is made in strips may lie over the image that the strips are made from: as far as rows of the
    /// one are written only where rows of the other are not read any more.
    fn overlaps_of_strips(&self, graph: &Graph) -> Vec<Overlap> {
        // Per buffer: step, first byte and end of every access.
        let mut reads = vec![Vec::new(); self.buffers.len()];
        let mut writes = vec![Vec::new(); self.buffers.len()];
        for (step, s) in self.steps.iter().enumerate() {
            for (accesses, ids) in [(&mut reads, &s.inputs), (&mut writes, &s.outputs)] {
                for &id in ids {
                    if let Some((b, start)) = self.place(id) {
                        accesses[b].push((step, start, start + graph.tensor(id).n_bytes()));
                    }
                }
            }
        }
        let mut overlaps = Vec::new();
        for (output, written) in writes.iter().enumerate().filter(|(_, w)| w.len() > 1) {
            let first = self.buffers[output].first;
            let older = (0..self.buffers.len()).filter(|&input| {
                let buffer = &self.buffers[input];
                let is_made_before = writes[input].iter().all(|&(step, ..)| step < first);
                buffer.first < first && first < buffer.last && buffer.last < self.buffers[output].last && is_made_before
            });
            for input in older {
                // What a step writes may reach up to what the same or a later step reads.
                let reach = |&(step, _, end): &(usize, usize, usize)| {
                    let needed = reads[input].iter().filter(|r| r.0 >= step).map(|r| r.1).min();
                    needed.map(|needed| end.saturating_sub(needed))
                };
                let overlap =
                    Overlap { input, output, kind: lead(written.iter().filter_map(reach).max().unwrap_or(0)) };
                if overlap.saved_units(&self.buffers) > 0 {
                    overlaps.push(overlap);
                }
            }
        }
        overlaps
    }

    /// Buffer of a tensor, and the byte in it where the tensor starts.
    fn place(&self, tensor: TensorId) -> Option<(usize, usize)> {
        match self.storage[tensor.0] {
            Storage::Buffer { buffer, start } => Some((buffer, start)),
            _ => None,
        }
    }
}

/// Two buffers never have the same offset by a lead, so that their order is that of their offsets.
fn lead(bytes: usize) -> Kind {
    Kind::Lead { units: bytes.div_ceil(ARENA_ALIGNMENT).max(1) }
}

/// Whether a node's result is another name for memory of its operands.
pub(super) fn is_view(operator: &Operator) -> bool {
    matches!(operator, Operator::Reshape | Operator::Rows { .. } | Operator::JoinRows)
}

fn is_elementwise(operator: &Operator) -> bool {
    match operator {
        Operator::Unary(_) | Operator::Binary { .. } | Operator::Requantize => true,
        Operator::Pair(function) => function.works_in_place(),
        _ => false,
    }
}
