//! Transpose.

use super::Refusal;
use super::context::{Lowering, axis, ints};
use crate::graph::Operator;
use crate::import::OnnxNode;

/// Axes in the order of `perm`, reversed by default.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let rank = lowering.shape_of(x).len();
    let permutation = match ints(node, "perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => perm.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut sorted = permutation.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().ne(0..rank) {
        return Err(Refusal::new(
            format!("perm {permutation:?} is no permutation of {rank} axes"),
            "check the file with onnx.checker",
        ));
    }
    let shape = permutation.iter().map(|&axis| lowering.shape_of(x)[axis]).collect();
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, Operator::Transpose { permutation }, vec![x], shape, element_type);
    Ok(())
}
