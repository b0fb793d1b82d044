//! `model.toml` beside an ONNX file: what the model is, and how its inputs are made.
//!
//! ```toml
//! [model]
//! name = "digits"
//! version = "1.0.0"
//! file = "digits.onnx"
//! labels = "labels.txt"              # one class per line, in the order of the output
//!
//! [preprocess.image]                 # per input: value = (pixel * scale - mean) / std
//! width = 28
//! height = 28
//! channels = "gray"                  # gray (BT.709), gray601, rgb, bgr
//! resize = "bilinear"                # nearest, bilinear, area, triangle (bilinear that smooths when shrinking)
//! fit = "stretch"                    # stretch, crop, pad: for pictures of other proportions
//! pad = 0                            # value around the picture with fit = "pad"
//! threshold = "otsu"                 # gray pixels above it become 255, others 0; otsu or 0 to 254; none if not given
//! scale = 0.00392156862745098
//! mean = [0.0]                       # one value, or one per channel
//! std = [1.0]
//!
//! [calibration]
//! file = "calibration.npz"
//!
//! [accuracy]
//! float = 0.9895
//! int8_max_drop = 0.005
//! threshold = 0.31                   # anomaly detection: the error from which a sample is an anomaly
//!
//! [quantized]                        # the same model, quantized by another tool
//! file = "digits-qdq.onnx"
//! accuracy = 0.988
//!
//! [[samples]]
//! file = "samples/two.png"
//! label = "2"
//! ```
//! Paths are relative to the file's folder. Unknown keys are errors.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tinfer::preprocess::{Binarise, Channels, Fit, ImagePreprocess, Resize};

/// Name of the file.
pub const FILE_NAME: &str = "model.toml";

/// Why a `model.toml` is not usable.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelTomlError {
    /// The file system refused.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The path.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// Not TOML, a missing or unknown key, or a value of the wrong type.
    #[error("{path} line {line}: {reason}")]
    Syntax {
        /// The path.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A value that makes no sense.
    #[error("{path}: {key} is {found}, expected {expected}")]
    Value {
        /// The path.
        path: String,
        /// The key with its table.
        key: String,
        /// What the file says.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl ModelTomlError {
    /// Stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            ModelTomlError::File { .. } => "model-toml-file",
            ModelTomlError::Syntax { .. } => "model-toml-syntax",
            ModelTomlError::Value { .. } => "model-toml-value",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            ModelTomlError::File { .. } => "check the path and its permissions".into(),
            _ => "correct the file, or move it away to convert without it".into(),
        }
    }
}

/// A checked `model.toml`; paths are joined with the file's folder.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ModelToml {
    /// Name of the model.
    pub name: String,
    /// Semantic version.
    pub version: [u16; 3],
    /// The ONNX file.
    pub file: Option<PathBuf>,
    /// What the model is for.
    pub task: Option<String>,
    /// Licence of the model.
    pub licence: Option<String>,
    /// One sentence.
    pub description: Option<String>,
    /// Class names in the order of the output.
    pub labels: Vec<String>,
    /// How pictures become inputs, by input name.
    pub preprocess: BTreeMap<String, ImagePreprocess>,
    /// Samples to calibrate with.
    pub calibration: Option<PathBuf>,
    /// Promised accuracy.
    pub accuracy: AccuracyPromise,
    /// Examples with their class.
    pub samples: Vec<SampleFile>,
}

/// The accuracy that a model's author promises, as parts of 1.
#[derive(Clone, Debug, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccuracyPromise {
    /// Measured with the float model.
    pub float: Option<f64>,
    /// The least that the float model must reach.
    pub float_floor: Option<f64>,
    /// The most that int8 may lose against float.
    pub int8_max_drop: Option<f64>,
    /// How to get the test set.
    pub test_set: Option<String>,
    /// Of a model that detects anomalies: the reconstruction error from which a sample is one.
    pub threshold: Option<f64>,
}

/// One example.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleFile {
    /// The picture or array file.
    pub file: PathBuf,
    /// Its class.
    pub label: Option<String>,
}

impl ModelToml {
    /// Reads the `model.toml` in the folder of an ONNX file, if there is one and it is for this file.
    ///
    /// # Errors
    /// [`ModelTomlError`]
    pub fn beside(onnx: &Path) -> Result<Option<Self>, ModelTomlError> {
        let path = onnx.with_file_name(FILE_NAME);
        if !path.is_file() {
            return Ok(None);
        }
        let found = Self::read(&path)?;
        let is_for_another = found.file.as_ref().is_some_and(|f| f.file_name() != onnx.file_name());
        Ok((!is_for_another).then_some(found))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ModelTomlError`]
    pub fn read(path: &Path) -> Result<Self, ModelTomlError> {
        let (mut found, labels) = Self::parse(&read(path)?, path)?;
        if let Some(labels) = labels {
            found.labels = read(&labels)?.lines().map(|l| l.trim().to_string()).filter(|l| !l.is_empty()).collect();
        }
        Ok(found)
    }

    /// What a text says, without labels, and where the labels are.
    fn parse(text: &str, path: &Path) -> Result<(Self, Option<PathBuf>), ModelTomlError> {
        let place = path.display().to_string();
        let file: File = toml::from_str(text).map_err(|e| ModelTomlError::Syntax {
            path: place.clone(),
            line: e.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|&b| b == b'\n').count()),
            reason: e.message().to_string(),
        })?;
        let value =
            |key: String, found: String, expected| ModelTomlError::Value { path: place.clone(), key, found, expected };
        let mut preprocess = BTreeMap::new();
        for (input, section) in file.preprocess {
            let checked = section
                .check()
                .map_err(|(key, found, expected)| value(format!("{key} of [preprocess.{input}]"), found, expected))?;
            preprocess.insert(input, checked);
        }
        let promised = [
            ("float", file.accuracy.float),
            ("float_floor", file.accuracy.float_floor),
            ("int8_max_drop", file.accuracy.int8_max_drop),
        ];
        for (key, promise) in promised {
            if let Some(p) = promise.filter(|p| !(0.0..=1.0).contains(p)) {
                return Err(value(format!("{key} of [accuracy]"), p.to_string(), "a part of 1, such as 0.985"));
            }
        }
        let version = match &file.model.version {
            None => [0, 1, 0],
            Some(text) => parse_version(text).ok_or_else(|| {
                value("version of [model]".into(), format!("{text:?}"), "three numbers, such as \"1.0.2\"")
            })?,
        };
        let in_folder = |name: String| in_folder_of(path, &name);
        let labels = file.model.labels.map(in_folder);
        let found = ModelToml {
            name: file.model.name,
            version,
            file: file.model.file.map(in_folder),
            task: file.model.task,
            licence: file.model.licence,
            description: file.model.description,
            labels: Vec::new(),
            preprocess,
            calibration: file.calibration.map(|c| in_folder(c.file)),
            accuracy: file.accuracy,
            samples: file.samples.into_iter().map(|s| SampleFile { file: in_folder(s.file), label: s.label }).collect(),
        };
        Ok((found, labels))
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: ModelSection,
    #[serde(default)]
    #[expect(dead_code, reason = "accepted and checked for unknown keys; only people read it")]
    data: DataSection,
    #[serde(default)]
    preprocess: BTreeMap<String, PreprocessSection>,
    calibration: Option<CalibrationSection>,
    #[expect(dead_code, reason = "as for data; such a file needs nothing from here to be converted")]
    quantized: Option<QuantizedSection>,
    #[serde(default)]
    accuracy: AccuracyPromise,
    #[serde(default)]
    samples: Vec<SampleSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSection {
    name: String,
    version: Option<String>,
    file: Option<String>,
    task: Option<String>,
    licence: Option<String>,
    description: Option<String>,
    labels: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as in File")]
struct DataSection {
    name: Option<String>,
    source: Option<String>,
    licence: Option<String>,
    provenance: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CalibrationSection {
    file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "as in File")]
struct QuantizedSection {
    file: String,
    accuracy: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleSection {
    file: String,
    label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreprocessSection {
    width: u16,
    height: u16,
    channels: String,
    #[serde(default = "bilinear")]
    resize: String,
    #[serde(default = "stretch")]
    fit: String,
    pad: Option<u8>,
    threshold: Option<Threshold>,
    #[serde(default = "one")]
    scale: f32,
    #[serde(default)]
    mean: Vec<f32>,
    #[serde(default)]
    std: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Threshold {
    Above(i64),
    Named(String),
}

impl PreprocessSection {
    /// The section's meaning, or the key, what it holds and what was expected.
    fn check(&self) -> Result<ImagePreprocess, (&'static str, String, &'static str)> {
        let channels = match &*self.channels {
            "gray" => Channels::Gray,
            "gray601" => Channels::Gray601,
            "rgb" => Channels::Rgb,
            "bgr" => Channels::Bgr,
            other => return Err(("channels", format!("{other:?}"), "\"gray\", \"gray601\", \"rgb\" or \"bgr\"")),
        };
        let resize = match &*self.resize {
            "nearest" => Resize::Nearest,
            "bilinear" => Resize::Bilinear,
            "area" => Resize::Area,
            "triangle" => Resize::Triangle,
            other => {
                return Err(("resize", format!("{other:?}"), "\"nearest\", \"bilinear\", \"area\" or \"triangle\""));
            }
        };
        let fit = match (&*self.fit, self.pad) {
            ("stretch", None) => Fit::Stretch,
            ("crop", None) => Fit::Crop,
            ("pad", value) => Fit::Pad(value.unwrap_or(0)),
            ("stretch" | "crop", Some(value)) => {
                return Err(("pad", value.to_string(), "nothing without fit = \"pad\""));
            }
            (other, _) => return Err(("fit", format!("{other:?}"), "\"stretch\", \"crop\" or \"pad\"")),
        };
        let binarise = match &self.threshold {
            None => Binarise::Never,
            Some(Threshold::Above(value)) => match u8::try_from(*value) {
                Ok(value) if value < 255 => Binarise::Above(value),
                _ => return Err(("threshold", value.to_string(), THRESHOLDS)),
            },
            Some(Threshold::Named(name)) if name == "otsu" => Binarise::Otsu,
            Some(Threshold::Named(other)) => return Err(("threshold", format!("{other:?}"), THRESHOLDS)),
        };
        if binarise != Binarise::Never && channels.count() != 1 {
            return Err(("threshold", format!("for {} channels", self.channels), "channels = \"gray\" beside it"));
        }
        for (key, side) in [("width", self.width), ("height", self.height)] {
            if side == 0 {
                return Err((key, "0".into(), "at least 1 pixel"));
            }
        }
        if !self.scale.is_finite() || self.scale == 0.0 {
            return Err(("scale", self.scale.to_string(), "a number other than 0"));
        }
        let per_channel = |key, values: &[f32], default: f32| match values {
            [] => Ok([default; 3]),
            [all] => Ok([*all; 3]),
            [r, g, b] if channels.count() == 3 => Ok([*r, *g, *b]),
            _ => Err((key, format!("{values:?}"), "one value, or one per channel")),
        };
        let (mean, std) = (per_channel("mean", &self.mean, 0.0)?, per_channel("std", &self.std, 1.0)?);
        if mean.iter().any(|m| !m.is_finite()) {
            return Err(("mean", format!("{:?}", self.mean), "finite numbers"));
        }
        if std.iter().any(|s| !s.is_finite() || *s == 0.0) {
            return Err(("std", format!("{:?}", self.std), "numbers other than 0"));
        }
        let (width, height, scale) = (self.width, self.height, self.scale);
        Ok(ImagePreprocess { width, height, channels, resize, fit, binarise, scale, mean, std })
    }
}

const THRESHOLDS: &str = "\"otsu\" or 0 to 254";

fn stretch() -> String {
    "stretch".into()
}

fn bilinear() -> String {
    "bilinear".into()
}

fn one() -> f32 {
    1.0
}

fn parse_version(text: &str) -> Option<[u16; 3]> {
    let parts: Vec<u16> = text.split('.').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    parts.try_into().ok()
}

fn in_folder_of(path: &Path, name: &str) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(name)
}

fn read(path: &Path) -> Result<String, ModelTomlError> {
    std::fs::read_to_string(path)
        .map_err(|e| ModelTomlError::File { path: path.display().to_string(), reason: e.to_string() })
}

#[cfg(test)]
mod tests;
