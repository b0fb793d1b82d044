//! Runs the measuring program in QEMU.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use tinfer_build::Board;

use super::reference::Reference;
use crate::process;

/// What the program reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Of a whole run, the step loop included.
    pub instructions: u64,
    /// Of each step.
    pub steps: Vec<u64>,
    /// Stack that the run used.
    pub stack_bytes: u64,
    output_digests: Vec<u64>,
    step_digests: Vec<u64>,
}

/// Starts the board with `slot` in its model slot and waits until the program ends.
///
/// # Errors
/// The stage that failed on the board, or what QEMU said.
pub fn run(board: &Board, elf: &Path, slot: &[u8], folder: &Path) -> Result<Measured> {
    let facts = board.emulator.as_ref().context("the board is not emulated")?;
    let file = folder.join(format!("{}.slot", board.name));
    std::fs::write(&file, slot)?;
    let mut command = Command::new("qemu-system-arm");
    command.args(["-machine", &facts.machine, "-icount", "shift=0"]);
    command.args(["-display", "none", "-monitor", "none", "-nic", "none", "-serial", "none"]);
    command.args(["-chardev", "stdio,id=report,signal=off"]);
    command.args(["-semihosting-config", "enable=on,target=native,chardev=report"]);
    command.arg("-kernel").arg(elf);
    let origin = board.model_slot.origin;
    // A comma in a value is written twice.
    let file = file.display().to_string().replace(',', ",,");
    command.args(["-device", &format!("loader,file={file},addr={origin:#x},force-raw=on")]);
    let output = process::output_within(&mut command, LIMIT)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let measured = parse(&text, facts.instructions_per_tick)?;
    if !output.status.success() {
        bail!("the program gave up: {}\n{}", String::from_utf8_lossy(&output.stderr).trim(), text.trim());
    }
    Ok(measured)
}

impl Measured {
    /// Compares every byte that both machines computed.
    ///
    /// # Errors
    /// The first step that differs.
    pub fn compare(&self, reference: &Reference) -> Result<()> {
        if self.step_digests.len() != reference.steps.len() || self.output_digests.len() != reference.outputs.len() {
            bail!("the device ran {} steps, this machine {}", self.step_digests.len(), reference.steps.len());
        }
        let differs = self.step_digests.iter().zip(&reference.steps).position(|(device, host)| *device != host.digest);
        if let Some(step) = differs {
            bail!("step {step} ({}) computes something else than on this machine", reference.steps[step].kernel);
        }
        if self.output_digests != reference.outputs {
            bail!("the outputs differ from those on this machine");
        }
        Ok(())
    }
}

/// Lines as `firmware/bench/src/report.rs` writes them.
fn parse(text: &str, instructions_per_tick: f64) -> Result<Measured> {
    let mut measured = Measured::default();
    let instructions = |ticks: u64| (ticks as f64 * instructions_per_tick).round() as u64;
    for line in text.lines() {
        let (letter, digits) = line.split_once(' ').with_context(|| format!("not a line of the program: {line}"))?;
        let number = u64::from_str_radix(digits, 16).with_context(|| format!("not a line of the program: {line}"))?;
        match letter {
            "r" => measured.instructions = instructions(number),
            "t" => measured.steps.push(instructions(number)),
            "s" => measured.stack_bytes = number,
            "o" => measured.output_digests.push(number),
            "d" => measured.step_digests.push(number),
            "e" => bail!("the board {}", STAGES.get(number as usize).unwrap_or(&"failed")),
            _ => bail!("not a line of the program: {line}"),
        }
    }
    Ok(measured)
}

/// By number, as in `firmware/bench/src/measure.rs`.
const STAGES: [&str; 5] = [
    "failed",
    "refuses the image",
    "cannot bind the image",
    "has no room for the inputs behind the image",
    "stopped in the middle of a run",
];

const LIMIT: std::time::Duration = std::time::Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "r 0000000000000010\ns 00000000000000ff\no 00000000deadbeef\nt 0000000000000002\n\
                    d ffffffffffffffff\n";
        let measured = parse(text, 40.0).unwrap();
        let expected = Measured {
            instructions: 640,
            steps: vec![80],
            stack_bytes: 255,
            output_digests: vec![0xdead_beef],
            step_digests: vec![u64::MAX],
        };
        assert_eq!(measured, expected);
    }

    #[test]
    fn failures_have_a_sentence() {
        for (text, word) in [("e 0000000000000002", "cannot bind"), ("x 1", "not a line"), ("hello", "not a line")] {
            let error = format!("{:#}", parse(text, 40.0).unwrap_err());
            assert!(error.contains(word), "{error}");
        }
    }
}
