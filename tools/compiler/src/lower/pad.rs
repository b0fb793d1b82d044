//! Pad with a constant.

use super::Refusal;
use super::context::{Lowering, axis, float, ints, text};
use crate::array::ArrayData;
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
    let list = |i: usize, name: &str| -> Result<Option<Vec<i64>>, Refusal> {
        match lowering.constant_input(node, i)?.map(|a| &a.data) {
            None => Ok(None),
            Some(ArrayData::I64(v)) => Ok(Some(v.clone())),
            Some(ArrayData::I32(v)) => Ok(Some(v.iter().map(|&x| i64::from(x)).collect())),
            Some(_) => Err(Refusal::new(format!("its {name} are not integers"), "check the file with onnx.checker")),
        }
    };
    let (pads, value, axes) = if lowering.imported.opset < 11 {
        (ints(node, "pads")?, float(node, "value", 0.0)?, None)
    } else {
        let value = match lowering.constant_f32(node, 2)? {
            None => 0.0,
            Some((_, &[value])) => value,
            Some((shape, _)) => {
                return Err(Refusal::new(format!("its value has shape {shape:?}"), "pad with a single number"));
            }
        };
        (list(1, "pads")?, value, list(3, "axes")?)
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
