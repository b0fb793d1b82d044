//! The last question before an image is given out: does every part of its outputs tell what the model's tells?

use super::random::Random;
use crate::aligned::AlignedBytes;
use crate::array::{Array, NamedArray};
use crate::choose::Chosen;
use crate::error::CompileError;
use crate::float_model::FloatModel;
use crate::graph::{Graph, Port};
use crate::import::Imported;
use crate::metrics::{Parts, Slice, Slices};
use crate::pack::{PackOptions, pack};
use crate::plan::plan;
use crate::quantize::Range;
use crate::runner::{ImageRunner, real_values};
use crate::samples::Sample;
use crate::spare_rows::filled;
use crate::verify::LayerComparison;
use std::collections::{BTreeMap, BTreeSet};
use tinfer::session::{Observer, StepDone};
use tinfer::tensor::ElementType;

/// What becomes of an image that tells nothing in some part of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WithoutSignal {
    /// [`CompileError::NoSignal`]
    #[default]
    Refuse,
    /// It is given out, with a warning.
    Warn,
}

/// Inputs of a model, and what it makes of them.
pub(super) struct Witness {
    pub reference: FloatModel,
    /// Samples that the image runs.
    pub inputs: Vec<Vec<NamedArray>>,
    /// Where these are among all samples.
    pub telling: Vec<usize>,
    /// The model's outputs for all samples.
    pub expected: Vec<Vec<Array>>,
}

impl Witness {
    /// Random inputs all over the steps that the image has for them, for a model that is quantized already.
    ///
    /// # Errors
    /// What the model says to them.
    pub fn of_random_inputs(imported: &Imported, simplified: &Graph, image: &Graph) -> Result<Self, CompileError> {
        let mut random = Random::default();
        let affordable = (MOST_MACS / 8) / simplified.macs().max(1);
        let n = (affordable as usize).clamp(1, MOST_RANDOM);
        let samples: Vec<Sample> =
            (0..n).map(|_| random.sample(&imported.inputs, |input| range(image, &input.name))).collect();
        let reference = FloatModel::open(imported, Some(simplified), &samples[..1])?;
        let run = |sample: &Sample| {
            let outputs = reference.run_with_taps(&sample.inputs, &mut |_, _| {})?;
            Ok(outputs.into_iter().map(|o| o.array).collect())
        };
        let expected = samples.iter().map(run).collect::<Result<_, CompileError>>()?;
        let inputs = samples.into_iter().map(|sample| sample.inputs).collect();
        Ok(Witness { reference, telling: (0..n).collect(), inputs, expected })
    }

    /// Compares the image with the model, and looks for the layer in which a part without signal lost it: in the graph that
    /// the image was made of, before channels without signal were taken out.
    ///
    /// # Errors
    /// [`CompileError::NoSignal`], unless a warning is asked for; what the runtime says.
    pub fn judge(
        &self,
        imported: &Imported,
        image: &AlignedBytes,
        untrimmed: &Graph,
        without: WithoutSignal,
    ) -> Result<Option<String>, CompileError> {
        let mut runner = ImageRunner::new(image)?;
        let outputs = untrimmed.outputs.iter().enumerate();
        let slices =
            |(i, port): (usize, &Port)| Slices::new(Parts::of(untrimmed, port.tensor)).in_steps(runner.output_step(i));
        let mut slices: Vec<Slices> = outputs.map(slices).collect();
        for expected in &self.expected {
            slices.iter_mut().zip(expected).for_each(|(slices, expected)| slices.expect(expected));
        }
        for (inputs, &idx) in self.inputs.iter().zip(&self.telling) {
            let expected = &self.expected[idx];
            let inputs: Vec<Array> = inputs.iter().map(|i| i.array.clone()).collect();
            for ((slices, expected), found) in slices.iter_mut().zip(expected).zip(runner.run(&inputs)?) {
                slices.add(&filled(expected.clone(), &found.shape), &found);
            }
        }
        let lost = slices.iter().map(Slices::all).enumerate().find_map(|(i, all)| {
            let lost: Vec<Slice> = all.into_iter().filter(|s| !s.has_signal).collect();
            (!lost.is_empty()).then_some((i, lost))
        });
        let Some((i, lost)) = lost else { return Ok(None) };
        let output = imported.outputs[i].name.clone();
        let others = if lost.len() > 1 { format!(", and {} more parts", lost.len() - 1) } else { String::new() };
        let part = format!("{} ({:.1} dB{others})", lost[0], lost[0].sqnr_db);
        let layer = self.layer_that_loses(imported, untrimmed, &output)?;
        let refusal = CompileError::NoSignal { output, part, layer, remedy: NO_REMEDY.into() };
        match without {
            WithoutSignal::Refuse => Err(refusal),
            WithoutSignal::Warn => Ok(Some(refusal.to_string())),
        }
    }

    /// The layer nearest to the inputs that has lost a part, on the way to an output that has.
    fn layer_that_loses(
        &self,
        imported: &Imported,
        untrimmed: &Graph,
        output: &str,
    ) -> Result<Option<String>, CompileError> {
        // What has lost all that it tells is constant, and trimmed from the image.
        let packed = pack(untrimmed, &plan(untrimmed, &|_, _| Chosen::PORTABLE), &PackOptions::default())?;
        let mut runner = ImageRunner::new(&packed.bytes)?;
        let layers = runner.layers();
        let mut watch = Watch { layers: LayerComparison::new(&runner), slices: BTreeMap::new() };
        for inputs in &self.inputs {
            LayerComparison::run_reference(&mut [&mut watch.layers], &self.reference, inputs)?;
            let inputs: Vec<Array> = inputs.iter().map(|i| i.array.clone()).collect();
            runner.run_observed(&inputs, &mut watch)?;
        }
        // Whether each ONNX tensor that is compared has lost a part.
        let mut is_lost: BTreeMap<&str, bool> = BTreeMap::new();
        for (&step, slices) in &watch.slices {
            let Some(origin) = layers.get(step).and_then(|l| l.origin.as_ref()) else { continue };
            let lost = slices.worst().is_some_and(|worst| !worst.has_signal);
            *is_lost.entry(&origin.name).or_default() |= lost;
        }
        let mut tensor = output;
        let mut seen = BTreeSet::new();
        while let Some(before) = nearest_lost(imported, &is_lost, tensor, &mut seen) {
            tensor = before;
        }
        let node = imported.nodes.iter().find(|n| n.outputs.iter().any(|o| o == tensor));
        Ok(node.map(|node| match &*node.name {
            "" => format!("the {} that computes {tensor}", node.operator),
            name => format!("node '{name}' ({})", node.operator),
        }))
    }
}

/// A tensor that `tensor` is computed of, has lost a part, and has none like it between.
fn nearest_lost<'i>(
    imported: &'i Imported,
    is_lost: &BTreeMap<&str, bool>,
    tensor: &str,
    seen: &mut BTreeSet<&'i str>,
) -> Option<&'i str> {
    let node = imported.nodes.iter().find(|n| n.outputs.iter().any(|o| o == tensor))?;
    for input in &node.inputs {
        if !seen.insert(input) {
            continue;
        }
        match is_lost.get(&**input) {
            Some(true) => return Some(input),
            Some(false) => {}
            None => {
                if let Some(found) = nearest_lost(imported, is_lost, input, seen) {
                    return Some(found);
                }
            }
        }
    }
    None
}

struct Watch {
    layers: LayerComparison,
    slices: BTreeMap<usize, Slices>,
}

impl Observer for Watch {
    fn step_done(&mut self, step: &StepDone<'_>) {
        let Some((tensor, bytes)) = step.output(0) else { return };
        let Some(found) = real_values(&tensor, bytes) else { return };
        let index = step.index as usize;
        let Some(expected) = self.layers.reference_values(index, &tensor.quantization) else { return };
        if expected.len() != found.len() {
            return;
        }
        let shape: Vec<usize> = tensor.shape.dims().iter().map(|&d| d as usize).collect();
        self.slices.entry(index).or_default().add_values(&shape, &expected, &found);
    }
}

/// The real values that the image's steps of an input cover.
fn range(image: &Graph, input: &str) -> Option<Range> {
    let port = image.inputs.iter().find(|p| p.name == input)?;
    let tensor = image.tensor(port.tensor);
    let is_int8 = tensor.element_type == ElementType::I8;
    tensor.quantization.as_ref().filter(|_| is_int8).map(Range::of_quantization)
}

/// What may help where nothing was tried.
const NO_REMEDY: &str = "scale the parts of the output in the model";
/// Products that the comparison computes at most: a share of what a conversion computes anyway.
pub(super) const MOST_MACS: u64 = 50_000_000;
/// More samples tell hardly more about a part that has no signal.
pub(super) const MOST_SAMPLES: usize = 32;
/// The same of random inputs.
const MOST_RANDOM: usize = 8;
