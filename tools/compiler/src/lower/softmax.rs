//! Softmax over any axis.

use super::Refusal;
use super::context::{Lowering, axis, int};
use crate::graph::Operator;
use crate::import::OnnxNode;

/// From operator set 13 over one axis; before, over all axes from `axis` on together.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let rank = shape.len();
    let single = lowering.imported.opset >= 13;
    let axis = axis(int(node, "axis", if single { -1 } else { 1 })?, rank)?;
    let last = rank - 1;
    if axis == last {
        return lowering.push_result(node, Operator::Softmax, vec![x]);
    }
    if single {
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(axis, last);
        let moved: Vec<usize> = permutation.iter().map(|&a| shape[a]).collect();
        let transpose = Operator::Transpose { permutation };
        let x = lowering.push_step(node, "axis_last", transpose.clone(), vec![x], moved.clone());
        let y = lowering.push_step(node, "softmax", Operator::Softmax, vec![x], moved);
        // A swap of two axes is its own inverse.
        return lowering.push_result(node, transpose, vec![y]);
    }
    let flat = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
    let x = lowering.push_step(node, "flat", Operator::Reshape, vec![x], flat.clone());
    let y = lowering.push_step(node, "softmax", Operator::Softmax, vec![x], flat);
    lowering.push_result(node, Operator::Reshape, vec![y])
}
