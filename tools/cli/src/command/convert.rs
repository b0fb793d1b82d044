//! `tinfer convert`

use super::{ESTIMATED, Given, bytes, check_output, estimated, expected, warn, worst_slice};
use crate::answer::{Answer, shortened, table};
use crate::failure::Failure;
use crate::progress::Patience;
use std::fmt::Write as _;
use std::path::PathBuf;
use tinfer_compiler::choose::Winograd;
use tinfer_compiler::convert::{
    AccuracyTools, Agreement, ConvertReport, ConvertRequest, Converted, CostLimits, Floor, Method, Precision, Stage,
    WithoutSignal, calibration_method, convert, stop_after,
};
use tinfer_compiler::quantize::WeightFormat;
use tinfer_compiler::target::Target;
use tinfer_compiler::trim::ConstantChannels;

#[derive(clap::Args)]
pub struct Options {
    /// The model
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Where to write the image
    #[arg(short, long, value_name = "IMAGE.tnf", required_unless_present = "stop_after")]
    output: Option<PathBuf>,
    /// A board (`tinfer boards`), an instruction set, or host
    #[arg(long, default_value = "host", value_name = "BOARD|ISA|host")]
    target: String,
    /// int8, int16x8 (weights int8), float32, or auto: int8, and more where --min-sqnr or --max-accuracy-drop asks for it
    #[arg(long, default_value = "int8")]
    precision: String,
    /// Weights of layers in int8: int8, or int4 for half the flash (portable kernels; --adaround gives back accuracy)
    #[arg(long, default_value = "int8", value_name = "int8|int4", value_parser = ["int8", "int4"])]
    weights: String,
    /// For --precision auto: least SQNR of every output against the float model, on the calibration samples
    #[arg(long, value_name = "DB", allow_negative_numbers = true)]
    min_sqnr: Option<f64>,
    /// For --precision auto: most percentage points that accuracy may fall on the calibration samples. Without labels
    /// among them it is the expected share of samples whose class changes
    #[arg(long, value_name = "POINTS")]
    max_accuracy_drop: Option<f64>,
    /// Typical inputs, for int8; without it those that model.toml beside the model names
    #[arg(long, value_name = "FILE.npz|DIR")]
    calibration: Option<PathBuf>,
    /// How ranges follow from the calibration samples: minmax, percentile, entropy or mse; best tries them on the samples
    #[arg(long, default_value = "best", value_name = "METHOD")]
    calibration_method: String,
    /// Balance the channels between layers before they share one scale
    #[arg(long)]
    equalise: bool,
    /// Correct biases for the mean error of rounded weights
    #[arg(long)]
    bias_correction: bool,
    /// Learn how weights are rounded, on what each layer reads
    #[arg(long)]
    adaround: bool,
    /// Quantize in every way, and print what each gives and costs
    #[arg(long)]
    compare_methods: bool,
    #[command(flatten)]
    given: Given,
    /// Compute channels that no input changes, too
    #[arg(long)]
    keep_constant_channels: bool,
    /// Run layers in slices of rows, so that no step costs more instructions (by estimate)
    #[arg(long, value_name = "INSTRUCTIONS", value_parser = clap::value_parser!(u64).range(1..))]
    max_slice: Option<u64>,
    /// Convolutions by Winograd's method, which takes more flash and fewer instructions: auto, for boards with room, or
    /// never
    #[arg(long, default_value = "never", value_name = "never|auto", value_parser = ["never", "auto"])]
    winograd: String,
    /// Refuse an image whose inference costs more instructions (by estimate); --precision auto keeps below
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_instructions: Option<u64>,
    /// Refuse an image whose inference takes more milliseconds at the board's clock (by estimate); --precision auto keeps
    /// below
    #[arg(long, value_name = "MS")]
    max_latency: Option<f64>,
    /// Write the image even if some part of an output has lost its signal, with a warning
    #[arg(long)]
    force: bool,
    /// Print what a stage made of the model, as JSON, and stop
    #[arg(long, value_name = "STAGE", value_parser = Stage::ALL.map(|(name, _)| name))]
    stop_after: Option<String>,
}

pub fn run(options: &Options, patience: &mut Patience) -> Result<Answer, Failure> {
    let request = ConvertRequest {
        model: options.model.clone(),
        import: options.given.import(),
        target: Target::parse(&options.target)?,
        precision: Precision::parse(&options.precision)?,
        calibration: options.calibration.clone(),
        method: calibration_method(&options.calibration_method)?,
        tools: AccuracyTools {
            equalise: options.equalise,
            bias_correction: options.bias_correction,
            adaround: options.adaround,
            floor: Floor {
                min_sqnr_db: options.min_sqnr,
                max_accuracy_drop: options.max_accuracy_drop.map(|points| points / 100.0),
            },
            compare_methods: options.compare_methods,
        },
        constant_channels: match options.keep_constant_channels {
            true => ConstantChannels::Keep,
            false => ConstantChannels::Remove,
        },
        most_slice_instructions: options.max_slice,
        winograd: if options.winograd == "auto" { Winograd::Auto } else { Winograd::Never },
        limits: CostLimits { instructions: options.max_instructions, milliseconds: options.max_latency },
        weights: WeightFormat::parse(&options.weights).unwrap_or_default(),
        agreement: Agreement::Checked,
        without_signal: if options.force { WithoutSignal::Warn } else { WithoutSignal::Refuse },
    };
    let mut progress = |p| patience.note(p);
    let stage = options.stop_after.as_ref().and_then(|name| Stage::ALL.iter().find(|(n, _)| n == name));
    if let Some((_, stage)) = stage {
        let dump = stop_after(&request, *stage, &mut progress)?;
        return Answer::new(format!("{dump:#}"), &dump);
    }
    let Some(output) = &options.output else {
        return Err(Failure::argument("no output file is named".into(), "pass -o IMAGE.tnf"));
    };
    check_output(output)?;
    let converted = convert(&request, &mut progress)?;
    converted.write(output)?;
    warn(&converted.report.warnings);
    Answer::new(text(&converted, &output.display().to_string()), &converted.report)
}

fn text(converted: &Converted, output: &str) -> String {
    let report = &converted.report;
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|l| {
            let numbers = [l.macs as usize, l.arena_offset, l.bytes].map(|n| n.to_string());
            let words = [shortened(&l.name), l.operator.clone(), l.kernel.to_string()];
            words.into_iter().chain(numbers).chain(estimated(l)).collect()
        })
        .collect();
    let titles = [["layer", "operator", "kernel"], ["MACs", "offset", "bytes"]].concat();
    let mut text = table(&[&titles[..], &ESTIMATED].concat(), &rows);
    let ConvertReport { precision, target, .. } = report;
    let _ = writeln!(text, "\n{output}: {precision} for {target}");
    let arena_in = format!("arena in {}", report.arena_memory.as_deref().unwrap_or("RAM"));
    let sizes = [
        ("image in flash", report.image_bytes),
        ("  of it weights", report.weights_bytes),
        (&arena_in, report.arena_bytes),
        ("  of it scratch", report.scratch_bytes),
        ("stack at most", report.stack_bytes),
    ];
    for (what, n) in sizes {
        let _ = writeln!(text, "{what:<18}{:>12} bytes", bytes(n));
    }
    let _ = writeln!(text, "{:<18}{:>12} MACs", "per inference", bytes(report.macs as usize));
    if let Some(trimmed) = report.constant_channels.as_ref().filter(|t| t.n_channels() > 0) {
        let n = bytes(trimmed.macs_before as usize);
        let channels = trimmed.n_channels();
        let _ = writeln!(
            text,
            "{:<18}{n:>12} MACs with {channels} channels that no input changes or nothing reads",
            "  instead of"
        );
        log::info!("{trimmed}");
    }
    let _ = writeln!(text, "{:<18}{}", "estimate", expected(report.estimate.as_ref(), report.layers.iter()));
    if let Some(worst) = &report.worst_slice {
        let name = report.layers.get(worst.step as usize).map_or("", |l| &l.name);
        let _ = writeln!(text, "{:<18}{}", "worst step", worst_slice(worst, name));
    }
    let n_slices: usize = report.sliced.iter().map(|s| s.n_slices).sum();
    if n_slices > 0 {
        let _ = writeln!(text, "{:<18}{} layers run in {n_slices} slices", "", report.sliced.len());
    }
    if report.calibration_samples > 0 {
        let ranges = report.calibration_method.map(|method| format!(", ranges by {method}")).unwrap_or_default();
        let _ = writeln!(text, "{:<18}{:>12} samples{ranges}", "calibrated with", report.calibration_samples);
    }
    let reference = report.reference.unwrap_or("none takes made-up inputs: give --calibration");
    let _ = writeln!(text, "{:<18}{reference}", "float reference");
    let arena = match (report.arena_proven_optimal, report.arena_bytes - report.arena_lower_bound_bytes) {
        (true, _) => "no arena can be smaller for this order of layers".to_string(),
        (false, gap) => format!("at most {} bytes above the smallest possible", bytes(gap)),
    };
    let _ = writeln!(text, "{:<18}{arena}", "arena");
    for s in &report.streamed {
        let [producer, consumer] = [&s.producer, &s.consumer].map(|name| shortened(name));
        let _ = writeln!(text, "{producer} and {consumer} run in {} strips of rows,", s.n_strips);
        let n = bytes(s.repeated_macs.unsigned_abs() as usize);
        let _ = match s.repeated_macs {
            0.. => writeln!(text, "  which computes {n} MACs again"),
            _ => writeln!(text, "  which spares {n} MACs of rows that nobody reads"),
        };
    }
    for pair in &report.equalised {
        let [first, second] = [&pair.first, &pair.second].map(|name| shortened(name));
        let _ = writeln!(text, "channels from {first} to {second} balanced by factors up to {}", pair.spread);
    }
    for raised in &report.raised {
        let _ = writeln!(text, "{} in {}: {}", shortened(&raised.layer), raised.precision, raised.reason);
    }
    if let Some(methods) = &report.methods {
        text += &table_of_methods(methods);
    }
    match report.transposes.len() {
        0 => text += "no transposes are left\n",
        n => {
            let _ = writeln!(text, "{n} transposes stay:");
        }
    }
    for stays in &report.transposes {
        let _ = writeln!(text, "  {} {:?} {:?}: {}", stays.node, stays.permutation, stays.shape, stays.reason);
    }
    log::info!("{}", converted.memory_map.trim_end());
    text
}

fn table_of_methods(methods: &[Method]) -> String {
    let percent = |part: Option<f64>| part.map_or("-".into(), |part| format!("{:.2} %", 100.0 * part));
    let row = |m: &Method| {
        let numbers = [m.image_bytes, m.arena_bytes].map(bytes);
        let instructions = m.instructions.map_or("-".into(), |n| bytes(n as usize));
        let quality = [format!("{:.2}", m.sqnr_db), percent(m.accuracy), percent(m.top1_agreement)];
        [m.method.clone()].into_iter().chain(quality).chain(numbers).chain([instructions]).collect()
    };
    let titles = ["method", "SQNR dB", "accuracy", "agreement", "image", "arena", "instructions"];
    table(&titles, &methods.iter().map(row).collect::<Vec<Vec<String>>>())
}
