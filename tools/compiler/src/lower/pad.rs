//! Pad with a constant.

use super::context::{Lowering, axis, element_type_refusal, float, ints, text};
use super::{Refusal, quantized};
use crate::graph::Operator;
use crate::import::OnnxNode;

/// Attributes up to operator set 10; inputs from 11, with axes from 18.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mode = text(node, "mode", "constant")?;
    if mode != "constant" {
        return Err(Refusal::new(format!("mode '{mode}' is not supported"), "pad with a constant (mode 'constant')"));
    }
    let x = lowering.input(node, 0)?;
    let rank = lowering.shape_of(x).len();
    let (pads, value, axes) = if lowering.imported.opset < 11 {
        (ints(node, "pads")?, float(node, "value", 0.0)?, None)
    } else {
        (lowering.known_ints(node, 1)?, padding_value(lowering, node)?, lowering.known_ints(node, 3)?)
    };
    let axes = match axes {
        None => (0..rank).collect(),
        Some(axes) => axes.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
    };
    let pads = pads.unwrap_or_default();
    if pads.len() != 2 * axes.len() || pads.iter().any(|&p| p < 0) || !value.is_finite() {
        return Err(Refusal::new(
            format!("pads {pads:?} with value {value} on axes {axes:?} cannot be expressed"),
            "pad by zero or more elements with a finite number",
        ));
    }
    let mut by_axis = vec![[0, 0]; rank];
    for (i, &axis) in axes.iter().enumerate() {
        by_axis[axis] = [pads[i] as usize, pads[i + axes.len()] as usize];
    }
    lowering.push_result(node, Operator::Pad { pads: by_axis, value }, vec![x])
}

/// The value in real units. In a quantized tensor it is a step, 0 by default.
fn padding_value(lowering: &Lowering, node: &OnnxNode) -> Result<f32, Refusal> {
    let Some(value) = lowering.known(node, 2)? else {
        let zero = |name: String| Some((lowering.grid_of(&name)?, lowering.zero_step(&name)?));
        let padded = lowering.input_name(node, 0).and_then(zero);
        return Ok(padded.map_or(0.0, |(grid, zero)| (zero - grid.zero_point) as f32 * grid.scale));
    };
    let real = match lowering.input_name(node, 0).and_then(|name| lowering.grid_of(&name)) {
        Some(grid) => quantized::real_values(&value, grid),
        None => value.as_f32().map(<[f32]>::to_vec),
    };
    match real.as_deref() {
        Some(&[value]) => Ok(value),
        Some(_) => Err(Refusal::new(format!("its value has shape {:?}", value.shape), "pad with a single number")),
        None => Err(element_type_refusal(&node.inputs[2], value.data.type_name())),
    }
}
