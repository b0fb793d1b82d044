//! Reductions, choices along an axis, cumulative sums.

use super::context::{Lowering, axis, element_type_refusal, int, ints};
use super::{Refusal, pool};
use crate::graph::{Constant, Operator, Reduction, TensorId};
use crate::import::OnnxNode;
use tinfer::kernels::portable::{BoxFormat, Order, Reading, ReduceFunction, Start, Tie};
use tinfer::operators::reduction::non_max_suppression::SpareRows;
use tinfer::operators::reduction::selection::TopKResult;
use tinfer::tensor::ElementType;

/// ReduceMean, which over all of height and width is a pool.
pub fn mean(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::Mean)
}

/// ReduceSum.
pub fn sum(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::Sum)
}

/// ReduceMax.
pub fn max(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::Max)
}

/// ReduceMin.
pub fn min(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::Min)
}

/// ReduceProd.
pub fn prod(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::Prod)
}

/// ReduceL1.
pub fn l1(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::L1)
}

/// ReduceL2.
pub fn l2(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::L2)
}

/// ReduceSumSquare.
pub fn sum_square(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::SumSquare)
}

/// ReduceLogSum.
pub fn log_sum(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::LogSum)
}

/// ReduceLogSumExp.
pub fn log_sum_exp(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    lower(lowering, node, ReduceFunction::LogSumExp)
}

/// Input 0, of one of these element types.
fn typed_input(lowering: &mut Lowering, node: &OnnxNode, types: &[ElementType]) -> Result<TensorId, Refusal> {
    let x = lowering.any_input(node, 0)?;
    match lowering.element_type(x) {
        ElementType::F32 => lowering.input(node, 0),
        found if types.contains(&found) => Ok(x),
        found => Err(element_type_refusal(&node.inputs[0], found.name())),
    }
}

const NUMBERS: &[ElementType] = &[ElementType::I8, ElementType::U8, ElementType::I32, ElementType::I64];

fn lower(lowering: &mut Lowering, node: &OnnxNode, function: ReduceFunction) -> Result<(), Refusal> {
    let types: &[ElementType] = match function {
        _ if function.chooses() => {
            &[ElementType::I8, ElementType::U8, ElementType::I32, ElementType::I64, ElementType::Bool]
        }
        _ if function.is_algebraic() => &[ElementType::I32, ElementType::I64],
        _ => &[],
    };
    let x = typed_input(lowering, node, types)?;
    let (shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let keeps_dims = int(node, "keepdims", 1)? != 0;
    let given = lowering.input_name(node, 1).is_some();
    let input_since = if function == ReduceFunction::Sum { 13 } else { 18 };
    let opset = lowering.imported.opset;
    if given && opset < input_since || node.attribute("axes").is_some() && opset >= input_since {
        return Err(Refusal::new(
            format!("its axes are not where operator set {opset} has them (an input from {input_since} on)"),
            "check the file with onnx.checker",
        ));
    }
    if given && !lowering.is_constant(node, 1) {
        let axes = lowering.any_input(node, 1)?;
        let result = lowering.declared_output(node, 0, "axes")?;
        let operator = Operator::Reduction(Reduction::Reduce { function, axes: None, keeps_dims });
        lowering.push_output(node, 0, operator, vec![x, axes], result, element_type);
        return Ok(());
    }
    let axes = match lowering.known_ints(node, 1)? {
        Some(axes) => axes,
        None => ints(node, "axes")?.unwrap_or_default(),
    };
    let mut axes = axes.into_iter().map(|a| axis(a, shape.len())).collect::<Result<Vec<_>, _>>()?;
    if axes.is_empty() {
        if int(node, "noop_with_empty_axes", 0)? != 0 {
            lowering.bind_output(node, 0, x);
            return Ok(());
        }
        axes = (0..shape.len()).collect();
    }
    axes.sort_unstable();
    axes.dedup();
    let result: Vec<usize> = (0..shape.len())
        .filter_map(|i| match axes.contains(&i) {
            true => keeps_dims.then_some(1),
            false => Some(shape[i]),
        })
        .collect();
    if function == ReduceFunction::Mean && element_type == ElementType::F32 && !is_statistic(lowering, node) {
        match (shape.len(), &axes[..]) {
            (3, [2]) | (4, [2, 3]) => return pool::mean(lowering, node, x, result, pool::Channels::First),
            (3, [1]) | (4, [1, 2]) => return pool::mean(lowering, node, x, result, pool::Channels::Last),
            _ => {}
        }
    }
    let operator = Operator::Reduction(Reduction::Reduce { function, axes: Some(axes), keeps_dims });
    lowering.push_output(node, 0, operator, vec![x], result, element_type);
    Ok(())
}

/// Whether a mean belongs to a normalization that is spelled out: it or its square is subtracted from something, something
/// computed from it, or a root is drawn of it when epsilon is added.
fn is_statistic(lowering: &Lowering, node: &OnnxNode) -> bool {
    let mut means: Vec<&str> = node.outputs.iter().map(|o| &**o).collect();
    let mut sums: Vec<&str> = Vec::new();
    let mut squares: Vec<&str> = Vec::new();
    // Nodes are in the order of execution.
    for reader in &lowering.imported.nodes {
        let reads = |names: &[&str]| reader.inputs.iter().any(|i| names.contains(&&**i));
        let outputs = reader.outputs.iter().map(|o| &**o);
        match &*reader.operator {
            "Sub" if reader.inputs.get(1).is_some_and(|i| means.contains(&&**i) || squares.contains(&&**i)) => {
                return true;
            }
            "Sub" if reads(&means) && !lowering.is_constant(reader, 1) => return true,
            "Mul" if reader.inputs.iter().all(|i| means.contains(&&**i)) => squares.extend(outputs),
            "Sqrt" | "Pow" if reads(&sums) => return true,
            "Add" if reads(&means) => sums.extend(outputs),
            "Cast" | "Identity" if reads(&means) => means.extend(outputs),
            "Cast" | "Identity" if reads(&sums) => sums.extend(outputs),
            _ => {}
        }
    }
    false
}

/// ArgMax.
pub fn arg_max(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    arg_extreme(lowering, node, Order::Descending)
}

/// ArgMin.
pub fn arg_min(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    arg_extreme(lowering, node, Order::Ascending)
}

fn arg_extreme(lowering: &mut Lowering, node: &OnnxNode, order: Order) -> Result<(), Refusal> {
    let x = typed_input(lowering, node, NUMBERS)?;
    let mut shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", 0)?, shape.len())?;
    let tie = if int(node, "select_last_index", 0)? == 0 { Tie::First } else { Tie::Last };
    if int(node, "keepdims", 1)? != 0 {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    let operator = Operator::Reduction(Reduction::ArgExtreme { axis, order, tie });
    lowering.push_output(node, 0, operator, vec![x], shape, ElementType::I64);
    Ok(())
}

/// TopK: values and indices are two nodes.
pub fn top_k(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let mut x = typed_input(lowering, node, NUMBERS)?;
    let (mut shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let axis = axis(int(node, "axis", -1)?, shape.len())?;
    let order = if int(node, "largest", 1)? == 0 { Order::Ascending } else { Order::Descending };
    let k = if lowering.imported.opset < 10 {
        int(node, "k", 0)?
    } else if lowering.is_constant(node, 1) {
        lowering.known_ints(node, 1)?.and_then(|k| k.first().copied()).unwrap_or(0)
    } else {
        let declared = lowering.declared_output(node, 0, "k").or_else(|_| lowering.declared_output(node, 1, "k"))?;
        let k = declared.get(axis).copied().unwrap_or(0) as i64;
        x = lowering.require(node, 1, Constant::I64(vec![k]), x)?;
        k
    };
    shape[axis] = usize::try_from(k).ok().filter(|k| (1..=shape[axis]).contains(k)).ok_or_else(|| {
        Refusal::new(
            format!("it chooses {k} elements of {} along axis {axis}", shape[axis]),
            "choose at least one element, and not more than there are",
        )
    })?;
    for (slot, result, element_type) in
        [(0, TopKResult::Values, element_type), (1, TopKResult::Indices, ElementType::I64)]
    {
        if lowering.is_wanted(node, slot) {
            let operator = Operator::Reduction(Reduction::TopK { axis, order, result });
            lowering.push_output(node, slot, operator, vec![x], shape.clone(), element_type);
        }
    }
    Ok(())
}

/// CumSum.
pub fn cumulative_sum(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = typed_input(lowering, node, &[ElementType::I32, ElementType::I64])?;
    let (shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let reading = if int(node, "exclusive", 0)? == 0 { Reading::Inclusive } else { Reading::Exclusive };
    let start = if int(node, "reverse", 0)? == 0 { Start::Front } else { Start::Back };
    let (axis, inputs) = if lowering.is_constant(node, 1) {
        let given = lowering.known_ints(node, 1)?.and_then(|a| a.first().copied()).unwrap_or(0);
        (Some(axis(given, shape.len())?), vec![x])
    } else {
        (None, vec![x, lowering.any_input(node, 1)?])
    };
    let operator = Operator::Reduction(Reduction::CumulativeSum { axis, reading, start });
    lowering.push_output(node, 0, operator, inputs, shape, element_type);
    Ok(())
}

/// NonMaxSuppression. Without a declared number of rows there are as many as there can be, and those behind the last box
/// are -1.
pub fn non_max_suppression(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (boxes, scores) = (lowering.input(node, 0)?, lowering.input(node, 1)?);
    let (&[batches, n, 4], &[score_batches, classes, n_scores]) = (lowering.shape_of(boxes), lowering.shape_of(scores))
    else {
        return Err(Refusal::new("its boxes or scores are not of rank 3", "check the file with onnx.checker"));
    };
    if (batches, n) != (score_batches, n_scores) {
        return Err(Refusal::new("its boxes and scores differ in number", "check the file with onnx.checker"));
    }
    let format = match int(node, "center_point_box", 0)? {
        0 => BoxFormat::Corners,
        _ => BoxFormat::Center,
    };
    let declared = lowering.declared_output(node, 0, "number of boxes");
    let most = if lowering.input_name(node, 2).is_none() {
        Some(0)
    } else if lowering.is_constant(node, 2) {
        Some(lowering.known_ints(node, 2)?.and_then(|m| m.first().copied()).unwrap_or(0))
    } else {
        None
    };
    if most.is_some_and(|most| most <= 0) {
        return Err(Refusal::new(
            "max_output_boxes_per_class is 0, so it chooses nothing",
            "say how many boxes of a class are wanted",
        ));
    }
    let (shape, spare_rows) = match (declared, most) {
        (Ok(shape), _) => (shape, SpareRows::Refused),
        (Err(_), Some(most)) => {
            let most = usize::try_from(most).unwrap_or(n).min(n);
            (vec![most * classes * batches, 3], SpareRows::Filled)
        }
        (Err(refusal), None) => return Err(refusal),
    };
    let mut inputs = vec![boxes, scores];
    // Absent thresholds: every overlap is too much, every score is enough.
    for (i, name, absent) in [
        (2, "most", Constant::I64(vec![0])),
        (3, "iou_threshold", Constant::F32(vec![0.0])),
        (4, "score_threshold", Constant::F32(vec![f32::MIN])),
    ] {
        inputs.push(match lowering.optional_input(node, i)? {
            Some(id) => id,
            None => lowering.typed_constant(&format!("{}/{name}", node.name), vec![1], absent),
        });
    }
    let operator = Operator::Reduction(Reduction::NonMaxSuppression { format, spare_rows });
    lowering.push_output(node, 0, operator, inputs, shape, ElementType::I64);
    Ok(())
}
