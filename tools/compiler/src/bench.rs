//! What an image costs, layer by layer.

use crate::aligned::AlignedBytes;
use crate::array::{Array, ArrayData};
use crate::error::CompileError;
use crate::inspect::steps;
use crate::runner::{ImageRunner, shape};
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use tinfer::image::PortView;
use tinfer::session::{Observer, StepDone};
use tinfer::tensor::ElementType;

/// Cost of an image; its fields are keys of `tinfer bench --json`.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// Where it ran.
    pub on: String,
    /// Cost of one inference on a device, the step loop included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// The same per multiply-accumulate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_per_mac: Option<f64>,
    /// The most that one step cost on a device: what one call of `Session::step` took at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_slice: Option<u64>,
    /// What the device counts: `instructions` or `cycles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// Fastest inference on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nanoseconds: Option<u64>,
    /// Runs that the fastest was chosen from.
    pub runs: usize,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Steps in execution order.
    pub layers: Vec<BenchLayer>,
}

/// Cost of one step.
#[derive(Clone, Debug, Serialize)]
pub struct BenchLayer {
    /// Node name.
    pub name: String,
    /// ONNX operators that it came from.
    pub operator: String,
    /// Operator of the plan.
    pub kernel: &'static str,
    /// Multiply-accumulates.
    pub macs: u64,
    /// On a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<u64>,
    /// What was expected there before it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions_estimate: Option<u64>,
    /// Fastest on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nanoseconds: Option<u64>,
}

/// What a device reports: one whole run, and each step of another.
#[derive(Clone, Debug)]
pub struct DeviceCost {
    /// What is counted.
    pub unit: &'static str,
    /// A run without taps.
    pub run: u64,
    /// Each step.
    pub steps: Vec<u64>,
}

/// Times an image on this machine.
///
/// # Errors
/// [`CompileError::NotAnImage`]
pub fn bench_host(path: &Path, bytes: &AlignedBytes) -> Result<BenchReport, CompileError> {
    let mut runner = open(path, bytes)?;
    let inputs = inputs(&runner);
    let mut fastest = Stopwatch::default();
    let (mut best_run, mut runs) = (Duration::MAX, 0);
    let start = Instant::now();
    while runs < MIN_RUNS || (start.elapsed() < ENOUGH && runs < MAX_RUNS) {
        fastest.next = 0;
        let begin = Instant::now();
        runner.run(&inputs)?;
        best_run = best_run.min(begin.elapsed());
        runner.run_observed(&inputs, &mut fastest)?;
        runs += 1;
    }
    let mut report = report(&runner, "host", runs);
    report.nanoseconds = Some(best_run.as_nanos() as u64);
    for (layer, time) in report.layers.iter_mut().zip(&fastest.best) {
        layer.nanoseconds = Some(time.as_nanos() as u64);
    }
    Ok(report)
}

/// What a device said it costs. `run` gets the inputs in the image's own form.
///
/// # Errors
/// [`CompileError::NotAnImage`], and the device's.
pub fn bench_device<E: From<CompileError>>(
    path: &Path,
    bytes: &AlignedBytes,
    on: &str,
    run: impl FnOnce(&[Vec<u8>]) -> Result<DeviceCost, E>,
) -> Result<BenchReport, E> {
    let runner = open(path, bytes)?;
    let encoded = runner.encode_inputs(&inputs(&runner)).map_err(CompileError::from)?;
    let cost = run(&encoded)?;
    let mut report = report(&runner, on, 1);
    report.unit = Some(cost.unit);
    report.instructions = Some(cost.run);
    report.worst_slice = cost.steps.iter().copied().max();
    report.instructions_per_mac = (report.macs > 0).then(|| cost.run as f64 / report.macs as f64);
    for (layer, instructions) in report.layers.iter_mut().zip(cost.steps) {
        layer.instructions = Some(instructions);
    }
    Ok(report)
}

fn open<'i>(path: &Path, bytes: &'i AlignedBytes) -> Result<ImageRunner<'i>, CompileError> {
    ImageRunner::new(bytes).map_err(|reason| CompileError::NotAnImage { path: path.display().to_string(), reason })
}

fn report(runner: &ImageRunner<'_>, on: &str, runs: usize) -> BenchReport {
    let layers = steps(runner.image(), &runner.layers()).into_iter().map(|step| BenchLayer {
        name: step.layer.name,
        operator: step.layer.operator,
        kernel: step.layer.kernel,
        macs: step.layer.macs,
        instructions: None,
        instructions_estimate: step.layer.instructions_estimate,
        nanoseconds: None,
    });
    BenchReport {
        on: on.to_string(),
        instructions: None,
        instructions_per_mac: None,
        worst_slice: None,
        unit: None,
        nanoseconds: None,
        runs,
        macs: runner.image().manifest().macs,
        layers: layers.collect(),
    }
}

/// Fastest time of each step.
#[derive(Default)]
struct Stopwatch {
    best: Vec<Duration>,
    next: usize,
    begin: Option<Instant>,
}

impl Observer for Stopwatch {
    fn step_start(&mut self, _: u32) {
        self.begin = Some(Instant::now());
    }

    fn step_done(&mut self, _: &StepDone<'_>) {
        let time = self.begin.take().map_or(Duration::MAX, |b| b.elapsed());
        match self.best.get_mut(self.next) {
            Some(best) => *best = time.min(*best),
            None => self.best.push(time),
        }
        self.next += 1;
    }
}

/// The same inputs on every machine: values that look like data, so that no kernel gets only zeros.
fn inputs(runner: &ImageRunner<'_>) -> Vec<Array> {
    runner.inputs().iter().map(input).collect()
}

fn input(port: &PortView<'_>) -> Array {
    let dims = shape(port);
    let n: usize = dims.iter().product();
    // Knuth's multiplicative hash of the index, its upper bits.
    let byte = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8;
    let bytes = (0..n).map(byte);
    let data = match port.element_type {
        ElementType::F32 => ArrayData::F32(bytes.map(|b| f32::from(b) / 255.0).collect()),
        ElementType::I8 => ArrayData::I8(bytes.map(|b| b as i8).collect()),
        ElementType::U8 => ArrayData::U8(bytes.collect()),
        ElementType::I16 => ArrayData::I16(bytes.map(i16::from).collect()),
        ElementType::I32 => ArrayData::I32(bytes.map(i32::from).collect()),
        ElementType::I64 => ArrayData::I64(bytes.map(i64::from).collect()),
        ElementType::Bool => ArrayData::Bool(bytes.map(|b| b & 1).collect()),
    };
    Array::new(dims, data)
}

const MIN_RUNS: usize = 3;
const MAX_RUNS: usize = 1000;
const ENOUGH: Duration = Duration::from_millis(500);
