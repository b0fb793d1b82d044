//! All that the page says, as the template takes it.

use super::RenderError;
use super::confusion::ConfusionView;
use super::conversion::{Conversion, ConversionView};
use super::dataflow::Dataflow;
use super::drawn::DrawnOutput;
use super::evidence::Evidence;
use super::layer_table::LayerRow;
use super::memory::MemoryView;
use super::model_graph::GraphView;
use super::numbers::{decibels, grouped, percent, significant};
use super::ranges::RangeView;
use super::worst::WorstSample;
use crate::inspect::ImageReport;
use crate::metrics::Slice;
use crate::verify::{VerifyReport, VerifyRequest};
use minijinja::Environment;
use serde::Serialize;

/// For the template.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    /// Trusted: our own file.
    style: &'static str,
    passed: bool,
    missed: Vec<String>,
    warnings: Vec<String>,
    summary: Vec<Fact>,
    outputs: Vec<OutputRow>,
    conversion: Option<ConversionView>,
    drawn: Vec<DrawnOutput>,
    graph: GraphView,
    memory: Option<MemoryView>,
    has_device: bool,
    on: String,
    layers: Vec<LayerRow>,
    ranges: Vec<RangeView>,
    confusion: Option<ConfusionView>,
    worst: Vec<WorstSample>,
    has_labels: bool,
    program: String,
}

/// A line of the summary.
#[derive(Debug, Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    /// How to read it.
    note: String,
}

/// One output against the reference.
#[derive(Debug, Serialize)]
struct OutputRow {
    name: String,
    sqnr: String,
    /// Of the part with the least, and which one that is.
    weakest: String,
    max_abs_error: String,
    cosine: String,
    top1_agreement: String,
}

impl Page {
    pub fn new(
        request: &VerifyRequest,
        image: &ImageReport,
        report: &VerifyReport,
        evidence: &Evidence,
        conversion: Option<&Conversion>,
        dataflow: &Dataflow,
    ) -> Result<Self, RenderError> {
        let output = |o: &crate::verify::OutputReport| OutputRow {
            name: o.name.clone(),
            sqnr: decibels(Some(o.sqnr_db)),
            weakest: weakest(&o.slices),
            max_abs_error: significant(o.max_abs_error),
            cosine: format!("{:.6}", o.cosine),
            top1_agreement: o.top1_agreement.map_or("–".into(), percent),
        };
        let ranges = evidence.ranges().map(|r| r.view()).collect::<Result<Vec<_>, _>>()?;
        Ok(Page {
            title: format!("{} {}", image.name, image.version),
            style: STYLE,
            passed: report.passed,
            missed: report.missed.clone(),
            warnings: report.warnings.clone(),
            summary: summary(request, image, report),
            outputs: report.outputs.iter().map(output).collect(),
            conversion: conversion.map(|c| ConversionView::new(c, image, report)),
            drawn: evidence.drawn(),
            graph: GraphView::new(dataflow, &image.layers),
            memory: MemoryView::new(dataflow)?,
            has_device: report.device.is_some(),
            on: report.on.clone(),
            layers: LayerRow::all(&image.layers, report, evidence, dataflow),
            ranges: ranges.into_iter().flatten().collect(),
            confusion: evidence.confusion(),
            worst: evidence.worst(),
            has_labels: report.accuracy.is_some(),
            program: format!("tinfer {}", env!("CARGO_PKG_VERSION")),
        })
    }

    /// The page's text.
    pub fn render(&self) -> Result<String, RenderError> {
        let mut environment = Environment::new();
        // The names' endings turn on escaping.
        environment.add_template("page.html", include_str!("page.html"))?;
        environment.add_template("drawn.html", include_str!("drawn.html"))?;
        environment.add_template("graph.html", include_str!("graph.html"))?;
        environment.add_template("memory.html", include_str!("memory.html"))?;
        environment.add_template("conversion.html", include_str!("conversion.html"))?;
        environment.add_template("samples.html", include_str!("samples.html"))?;
        Ok(environment.get_template("page.html")?.render(self)?)
    }
}

/// The part of an output with the least SQNR.
fn weakest(slices: &[Slice]) -> String {
    let Some(weakest) = slices.iter().min_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db)) else { return "–".into() };
    let db = decibels(Some(weakest.sqnr_db));
    if weakest.has_signal { format!("{db} ({weakest})") } else { format!("{db}, no signal ({weakest})") }
}

fn summary(request: &VerifyRequest, image: &ImageReport, report: &VerifyReport) -> Vec<Fact> {
    let fact = |name, value: String, note: &str| Fact { name, value, note: note.into() };
    let bytes = |n: usize| format!("{} bytes", grouped(n as u64));
    let file = |path: &std::path::Path| path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
    let mut facts = vec![
        fact("Model", file(&request.model), &image.licence.clone().unwrap_or_default()),
        fact("Image", file(&request.image), &bytes(image.image_bytes)),
        fact("Target", image.target.clone(), &format!("kernels: {}", image.isa)),
        fact("Precision", report.precision.into(), ""),
        fact("Weights", bytes(image.weights_bytes), &format!("{} parameters", grouped(image.parameters))),
        fact(
            "Arena",
            bytes(image.arena_bytes),
            &format!("{} of them scratch at most", grouped(image.scratch_bytes as u64)),
        ),
    ];
    if image.stack_bytes > 0 {
        facts.push(fact("Stack", bytes(image.stack_bytes), "worst case, without interrupts"));
    }
    facts.push(fact("MACs", grouped(image.macs), "of one inference"));
    if let Some(estimate) = image.estimate {
        let time = estimate
            .milliseconds
            .map_or_else(String::new, |ms| format!("about {} ms at the board's clock", significant(ms)));
        facts.push(fact("Estimate", format!("{} instructions", grouped(estimate.instructions)), &time));
    }
    if let Some(device) = &report.device {
        let same = if device.bit_exact { "the bits of this machine" } else { "OTHER BITS than this machine" };
        let value = format!("{} instructions", grouped(device.instructions_per_inference));
        facts.push(fact("Measured", value, &format!("{}, samples: {}, {same}", report.on, device.samples)));
        let run = format!("{} of them by the run", grouped(device.run_stack_bytes.into()));
        facts.push(fact("Stack used", bytes(device.stack_high_water_bytes as usize), &run));
    }
    let least = report.outputs.iter().map(|o| o.sqnr_db).min_by(f64::total_cmp);
    let floor = format!("dB, lowest of the outputs; at least {} is asked for", report.min_sqnr_db);
    facts.push(fact("SQNR", decibels(least), &floor));
    if let Some(accuracy) = report.accuracy {
        let note = format!("of the image; float model {}", percent(accuracy.reference));
        facts.push(fact("Accuracy", percent(accuracy.image), &note));
    }
    facts.push(fact("Samples", grouped(report.samples as u64), &file(&request.inputs)));
    facts
}

const STYLE: &str = include_str!("page.css");
