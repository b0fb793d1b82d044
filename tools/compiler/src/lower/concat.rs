//! Concat.

use super::Refusal;
use super::context::{Lowering, axis, int};
use crate::graph::Operator;
use crate::import::OnnxNode;

/// Inputs one after another along an axis.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let inputs = (0..node.inputs.len()).map(|i| lowering.input(node, i)).collect::<Result<Vec<_>, _>>()?;
    let (name, shape) = lowering.result(node)?;
    let axis = axis(int(node, "axis", 1)?, shape.len())?;
    if let [only] = inputs[..] {
        lowering.alias(&name, only);
        return Ok(());
    }
    lowering.push_result(node, Operator::Concat { axis }, inputs)
}
