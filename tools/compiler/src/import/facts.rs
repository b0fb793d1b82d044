//! Shapes, element types and folded constants of every tensor, from tract's analysed model.

use super::guard::{explain, guard};
use super::{ImportError, tensor, tract_differs};
use crate::array::{Array, ArrayData};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use tinfer::tensor::ElementType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

/// What is known of an ONNX tensor before anything runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Element type; `None` for one that no image has (float64, float16, string, …).
    pub element_type: Option<ElementType>,
    /// The elements, when they do not depend on any input.
    pub value: Option<Arc<Array>>,
}

/// The inference model of a protobuf whose input dimensions are fixed, not yet analysed, with tract's
/// outlet of each ONNX tensor.
pub(super) fn inference_model(proto: &ModelProto) -> Result<(InferenceModel, BTreeMap<String, OutletId>), String> {
    // Value infos and output shapes of exporters are wrong often enough (symbols of a batch that is
    // fixed now), and shapes follow from the inputs anyway.
    let onnx = tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true);
    let parsed = onnx.parse(proto, None).map_err(|e| explain(&e))?;
    let mut model = parsed.model;
    let outputs = model.output_outlets().map_err(|e| explain(&e))?.to_vec();
    let inputs = model.input_outlets().map_err(|e| explain(&e))?.to_vec();
    for outlet in outputs.into_iter().filter(|o| !inputs.contains(o)) {
        if model.outlet_fact(outlet).is_ok_and(|f| f.value.concretize().is_none()) {
            model.set_outlet_fact(outlet, InferenceFact::default()).map_err(|e| explain(&e))?;
        }
    }
    Ok((model, parsed.outlets_by_name.into_iter().collect()))
}

/// What an analysis found.
pub(super) struct Analysis {
    /// By ONNX tensor name; tensors of unknown shape are missing.
    pub facts: BTreeMap<String, Fact>,
    /// Why some are missing.
    pub problem: Option<String>,
}

/// Analyses the model. Nodes that tract does not know leave their results, and what follows from
/// them, without a fact: lowering reports them.
pub(super) fn analyse(proto: &ModelProto, weights: &BTreeMap<String, Array>) -> Result<Analysis, ImportError> {
    let graph = proto.graph.as_ref();
    let mut facts = BTreeMap::new();
    let result = guard(|| {
        let (mut model, outlets) = inference_model(proto)?;
        let problem = guard(|| model.analyse(true).map(|_| ()).map_err(|e| explain(&e))).err();
        for (name, outlet) in outlets {
            let Ok(fact) = model.outlet_fact(outlet) else { continue };
            let Ok(Some(shape)) = fact.shape.as_concrete_finite() else { continue };
            let Some(datum_type) = fact.datum_type.concretize() else { continue };
            let value = fact.value.concretize().and_then(|t| tensor::from_tract(&t).ok()).map(Arc::new);
            facts
                .insert(name, Fact { shape: shape.to_vec(), element_type: tensor::element_type_of(datum_type), value });
        }
        Ok(problem)
    });
    for (name, array) in weights {
        let fact = Fact {
            shape: array.shape.clone(),
            element_type: array.element_type(),
            value: Some(Arc::new(array.clone())),
        };
        facts.insert(name.clone(), fact);
    }
    if let Some(graph) = graph {
        distrust(graph, &mut facts);
        let inputs: BTreeSet<&str> = graph.input.iter().map(|i| &*i.name).collect();
        for node in &graph.node {
            for output in node.output.iter().filter(|o| !inputs.contains(&***o)) {
                let Some(fact) = facts.get(output) else { continue };
                let elements = fact.shape.iter().fold(1u64, |n, &d| n.saturating_mul(d as u64));
                if elements > tensor::MAX_ELEMENTS {
                    return Err(ImportError::TooLarge {
                        tensor: output.clone(),
                        elements,
                        limit: tensor::MAX_ELEMENTS,
                    });
                }
            }
        }
    }
    Ok(Analysis { facts, problem: result.unwrap_or_else(Some) })
}

/// Refuses a model whose outputs depend on computed tensors without elements, which no image has.
///
/// # Errors
/// [`ImportError::ZeroDimension`]
pub(super) fn refuse_empty(graph: &GraphProto, facts: &BTreeMap<String, Fact>) -> Result<(), ImportError> {
    let mut wanted: HashSet<&str> = graph.output.iter().map(|o| &*o.name).collect();
    // Nodes are in the order of execution.
    for node in graph.node.iter().rev() {
        if !node.output.iter().any(|o| wanted.contains(&**o)) {
            continue;
        }
        let empty = node.output.iter().filter_map(|o| Some((o, facts.get(o)?)));
        let mut empty = empty.filter(|(_, fact)| fact.shape.contains(&0) && fact.value.is_none());
        if let Some((tensor, fact)) = empty.next() {
            return Err(ImportError::ZeroDimension { tensor: tensor.clone(), shape: fact.shape.clone() });
        }
        wanted.extend(node.input.iter().map(|i| &**i));
    }
    Ok(())
}

/// Drops values that tract computes wrongly or by chance, and all that follow from them.
///
/// tract reads per-channel QuantizeLinear and DequantizeLinear with their first scale only, ignores operator domains,
/// widens some constants to float64 (ScatterND), and has the forms of [`tract_differs`].
fn distrust(graph: &GraphProto, facts: &mut BTreeMap<String, Fact>) {
    let mut doubted: BTreeSet<&str> = BTreeSet::new();
    for node in &graph.node {
        let standard = node.domain.is_empty() || node.domain == "ai.onnx";
        let doubtful = !standard
            || node.op_type.to_lowercase().contains("quantize")
            || node.op_type.starts_with("QLinear")
            || ["Bernoulli", "Multinomial"].contains(&&*node.op_type)
            || node.op_type.starts_with("Random")
            || widens(node, facts)
            || tract_differs::in_node(node).is_some();
        if doubtful || node.input.iter().any(|i| doubted.contains(&**i)) {
            for output in &node.output {
                doubted.insert(output);
                if let Some(fact) = facts.get_mut(output) {
                    fact.value = None;
                }
            }
        }
    }
}

/// Whether a node has a float64 result that neither its operands nor an attribute ask for.
fn widens(node: &NodeProto, facts: &BTreeMap<String, Fact>) -> bool {
    let is_wide = |name: &String| {
        facts.get(name).and_then(|f| f.value.as_ref()).is_some_and(|v| matches!(v.data, ArrayData::F64(_)))
    };
    let asks = node.attribute.iter().any(|a| ["to", "dtype", "value", "value_float"].contains(&&*a.name));
    node.output.iter().any(is_wide) && !node.input.iter().any(is_wide) && !asks && !node.input.is_empty()
}
