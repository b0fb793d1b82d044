//! DepthToSpace and SpaceToDepth: reshapes around transposes of at most five axes.

use super::Refusal;
use super::context::{Lowering, int, text};
use crate::graph::{Operator, TensorId};
use crate::import::OnnxNode;

/// Channels become blocks of pixels.
pub fn depth_to_space(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let ([n, c, h, w], b) = shape_and_block(lowering, node, x)?;
    if c % (b * b) != 0 {
        return Err(Refusal::new(
            format!("{c} channels are no blocks of {b} x {b}"),
            "check the file with onnx.checker",
        ));
    }
    let c = c / (b * b);
    let steps: &[Step] = match text(node, "mode", "DCR")? {
        "CRD" => &[(vec![n * c, b, b, h, w], vec![0, 3, 1, 4, 2])],
        // Six axes, two of which have to be moved by a transpose of their own.
        "DCR" if n > 1 => &[(vec![n, b * b, c, h * w], vec![0, 2, 3, 1]), (vec![n * c * h, w, b, b], vec![0, 2, 1, 3])],
        "DCR" => &[(vec![b, b, c, h, w], vec![2, 3, 0, 4, 1])],
        other => return Err(Refusal::new(format!("mode '{other}' is not known"), "use mode DCR or CRD")),
    };
    push(lowering, node, x, steps, vec![n, c, h * b, w * b])
}

/// Blocks of pixels become channels.
pub fn space_to_depth(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let ([n, c, h, w], b) = shape_and_block(lowering, node, x)?;
    if h % b != 0 || w % b != 0 {
        return Err(Refusal::new(
            format!("{h} x {w} pixels are no blocks of {b} x {b}"),
            "check the file with onnx.checker",
        ));
    }
    let (h, w) = (h / b, w / b);
    let steps: &[Step] = match n > 1 {
        true => &[(vec![n * c * h, b, w, b], vec![0, 2, 1, 3]), (vec![n, c, h * w, b * b], vec![0, 3, 1, 2])],
        false => &[(vec![c, h, b, w, b], vec![2, 4, 0, 1, 3])],
    };
    push(lowering, node, x, steps, vec![n, c * b * b, h, w])
}

/// A shape to see the tensor in, and a permutation of its axes.
type Step = (Vec<usize>, Vec<usize>);

fn shape_and_block(lowering: &Lowering, node: &OnnxNode, x: TensorId) -> Result<([usize; 4], usize), Refusal> {
    let shape = lowering.shape_of(x);
    let block = usize::try_from(int(node, "blocksize", 0)?).unwrap_or(0);
    match (shape.first_chunk::<4>(), shape.len(), block) {
        (Some(&shape), 4, 1..) => Ok((shape, block)),
        _ => Err(Refusal::new(
            format!("its input has shape {shape:?}, its blocks {block}"),
            "give it [N, C, H, W] and a block size",
        )),
    }
}

fn push(
    lowering: &mut Lowering,
    node: &OnnxNode,
    x: TensorId,
    steps: &[Step],
    shape: Vec<usize>,
) -> Result<(), Refusal> {
    let element_type = lowering.element_type(x);
    let mut at = x;
    for (i, (seen, permutation)) in steps.iter().enumerate() {
        let name = |what: &str| format!("{what}_{i}");
        at = lowering.push_typed_step(node, &name("view"), Operator::Reshape, vec![at], seen.clone(), element_type);
        let moved = permutation.iter().map(|&axis| seen[axis]).collect();
        let operator = Operator::Transpose { permutation: permutation.clone() };
        at = lowering.push_typed_step(node, &name("transpose"), operator, vec![at], moved, element_type);
    }
    lowering.push_output(node, 0, Operator::Reshape, vec![at], shape, element_type);
    Ok(())
}
