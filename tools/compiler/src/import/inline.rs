//! Functions of the file and branches of `If` become part of the graph.
//!
//! A call is replaced by the function's nodes, an `If` whose condition is known by the nodes of its branch. Tensors get
//! the name of the call in front of their own, so that two calls do not meet.

use super::{Fact, ImportError, tensor};
use crate::array::Array;
use std::collections::{BTreeMap, HashMap, HashSet};
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};

/// Replaces every call of a function that the file defines (ONNX IR, section "Functions").
///
/// # Errors
/// A function that calls itself, or that is written for another operator set than the model.
pub(super) fn functions(proto: &mut ModelProto) -> Result<(), ImportError> {
    let functions = std::mem::take(&mut proto.functions);
    let standard = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let version = proto.opset_import.iter().find(|o| standard(&o.domain)).map(|o| o.version);
    let mut by_name: HashMap<(&str, &str), &FunctionProto> = HashMap::new();
    for function in &functions {
        by_name.insert((function.domain.as_deref().unwrap_or(""), function.name.as_deref().unwrap_or("")), function);
    }
    let Some(graph) = &mut proto.graph else { return Ok(()) };
    for _ in 0..MAX_DEPTH {
        let mut changed = false;
        for (i, node) in std::mem::take(&mut graph.node).into_iter().enumerate() {
            let Some(&function) = by_name.get(&(&*node.domain, &*node.op_type)) else {
                graph.node.push(node);
                continue;
            };
            let own = function.opset_import.iter().find(|o| standard(&o.domain)).map(|o| o.version);
            if own.is_some() && version.is_some() && own != version {
                let what = format!("a function for operator set {}", own.unwrap_or(0));
                return Err(ImportError::UnsupportedFeature { place: format!("'{}'", node.op_type), what });
            }
            if let Some(name) = unread_default(function, &node) {
                let what = format!("attribute '{name}' of a call left to the function's default");
                return Err(ImportError::UnsupportedFeature { place: format!("'{}'", node.op_type), what });
            }
            graph.node.extend(body(function, &node, i));
            changed = true;
        }
        if !changed {
            return Ok(());
        }
    }
    Err(ImportError::UnsupportedFeature { place: "a function".into(), what: "recursive".into() })
}

/// An attribute that a call leaves out and that is not among those without a default: its default is in a field of the
/// function (`attribute_proto`) that tract does not read.
fn unread_default<'f>(function: &'f FunctionProto, call: &NodeProto) -> Option<&'f str> {
    let read = function.node.iter().flat_map(|n| &n.attribute).map(|a| &*a.ref_attr_name).filter(|n| !n.is_empty());
    let is_known = |name: &str| {
        function.attribute.iter().any(|a| a == name) || call.attribute.iter().any(|given| given.name == name)
    };
    read.into_iter().find(|name| !is_known(name))
}

/// The nodes of one call.
fn body(function: &FunctionProto, call: &NodeProto, index: usize) -> Vec<NodeProto> {
    let prefix = if call.name.is_empty() { format!("{}_{index}", call.op_type) } else { call.name.clone() };
    let mut names: HashMap<&str, String> = HashMap::new();
    for (formal, actual) in [(&function.input, &call.input), (&function.output, &call.output)] {
        for (i, name) in formal.iter().enumerate() {
            // An output that nobody wants still has a name inside.
            let own = actual.get(i).filter(|a| !a.is_empty() || std::ptr::eq(formal, &function.input));
            let own = own.cloned().or_else(|| std::ptr::eq(formal, &function.input).then(String::new));
            names.insert(name, own.unwrap_or_else(|| format!("{prefix}/{name}")));
        }
    }
    let attribute = |a: &AttributeProto| -> Option<AttributeProto> {
        if a.ref_attr_name.is_empty() {
            return Some(a.clone());
        }
        let given = call.attribute.iter().find(|g| g.name == a.ref_attr_name)?;
        Some(AttributeProto { name: a.name.clone(), ref_attr_name: String::new(), ..given.clone() })
    };
    let rename = |name: &String| match names.get(&**name) {
        Some(own) => own.clone(),
        None if name.is_empty() => String::new(),
        None => format!("{prefix}/{name}"),
    };
    let nodes = function.node.iter().enumerate().map(|(i, node)| NodeProto {
        name: format!(
            "{prefix}/{}",
            if node.name.is_empty() { format!("{}_{i}", node.op_type) } else { node.name.clone() }
        ),
        input: node.input.iter().map(rename).collect(),
        output: node.output.iter().map(rename).collect(),
        attribute: node.attribute.iter().filter_map(attribute).collect(),
        ..node.clone()
    });
    nodes.collect()
}

/// Replaces every `If` whose condition is known by its branch. Whether it found one.
///
/// # Errors
/// As for the weights of any graph.
pub(super) fn branches(
    proto: &mut ModelProto,
    facts: &BTreeMap<String, Fact>,
    weights: &mut BTreeMap<String, Array>,
) -> Result<bool, ImportError> {
    let Some(graph) = &mut proto.graph else { return Ok(false) };
    let mut changed = false;
    for node in std::mem::take(&mut graph.node) {
        let condition = node.input.first().and_then(|name| facts.get(name)).and_then(|f| f.value.as_ref());
        let branch = condition.filter(|_| node.op_type == "If" && node.domain.is_empty()).and_then(|value| {
            let wanted = if value.to_f32().first() == Some(&0.0) { "else_branch" } else { "then_branch" };
            node.attribute.iter().find(|a| a.name == wanted)?.g.clone()
        });
        match branch {
            Some(branch) => {
                let (nodes, initializers) = taken(branch, &node);
                for proto in initializers {
                    if let Some(array) = tensor::array(&proto)? {
                        weights.insert(proto.name.clone(), array);
                    }
                    graph.initializer.push(proto);
                }
                graph.node.extend(nodes);
                changed = true;
            }
            None => graph.node.push(node),
        }
    }
    Ok(changed)
}

/// Nodes and weights of a branch, whose outputs are those of the `If`.
fn taken(branch: GraphProto, node: &NodeProto) -> (Vec<NodeProto>, Vec<tract_onnx::pb::TensorProto>) {
    let prefix = node.output.first().cloned().unwrap_or_default();
    let inside = branch.node.iter().flat_map(|n| &n.output).chain(branch.initializer.iter().map(|t| &t.name));
    let mut names: HashMap<String, String> = inside.map(|name| (name.clone(), format!("{prefix}/{name}"))).collect();
    let mut passed_on = Vec::new();
    for (own, outer) in branch.output.iter().zip(&node.output).filter(|(_, outer)| !outer.is_empty()) {
        let is_computed = branch.node.iter().any(|n| n.output.contains(&own.name));
        let already = names.get(&own.name).is_some_and(|n| node.output.contains(n));
        if is_computed && !already {
            names.insert(own.name.clone(), outer.clone());
        } else {
            passed_on.push((own.name.clone(), outer.clone()));
        }
    }
    let rename = |name: &String| names.get(name).unwrap_or(name).clone();
    let mut nodes: Vec<NodeProto> = branch
        .node
        .iter()
        .map(|n| NodeProto {
            name: if n.name.is_empty() { String::new() } else { format!("{prefix}/{}", n.name) },
            input: n.input.iter().map(rename).collect(),
            output: n.output.iter().map(rename).collect(),
            attribute: n.attribute.iter().map(|a| captured(a, &names)).collect(),
            ..n.clone()
        })
        .collect();
    nodes.extend(passed_on.iter().map(|(own, outer)| NodeProto {
        op_type: "Identity".into(),
        input: vec![rename(own)],
        output: vec![outer.clone()],
        ..NodeProto::default()
    }));
    let mut initializers = branch.initializer;
    for proto in &mut initializers {
        proto.name = names.get(&proto.name).unwrap_or(&proto.name).clone();
    }
    (nodes, initializers)
}

/// An attribute whose graphs read tensors of the graph around them by these new names. (Names inside are never those of
/// tensors outside.)
fn captured(attribute: &AttributeProto, names: &HashMap<String, String>) -> AttributeProto {
    let mut attribute = attribute.clone();
    for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
        for name in graph.node.iter_mut().flat_map(|n| &mut n.input) {
            if let Some(new) = names.get(name) {
                name.clone_from(new);
            }
        }
        for output in &mut graph.output {
            if let Some(new) = names.get(&output.name) {
                output.name.clone_from(new);
            }
        }
        for node in &mut graph.node {
            node.attribute = node.attribute.iter().map(|a| captured(a, names)).collect();
        }
    }
    attribute
}

/// The model without branches and what depends on them: what decides which one is taken is before them.
pub(super) fn before_branches(proto: &ModelProto) -> Option<ModelProto> {
    let graph = proto.graph.as_ref()?;
    let mut behind: HashSet<&str> = HashSet::new();
    let mut nodes = Vec::new();
    // Nodes are in the order of execution.
    for node in &graph.node {
        let is_branch = node.op_type == "If" && node.domain.is_empty();
        if is_branch || node.input.iter().any(|i| behind.contains(&**i)) {
            behind.extend(node.output.iter().map(|o| &**o));
        } else {
            nodes.push(node.clone());
        }
    }
    if behind.is_empty() {
        return None;
    }
    let mut output: Vec<_> = graph.output.iter().filter(|o| !behind.contains(&*o.name)).cloned().collect();
    if output.is_empty() {
        let name = nodes.last().and_then(|n| n.output.first()).or(graph.input.first().map(|i| &i.name))?.clone();
        output.push(ValueInfoProto { name, ..ValueInfoProto::default() });
    }
    let graph = GraphProto { node: nodes, output, ..graph.clone() };
    Some(ModelProto { graph: Some(graph), ..proto.clone() })
}

/// Functions that call functions.
const MAX_DEPTH: usize = 32;
