//! ONNX file to [`Imported`]: checked, dimensions fixed, shapes and constants known.
//!
//! The only folder that names tract. It uses tract three ways: its protobuf types for parsing, the
//! facts of its *analysed* inference model for shapes and folded constants, and its typed model
//! without declutter as the float [`Reference`].

#[cfg(test)]
pub mod build;
pub mod case;
mod check;
mod constants;
mod dequantize;
mod dimensions;
mod empty;
mod error;
mod external;
mod facts;
mod file;
mod fourier;
mod given;
mod guard;
mod inline;
mod integer;
mod node;
mod pad;
mod plain;
mod qlinear;
mod reference;
mod tensor;
#[cfg(test)]
mod tests;
mod tract_differs;
mod wide;

pub use dimensions::{Declared, Interface};
pub use error::ImportError;
pub use facts::Fact;
pub use node::{Attribute, OnnxNode};
pub use reference::{Reference, TractBackend};

use crate::array::{Array, RealType};
use crate::graph::Quantization;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tract_onnx::pb::ModelProto;

/// What a user may say about a model.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Numbers of free dimensions by symbol, or by `input:axis`.
    pub dims: Vec<(String, usize)>,
    /// Inputs that are constants, by name: every element has this value.
    pub values: Vec<(String, f64)>,
}

/// A checked ONNX model with fixed dimensions.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Name of the graph, or of the file if the graph has none.
    pub name: String,
    /// Operator set version of the standard domain.
    pub opset: i64,
    /// Topologically sorted.
    pub nodes: Vec<OnnxNode>,
    /// By tensor name, weights included. Tensors whose shape nobody knows are missing.
    pub facts: BTreeMap<String, Fact>,
    /// Why facts are missing, in the words of shape inference.
    pub shape_problem: Option<String>,
    /// Graph inputs in the file's order, initializers left out.
    pub inputs: Vec<Interface>,
    /// Graph outputs in the file's order. The shape is empty and the type `None` where it is unknown.
    pub outputs: Vec<Interface>,
    /// Size of the ONNX file, external data left out.
    pub n_bytes: usize,
    /// SHA-256 of the ONNX file.
    pub sha256: [u8; 32],
    /// Number of weight elements.
    pub n_parameters: u64,
    /// Shapes and element types that the file itself declares for tensors other than inputs, where they are numbers.
    pub declared: BTreeMap<String, Declared>,
    /// What constants were quantized with, by ONNX tensor, in models whose activations are quantized as well. The facts
    /// have their real values.
    pub quantizations: BTreeMap<String, Quantization>,
    /// Inputs and outputs whose real numbers have another width in the file.
    pub real_types: BTreeMap<String, RealType>,
    /// Why the file is quantized, but not in a way that says with which steps an image computes.
    pub unplaced: Option<&'static str>,
    /// With fixed dimensions and all weights inside.
    proto: ModelProto,
}

impl Imported {
    /// The value of a tensor that does not depend on any input.
    pub fn value(&self, tensor: &str) -> Option<&Arc<Array>> {
        self.facts.get(tensor).and_then(|f| f.value.as_ref())
    }
}

/// Reads, checks and analyses an ONNX file.
///
/// Nodes of unknown operators are no error here: `lower` refuses them, `inspect` lists them.
///
/// # Errors
/// [`ImportError`] for everything that makes the file no usable model.
pub fn import(path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
    let bytes = file::read(path)?;
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    from_bytes(&bytes, &path.display().to_string(), &stem, path.parent(), options)
}

/// As [`import`], from memory; `name` is what errors call the file. External data are refused.
///
/// # Errors
/// As [`import`].
pub fn import_bytes(bytes: &[u8], name: &str, options: &ImportOptions) -> Result<Imported, ImportError> {
    from_bytes(bytes, name, name, None, options)
}

fn from_bytes(
    bytes: &[u8],
    path: &str,
    stem: &str,
    folder: Option<&Path>,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let mut proto = file::parse(bytes, path)?;
    external::load(&mut proto, folder)?;
    from_proto(proto, stem, (bytes.len(), Sha256::digest(bytes).into()), options)
}

fn from_proto(
    mut proto: ModelProto,
    stem: &str,
    (n_bytes, sha256): (usize, [u8; 32]),
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let opset = check::versions(&proto)?;
    let real_types = plain::tensors(&mut proto)?;
    inline::functions(&mut proto)?;
    let Some(graph) = &mut proto.graph else {
        return Err(ImportError::NotOnnx { path: stem.into(), reason: "it has no graph".into() });
    };
    check::sort(graph)?;
    empty::lists(graph);
    qlinear::to_qdq(graph);
    let mut unplaced = integer::to_real(graph).then_some("it quantizes while it runs");
    if wide::to_clips(graph) {
        unplaced = Some("it quantizes activations to 16 bits");
    }
    qlinear::fold_scales(graph);
    let quantizations = dequantize::fold(graph, &proto.opset_import)?;
    let mut weights = check::weights(graph)?;
    check::sizes(graph, &weights)?;
    let declared = dimensions::declared(graph);
    let mut inputs = dimensions::fix(graph, opset, &options.dims)?;
    given::values(graph, &mut inputs, &mut weights, &options.values)?;
    let batches: Vec<bool> = graph.output.iter().map(dimensions::may_batch).collect();
    let output_names: Vec<String> = graph.output.iter().map(|o| o.name.clone()).collect();
    let name = if graph.name.is_empty() { stem.to_string() } else { graph.name.clone() };
    let n_parameters = check::parameters(graph, &weights);
    while let Some(before) = inline::before_branches(&proto) {
        let facts = facts::analyse(&before, &weights)?.facts;
        if !inline::branches(&mut proto, &facts, &mut weights)? {
            break;
        }
        if let Some(graph) = &mut proto.graph {
            check::sort(graph)?;
        }
    }
    let mut analysis = facts::analyse(&proto, &weights)?;
    while inline::branches(&mut proto, &analysis.facts, &mut weights)?
        || fourier::to_products(&mut proto, &analysis.facts, &mut weights)
        || pad::spell_out_axes(&mut proto, &analysis.facts, &mut weights)
        || proto.graph.as_mut().is_some_and(|graph| empty::leave_out(graph, &analysis.facts))
    {
        analysis = facts::analyse(&proto, &weights)?;
    }
    if let Some(graph) = &proto.graph {
        facts::refuse_empty(graph, &analysis.facts)?;
    }
    let nodes = match &proto.graph {
        Some(graph) => graph
            .node
            .iter()
            .zip(check::node_names(graph))
            .map(|(node, name)| OnnxNode::new(node, name))
            .collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let outputs = output_names.into_iter().zip(batches).map(|(name, may_batch)| {
        let fact = analysis.facts.get(&name);
        let shape = fact.map(|f| f.shape.clone()).unwrap_or_default();
        Interface {
            batched: may_batch && shape.first().is_none_or(|&n| n == 1),
            name,
            shape,
            element_type: fact.and_then(|f| f.element_type),
        }
    });
    Ok(Imported {
        name,
        opset,
        nodes,
        inputs,
        outputs: outputs.collect(),
        facts: analysis.facts,
        shape_problem: analysis.problem,
        n_bytes,
        sha256,
        n_parameters,
        declared,
        quantizations,
        real_types,
        unplaced,
        proto,
    })
}
