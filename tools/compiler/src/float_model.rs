//! The float model on samples: in tract, or in tinfer's own kernels where tract does not compute what ONNX says.

use crate::aligned::AlignedBytes;
use crate::array::{Array, ArrayData, NamedArray};
use crate::choose::Chosen;
use crate::error::CompileError;
use crate::graph::{Graph, Operator, Origin, Port, TensorId};
use crate::import::{ImportError, Imported, Interface, Reference};
use crate::metrics::Comparison;
use crate::pack::{PackOptions, pack};
use crate::passes::permutation;
use crate::plan::plan;
use crate::quantize::{fake_quantized, is_quantized};
use crate::runner::{ImageRunner, real_values};
use crate::samples::Sample;
use crate::spare_rows::filled;
use std::collections::{BTreeSet, HashMap};
use tinfer::session::{Observer, StepDone};

/// What computes the float values that quantized ones are calibrated by and compared with.
///
/// Two implementations that share nothing but the file compute a sample or two, and must agree: tract, and the float
/// graph on the portable kernels, which are tested against values of the definition. Where they do not, the latter
/// answers, and [`FloatModel::warning`] names the node where they part.
#[derive(Debug)]
pub struct FloatModel {
    engine: Engine,
    /// What values of this model agree at.
    least_db: f64,
    warning: Option<String>,
}

#[derive(Debug)]
enum Engine {
    Tract(Box<Reference>),
    Own(OwnKernels),
}

/// The float graph as an image.
#[derive(Debug)]
pub struct OwnKernels {
    image: AlignedBytes,
    inputs: Vec<Interface>,
    outputs: Vec<String>,
    /// What the first result of each step is: the tensor itself, and those that are reshapes of it, which no step computes.
    origins: Vec<Vec<Origin>>,
    /// Reshapes of each input.
    of_inputs: Vec<Vec<Origin>>,
}

impl FloatModel {
    /// tract, when it computes of the trials what the float graph computes; otherwise the float graph. Without a graph, or
    /// where it does not run, tract alone.
    ///
    /// # Errors
    /// What tract says, when the graph does not run either; [`ImportError::InputMismatch`].
    pub fn open(imported: &Imported, graph: Option<&Graph>, trials: &[Sample]) -> Result<Self, CompileError> {
        let own = graph.and_then(|graph| OwnKernels::new(imported, graph));
        let own = own.and_then(|own| Some((own.run_all(trials).ok()?, own)));
        let reference = Reference::new(imported).and_then(|reference| {
            let outputs: Result<Vec<_>, _> = trials.iter().map(|trial| reference.run(&trial.inputs)).collect();
            Ok((outputs?, reference))
        });
        let least_db = if graph.is_some_and(is_quantized) { AGREE_ROUNDED_DB } else { AGREE_DB };
        let tract = |reference, warning| FloatModel { engine: Engine::Tract(Box::new(reference)), least_db, warning };
        let (own, reason) = match (reference, own) {
            (Ok((_, reference)), None) => {
                let alone = "tinfer's own float32 kernels do not run this model: tract answers alone";
                return Ok(tract(reference, Some(alone.into())));
            }
            (Ok((expected, reference)), Some((found, own))) => {
                let Some(at) = expected.iter().zip(&found).position(|(e, f)| !all_agree(e, f, least_db)) else {
                    return Ok(tract(reference, None));
                };
                let place = first_difference(imported, &reference, &own, &trials[at].inputs, least_db);
                (own, format!("tract and tinfer differ {place}"))
            }
            (Err(why @ ImportError::Reference { .. }), Some((_, own))) => (own, why.to_string()),
            (Err(other), _) => return Err(other.into()),
        };
        let warning = Some(format!("{reason}: tinfer's own float32 kernels answer"));
        Ok(FloatModel { engine: Engine::Own(own), least_db, warning })
    }

    /// Whether outputs of this model are the same but for rounding.
    pub(crate) fn agrees(&self, expected: &[NamedArray], found: &[NamedArray]) -> bool {
        all_agree(expected, found, self.least_db)
    }

    /// What computes the values: `tract` or `tinfer`.
    pub fn name(&self) -> &'static str {
        match self.engine {
            Engine::Tract(_) => "tract",
            Engine::Own(_) => "tinfer",
        }
    }

    /// What the user must know when not both vouch for the values.
    pub fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    /// Runs one sample and shows every tensor under its ONNX name and in its ONNX layout, inputs first; returns the
    /// outputs in the file's order.
    ///
    /// # Errors
    /// As [`Reference::run_with_taps`].
    pub fn run_with_taps(
        &self,
        inputs: &[NamedArray],
        tap: &mut dyn FnMut(&str, &Array),
    ) -> Result<Vec<NamedArray>, CompileError> {
        match &self.engine {
            Engine::Tract(reference) => Ok(reference.run_with_taps(inputs, tap)?),
            Engine::Own(own) => own.run_with_taps(inputs, tap),
        }
    }
}

/// Whether outputs are the same; an image fills rows that the values do not have.
fn all_agree(expected: &[NamedArray], found: &[NamedArray], least_db: f64) -> bool {
    let agree = |(e, f): (&NamedArray, &NamedArray)| {
        let expected = filled(e.array.clone(), &f.array.shape);
        expected.shape == f.array.shape && agrees(&expected, &f.array, least_db)
    };
    expected.len() == found.len() && expected.iter().zip(found).all(agree)
}

/// Whether two implementations computed one thing.
fn agrees(expected: &Array, found: &Array, least_db: f64) -> bool {
    let is_real = |array: &Array| matches!(array.data, ArrayData::F32(_) | ArrayData::F64(_));
    if expected.n_elements() != found.n_elements() {
        return false;
    }
    if is_real(expected) || is_real(found) {
        let mut comparison = Comparison::default();
        comparison.add(&expected.to_f32(), &found.to_f32());
        return comparison.sqnr_db() >= least_db || comparison.max_abs_error() <= NOTHING;
    }
    // Choices between elements that are nearly alike may fall either way.
    let pairs = expected.to_f64().into_iter().zip(found.to_f64());
    let n_apart = pairs.filter(|(e, f)| (e - f).abs() > 1.0).count();
    n_apart <= 1.max(expected.n_elements() / 20)
}

/// Where two implementations part: the first node of the file whose results differ.
fn first_difference(
    imported: &Imported,
    reference: &Reference,
    own: &OwnKernels,
    first: &[NamedArray],
    least_db: f64,
) -> String {
    let mut expected: HashMap<String, Array> = HashMap::new();
    let mut found: HashMap<String, Array> = HashMap::new();
    let ran = [
        reference.run_with_taps(first, &mut |name, array| drop(expected.insert(name.into(), array.clone()))).is_ok(),
        own.run_with_taps(first, &mut |name, array| drop(found.insert(name.into(), array.clone()))).is_ok(),
    ];
    let differs = |name: &String| match (expected.get(name), found.get(name)) {
        (Some(e), Some(f)) => !agrees(e, f, least_db),
        _ => false,
    };
    match imported.nodes.iter().find(|node| node.outputs.iter().any(differs)) {
        Some(node) if ran == [true; 2] => format!("from node '{}' ({}) on", node.name, node.operator),
        _ => "in their outputs".into(),
    }
}

impl OwnKernels {
    /// `None` for a graph that has no form as a float32 image.
    pub fn new(imported: &Imported, graph: &Graph) -> Option<Self> {
        let mut graph = if is_quantized(graph) { fake_quantized(graph.clone())? } else { graph.clone() };
        graph.compact();
        let planned = plan(&graph, &|_, _| Chosen::PORTABLE);
        let packed = pack(&graph, &planned, &PackOptions::default()).ok()?;
        let first = |step: &crate::plan::Step| graph.nodes[step.node].outputs[0];
        Some(OwnKernels {
            origins: planned.steps.iter().map(|step| views(&graph, first(step))).collect(),
            of_inputs: graph.inputs.iter().map(|port| views_of_input(&graph, port)).collect(),
            image: packed.bytes,
            inputs: imported.inputs.clone(),
            outputs: imported.outputs.iter().map(|o| o.name.clone()).collect(),
        })
    }

    fn run_all(&self, trials: &[Sample]) -> Result<Vec<Vec<NamedArray>>, CompileError> {
        trials.iter().map(|trial| self.run_with_taps(&trial.inputs, &mut |_, _| {})).collect()
    }

    /// As [`FloatModel::run_with_taps`].
    ///
    /// # Errors
    /// What the runtime says.
    pub fn run_with_taps(
        &self,
        inputs: &[NamedArray],
        tap: &mut dyn FnMut(&str, &Array),
    ) -> Result<Vec<NamedArray>, CompileError> {
        let mut runner = ImageRunner::new(&self.image)?;
        let mut arrays = Vec::new();
        for port in &self.inputs {
            let given = inputs.iter().find(|i| i.name == port.name);
            arrays.extend(given.map(|i| i.array.clone()));
        }
        for (port, array) in self.inputs.iter().zip(&arrays) {
            tap(&port.name, &Array::f32(array.shape.clone(), array.to_f32()));
        }
        for (views, array) in self.of_inputs.iter().zip(&arrays) {
            views.iter().for_each(|view| tap(&view.name, &in_onnx_layout(view, array.to_f32())));
        }
        let mut taps = Taps { origins: &self.origins, shown: BTreeSet::new(), tap };
        let outputs = runner.run_observed(&arrays, &mut taps)?;
        Ok(self.outputs.iter().zip(outputs).map(|(name, array)| NamedArray::new(name, array)).collect())
    }
}

struct Taps<'a> {
    origins: &'a [Vec<Origin>],
    /// Several layers hold one ONNX tensor where it is moved.
    shown: BTreeSet<&'a str>,
    tap: &'a mut dyn FnMut(&str, &Array),
}

impl Observer for Taps<'_> {
    fn step_done(&mut self, step: &StepDone<'_>) {
        let (Some(origins), Some((tensor, bytes))) = (self.origins.get(step.index as usize), step.output(0)) else {
            return;
        };
        let Some(values) = real_values(&tensor, bytes) else { return };
        for origin in origins {
            if self.shown.insert(&origin.name) {
                (self.tap)(&origin.name, &in_onnx_layout(origin, values.clone()));
            }
        }
    }
}

/// Origins of a tensor and of every reshape of it.
fn views(graph: &Graph, id: TensorId) -> Vec<Origin> {
    let (mut found, mut ids) = (Vec::new(), vec![id]);
    while let Some(id) = ids.pop() {
        found.extend(graph.tensor(id).origin.clone());
        let reshapes = graph.consumers(id).into_iter().map(|i| &graph.nodes[i]);
        ids.extend(reshapes.filter(|node| node.operator == Operator::Reshape).map(|node| node.outputs[0]));
    }
    found
}

/// As [`views`], without the input itself. One that the image takes transposed is seen under its own name only.
fn views_of_input(graph: &Graph, port: &Port) -> Vec<Origin> {
    let mut views = if permutation::is_identity(&port.permutation) { views(graph, port.tensor) } else { Vec::new() };
    views.retain(|view| view.name != port.name);
    views
}

/// Elements in the order and the shape of the ONNX tensor that they are.
fn in_onnx_layout(origin: &Origin, values: Vec<f32>) -> Array {
    let shape: Vec<usize> = origin.axes.iter().map(|factors| factors.iter().product()).collect();
    let mut moved = values.clone();
    for (value, position) in values.into_iter().zip(origin.order(&shape)) {
        moved[position] = value;
    }
    Array::f32(shape, moved)
}

/// Rounding leaves 100 dB and more; what is below this is computed otherwise.
const AGREE_DB: f64 = 60.0;
/// The same of a model that is quantized: a value half way between two steps may fall either way, and what follows from it.
const AGREE_ROUNDED_DB: f64 = 15.0;
/// The error of values that would be 0 without rounding.
const NOTHING: f64 = 1e-6;

#[cfg(test)]
mod tests;
