//! RotaryEmbedding: pairs of numbers turned by an angle that depends on the position.

use super::Refusal;
use super::context::{Lowering, int};
use crate::graph::{Binary, Clamp, Move, Operator, TensorId};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// RotaryEmbedding of operator set 23: 3-D and 4-D operands, positions known at run time, halves or neighbours as pairs.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let input = lowering.input(node, 0)?;
    let own = lowering.shape_of(input).to_vec();
    let attribute = |name: &str| -> Result<usize, Refusal> {
        let value = int(node, name, 0)?;
        usize::try_from(value)
            .map_err(|_| Refusal::new(format!("{name} is {value}"), "check the file with onnx.checker"))
    };
    // Heads before or behind the sequence; angles are repeated along the heads.
    let (shape, sequence_axis) = match own[..] {
        [_, _, _, _] => (own.clone(), 2),
        [batch, sequence, hidden] => {
            let heads = attribute("num_heads")?;
            if heads == 0 || !hidden.is_multiple_of(heads) {
                let reason = format!("num_heads {heads} does not divide its operand of shape {own:?}");
                return Err(Refusal::new(reason, "check the file with onnx.checker"));
            }
            (vec![batch, sequence, heads, hidden / heads], 1)
        }
        _ => return Err(Refusal::new(format!("its operand has shape {own:?}"), "check the file with onnx.checker")),
    };
    let size = shape[3];
    let turned = match attribute("rotary_embedding_dim")? {
        0 => size,
        n => n,
    };
    if turned > size || !turned.is_multiple_of(2) {
        return Err(Refusal::new(
            format!("rotary_embedding_dim is {turned} for heads of {size}"),
            "check the file with onnx.checker",
        ));
    }
    let mut x = input;
    if shape != own {
        x = lowering.push_step(node, "heads", Operator::Reshape, vec![x], shape.clone());
    }
    let mut angles = vec![shape[0], 1, 1, turned / 2];
    angles[sequence_axis] = shape[sequence_axis];
    let rotary = Rotary { node, shape, half: turned / 2, angles };
    let (cos, sin) = (rotary.cache(lowering, 1, "cos")?, rotary.cache(lowering, 2, "sin")?);
    let neighbours = int(node, "interleaved", 0)? != 0;
    let (starts, step) = if neighbours { ([0, 1], 2) } else { ([0, turned / 2], 1) };
    let a = rotary.part(lowering, x, "first", starts[0], step, turned / 2);
    let b = rotary.part(lowering, x, "second", starts[1], step, turned / 2);
    let real = rotary.turned(lowering, "real", Binary::Sub, (cos, a), (sin, b));
    let imaginary = rotary.turned(lowering, "imaginary", Binary::Add, (sin, a), (cos, b));
    let mut parts = match neighbours {
        true => vec![rotary.interleaved(lowering, real, imaginary)],
        false => vec![real, imaginary],
    };
    if turned < size {
        parts.push(rotary.part(lowering, x, "rest", turned, 1, size - turned));
    }
    let concat = Operator::Concat { axis: 3 };
    match (&parts[..], rotary.shape == own) {
        (&[whole], _) => lowering.push_output(node, 0, Operator::Reshape, vec![whole], own, ElementType::F32),
        (_, true) => lowering.push_output(node, 0, concat, parts, own, ElementType::F32),
        (_, false) => {
            let whole = lowering.push_step(node, "whole", concat, parts, rotary.shape.clone());
            lowering.push_output(node, 0, Operator::Reshape, vec![whole], own, ElementType::F32)
        }
    };
    Ok(())
}

struct Rotary<'n> {
    node: &'n OnnxNode,
    /// The operand with four axes, the last one within a head.
    shape: Vec<usize>,
    /// Pairs that are turned.
    half: usize,
    /// Shape of sines and cosines.
    angles: Vec<usize>,
}

impl Rotary<'_> {
    /// Sines or cosines of every position: input `i`, or its rows at the positions in input 3.
    fn cache(&self, lowering: &mut Lowering, i: usize, name: &str) -> Result<TensorId, Refusal> {
        let mut cache = lowering.input(self.node, i)?;
        let own = lowering.shape_of(cache).to_vec();
        if let Some(positions) = lowering.optional_input(self.node, 3)? {
            let shape = [lowering.shape_of(positions), own.get(1..).unwrap_or(&[])].concat();
            let gather = Operator::Move(Move::Gather { axis: 0 });
            cache = lowering.push_step(self.node, &format!("{name}_rows"), gather, vec![cache, positions], shape);
        }
        let shape = lowering.shape_of(cache).to_vec();
        if shape.last() != Some(&self.half) || shape.iter().product::<usize>() != self.angles.iter().product::<usize>()
        {
            return Err(Refusal::new(
                format!("its {name}_cache of shape {own:?} does not fit its operand"),
                "check the file with onnx.checker",
            ));
        }
        Ok(lowering.push_step(self.node, name, Operator::Reshape, vec![cache], self.angles.clone()))
    }

    /// `n` numbers of each head.
    fn part(&self, lowering: &mut Lowering, x: TensorId, name: &str, start: usize, step: i32, n: usize) -> TensorId {
        let mut shape = self.shape.clone();
        shape[3] = n;
        let slice = Move::Slice { starts: vec![0, 0, 0, start], steps: vec![1, 1, 1, step] };
        lowering.push_step(self.node, name, Operator::Move(slice), vec![x], shape)
    }

    /// The sum or the difference of two products.
    fn turned(
        &self,
        lowering: &mut Lowering,
        name: &str,
        function: Binary,
        (factor_a, a): (TensorId, TensorId),
        (factor_b, b): (TensorId, TensorId),
    ) -> TensorId {
        let mut shape = self.shape.clone();
        shape[3] = self.half;
        let binary = |function: Binary| Operator::Binary { function, clamp: Clamp::default() };
        let a =
            lowering.push_step(self.node, &format!("{name}_a"), binary(Binary::Mul), vec![a, factor_a], shape.clone());
        let b =
            lowering.push_step(self.node, &format!("{name}_b"), binary(Binary::Mul), vec![b, factor_b], shape.clone());
        lowering.push_step(self.node, name, binary(function), vec![a, b], shape)
    }

    /// The first of `a`, the first of `b`, the second of `a` and so on.
    fn interleaved(&self, lowering: &mut Lowering, a: TensorId, b: TensorId) -> TensorId {
        let mut single = self.shape.clone();
        single[3] = self.half;
        single.push(1);
        let a = lowering.push_step(self.node, "real_column", Operator::Reshape, vec![a], single.clone());
        let b = lowering.push_step(self.node, "imaginary_column", Operator::Reshape, vec![b], single.clone());
        single[4] = 2;
        let pairs = lowering.push_step(self.node, "pairs", Operator::Concat { axis: 4 }, vec![a, b], single);
        let mut shape = self.shape.clone();
        shape[3] = 2 * self.half;
        lowering.push_step(self.node, "interleaved", Operator::Reshape, vec![pairs], shape)
    }
}
