//! One step of time.

use super::activation::{Activation, Step};
use super::parameters::{Parameters, binary};
use super::{Layer, int};
use crate::graph::{Binary, Move, Operator, TensorId, Unary};
use crate::lower::Refusal;
use crate::lower::context::Lowering;

/// Which layer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One gate.
    Rnn,
    /// Gates z, r, h.
    Gru,
    /// Gates i, o, f, c.
    Lstm,
}

impl Kind {
    pub(super) fn n_gates(self) -> usize {
        match self {
            Kind::Rnn => 1,
            Kind::Gru => 3,
            Kind::Lstm => 4,
        }
    }

    pub(super) fn default_activations(self) -> &'static [&'static str] {
        match self {
            Kind::Rnn => &["Tanh"],
            Kind::Gru => &["Sigmoid", "Tanh"],
            Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// What one step leaves to the next, [batch, hidden]; absent before the first step when it is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) hidden: Option<TensorId>,
    /// Of LSTM.
    pub(super) cell: Option<TensorId>,
}

/// The cell at one step of time.
pub(super) struct Cell<'c, 'n> {
    pub(super) layer: &'c Layer<'n>,
    pub(super) parameters: &'c Parameters,
    pub(super) activations: &'c [Activation],
    pub(super) time: usize,
}

impl Cell<'_, '_> {
    /// The next state and its hidden part; `inputs` are the products of this step's inputs, [batch, gates * hidden].
    pub(super) fn push(
        &self,
        lowering: &mut Lowering,
        inputs: TensorId,
        state: State,
    ) -> Result<(State, TensorId), Refusal> {
        match self.layer.kind {
            Kind::Rnn => {
                let gate = self.with_state(lowering, inputs, state.hidden);
                let hidden = self.activated(lowering, 0, gate, "h");
                Ok((State { hidden: Some(hidden), cell: None }, hidden))
            }
            Kind::Gru => self.gru(lowering, inputs, state),
            Kind::Lstm => self.lstm(lowering, inputs, state),
        }
    }

    /// `z = f(..)`, `r = f(..)`, `h~ = g(W x + r * (R h))` or `g(W x + R (r * h))`, `h = (1 - z) * h~ + z * h`.
    fn gru(&self, lowering: &mut Lowering, inputs: TensorId, state: State) -> Result<(State, TensorId), Refusal> {
        let hidden = self.layer.sizes.hidden;
        let gates = self.columns(lowering, inputs, 0, 2 * hidden, "zr_inputs");
        let gates = self.with_state(lowering, gates, state.hidden);
        let gates = self.activated(lowering, 0, gates, "zr");
        let z = self.columns(lowering, gates, 0, hidden, "z");
        let r = self.columns(lowering, gates, hidden, hidden, "r");
        let candidate = self.columns(lowering, inputs, 2 * hidden, hidden, "h_inputs");
        let inside = int(self.layer.node, "linear_before_reset", 0)? != 0;
        let reset = match (&self.parameters.hidden_gate, state.hidden) {
            (Some(weights), Some(h)) if inside => {
                let mut product = weights.product(lowering, self.layer, h, &self.name("h_state"));
                if let Some(bias) = self.parameters.hidden_bias {
                    product = self.binary(lowering, Binary::Add, product, bias, "h_biased");
                }
                Some(self.binary(lowering, Binary::Mul, r, product, "h_reset"))
            }
            (Some(weights), Some(h)) => {
                let reset = self.binary(lowering, Binary::Mul, r, h, "h_reset");
                Some(weights.product(lowering, self.layer, reset, &self.name("h_state")))
            }
            _ => self.parameters.hidden_bias.map(|bias| self.binary(lowering, Binary::Mul, r, bias, "h_reset")),
        };
        let candidate = match reset {
            Some(reset) => self.binary(lowering, Binary::Add, candidate, reset, "h_sum"),
            None => candidate,
        };
        let candidate = self.activated(lowering, 1, candidate, "h_candidate");
        let rest = self.one_minus(lowering, z, "z_rest");
        let mut next = self.binary(lowering, Binary::Mul, rest, candidate, "h_new");
        if let Some(h) = state.hidden {
            let old = self.binary(lowering, Binary::Mul, z, h, "h_old");
            next = self.binary(lowering, Binary::Add, next, old, "h");
        }
        Ok((State { hidden: Some(next), cell: None }, next))
    }

    /// `i = f(..)`, `f = f(..)`, `c~ = g(..)`, `c = f * c + i * c~`, `o = f(..)`, `h = o * h(c)`, with peepholes of c.
    fn lstm(&self, lowering: &mut Lowering, inputs: TensorId, state: State) -> Result<(State, TensorId), Refusal> {
        let hidden = self.layer.sizes.hidden;
        let gates = self.with_state(lowering, inputs, state.hidden);
        let mut gate = |i: usize, name: &str| self.columns(lowering, gates, i * hidden, hidden, name);
        let (i, o, f, c) = (gate(0, "i_sum"), gate(1, "o_sum"), gate(2, "f_sum"), gate(3, "c_sum"));
        let i = self.with_peephole(lowering, 0, i, state.cell, "i");
        let i = self.activated(lowering, 0, i, "i");
        let candidate = self.activated(lowering, 1, c, "c_candidate");
        let mut cell = self.binary(lowering, Binary::Mul, i, candidate, "c_new");
        if let Some(old) = state.cell {
            let f = match int(self.layer.node, "input_forget", 0)? {
                0 => {
                    let f = self.with_peephole(lowering, 2, f, state.cell, "f");
                    self.activated(lowering, 0, f, "f")
                }
                _ => self.one_minus(lowering, i, "f"),
            };
            let old = self.binary(lowering, Binary::Mul, f, old, "c_old");
            cell = self.binary(lowering, Binary::Add, old, cell, "c");
        }
        let o = self.with_peephole(lowering, 1, o, Some(cell), "o");
        let o = self.activated(lowering, 0, o, "o");
        // The clip bounds the sums of gates. ONNX says "the input of activations", its reference implementation ignores clip,
        // onnxruntime leaves the cell as it is.
        let shown = self.function(lowering, 2, cell, "c_shown");
        let next = self.binary(lowering, Binary::Mul, o, shown, "h");
        Ok((State { hidden: Some(next), cell: Some(cell) }, next))
    }

    /// The gates' sums with the products of the hidden state.
    fn with_state(&self, lowering: &mut Lowering, gates: TensorId, hidden: Option<TensorId>) -> TensorId {
        let Some(hidden) = hidden else { return gates };
        let product = self.parameters.state.product(lowering, self.layer, hidden, &self.name("state_products"));
        self.binary(lowering, Binary::Add, gates, product, "gates")
    }

    fn with_peephole(
        &self,
        lowering: &mut Lowering,
        gate: usize,
        sum: TensorId,
        cell: Option<TensorId>,
        name: &str,
    ) -> TensorId {
        let (Some(peepholes), Some(cell)) = (self.parameters.peepholes, cell) else { return sum };
        let seen = self.binary(lowering, Binary::Mul, cell, peepholes[gate], &format!("{name}_peephole"));
        self.binary(lowering, Binary::Add, sum, seen, &format!("{name}_seen"))
    }

    /// Activation `which` of a gate's sum, behind the clip.
    fn activated(&self, lowering: &mut Lowering, which: usize, sum: TensorId, name: &str) -> TensorId {
        let clipped = match self.layer.clip {
            None => sum,
            Some(clamp) => self.step(lowering, Step::Unary(Unary::Clamp(clamp)), sum, &format!("{name}_clipped")),
        };
        self.function(lowering, which, clipped, name)
    }

    /// Activation `which`.
    fn function(&self, lowering: &mut Lowering, which: usize, x: TensorId, name: &str) -> TensorId {
        let steps = self.activations[which].0.iter().enumerate();
        steps.fold(x, |x, (i, step)| self.step(lowering, step.clone(), x, &format!("{name}_{i}")))
    }

    fn step(&self, lowering: &mut Lowering, step: Step, x: TensorId, name: &str) -> TensorId {
        let name = self.name(name);
        let shape = lowering.shape_of(x).to_vec();
        let (operator, constant) = step.operator();
        let constant =
            constant.map(|value| self.layer.constant(lowering, &format!("{name}_constant"), vec![1], vec![value]));
        let inputs = [x].into_iter().chain(constant).collect();
        self.layer.step(lowering, &name, operator, inputs, shape)
    }

    fn one_minus(&self, lowering: &mut Lowering, x: TensorId, name: &str) -> TensorId {
        let one = self.layer.constant(lowering, &self.name(&format!("{name}_one")), vec![1], vec![1.0]);
        let shape = lowering.shape_of(x).to_vec();
        self.layer.step(lowering, &self.name(name), binary(Binary::Sub), vec![one, x], shape)
    }

    /// A function of two tensors, the first of which has the shape of the result.
    fn binary(&self, lowering: &mut Lowering, function: Binary, a: TensorId, b: TensorId, name: &str) -> TensorId {
        let shape = lowering.shape_of(a).to_vec();
        self.layer.step(lowering, &self.name(name), binary(function), vec![a, b], shape)
    }

    /// `n` columns of a matrix from `start` on.
    fn columns(&self, lowering: &mut Lowering, x: TensorId, start: usize, n: usize, name: &str) -> TensorId {
        let rows = lowering.shape_of(x)[0];
        let slice = Operator::Move(Move::Slice { starts: vec![0, start], steps: vec![1; 2] });
        self.layer.step(lowering, &self.name(name), slice, vec![x], vec![rows, n])
    }

    fn name(&self, name: &str) -> String {
        format!("{}/{name}", self.time)
    }
}
