//! Which models are measured: those of the project, and the official MLPerf Tiny files where they are at hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde::Deserialize;
use tinfer_build::Board;

use crate::project::Project;
use crate::zoo::{self, About};

/// One ONNX file.
pub struct Model {
    /// Name in tables, budgets and among the peers' numbers.
    pub name: String,
    onnx: PathBuf,
    /// `None` for a file that is quantized already.
    calibration: Option<PathBuf>,
}

/// What `tinfer convert` answers.
#[derive(Deserialize)]
pub struct Converted {
    pub image_bytes: u64,
    pub arena_bytes: u64,
    pub stack_bytes: u64,
    pub macs: u64,
    pub layers: Vec<Layer>,
}

/// A step of the plan.
#[derive(Deserialize)]
pub struct Layer {
    pub name: String,
    pub operator: String,
    pub macs: u64,
    pub instructions_estimate: Option<u64>,
}

/// Every model that is there.
///
/// # Errors
/// A `model.toml` that cannot be read.
pub fn all(project: &Project) -> Result<Vec<Model>> {
    let folder = project.root().join("models");
    let mut models = Vec::new();
    for name in zoo::names(&folder)? {
        let model = folder.join(&name);
        let calibration = model.join(About::read(&model)?.calibration.file);
        models.push(Model { onnx: model.join(format!("{name}.onnx")), calibration: Some(calibration), name });
    }
    let official = project.root().join(OFFICIAL);
    for (name, file) in MLPERF_TINY {
        let onnx = official.join(file);
        if onnx.is_file() {
            models.push(Model { name: name.to_owned(), onnx, calibration: None });
        }
    }
    Ok(models)
}

impl Model {
    /// Completes `tinfer` to the conversion to int8 for a board.
    pub fn convert(&self, command: &mut Command, board: &Board, image: &Path) {
        command.arg("convert").arg(&self.onnx).arg("-o").arg(image);
        command.args(["--target", &board.name, "--precision", "int8"]);
        if let Some(calibration) = &self.calibration {
            command.arg("--calibration").arg(calibration);
        }
    }
}

const OFFICIAL: &str = "../shared/data/mlperf_tiny";

/// Keyword spotting, image classification, visual wake words, anomaly detection: the int8 files of MLPerf Tiny 1.x.
const MLPERF_TINY: [(&str, &str); 4] = [
    ("kws", "kws_ref_model.onnx"),
    ("ic", "pretrainedResnet_quant.onnx"),
    ("vww", "vww_96_int8.onnx"),
    ("ad", "ad01_int8.onnx"),
];
