//! The models of the project keep what their `model.toml` promises, on their whole test sets.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::demo::Verified;
use crate::project::Project;
use crate::setup;
use crate::tinfer::Tinfer;

/// Converts every model to int8 and compares its accuracy and the float model's with the floors.
///
/// Test sets come from package registries and are kept in the cache. Where one cannot be had, the
/// model is skipped and that is said.
///
/// # Errors
/// A model below its floor, or one that cannot be converted.
pub fn run(project: &Project) -> Result<()> {
    setup::prepare(project, &setup::Options::silent_when_found(), &[setup::Purpose::Tests])?;
    let tinfer = Tinfer::build(project, "zoo")?;
    let models = project.root().join("models");
    let mut broken = Vec::new();
    for name in names(&models)? {
        println!("\n{name}");
        let about = About::read(&models.join(&name))?;
        if let Some(test_set) = test_set(project, &models, &name, &tinfer.folder)? {
            let verified = verify(&tinfer, &models.join(&name), &name, &test_set)?;
            broken.extend(about.accuracy.broken_by(&name, &verified)?);
        }
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

fn test_set(project: &Project, models: &Path, name: &str, folder: &Path) -> Result<Option<PathBuf>> {
    let file = folder.join(format!("{name}.npz"));
    let python = setup::python(project)?;
    let script = models.join("evaluation.py");
    let output = Command::new(python).arg(script).arg(name).arg(&file).output().context("cannot run Python")?;
    if output.status.success() {
        return Ok(Some(file));
    }
    println!("skipped, its test set cannot be had: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(None)
}

fn verify(tinfer: &Tinfer, model: &Path, name: &str, test_set: &Path) -> Result<Verified> {
    let onnx = model.join(format!("{name}.onnx"));
    let image = tinfer.folder.join(format!("{name}.tnf"));
    let _: serde_json::Value = tinfer.ask(|command| {
        command.arg("convert").arg(&onnx).arg("-o").arg(&image).args(["--target", "mps2-an386"]);
    })?;
    let verified: Verified = tinfer.ask(|command| {
        command.arg("verify").arg(&onnx).arg(&image).arg("--inputs").arg(test_set);
    })?;
    verified.print();
    Ok(verified)
}

/// What `model.toml` promises.
#[derive(Deserialize)]
pub struct About {
    /// Accuracy on the test set.
    pub accuracy: Promise,
    /// Samples for calibration.
    pub calibration: Calibration,
    /// Pictures with their labels.
    pub samples: Vec<Sample>,
}

/// Shares of right answers.
#[derive(Deserialize)]
pub struct Promise {
    /// Of the float model, as measured when it was trained.
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

impl Promise {
    /// The promises that do not hold, a sentence each.
    fn broken_by(&self, name: &str, verified: &Verified) -> Result<Vec<String>> {
        let accuracy = verified.accuracy.as_ref().context("the test set has no labels")?;
        let mut broken = Vec::new();
        if accuracy.reference < self.float_floor {
            broken.push(format!("{name}: float accuracy {:.4}, floor {:.4}", accuracy.reference, self.float_floor));
        }
        let drop = accuracy.reference - accuracy.image;
        // Shares are ratios of small counts; the tolerance only undoes their rounding.
        if drop > self.int8_max_drop + 1e-9 {
            broken.push(format!("{name}: int8 loses {drop:.4}, at most {:.4} allowed", self.int8_max_drop));
        }
        Ok(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_kept_to_the_digit() {
        let promise = Promise { float: 0.99, float_floor: 0.98, int8_max_drop: 0.005 };
        let verified = |reference: f64, image: f64| -> Verified {
            let json = format!(
                r#"{{"samples": 1, "outputs": [], "accuracy": {{"reference": {reference}, "image": {image}}}}}"#
            );
            serde_json::from_str(&json).unwrap()
        };
        assert!(promise.broken_by("m", &verified(0.98, 0.975)).unwrap().is_empty());
        assert_eq!(promise.broken_by("m", &verified(0.97, 0.96)).unwrap().len(), 2);
        assert_eq!(
            promise.broken_by("m", &verified(0.99, 0.98)).unwrap(),
            ["m: int8 loses 0.0100, at most 0.0050 allowed"]
        );
    }
}
