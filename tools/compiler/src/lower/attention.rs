//! Attention: scaled products of queries and keys, masks, Softmax, and the product with the values.

use super::Refusal;
use super::context::{Lowering, float, int};
use super::matmul::broadcast;
use crate::graph::{Binary, Clamp, Constant, Operator, Pair, TensorId, Unary};
use crate::import::OnnxNode;
use tinfer::kernels::portable::Relation;
use tinfer::tensor::ElementType;

/// Attention of operator sets 23 and 24: 3-D and 4-D operands, grouped queries, past keys and values, masks.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let precision = int(node, "softmax_precision", FLOAT)?;
    if precision != FLOAT {
        return Err(Refusal::new(
            format!("its Softmax has element type {precision} of ONNX"),
            "export the model with softmax_precision 1 (float32)",
        ));
    }
    let rank = lowering.shape(&lowering.input_name(node, 0).unwrap_or_default())?.len();
    let q = heads(lowering, node, 0, "q", "q_num_heads")?;
    let mut k = heads(lowering, node, 1, "k", "kv_num_heads")?;
    let mut v = heads(lowering, node, 2, "v", "kv_num_heads")?;
    k = with_past(lowering, node, k, 4, 1, "key")?;
    v = with_past(lowering, node, v, 5, 2, "value")?;
    let attention = Attention::new(lowering, node, q, k, v)?;
    let scores = attention.scores(lowering, float(node, "scale", 0.0)?);
    let capped = attention.softcap(lowering, scores, float(node, "softcap", 0.0)?);
    let masked = attention.mask(lowering, capped)?;
    let shares = attention.step(lowering, "softmax", Operator::Softmax, vec![masked], attention.score_shape());
    let stages = [scores, capped, masked, shares];
    let mode = int(node, "qk_matmul_output_mode", 0)?;
    match usize::try_from(mode).ok().and_then(|mode| stages.get(mode)) {
        Some(&stage) => lowering.bind_output(node, 3, stage),
        None => {
            return Err(Refusal::new(
                format!("qk_matmul_output_mode {mode} is not known"),
                "check the file with onnx.checker",
            ));
        }
    }
    attention.values(lowering, shares, rank);
    Ok(())
}

/// ONNX's number of float32.
const FLOAT: i64 = 1;

/// Operands as [batch, heads, sequence, head size].
struct Attention<'n> {
    node: &'n OnnxNode,
    q: TensorId,
    k: TensorId,
    v: TensorId,
    batch: usize,
    heads: usize,
    /// Heads of keys and values; each serves `heads / key_heads` heads of queries in a row.
    key_heads: usize,
    /// Sequence of the queries.
    n_queries: usize,
    /// Sequence of keys and values with the past.
    n_keys: usize,
    head_size: usize,
    value_size: usize,
}

impl<'n> Attention<'n> {
    fn new(lowering: &Lowering, node: &'n OnnxNode, q: TensorId, k: TensorId, v: TensorId) -> Result<Self, Refusal> {
        let shapes = [q, k, v].map(|id| lowering.shape_of(id).to_vec());
        let [q_shape, k_shape, v_shape] = &shapes;
        let &[batch, heads, n_queries, head_size] = &q_shape[..] else { return Err(misfit(&shapes)) };
        let &[_, key_heads, n_keys, value_size] = &v_shape[..] else { return Err(misfit(&shapes)) };
        let fits = v_shape[0] == batch && *k_shape == [batch, key_heads, n_keys, head_size];
        if !fits || !heads.is_multiple_of(key_heads) {
            return Err(misfit(&shapes));
        }
        Ok(Attention { node, q, k, v, batch, heads, key_heads, n_queries, n_keys, head_size, value_size })
    }

    fn step(
        &self,
        lowering: &mut Lowering,
        name: &str,
        operator: Operator,
        inputs: Vec<TensorId>,
        shape: Vec<usize>,
    ) -> TensorId {
        lowering.push_step(self.node, name, operator, inputs, shape)
    }

    fn score_shape(&self) -> Vec<usize> {
        vec![self.batch, self.heads, self.n_queries, self.n_keys]
    }

    /// The shape of a tensor of queries or scores in which heads that share keys are rows of one matrix.
    fn grouped(&self, columns: usize) -> Vec<usize> {
        vec![self.batch, self.key_heads, self.heads / self.key_heads * self.n_queries, columns]
    }

    fn is_grouped(&self) -> bool {
        self.heads != self.key_heads
    }

    /// Products of queries and keys, times the scale, which the queries get because they are fewer.
    fn scores(&self, lowering: &mut Lowering, scale: f32) -> TensorId {
        let scale = if scale == 0.0 { 1.0 / (self.head_size as f64).sqrt() } else { f64::from(scale) };
        let shape = lowering.shape_of(self.q).to_vec();
        let mut q = self.scaled(lowering, self.q, scale as f32, "scale", shape);
        if self.is_grouped() {
            q = self.step(lowering, "grouped", Operator::Reshape, vec![q], self.grouped(self.head_size));
        }
        let operator = Operator::BatchMatmul { transpose_b: true };
        let scores = self.step(lowering, "scores", operator, vec![q, self.k], self.grouped(self.n_keys));
        match self.is_grouped() {
            true => self.step(lowering, "ungrouped", Operator::Reshape, vec![scores], self.score_shape()),
            false => scores,
        }
    }

    /// `cap * tanh(scores / cap)`
    fn softcap(&self, lowering: &mut Lowering, scores: TensorId, cap: f32) -> TensorId {
        if cap <= 0.0 {
            return scores;
        }
        let shape = self.score_shape();
        let x = self.scaled(lowering, scores, 1.0 / cap, "softcap_in", shape.clone());
        let x = self.step(lowering, "softcap_tanh", Operator::Unary(Unary::Tanh), vec![x], shape.clone());
        self.scaled(lowering, x, cap, "softcap_out", shape)
    }

    fn scaled(&self, lowering: &mut Lowering, x: TensorId, by: f32, name: &str, shape: Vec<usize>) -> TensorId {
        if by == 1.0 {
            return x;
        }
        let factor = lowering.constant(&format!("{}/{name}_factor", self.node.name), vec![1], vec![by]);
        self.step(lowering, name, binary(Binary::Mul), vec![x, factor], shape)
    }

    /// The scores plus everything that masks them.
    fn mask(&self, lowering: &mut Lowering, scores: TensorId) -> Result<TensorId, Refusal> {
        let mut masks = Vec::new();
        masks.extend(self.given_mask(lowering)?);
        if int(self.node, "is_causal", 0)? != 0 {
            masks.push(self.causal_mask(lowering));
        }
        masks.extend(self.padding_mask(lowering)?);
        let mut masked = scores;
        for (i, mask) in masks.into_iter().enumerate() {
            let mask_shape = lowering.shape_of(mask);
            if broadcast(mask_shape, &self.score_shape()) != Some(self.score_shape()) {
                let reason = format!("its mask has shape {mask_shape:?} for scores {:?}", self.score_shape());
                return Err(Refusal::new(reason, "check the file with onnx.checker"));
            }
            let operator = binary(Binary::Add);
            masked = self.step(lowering, &format!("masked_{i}"), operator, vec![masked, mask], self.score_shape());
        }
        Ok(masked)
    }

    /// `attn_mask` in float32, as long as there are keys.
    fn given_mask(&self, lowering: &mut Lowering) -> Result<Option<TensorId>, Refusal> {
        let Some(mut mask) = lowering.optional_input(self.node, 3)? else { return Ok(None) };
        mask = match lowering.element_type(mask) {
            ElementType::F32 => mask,
            ElementType::Bool => self.excluding(lowering, mask, "mask"),
            other => {
                let reason = format!("its mask is {}", other.name());
                return Err(Refusal::new(reason, "masks are Bool or float32"));
            }
        };
        let shape = lowering.shape_of(mask).to_vec();
        let Some((&length, rest)) = shape.split_last() else { return Ok(Some(mask)) };
        if length == 1 || length >= self.n_keys {
            return Ok(Some(mask));
        }
        // A mask that is too short excludes the keys behind it.
        let missing = [rest, &[self.n_keys - length]].concat();
        let values = vec![f32::NEG_INFINITY; missing.iter().product()];
        let missing = lowering.constant(&format!("{}/mask_end", self.node.name), missing, values);
        let whole = [rest, &[self.n_keys]].concat();
        let operator = Operator::Concat { axis: rest.len() };
        Ok(Some(self.step(lowering, "mask_whole", operator, vec![mask, missing], whole)))
    }

    /// Query i attends to the past and to keys 0 to i behind it.
    fn causal_mask(&self, lowering: &mut Lowering) -> TensorId {
        let past = lowering.input_name(self.node, 4).and_then(|name| lowering.shape(&name).ok());
        let past = past.and_then(|shape| shape.get(2).copied()).unwrap_or(0);
        let values = (0..self.n_queries)
            .flat_map(|i| (0..self.n_keys).map(move |j| if j > past + i { f32::NEG_INFINITY } else { 0.0 }))
            .collect();
        lowering.constant(&format!("{}/causal", self.node.name), vec![self.n_queries, self.n_keys], values)
    }

    /// `nonpad_kv_seqlen`: keys behind that many are padding.
    fn padding_mask(&self, lowering: &mut Lowering) -> Result<Option<TensorId>, Refusal> {
        let Some(lengths) = lowering.optional_input(self.node, 6)? else { return Ok(None) };
        if lowering.shape_of(lengths) != [self.batch] || lowering.element_type(lengths) != ElementType::I64 {
            return Err(Refusal::new(
                format!("its nonpad_kv_seqlen has shape {:?}", lowering.shape_of(lengths)),
                "check the file with onnx.checker",
            ));
        }
        let shape = vec![self.batch, 1, 1, 1];
        let lengths =
            lowering.push_typed_step(self.node, "lengths", Operator::Reshape, vec![lengths], shape, ElementType::I64);
        let places = Constant::I64((0..self.n_keys as i64).collect());
        let places = lowering.typed_constant(&format!("{}/keys", self.node.name), vec![1, 1, 1, self.n_keys], places);
        let operator = Operator::Pair(Pair::Compare(Relation::Less));
        let shape = vec![self.batch, 1, 1, self.n_keys];
        let inside =
            lowering.push_typed_step(self.node, "inside", operator, vec![places, lengths], shape, ElementType::Bool);
        Ok(Some(self.excluding(lowering, inside, "padding")))
    }

    /// 0 where a condition holds, else minus infinity.
    fn excluding(&self, lowering: &mut Lowering, condition: TensorId, name: &str) -> TensorId {
        let shape = lowering.shape_of(condition).to_vec();
        let mut number = |suffix: &str, value: f32| {
            lowering.constant(&format!("{}/{name}_{suffix}", self.node.name), vec![1], vec![value])
        };
        let (zero, excluded) = (number("zero", 0.0), number("excluded", f32::NEG_INFINITY));
        self.step(lowering, name, Operator::Where, vec![condition, zero, excluded], shape)
    }

    /// The result: shares times values, in the layout of the queries.
    fn values(&self, lowering: &mut Lowering, shares: TensorId, rank: usize) {
        let f32 = ElementType::F32;
        let whole = vec![self.batch, self.heads, self.n_queries, self.value_size];
        let operator = Operator::BatchMatmul { transpose_b: false };
        if rank == 4 && !self.is_grouped() {
            lowering.push_output(self.node, 0, operator, vec![shares, self.v], whole, f32);
            return;
        }
        let mut shares = shares;
        if self.is_grouped() {
            shares = self.step(lowering, "shares_grouped", Operator::Reshape, vec![shares], self.grouped(self.n_keys));
        }
        let mut y = self.step(lowering, "values", operator, vec![shares, self.v], self.grouped(self.value_size));
        if rank == 4 {
            lowering.push_output(self.node, 0, Operator::Reshape, vec![y], whole, f32);
            return;
        }
        if self.is_grouped() {
            y = self.step(lowering, "values_ungrouped", Operator::Reshape, vec![y], whole);
        }
        let moved = vec![self.batch, self.n_queries, self.heads, self.value_size];
        let y = self.step(lowering, "values_moved", transpose_heads(), vec![y], moved);
        let flat = vec![self.batch, self.n_queries, self.heads * self.value_size];
        lowering.push_output(self.node, 0, Operator::Reshape, vec![y], flat, f32);
    }
}

/// Input `i` as [batch, heads, sequence, head size].
fn heads(lowering: &mut Lowering, node: &OnnxNode, i: usize, name: &str, attribute: &str) -> Result<TensorId, Refusal> {
    let x = lowering.input(node, i)?;
    let shape = lowering.shape_of(x).to_vec();
    let &[batch, sequence, hidden] = &shape[..] else { return Ok(x) };
    let n = usize::try_from(int(node, attribute, 0)?).ok().filter(|&n| n > 0 && hidden.is_multiple_of(n));
    let Some(n) = n else {
        return Err(Refusal::new(
            format!("{attribute} does not divide its operand of shape {shape:?}"),
            "check the file with onnx.checker",
        ));
    };
    let split = vec![batch, sequence, n, hidden / n];
    let x = lowering.push_step(node, &format!("{name}_split"), Operator::Reshape, vec![x], split);
    let moved = vec![batch, n, sequence, hidden / n];
    Ok(lowering.push_step(node, &format!("{name}_heads"), transpose_heads(), vec![x], moved))
}

/// The past in input `i`, if there is one, and `present` behind it, which is output `slot` together.
fn with_past(
    lowering: &mut Lowering,
    node: &OnnxNode,
    present: TensorId,
    i: usize,
    slot: usize,
    what: &str,
) -> Result<TensorId, Refusal> {
    if lowering.input_name(node, i).is_none() {
        lowering.bind_output(node, slot, present);
        return Ok(present);
    }
    let past = lowering.input(node, i)?;
    let (past_shape, mut shape) = (lowering.shape_of(past).to_vec(), lowering.shape_of(present).to_vec());
    let fits = past_shape.len() == 4 && shape.len() == 4 && [0, 1, 3].iter().all(|&a| past_shape[a] == shape[a]);
    if !fits {
        let reason = format!("its past {what} of shape {past_shape:?} does not fit {shape:?}");
        return Err(Refusal::new(reason, "check the file with onnx.checker"));
    }
    shape[2] += past_shape[2];
    Ok(lowering.push_output(node, slot, Operator::Concat { axis: 2 }, vec![past, present], shape, ElementType::F32))
}

fn transpose_heads() -> Operator {
    Operator::Transpose { permutation: vec![0, 2, 1, 3] }
}

fn binary(function: Binary) -> Operator {
    Operator::Binary { function, clamp: Clamp::default() }
}

fn misfit(shapes: &[Vec<usize>; 3]) -> Refusal {
    Refusal::new(format!("its operands of shape {shapes:?} do not fit"), "check the file with onnx.checker")
}
