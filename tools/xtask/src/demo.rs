//! `cargo xtask demo`: a trained model to a class read off an emulated Cortex-M4, in under a minute.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::project::Project;
use crate::setup::{self, Purpose};
use crate::tinfer::Tinfer;
use crate::zoo::About;

/// Converts, verifies, flashes, runs; prints what each step costs.
///
/// # Errors
/// A step that fails, or a wrong class.
pub fn run(project: &Project) -> Result<()> {
    let n_missing = setup::prepare(project, &setup::Options::silent_when_found(), &[Purpose::Firmware])?;
    let on = if n_missing == 0 { format!("emulator:{BOARD}") } else { "host".to_owned() };
    let tinfer = Tinfer::build(project, "demo")?;
    let model = project.root().join("models").join(MODEL);
    let about = About::read(&model)?;
    let image = tinfer.folder.join(format!("{MODEL}.tnf"));

    println!("\n== {MODEL}.onnx to an int8 image for {BOARD}");
    let onnx = model.join(format!("{MODEL}.onnx"));
    let calibration = model.join(&about.calibration.file);
    let converted: Converted = tinfer.ask(|command| {
        command.arg("convert").arg(&onnx).arg("-o").arg(&image).args(["--target", BOARD, "--precision", "int8"]);
        command.arg("--calibration").arg(&calibration);
    })?;
    converted.print();

    println!("\n== The image against the float model, on this machine");
    let verified: Verified = tinfer.ask(|command| {
        command.arg("verify").arg(&onnx).arg(&image).arg("--inputs").arg(&calibration).args(["--on", "host"]);
    })?;
    verified.print();
    if verified.accuracy.is_none() {
        println!(
            "these samples have no labels; on its test set the float model is right in {:.2} %",
            about.accuracy.float * 100.0
        );
    }

    let sample = about.samples.first().context("model.toml lists no samples")?;
    let picture = model.join(&sample.file);
    println!("\n== {} on {on}", sample.file);
    if n_missing > 0 {
        println!("The emulator cannot be had here (see above): the same kernels run on this machine instead.");
    }
    let seen: Seen = tinfer.ask(|command| {
        command.arg("run").arg(&image).arg("--input").arg(&picture).args(["--on", &on, "-v"]);
    })?;
    judge(&seen, &sample.label)
}

fn judge(seen: &Seen, label: &str) -> Result<()> {
    let best = seen.top.first().context("the answer names no class")?;
    println!("class {} with score {:.3}", best.label, best.score);
    if best.label != label {
        bail!("wrong class: expected {label}, got {}", best.label);
    }
    println!("as expected");
    Ok(())
}

#[derive(Deserialize)]
struct Converted {
    image_bytes: u64,
    weights_bytes: u64,
    arena_bytes: u64,
    scratch_bytes: u64,
    stack_bytes: u64,
    macs: u64,
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    name: String,
    kernel: String,
    macs: u64,
    bytes: u64,
}

impl Converted {
    fn print(&self) {
        let width = 2 + self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or_default();
        println!("{:<width$}{:<20}{:>10}{:>10}", "layer", "kernel", "MACs", "bytes");
        for Layer { name, kernel, macs, bytes } in &self.layers {
            println!("{name:<width$}{kernel:<20}{macs:>10}{bytes:>10}");
        }
        let totals = [
            ("image in flash", self.image_bytes),
            ("  of it weights", self.weights_bytes),
            ("arena in RAM", self.arena_bytes),
            ("  of it scratch", self.scratch_bytes),
            ("stack, at most", self.stack_bytes),
        ];
        // The converter answers 0 where it knows no bound.
        for (what, n_bytes) in totals.into_iter().filter(|&(_, n_bytes)| n_bytes > 0) {
            println!("{what:<18}{n_bytes:>10} bytes");
        }
        println!("{:<18}{:>10} MACs", "per inference", self.macs);
    }
}

/// What `tinfer verify` answers.
#[derive(Deserialize)]
struct Verified {
    samples: u64,
    outputs: Vec<Output>,
    accuracy: Option<Accuracy>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    sqnr_db: f64,
    max_abs_error: f64,
    top1_agreement: Option<f64>,
}

/// Shares of right answers.
#[derive(Deserialize)]
pub struct Accuracy {
    /// Of the float model.
    pub reference: f64,
    /// Of the image.
    pub image: f64,
}

impl Verified {
    /// One line per output.
    fn print(&self) {
        println!("{} samples", self.samples);
        for Output { name, sqnr_db, max_abs_error, top1_agreement } in &self.outputs {
            let agreement = top1_agreement.map(|share| format!(", same class in {:.1} %", share * 100.0));
            println!("{name}: SQNR {sqnr_db:.1} dB, largest error {max_abs_error:.4}{}", agreement.unwrap_or_default());
        }
        if let Some(Accuracy { reference, image }) = &self.accuracy {
            println!("accuracy: float {:.2} %, int8 {:.2} %", reference * 100.0, image * 100.0);
        }
    }
}

#[derive(Deserialize)]
struct Seen {
    top: Vec<Class>,
}

#[derive(Deserialize)]
struct Class {
    label: String,
    score: f64,
}

const MODEL: &str = "digits-cnn";
const BOARD: &str = "mps2-an386";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_class_fails_by_name() {
        let seen = |label: &str| Seen { top: vec![Class { label: label.to_owned(), score: 0.9 }] };
        assert!(judge(&seen("7"), "7").is_ok());
        let error = judge(&seen("1"), "7").unwrap_err().to_string();
        assert_eq!(error, "wrong class: expected 7, got 1");
        assert!(judge(&Seen { top: Vec::new() }, "7").is_err());
    }
}
