//! `tinfer inspect`

use super::{ESTIMATED, Given, bytes, estimated, expected, worst_slice};
use crate::answer::{Answer, shortened, table};
use crate::failure::Failure;
use std::fmt::Write as _;
use std::path::PathBuf;
use tinfer_compiler::inspect::{
    ImageReport, OnnxReport, PortReport, StepReport, UnsupportedReport, inspect_image, inspect_onnx,
};
use tinfer_compiler::model_file::ModelFile;

#[derive(clap::Args)]
pub struct Options {
    /// An ONNX file or a model image
    #[arg(value_name = "MODEL.onnx|IMAGE.tnf")]
    model: PathBuf,
    #[command(flatten)]
    given: Given,
}

pub fn run(options: &Options) -> Result<Answer, Failure> {
    match ModelFile::open(&options.model)? {
        ModelFile::Onnx(path) => {
            let report = inspect_onnx(&path, &options.given.import())?;
            Answer::new(onnx_text(&report), &report)
        }
        ModelFile::Image(path, bytes) => {
            let report = inspect_image(&path, &bytes)?;
            Answer::new(image_text(&report), &report)
        }
    }
}

fn onnx_text(report: &OnnxReport) -> String {
    let mut text =
        format!("{}: ONNX model, operator set {}, {} bytes\n", report.name, report.opset, bytes(report.file_bytes));
    ports(&mut text, &report.inputs, &report.outputs);
    let operators: Vec<String> = report.operators.iter().map(|(name, n)| format!("{n} {name}")).collect();
    let _ = writeln!(text, "operators  {}", operators.join(", "));
    let _ = writeln!(text, "parameters {}", bytes(report.parameters as usize));
    if let Some(macs) = report.macs {
        let _ = writeln!(text, "MACs       {}", bytes(macs as usize));
    }
    for stays in &report.transposes {
        let _ = writeln!(text, "transpose {} {:?} stays: {}", stays.node, stays.permutation, stays.reason);
    }
    if report.supported {
        text += "supported: `tinfer convert` can make an image of it";
        return text;
    }
    let _ = writeln!(text, "not supported, {} nodes:", report.unsupported.len());
    let mut kinds: Vec<(&UnsupportedReport, usize)> = Vec::new();
    for node in &report.unsupported {
        let same =
            |k: &&mut (&UnsupportedReport, usize)| (&k.0.operator, &k.0.reason) == (&node.operator, &node.reason);
        match kinds.iter_mut().find(same) {
            Some((_, n)) => *n += 1,
            None => kinds.push((node, 1)),
        }
    }
    for (first, n) in kinds {
        let UnsupportedReport { node, operator, reason, suggestion, .. } = first;
        let _ = writeln!(text, "  {n} {operator}, the first is {node}: {reason}; {suggestion}");
    }
    text
}

fn image_text(report: &ImageReport) -> String {
    let ImageReport { name, version, target, isa, precision, .. } = report;
    let mut text = format!("{name} {version}: {precision} image for {target} ({isa} kernels)\n");
    ports(&mut text, &report.inputs, &report.outputs);
    let sizes = [
        ("image", report.image_bytes),
        ("weights", report.weights_bytes),
        ("arena", report.arena_bytes),
        ("state", report.state_bytes),
        ("scratch", report.scratch_bytes),
        ("stack", report.stack_bytes),
    ];
    for (what, n) in sizes {
        let _ = writeln!(text, "{what:<10} {:>10} bytes", bytes(n));
    }
    let _ = writeln!(text, "{:<10} {:>10} MACs", "work", bytes(report.macs as usize));
    let estimate = expected(report.estimate.as_ref(), report.layers.iter().map(|l| &l.layer));
    let _ = writeln!(text, "{:<10} {estimate}", "estimate");
    if let Some(worst) = &report.worst_slice {
        let name = report.layers.get(worst.step as usize).map_or("", |l| &l.layer.name);
        let _ = writeln!(text, "{:<10} {}", "worst step", worst_slice(worst, name));
    }
    if let Some(licence) = &report.licence {
        let _ = writeln!(text, "licence    {licence}");
    }
    if !report.labels.is_empty() {
        let _ = writeln!(text, "classes    {}", report.labels.join(", "));
    }
    let rows: Vec<Vec<String>> = report
        .layers
        .iter()
        .map(|StepReport { layer, live_bytes }| {
            let numbers = [layer.macs as usize, layer.arena_offset, layer.bytes, *live_bytes].map(|n| n.to_string());
            let names = [layer.operator.as_str(), layer.kernel, layer.precision].map(String::from);
            let words = [shortened(&layer.name)].into_iter().chain(names);
            words.chain(numbers).chain(estimated(layer)).collect()
        })
        .collect();
    let titles = [["layer", "operator", "kernel", "type"], ["MACs", "offset", "bytes", "live"]].concat();
    text + &table(&[&titles[..], &ESTIMATED].concat(), &rows)
}

fn ports(text: &mut String, inputs: &[PortReport], outputs: &[PortReport]) {
    let sides = inputs.iter().map(|p| ("input", p)).chain(outputs.iter().map(|p| ("output", p)));
    for (side, port) in sides {
        let batch = if port.batched { ", one sample at a time" } else { "" };
        let _ = writeln!(text, "{side:<10} {} {} {:?}{batch}", port.name, port.element_type, port.shape);
    }
}
