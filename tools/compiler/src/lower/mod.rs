//! ONNX nodes to nodes of the [`Graph`].
//!
//! One file per operator family. Operators over feature maps are wrapped into transposes, NCHW to
//! NHWC and back; the layout pass removes them. Nodes whose results shape inference knows already
//! (shape arithmetic) are not lowered at all: their values become constants where they are read.

mod activation;
mod attention;
mod batch_normalization;
mod binary;
mod cast;
mod concat;
mod context;
mod conv;
mod depth_space;
mod einsum;
mod fold;
mod gather;
mod gather_nd;
mod generate;
mod matmul;
mod normalization;
mod operators;
mod pad;
mod pool;
mod quantized;
mod recurrent;
mod reduction;
mod repeat;
mod reshape;
mod resize;
mod rotary_embedding;
mod slice;
mod softmax;
mod steps;
#[cfg(test)]
pub mod tests;
mod transpose;
mod unary;
mod window;

pub(crate) use fold::run_alone;
pub use operators::{OPERATORS, OnnxOperator};

use crate::error::CompileError;
use crate::graph::Graph;
use crate::import::{Imported, OnnxNode};
use context::Lowering;
use std::fmt;

/// A node that has no form in the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsupported {
    /// Name of the node.
    pub node: String,
    /// Operator, with its domain when that is not the standard one.
    pub operator: String,
    /// Operator set version of the model.
    pub opset: i64,
    /// What is not supported about it.
    pub reason: String,
    /// The nearest supported form.
    pub suggestion: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node '{}' ({}, operator set {}) is not supported: {}",
            self.node, self.operator, self.opset, self.reason
        )
    }
}

/// Why one node cannot be lowered.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What is not supported.
    pub reason: String,
    /// The nearest supported form.
    pub suggestion: String,
}

impl Refusal {
    /// A refusal.
    fn new(reason: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Refusal { reason: reason.into(), suggestion: suggestion.into() }
    }
}

/// Lowers a whole model.
///
/// # Errors
/// [`CompileError::Unsupported`] for the first node that cannot be lowered. A node is never lowered
/// in part: an attribute that nobody looks at is an error.
pub fn lower(imported: &Imported) -> Result<Graph, CompileError> {
    let (graph, mut unsupported) = lower_all(imported);
    if unsupported.is_empty() {
        return Ok(graph);
    }
    let n_more = unsupported.len() - 1;
    Err(CompileError::Unsupported { first: Box::new(unsupported.swap_remove(0)), n_more })
}

/// Every node that cannot be lowered, in the order of execution.
pub fn unsupported(imported: &Imported) -> Vec<Unsupported> {
    lower_all(imported).1
}

fn lower_all(imported: &Imported) -> (Graph, Vec<Unsupported>) {
    let mut lowering = Lowering::new(imported);
    let mut unsupported = Vec::new();
    for node in &imported.nodes {
        if !lowering.is_needed(node) {
            continue;
        }
        if let Err(refusal) = lower_node(&mut lowering, node) {
            if let Some(refusal) = refusal {
                let operator = if node.domain.is_empty() {
                    node.operator.clone()
                } else {
                    format!("{}.{}", node.domain, node.operator)
                };
                let Refusal { reason, suggestion } = refusal;
                unsupported.push(Unsupported {
                    node: node.name.clone(),
                    operator,
                    opset: imported.opset,
                    reason,
                    suggestion,
                });
            }
            lowering.abandon(node);
        }
    }
    let (graph, problem) = lowering.finish();
    // An output behind a refused node is no news.
    if unsupported.is_empty() {
        unsupported.extend(problem);
    }
    (graph, unsupported)
}

/// Lowers one node. `Err(None)`: it cannot be judged because a node before it was refused.
fn lower_node(lowering: &mut Lowering, node: &OnnxNode) -> Result<(), Option<Refusal>> {
    let operator = operators::find(lowering.imported, node).map_err(Some)?;
    if node.inputs.iter().any(|i| lowering.is_abandoned(i)) {
        return Err(None);
    }
    lowering.check_known(node, operator.attributes).map_err(Some)?;
    let first = lowering.n_nodes();
    (operator.lower)(lowering, node).map_err(Some)?;
    quantized::keep_on_grid(lowering, node);
    lowering.fold(first);
    Ok(())
}
