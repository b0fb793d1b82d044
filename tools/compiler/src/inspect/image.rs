//! What is in a model image.

use super::PortReport;
use crate::aligned::AlignedBytes;
use crate::cost::{Estimate, WorstStep};
use crate::error::CompileError;
use crate::import::Interface;
use crate::pack::PackedLayer;
use crate::runner::{ImageRunner, LayerDoc};
use crate::target::Target;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use tinfer::image::{Image, Placement, StepView, TensorView, doc};
use tinfer::operators::{self, Operator, StepOperands};

/// Its fields are keys of `tinfer inspect --json`.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    /// `image`.
    pub kind: &'static str,
    /// Model name.
    pub name: String,
    /// Semantic version of the model.
    pub version: String,
    /// Board or instruction set that it was converted for.
    pub target: String,
    /// Instruction set that its weights are packed for.
    pub isa: &'static str,
    /// Format version of the file.
    pub format_version: u16,
    /// Kernel ABI.
    pub kernel_abi: u16,
    /// Inputs.
    pub inputs: Vec<PortReport>,
    /// Outputs.
    pub outputs: Vec<PortReport>,
    /// Steps by kernel.
    pub operators: BTreeMap<&'static str, usize>,
    /// Always: an image is what was supported.
    pub supported: bool,
    /// Always empty.
    pub unsupported: Vec<()>,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Elements of all constants.
    pub parameters: u64,
    /// Length of the file.
    pub image_bytes: usize,
    /// Constants in it.
    pub weights_bytes: usize,
    /// Activations and scratch of a session.
    pub arena_bytes: usize,
    /// State that survives between runs.
    pub state_bytes: usize,
    /// The largest scratch buffer.
    pub scratch_bytes: usize,
    /// Worst-case stack, 0 when unknown.
    pub stack_bytes: usize,
    /// Cost of an inference, when every step has an estimate.
    pub estimate: Option<Estimate>,
    /// The most expensive step, when every step has an estimate: what one call of `Session::step` costs at most.
    pub worst_slice: Option<WorstStep>,
    /// `int8` or `float32`, or `mixed`.
    pub precision: &'static str,
    /// Steps in execution order.
    pub layers: Vec<StepReport>,
    /// Class names.
    pub labels: Vec<String>,
    /// Licence of the model.
    pub licence: Option<String>,
    /// SHA-256 of the ONNX file, in hexadecimal.
    pub onnx_sha256: Option<String>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// What the conversion knew of it, too.
    #[serde(flatten)]
    pub layer: PackedLayer,
    /// Arena bytes of everything that is live during the step.
    pub live_bytes: usize,
}

/// Looks into an image.
///
/// # Errors
/// [`CompileError::NotAnImage`]
pub fn inspect_image(path: &Path, bytes: &AlignedBytes) -> Result<ImageReport, CompileError> {
    let not_an_image = |reason| CompileError::NotAnImage { path: path.display().to_string(), reason };
    let runner = ImageRunner::new(bytes).map_err(not_an_image)?;
    let image = runner.image();
    let manifest = image.manifest();
    let layers = steps(image, &runner.layers());
    let mut operators = BTreeMap::new();
    for layer in &layers {
        *operators.entry(layer.layer.kernel).or_default() += 1;
    }
    let clock_hz = clock_hz(image);
    let text = |key| image.doc(key).map(|b| String::from_utf8_lossy(b).into_owned());
    let [major, minor, revision] = manifest.version;
    let n_tensors = u16::try_from(image.n_tensors()).unwrap_or(u16::MAX);
    let constants =
        (0..n_tensors).filter_map(|i| image.tensor(i)).filter(|t| matches!(t.placement, Placement::Weights(_)));
    let ports = |ports: &[tinfer::image::PortView<'_>]| {
        ports.iter().map(|p| PortReport::from(&Interface::from(p))).collect::<Vec<_>>()
    };
    Ok(ImageReport {
        kind: "image",
        name: manifest.name().to_string(),
        version: format!("{major}.{minor}.{revision}"),
        target: manifest.target().to_string(),
        isa: image.isa().name(),
        format_version: image.header().format_version,
        kernel_abi: image.header().kernel_abi,
        inputs: ports(runner.inputs()),
        outputs: ports(runner.outputs()),
        operators,
        supported: true,
        unsupported: Vec::new(),
        macs: manifest.macs,
        parameters: constants.map(|t| t.shape.n_elements() as u64).sum(),
        image_bytes: bytes.len(),
        weights_bytes: image.weights().len(),
        arena_bytes: image.arena_bytes(),
        state_bytes: manifest.state_bytes as usize,
        scratch_bytes: manifest.scratch_bytes as usize,
        stack_bytes: manifest.stack_bytes as usize,
        estimate: Estimate::of(image, clock_hz),
        worst_slice: WorstStep::of(image, clock_hz),
        precision: precision(&layers),
        layers,
        labels: runner.labels(),
        licence: text(doc::Key::Licence),
        onnx_sha256: image.doc(doc::Key::OnnxDigest).map(|b| b.iter().map(|x| format!("{x:02x}")).collect()),
    })
}

/// The steps of a checked image; `docs` are what it says about them.
pub(crate) fn steps(image: &Image<'_>, docs: &[LayerDoc]) -> Vec<StepReport> {
    let (lifetimes, clock_hz) = (lifetimes(image), clock_hz(image));
    let live = |index: u32| {
        let tensors = lifetimes.iter().filter(|l| l.first <= index && index <= l.last);
        tensors.map(|l| l.n_bytes.next_multiple_of(tinfer::image::ALIGNMENT)).sum::<usize>()
    };
    image
        .steps()
        .map(|step| {
            let output = step.output(0).and_then(|t| image.tensor(t));
            let doc = docs.get(step.index as usize);
            let operator = operators::ALL.iter().find(|o| o.code == step.code);
            let estimate = Estimate::of_step(image, &step, clock_hz);
            let layer = PackedLayer {
                name: doc.map_or_else(|| format!("step {}", step.index), |d| d.name.clone()),
                operator: doc.map(|d| d.operator.clone()).unwrap_or_default(),
                kernel: operator.map_or("unknown", |o| o.name),
                precision: output.map_or("none", |t| t.element_type.name()),
                macs: operator.map_or(0, |o| macs(image, &step, o)),
                arena_offset: output.map_or(0, arena_offset),
                bytes: output.map_or(0, |t| t.n_bytes()),
                instructions_estimate: estimate.map(|e| e.instructions),
                milliseconds_estimate: estimate.and_then(|e| e.milliseconds),
            };
            let scratch_bytes = (step.scratch_bytes as usize).next_multiple_of(tinfer::image::ALIGNMENT);
            StepReport { layer, live_bytes: live(step.index) + scratch_bytes }
        })
        .collect()
}

/// Clock of the board that an image is for.
fn clock_hz(image: &Image<'_>) -> Option<u32> {
    Target::parse(image.manifest().target()).ok().and_then(|target| target.clock_hz())
}

/// The number format of all steps, `mixed` when they differ.
pub(crate) fn precision(layers: &[StepReport]) -> &'static str {
    let mut all = layers.iter().map(|l| l.layer.precision);
    let first = all.next().unwrap_or("none");
    if all.all(|p| p == first) { first } else { "mixed" }
}

/// Work units of operators that multiply are multiply-accumulates; those of others are element visits.
fn macs(image: &Image<'_>, step: &StepView<'_>, operator: &Operator) -> u64 {
    let multiplies = MULTIPLYING.iter().any(|name| operator.name.starts_with(name));
    if multiplies { (operator.check)(&StepOperands::new(image, step)).unwrap_or(0) } else { 0 }
}

/// Memory in the arena that holds one value, whatever the number of tensors that name it.
struct Lifetime {
    offset: usize,
    n_bytes: usize,
    /// First step that needs it.
    first: u32,
    /// Last step that needs it.
    last: u32,
}

/// Inputs live from the start, outputs to the end; what is written again at the same place is one value.
fn lifetimes(image: &Image<'_>) -> Vec<Lifetime> {
    let mut found: Vec<Lifetime> = Vec::new();
    let arena = |index: u16| image.tensor(index).filter(|t| matches!(t.placement, Placement::Arena(_)));
    let mut touch = |tensor: TensorView, step: u32, writes: bool| {
        let (offset, n_bytes) = (arena_offset(tensor), tensor.n_bytes());
        let known = found.iter_mut().rev().find(|l| l.offset == offset && l.n_bytes == n_bytes);
        match known {
            // In place: the operand is overwritten in the step that reads it.
            Some(known) if !writes || known.last == step => known.last = step,
            _ => found.push(Lifetime { offset, n_bytes, first: step, last: step }),
        }
    };
    image.inputs().filter_map(|p| arena(p.tensor)).for_each(|t| touch(t, 0, false));
    let mut end = 0;
    for step in image.steps() {
        end = step.index;
        (0..step.n_inputs()).filter_map(|i| arena(step.input(i)?)).for_each(|t| touch(t, step.index, false));
        (0..step.n_outputs()).filter_map(|i| arena(step.output(i)?)).for_each(|t| touch(t, step.index, true));
    }
    image.outputs().filter_map(|p| arena(p.tensor)).for_each(|t| touch(t, end, false));
    found
}

fn arena_offset(tensor: TensorView) -> usize {
    match tensor.placement {
        Placement::Arena(offset) => offset as usize,
        Placement::Weights(_) => 0,
    }
}

/// Beginnings of the names of operators that multiply and accumulate.
const MULTIPLYING: [&str; 4] = ["conv_2d", "depthwise_conv_2d", "fully_connected", "batch_matmul"];
