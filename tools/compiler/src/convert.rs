//! ONNX file to model image, all stages in order.
//!
//! ```text
//! import -> lower -> simplify -> (calibrate, quantize) -> trim -> plan -> pack -> check against the target
//! ```

mod agreement;
mod auto;
mod bounded;
mod budget;
mod calibration;
mod dump;
mod gate;
mod methods;
mod parts;
mod random;
mod real_layers;
mod relative;
mod remedy;
mod roomy;
mod score;

pub use agreement::Agreement;
pub use auto::{Floor, Raised};
pub use budget::CostLimits;
pub use calibration::AccuracyTools;
pub use gate::WithoutSignal;
pub use methods::Method;

use crate::aligned::AlignedBytes;
use crate::choose::{self, Winograd};
use crate::cost::{Estimate, WorstStep};
use crate::error::CompileError;
use crate::float_model::FloatModel;
use crate::graph::Graph;
use crate::import::{ImportOptions, Imported, import};
use crate::lower::lower;
use crate::model_toml::ModelToml;
use crate::pack::{PackOptions, Packed, PackedLayer, pack};
use crate::passes::{Simplified, StayingTranspose, simplify};
use crate::plan::{Planned, Proof, Sliced, Streamed, plan, plan_in_strips};
use crate::quantize::{
    Corrections, EqualisedPair, Level, Precisions, QuantizeError, QuantizeOptions, RangeMethod, Ranges, WeightFormat,
    WithoutRange, fake_quantized, is_quantized, quantize, real_weights, without_steps,
};
use crate::runner::shape;
use crate::samples::{Samples, load_samples};
use crate::target::Target;
use crate::trim::{ConstantChannels, TrimReport, Trimmed, trim_for};
use crate::whole_file::write_whole;
use auto::{Choice, Search};
use budget::Budget;
use calibration::Calibration;
use gate::Witness;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tinfer::image::Image;
use tinfer::isa::Isa;
use tinfer_build::Requirements;

/// Number format of an image's activations and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Quantized, needs calibration.
    Int8,
    /// As in the ONNX file.
    Float32,
    /// Activations int16, weights int8.
    Int16x8,
    /// int8, and more where a [`Floor`] asks for it.
    Auto,
}

impl Precision {
    /// The precision of this name.
    ///
    /// # Errors
    /// [`CompileError::NotAvailable`], which says what there is.
    pub fn parse(name: &str) -> Result<Self, CompileError> {
        match name {
            "int8" => Ok(Precision::Int8),
            "float32" => Ok(Precision::Float32),
            "int16x8" => Ok(Precision::Int16x8),
            "auto" => Ok(Precision::Auto),
            _ => Err(CompileError::NotAvailable {
                what: format!("precision '{name}'"),
                instead: "choose int8, int16x8, float32 or auto".into(),
            }),
        }
    }

    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Int8 => "int8",
            Precision::Float32 => "float32",
            Precision::Int16x8 => "int16x8",
            Precision::Auto => "auto",
        }
    }
}

/// How ranges follow from calibration samples, by the name that the command line has for it; `None` for the method that
/// gives most.
///
/// # Errors
/// [`CompileError::NotAvailable`], which lists the names.
pub fn calibration_method(name: &str) -> Result<Option<RangeMethod>, CompileError> {
    match RangeMethod::ALL.into_iter().find(|method| method.name() == name) {
        None if name != "best" => Err(CompileError::NotAvailable {
            what: format!("calibration method '{name}'"),
            instead: "choose best, minmax, percentile, entropy or mse".into(),
        }),
        found => Ok(found),
    }
}

/// What to convert, and how.
#[derive(Clone, Debug)]
pub struct ConvertRequest {
    /// The ONNX file.
    pub model: PathBuf,
    /// Numbers of free dimensions.
    pub import: ImportOptions,
    /// What it will run on.
    pub target: Target,
    /// Number format.
    pub precision: Precision,
    /// Calibration samples; without them those that `model.toml` beside the model names.
    pub calibration: Option<PathBuf>,
    /// How ranges follow from them; without it in the way that gives most on these samples.
    pub method: Option<RangeMethod>,
    /// What else is done for the accuracy of quantized layers.
    pub tools: AccuracyTools,
    /// What becomes of channels that no input changes, or that nothing reads.
    pub constant_channels: ConstantChannels,
    /// The most instructions that a step may cost, by estimate: layers above it run in slices of rows.
    pub most_slice_instructions: Option<u64>,
    /// Which convolutions may spend flash on fewer instructions.
    pub winograd: Winograd,
    /// The most that an inference may cost.
    pub limits: CostLimits,
    /// Steps of the weights of layers on int8.
    pub weights: WeightFormat,
    /// Whether tract is asked what it makes of the file, where no calibration asks it anyway.
    pub agreement: Agreement,
    /// What becomes of an image that tells nothing in some part of an output.
    pub without_signal: WithoutSignal,
}

impl ConvertRequest {
    /// A conversion as the command line makes it when nothing else is said.
    pub fn new(model: impl Into<PathBuf>, target: Target, precision: Precision) -> Self {
        ConvertRequest {
            model: model.into(),
            import: ImportOptions::default(),
            target,
            precision,
            calibration: None,
            method: None,
            tools: AccuracyTools::default(),
            constant_channels: ConstantChannels::Remove,
            most_slice_instructions: None,
            winograd: Winograd::Never,
            limits: CostLimits::default(),
            weights: WeightFormat::Int8,
            agreement: Agreement::Checked,
            without_signal: WithoutSignal::default(),
        }
    }
}

/// How far a long task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: &'static str,
    /// Units that are done.
    pub done: usize,
    /// Units in all.
    pub total: usize,
}

/// A stage whose result can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The ONNX file as it was understood.
    Imported,
    /// Nodes of our own.
    Graph,
    /// After all passes.
    Simplified,
    /// With element types and scales.
    Quantized,
    /// Without constant and unread channels.
    Trimmed,
    /// With addresses.
    Planned,
}

impl Stage {
    /// All of them, in their order, with their names on the command line.
    pub const ALL: [(&'static str, Stage); 6] = [
        ("imported", Stage::Imported),
        ("graph", Stage::Graph),
        ("simplified", Stage::Simplified),
        ("quantized", Stage::Quantized),
        ("trimmed", Stage::Trimmed),
        ("planned", Stage::Planned),
    ];
}

/// An image and everything worth telling about it.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The image.
    pub image: AlignedBytes,
    /// Its costs and layers.
    pub report: ConvertReport,
    /// The arena over time, as text.
    pub memory_map: String,
}

/// Costs and layers of an image; its fields are keys of `tinfer convert --json`.
#[derive(Clone, Debug, Serialize)]
pub struct ConvertReport {
    /// Length of the image file.
    pub image_bytes: usize,
    /// Constants in it.
    pub weights_bytes: usize,
    /// Activations and scratch of a session.
    pub arena_bytes: usize,
    /// The board's memory that they are in: the fastest one with room. `None` when the target is not a board.
    pub arena_memory: Option<String>,
    /// The largest sum of what is live at once: no arena can be smaller.
    pub arena_lower_bound_bytes: usize,
    /// Whether the arena is proven to be as small as it can be for this order of steps.
    pub arena_proven_optimal: bool,
    /// State that survives between runs.
    pub state_bytes: usize,
    /// The largest scratch buffer, part of the arena.
    pub scratch_bytes: usize,
    /// Worst-case stack of a run, 0 when it is unknown.
    pub stack_bytes: usize,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// The same by number format.
    pub macs_by_precision: BTreeMap<&'static str, u64>,
    /// Cost of an inference, when every step has an estimate.
    pub estimate: Option<Estimate>,
    /// The most expensive step, when every step has an estimate: what one call of `Session::step` costs at most.
    pub worst_slice: Option<WorstStep>,
    /// Number format.
    pub precision: &'static str,
    /// Board or instruction set.
    pub target: String,
    /// Samples that the ranges come from, 0 for float32.
    pub calibration_samples: usize,
    /// What vouches for the float values of the model, and gave the ranges: `tract`, which agrees with tinfer's float
    /// graph, or `tinfer` where tract does not; `None` where neither could be asked.
    pub reference: Option<&'static str>,
    /// How ranges followed from them.
    pub calibration_method: Option<&'static str>,
    /// The steps of the plan.
    pub layers: Vec<PackedLayer>,
    /// Channels that were taken out; `None` when they were to be kept.
    pub constant_channels: Option<TrimReport>,
    /// Layers that run in strips of rows to save memory.
    pub streamed: Vec<Streamed>,
    /// Layers that run in slices of rows to bound what a step costs.
    pub sliced: Vec<Sliced>,
    /// Transposes that run on the board.
    pub transposes: Vec<TransposeReport>,
    /// Layers that compute in more than was asked for, and why.
    pub raised: Vec<Raised>,
    /// Layers whose channels were balanced.
    pub equalised: Vec<EqualisedPair>,
    /// Ways to quantize the model side by side; `None` when they were not asked for.
    pub methods: Option<Vec<Method>>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// A transpose that stays.
#[derive(Clone, Debug, Serialize)]
pub struct TransposeReport {
    /// Node name.
    pub node: String,
    /// ONNX operator that it came from.
    pub onnx: String,
    /// Its permutation.
    pub permutation: Vec<usize>,
    /// Shape of its result.
    pub shape: Vec<usize>,
    /// Why it stays.
    pub reason: String,
}

impl From<&StayingTranspose> for TransposeReport {
    fn from(stays: &StayingTranspose) -> Self {
        let StayingTranspose { node, onnx, permutation, shape, reason } = stays.clone();
        TransposeReport { node, onnx, permutation, shape, reason }
    }
}

impl Converted {
    /// Writes the image: all of it, or nothing.
    ///
    /// # Errors
    /// [`CompileError::File`]
    pub fn write(&self, path: &Path) -> Result<(), CompileError> {
        write_whole(path, &self.image)
    }
}

/// Converts a model.
///
/// # Errors
/// What the first stage says that cannot go on; [`CompileError::DoesNotFit`] when the image is larger than its board,
/// [`CompileError::TooSlow`] when an inference costs more than it may.
pub fn convert(request: &ConvertRequest, progress: &mut dyn FnMut(Progress)) -> Result<Converted, CompileError> {
    converted(request, &Stages::run(request, Stage::Planned, progress)?, progress)
}

/// The image of the last stage, if it may be given out.
fn converted(
    request: &ConvertRequest,
    stages: &Stages,
    progress: &mut dyn FnMut(Progress),
) -> Result<Converted, CompileError> {
    let (Some(simplified), Some(finished)) = (&stages.simplified, &stages.finished) else {
        unreachable!("all stages ran")
    };
    progress(Progress { stage: "packing", done: 0, total: 1 });
    let options = pack_options(request, &stages.about, &stages.imported)?;
    let budget = Budget::new(request, options.clone())?;
    let (packed, planned) = finished.pack(request, &options)?;
    let mut report = report(request, stages, simplified, finished, &planned, &packed);
    let without = packed.layers.iter().filter(|l| l.instructions_estimate.is_none()).map(|l| l.kernel);
    let without: Vec<&str> = without.collect::<BTreeSet<_>>().into_iter().collect();
    report.warnings.extend(budget.unknown(report.estimate, &without));
    if let Some(excess) = budget.too_slow(report.estimate) {
        return Err(CompileError::TooSlow { excess });
    }
    let memory = request.target.check_fit(&Requirements {
        image_bytes: report.image_bytes as u64,
        arena_bytes: report.arena_bytes as u64,
        stack_bytes: report.stack_bytes as u64,
        state_bytes: report.state_bytes as u64,
    })?;
    report.arena_memory = memory.map(str::to_owned);
    progress(Progress { stage: "packing", done: 1, total: 1 });
    report.warnings.extend(stages.judge(request, &finished.graph, &packed.bytes)?);
    Ok(Converted { image: packed.bytes, report, memory_map: planned.memory_map(&finished.graph).to_string() })
}

/// What a stage made of the model, as JSON.
///
/// # Errors
/// As [`convert`], of the stages up to this one.
pub fn stop_after(
    request: &ConvertRequest,
    stage: Stage,
    progress: &mut dyn FnMut(Progress),
) -> Result<serde_json::Value, CompileError> {
    let stages = Stages::run(request, stage, progress)?;
    Ok(match (&stages.graph, &stages.finished) {
        (_, Some(finished)) => dump::planned(&finished.graph, &finished.planned),
        (Some(graph), None) => dump::graph(graph),
        (None, None) => dump::imported(&stages.imported),
    })
}

/// Results of the stages that ran.
struct Stages {
    about: Option<ModelToml>,
    imported: Imported,
    simplified: Option<Simplified>,
    /// What the last stage but planning made.
    graph: Option<Graph>,
    finished: Option<Finished>,
    n_samples: usize,
    method: Option<RangeMethod>,
    raised: Vec<Raised>,
    equalised: Vec<EqualisedPair>,
    methods: Option<Vec<Method>>,
    /// What is to be said of the float model that calibration ran.
    reference_warning: Option<String>,
    /// What ran it.
    reference: Option<&'static str>,
    /// Whether it is float32, whatever was asked for, because nothing says which steps a quantized file has.
    is_real: bool,
    /// The graph before channels were taken out of it.
    untrimmed: Option<Graph>,
    /// What is to be said of a result that is far from the model's.
    remedy: Option<String>,
    /// What the image must show before it is given out.
    witness: Option<Witness>,
}

impl Stages {
    fn run(request: &ConvertRequest, last: Stage, progress: &mut dyn FnMut(Progress)) -> Result<Self, CompileError> {
        progress(Progress { stage: "reading", done: 0, total: 1 });
        let imported = import(&request.model, &request.import)?;
        let about = ModelToml::beside(&request.model)?;
        Self::of(request, imported, about, last, progress)
    }

    /// The stages of a model that was read.
    fn of(
        request: &ConvertRequest,
        imported: Imported,
        about: Option<ModelToml>,
        last: Stage,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, CompileError> {
        let mut stages = Stages {
            about,
            imported,
            simplified: None,
            graph: None,
            finished: None,
            n_samples: 0,
            method: None,
            raised: Vec::new(),
            equalised: Vec::new(),
            methods: None,
            reference_warning: None,
            reference: None,
            is_real: false,
            untrimmed: None,
            remedy: None,
            witness: None,
        };
        if last == Stage::Imported {
            return Ok(stages);
        }
        let lowered = lower(&stages.imported)?;
        if last == Stage::Graph {
            stages.graph = Some(lowered);
            return Ok(stages);
        }
        let simplified = simplify(lowered);
        let mut graph = simplified.graph.clone();
        stages.simplified = Some(simplified);
        if last >= Stage::Quantized && request.precision == Precision::Float32 && is_quantized(&graph) {
            graph = fake_quantized(graph).ok_or_else(|| CompileError::NotAvailable {
                what: "precision float32 for a model whose output has steps of unknown size".into(),
                instead: "convert it with --precision int8, which keeps its scales".into(),
            })?;
        }
        if request.weights != WeightFormat::Int8 && matches!(request.precision, Precision::Float32 | Precision::Int16x8)
        {
            return Err(CompileError::NotAvailable {
                what: format!("int4 weights in precision {}", request.precision.name()),
                instead: "int4 weights meet int8 activations: choose --precision int8 or auto".into(),
            });
        }
        if last >= Stage::Quantized && request.precision != Precision::Float32 {
            graph = stages.quantize(request, graph, progress)?;
        }
        if last == Stage::Planned && stages.reference.is_none() {
            stages.ask_reference(request);
        }
        match last {
            Stage::Planned => {
                stages.untrimmed = Some(graph.clone());
                stages.finished = Some(finish(request, graph)?);
            }
            Stage::Trimmed => stages.graph = Some(trimmed(request, graph)?.0),
            _ => stages.graph = Some(graph),
        }
        Ok(stages)
    }

    /// Says what vouches for the float graph, where no calibration has asked.
    fn ask_reference(&mut self, request: &ConvertRequest) {
        let Some(simplified) = &self.simplified else { return };
        let samples = self.calibration_samples(request).ok();
        if let Some(model) = agreement::of(request, &self.imported, &simplified.graph, samples.as_ref()) {
            self.reference_warning = model.warning();
            self.reference = Some(model.name());
        }
    }

    fn quantize(
        &mut self,
        request: &ConvertRequest,
        graph: Graph,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Graph, CompileError> {
        let options = QuantizeOptions { weights: request.weights, ..QuantizeOptions::default() };
        let mut graph = graph;
        if is_quantized(&graph) && request.precision != Precision::Int8 {
            graph = without_steps(graph).ok_or_else(|| CompileError::NotAvailable {
                what: format!("precision {} for a model whose inputs or outputs are int8", request.precision.name()),
                instead: "convert it with --precision int8, which keeps its scales".into(),
            })?;
        }
        if is_quantized(&graph) {
            match quantize(graph.clone(), &Ranges::default(), &options) {
                Err(QuantizeError::Partly { .. }) if request.calibration.is_some() => {}
                Err(QuantizeError::Partly { .. } | QuantizeError::WeightSteps { .. }) => {
                    let options = QuantizeOptions { without_range: WithoutRange::Float32, ..options };
                    return Ok(quantize(graph, &Ranges::default(), &options)?);
                }
                finished => return Ok(finished?),
            }
        }
        let samples = match self.calibration_samples(request) {
            Err(CompileError::NoCalibration { .. }) if self.imported.unplaced.is_some() => {
                self.is_real = true;
                return Ok(graph);
            }
            samples => samples?,
        };
        let reference = FloatModel::open(&self.imported, Some(&graph), &samples.ends()?)?;
        self.reference_warning = reference.warning();
        self.reference = Some(reference.name());
        let calibration = Calibration { reference: &reference, samples: &samples };
        let plain = graph.clone();
        let calibrated = calibration.run(graph, request.tools, progress)?;
        self.n_samples = samples.len();
        self.equalised = calibrated.equalised.pairs.clone();
        let options = QuantizeOptions { corrections: calibrated.corrections.clone(), ..options };
        progress(Progress { stage: "quantizing", done: 0, total: 1 });
        let search = Search { calibrated: &calibrated, samples: &samples, isa: request.target.isa()? };
        let method = match request.method {
            Some(method) => method,
            None => search.best_method(&options, progress)?,
        };
        self.method = Some(method);
        let options = QuantizeOptions { method, ..options };
        let precisions = match request.precision {
            Precision::Auto => {
                let budget = Budget::new(request, pack_options(request, &self.about, &self.imported)?)?;
                search.choose(&options, &request.tools.floor, &budget, progress)?
            }
            Precision::Int16x8 => search.spare_relative(Choice::all(Level::Int16), &options)?,
            Precision::Int8 | Precision::Float32 => search.spare_relative(Choice::default(), &options)?,
        };
        let spared = search.spare_parts(precisions, &options)?;
        let precisions = spared.choice.clone();
        let options = QuantizeOptions { precisions: precisions.precisions, ..options };
        if request.tools.compare_methods {
            let mut methods = Vec::new();
            if request.tools.equalise {
                // Without, for comparison: other ranges follow from the same samples.
                let calibrated = calibration.run(plain.clone(), AccuracyTools::default(), progress)?;
                let options = QuantizeOptions { corrections: Corrections::default(), ..options.clone() };
                let options = QuantizeOptions { precisions: Precisions::default(), ..options };
                methods = Search { calibrated: &calibrated, ..search }.methods("", &options, progress)?;
            }
            let title = if request.tools.equalise { "equalised " } else { "" };
            methods.extend(search.methods(title, &options, progress)?);
            self.methods = Some(methods);
        }
        self.raised = precisions.raised;
        self.remedy = match spared.sqnr_db < remedy::ENOUGH_DB {
            true => Some(search.remedy(&options, &spared, request, &calibration, plain, progress)?),
            false => None,
        };
        let telling = search.telling(search.n_samples(gate::MOST_MACS).min(gate::MOST_SAMPLES));
        let graph = quantize(calibrated.graph, &calibrated.ranges, &options)?;
        let inputs = telling.iter().map(|&idx| Ok(samples.get(idx)?.inputs)).collect::<Result<_, CompileError>>()?;
        let expected = calibrated.expected;
        self.witness = Some(Witness { reference, inputs, telling, expected });
        Ok(graph)
    }

    /// What is to be said of the image's results, beside those of the model.
    ///
    /// # Errors
    /// [`CompileError::NoSignal`]
    fn judge(
        &self,
        request: &ConvertRequest,
        graph: &Graph,
        image: &AlignedBytes,
    ) -> Result<Option<String>, CompileError> {
        let own;
        let witness = match (&self.witness, &self.simplified) {
            (Some(witness), _) => witness,
            (None, Some(simplified)) if is_quantized(&simplified.graph) => {
                match Witness::of_random_inputs(&self.imported, &simplified.graph, graph) {
                    Ok(witness) => {
                        own = witness;
                        &own
                    }
                    Err(reason) => return Ok(Some(format!("the image was not compared with the model: {reason}"))),
                }
            }
            _ => return Ok(None),
        };
        let judged =
            witness.judge(&self.imported, image, self.untrimmed.as_ref().unwrap_or(graph), request.without_signal);
        match (judged, &self.remedy) {
            (Err(CompileError::NoSignal { output, part, layer, .. }), Some(remedy)) => {
                Err(CompileError::NoSignal { output, part, layer, remedy: remedy.clone() })
            }
            (judged, _) => judged,
        }
    }

    fn calibration_samples(&self, request: &ConvertRequest) -> Result<Samples, CompileError> {
        let beside = self.about.as_ref().and_then(|a| a.calibration.clone());
        let Some(path) = request.calibration.clone().or(beside) else {
            let inputs: Vec<String> =
                self.imported.inputs.iter().map(|i| format!("{} {:?}", i.name, i.shape)).collect();
            let model = request.model.display().to_string();
            return Err(CompileError::NoCalibration { model, inputs: inputs.join(", ") });
        };
        let none = Default::default();
        let preprocess = self.about.as_ref().map_or(&none, |a| &a.preprocess);
        let labels = self.about.as_ref().map_or(&[][..], |a| &a.labels);
        Ok(load_samples(&path, &self.imported.inputs, preprocess, labels)?)
    }
}

/// A graph as it is packed.
struct Finished {
    graph: Graph,
    trimmed: Option<TrimReport>,
    planned: Planned,
    streamed: Vec<Streamed>,
    sliced: Vec<Sliced>,
}

impl Finished {
    /// The image and its plan, with the convolutions for which the board has room.
    fn pack(&self, request: &ConvertRequest, options: &PackOptions) -> Result<(Packed, Planned), CompileError> {
        match roomy::pack_winograd(request, &self.graph, &self.planned, options)? {
            Some(roomy) => Ok(roomy),
            None => Ok((pack(&self.graph, &self.planned, options)?, self.planned.clone())),
        }
    }
}

/// What follows quantization: trim, plan.
fn finish(request: &ConvertRequest, graph: Graph) -> Result<Finished, CompileError> {
    let (graph, trimmed) = trimmed(request, graph)?;
    let graph = choose::rows_as_pixels(&graph, request.target.isa()?);
    let choose = choose::for_weights(request.target.isa()?, request.weights);
    let (graph, mut planned, streamed) = plan_in_strips(graph, &choose);
    let (graph, sliced) = bounded::bounded(request, graph)?;
    if !sliced.is_empty() {
        planned = plan(&graph, &choose);
    }
    Ok(Finished { graph, trimmed, planned, streamed, sliced })
}

fn trimmed(request: &ConvertRequest, graph: Graph) -> Result<(Graph, Option<TrimReport>), CompileError> {
    if request.constant_channels == ConstantChannels::Keep {
        return Ok((graph, None));
    }
    let isa = request.target.isa()?;
    let Trimmed { graph, report } = trim_for(&graph, |graph| instructions(graph, isa));
    Ok((graph, Some(report)))
}

/// Estimated instructions of an inference; `None` where there is no estimate.
fn instructions(graph: &Graph, isa: Isa) -> Option<u64> {
    let options = PackOptions { isa: Some(isa), ..PackOptions::default() };
    let packed = pack(graph, &plan(graph, &choose::for_isa(isa)), &options).ok()?;
    Some(Estimate::of(&Image::check(&packed.bytes).ok()?, None)?.instructions)
}

fn pack_options(
    request: &ConvertRequest,
    about: &Option<ModelToml>,
    imported: &Imported,
) -> Result<PackOptions, CompileError> {
    let mut options = PackOptions {
        target: request.target.name().to_string(),
        isa: Some(request.target.isa()?),
        clock_hz: request.target.clock_hz(),
        onnx_digest: Some(imported.sha256),
        real_types: imported.real_types.clone(),
        ..PackOptions::default()
    };
    if let Some(about) = about {
        options.version = about.version;
        options.labels = about.labels.clone();
        options.licence = about.licence.clone();
        options.preprocess = about.preprocess.clone();
    }
    Ok(options)
}

fn report(
    request: &ConvertRequest,
    stages: &Stages,
    simplified: &Simplified,
    finished: &Finished,
    planned: &Planned,
    packed: &Packed,
) -> ConvertReport {
    let image = Image::check(&packed.bytes).ok();
    let manifest = image.as_ref().map(|i| *i.manifest());
    ConvertReport {
        image_bytes: packed.bytes.len(),
        weights_bytes: packed.weights_bytes,
        arena_bytes: planned.arena_bytes,
        arena_memory: None,
        arena_lower_bound_bytes: planned.lower_bound_bytes,
        arena_proven_optimal: planned.proof == Proof::Optimal,
        state_bytes: manifest.map_or(0, |m| m.state_bytes as usize),
        scratch_bytes: planned.scratch_bytes(),
        stack_bytes: manifest.map_or(0, |m| m.stack_bytes as usize),
        macs: packed.layers.iter().map(|l| l.macs).sum(),
        macs_by_precision: real_layers::macs_by_precision(&finished.graph),
        estimate: image.as_ref().and_then(|i| Estimate::of(i, request.target.clock_hz())),
        worst_slice: image.as_ref().and_then(|i| WorstStep::of(i, request.target.clock_hz())),
        precision: if stages.is_real { Precision::Float32 } else { request.precision }.name(),
        target: request.target.name().to_string(),
        calibration_samples: stages.n_samples,
        reference: stages.reference,
        calibration_method: stages.method.map(RangeMethod::name),
        layers: packed.layers.clone(),
        constant_channels: finished.trimmed.clone(),
        streamed: finished.streamed.clone(),
        sliced: finished.sliced.clone(),
        transposes: simplified.report.transposes.iter().map(TransposeReport::from).collect(),
        raised: stages.raised.clone(),
        equalised: stages.equalised.clone(),
        methods: stages.methods.clone(),
        warnings: warnings(request, stages, &finished.graph, packed),
    }
}

fn warnings(request: &ConvertRequest, stages: &Stages, graph: &Graph, packed: &Packed) -> Vec<String> {
    let mut warnings = Vec::from_iter(stages.reference_warning.clone());
    warnings.extend(stages.remedy.clone());
    let simplified = stages.simplified.as_ref().map(|s| &s.graph).filter(|g| is_quantized(g));
    let real = simplified.map(real_weights).unwrap_or_default();
    if let Some(first) = real.first() {
        let n = real.len();
        warnings.push(format!("{n} layers have float32 weights in a quantized model ({first}): they become int8"));
    }
    if let Some(reason) = stages.imported.unplaced.filter(|_| stages.is_real) {
        warnings.push(format!("the image is float32: {reason}, and there are no samples: --calibration makes steps"));
    }
    let wanted = match request.precision {
        _ if stages.is_real => None,
        Precision::Int8 => Some(Level::Int8),
        Precision::Int16x8 => Some(Level::Int16),
        Precision::Auto | Precision::Float32 => None,
    };
    if let Some(wanted) = wanted {
        warnings.extend(real_layers::sentences(graph, wanted, &stages.raised));
    }
    if (1..FEW_SAMPLES).contains(&stages.n_samples) {
        let n = stages.n_samples;
        warnings
            .push(format!("{n} calibration samples are few: ranges of unseen inputs may be cut off; use 100 or more"));
    }
    if let Some(most) = request.most_slice_instructions {
        let above = packed.layers.iter().filter_map(|l| Some((l.instructions_estimate?, &l.name)));
        if let Some((n, layer)) = above.filter(|&(n, _)| n > most).max() {
            warnings
                .push(format!("{layer} takes {n} instructions in one step, more than {most}: it has no smaller rows"));
        }
    }
    let Some(about) = &stages.about else { return warnings };
    let Ok(image) = Image::check(&packed.bytes) else { return warnings };
    for name in about.preprocess.keys().filter(|name| !image.inputs().any(|p| p.name == **name)) {
        warnings.push(format!("model.toml has [preprocess.{name}], but the model has no input {name}"));
    }
    let n_labels = about.labels.len();
    if n_labels > 0 && !image.outputs().any(|p| shape(&p).iter().product::<usize>() == n_labels) {
        warnings.push(format!("model.toml names {n_labels} classes, but no output has so many elements"));
    }
    warnings
}

#[cfg(test)]
mod tests;

/// Fewer samples than this are worth a warning.
const FEW_SAMPLES: usize = 20;
