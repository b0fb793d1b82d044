//! The models of the project keep what their `model.toml` promises, on their whole test sets.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::demo::Accuracy;
use crate::process;
use crate::project::Project;
use crate::setup;
use crate::tinfer::Tinfer;

/// Converts every model to int8, compares its accuracy and the float model's with the floors, and the bits of an
/// emulated Cortex-M4 with this machine's.
///
/// Test sets come from package registries and are kept in the cache. Where one cannot be had, the
/// model is skipped and that is said; so is the emulator.
///
/// # Errors
/// A model below its floor, one that cannot be converted, or other bits on the board.
pub fn run(project: &Project) -> Result<()> {
    let options = setup::Options::silent_when_found();
    setup::prepare(project, &options, &[setup::Purpose::Tests])?;
    let on_board = setup::prepare(project, &options, &[setup::Purpose::Firmware])? == 0;
    let tinfer = Tinfer::build(project, "zoo")?;
    let python = setup::python(project)?;
    let models = project.root().join("models");
    let mut broken = Vec::new();
    for name in names(&models)? {
        println!("\n{name}");
        let model = Model { tinfer: &tinfer, python: &python, folder: models.join(&name), name: &name };
        broken.extend(model.check(on_board)?);
    }
    if !broken.is_empty() {
        bail!("{}", broken.join("; "));
    }
    Ok(())
}

/// Names of the models in a folder, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub fn names(models: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(models)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| models.join(name).join("model.toml").is_file())
        .collect();
    names.sort();
    Ok(names)
}

/// A model and what checks it.
struct Model<'a> {
    tinfer: &'a Tinfer,
    python: &'a Path,
    folder: PathBuf,
    name: &'a str,
}

impl Model<'_> {
    /// The promises that do not hold, a sentence each.
    fn check(&self, on_board: bool) -> Result<Vec<String>> {
        let about = About::read(&self.folder)?;
        let onnx = self.folder.join(format!("{}.onnx", self.name));
        let image = self.convert(&onnx)?;
        let mut broken = Vec::new();
        if on_board {
            broken.extend(self.on_board(&onnx, &image, &about.calibration.file)?);
        }
        let Some(test_set) = self.test_set()? else { return Ok(broken) };
        let found = Accuracy {
            reference: self.measured(&onnx, &["--backend", "tract"], &test_set)?,
            image: self.measured(&image, &[], &test_set)?,
        };
        println!("{}: float {:.4}, int8 {:.4}", about.model.measure(), found.reference, found.image);
        broken.extend(about.accuracy.broken_by(self.name, &found));
        if let Some(Quantized { file, accuracy }) = &about.quantized {
            let onnx = self.folder.join(file);
            let image = self.convert(&onnx)?;
            if on_board {
                broken.extend(self.on_board(&onnx, &image, &about.calibration.file)?);
            }
            // Its float model was judged above; against its own quantized one only its task says how good it is.
            let found = self.measured(&image, &[], &test_set)?;
            println!("{}: {found:.4}, promised {accuracy:.4}", file.display());
            if found < accuracy - QUANTIZED_TOLERANCE {
                broken.push(format!("{}: {found:.4}, promised {accuracy:.4}", file.display()));
            }
        }
        Ok(broken)
    }

    /// The test set, or `None` where it cannot be had, which is said.
    fn test_set(&self) -> Result<Option<PathBuf>> {
        let file = self.tinfer.folder.join(format!("{}.npz", self.name));
        let script = self.folder.with_file_name("evaluation.py");
        let output = Command::new(self.python).arg(script).arg(self.name).arg(&file).output();
        let output = output.context("cannot run Python")?;
        if output.status.success() {
            return Ok(Some(file));
        }
        println!("skipped, its test set cannot be had: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(None)
    }

    fn convert(&self, onnx: &Path) -> Result<PathBuf> {
        let image = self.tinfer.folder.join(onnx.file_name().context("not a file")?).with_extension("tnf");
        let _: serde_json::Value = self.tinfer.ask(|command| {
            command.arg("convert").arg(onnx).arg("-o").arg(&image).args(["--target", BOARD]);
        })?;
        Ok(image)
    }

    /// How good the answers of an ONNX file or an image are, as `metrics.py` says.
    fn measured(&self, file: &Path, options: &[&str], test_set: &Path) -> Result<f64> {
        let outputs = self.tinfer.folder.join(format!("{}-outputs.npz", self.name));
        let _: serde_json::Value = self.tinfer.ask(|command| {
            command.arg("run").arg(file).arg("--input").arg(test_set).arg("--output").arg(&outputs).args(options);
        })?;
        let script = self.folder.with_file_name("metrics.py");
        let mut command = Command::new(self.python);
        let answer = process::read(command.arg(script).arg(self.name).arg(test_set).arg(&outputs))?;
        answer.trim().parse().with_context(|| format!("metrics.py answers {answer}"))
    }

    /// Says when the first calibration samples have other bits on the emulated board.
    fn on_board(&self, onnx: &Path, image: &Path, calibration: &Path) -> Result<Option<String>> {
        let inputs = self.folder.join(calibration);
        let verified: OnBoard = self.tinfer.ask(|command| {
            command.arg("verify").arg(onnx).arg(image).arg("--inputs").arg(inputs);
            // How near the answers are is judged on the test set.
            command.args(["--on", &format!("emulator:{BOARD}"), "--device-samples", "2", "--min-sqnr", "-200"]);
        })?;
        let Bits { bit_exact, instructions_per_inference: n_instructions } = verified.device;
        println!("{BOARD}: {n_instructions} instructions, {}", if bit_exact { "same bits" } else { "OTHER BITS" });
        Ok((!bit_exact).then(|| format!("{}: other bits on {BOARD}", image.display())))
    }
}

/// What `tinfer verify --on` answers about the board.
#[derive(Deserialize)]
struct OnBoard {
    device: Bits,
}

#[derive(Deserialize)]
struct Bits {
    bit_exact: bool,
    instructions_per_inference: u64,
}

const BOARD: &str = "mps2-an386";

/// Other tools' rounding moves a few samples in ten thousand.
const QUANTIZED_TOLERANCE: f64 = 0.002;

/// What `model.toml` promises.
#[derive(Deserialize)]
pub struct About {
    model: Kind,
    /// Accuracy on the test set.
    pub accuracy: Promise,
    /// Samples for calibration.
    pub calibration: Calibration,
    /// Pictures with their labels.
    #[serde(default)]
    pub samples: Vec<Sample>,
    quantized: Option<Quantized>,
}

#[derive(Deserialize)]
struct Kind {
    task: String,
}

/// The model as another tool quantizes it.
#[derive(Deserialize)]
struct Quantized {
    file: PathBuf,
    accuracy: f64,
}

/// How good the answers are, as parts of 1.
#[derive(Deserialize)]
pub struct Promise {
    /// Those of the float model, as measured when it was trained.
    pub float: f64,
    float_floor: f64,
    int8_max_drop: f64,
}

/// Samples for calibration.
#[derive(Deserialize)]
pub struct Calibration {
    /// Beside `model.toml`.
    pub file: PathBuf,
}

/// A picture.
#[derive(Deserialize)]
pub struct Sample {
    /// Beside `model.toml`.
    pub file: String,
    /// Its class.
    pub label: String,
}

impl About {
    /// The `model.toml` in a model's folder.
    ///
    /// # Errors
    /// The file that cannot be read or understood.
    pub fn read(model: &Path) -> Result<Self> {
        let file = model.join("model.toml");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", file.display()))
    }
}

impl Kind {
    /// What the accuracy of this task is called.
    fn measure(&self) -> &'static str {
        match self.task.as_str() {
            "anomaly detection" => "AUC",
            "object detection" => "mAP",
            "generation" => "explained variance",
            _ => "accuracy",
        }
    }
}

impl Promise {
    /// The promises that do not hold, a sentence each.
    fn broken_by(&self, name: &str, accuracy: &Accuracy) -> Vec<String> {
        let mut broken = Vec::new();
        if accuracy.reference < self.float_floor {
            broken.push(format!("{name}: float accuracy {:.4}, floor {:.4}", accuracy.reference, self.float_floor));
        }
        let drop = accuracy.reference - accuracy.image;
        // Shares are ratios of small counts; the tolerance only undoes their rounding.
        if drop > self.int8_max_drop + 1e-9 {
            broken.push(format!("{name}: int8 loses {drop:.4}, at most {:.4} allowed", self.int8_max_drop));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_kept_to_the_digit() {
        let promise = Promise { float: 0.99, float_floor: 0.98, int8_max_drop: 0.005 };
        let accuracy = |reference: f64, image: f64| Accuracy { reference, image };
        assert!(promise.broken_by("m", &accuracy(0.98, 0.975)).is_empty());
        assert_eq!(promise.broken_by("m", &accuracy(0.97, 0.96)).len(), 2);
        assert_eq!(promise.broken_by("m", &accuracy(0.99, 0.98)), ["m: int8 loses 0.0100, at most 0.0050 allowed"]);
    }

    #[test]
    fn promises_are_read() {
        let text = r#"
            model = { task = "object detection" }
            accuracy = { float = 0.9, float_floor = 0.8, int8_max_drop = 0.01 }
            calibration = { file = "c.npz" }
            quantized = { file = "q.onnx", accuracy = 0.89 }
        "#;
        let about: About = toml::from_str(text).unwrap();
        assert_eq!((about.model.measure(), about.samples.len()), ("mAP", 0));
        assert_eq!(about.quantized.map(|q| q.accuracy), Some(0.89));
    }
}
