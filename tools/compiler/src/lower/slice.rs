//! Slice and Split.

use super::Refusal;
use super::context::{Lowering, axis, int, ints};
use crate::graph::{Constant, Given, Move, Operator, TensorId};
use crate::import::OnnxNode;
use tinfer::kernels::geometry::SliceAxis;

/// Bounds are attributes up to operator set 9, inputs from 10.
pub fn lower(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let (starts, ends, axes, steps) = if lowering.imported.opset < 10 {
        (ints(node, "starts")?, ints(node, "ends")?, ints(node, "axes")?, None)
    } else {
        let given = |i: usize| lowering.input_name(node, i).is_none() || lowering.is_constant(node, i);
        if !(1..5).all(given) {
            return at_run_time(lowering, node, x);
        }
        let ints = |i| lowering.known_ints(node, i);
        (ints(1)?, ints(2)?, ints(3)?, ints(4)?)
    };
    let shape = lowering.shape_of(x).to_vec();
    let (starts, ends) = (starts.unwrap_or_default(), ends.unwrap_or_default());
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|n| *n != starts.len()) {
        return Err(Refusal::new(
            format!("it has {} starts, {} ends, {} axes, {} steps", starts.len(), ends.len(), axes.len(), steps.len()),
            "check the file with onnx.checker",
        ));
    }
    let mut slice = Slice::whole(&shape);
    for (i, &own_axis) in axes.iter().enumerate() {
        slice.cut(axis(own_axis, shape.len())?, starts[i], ends[i], steps[i])?;
    }
    let id = slice.push(lowering, node, 0, x);
    lowering.bind_output(node, 0, id);
    Ok(())
}

fn at_run_time(lowering: &mut Lowering, node: &OnnxNode, x: TensorId) -> Result<(), Refusal> {
    let shape = lowering.declared_output(node, 0, "bounds")?;
    let mut inputs = vec![x, lowering.any_input(node, 1)?, lowering.any_input(node, 2)?];
    let axes_and_steps = [3, 4].map(|i| match lowering.input_name(node, i) {
        Some(_) => Given::Input,
        None => Given::Absent,
    });
    for i in [3, 4] {
        inputs.extend(lowering.optional_input(node, i)?);
    }
    let element_type = lowering.element_type(x);
    lowering.push_output(node, 0, Operator::Move(Move::SliceGiven { axes_and_steps }), inputs, shape, element_type);
    Ok(())
}

/// Parts along an axis. Sizes are an attribute up to operator set 12, an input from 13.
pub fn split(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut x = lowering.any_input(node, 0)?;
    let shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", 0)?, shape.len())?;
    let n_parts = node.outputs.len();
    let sizes = match lowering.imported.opset < 13 {
        true => ints(node, "split")?,
        false if lowering.input_name(node, 1).is_none() => None,
        false if lowering.is_constant(node, 1) => lowering.known_ints(node, 1)?,
        false => {
            let mut sizes = Vec::with_capacity(n_parts);
            for slot in 0..n_parts {
                let declared = lowering.declared_output(node, slot, "sizes")?;
                sizes.push(declared.get(axis).map_or(0, |&n| n as i64));
            }
            x = lowering.require(node, 1, Constant::I64(sizes.clone()), x)?;
            Some(sizes)
        }
    };
    let part = shape[axis].div_ceil(n_parts.max(1)) as i64;
    let equal = |i: usize| part.min(shape[axis] as i64 - i as i64 * part);
    let sizes = sizes.unwrap_or_else(|| (0..n_parts).map(equal).collect());
    if sizes.len() != n_parts || sizes.iter().sum::<i64>() != shape[axis] as i64 || sizes.iter().any(|&n| n <= 0) {
        return Err(Refusal::new(
            format!("parts of {sizes:?} elements do not make its axis of {}", shape[axis]),
            "split an axis into parts of one element or more",
        ));
    }
    let mut start = 0;
    for (slot, n) in sizes.into_iter().enumerate() {
        let mut slice = Slice::whole(&shape);
        slice.cut(axis, start, start + n, 1)?;
        start += n;
        if lowering.is_wanted(node, slot) {
            let id = slice.push(lowering, node, slot, x);
            lowering.bind_output(node, slot, id);
        }
    }
    Ok(())
}

/// What is taken of a tensor.
pub struct Slice {
    shape: Vec<usize>,
    starts: Vec<usize>,
    steps: Vec<i32>,
    taken: Vec<usize>,
}

impl Slice {
    /// All of a tensor of this shape.
    pub fn whole(shape: &[usize]) -> Self {
        let n = shape.len();
        Slice { shape: shape.to_vec(), starts: vec![0; n], steps: vec![1; n], taken: shape.to_vec() }
    }

    /// Takes less of an axis: from `start` to before `end`, as ONNX says.
    pub fn cut(&mut self, axis: usize, start: i64, end: i64, step: i64) -> Result<(), Refusal> {
        let found = u32::try_from(self.shape[axis]).ok().and_then(|dim| SliceAxis::new(dim, start, end, step));
        match found {
            Some(SliceAxis { start, step, count }) if count > 0 => {
                (self.starts[axis], self.steps[axis], self.taken[axis]) = (start as usize, step, count as usize);
                Ok(())
            }
            _ => Err(Refusal::new(
                format!("from {start} to {end} by {step} it takes nothing of axis {axis} with {}", self.shape[axis]),
                "images hold no empty tensors: take one element or more",
            )),
        }
    }

    /// The slice of `x` as the ONNX node's output `slot`; `x` itself when it is all of it.
    pub fn push(self, lowering: &mut Lowering, node: &OnnxNode, slot: usize, x: TensorId) -> TensorId {
        let Slice { shape, starts, steps, taken } = self;
        if shape == taken && steps.iter().zip(&shape).all(|(&step, &n)| step > 0 || n == 1) {
            return x;
        }
        let element_type = lowering.element_type(x);
        let operator = Operator::Move(Move::Slice { starts, steps });
        lowering.push_output(node, slot, operator, vec![x], taken, element_type)
    }

    /// The slice of `x` as an auxiliary tensor; `x` itself when it is all of it.
    pub fn push_step(self, lowering: &mut Lowering, node: &OnnxNode, x: TensorId) -> TensorId {
        let Slice { shape, starts, steps, taken } = self;
        if shape == taken {
            return x;
        }
        let element_type = lowering.element_type(x);
        lowering.push_typed_step(
            node,
            "slice",
            Operator::Move(Move::Slice { starts, steps }),
            vec![x],
            taken,
            element_type,
        )
    }
}
