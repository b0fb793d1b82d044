//! What is in an ONNX file, and what of it an image can do.

use super::PortReport;
use crate::convert::TransposeReport;
use crate::error::CompileError;
use crate::import::{ImportOptions, import};
use crate::lower::{Unsupported, lower, unsupported};
use crate::passes::simplify;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Its fields are keys of `tinfer inspect --json`.
#[derive(Clone, Debug, Serialize)]
pub struct OnnxReport {
    /// `onnx`.
    pub kind: &'static str,
    /// Name of the graph.
    pub name: String,
    /// Operator set version.
    pub opset: i64,
    /// Length of the file.
    pub file_bytes: usize,
    /// Graph inputs.
    pub inputs: Vec<PortReport>,
    /// Graph outputs.
    pub outputs: Vec<PortReport>,
    /// Nodes by operator.
    pub operators: BTreeMap<String, usize>,
    /// Whether `convert` would take it.
    pub supported: bool,
    /// Nodes that it would not take.
    pub unsupported: Vec<UnsupportedReport>,
    /// Multiply-accumulates of one inference; `None` when nodes are not supported.
    pub macs: Option<u64>,
    /// Weight elements.
    pub parameters: u64,
    /// Transposes that an image would run.
    pub transposes: Vec<TransposeReport>,
}

/// A node that has no form in an image.
#[derive(Clone, Debug, Serialize)]
pub struct UnsupportedReport {
    /// Node name.
    pub node: String,
    /// Its operator.
    pub operator: String,
    /// Operator set version of the model.
    pub opset: i64,
    /// What is not supported about it.
    pub reason: String,
    /// The nearest supported form.
    pub suggestion: String,
}

impl From<Unsupported> for UnsupportedReport {
    fn from(node: Unsupported) -> Self {
        let Unsupported { node, operator, opset, reason, suggestion } = node;
        UnsupportedReport { node, operator, opset, reason, suggestion }
    }
}

/// Looks into an ONNX file.
///
/// # Errors
/// [`CompileError::Import`] for a file that is no usable model.
pub fn inspect_onnx(path: &Path, options: &ImportOptions) -> Result<OnnxReport, CompileError> {
    let imported = import(path, options)?;
    let mut operators = BTreeMap::new();
    for node in &imported.nodes {
        *operators.entry(node.operator.clone()).or_default() += 1;
    }
    let unsupported: Vec<UnsupportedReport> = unsupported(&imported).into_iter().map(Into::into).collect();
    let simplified = if unsupported.is_empty() { Some(simplify(lower(&imported)?)) } else { None };
    let transposes = simplified.iter().flat_map(|s| &s.report.transposes).map(TransposeReport::from).collect();
    Ok(OnnxReport {
        kind: "onnx",
        name: imported.name.clone(),
        opset: imported.opset,
        file_bytes: imported.n_bytes,
        inputs: imported.inputs.iter().map(PortReport::from).collect(),
        outputs: imported.outputs.iter().map(PortReport::from).collect(),
        operators,
        supported: unsupported.is_empty(),
        unsupported,
        macs: simplified.map(|s| s.graph.macs()),
        parameters: imported.n_parameters,
        transposes,
    })
}
