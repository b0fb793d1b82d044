//! `tinfer verify`

use super::{Given, warn};
use crate::answer::{Answer, shortened, table};
use crate::device;
use crate::failure::Failure;
use crate::place::Place;
use crate::progress::Patience;
use std::fmt::Write as _;
use std::path::PathBuf;
use tinfer_compiler::model_file::ModelFile;
use tinfer_compiler::verify::{DeviceReport, VerifyReport, VerifyRequest, verify};

#[derive(clap::Args)]
pub struct Options {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The image made of it
    #[arg(value_name = "IMAGE.tnf")]
    image: PathBuf,
    /// Samples, with an array `labels` for accuracy
    #[arg(long, value_name = "FILE.npz|DIR")]
    inputs: PathBuf,
    /// Where the image runs besides this machine: host or emulator:BOARD
    #[arg(long, default_value = "host", value_name = "PLACE")]
    on: String,
    /// Least SQNR of every output; 90 for float32 images and 20 for others if not given
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    min_sqnr: Option<f64>,
    /// Most percentage points that accuracy may fall
    #[arg(long, value_name = "POINTS")]
    max_accuracy_drop: Option<f64>,
    /// Samples that the device runs
    #[arg(long, default_value_t = 3, value_name = "N")]
    device_samples: usize,
    #[command(flatten)]
    given: Given,
    /// Write a page with plots of all this: one file that needs no network
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    /// What `convert --json` printed: the page shows its methods and the layers that it raised
    #[arg(long, value_name = "CONVERT.json", requires = "report")]
    conversion: Option<PathBuf>,
}

pub fn run(options: &Options, patience: &mut Patience) -> Result<Answer, Failure> {
    let place = Place::parse(&options.on)?;
    let (image, bytes) = ModelFile::open(&options.image)?.into_image("verifying")?;
    let request = VerifyRequest {
        model: options.model.clone(),
        image,
        import: options.given.import(),
        inputs: options.inputs.clone(),
        min_sqnr_db: options.min_sqnr,
        max_accuracy_drop: options.max_accuracy_drop.map(|points| points / 100.0),
        n_device_samples: options.device_samples,
        report: options.report.clone(),
        conversion: options.conversion.clone(),
    };
    let mut progress = |p| patience.note(p);
    let report = match &place {
        Place::Host => verify::<Failure>(&request, &bytes, &place.name(), None, &mut progress)?,
        Place::Emulator(board) => {
            let mut board = device::open(board, &bytes)?;
            let mut run = |inputs: &[Vec<u8>]| device::run_tapped(&mut board, inputs);
            verify(&request, &bytes, &place.name(), Some(&mut run), &mut progress)?
        }
    };
    warn(&report.warnings);
    let answer = Answer::new(text(&report), &report)?;
    Ok(if report.passed { answer } else { answer.refuse() })
}

fn text(report: &VerifyReport) -> String {
    let on_device = |i: usize| report.device.as_ref().and_then(|d| d.layers.get(i));
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .enumerate()
        .map(|(i, layer)| {
            let sqnr = layer.sqnr_db.map_or("-".to_string(), |db| format!("{db:.1}"));
            let mut row = vec![shortened(&layer.name), layer.operator.clone(), sqnr];
            row.extend(on_device(i).map(|l| if l.bit_exact { "same bits" } else { "DIFFERENT" }.to_string()));
            row.extend(on_device(i).map(|l| l.instructions.to_string()));
            row
        })
        .collect();
    let heading = ["layer", "operator", "SQNR dB", "device", "instructions"];
    let n_columns = if report.device.is_some() { heading.len() } else { 3 };
    let mut text = table(&heading[..n_columns], &rows);
    let _ = writeln!(
        text,
        "\n{} samples, {} image against the float model, computed by {}",
        report.samples, report.precision, report.reference
    );
    for output in &report.outputs {
        let agreement =
            output.top1_agreement.map(|p| format!(", same class in {:.2} %", p * 100.0)).unwrap_or_default();
        let _ = writeln!(
            text,
            "output {}: SQNR {:.1} dB, largest error {:.3e}, cosine {:.6}{agreement}",
            output.name, output.sqnr_db, output.max_abs_error, output.cosine
        );
        let weakest = output.slices.iter().min_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
        if let Some(weakest) = weakest.filter(|w| w.axis.is_some()) {
            let _ = writeln!(text, "  weakest part: SQNR {:.1} dB in {weakest}", weakest.sqnr_db);
        }
    }
    if let Some(accuracy) = report.accuracy {
        let _ = writeln!(
            text,
            "accuracy: float {:.2} %, image {:.2} %",
            accuracy.reference * 100.0,
            accuracy.image * 100.0
        );
    }
    if let Some(device) = &report.device {
        text += &device_text(&report.on, device);
    }
    for missed in &report.missed {
        let _ = writeln!(text, "MISSED: {missed}");
    }
    if let Some(path) = &report.report {
        let _ = writeln!(text, "report: {path}");
    }
    text + if report.passed { "passed" } else { "not passed" }
}

fn device_text(on: &str, device: &DeviceReport) -> String {
    let DeviceReport { samples, instructions_per_inference, stack_high_water_bytes, run_stack_bytes, .. } = device;
    let bits = if device.bit_exact { "the same bits as this machine" } else { "OTHER BITS than this machine" };
    format!(
        "{on}: {samples} samples, {bits}, {instructions_per_inference} instructions per inference, \
         stack {stack_high_water_bytes} bytes ({run_stack_bytes} of them the run's)\n"
    )
}
