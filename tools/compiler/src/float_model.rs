//! The float model on samples: in tract, or in tinfer's own kernels where tract does not compute what ONNX says.

use crate::aligned::AlignedBytes;
use crate::array::{Array, ArrayData, NamedArray};
use crate::choose::Chosen;
use crate::error::CompileError;
use crate::graph::{Graph, Origin};
use crate::import::{ImportError, Imported, Interface, Reference};
use crate::metrics::Comparison;
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::quantize::{fake_quantized, is_quantized};
use crate::runner::{ImageRunner, real_values};
use std::collections::{BTreeSet, HashMap};
use tinfer::session::{Observer, StepDone};

/// What computes the float values that quantized ones are calibrated by and compared with.
///
/// Two implementations that share nothing but the file compute the first sample, and must agree: tract, and the float
/// graph on the portable kernels, which are tested against values of the definition. Where they do not, the latter
/// answers, and [`FloatModel::warning`] names the node where they part.
#[derive(Debug)]
pub struct FloatModel {
    engine: Engine,
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
    /// What the first result of each step is.
    origins: Vec<Option<Origin>>,
}

impl FloatModel {
    /// tract, when it computes of the first sample what the float graph computes; otherwise the float graph. Without a
    /// graph, or where it does not run, tract alone.
    ///
    /// # Errors
    /// What tract says, when the graph does not run either; [`ImportError::InputMismatch`].
    pub fn open(imported: &Imported, graph: Option<&Graph>, first: &[NamedArray]) -> Result<Self, CompileError> {
        let reference = Reference::new(imported).and_then(|reference| Ok((reference.run(first)?, reference)));
        let own = graph.and_then(|graph| OwnKernels::new(imported, graph));
        let own = own.and_then(|own| Some((own.run_with_taps(first, &mut |_, _| {}).ok()?, own)));
        let (own, reason) = match (reference, own) {
            (Ok((_, reference)), None) => return Ok(Self::tract(reference)),
            (Ok((expected, reference)), Some((found, own))) => {
                let least_db = if graph.is_some_and(is_quantized) { AGREE_ROUNDED_DB } else { AGREE_DB };
                if expected.iter().zip(&found).all(|(e, f)| agrees(&e.array, &f.array, least_db)) {
                    return Ok(Self::tract(reference));
                }
                let place = first_difference(imported, &reference, &own, first, least_db);
                (own, format!("tract and tinfer differ {place}"))
            }
            (Err(why @ ImportError::Reference { .. }), Some((_, own))) => (own, why.to_string()),
            (Err(other), _) => return Err(other.into()),
        };
        let warning = Some(format!("{reason}: tinfer's own float32 kernels answer"));
        Ok(FloatModel { engine: Engine::Own(own), warning })
    }

    fn tract(reference: Reference) -> Self {
        FloatModel { engine: Engine::Tract(Box::new(reference)), warning: None }
    }

    /// What computes the values: `tract` or `tinfer`.
    pub fn name(&self) -> &'static str {
        match self.engine {
            Engine::Tract(_) => "tract",
            Engine::Own(_) => "tinfer",
        }
    }

    /// What the user must know when tract does not vouch for the values.
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
            origins: planned.steps.iter().map(|step| graph.tensor(first(step)).origin.clone()).collect(),
            image: packed.bytes,
            inputs: imported.inputs.clone(),
            outputs: imported.outputs.iter().map(|o| o.name.clone()).collect(),
        })
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
        let mut taps = Taps { origins: &self.origins, shown: BTreeSet::new(), tap };
        let outputs = runner.run_observed(&arrays, &mut taps)?;
        Ok(self.outputs.iter().zip(outputs).map(|(name, array)| NamedArray::new(name, array)).collect())
    }
}

struct Taps<'a> {
    origins: &'a [Option<Origin>],
    /// Several layers hold one ONNX tensor where it is moved.
    shown: BTreeSet<&'a str>,
    tap: &'a mut dyn FnMut(&str, &Array),
}

impl Observer for Taps<'_> {
    fn step_done(&mut self, step: &StepDone<'_>) {
        let origin = self.origins.get(step.index as usize).and_then(Option::as_ref);
        let (Some(origin), Some((tensor, bytes))) = (origin, step.output(0)) else { return };
        let Some(values) = real_values(&tensor, bytes) else { return };
        if !self.shown.insert(&origin.name) {
            return;
        }
        (self.tap)(&origin.name, &in_onnx_layout(origin, values));
    }
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
mod tests {
    use super::*;
    use crate::import::build::{Attr, ModelBuilder};
    use crate::lower::lower;
    use crate::passes::simplify;

    /// tract has no BatchNormalization in training mode. Feature maps are in NHWC inside, what is shown is not.
    #[test]
    fn the_float_graph_stands_in_for_tract() {
        let weights = [0.5, -1.0, 0.25, 2.0, 1.0, -0.5];
        let channels = |values: [f32; 2]| Array::f32(vec![2], values.to_vec());
        let model = ModelBuilder::new(17)
            .input("x", &[1, 3, 4, 5])
            .weight("w", Array::f32(vec![2, 3, 1, 1], weights.to_vec()))
            .weight("scale", channels([3.0, 2.0]))
            .weight("bias", channels([0.0, 1.0]))
            .weight("any", channels([1.0, 1.0]))
            .node("Conv", &["x", "w"], &["z"], &[])
            .node(
                "BatchNormalization",
                &["z", "scale", "bias", "any", "any"],
                &["y"],
                &[("training_mode", Attr::I(1))],
            );
        let imported = model.output("y").import().unwrap();
        let graph = simplify(lower(&imported).unwrap()).graph;
        let x: Vec<f32> = (0..60).map(|i| (i as f32 * 0.37).sin()).collect();
        let inputs = [NamedArray::new("x", Array::f32(vec![1, 3, 4, 5], x.clone()))];
        let model = FloatModel::open(&imported, Some(&graph), &inputs).unwrap();
        assert!(model.warning().unwrap().contains("own float32 kernels"));
        let mut seen = Vec::new();
        let mut tap = |name: &str, array: &Array| seen.push((name.to_string(), array.clone()));
        let outputs = model.run_with_taps(&inputs, &mut tap).unwrap();
        let names: Vec<&str> = seen.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["x", "z", "y"]);
        assert_eq!(seen[2].1, outputs[0].array);
        for c in 0..2 {
            let z = |i: usize| (0..3).map(|k| weights[3 * c + k] * x[20 * k + i]).sum::<f32>();
            let mean = (0..20).map(z).sum::<f32>() / 20.0;
            let variance = (0..20).map(|i| (z(i) - mean).powi(2)).sum::<f32>() / 20.0;
            for i in 0..20 {
                let y = (z(i) - mean) / (variance + 1e-5).sqrt() * [3.0, 2.0][c] + [0.0, 1.0][c];
                let found = [&seen[1].1, &seen[2].1].map(|array| array.to_f32()[20 * c + i]);
                assert!((found[0] - z(i)).abs() < 1e-5 && (found[1] - y).abs() < 1e-4, "{found:?} {} {y}", z(i));
            }
        }
    }

    #[test]
    fn values_return_to_their_onnx_layout() {
        let origin = Origin { permutation: vec![0, 2, 1], ..Origin::whole("x", &[1, 3, 2]) };
        let array = in_onnx_layout(&origin, vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
        assert_eq!(array, Array::f32(vec![1, 3, 2], vec![0.0, 10.0, 1.0, 11.0, 2.0, 12.0]));
        let flat = Origin::whole("x", &[1, 3]);
        assert_eq!(in_onnx_layout(&flat, vec![1.0, 2.0, 3.0]).shape, [1, 3]);
    }
}
