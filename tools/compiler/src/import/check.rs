//! What must hold of a model before tract sees it.

use super::{ImportError, tensor};
use crate::array::{Array, ArrayData};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

/// Checks versions and returns the operator set of the standard domain.
pub(super) fn versions(proto: &ModelProto) -> Result<i64, ImportError> {
    let version = |what, found, oldest, newest| {
        if (oldest..=newest).contains(&found) {
            Ok(found)
        } else {
            Err(ImportError::Version { what, found, oldest, newest })
        }
    };
    version("IR", proto.ir_version, OLDEST_IR, NEWEST_IR)?;
    let opset =
        proto.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx").map_or(0, |o| o.version);
    // A model of other domains only has no standard operator set; its nodes are reported one by one.
    if opset == 0 && !proto.opset_import.is_empty() {
        return Ok(NEWEST_OPSET);
    }
    version("operator set", opset, OLDEST_OPSET, NEWEST_OPSET)
}

/// Names of the nodes: unique, the first output's where the file has none or repeats one.
pub(super) fn node_names(graph: &GraphProto) -> Vec<String> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    for node in &graph.node {
        *times.entry(&node.name).or_default() += 1;
    }
    let name = |(i, node): (usize, &tract_onnx::pb::NodeProto)| match node.output.iter().find(|o| !o.is_empty()) {
        _ if !node.name.is_empty() && times[&*node.name] == 1 => node.name.clone(),
        Some(output) => output.clone(),
        None => format!("{}_{i}", node.op_type),
    };
    graph.node.iter().enumerate().map(name).collect()
}

/// Sorts the nodes topologically; refuses cycles, missing tensors and double definitions.
pub(super) fn sort(graph: &mut GraphProto) -> Result<(), ImportError> {
    let names = node_names(graph);
    let sources: BTreeSet<&str> =
        graph.input.iter().map(|i| &*i.name).chain(graph.initializer.iter().map(|i| &*i.name)).collect();
    let mut producer: HashMap<&str, usize> = HashMap::new();
    let mut initializers = BTreeSet::new();
    if let Some(twice) = graph.initializer.iter().find(|t| !initializers.insert(&*t.name)) {
        return Err(ImportError::Duplicate { tensor: twice.name.clone() });
    }
    let mut inputs = BTreeSet::new();
    if let Some(twice) = graph.input.iter().find(|t| !inputs.insert(&*t.name)) {
        return Err(ImportError::Duplicate { tensor: twice.name.clone() });
    }
    for (i, node) in graph.node.iter().enumerate() {
        for output in node.output.iter().filter(|o| !o.is_empty()) {
            if sources.contains(&**output) || producer.insert(output, i).is_some() {
                return Err(ImportError::Duplicate { tensor: output.clone() });
            }
        }
    }
    let mut waits_for = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (i, node) in graph.node.iter().enumerate() {
        // Subgraphs read outer tensors without naming them as inputs.
        let outer = node.attribute.iter().filter_map(|a| a.g.as_ref()).flat_map(|g| &g.node).flat_map(|n| &n.input);
        let outer = outer.filter(|t| producer.contains_key(&***t));
        for (own, input) in
            node.input.iter().map(|t| (true, t)).chain(outer.map(|t| (false, t))).filter(|(_, t)| !t.is_empty())
        {
            if let Some(&from) = producer.get(&**input) {
                waits_for[i] += 1;
                readers[from].push(i);
            } else if own && !sources.contains(&**input) {
                return Err(ImportError::MissingTensor { node: names[i].clone(), tensor: input.clone() });
            }
        }
    }
    if graph.output.is_empty() {
        return Err(ImportError::NoOutput);
    }
    let missing = |name: &str| !producer.contains_key(name) && !sources.contains(name);
    if let Some(output) = graph.output.iter().find(|o| missing(&o.name)) {
        return Err(ImportError::MissingOutput { tensor: output.name.clone() });
    }
    // The file's order wherever it is possible: the first ready node comes first.
    let mut ready: BTreeSet<usize> = (0..waits_for.len()).filter(|&i| waits_for[i] == 0).collect();
    let mut order = Vec::with_capacity(waits_for.len());
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for &reader in &readers[next] {
            waits_for[reader] -= 1;
            if waits_for[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    if order.len() < graph.node.len() {
        return Err(ImportError::Cycle { node: names[on_cycle(&waits_for, &readers)].clone() });
    }
    let mut nodes: Vec<_> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
    graph.node = order.into_iter().filter_map(|i| nodes[i].take()).collect();
    Ok(())
}

/// A node on a cycle among those that still wait (others of them are only behind one).
fn on_cycle(waits_for: &[usize], readers: &[Vec<usize>]) -> usize {
    let stuck: Vec<usize> = (0..waits_for.len()).filter(|&i| waits_for[i] > 0).collect();
    let predecessor = |of: usize| stuck.iter().copied().find(|&i| readers[i].contains(&of)).unwrap_or(of);
    // Walking backwards as many steps as there are nodes ends on the cycle.
    stuck.iter().fold(stuck[0], |at, _| predecessor(at))
}

/// The weights as arrays, all finite; those without an array type are left out.
pub(super) fn weights(graph: &GraphProto) -> Result<BTreeMap<String, Array>, ImportError> {
    if let Some(sparse) = graph.sparse_initializer.first() {
        let name = sparse.values.as_ref().map_or("", |v| &*v.name);
        return Err(ImportError::UnsupportedFeature { place: format!("weight '{name}'"), what: "sparse".into() });
    }
    let mut weights = BTreeMap::new();
    for proto in &graph.initializer {
        if let Some(array) = tensor::array(proto)? {
            finite(graph, &proto.name, &array)?;
            weights.insert(proto.name.clone(), array);
        }
    }
    for node in &graph.node {
        let label = node.output.first().map_or("", |o| &**o);
        for proto in node.attribute.iter().filter_map(|a| a.t.as_ref()) {
            if let Some(array) = tensor::array(proto)? {
                finite(graph, label, &array)?;
            }
        }
    }
    Ok(weights)
}

/// Number of weight elements, those of Constant nodes included; single numbers steer operators and do not count.
pub(super) fn parameters(graph: &GraphProto, weights: &BTreeMap<String, Array>) -> u64 {
    let elements = |dims: &[i64]| dims.iter().fold(1u64, |n, &d| n.saturating_mul(d.max(0) as u64));
    let stored = weights.values().filter(|w| !w.shape.is_empty()).map(|w| w.n_elements() as u64);
    let constants = graph.node.iter().filter(|n| n.op_type == "Constant" && n.domain.is_empty());
    let constants = constants.flat_map(|n| &n.attribute).filter_map(|a| a.t.as_ref()).map(|t| elements(&t.dims));
    stored.chain(constants).filter(|&n| n > 1).sum()
}

/// NaN is refused anywhere, infinity in what is multiplied: elsewhere it limits nothing, pads or masks.
fn finite(graph: &GraphProto, tensor: &str, array: &Array) -> Result<(), ImportError> {
    let reads = |node: &NodeProto| node.input.iter().any(|input| input == tensor);
    let is_limit =
        array.n_elements() == 1 || !graph.node.iter().any(|node| MULTIPLY.contains(&&*node.op_type) && reads(node));
    let bad = match &array.data {
        ArrayData::F32(v) => {
            v.iter().position(|x| x.is_nan() || (x.is_infinite() && !is_limit)).map(|i| (i, v[i].to_string()))
        }
        ArrayData::F64(v) => {
            v.iter().position(|x| x.is_nan() || (x.is_infinite() && !is_limit)).map(|i| (i, v[i].to_string()))
        }
        _ => None,
    };
    match bad {
        Some((index, value)) => Err(ImportError::NotFinite { tensor: tensor.into(), value, index }),
        None => Ok(()),
    }
}

/// Operators whose weights are factors.
const MULTIPLY: &[&str] = &[
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "Einsum",
    "GRU",
    "Gemm",
    "LSTM",
    "LayerNormalization",
    "MatMul",
    "Mul",
    "PRelu",
    "RNN",
];

/// Refuses nodes that would make a huge tensor out of a small constant, before anybody computes them.
pub(super) fn sizes(graph: &GraphProto, weights: &BTreeMap<String, Array>) -> Result<(), ImportError> {
    for node in graph.node.iter() {
        let shape_input = match &*node.op_type {
            "ConstantOfShape" => 0,
            "Expand" | "Tile" | "Reshape" => 1,
            _ => continue,
        };
        let Some(ArrayData::I64(dims)) = node.input.get(shape_input).and_then(|i| weights.get(i)).map(|a| &a.data)
        else {
            continue;
        };
        let elements = dims.iter().filter(|&&d| d > 0).fold(1u64, |n, &d| n.saturating_mul(d as u64));
        if elements > tensor::MAX_ELEMENTS {
            let tensor = node.output.first().cloned().unwrap_or_default();
            return Err(ImportError::TooLarge { tensor, elements, limit: tensor::MAX_ELEMENTS });
        }
    }
    Ok(())
}

/// First IR version in which initializers and operator sets are what they are today.
const OLDEST_IR: i64 = 3;
/// Newest IR version whose changes were read: none touches what we import.
const NEWEST_IR: i64 = 14;
/// Each operator says in which operator set it got the meaning that is lowered; most did in 6 or 7.
const OLDEST_OPSET: i64 = 1;
/// Newest operator set whose changes were read.
const NEWEST_OPSET: i64 = 27;
