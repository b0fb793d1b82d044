//! How the image was quantized: every method that was compared, and the layers that compute in more than int8.

use super::numbers::{decibels, grouped, grouped_or_dash, percent};
use crate::convert::{Method, Raised};
use crate::error::CompileError;
use crate::inspect::ImageReport;
use crate::quantize::EqualisedPair;
use crate::verify::VerifyReport;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What `tinfer convert --json` printed, as far as the page shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Conversion {
    precision: String,
    calibration_samples: usize,
    raised: Vec<Raised>,
    equalised: Vec<EqualisedPair>,
    methods: Option<Vec<Method>>,
    image_bytes: usize,
}

impl Conversion {
    /// # Errors
    /// [`CompileError::File`] when this is no such file.
    pub fn read(path: &Path) -> Result<Self, CompileError> {
        let failed = |reason: String| CompileError::File { action: "read", path: path.display().to_string(), reason };
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        serde_json::from_str(&text).map_err(|e| failed(format!("this is not what `convert --json` prints: {e}")))
    }
}

/// For the template.
#[derive(Debug, Serialize)]
pub(super) struct ConversionView {
    n_samples: String,
    /// The image first, then what was compared.
    methods: Vec<MethodRow>,
    raised: Vec<Raised>,
    equalised: Vec<String>,
    /// Whether the file seems to be about another image.
    is_other: bool,
}

/// One way to quantize the model.
#[derive(Debug, Serialize)]
struct MethodRow {
    method: String,
    accuracy: String,
    agreement: String,
    sqnr: String,
    image_bytes: String,
    arena_bytes: String,
    instructions: String,
    is_image: bool,
}

impl ConversionView {
    pub fn new(conversion: &Conversion, image: &ImageReport, report: &VerifyReport) -> Self {
        let pairs = conversion.equalised.iter();
        let pair = |p: &EqualisedPair| format!("{} to {}, factors up to {}", p.first, p.second, p.spread);
        let compared = conversion.methods.iter().flatten().map(MethodRow::new);
        ConversionView {
            n_samples: grouped(conversion.calibration_samples as u64),
            methods: [MethodRow::of_image(conversion, image, report)].into_iter().chain(compared).collect(),
            raised: conversion.raised.clone(),
            equalised: pairs.map(pair).collect(),
            is_other: conversion.image_bytes != image.image_bytes,
        }
    }
}

impl MethodRow {
    fn new(method: &Method) -> Self {
        let part = |part: Option<f64>| part.map_or("–".into(), percent);
        MethodRow {
            method: method.method.clone(),
            accuracy: part(method.accuracy),
            agreement: part(method.top1_agreement),
            sqnr: decibels(Some(method.sqnr_db)),
            image_bytes: grouped(method.image_bytes as u64),
            arena_bytes: grouped(method.arena_bytes as u64),
            instructions: grouped_or_dash(method.instructions),
            is_image: false,
        }
    }

    /// The image itself, on the samples of this page.
    fn of_image(conversion: &Conversion, image: &ImageReport, report: &VerifyReport) -> Self {
        let least = report.outputs.iter().map(|o| o.sqnr_db).min_by(f64::total_cmp);
        let measured = report.device.as_ref().map(|d| d.instructions_per_inference);
        MethodRow {
            method: format!("this image ({}), on the samples of this page", conversion.precision),
            accuracy: report.accuracy.map_or("–".into(), |a| percent(a.image)),
            agreement: report.outputs.iter().find_map(|o| o.top1_agreement).map_or("–".into(), percent),
            sqnr: decibels(least),
            image_bytes: grouped(image.image_bytes as u64),
            arena_bytes: grouped(image.arena_bytes as u64),
            instructions: grouped_or_dash(measured.or(image.estimate.map(|e| e.instructions))),
            is_image: true,
        }
    }
}
