//! GatherND, ScatterND and ScatterElements, as rows that are gathered.
//!
//! ```text
//! GatherND    data [batches * rows, inner] ─┐
//!             indices ─> row numbers ───────┴─> Gather
//! Scatter…    data    [rows, inner] ─┐
//!             updates [n, inner]  ───┴─ Concat ─> Gather by a table: whose row stands at each place
//! ```

use super::Refusal;
use super::context::{Lowering, axis, element_type_refusal, int, text};
use crate::graph::{Constant, Move, Operator, Pair, TensorId};
use crate::import::OnnxNode;
use tinfer::kernels::portable::IntegerFunction;
use tinfer::tensor::ElementType;

/// GatherND. Row numbers come out of tables, one for each component of an index, so that an index beyond its axis stops
/// the run.
pub fn gather(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let x = lowering.any_input(node, 0)?;
    let (shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let indices = integers(lowering, node)?;
    let places = lowering.shape_of(indices).to_vec();
    let batch = usize::try_from(int(node, "batch_dims", 0)?).unwrap_or(usize::MAX);
    let Some((&depth, points)) = places.split_last() else { return Err(mismatch(&shape, &places)) };
    let selected = batch.checked_add(depth).filter(|&end| end <= shape.len() && depth > 0 && batch <= points.len());
    let Some(end) = selected.filter(|_| shape[..batch] == points[..batch]) else {
        return Err(mismatch(&shape, &places));
    };
    let axes = &shape[batch..end];
    check_known(lowering, node, axes)?;
    let n: usize = points.iter().product();
    let rows: usize = axes.iter().product();
    let flat = reshaped(lowering, node, "indices", indices, vec![n, depth]);
    let mut number = (batch > 0).then(|| {
        let each = n / shape[..batch].iter().product::<usize>().max(1);
        let first = (0..n).map(|i| (i / each.max(1) * rows) as i64).collect();
        lowering.typed_constant(&format!("{}/batches", node.name), vec![n, 1], Constant::I64(first))
    });
    for (k, &dim) in axes.iter().enumerate() {
        let stride: usize = axes[k + 1..].iter().product();
        let table = (0..dim).map(|i| (i * stride) as i64).collect();
        let table = lowering.typed_constant(&format!("{}/axis_{k}", node.name), vec![dim], Constant::I64(table));
        let slice = Operator::Move(Move::Slice { starts: vec![0, k], steps: vec![1, 1] });
        let ty = lowering.element_type(flat);
        let own = match depth {
            1 => flat,
            _ => lowering.push_typed_step(node, &format!("index_{k}"), slice, vec![flat], vec![n, 1], ty),
        };
        let gather = Operator::Move(Move::Gather { axis: 0 });
        let step = format!("row_{k}");
        let part = lowering.push_typed_step(node, &step, gather, vec![table, own], vec![n, 1], ElementType::I64);
        number = Some(match number {
            None => part,
            Some(sum) => {
                let add = Operator::Pair(Pair::Integer(IntegerFunction::Add));
                let step = format!("sum_{k}");
                lowering.push_typed_step(node, &step, add, vec![sum, part], vec![n, 1], ElementType::I64)
            }
        });
    }
    let Some(number) = number else { return Err(mismatch(&shape, &places)) };
    let number = reshaped(lowering, node, "rows", number, vec![n]);
    let inner: usize = shape[end..].iter().product();
    let all = rows * shape[..batch].iter().product::<usize>();
    let data = reshaped(lowering, node, "data", x, vec![all, inner]);
    let result = points.iter().chain(&shape[end..]).copied().collect();
    gather_rows(lowering, node, (data, number), (n, inner), result, element_type);
    Ok(())
}

/// ScatterND.
pub fn scatter(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (x, updates, places, indices) = scattered(lowering, node)?;
    let shape = lowering.shape_of(x).to_vec();
    let Some((&depth, points)) = places.split_last() else { return Err(mismatch(&shape, &places)) };
    if depth == 0 || depth > shape.len() || lowering.shape_of(updates) != [points, &shape[depth..]].concat() {
        return Err(mismatch(&shape, &places));
    }
    let axes = &shape[..depth];
    check_known(lowering, node, axes)?;
    let row =
        |index: &[i64]| index.iter().zip(axes).fold(0, |row, (&i, &dim)| row * dim + i.rem_euclid(dim as i64) as usize);
    let rows: Vec<usize> = indices.chunks(depth).map(row).collect();
    let inner = shape[depth..].iter().product();
    replace_rows(lowering, node, (x, updates), &rows, inner);
    Ok(())
}

/// ScatterElements, and Scatter, as it was called before operator set 11.
pub fn scatter_elements(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Refusal> {
    let (x, updates, places, indices) = scattered(lowering, node)?;
    let shape = lowering.shape_of(x).to_vec();
    let axis = axis(int(node, "axis", 0)?, shape.len())?;
    let fits = places.len() == shape.len() && (0..shape.len()).all(|i| i == axis || places[i] <= shape[i]);
    if !fits || lowering.shape_of(updates) != places {
        return Err(mismatch(&shape, &places));
    }
    check_known(lowering, node, &[shape[axis]])?;
    let mut rows = Vec::with_capacity(indices.len());
    for (i, &index) in indices.iter().enumerate() {
        let (mut rest, mut at) = (i, vec![0; shape.len()]);
        for (k, &dim) in places.iter().enumerate().rev() {
            (at[k], rest) = (rest % dim, rest / dim);
        }
        at[axis] = index.rem_euclid(shape[axis] as i64) as usize;
        rows.push(at.iter().zip(&shape).fold(0, |row, (&i, &dim)| row * dim + i));
    }
    replace_rows(lowering, node, (x, updates), &rows, 1);
    Ok(())
}

/// Data, updates, shape and values of the indices.
fn scattered(lowering: &mut Lowering, node: &OnnxNode) -> Result<(TensorId, TensorId, Vec<usize>, Vec<i64>), Refusal> {
    let reduction = text(node, "reduction", "none")?;
    if reduction != "none" {
        return Err(Refusal::new(
            format!("its reduction is {reduction}"),
            "scatter without a reduction, and add or compare afterwards",
        ));
    }
    let (x, updates) = (lowering.any_input(node, 0)?, lowering.any_input(node, 2)?);
    if lowering.element_type(x) != lowering.element_type(updates) {
        return Err(element_type_refusal(&node.inputs[2], lowering.element_type(updates).name()));
    }
    if !lowering.is_constant(node, 1) {
        return Err(Refusal::new(
            format!("its indices '{}' are computed at run time", node.inputs[1]),
            "scatter to places that are known when the model is exported, or select with Where",
        ));
    }
    let places = lowering.known(node, 1)?.map(|a| a.shape.clone()).unwrap_or_default();
    let indices = lowering.known_ints(node, 1)?.unwrap_or_default();
    Ok((x, updates, places, indices))
}

/// The first operand with some of its rows from the second one; of equal numbers in `rows` the last one counts.
fn replace_rows(
    lowering: &mut Lowering,
    node: &OnnxNode,
    (x, updates): (TensorId, TensorId),
    rows: &[usize],
    inner: usize,
) {
    let (shape, element_type) = (lowering.shape_of(x).to_vec(), lowering.element_type(x));
    let n = shape.iter().product::<usize>() / inner.max(1);
    let mut sources: Vec<i64> = (0..n as i64).collect();
    for (i, &row) in rows.iter().enumerate() {
        sources[row] = (n + i) as i64;
    }
    let data = reshaped(lowering, node, "data", x, vec![n, inner]);
    let updates = reshaped(lowering, node, "updates", updates, vec![rows.len(), inner]);
    let concat = Operator::Concat { axis: 0 };
    let all = vec![n + rows.len(), inner];
    let all = lowering.push_typed_step(node, "both", concat, vec![data, updates], all, element_type);
    let sources = lowering.typed_constant(&format!("{}/sources", node.name), vec![n], Constant::I64(sources));
    gather_rows(lowering, node, (all, sources), (n, inner), shape, element_type);
}

/// The node's output: `n` rows of `inner` elements, gathered and in another shape.
fn gather_rows(
    lowering: &mut Lowering,
    node: &OnnxNode,
    (data, rows): (TensorId, TensorId),
    (n, inner): (usize, usize),
    result: Vec<usize>,
    element_type: ElementType,
) {
    let gather = Operator::Move(Move::Gather { axis: 0 });
    let found = lowering.push_typed_step(node, "gathered", gather, vec![data, rows], vec![n, inner], element_type);
    lowering.push_output(node, 0, Operator::Reshape, vec![found], result, element_type);
}

fn reshaped(lowering: &mut Lowering, node: &OnnxNode, step: &str, x: TensorId, shape: Vec<usize>) -> TensorId {
    if lowering.shape_of(x) == shape {
        return x;
    }
    let element_type = lowering.element_type(x);
    lowering.push_typed_step(node, step, Operator::Reshape, vec![x], shape, element_type)
}

/// Input 1 of an integer type.
fn integers(lowering: &mut Lowering, node: &OnnxNode) -> Result<TensorId, Refusal> {
    let id = lowering.any_input(node, 1)?;
    match lowering.element_type(id) {
        ElementType::I32 | ElementType::I64 => Ok(id),
        other => Err(element_type_refusal(&node.inputs[1], other.name())),
    }
}

/// Known indices must name elements; component k of each belongs to an axis of `axes[k]`.
fn check_known(lowering: &Lowering, node: &OnnxNode, axes: &[usize]) -> Result<(), Refusal> {
    if !lowering.is_constant(node, 1) {
        return Ok(());
    }
    let known = lowering.known_ints(node, 1)?.unwrap_or_default();
    let beyond = |(index, &dim): (&i64, &usize)| !(-(dim as i64)..dim as i64).contains(index);
    match known.iter().zip(axes.iter().cycle()).find(|&(i, d)| beyond((i, d))) {
        Some((index, dim)) => Err(Refusal::new(
            format!("index {index} is out of range for an axis of {dim}"),
            "check the file with onnx.checker",
        )),
        None => Ok(()),
    }
}

fn mismatch(shape: &[usize], places: &[usize]) -> Refusal {
    Refusal::new(format!("its indices have shape {places:?}, its input {shape:?}"), "check the file with onnx.checker")
}
