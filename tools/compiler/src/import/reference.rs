//! tract as float reference ([`Reference`]) and as an engine of its own ([`TractBackend`]).

use super::guard::{explain, guard};
use super::{ImportError, Imported, Interface, facts, tensor, tract_differs};
use crate::array::{Array, ArrayData, NamedArray};
use std::collections::HashMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core;
use tract_onnx::tract_core::internal::EvalContext;
use tract_onnx::tract_core::model::translator::Translate;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::{InferenceNode, InferenceOp, SpecialOps};

/// The model as tract understands it, without declutter: every ONNX tensor can be tapped.
///
/// Declutter is left out because it removes axes, drops names, and turns quantized graphs into wrong
/// ones silently.
#[derive(Debug)]
pub struct Reference {
    plan: Arc<TypedSimplePlan>,
    /// ONNX tensors of each outlet; several where operators only pass their input on.
    names: HashMap<OutletId, Vec<String>>,
    inputs: Vec<Interface>,
    outputs: Vec<String>,
}

impl Reference {
    /// Builds the reference of a model.
    ///
    /// # Errors
    /// [`ImportError::Reference`] when tract does not know an operator.
    pub fn new(imported: &Imported) -> Result<Self, ImportError> {
        check(imported).map_err(|reason| ImportError::Reference { what: "build the model", reason })?;
        Self::whatever_it_computes(imported)
    }

    /// As [`Reference::new`], but of forms that tract computes otherwise than ONNX too.
    ///
    /// # Errors
    /// As [`Reference::new`].
    pub(crate) fn whatever_it_computes(imported: &Imported) -> Result<Self, ImportError> {
        let built = guard(|| {
            let (mut model, outlets) = facts::inference_model(&imported.proto)?;
            for (name, outlet) in outlets {
                model.set_outlet_label(outlet, name).map_err(|e| explain(&e))?;
            }
            model.analyse(false).map_err(|e| explain(&e))?;
            let model = model.incorporate().map_err(|e| explain(&e))?;
            let (typed, mapping) = ToTyped.translate_model_with_mappings(&model).map_err(|e| explain(&e))?;
            let mut names: HashMap<OutletId, Vec<String>> = HashMap::new();
            for (from, to) in mapping {
                if let Some(label) = model.outlet_label(from) {
                    names.entry(to).or_default().push(label.to_string());
                }
            }
            let plan = TypedSimplePlan::new(typed).map_err(|e| explain(&e))?;
            Ok((plan, names))
        });
        let (plan, names) = built.map_err(|reason| ImportError::Reference { what: "build the model", reason })?;
        let outputs = imported.outputs.iter().map(|o| o.name.clone()).collect();
        Ok(Reference { plan, names, inputs: imported.inputs.clone(), outputs })
    }

    /// Runs one sample; returns the outputs in the file's order.
    ///
    /// # Errors
    /// [`ImportError::InputMismatch`], [`ImportError::Reference`].
    pub fn run(&self, inputs: &[NamedArray]) -> Result<Vec<NamedArray>, ImportError> {
        self.run_with_taps(inputs, &mut |_, _| {})
    }

    /// As [`Reference::run`], and shows every tensor that is computed: its ONNX name and its values
    /// as float32, of quantized tensors their integers. Inputs come first, then tensors in order of execution; bodies of loops are not seen.
    ///
    /// # Errors
    /// As [`Reference::run`].
    pub fn run_with_taps(
        &self,
        inputs: &[NamedArray],
        tap: &mut dyn FnMut(&str, &Array),
    ) -> Result<Vec<NamedArray>, ImportError> {
        let values = bind(&self.inputs, inputs)?;
        for input in inputs.iter().filter(|i| self.inputs.iter().any(|own| own.name == i.name)) {
            tap(&input.name, &shown(&input.array));
        }
        let result = guard(|| {
            let mut state = self.plan.spawn().map_err(|e| explain(&e))?;
            let results = state.run_plan_with_eval(values, |ctx, state, node, inputs| -> TractResult<TVec<TValue>> {
                let results = tract_core::plan::eval(ctx, state, node, inputs)?;
                for (slot, value) in results.iter().enumerate() {
                    let Some(names) = self.names.get(&OutletId::new(node.id, slot)) else { continue };
                    if node.inputs.is_empty() {
                        continue;
                    }
                    // Strings and other types without numbers are nobody's calibration.
                    if let Ok(array) = tensor::from_tract(value) {
                        let array = shown(&array);
                        names.iter().for_each(|name| tap(name, &array));
                    }
                }
                Ok(results)
            });
            collect(&self.outputs, &results.map_err(|e| explain(&e))?)
        });
        result.map_err(|reason| ImportError::Reference { what: "run the model", reason })
    }
}

/// What a tap gets of a tensor.
fn shown(array: &Array) -> Array {
    match array.data {
        ArrayData::I8(_) | ArrayData::U8(_) => array.clone(),
        _ => Array::f32(array.shape.clone(), array.to_f32()),
    }
}

/// tract's optimized model: runs any ONNX that tract can, at its speed.
#[derive(Debug)]
pub struct TractBackend {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<Interface>,
    outputs: Vec<String>,
}

impl TractBackend {
    /// Builds and optimizes the model. Quantized models are not decluttered, which makes wrong ones of them.
    ///
    /// # Errors
    /// [`ImportError::Reference`].
    pub fn new(imported: &Imported) -> Result<Self, ImportError> {
        let quantized = imported
            .nodes
            .iter()
            .any(|n| n.operator.to_lowercase().contains("quantize") || n.operator.starts_with("QLinear"));
        let plan = guard(|| {
            check(imported)?;
            let (model, _) = facts::inference_model(&imported.proto)?;
            let model = if quantized { model.into_typed() } else { model.into_optimized() };
            model.and_then(|m| m.into_runnable()).map_err(|e| explain(&e))
        });
        let plan = plan.map_err(|reason| ImportError::Reference { what: "build the model", reason })?;
        let outputs = imported.outputs.iter().map(|o| o.name.clone()).collect();
        Ok(TractBackend { plan, inputs: imported.inputs.clone(), outputs })
    }

    /// Runs one sample; returns the outputs in the file's order.
    ///
    /// # Errors
    /// [`ImportError::InputMismatch`], [`ImportError::Reference`].
    pub fn run(&self, inputs: &[NamedArray]) -> Result<Vec<NamedArray>, ImportError> {
        let values = bind(&self.inputs, inputs)?;
        guard(|| collect(&self.outputs, &self.plan.run(values).map_err(|e| explain(&e))?))
            .map_err(|reason| ImportError::Reference { what: "run the model", reason })
    }
}

/// Names what tract would compute otherwise than ONNX says.
fn check(imported: &Imported) -> Result<(), String> {
    match imported.proto.graph.as_ref().and_then(tract_differs::in_graph) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

/// Arrays as tract's inputs, in the model's order; shapes and types must be exactly those of the model.
fn bind(inputs: &[Interface], arrays: &[NamedArray]) -> Result<TVec<TValue>, ImportError> {
    let bind = |input: &Interface| {
        let expected = format!("{} {:?}", input.element_type.map_or("of another type", |t| t.name()), input.shape);
        let mismatch =
            |found: String| ImportError::InputMismatch { name: input.name.clone(), expected: expected.clone(), found };
        let named = arrays.iter().find(|a| a.name == input.name).ok_or_else(|| mismatch("nothing".into()))?;
        let array = &named.array;
        let same_type = input.element_type.is_none() || array.element_type() == input.element_type;
        if array.shape != input.shape || !same_type {
            return Err(mismatch(format!("{} {:?}", array.data.type_name(), array.shape)));
        }
        let tensor =
            tensor::to_tract(array).map_err(|reason| ImportError::Reference { what: "run the model", reason })?;
        Ok(tensor.into_tvalue())
    };
    inputs.iter().map(bind).collect()
}

fn collect(names: &[String], values: &[TValue]) -> Result<Vec<NamedArray>, String> {
    names.iter().zip(values).map(|(name, value)| Ok(NamedArray::new(name, tensor::from_tract(value)?))).collect()
}

/// What `into_typed` does, but keeps the mapping from inference outlets to typed ones.
#[derive(Debug)]
struct ToTyped;

impl Translate<InferenceFact, Box<dyn InferenceOp>, TypedFact, Box<dyn TypedOp>> for ToTyped {
    fn translate_node(
        &self,
        source: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let stateless = node.op.state(&EvalContext::out_of_plan())?.is_none();
        let values: Option<Vec<_>> = node.outputs.iter().map(|o| o.fact.value.concretize()).collect();
        match values {
            Some(values) if stateless && !InferenceModel::is_source(&node.op) => values
                .into_iter()
                .enumerate()
                .map(|(i, value)| target.add_const(format!("{}.{i}", node.name), value))
                .collect(),
            _ => node.op.to_typed(source, node, target, mapping),
        }
    }
}
