//! From the outputs backwards: which channels must be computed.

use super::bounds::{Bounds, keeps_last_axis, n_channels};
use super::product::Product;
use crate::graph::{Graph, Node, Operator, TensorId};

/// The channels of every tensor that must stay.
pub(super) struct Kept {
    /// First channel of each tensor in `parent`.
    offsets: Vec<usize>,
    /// Union-find forest over the channels of all tensors: those of one tree stay or go together.
    parent: Vec<usize>,
    /// By root.
    stays: Vec<bool>,
}

impl Kept {
    /// # Algorithm
    /// The least set of channels such that: graph inputs and outputs are complete; channels that an operator reads
    /// and writes at the same index go together; and where an output channel of a convolution or fully connected
    /// layer stays and is no constant itself, the input channels stay that it reads and that do not add the same
    /// number everywhere.
    pub fn new(graph: &Graph, products: &[Option<Product>], bounds: &Bounds) -> Self {
        let mut kept = Kept::nothing(graph);
        for port in graph.inputs.iter().chain(&graph.outputs) {
            kept.keep_all(graph, port.tensor);
        }
        for (node, product) in graph.nodes.iter().zip(products) {
            kept.link(graph, node, product.as_ref());
        }
        kept.close(graph, products, bounds);
        kept
    }

    /// Keeps more channels until every computed tensor has a multiple of `n` of them, or all that it had.
    pub fn fill(&mut self, graph: &Graph, products: &[Option<Product>], bounds: &Bounds, n: usize) {
        loop {
            let mut changed = false;
            for &id in graph.nodes.iter().flat_map(|node| &node.outputs) {
                let n_kept = self.channels(graph, id).len();
                let missing = n_kept.next_multiple_of(n) - n_kept;
                let gone = (0..n_channels(graph.tensor(id))).filter(|&c| !self.stays(id, c));
                for c in gone.take(missing).collect::<Vec<_>>() {
                    changed |= self.keep(id, c);
                }
            }
            if !changed {
                return;
            }
            self.close(graph, products, bounds);
        }
    }

    /// Keeps what the kept channels need.
    fn close(&mut self, graph: &Graph, products: &[Option<Product>], bounds: &Bounds) {
        loop {
            let mut changed = false;
            for (node, product) in graph.nodes.iter().zip(products).rev() {
                changed |= self.require(graph, node, product.as_ref(), bounds);
            }
            if !changed {
                return;
            }
        }
    }

    /// Whether a channel stays.
    pub fn stays(&self, id: TensorId, channel: usize) -> bool {
        self.stays[self.root(self.offsets[id.0] + channel)]
    }

    /// The channels of a tensor that stay, ascending.
    pub fn channels(&self, graph: &Graph, id: TensorId) -> Vec<usize> {
        (0..n_channels(graph.tensor(id))).filter(|&c| self.stays(id, c)).collect()
    }

    fn nothing(graph: &Graph) -> Self {
        let mut offsets = Vec::with_capacity(graph.tensors.len());
        let mut n = 0;
        for tensor in &graph.tensors {
            offsets.push(n);
            n += n_channels(tensor);
        }
        Kept { offsets, parent: (0..n).collect(), stays: vec![false; n] }
    }

    fn root(&self, mut at: usize) -> usize {
        while self.parent[at] != at {
            at = self.parent[at];
        }
        at
    }

    /// Whether it was not kept before.
    fn keep(&mut self, id: TensorId, channel: usize) -> bool {
        let root = self.root(self.offsets[id.0] + channel);
        !std::mem::replace(&mut self.stays[root], true)
    }

    fn keep_all(&mut self, graph: &Graph, id: TensorId) {
        for c in 0..n_channels(graph.tensor(id)) {
            self.keep(id, c);
        }
    }

    fn join(&mut self, a: (TensorId, usize), b: (TensorId, usize)) {
        let [a, b] = [a, b].map(|(id, c)| self.root(self.offsets[id.0] + c));
        if a != b {
            // Ranges of neighbours make flat trees either way; the smaller index wins so that all of them end there.
            let (low, high) = (a.min(b), a.max(b));
            self.parent[high] = low;
            self.stays[low] |= self.stays[high];
        }
    }

    /// Joins channels that go together; keeps all of a node that is not understood.
    fn link(&mut self, graph: &Graph, node: &Node, product: Option<&Product>) {
        if self.linked(graph, node, product).is_none() {
            for &id in node.inputs.iter().chain(&node.outputs) {
                self.keep_all(graph, id);
            }
        }
    }

    /// `None` for an operator whose channels cannot be dropped one by one.
    fn linked(&mut self, graph: &Graph, node: &Node, product: Option<&Product>) -> Option<()> {
        let (&input, &output) = (node.inputs.first()?, node.outputs.first()?);
        let n_outputs = n_channels(graph.tensor(output));
        let is_constant = |id: TensorId| graph.tensor(id).constant.is_some();
        match &node.operator {
            Operator::Conv2d { groups: 1, .. } | Operator::FullyConnected { .. } => product.map(|_| ()),
            Operator::Conv2d { .. } | Operator::DepthwiseConv2d { .. } => {
                let product = product?;
                for o in 0..product.n_outputs {
                    product.seen(o).for_each(|i| self.join((input, i), (output, o)));
                }
                Some(())
            }
            Operator::Binary { .. } => {
                // A constant operand is cut as the result is; one of a single channel stays as long as there is any.
                for &id in node.inputs.iter().filter(|&&id| !is_constant(id)) {
                    match n_channels(graph.tensor(id)) {
                        1 => {}
                        n if n == n_outputs => (0..n).for_each(|c| self.join((id, c), (output, c))),
                        _ => return None,
                    }
                }
                (!node.inputs.iter().all(|&id| is_constant(id))).then_some(())
            }
            Operator::Concat { axis } => {
                let along_channels = axis + 1 == graph.tensor(output).shape.len();
                let mut first = 0;
                for &id in &node.inputs {
                    let n = n_channels(graph.tensor(id));
                    if !is_constant(id) {
                        (0..n).for_each(|c| self.join((id, c), (output, first + c)));
                    }
                    first += if along_channels { n } else { 0 };
                }
                Some(())
            }
            _ if is_constant(input) => None,
            Operator::Require | Operator::Pair(_) | Operator::Where | Operator::Cast => None,
            Operator::Move(_) | Operator::ConvTranspose2d { .. } | Operator::WindowNd(_) => None,
            Operator::Unary(_) | Operator::Requantize | Operator::MaxPool2d { .. } | Operator::AveragePool2d { .. } => {
                self.same_channels(graph, input, output)
            }
            Operator::Transpose { permutation } if keeps_last_axis(permutation) => {
                self.same_channels(graph, input, output)
            }
            Operator::Pad { pads, .. } if pads.last() == Some(&[0, 0]) => self.same_channels(graph, input, output),
            Operator::Reshape => {
                let n_inputs = n_channels(graph.tensor(input));
                let (few, many) = (n_inputs.min(n_outputs), n_inputs.max(n_outputs));
                if few == 0 || many % few != 0 || graph.tensor(output).shape.is_empty() {
                    return None;
                }
                for c in 0..many {
                    self.join((input, c % n_inputs), (output, c % n_outputs));
                }
                Some(())
            }
            Operator::Transpose { .. }
            | Operator::Pad { .. }
            | Operator::Softmax
            | Operator::MaskedSoftmax
            | Operator::Reduction(_)
            | Operator::Normalization(_)
            | Operator::BatchMatmul { .. }
            | Operator::Rows { .. }
            | Operator::JoinRows => None,
        }
    }

    fn same_channels(&mut self, graph: &Graph, input: TensorId, output: TensorId) -> Option<()> {
        let n = n_channels(graph.tensor(output));
        (n_channels(graph.tensor(input)) == n).then(|| (0..n).for_each(|c| self.join((input, c), (output, c))))
    }

    /// Keeps what the kept outputs of a node need; whether that is news.
    fn require(&mut self, graph: &Graph, node: &Node, product: Option<&Product>, bounds: &Bounds) -> bool {
        let (Some(&input), Some(&output)) = (node.inputs.first(), node.outputs.first()) else { return false };
        let outputs = self.channels(graph, output);
        if outputs.is_empty() {
            return false;
        }
        match (&node.operator, product) {
            (Operator::Conv2d { groups: 1, .. } | Operator::FullyConnected { .. }, Some(product)) => {
                let varying = outputs.iter().filter(|&&o| bounds.of(output)[o].constant().is_none());
                let changed =
                    varying.fold(false, |changed, &o| changed | self.require_terms(input, o, product, bounds));
                // A layer that reads nothing has no form, even if all it gives is constant.
                if self.channels(graph, input).is_empty() { self.keep(input, 0) } else { changed }
            }
            (Operator::Binary { .. }, _) => {
                let single = node.inputs.iter().filter(|&&id| n_channels(graph.tensor(id)) == 1);
                single.fold(false, |changed, &id| changed | self.keep(id, 0))
            }
            _ => false,
        }
    }

    fn require_terms(&mut self, input: TensorId, output: usize, product: &Product, bounds: &Bounds) -> bool {
        let mut changed = false;
        for k in 0..product.n_seen {
            if !self.stays(input, k) && is_term(product, output, k, bounds.of(input)[k].constant()) {
                changed |= self.keep(input, k);
            }
        }
        changed
    }
}

/// Whether an output channel cannot do without its `k`th input channel, whose value is constant or not.
fn is_term(product: &Product, output: usize, k: usize, constant: Option<i8>) -> bool {
    let folds = constant.is_some_and(|value| product.contribution(output, k, value).is_some());
    !folds && product.reads(output, k)
}
