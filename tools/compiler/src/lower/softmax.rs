//! Softmax, its logarithm, and Hardmax over any axis.

use super::Refusal;
use super::context::{Lowering, axis, int};
use crate::graph::{Operator, Reduction};
use crate::import::OnnxNode;
use tinfer::tensor::ElementType;

/// Softmax.
pub fn softmax(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    over_last_axis(lowering, node, &|_| Operator::Softmax)
}

/// LogSoftmax.
pub fn log_softmax(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    over_last_axis(lowering, node, &|_| Operator::Reduction(Reduction::LogSoftmax))
}

/// Hardmax.
pub fn hardmax(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    over_last_axis(lowering, node, &|axis| Operator::Reduction(Reduction::Hardmax { axis }))
}

/// From operator set 13 over one axis; before, over all axes from `axis` on together. `operator` works over the axis that
/// it is made with, always the last.
fn over_last_axis(
    lowering: &mut Lowering,
    node: &OnnxNode,
    operator: &dyn Fn(usize) -> Operator,
) -> Result<(), Refusal> {
    let x = lowering.input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let rank = shape.len();
    let single = lowering.imported.opset >= 13;
    let axis = axis(int(node, "axis", if single { -1 } else { 1 })?, rank)?;
    let last = rank - 1;
    if axis == last {
        lowering.push_output(node, 0, operator(last), vec![x], shape, ElementType::F32);
        return Ok(());
    }
    if single {
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(axis, last);
        let moved: Vec<usize> = permutation.iter().map(|&a| shape[a]).collect();
        let transpose = Operator::Transpose { permutation };
        let x = lowering.push_step(node, "axis_last", transpose.clone(), vec![x], moved.clone());
        let y = lowering.push_step(node, "over_last", operator(last), vec![x], moved);
        // A swap of two axes is its own inverse.
        lowering.push_output(node, 0, transpose, vec![y], shape, ElementType::F32);
        return Ok(());
    }
    let flat = vec![shape[..axis].iter().product(), shape[axis..].iter().product()];
    let x = lowering.push_step(node, "flat", Operator::Reshape, vec![x], flat.clone());
    let y = lowering.push_step(node, "over_last", operator(1), vec![x], flat);
    lowering.push_output(node, 0, Operator::Reshape, vec![y], shape, ElementType::F32);
    Ok(())
}
