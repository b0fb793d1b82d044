//! Which layers of a quantized image compute in float32, why, and what can be done about it.

use super::auto::Raised;
use crate::graph::{Graph, Node, Operator};
use crate::quantize::{Level, has_form};
use std::collections::BTreeMap;
use tinfer::tensor::ElementType;

/// A sentence for each float32 layer that was not raised on purpose; layers of one ONNX operator, for one reason, share it.
/// Changes of format beside them are no layers of the file.
pub(super) fn sentences(graph: &Graph, wanted: Level, raised: &[Raised]) -> Vec<String> {
    let mut groups: BTreeMap<(String, String), Vec<&Node>> = BTreeMap::new();
    let is_raised = |node: &Node| raised.iter().any(|r| r.layer == node.name);
    for node in graph.nodes.iter().filter(|n| is_real(graph, n) && !n.onnx.is_empty() && !is_raised(n)) {
        groups.entry((node.onnx.clone(), reason(graph, node, wanted))).or_default().push(node);
    }
    let sentence = |((onnx, reason), nodes): ((String, String), Vec<&Node>)| {
        let names: Vec<&str> = nodes.iter().map(|n| &*n.name).take(MOST_NAMES).collect();
        let rest = nodes.len() - names.len();
        let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
        let macs = match nodes.iter().map(|n| graph.node_macs(n)).sum::<u64>() {
            0 => String::new(),
            macs => format!(" with {macs} MACs"),
        };
        let verb = if nodes.len() == 1 { "is" } else { "are" };
        format!("{}{more} ({onnx}) {verb} float32{macs}: {reason}", names.join(", "))
    };
    groups.into_iter().map(sentence).collect()
}

/// Multiply-accumulates of one inference by number format; those that every image may have are always there.
pub(super) fn macs_by_precision(graph: &Graph) -> BTreeMap<&'static str, u64> {
    let formats = [ElementType::I8, ElementType::I16, ElementType::F32];
    let mut macs: BTreeMap<&'static str, u64> = formats.into_iter().map(|format| (format.name(), 0)).collect();
    for node in &graph.nodes {
        let Some(&y) = node.outputs.first() else { continue };
        *macs.entry(graph.tensor(y).element_type.name()).or_default() += graph.node_macs(node);
    }
    macs
}

fn is_real(graph: &Graph, node: &Node) -> bool {
    let computes = !matches!(node.operator, Operator::Requantize | Operator::Reshape);
    computes && node.outputs.first().is_some_and(|&y| graph.tensor(y).element_type == ElementType::F32)
}

fn reason(graph: &Graph, node: &Node, wanted: Level) -> String {
    let format = wanted.element_type().name();
    if !has_form(&node.operator, wanted) {
        let other = [Level::Int8, Level::Int16].into_iter().find(|&level| has_form(&node.operator, level));
        return match other {
            Some(other) => format!("it has no {format} form; it has one in {}", other.element_type().name()),
            None => format!("it has no {format} form; {}", advice(&node.operator)),
        };
    }
    let operands = || node.inputs.iter().filter_map(|&id| graph.producer(id)).map(|i| &graph.nodes[i]);
    if operands().any(|before| is_real(graph, before) && !has_form(&before.operator, wanted)) {
        return "it reads and feeds float32 alone; it follows when those are quantized".into();
    }
    "its values are inside one operator of the file, where calibration sees none; write it as single nodes to have them \
     quantized"
        .into()
}

/// What to write in its place.
fn advice(operator: &Operator) -> &'static str {
    match operator {
        Operator::Pair(_) | Operator::Where | Operator::Cast => {
            "with constants of one element, or of one tensor alone, it would be a table"
        }
        Operator::Normalization(_) => "LayerNormalization over the last axis has one, BatchNormalization is free",
        Operator::Reduction(_) => "GlobalAveragePool, MaxPool and ReduceMax have one",
        Operator::WindowNd(_) => "windows over one or two axes have one",
        _ => "it costs two changes of format and float32 arithmetic",
    }
}

/// Named in one sentence.
const MOST_NAMES: usize = 4;
