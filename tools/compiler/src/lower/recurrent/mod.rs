//! RNN, GRU and LSTM, unrolled over the sequence: each step of time is a few products and elementwise functions.
//!
//! ```text
//! inputs of all steps x W' + biases, once ──> slice t ─┐
//!                     state t-1 x R' ─────────────────>+──> gates ──> cell ──> state t
//! ```

mod activation;
mod cell;
mod parameters;

use super::Refusal;
use super::context::{Lowering, float, int, text};
use crate::graph::{Clamp, Constant, Move, Operator, Pair, TensorId};
use crate::import::OnnxNode;
use activation::Activation;
use cell::{Cell, Kind, State};
use parameters::Parameters;
use tinfer::kernels::portable::Relation;
use tinfer::tensor::ElementType;

/// RNN.
pub fn rnn(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, Kind::Rnn)
}

/// GRU.
pub fn gru(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, Kind::Gru)
}

/// LSTM.
pub fn lstm(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, Kind::Lstm)
}

/// Steps of time that are unrolled, at most: an image holds them all.
const MAX_STEPS: usize = 64;

/// Sizes of a layer.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    directions: usize,
}

/// Where the batch is among the axes of X, Y and the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// X [sequence, batch, input]: 0 in ONNX.
    SequenceFirst,
    /// X [batch, sequence, input]: 1 in ONNX.
    BatchFirst,
}

fn lower(lowering: &mut Lowering, node: &OnnxNode, kind: Kind) -> Result<(), Refusal> {
    let layout = if int(node, "layout", 0)? == 0 { Layout::SequenceFirst } else { Layout::BatchFirst };
    let directions: &[Order] = match text(node, "direction", "forward")? {
        "forward" => &[Order::Forward],
        "reverse" => &[Order::Reverse],
        "bidirectional" => &[Order::Forward, Order::Reverse],
        other => {
            return Err(Refusal::new(format!("direction '{other}' is not known"), "check the file with onnx.checker"));
        }
    };
    let (x, sizes) = sequence(lowering, node, kind, layout, directions.len())?;
    let activations = activation::of_node(node, kind, directions.len())?;
    let clip = match float(node, "clip", 0.0)? {
        0.0 => None,
        limit => Some(Clamp { min: Some(-limit), max: Some(limit) }),
    };
    let masks = masks(lowering, node, &sizes)?;
    let mut layers = Vec::new();
    for (direction, order) in directions.iter().enumerate() {
        let layer = Layer { node, kind, layout, sizes, direction, order: *order, clip, masks: &masks };
        layers.push(layer.push(lowering, x, &activations[direction])?);
    }
    outputs(lowering, node, &sizes, layout, &layers);
    Ok(())
}

/// Which step comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Forward,
    Reverse,
}

/// X as [sequence, batch, input], and the sizes of the layer.
fn sequence(
    lowering: &mut Lowering,
    node: &OnnxNode,
    kind: Kind,
    layout: Layout,
    directions: usize,
) -> Result<(TensorId, Sizes), Refusal> {
    let mut x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let misfit = |what: String| Refusal::new(what, "check the file with onnx.checker");
    let &[first, second, inputs] = &shape[..] else { return Err(misfit(format!("its input has shape {shape:?}"))) };
    let (steps, batch) = if layout == Layout::SequenceFirst { (first, second) } else { (second, first) };
    let shape_of = |i: usize| lowering.input_name(node, i).map_or(Ok(Vec::new()), |name| lowering.shape(&name));
    let (w, r) = (shape_of(1)?, shape_of(2)?);
    let hidden = r.last().copied().unwrap_or(0);
    let rows = kind.n_gates() * hidden;
    if w != [directions, rows, inputs] || r != [directions, rows, hidden] {
        return Err(misfit(format!("its weights of shape {w:?} and {r:?} do not fit {directions} directions")));
    }
    if steps > MAX_STEPS {
        return Err(Refusal::new(
            format!("its sequence has {steps} steps, at most {MAX_STEPS} are unrolled"),
            "use a shorter window, or Conv over time",
        ));
    }
    if layout == Layout::BatchFirst {
        let operator = Operator::Transpose { permutation: vec![1, 0, 2] };
        x = lowering.push_step(node, "sequence_first", operator, vec![x], vec![steps, batch, inputs]);
    }
    Ok((x, Sizes { steps, batch, inputs, hidden, directions }))
}

/// For each step whether each sequence still goes on, [batch, 1]; none when all are of full length.
fn masks(lowering: &mut Lowering, node: &OnnxNode, sizes: &Sizes) -> Result<Vec<TensorId>, Refusal> {
    if lowering.input_name(node, 4).is_none() {
        return Ok(Vec::new());
    }
    if lowering.is_constant(node, 4)
        && let Some(lengths) = lowering.known_ints(node, 4)?
    {
        let steps = sizes.steps as i64;
        if let Some(wrong) = lengths.iter().find(|&&n| !(0..=steps).contains(&n)) {
            let reason = format!("its sequence_lens has {wrong}, the sequence has {steps} steps");
            return Err(Refusal::new(reason, "check the file with onnx.checker"));
        }
        if lengths.iter().all(|&n| n == steps) {
            return Ok(Vec::new());
        }
    }
    let lengths = lowering.any_input(node, 4)?;
    if lowering.element_type(lengths) != ElementType::I32 || lowering.shape_of(lengths) != [sizes.batch] {
        let reason = format!("its sequence_lens has shape {:?}", lowering.shape_of(lengths));
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    let mut masks = Vec::new();
    for step in 0..sizes.steps {
        let time = Constant::I32(vec![step as i32]);
        let time = lowering.typed_constant(&format!("{}/time_{step}", node.name), vec![1], time);
        let mut push = |name: &str, operator: Operator, inputs: Vec<TensorId>, shape: Vec<usize>| {
            lowering.push_typed_step(node, &format!("{name}_{step}"), operator, inputs, shape, ElementType::Bool)
        };
        let less = Operator::Pair(Pair::Compare(Relation::Less));
        let goes_on = push("goes_on", less, vec![time, lengths], vec![sizes.batch]);
        masks.push(push("mask", Operator::Reshape, vec![goes_on], vec![sizes.batch, 1]));
    }
    Ok(masks)
}

/// One direction.
struct Layer<'n> {
    node: &'n OnnxNode,
    kind: Kind,
    layout: Layout,
    sizes: Sizes,
    direction: usize,
    order: Order,
    clip: Option<Clamp>,
    masks: &'n [TensorId],
}

/// What one direction gives.
struct Sequence {
    /// The hidden state of each step, [batch, hidden], zero behind the end of a sequence.
    steps: Vec<TensorId>,
    last: State,
}

impl Layer<'_> {
    fn push(&self, lowering: &mut Lowering, x: TensorId, activations: &[Activation]) -> Result<Sequence, Refusal> {
        let Sizes { steps, batch, inputs, hidden, .. } = self.sizes;
        let parameters = Parameters::new(lowering, self)?;
        let flat = self.step(lowering, "rows", Operator::Reshape, vec![x], vec![steps * batch, inputs]);
        let gates = self.kind.n_gates() * hidden;
        let mut products = parameters.inputs.product(lowering, self, flat, "input_products");
        products = self.step(lowering, "by_step", Operator::Reshape, vec![products], vec![steps, batch, gates]);
        let mut state = self.initial(lowering)?;
        let mut found = vec![None; steps];
        let order: Vec<usize> = match self.order {
            Order::Forward => (0..steps).collect(),
            Order::Reverse => (0..steps).rev().collect(),
        };
        for time in order {
            let part = Move::Slice { starts: vec![time, 0, 0], steps: vec![1; 3] };
            let part = self.step(
                lowering,
                &format!("slice_{time}"),
                Operator::Move(part),
                vec![products],
                vec![1, batch, gates],
            );
            let part =
                self.step(lowering, &format!("inputs_{time}"), Operator::Reshape, vec![part], vec![batch, gates]);
            let cell = Cell { layer: self, parameters: &parameters, activations, time };
            let (next, hidden) = cell.push(lowering, part, state)?;
            let Some(&mask) = self.masks.get(time) else {
                found[time] = Some(hidden);
                state = next;
                continue;
            };
            found[time] = Some(self.shown(lowering, mask, hidden, &time.to_string()));
            state = State {
                hidden: self.kept(lowering, mask, next.hidden, state.hidden, "hidden", time),
                cell: self.kept(lowering, mask, next.cell, state.cell, "cell", time),
            };
        }
        let given = [5, 6].iter().any(|&i| lowering.input_name(self.node, i).is_some());
        if let Some(&begins) = self.masks.first().filter(|_| given) {
            // ONNX does not say what a sequence without steps leaves; onnxruntime says 0, not the initial state.
            state.hidden = state.hidden.map(|hidden| self.shown(lowering, begins, hidden, "last_hidden"));
            state.cell = state.cell.map(|cell| self.shown(lowering, begins, cell, "last_cell"));
        }
        Ok(Sequence { steps: found.into_iter().flatten().collect(), last: state })
    }

    fn step(
        &self,
        lowering: &mut Lowering,
        name: &str,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: Vec<usize>,
    ) -> TensorId {
        let name = if self.sizes.directions == 1 { name.to_string() } else { format!("{}/{name}", self.direction) };
        lowering.push_step(self.node, &name, operator, inputs, shape)
    }

    fn constant(&self, lowering: &mut Lowering, name: &str, shape: Vec<usize>, values: Vec<f32>) -> TensorId {
        lowering.constant(&format!("{}/{}/{name}", self.node.name, self.direction), shape, values)
    }

    /// The states before the first step. They are absent when they are 0, unless a mask may bring them back.
    fn initial(&self, lowering: &mut Lowering) -> Result<State, Refusal> {
        let mut hidden = self.given(lowering, 5, "initial_h")?;
        let mut cell = if self.kind == Kind::Lstm { self.given(lowering, 6, "initial_c")? } else { None };
        if !self.masks.is_empty() {
            let n = self.sizes.batch * self.sizes.hidden;
            let zeros = self.constant(lowering, "zeros", vec![self.sizes.batch, self.sizes.hidden], vec![0.0; n]);
            hidden = hidden.or(Some(zeros));
            cell = cell.or((self.kind == Kind::Lstm).then_some(zeros));
        }
        Ok(State { hidden, cell })
    }

    /// The state in input `i` for this direction, [batch, hidden].
    fn given(&self, lowering: &mut Lowering, i: usize, name: &str) -> Result<Option<TensorId>, Refusal> {
        if lowering.input_name(self.node, i).is_none() {
            return Ok(None);
        }
        let state = lowering.input(self.node, i)?;
        let Sizes { batch, hidden, directions, .. } = self.sizes;
        let (whole, part, starts) = match self.layout {
            Layout::SequenceFirst => ([directions, batch, hidden], [1, batch, hidden], [self.direction, 0, 0]),
            Layout::BatchFirst => ([batch, directions, hidden], [batch, 1, hidden], [0, self.direction, 0]),
        };
        if lowering.shape_of(state) != whole {
            let reason = format!("its {name} has shape {:?}, expected {whole:?}", lowering.shape_of(state));
            return Err(Refusal::new(reason, "check the file with onnx.checker"));
        }
        let slice = Operator::Move(Move::Slice { starts: starts.to_vec(), steps: vec![1; 3] });
        let part = self.step(lowering, &format!("{name}_part"), slice, vec![state], part.to_vec());
        Ok(Some(self.step(lowering, name, Operator::Reshape, vec![part], vec![batch, hidden])))
    }

    /// A state where the mask holds, 0 elsewhere: what Y shows behind the end of a sequence.
    fn shown(&self, lowering: &mut Lowering, mask: TensorId, state: TensorId, name: &str) -> TensorId {
        let zero = self.constant(lowering, &format!("zero_{name}"), vec![1], vec![0.0]);
        let shape = vec![self.sizes.batch, self.sizes.hidden];
        self.step(lowering, &format!("shown_{name}"), Operator::Where, vec![mask, state, zero], shape)
    }

    /// The new state where a sequence goes on, else the old one.
    fn kept(
        &self,
        lowering: &mut Lowering,
        mask: TensorId,
        new: Option<TensorId>,
        old: Option<TensorId>,
        name: &str,
        time: usize,
    ) -> Option<TensorId> {
        let shape = vec![self.sizes.batch, self.sizes.hidden];
        let inputs = vec![mask, new?, old?];
        Some(self.step(lowering, &format!("kept_{name}_{time}"), Operator::Where, inputs, shape))
    }
}

/// Y, Y_h and Y_c.
fn outputs(lowering: &mut Lowering, node: &OnnxNode, sizes: &Sizes, layout: Layout, layers: &[Sequence]) {
    let &Sizes { steps, batch, hidden, directions, .. } = sizes;
    let f32 = ElementType::F32;
    if lowering.is_wanted(node, 0) {
        // Concatenated over time for each direction, then over directions.
        let mut rows = Vec::new();
        for (direction, layer) in layers.iter().enumerate() {
            let singles: Vec<TensorId> = layer
                .steps
                .iter()
                .enumerate()
                .map(|(time, &h)| {
                    let name = format!("{direction}/y_{time}");
                    lowering.push_step(node, &name, Operator::Reshape, vec![h], vec![1, 1, batch, hidden])
                })
                .collect();
            let shape = vec![steps, 1, batch, hidden];
            rows.push(lowering.push_step(
                node,
                &format!("{direction}/y"),
                Operator::Concat { axis: 0 },
                singles,
                shape,
            ));
        }
        let shape = vec![steps, directions, batch, hidden];
        let concat = Operator::Concat { axis: 1 };
        if layout == Layout::SequenceFirst {
            lowering.push_output(node, 0, concat, rows, shape, f32);
        } else {
            let y = lowering.push_step(node, "y_sequence_first", concat, rows, shape);
            let transpose = Operator::Transpose { permutation: vec![2, 0, 1, 3] };
            lowering.push_output(node, 0, transpose, vec![y], vec![batch, steps, directions, hidden], f32);
        }
    }
    let states: [fn(&State) -> Option<TensorId>; 2] = [|state| state.hidden, |state| state.cell];
    for (slot, name, state) in [(1, "y_h", states[0]), (2, "y_c", states[1])] {
        if !lowering.is_wanted(node, slot) {
            continue;
        }
        let (axis, single, shape) = match layout {
            Layout::SequenceFirst => (0, vec![1, batch, hidden], vec![directions, batch, hidden]),
            Layout::BatchFirst => (1, vec![batch, 1, hidden], vec![batch, directions, hidden]),
        };
        let parts: Vec<TensorId> = layers
            .iter()
            .filter_map(|layer| state(&layer.last))
            .enumerate()
            .map(|(direction, state)| {
                let name = format!("{direction}/{name}");
                lowering.push_step(node, &name, Operator::Reshape, vec![state], single.clone())
            })
            .collect();
        lowering.push_output(node, slot, Operator::Concat { axis }, parts, shape, f32);
    }
}
