//! Weights and biases of one direction of a recurrent layer.

use super::{Kind, Layer, Sizes, int};
use crate::graph::{Binary, Clamp, Move, Operator, TensorId};
use crate::lower::Refusal;
use crate::lower::context::Lowering;

/// Weights `[outputs, inputs]` and perhaps biases `[outputs]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    matrix: TensorId,
    bias: Option<TensorId>,
    n_outputs: usize,
}

impl Weights {
    /// `x` [rows, inputs] times the weights, plus the biases.
    pub(super) fn product(&self, lowering: &mut Lowering, layer: &Layer, x: TensorId, name: &str) -> TensorId {
        let shape = vec![lowering.shape_of(x)[0], self.n_outputs];
        let mut inputs = vec![x, self.matrix];
        let bias_is_known = self.bias.is_none_or(|bias| lowering.is_known(bias));
        if lowering.is_known(self.matrix) && bias_is_known {
            inputs.extend(self.bias);
            return layer.step(lowering, name, Operator::FullyConnected { clamp: Clamp::default() }, inputs, shape);
        }
        let operator = Operator::BatchMatmul { transpose_b: true };
        let Some(bias) = self.bias else { return layer.step(lowering, name, operator, inputs, shape) };
        let product = layer.step(lowering, &format!("{name}_product"), operator, inputs, shape.clone());
        layer.step(lowering, name, binary(Binary::Add), vec![product, bias], shape)
    }
}

/// Everything that a cell multiplies or adds.
pub(super) struct Parameters {
    /// Of the inputs: all gates, with whatever is added to them at each step.
    pub(super) inputs: Weights,
    /// Of the hidden state: all gates, for GRU the first two.
    pub(super) state: Weights,
    /// Of the hidden state for the third gate of GRU.
    pub(super) hidden_gate: Option<Weights>,
    /// The bias of the third gate of GRU when the reset gate acts behind the product.
    pub(super) hidden_bias: Option<TensorId>,
    /// Peepholes of the gates i, o, f of LSTM.
    pub(super) peepholes: Option<[TensorId; 3]>,
}

impl Parameters {
    /// Cuts the parameters of the layer out of the node's inputs; what is known stays known.
    pub(super) fn new(lowering: &mut Lowering, layer: &Layer) -> Result<Self, Refusal> {
        let first_node = lowering.n_nodes();
        let Sizes { hidden, .. } = layer.sizes;
        let rows = layer.kind.n_gates() * hidden;
        let direct = match layer.kind {
            Kind::Gru => 2 * hidden,
            Kind::Rnn | Kind::Lstm => rows,
        };
        let weights = |matrix: TensorId, n_outputs: usize| Weights { matrix, bias: None, n_outputs };
        let mut inputs = weights(part(lowering, layer, 1, "w", 0, rows)?, rows);
        let state = weights(part(lowering, layer, 2, "r", 0, direct)?, direct);
        let hidden_gate = match layer.kind {
            Kind::Gru => Some(weights(part(lowering, layer, 2, "r_hidden", direct, hidden)?, hidden)),
            Kind::Rnn | Kind::Lstm => None,
        };
        let mut hidden_bias = None;
        if has(lowering, layer, 3, 2 * rows, "bias")? {
            let own = part(lowering, layer, 3, "b_inputs", 0, rows)?;
            let of_state = match layer.kind {
                Kind::Gru if int(layer.node, "linear_before_reset", 0)? != 0 => {
                    hidden_bias = Some(part(lowering, layer, 3, "b_hidden", rows + direct, hidden)?);
                    let gates = part(lowering, layer, 3, "b_gates", rows, direct)?;
                    let zeros = layer.constant(lowering, "no_bias", vec![hidden], vec![0.0; hidden]);
                    layer.step(lowering, "b_state", Operator::Concat { axis: 0 }, vec![gates, zeros], vec![rows])
                }
                _ => part(lowering, layer, 3, "b_state", rows, rows)?,
            };
            inputs.bias = Some(layer.step(lowering, "bias", binary(Binary::Add), vec![own, of_state], vec![rows]));
        }
        let mut peepholes = None;
        if layer.kind == Kind::Lstm && has(lowering, layer, 7, 3 * hidden, "peepholes")? {
            let mut gate = |name: &str, i: usize| part(lowering, layer, 7, name, i * hidden, hidden);
            peepholes = Some([gate("p_i", 0)?, gate("p_o", 1)?, gate("p_f", 2)?]);
        }
        lowering.fold(first_node);
        Ok(Parameters { inputs, state, hidden_gate, hidden_bias, peepholes })
    }
}

/// Whether input `i` is there; it must have `n` numbers for each direction.
fn has(lowering: &Lowering, layer: &Layer, i: usize, n: usize, name: &str) -> Result<bool, Refusal> {
    let Some(tensor) = lowering.input_name(layer.node, i) else { return Ok(false) };
    let shape = lowering.shape(&tensor)?;
    if shape == [layer.sizes.directions, n] {
        return Ok(true);
    }
    Err(Refusal::new(format!("its {name} of shape {shape:?} do not fit"), "check the file with onnx.checker"))
}

/// `n` rows from `start` on of what input `i` has for the direction of this layer.
fn part(
    lowering: &mut Lowering,
    layer: &Layer,
    i: usize,
    name: &str,
    start: usize,
    n: usize,
) -> Result<TensorId, Refusal> {
    let source = lowering.input(layer.node, i)?;
    let mut shape = lowering.shape_of(source).to_vec();
    let rank = shape.len();
    let mut starts = vec![0; rank];
    (starts[0], starts[1], shape[0], shape[1]) = (layer.direction, start, 1, n);
    let slice = Operator::Move(Move::Slice { starts, steps: vec![1; rank] });
    let rows = layer.step(lowering, &format!("{name}_rows"), slice, vec![source], shape.clone());
    Ok(layer.step(lowering, name, Operator::Reshape, vec![rows], shape.split_off(1)))
}

pub(super) fn binary(function: Binary) -> Operator {
    Operator::Binary { function, clamp: Clamp::default() }
}
