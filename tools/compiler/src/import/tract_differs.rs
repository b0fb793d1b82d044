//! Forms of operators that tract computes otherwise than ONNX says: such a model never reaches it.
//!
//! What is not listed is compared with tinfer's own float graph before tract's values are used
//! ([`crate::float_model`]).

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

/// The first node that tract computes otherwise, in words.
pub(super) fn in_graph(graph: &GraphProto) -> Option<String> {
    let described = |node: &NodeProto| {
        let what = in_node(node)?;
        let name = if node.name.is_empty() { node.output.first()? } else { &node.name };
        Some(format!("node '{name}': tract computes {} {what} otherwise than ONNX", node.op_type))
    };
    graph.node.iter().find_map(described)
}

/// What of a node tract computes otherwise.
pub(super) fn in_node(node: &NodeProto) -> Option<&'static str> {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
    let is_set = |name: &str| attribute(name).is_some_and(|a| a.i != 0);
    match &*node.op_type {
        "BatchNormalization" if trains(node) => Some("in training mode"),
        // tract gives the larger half of an odd padding to the other side.
        "ConvTranspose" if attribute("output_shape").is_some_and(|a| !a.ints.is_empty()) => Some("with output_shape"),
        "ConvTranspose" if is_same(attribute("auto_pad")) && attribute("output_padding").is_some_and(is_not_zero) => {
            Some("with output_padding beside auto_pad")
        }
        "ConvTranspose" if is_same(attribute("auto_pad")) && !covers_strides(&attribute) => {
            Some("with auto_pad and strides beyond its kernel")
        }
        "Celu" if attribute("alpha").is_some_and(|a| a.f != 1.0) => Some("with an alpha"),
        "LSTM" | "GRU" | "RNN" if attribute("direction").is_some_and(|a| a.s == b"reverse") => Some("in reverse"),
        "LSTM" | "GRU" | "RNN" if attribute("clip").is_some() => Some("with a clip"),
        "LSTM" if is_set("input_forget") => Some("with input_forget"),
        operator @ ("LSTM" | "GRU" | "RNN") if attribute("activations").is_some_and(|a| !is_default(operator, a)) => {
            Some("with these activations")
        }
        _ => None,
    }
}

fn is_same(auto_pad: Option<&AttributeProto>) -> bool {
    auto_pad.is_some_and(|a| a.s.starts_with(b"SAME"))
}

/// Whether the kernel, as far as the attributes tell, reaches from one position to the next.
fn covers_strides<'a>(attribute: &dyn Fn(&str) -> Option<&'a AttributeProto>) -> bool {
    let ints = |name: &str| attribute(name).map(|a| a.ints.clone()).unwrap_or_default();
    let (kernel, strides, dilations) = (ints("kernel_shape"), ints("strides"), ints("dilations"));
    let covers = |(i, &stride): (usize, &i64)| {
        let extent = kernel
            .get(i)
            .map(|k| k.saturating_sub(1).saturating_mul(*dilations.get(i).unwrap_or(&1)).saturating_add(1));
        extent.is_some_and(|extent| stride <= extent)
    };
    strides.iter().enumerate().all(covers)
}

fn is_not_zero(numbers: &AttributeProto) -> bool {
    numbers.ints.iter().any(|&n| n != 0)
}

/// Whether a node normalizes by the statistics of its own operand.
fn trains(node: &NodeProto) -> bool {
    node.op_type == "BatchNormalization" && node.attribute.iter().any(|a| a.name == "training_mode" && a.i != 0)
}

fn is_default(operator: &str, activations: &AttributeProto) -> bool {
    let one_way: &[&[u8]] = match operator {
        "LSTM" => &[b"Sigmoid", b"Tanh", b"Tanh"],
        "GRU" => &[b"Sigmoid", b"Tanh"],
        _ => &[b"Tanh"],
    };
    activations.strings.iter().zip(one_way.iter().cycle()).all(|(found, expected)| found == expected)
}
