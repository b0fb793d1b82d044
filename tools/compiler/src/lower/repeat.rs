//! Expand and Tile: elements again and again.

use super::Refusal;
use super::context::Lowering;
use super::reshape::shape_given;
use crate::graph::{Constant, Given, Move, Operator};
use crate::import::OnnxNode;
use tinfer::kernels::geometry::BorderMode;
use tinfer::operators::sized::shape_given::ShapeRule;

/// Axes of one element are repeated.
pub fn expand(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut x = lowering.any_input(node, 0)?;
    let own = lowering.shape_of(x).to_vec();
    let shape = if lowering.is_constant(node, 1) {
        let wanted = lowering.known_ints(node, 1)?.unwrap_or_default();
        broadcast(&own, &wanted).ok_or_else(|| {
            Refusal::new(format!("{own:?} does not broadcast to {wanted:?}"), "check the file with onnx.checker")
        })?
    } else {
        let shape = lowering.declared_output(node, 0, "shape")?;
        x = shape_given(lowering, node, ShapeRule::Expand, &shape, x)?;
        shape
    };
    if shape == own {
        lowering.bind_output(node, 0, x);
        return Ok(());
    }
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, Operator::Move(Move::Expand), vec![x], shape, element_type);
    Ok(())
}

fn broadcast(own: &[usize], wanted: &[i64]) -> Option<Vec<usize>> {
    let rank = own.len().max(wanted.len());
    let at = |i: usize, n: usize| (i + n).checked_sub(rank);
    let dim = |i: usize| {
        let a = at(i, own.len()).map_or(1, |k| own[k]);
        let b = usize::try_from(at(i, wanted.len()).map_or(1, |k| wanted[k])).ok()?;
        match (a, b) {
            (_, 0) => None,
            (a, 1) => Some(a),
            (1, b) => Some(b),
            (a, b) => (a == b).then_some(a),
        }
    };
    (0..rank).map(dim).collect()
}

/// The whole tensor again along each axis.
pub fn tile(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut x = lowering.any_input(node, 0)?;
    let own = lowering.shape_of(x).to_vec();
    let shape = if lowering.is_constant(node, 1) {
        let repeats = lowering.known_ints(node, 1)?.unwrap_or_default();
        if repeats.len() != own.len() || repeats.iter().any(|&n| n < 1) {
            return Err(Refusal::new(
                format!("its repeats are {repeats:?} for shape {own:?}"),
                "repeat each axis once or more",
            ));
        }
        own.iter().zip(&repeats).map(|(&dim, &n)| dim * n as usize).collect()
    } else {
        let shape = lowering.declared_output(node, 0, "repeats")?;
        let whole = shape.len() == own.len() && shape.iter().zip(&own).all(|(to, from)| to % from == 0);
        if !whole {
            return Err(Refusal::new(
                format!("its input has shape {own:?}, its output {shape:?}"),
                "check the file with onnx.checker",
            ));
        }
        let repeats = shape.iter().zip(&own).map(|(to, from)| (to / from) as i64).collect();
        x = lowering.require(node, 1, Constant::I64(repeats), x)?;
        shape
    };
    if shape == own {
        lowering.bind_output(node, 0, x);
        return Ok(());
    }
    let before = vec![0; own.len()];
    let operands = [Given::Absent; 3];
    let operator = Operator::Move(Move::Border { mode: BorderMode::Wrap, before, value: [0; 8], operands });
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, operator, vec![x], shape, element_type);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_both_ways() {
        assert_eq!(broadcast(&[3, 1], &[2, 1, 6]), Some(vec![2, 3, 6]));
        assert_eq!(broadcast(&[3, 4], &[1]), Some(vec![3, 4]));
        assert_eq!(broadcast(&[3, 4], &[2, 4]), None);
        assert_eq!(broadcast(&[1], &[0]), None);
        assert_eq!(broadcast(&[1], &[-1]), None);
    }
}
