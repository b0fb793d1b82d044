//! Transposes that vanish into what is beside them: graph inputs and outputs, and weights.

use super::permutation::{self, compose, element_order, fixed_prefix, inverse};
use super::rewrite::{add_constant, add_permuted, add_reshaped, constant, insert, only_consumer, producer, transposed};
use crate::graph::{Graph, Operator, TensorId};

/// A graph input that is read transposed is given transposed. Readers that want it as it was get
/// the inverse transpose, which may still move and vanish; that is done once, it leaves as many
/// transposes as there were.
pub fn inputs(graph: &mut Graph) -> bool {
    let mut changed = false;
    for k in 0..graph.inputs.len() {
        let id = graph.inputs[k].tensor;
        let permutation_of = |&i: &usize| match &graph.nodes[i].operator {
            Operator::Transpose { permutation } => Some(permutation.clone()),
            _ => None,
        };
        let (moving, others): (Vec<usize>, Vec<usize>) =
            graph.consumers(id).into_iter().partition(|i| permutation_of(i).is_some());
        let Some(p) = moving.first().and_then(permutation_of) else { continue };
        // The permutation of a port speaks of its own axes: a tensor of another shape is out of reach.
        let own_axes =
            permutation::apply(&graph.inputs[k].permutation, &graph.inputs[k].shape) == graph.tensor(id).shape;
        let as_in_file = permutation::is_identity(&graph.inputs[k].permutation);
        let same = moving.iter().all(|i| permutation_of(i).as_ref() == Some(&p));
        // An output that is an input needs a node that writes its memory.
        let returned = moving.iter().any(|&i| graph.is_output(graph.nodes[i].outputs[0]));
        if !own_axes || !same || returned || graph.is_output(id) || !(others.is_empty() || as_in_file) {
            continue;
        }
        let moved = add_permuted(graph, id, &p);
        let outputs: Vec<TensorId> = moving.iter().map(|&i| graph.nodes[i].outputs[0]).collect();
        outputs.into_iter().for_each(|y| graph.replace_uses(y, moved));
        let port = &mut graph.inputs[k];
        port.permutation = compose(&port.permutation, &p);
        port.tensor = moved;
        if !others.is_empty() {
            let name = format!("{}/as_in_file", graph.inputs[k].name);
            insert(graph, 0, &name, "", Operator::Transpose { permutation: inverse(&p) }, vec![moved], id);
        }
        graph.compact();
        changed = true;
    }
    changed
}

/// A graph output that is a transpose is taken before it.
pub fn outputs(graph: &mut Graph) -> bool {
    let mut changed = false;
    for k in 0..graph.outputs.len() {
        let port = &graph.outputs[k];
        let Some((x, p)) = transposed(graph, port.tensor) else { continue };
        let own_axes = permutation::apply(&port.permutation, &port.shape) == graph.tensor(port.tensor).shape;
        if !own_axes || producer(graph, x).is_none() {
            continue;
        }
        let before = compose(&port.permutation, &inverse(p));
        let port = &mut graph.outputs[k];
        port.tensor = x;
        port.permutation = before;
        changed = true;
    }
    changed
}

/// FullyConnected(Reshape(Transpose(x))) permutes the columns of its weights instead, through
/// concatenations along the last axis and functions of single elements too.
pub fn into_columns(graph: &mut Graph, i: usize) -> bool {
    if !matches!(graph.nodes[i].operator, Operator::FullyConnected { .. }) {
        return false;
    }
    let (x, weights) = (graph.nodes[i].inputs[0], graph.nodes[i].inputs[1]);
    let Some(order) = column_order(graph, x) else { return false };
    let Some(values) = constant(graph, weights) else { return false };
    let shape = graph.tensor(weights).shape.clone();
    let moved = values.chunks(shape[1]).flat_map(|row| order.iter().map(|&column| row[column])).collect();
    let quantization = graph.tensor(weights).quantization.clone();
    let moved = add_constant(graph, weights, shape, moved, quantization);
    let mut at = i;
    let x = without_transposes(graph, x, &mut at);
    graph.nodes[at].inputs[0] = x;
    graph.nodes[at].inputs[1] = moved;
    true
}

/// The order of the last axis of `id` once the transposes before it are gone: new column m is old
/// column `order[m]`. `None` if there is none to remove.
fn column_order(graph: &Graph, id: TensorId) -> Option<Vec<usize>> {
    let node = producer(graph, id)?;
    let shape = &graph.tensor(id).shape;
    let columns = *shape.last()?;
    match &node.operator {
        Operator::Reshape => {
            let (x, p) = transposed(graph, node.inputs[0])?;
            let x_shape = &graph.tensor(x).shape;
            let k = fixed_prefix(p, x_shape, shape[..shape.len() - 1].iter().product())?;
            let rest: Vec<usize> = p[k..].iter().map(|axis| axis - k).collect();
            Some(element_order(&inverse(&rest), &permutation::apply(&rest, &x_shape[k..])))
        }
        _ if only_consumer(graph, id).is_none() => None,
        Operator::Unary(_) => column_order(graph, node.inputs[0]),
        Operator::Concat { axis } if *axis == shape.len() - 1 => {
            let orders: Vec<Option<Vec<usize>>> = node.inputs.iter().map(|&x| column_order(graph, x)).collect();
            if orders.iter().all(Option::is_none) {
                return None;
            }
            let mut order = Vec::with_capacity(columns);
            for (own, &x) in orders.into_iter().zip(&node.inputs) {
                let (start, n) = (order.len(), *graph.tensor(x).shape.last()?);
                order.extend(own.unwrap_or_else(|| (0..n).collect()).into_iter().map(|m| start + m));
            }
            Some(order)
        }
        _ => None,
    }
}

/// Shape and permutation of the one transpose whose result `id` is, but for a reshape and functions of single elements:
/// `id` reshaped to that shape and permuted back has the order of [`column_order`].
fn columns_before(graph: &Graph, id: TensorId) -> Option<(Vec<usize>, Vec<usize>)> {
    let node = producer(graph, id)?;
    match &node.operator {
        Operator::Reshape => {
            let (x, p) = transposed(graph, node.inputs[0])?;
            Some((permutation::apply(p, &graph.tensor(x).shape), p.to_vec()))
        }
        Operator::Unary(_) => columns_before(graph, node.inputs[0]),
        _ => None,
    }
}

/// The tensor that holds `id` with its last axis in the order of [`column_order`].
fn without_transposes(graph: &mut Graph, id: TensorId, at: &mut usize) -> TensorId {
    let Some(node) = producer(graph, id).filter(|_| column_order(graph, id).is_some()).cloned() else { return id };
    let (operator, inputs) = match node.operator {
        Operator::Reshape => {
            let before = transposed(graph, node.inputs[0]).map_or(node.inputs[0], |(x, _)| x);
            (Operator::Reshape, vec![before])
        }
        other => {
            let inputs = node.inputs.iter().map(|&x| without_transposes(graph, x, at)).collect();
            (other, inputs)
        }
    };
    let shape = graph.tensor(id).shape.clone();
    let origin = columns_before(graph, id)
        .and_then(|(shape, p)| graph.tensor(id).origin.as_ref()?.permuted(&shape, &inverse(&p)));
    let y = add_reshaped(graph, id, shape);
    graph.tensor_mut(y).origin = origin;
    insert(graph, *at, &node.name, &node.onnx, operator, inputs, y);
    *at += 1;
    y
}

/// Transpose(Reshape(FullyConnected(x))) permutes the rows of its weights instead.
pub fn into_rows(graph: &mut Graph, i: usize) -> bool {
    let Operator::Transpose { permutation: p } = &graph.nodes[i].operator else { return false };
    let p = p.clone();
    let reshaped = graph.nodes[i].inputs[0];
    let Some((at, order)) = row_order(graph, reshaped, &p) else { return false };
    let onnx = super::origin::permuted(graph, reshaped, &p);
    let y = graph.nodes[at].outputs[0];
    for k in 1..graph.nodes[at].inputs.len() {
        let id = graph.nodes[at].inputs[k];
        let Some(values) = constant(graph, id) else { return false };
        let row = values.len() / order.len();
        let moved = order.iter().flat_map(|&r| values[r * row..(r + 1) * row].to_vec()).collect();
        let mut quantization = graph.tensor(id).quantization.clone();
        if let Some(q) = quantization.as_mut().filter(|q| q.scales.len() == order.len()) {
            q.scales = order.iter().map(|&r| q.scales[r]).collect();
        }
        let moved = add_constant(graph, id, graph.tensor(id).shape.clone(), moved, quantization);
        graph.nodes[at].inputs[k] = moved;
    }
    graph.tensor_mut(y).origin = None;
    let moved = graph.nodes[i].outputs[0];
    if graph.tensor(moved).origin.is_none() {
        graph.tensor_mut(moved).origin = onnx;
    }
    graph.nodes[i].operator = Operator::Reshape;
    graph.nodes[i].inputs[0] = y;
    true
}

/// The layer before the reshape `id`, and the order of its rows that makes a transpose by `p` vanish.
fn row_order(graph: &Graph, id: TensorId, p: &[usize]) -> Option<(usize, Vec<usize>)> {
    let reshape =
        only_consumer(graph, id).and_then(|_| producer(graph, id)).filter(|n| n.operator == Operator::Reshape)?;
    let x = reshape.inputs[0];
    let at = only_consumer(graph, x).and_then(|_| graph.producer(x))?;
    let layer = &graph.nodes[at];
    if !matches!(layer.operator, Operator::FullyConnected { .. })
        || layer.inputs[1..].iter().any(|&w| constant(graph, w).is_none())
    {
        return None;
    }
    let (flat, shape) = (&graph.tensor(x).shape, &graph.tensor(id).shape);
    let k = fixed_prefix(p, shape, flat[..flat.len() - 1].iter().product())?;
    let rest: Vec<usize> = p[k..].iter().map(|axis| axis - k).collect();
    Some((at, element_order(&rest, &shape[k..])))
}

/// BatchMatmul(a, Transpose(b)) reads b the other way round when the last two axes are swapped.
pub fn into_matmul(graph: &mut Graph, i: usize) -> bool {
    let Operator::BatchMatmul { transpose_b } = graph.nodes[i].operator else { return false };
    let Some((b, p)) = transposed(graph, graph.nodes[i].inputs[1]) else { return false };
    let n = p.len();
    if n < 2 || p[n - 2..] != [n - 1, n - 2] || !permutation::is_identity(&p[..n - 2]) {
        return false;
    }
    graph.nodes[i].operator = Operator::BatchMatmul { transpose_b: !transpose_b };
    graph.nodes[i].inputs[1] = b;
    true
}
