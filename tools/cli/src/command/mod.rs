//! One file per subcommand.

pub mod bench;
pub mod convert;
pub mod flash;
pub mod inspect;
pub mod run;
pub mod tables;
pub mod verify;

use crate::answer::shortened;
use crate::failure::Failure;
use tinfer_compiler::cost::{Estimate, WorstStep};
use tinfer_compiler::import::ImportOptions;
use tinfer_compiler::pack::PackedLayer;

/// What a user says about an ONNX file.
#[derive(clap::Args)]
pub struct Given {
    /// Fix a dynamic dimension of an ONNX file
    #[arg(long = "dim", value_name = "NAME=N", value_parser = dimension)]
    dims: Vec<(String, usize)>,
    /// Fix an input of an ONNX file to a value, and fold what follows from it
    #[arg(long = "input-value", value_name = "NAME=V", value_parser = input_value)]
    values: Vec<(String, f64)>,
}

impl Given {
    /// The same for the reader.
    pub fn import(&self) -> ImportOptions {
        ImportOptions { dims: self.dims.clone(), values: self.values.clone() }
    }
}

/// `NAME=V` of `--input-value`.
fn input_value(text: &str) -> Result<(String, f64), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, v)| Some((name.to_string(), v.parse::<f64>().ok()?)));
    parsed.filter(|(name, v)| !name.is_empty() && v.is_finite()).ok_or_else(|| "expected NAME=V with a number V".into())
}

/// `NAME=N` of `--dim`.
fn dimension(text: &str) -> Result<(String, usize), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, n)| Some((name.to_string(), n.parse::<usize>().ok()?)));
    parsed.filter(|(name, n)| !name.is_empty() && *n > 0).ok_or_else(|| "expected NAME=N with N of at least 1".into())
}

/// Bytes for people.
pub fn bytes(n: usize) -> String {
    let digits = n.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

/// Expected instructions and milliseconds of a layer, for columns with the titles [`ESTIMATED`].
pub fn estimated(layer: &PackedLayer) -> [String; 2] {
    let instructions = layer.instructions_estimate.map(|n| n.to_string());
    let milliseconds = layer.milliseconds_estimate.map(|ms| format!("{ms:.2}"));
    [instructions, milliseconds].map(|cell| cell.unwrap_or_else(|| "-".into()))
}

/// Titles of columns with numbers that nobody measured.
pub const ESTIMATED: [&str; 2] = ["est. instructions", "est. ms"];

/// What an inference is expected to cost, or why nobody can say.
pub fn expected<'a>(estimate: Option<&Estimate>, mut layers: impl Iterator<Item = &'a PackedLayer>) -> String {
    let Some(Estimate { instructions, milliseconds }) = estimate else {
        let unknown = layers.find(|layer| layer.instructions_estimate.is_none());
        return format!("none, there is no formula for {}", unknown.map_or("its layers", |layer| layer.kernel));
    };
    let time = milliseconds.map(|ms| format!(", {ms:.2} ms at the board's clock")).unwrap_or_default();
    format!("about {} instructions{time}", bytes(*instructions as usize))
}

/// What the step called `name` is expected to cost.
pub fn worst_slice(worst: &WorstStep, name: &str) -> String {
    let Estimate { instructions, milliseconds } = worst.estimate;
    let time = milliseconds.map(|ms| format!(", {ms:.2} ms at the board's clock")).unwrap_or_default();
    format!("about {} instructions{time}: {}", bytes(instructions as usize), shortened(name))
}

/// A warning for people; scripts find it in the answer.
pub fn warn(warnings: &[String]) {
    for warning in warnings {
        log::warn!("{warning}");
    }
}

/// The folder of an output must exist before minutes of work.
pub fn check_output(path: &std::path::Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let problem = match folder {
        Some(folder) if !folder.is_dir() => Some(format!("there is no folder {}", folder.display())),
        _ if path.is_dir() => Some(format!("{} is a folder, not a file", path.display())),
        _ => None,
    };
    match problem {
        Some(message) => Err(Failure { code: "file".into(), ..Failure::argument(message, "choose another --output") }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_and_numbers() {
        assert_eq!(dimension("batch=4"), Ok(("batch".into(), 4)));
        assert_eq!(dimension("a=b=4"), Ok(("a=b".into(), 4)));
        for wrong in ["batch", "=3", "batch=0", "batch=-1", "batch=x"] {
            assert!(dimension(wrong).is_err(), "{wrong}");
        }
        assert_eq!(input_value("sr=16000"), Ok(("sr".into(), 16000.0)));
        assert_eq!(input_value("a=b=-0.5"), Ok(("a=b".into(), -0.5)));
        for wrong in ["sr", "=3", "sr=", "sr=x", "sr=inf", "sr=nan"] {
            assert!(input_value(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes(1_234_567), "1,234,567");
        assert_eq!(bytes(12), "12");
    }

    #[test]
    fn estimates_say_that_they_are_estimates() {
        let layer = |instructions_estimate| PackedLayer {
            name: "a".into(),
            operator: "Conv".into(),
            kernel: "conv_2d_f32",
            precision: "float32",
            macs: 1,
            arena_offset: 0,
            bytes: 1,
            instructions_estimate,
            milliseconds_estimate: instructions_estimate.map(|_| 1.3),
        };
        let layers = [layer(Some(25_000)), layer(None)];
        assert_eq!(layers.each_ref().map(estimated), [["25000", "1.30"], ["-", "-"]]);
        let estimate = |milliseconds| Some(Estimate { instructions: 25_000, milliseconds });
        for (estimate, text) in [
            (estimate(Some(1.3)), "about 25,000 instructions, 1.30 ms at the board's clock"),
            (estimate(None), "about 25,000 instructions"),
            (None, "none, there is no formula for conv_2d_f32"),
        ] {
            assert_eq!(expected(estimate.as_ref(), layers.iter()), text);
        }
    }
}
