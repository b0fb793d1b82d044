//! A 1 kHz task beside inference: `firmware/realtime` in the emulator.
//!
//! The board executes one instruction in 4 ns, like a core of 250 MHz with one instruction per cycle: 250,000 in a period.
//! With a model in slices the task must be on time in every period; with the same model whole it must not, or the
//! program would prove nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tinfer_build::Board;

use crate::bench::reference;
use crate::firmware;
use crate::process;
use crate::project::Project;
use crate::tinfer::{Echo, Tinfer};
use crate::toolchain::CrossToolchain;

/// Runs the program twice, and prints what it says.
///
/// # Errors
/// A period without the task, another result than on this machine, or a whole model that the task does not notice.
pub fn run(project: &Project) -> Result<()> {
    let board = Board::find(BOARD)?;
    let tinfer = Tinfer::build(project, "realtime")?;
    let sliced = Trial::run(project, &board, &tinfer, Some(MOST_INSTRUCTIONS))?;
    sliced.print();
    ensure!(sliced.number("missed")? == 0, "the task missed {} periods", sliced.number("missed")?);
    ensure!(sliced.number("periods")? >= 1000 && sliced.number("inferences")? >= 3, "the program ended too early");
    let whole = Trial::run(project, &board, &tinfer, None)?;
    whole.print();
    ensure!(whole.number("missed")? > 0, "a whole layer takes longer than a period, but no period was missed");
    Ok(())
}

/// What `tinfer convert` answers.
#[derive(Deserialize)]
struct Converted {
    worst_slice: WorstSlice,
    layers: Vec<serde::de::IgnoredAny>,
    arena_bytes: u64,
}

#[derive(Deserialize)]
struct WorstSlice {
    estimate: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    instructions: u64,
}

struct Trial {
    converted: Converted,
    /// Lines of the program.
    said: BTreeMap<String, u64>,
    instructions_per_tick: f64,
}

impl Trial {
    fn run(project: &Project, board: &Board, tinfer: &Tinfer, most_instructions: Option<u64>) -> Result<Self> {
        let image = tinfer.folder.join("model.tnf");
        let converted = tinfer.ask_with(Echo::Command, |command| {
            command.arg("convert").arg(project.root().join(MODEL)).arg("-o").arg(&image);
            command.args(["--target", &board.name]);
            if let Some(most) = most_instructions {
                command.args(["--max-slice", &most.to_string()]);
            }
        })?;
        let reference = reference::run(&std::fs::read(&image)?)?;
        let slot = tinfer.folder.join("model.slot");
        std::fs::write(&slot, &reference.slot)?;
        let facts = board.emulator.as_ref().context("the board is not emulated")?;
        let said = start(board, &facts.machine, &build(project, board, &image)?, &slot)?;
        let nanoseconds_per_tick = 1e9 / f64::from(board.clock_hz);
        let trial =
            Trial { converted, said, instructions_per_tick: nanoseconds_per_tick / f64::from(1 << ICOUNT_SHIFT) };
        if reference.outputs.first() != Some(&trial.number("digest")?) {
            bail!("the board computes something else than this machine");
        }
        Ok(trial)
    }

    fn number(&self, word: &str) -> Result<u64> {
        self.said.get(word).copied().with_context(|| format!("the program does not say `{word}`: {:?}", self.said))
    }

    fn print(&self) {
        let said = |word: &str| self.said.get(word).copied().unwrap_or_default();
        let instructions = |ticks: u64| (ticks as f64 * self.instructions_per_tick).round();
        println!(
            "{} steps, {} bytes of arena: the worst step takes {} instructions, estimated {}",
            self.converted.layers.len(),
            self.converted.arena_bytes,
            instructions(said("worst_step")),
            self.converted.worst_slice.estimate.instructions
        );
        println!(
            "  {} periods, {} missed, the task starts at most {} instructions late; {} inferences beside it",
            said("periods"),
            said("missed"),
            instructions(said("delay")),
            said("inferences")
        );
    }
}

fn build(project: &Project, board: &Board, image: &Path) -> Result<PathBuf> {
    let toolchain = CrossToolchain::require(&board.target)?;
    let target_folder = project.firmware_target_folder();
    let mut command = toolchain.cargo("build", &target_folder, &firmware::flags(board));
    command.current_dir(project.root().join("firmware")).args(["--package", PACKAGE, "--quiet"]);
    command.env("TINFER_BOARD", &board.name).env("TINFER_MODEL", image);
    process::run(&mut command)?;
    Ok(target_folder.join(&board.target).join("release").join(PACKAGE))
}

/// The program's lines: a word and a number. It ends with a failure when a period was missed, which is told from others by
/// its lines.
fn start(board: &Board, machine: &str, elf: &Path, slot: &Path) -> Result<BTreeMap<String, u64>> {
    let mut command = Command::new("qemu-system-arm");
    command.args(["-machine", machine, "-icount", &format!("shift={ICOUNT_SHIFT}")]);
    command.args(["-display", "none", "-monitor", "none", "-nic", "none", "-serial", "none"]);
    command.args(["-chardev", "stdio,id=report,signal=off"]);
    command.args(["-semihosting-config", "enable=on,target=native,chardev=report"]);
    command.arg("-kernel").arg(elf);
    let origin = board.model_slot.origin;
    // A comma in a value is written twice.
    let slot = slot.display().to_string().replace(',', ",,");
    command.args(["-device", &format!("loader,file={slot},addr={origin:#x},force-raw=on")]);
    let output = process::output_within(&mut command, LIMIT)?;
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Result<BTreeMap<String, u64>> {
    let lines = text.lines().map(|line| {
        let (word, number) = line.split_once(' ').with_context(|| format!("not a line of the program: {line}"))?;
        Ok((word.to_owned(), number.parse().with_context(|| format!("not a line of the program: {line}"))?))
    });
    lines.collect()
}

const PACKAGE: &str = "tinfer-realtime";
const BOARD: &str = "mps2-an500";
const MODEL: &str = "models/digits-cnn/digits-cnn.onnx";

/// Of a step, by estimate: what is left of a period is for the task and for the executor.
const MOST_INSTRUCTIONS: u64 = 200_000;

/// 2^2 ns of virtual time for an instruction.
const ICOUNT_SHIFT: u32 = 2;

const LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let said = parse("digest 18446744073709551615\nmissed 3\n").unwrap();
        assert_eq!((said["digest"], said["missed"]), (u64::MAX, 3));
        assert!(parse("hello").is_err() && parse("missed many").is_err());
    }
}
