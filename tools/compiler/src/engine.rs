//! Models that run on samples: an image on this machine's kernels, or an ONNX file in tract.

use crate::aligned::AlignedBytes;
use crate::array::{Array, ArrayData, NamedArray, RealType};
use crate::convert::{Agreement, ConvertRequest, Precision, Progress, convert};
use crate::error::CompileError;
use crate::float_model::FloatModel;
use crate::import::{ImportOptions, Imported, Interface, TractBackend, import};
use crate::lower::lower;
use crate::metrics::n_classes;
use crate::model_toml::ModelToml;
use crate::passes::simplify;
use crate::runner::ImageRunner;
use crate::samples::{Sample, Samples, load_samples};
use crate::spare_rows::filled;
use crate::target::Target;
use crate::trim::ConstantChannels;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use tinfer::preprocess::ImagePreprocess;

/// What a model takes and gives, whatever runs it.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// Inputs in the file's order.
    pub inputs: Vec<Interface>,
    /// Outputs in the file's order.
    pub outputs: Vec<Interface>,
    /// Class names.
    pub labels: Vec<String>,
    /// How pictures become inputs, by input name.
    pub preprocess: BTreeMap<String, ImagePreprocess>,
    /// Inputs and outputs whose real numbers have another width in the ONNX file.
    pub real_types: BTreeMap<String, RealType>,
}

impl Signature {
    /// Of an image.
    pub fn of_image(runner: &ImageRunner<'_>) -> Self {
        let preprocess = runner.inputs().iter().filter_map(|p| Some((p.name.to_string(), p.preprocess?)));
        Signature {
            inputs: runner.inputs().iter().map(Interface::from).collect(),
            outputs: runner.outputs().iter().map(Interface::from).collect(),
            labels: runner.labels(),
            preprocess: preprocess.collect(),
            real_types: runner.real_types(),
        }
    }

    /// Of an ONNX file, with what `model.toml` beside it says.
    ///
    /// # Errors
    /// [`CompileError::ModelToml`]
    pub fn of_onnx(path: &Path, imported: &Imported) -> Result<Self, CompileError> {
        let about = ModelToml::beside(path)?.unwrap_or_default();
        Ok(Signature {
            inputs: imported.inputs.clone(),
            outputs: imported.outputs.clone(),
            labels: about.labels,
            preprocess: about.preprocess,
            real_types: imported.real_types.clone(),
        })
    }

    /// Samples for this model.
    ///
    /// # Errors
    /// [`CompileError::Sample`]
    pub fn load(&self, path: &Path) -> Result<Samples, CompileError> {
        Ok(load_samples(path, &self.inputs, &self.preprocess, &self.labels)?)
    }

    /// The best classes of one sample's outputs, best first; empty when no output holds scores of classes.
    pub fn top(&self, outputs: &[Array], n_most: usize) -> Vec<Class> {
        let scores = outputs
            .iter()
            .find(|o| n_classes(&o.shape).is_some_and(|n| self.labels.is_empty() || n == self.labels.len()));
        let Some(scores) = scores.map(Array::to_f32) else { return Vec::new() };
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let label = |i: usize| self.labels.get(i).cloned().unwrap_or_else(|| i.to_string());
        order.into_iter().take(n_most).map(|i| Class { label: label(i), score: scores[i] }).collect()
    }
}

/// A class and its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// Name, or number when the model has no names.
    pub label: String,
    /// The model's output for it.
    pub score: f32,
}

/// An ONNX model: in tract, at its speed, or on tinfer's float32 kernels where tract does not compute what ONNX says.
#[derive(Debug)]
pub struct OnnxEngine {
    /// What it takes and gives.
    pub signature: Signature,
    imported: Imported,
    chosen: Option<Chosen>,
}

#[derive(Debug)]
struct Chosen {
    engine: Engine,
    name: &'static str,
    warning: Option<String>,
}

#[derive(Debug)]
enum Engine {
    /// tract with a model that it has optimized.
    Optimized(TractBackend),
    Float(FloatModel),
}

impl OnnxEngine {
    /// Reads a model.
    ///
    /// # Errors
    /// [`CompileError::Import`], [`CompileError::ModelToml`]
    pub fn open(path: &Path, options: &ImportOptions) -> Result<Self, CompileError> {
        let imported = import(path, options)?;
        Ok(OnnxEngine { signature: Signature::of_onnx(path, &imported)?, imported, chosen: None })
    }

    /// As [`OnnxEngine::open`], but in tract or not at all.
    ///
    /// # Errors
    /// As [`OnnxEngine::open`]; [`CompileError::Import`] for a form that tract computes otherwise than ONNX.
    pub fn in_tract(path: &Path, options: &ImportOptions) -> Result<Self, CompileError> {
        let engine = OnnxEngine::open(path, options)?;
        let backend = TractBackend::new(&engine.imported)?;
        let chosen = Chosen { engine: Engine::Optimized(backend), name: "tract", warning: None };
        Ok(OnnxEngine { chosen: Some(chosen), ..engine })
    }

    /// Decides by one sample or two which implementation answers, see [`FloatModel::open`].
    ///
    /// # Errors
    /// As [`FloatModel::open`]
    pub fn settle(&mut self, trials: &[Sample]) -> Result<(), CompileError> {
        if self.chosen.is_none() {
            self.chosen = Some(choose(&self.imported, trials)?);
        }
        Ok(())
    }

    /// Runs one sample; it is the one that decides where [`OnnxEngine::settle`] was not called.
    ///
    /// # Errors
    /// [`CompileError::Import`]
    pub fn run(&mut self, sample: &Sample) -> Result<Vec<Array>, CompileError> {
        let chosen = match self.chosen.take() {
            Some(chosen) => self.chosen.insert(chosen),
            None => self.chosen.insert(choose(&self.imported, std::slice::from_ref(sample))?),
        };
        let outputs = match &chosen.engine {
            Engine::Optimized(backend) => backend.run(&sample.inputs)?,
            Engine::Float(model) => model.run_with_taps(&sample.inputs, &mut |_, _| {})?,
        };
        Ok(outputs.into_iter().map(|o| o.array).collect())
    }

    /// What answers: `tract` or `tinfer`; `None` before the first sample.
    pub fn name(&self) -> Option<&'static str> {
        self.chosen.as_ref().map(|chosen| chosen.name)
    }

    /// What the user must know of it: why it is not tract, or that it is tract alone.
    pub fn warning(&self) -> Option<String> {
        self.chosen.as_ref().and_then(|chosen| chosen.warning.clone())
    }
}

/// What the trials speak for; tract optimizes its model where that changes none of them.
fn choose(imported: &Imported, trials: &[Sample]) -> Result<Chosen, CompileError> {
    let graph = lower(imported).ok().map(|graph| simplify(graph).graph);
    let model = FloatModel::open(imported, graph.as_ref(), trials)?;
    let (name, warning) = (model.name(), model.warning());
    let optimized = (name == "tract").then(|| TractBackend::new(imported).ok()).flatten();
    let is_same = |backend: &TractBackend| {
        trials.iter().all(|trial| {
            let found = backend.run(&trial.inputs).map_err(CompileError::from);
            let expected = model.run_with_taps(&trial.inputs, &mut |_, _| {});
            expected.and_then(|expected| Ok(model.agrees(&expected, &found?))).unwrap_or(false)
        })
    };
    let engine = match optimized {
        Some(backend) if is_same(&backend) => Engine::Optimized(backend),
        _ => Engine::Float(model),
    };
    Ok(Chosen { engine, name, warning })
}

/// A float32 image of an ONNX file for this machine.
///
/// # Errors
/// As [`convert`].
pub fn float_image(
    path: &Path,
    import: &ImportOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<AlignedBytes, CompileError> {
    let request = ConvertRequest {
        import: import.clone(),
        constant_channels: ConstantChannels::Keep,
        agreement: Agreement::Unchecked,
        ..ConvertRequest::new(path.to_path_buf(), Target::Host, Precision::Float32)
    };
    Ok(convert(&request, progress)?.image)
}

/// A sample's inputs without their names.
pub fn arrays(sample: &Sample) -> Vec<Array> {
    sample.inputs.iter().map(|i| i.array.clone()).collect()
}

/// Outputs of several samples as one array each: `[N, *shape[1..]]` where the first dimension is a batch,
/// `[N, *shape]` where it is not; a single sample keeps its shape. Rows of -1 fill up samples that have fewer.
pub fn stack(outputs: &[Interface], samples: Vec<Vec<Array>>) -> Vec<NamedArray> {
    let mut columns: Vec<Vec<Array>> = outputs.iter().map(|_| Vec::with_capacity(samples.len())).collect();
    for sample in samples {
        for (column, array) in columns.iter_mut().zip(sample) {
            column.push(array);
        }
    }
    let named = outputs.iter().zip(columns).filter_map(|(o, column)| Some((o, stack_one(o.batched, column)?)));
    named.map(|(o, array)| NamedArray::new(&o.name, array)).collect()
}

fn stack_one(batched: bool, samples: Vec<Array>) -> Option<Array> {
    let n = samples.len();
    // What a file calls a batch is none where samples have rows of their own.
    let batched = batched && samples.iter().all(|s| s.shape.first() == Some(&1));
    let widest = samples.iter().map(|s| &s.shape).max_by_key(|shape| shape.first().copied())?.clone();
    let mut samples = samples.into_iter().map(|sample| filled(sample, &widest));
    let Array { mut shape, mut data } = samples.next()?;
    for sample in samples {
        append(&mut data, sample.data);
    }
    match (n, batched) {
        (1, _) => {}
        (_, true) => shape[0] = n,
        (_, false) => shape.insert(0, n),
    }
    Some(Array::new(shape, data))
}

/// Appends elements of the same type.
fn append(to: &mut ArrayData, from: ArrayData) {
    match (to, from) {
        (ArrayData::F32(a), ArrayData::F32(b)) => a.extend(b),
        (ArrayData::F64(a), ArrayData::F64(b)) => a.extend(b),
        (ArrayData::I8(a), ArrayData::I8(b)) => a.extend(b),
        (ArrayData::U8(a), ArrayData::U8(b)) => a.extend(b),
        (ArrayData::I16(a), ArrayData::I16(b)) => a.extend(b),
        (ArrayData::I32(a), ArrayData::I32(b)) => a.extend(b),
        (ArrayData::I64(a), ArrayData::I64(b)) => a.extend(b),
        (ArrayData::Bool(a), ArrayData::Bool(b)) => a.extend(b),
        (to, from) => unreachable!("one model output is {} and {}", to.type_name(), from.type_name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tinfer::tensor::ElementType;

    fn output(shape: &[usize], batched: bool) -> Interface {
        Interface { name: "y".into(), shape: shape.to_vec(), batched, element_type: Some(ElementType::F32) }
    }

    #[test]
    fn samples_are_stacked_as_the_command_line_says() {
        let check = |shape: &[usize], batched, n: usize, expected: &[usize]| {
            let size: usize = shape.iter().product();
            let sample = |i: usize| vec![Array::f32(shape.to_vec(), vec![i as f32; size])];
            let stacked = stack(&[output(shape, batched)], (0..n).map(sample).collect());
            assert_eq!(stacked[0].array.shape, expected, "{n} of {shape:?}");
            assert_eq!(stacked[0].array.to_f32()[(n - 1) * size], (n - 1) as f32);
        };
        check(&[1, 10], true, 1, &[1, 10]);
        check(&[1, 10], true, 3, &[3, 10]);
        check(&[4, 2], false, 1, &[4, 2]);
        check(&[4, 2], false, 3, &[3, 4, 2]);
        check(&[], false, 2, &[2]);
    }

    #[test]
    fn samples_with_fewer_rows_are_filled_up() {
        let rows = |n: usize| vec![Array::new(vec![n, 2], ArrayData::I64(vec![n as i64; 2 * n]))];
        // A result of unknown shape looks like a batch.
        let stacked = stack(&[output(&[], true)], vec![rows(1), rows(2), rows(0)]);
        let expected = vec![1, 1, -1, -1, 2, 2, 2, 2, -1, -1, -1, -1];
        assert_eq!(stacked[0].array, Array::new(vec![3, 2, 2], ArrayData::I64(expected)));
    }

    #[test]
    fn the_best_classes_come_first_with_their_names() {
        let names = |n: usize| (0..n).map(|i| format!("class {i}")).collect::<Vec<_>>();
        let scores = [Array::f32(vec![1, 3], vec![0.1, 0.7, 0.2])];
        let named = Signature { labels: names(3), ..Signature::default() };
        let best: Vec<String> = named.top(&scores, 2).into_iter().map(|c| c.label).collect();
        assert_eq!(best, ["class 1", "class 2"]);
        assert_eq!(Signature::default().top(&scores, 5)[0], Class { label: "1".into(), score: 0.7 });
        assert!(Signature { labels: names(4), ..Signature::default() }.top(&scores, 5).is_empty());
        assert!(Signature::default().top(&[Array::f32(vec![2, 2], vec![0.0; 4])], 5).is_empty());
    }
}
