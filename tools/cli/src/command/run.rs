//! `tinfer run`

use super::{Given, check_output, warn};
use crate::answer::{Answer, table};
use crate::device;
use crate::failure::Failure;
use crate::place::Place;
use crate::progress::Patience;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tinfer_compiler::aligned::AlignedBytes;
use tinfer_compiler::array::{Array, NamedArray, write_npz_as};
use tinfer_compiler::convert::Progress;
use tinfer_compiler::engine::{Class, OnnxEngine, Signature, arrays, float_image, stack};
use tinfer_compiler::error::CompileError;
use tinfer_compiler::model_file::ModelFile;
use tinfer_compiler::runner::ImageRunner;
use tinfer_compiler::samples::Sample;

#[derive(clap::Args)]
pub struct Options {
    /// An ONNX file or a model image
    #[arg(value_name = "MODEL.onnx|IMAGE.tnf")]
    model: PathBuf,
    /// One input or many: .npz, .npy, .png, .jpg
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where to write the outputs
    #[arg(long, value_name = "OUT.npz")]
    output: Option<PathBuf>,
    /// What runs an ONNX file: tract as it is, or tinfer as a float32 image
    #[arg(long, value_enum)]
    backend: Option<Backend>,
    /// Where an image runs: host or emulator:BOARD
    #[arg(long, default_value = "host", value_name = "PLACE")]
    on: String,
    #[command(flatten)]
    given: Given,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Backend {
    Tinfer,
    Tract,
}

pub fn run(options: &Options, patience: &mut Patience) -> Result<Answer, Failure> {
    let place = Place::parse(&options.on)?;
    if let Some(output) = &options.output {
        check_output(output)?;
    }
    match (ModelFile::open(&options.model)?, options.backend) {
        (ModelFile::Image(..), Some(Backend::Tract)) => Err(Failure::argument(
            "tract runs ONNX files, not images".into(),
            "leave --backend away, or pass the .onnx file",
        )),
        (ModelFile::Image(path, bytes), _) => run_image(options, &path, &bytes, &place, patience),
        (ModelFile::Onnx(_), _) if place != Place::Host => Err(Failure::argument(
            format!("{} takes model images only", place.name()),
            "make an image first: tinfer convert MODEL.onnx -o IMAGE.tnf --target BOARD",
        )),
        (ModelFile::Onnx(path), Some(Backend::Tinfer)) => {
            let bytes = float_image(&path, &options.given.import(), &mut |p| patience.note(p))?;
            run_image(options, &path, &bytes, &place, patience)
        }
        (ModelFile::Onnx(path), backend) => {
            let mut engine = match backend {
                Some(_) => OnnxEngine::in_tract(&path, &options.given.import())?,
                None => OnnxEngine::open(&path, &options.given.import())?,
            };
            let signature = engine.signature.clone();
            engine.settle(&signature.load(&options.input)?.ends().map_err(CompileError::from)?)?;
            let results = run_samples(options, &signature, patience, |sample| Ok(engine.run(sample)?))?;
            let warning = engine.warning();
            answer(options, &signature, results, engine.name().unwrap_or("tract"), warning)
        }
    }
}

fn run_image(
    options: &Options,
    path: &Path,
    bytes: &AlignedBytes,
    place: &Place,
    patience: &mut Patience,
) -> Result<Answer, Failure> {
    let not_an_image = |reason| CompileError::NotAnImage { path: path.display().to_string(), reason };
    let mut runner = ImageRunner::new(bytes).map_err(not_an_image)?;
    let signature = Signature::of_image(&runner);
    match place {
        Place::Host => {
            let results = run_samples(options, &signature, patience, |sample| {
                Ok(runner.run(&arrays(sample)).map_err(CompileError::from)?)
            })?;
            answer(options, &signature, results, "tinfer", None)
        }
        Place::Emulator(board) => {
            let mut board = device::open(board, bytes)?;
            let results = run_samples(options, &signature, patience, |sample| {
                let encoded = runner.encode_inputs(&arrays(sample)).map_err(CompileError::from)?;
                let outputs = device::run(&mut board, &encoded)?;
                let decoded = outputs.iter().enumerate().map(|(i, b)| runner.decode_output(i, b));
                Ok(decoded.collect::<Result<Vec<Array>, _>>().map_err(CompileError::from)?)
            })?;
            answer(options, &signature, results, "tinfer", None)
        }
    }
}

fn run_samples(
    options: &Options,
    signature: &Signature,
    patience: &mut Patience,
    mut run: impl FnMut(&Sample) -> Result<Vec<Array>, Failure>,
) -> Result<Vec<Vec<Array>>, Failure> {
    let samples = signature.load(&options.input)?;
    let mut results = Vec::with_capacity(samples.len());
    for idx in 0..samples.len() {
        patience.note(Progress { stage: "running", done: idx, total: samples.len() });
        results.push(run(&samples.get(idx).map_err(CompileError::from)?)?);
    }
    Ok(results)
}

/// Prints, or writes to a file, what `engine` computed.
fn answer(
    options: &Options,
    signature: &Signature,
    results: Vec<Vec<Array>>,
    engine: &str,
    warning: Option<String>,
) -> Result<Answer, Failure> {
    let n_samples = results.len();
    let top = signature.top(&results[0], N_TOP);
    let outputs = stack(&signature.outputs, results);
    if let Some(path) = &options.output {
        write_npz_as(path, &outputs, &signature.real_types)?;
    }
    let file = options.output.as_ref().map(|p| p.display().to_string());
    let outputs_json = outputs_json(&outputs, file.as_deref());
    let warnings: Vec<String> = warning.into_iter().collect();
    warn(&warnings);
    let json =
        json!({"engine": engine, "samples": n_samples, "outputs": outputs_json, "top": top, "warnings": warnings});
    let computed = format!("computed by {engine}\n");
    Answer::new(text(n_samples, &outputs, file.as_deref(), &top) + &computed, &json)
}

fn outputs_json(outputs: &[NamedArray], file: Option<&str>) -> Value {
    let entry = |o: &NamedArray| {
        let element_type = o.array.data.type_name();
        let value = match file {
            Some(file) => json!({"shape": o.array.shape, "type": element_type, "file": file}),
            None => json!({"shape": o.array.shape, "type": element_type, "values": o.array.to_f64()}),
        };
        (o.name.clone(), value)
    };
    Value::Object(outputs.iter().map(entry).collect::<Map<_, _>>())
}

fn text(n_samples: usize, outputs: &[NamedArray], file: Option<&str>, top: &[Class]) -> String {
    let mut text = String::new();
    for output in outputs {
        let _ = writeln!(text, "{} {} {:?}", output.name, output.array.data.type_name(), output.array.shape);
        if file.is_none() {
            let values = output.array.to_f64();
            let shown: Vec<String> = values.iter().take(N_VALUES).map(|v| format!("{v:.6}")).collect();
            let more = if values.len() > N_VALUES { format!(" … {} in all", values.len()) } else { String::new() };
            let _ = writeln!(text, "  {}{more}", shown.join(" "));
        }
    }
    if let Some(file) = file {
        let _ = writeln!(text, "written to {file}");
    }
    if !top.is_empty() {
        let of = if n_samples > 1 { ", first sample" } else { "" };
        let _ = writeln!(text, "best classes{of}:");
        let rows: Vec<Vec<String>> = top.iter().map(|c| vec![c.label.clone(), format!("{:.4}", c.score)]).collect();
        text += &table(&["class", "score"], &rows);
    }
    text
}

/// Classes in the answer.
const N_TOP: usize = 5;
/// Values of an output that a person wants to see.
const N_VALUES: usize = 16;
