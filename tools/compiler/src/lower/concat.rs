//! Concat.

use super::Refusal;
use super::context::{Lowering, axis, int};
use crate::graph::Operator;
use crate::import::OnnxNode;

/// Inputs one after another along an axis.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let inputs = (0..node.inputs.len()).map(|i| lowering.any_input(node, i)).collect::<Result<Vec<_>, _>>()?;
    let Some(&first) = inputs.first() else {
        return Err(Refusal::new("it has no inputs", "check the file with onnx.checker"));
    };
    if let [only] = inputs[..] {
        lowering.bind_output(node, 0, only);
        return Ok(());
    }
    let (mut shape, element_type) = (lowering.shape_of(first).to_vec(), lowering.element_type(first));
    let axis = axis(int(node, "axis", 1)?, shape.len())?;
    let fits = |&id: &_| {
        let own = lowering.shape_of(id);
        let others = |s: &[usize]| [&s[..axis], &s[axis + 1..]].concat();
        lowering.element_type(id) == element_type && own.len() == shape.len() && others(own) == others(&shape)
    };
    if !inputs.iter().all(fits) {
        let shapes: Vec<_> = inputs.iter().map(|&id| lowering.shape_of(id)).collect();
        return Err(Refusal::new(format!("its inputs have shapes {shapes:?}"), "check the file with onnx.checker"));
    }
    shape[axis] = inputs.iter().map(|&id| lowering.shape_of(id)[axis]).sum();
    lowering.push_output(node, 0, Operator::Concat { axis }, inputs, shape, element_type);
    Ok(())
}
