//! One model on one board, measured.

use std::path::Path;

use anyhow::{Result, bail};
use serde::Serialize;
use tinfer_build::Board;

use super::emulator::Measured;
use super::models::{Converted, Model};
use super::peers::{self, Peer};
use super::reference::Reference;
use crate::program::{self, Program, RUN, StackBounds};

/// What a model costs on a board; its fields are keys of `cargo xtask bench --json`.
#[derive(Debug, Serialize)]
pub struct Row {
    pub model: String,
    pub board: String,
    pub isa: String,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Of one inference.
    pub instructions: u64,
    pub instructions_per_mac: f64,
    /// Flash without the model.
    pub program_bytes: u64,
    pub image_bytes: u64,
    /// Tensors and scratch.
    pub arena_bytes: u64,
    /// Worst case of a run and an interrupt in it, from the call graph.
    pub stack_bytes: u64,
    /// What the run used, from the paint that it removed.
    pub stack_high_water_bytes: u64,
    pub layers: Vec<LayerCost>,
    /// Instructions that were expected before anything ran, if every layer has a formula.
    pub estimate: Option<u64>,
    /// The peer's numbers, where there are any.
    pub peer: Option<Peer>,
    /// Instructions by the peer's.
    pub ratio: Option<f64>,
}

/// What is read from the linked program.
pub struct Linked {
    flash_bytes: u64,
    run_stack_bytes: u64,
    interrupt_stack_bytes: u64,
}

impl Linked {
    /// Reads the ELF file of the measuring program.
    ///
    /// # Errors
    /// A program whose stack has no bound.
    pub fn read(elf: &Path) -> Result<Self> {
        let program = Program::read(elf)?;
        let mut bounds = StackBounds::new(&program);
        Ok(Self {
            flash_bytes: program::flash_bytes(elf)?,
            run_stack_bytes: bounds.function(RUN)?.into(),
            interrupt_stack_bytes: bounds.interrupt()?.into(),
        })
    }

    /// A bound that is no bound is an error.
    ///
    /// # Errors
    /// The device used more than the program's bound, or the program may use more than the image says.
    pub fn check_stack(&self, measured: &Measured, converted: &Converted) -> Result<()> {
        let (seen, bound) = (measured.stack_bytes, self.stack_bytes());
        if seen > bound {
            bail!("the run used {seen} bytes of stack, the bound from its call graph is {bound}");
        }
        let (run, stated) = (self.run_stack_bytes, converted.stack_bytes);
        if run > stated {
            bail!("a run may use {run} bytes of stack, its image says {stated}: run `cargo xtask stack --write`");
        }
        Ok(())
    }

    fn stack_bytes(&self) -> u64 {
        self.run_stack_bytes + self.interrupt_stack_bytes
    }
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct LayerCost {
    pub name: String,
    /// In ONNX.
    pub operator: String,
    pub kernel: String,
    pub macs: u64,
    pub instructions: u64,
    /// What was expected.
    pub estimate: Option<u64>,
}

impl LayerCost {
    /// What was expected, in per cent above what it was.
    pub fn error_percent(&self) -> Option<f64> {
        self.estimate.map(|estimate| error_percent(estimate, self.instructions))
    }

    /// The same for layers that are judged by it: large ones whose cost follows from their shapes.
    pub fn judged_percent(&self, isa: &str) -> Option<f64> {
        self.error_percent().filter(|_| self.instructions >= SMALLEST_JUDGED && !self.depends_on_data(isa))
    }

    /// Whether what the step costs follows from its input, not from shapes alone.
    fn depends_on_data(&self, isa: &str) -> bool {
        let is_float = self.kernel.ends_with("_f32") || self.kernel.contains("quantize");
        DATA_DEPENDENT.contains(&self.kernel.as_str()) || (isa == SOFTWARE_FLOAT && is_float)
    }
}

/// An estimate in per cent above the count.
pub fn error_percent(estimate: u64, instructions: u64) -> f64 {
    100.0 * (estimate as f64 / instructions.max(1) as f64 - 1.0)
}

impl Row {
    pub fn new(
        model: &Model,
        board: &Board,
        converted: Converted,
        linked: &Linked,
        measured: &Measured,
        reference: &Reference,
    ) -> Self {
        let peer = peers::find(&model.name, &board.name);
        let instructions = measured.instructions;
        let steps = reference.steps.iter().zip(&measured.steps).zip(converted.layers);
        let layers = steps.map(|((step, &instructions), layer)| LayerCost {
            name: layer.name,
            operator: layer.operator,
            kernel: step.kernel.to_owned(),
            macs: layer.macs,
            instructions,
            estimate: layer.instructions_estimate,
        });
        let layers: Vec<LayerCost> = layers.collect();
        Self {
            model: model.name.clone(),
            board: board.name.clone(),
            isa: board.isa.clone(),
            macs: converted.macs,
            instructions,
            instructions_per_mac: instructions as f64 / converted.macs.max(1) as f64,
            program_bytes: linked.flash_bytes,
            image_bytes: converted.image_bytes,
            arena_bytes: converted.arena_bytes,
            stack_bytes: linked.stack_bytes(),
            stack_high_water_bytes: measured.stack_bytes,
            estimate: layers.iter().map(|layer| layer.estimate).sum(),
            layers,
            ratio: peer.as_ref().map(|peer| instructions as f64 / peer.instructions as f64),
            peer,
        }
    }

    /// The layer whose estimate is worst, of those large enough to be judged by it.
    pub fn worst_layer(&self) -> Option<(&LayerCost, f64)> {
        let errors = self.layers.iter().filter_map(|layer| Some((layer, layer.judged_percent(&self.isa)?)));
        errors.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
    }

    /// The largest error of a smaller layer, in instructions.
    pub fn worst_smaller_layer(&self) -> Option<u64> {
        let smaller = self.layers.iter().filter(|layer| layer.instructions < SMALLEST_JUDGED);
        smaller.filter_map(|layer| Some(layer.estimate?.abs_diff(layer.instructions))).max()
    }

    /// The first kernel that has no formula.
    pub fn without_estimate(&self) -> Option<&str> {
        self.layers.iter().find(|layer| layer.estimate.is_none()).map(|layer| layer.kernel.as_str())
    }

    /// An estimate that is too far from what was counted is an error.
    ///
    /// A model with a kernel that has no formula has no estimate of its own; `tests/budgets.toml` remembers which had one.
    pub fn check_estimates(&self) -> Result<()> {
        let whole = self.estimate.map(|estimate| {
            let unjudged = self.layers.iter().filter(|layer| layer.depends_on_data(&self.isa));
            let [expected, found] = unjudged.fold([estimate, self.instructions], |[expected, found], layer| {
                [expected.saturating_sub(layer.estimate.unwrap_or(0)), found.saturating_sub(layer.instructions)]
            });
            ("the model", error_percent(expected, found))
        });
        let layers =
            self.layers.iter().filter_map(|layer| Some((layer.name.as_str(), layer.judged_percent(&self.isa)?)));
        let errors = whole.into_iter().chain(layers);
        let far: Vec<String> = errors
            .filter(|(_, percent)| percent.abs() > MOST_ERROR_PERCENT)
            .map(|(what, percent)| format!("{what} is estimated {percent:+.1} % off"))
            .collect();
        if !far.is_empty() {
            bail!("{}", far.join("; "));
        }
        Ok(())
    }
}

/// Instructions. Smaller layers are mostly the Rust around their loops, and hardly any of a model: its own error and
/// [`Row::worst_smaller_layer`] speak of them.
const SMALLEST_JUDGED: u64 = 2_000;

/// Kernels whose instructions follow from the numbers that they find: the boxes above a threshold, divisions of 64 bits.
/// Their estimate is for typical data, and neither they nor their part of a model is judged.
const DATA_DEPENDENT: [&str; 2] = ["non_max_suppression_f32", "softmax_i16"];

/// The instruction set whose measured board has no floating-point unit: what its library routines take depends on the
/// numbers, by up to a quarter.
const SOFTWARE_FLOAT: &str = "portable";

/// By how much the estimate of a model or a layer may be wrong.
const MOST_ERROR_PERCENT: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    impl Row {
        /// Ones and no board.
        pub fn example(layers: Vec<LayerCost>) -> Self {
            Row {
                model: "m".to_owned(),
                board: "b".to_owned(),
                isa: "portable".to_owned(),
                macs: 1,
                instructions: 1,
                instructions_per_mac: 1.0,
                program_bytes: 1,
                image_bytes: 1,
                arena_bytes: 1,
                stack_bytes: 0,
                stack_high_water_bytes: 0,
                layers,
                estimate: None,
                peer: None,
                ratio: None,
            }
        }
    }

    fn layer(name: &str, instructions: u64, estimate: Option<u64>) -> LayerCost {
        let [operator, kernel] = ["Conv", "conv_2d_i8"].map(str::to_owned);
        LayerCost { name: name.to_owned(), operator, kernel, macs: 1, instructions, estimate }
    }

    fn row(layers: &[LayerCost]) -> Row {
        let instructions = layers.iter().map(|layer| layer.instructions).sum();
        let estimate = layers.iter().map(|layer| layer.estimate).sum();
        Row { instructions, estimate, ..Row::example(layers.to_vec()) }
    }

    #[test]
    fn estimates_that_are_far_off_are_errors() {
        let good = layer("good", 100_000, Some(105_000));
        let check = |layers: &[LayerCost]| row(layers).check_estimates().map_err(|error| error.to_string());
        assert_eq!(check(&[good.clone(), layer("small", 1_999, Some(0))]), Ok(()));
        for (found, expected) in [
            (vec![good.clone(), layer("bad", 2_000, Some(1_700))], "bad is estimated -15.0 % off"),
            (vec![layer("small", 1_000, Some(1_200))], "the model is estimated +20.0 % off"),
        ] {
            assert_eq!(check(&found), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_model_without_estimate_is_judged_by_its_layers() {
        let none = layer("none", 10, None);
        let found = row(&[none.clone(), layer("good", 100_000, Some(105_000))]);
        assert_eq!((found.estimate, found.without_estimate()), (None, Some("conv_2d_i8")));
        assert!(found.check_estimates().is_ok());
        let error = row(&[none, layer("bad", 2_000, Some(1_700))]).check_estimates().unwrap_err();
        assert_eq!(error.to_string(), "bad is estimated -15.0 % off");
    }

    #[test]
    fn layers_whose_cost_is_in_their_data_are_not_judged() {
        let kernel = "non_max_suppression_f32".to_owned();
        let boxes = LayerCost { kernel, ..layer("boxes", 500_000, Some(100_000)) };
        let found = row(&[boxes.clone(), layer("good", 100_000, Some(105_000))]);
        assert!(found.check_estimates().is_ok());
        assert_eq!(found.worst_layer().map(|(layer, _)| layer.name.as_str()), Some("good"));
        let error = row(&[boxes, layer("bad", 1_000, Some(1_200))]).check_estimates().unwrap_err();
        assert_eq!(error.to_string(), "the model is estimated +20.0 % off");
    }

    #[test]
    fn software_float_is_not_judged() {
        let kernel = "dequantize_i8".to_owned();
        let numbers = LayerCost { kernel, ..layer("numbers", 50_000, Some(60_000)) };
        let found =
            |isa: &str| Row { isa: isa.to_owned(), ..row(&[numbers.clone(), layer("a", 900_000, Some(900_000))]) };
        assert!(found("portable").check_estimates().is_ok());
        let error = found("armv7em").check_estimates().unwrap_err();
        assert_eq!(error.to_string(), "numbers is estimated +20.0 % off");
    }

    #[test]
    fn small_layers_are_judged_by_instructions() {
        let row =
            row(&[layer("a", 2_000, Some(2_100)), layer("b", 1_900, Some(1_000)), layer("c", 9_000, Some(8_910))]);
        assert_eq!(row.worst_layer().map(|(layer, percent)| (layer.name.as_str(), percent.round())), Some(("a", 5.0)));
        assert_eq!(row.worst_smaller_layer(), Some(900));
    }
}
