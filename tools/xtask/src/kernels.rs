//! The contract of the kernels in the emulators: `firmware/contract` on every emulated board.
//!
//! The program compares the fast kernels of its instruction set with the portable ones, instruction for instruction as
//! the board would run them; here its digests are compared with those of this machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tinfer::isa::Isa;
use tinfer::kernels::contract::{self, EMULATOR_CASES, EMULATOR_SEED, Memory, comparisons};
use tinfer_build::Board;

use crate::firmware;
use crate::process;
use crate::project::Project;
use crate::toolchain::CrossToolchain;

/// Builds and runs the program on every emulated board, one after the other.
///
/// # Errors
/// The first kernel that differs, from the portable one or between a board and this machine.
pub fn run(project: &Project) -> Result<()> {
    let portable = portable_lines()?;
    println!("this machine:");
    portable.iter().for_each(Line::print);
    for board in Board::all().into_iter().filter(|board| board.emulator.is_some()) {
        let expected: Vec<Line> = fast_lines(&board)?.into_iter().chain(portable.clone()).collect();
        let begun = Instant::now();
        let found = report(&board, build(project, &board)?)?;
        compare(&board.name, &expected, &found)?;
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{} ({}): {} portable kernels as on this machine, {seconds:.1} s",
            board.name,
            board.isa,
            portable.len()
        );
        found.iter().filter(|line| line.kind == "fast").for_each(Line::print);
    }
    Ok(())
}

/// What the program says of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    kind: String,
    kernel: String,
    cases: u32,
    digest: String,
}

impl Line {
    fn new(kind: &str, kernel: &str, cases: u32, digest: u64) -> Self {
        Self { kind: kind.to_owned(), kernel: kernel.to_owned(), cases, digest: format!("{digest:016x}") }
    }

    fn print(&self) {
        println!("  {:<40}{:>6} cases  {}", format!("{} {}", self.kind, self.kernel), self.cases, self.digest);
    }

    fn parse(text: &str) -> Result<Self> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind @ ("fast" | "portable"), kernel, cases, digest] = words[..] else { bail!("{text}") };
        let cases = cases.parse().with_context(|| text.to_owned())?;
        Ok(Self { kind: kind.to_owned(), kernel: kernel.to_owned(), cases, digest: digest.to_owned() })
    }
}

fn portable_lines() -> Result<Vec<Line>> {
    let tallies = contract::digests(EMULATOR_CASES, EMULATOR_SEED).map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let pictures = contract::pictures(EMULATOR_CASES, EMULATOR_SEED).context("a picture is refused")?;
    Ok(tallies
        .iter()
        .chain([&pictures])
        .map(|tally| Line::new("portable", tally.kernel, tally.cases, tally.digest))
        .collect())
}

fn fast_lines(board: &Board) -> Result<Vec<Line>> {
    let isa = Isa::from_name(&board.isa).with_context(|| format!("no instruction set is called {}", board.isa))?;
    let mut memory = Box::new(Memory::new());
    let lines = comparisons::of(isa).map(|comparison| {
        let report = comparison.run(EMULATOR_CASES, EMULATOR_SEED, &mut memory);
        let report = report.map_err(|failure| anyhow::anyhow!("on this machine: {failure}"))?;
        Ok(Line::new("fast", comparison.name, report.cases, report.digest))
    });
    lines.collect()
}

fn build(project: &Project, board: &Board) -> Result<PathBuf> {
    let toolchain = CrossToolchain::require(&board.target)?;
    let target_folder = project.firmware_target_folder();
    let mut command = toolchain.cargo("build", &target_folder, &firmware::flags(board));
    command.current_dir(project.root().join("firmware")).args(["--package", PACKAGE, "--quiet"]);
    // Nothing is measured here, and without link-time optimization the program is there in half the time.
    command.args(["--config", "profile.release.lto=\"off\"", "--config", "profile.release.codegen-units=16"]);
    command.env("TINFER_BOARD", &board.name).env_remove("TINFER_MODEL");
    process::run(&mut command)?;
    Ok(target_folder.join(&board.target).join("release").join(PACKAGE))
}

fn report(board: &Board, elf: PathBuf) -> Result<Vec<Line>> {
    let facts = board.emulator.as_ref().context("the board is not emulated")?;
    let mut command = Command::new("qemu-system-arm");
    command.args(["-machine", &facts.machine]);
    command.args(["-display", "none", "-monitor", "none", "-nic", "none", "-serial", "none"]);
    command.args(["-chardev", "stdio,id=report,signal=off"]);
    command.args(["-semihosting-config", "enable=on,target=native,chardev=report"]);
    command.arg("-kernel").arg(elf);
    let output = process::output_within(&mut command, LIMIT)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().map(Line::parse).collect::<Result<_>>();
    let lines = lines.with_context(|| format!("on {}", board.name))?;
    if !output.status.success() {
        bail!("{} gave up: {}", board.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(lines)
}

fn compare(board: &str, expected: &[Line], found: &[Line]) -> Result<()> {
    for (expected, found) in expected.iter().zip(found) {
        if expected != found {
            bail!("{board} answers {found:?}, this machine {expected:?}");
        }
    }
    if expected.len() != found.len() {
        bail!("{board} ran {} kernels, this machine {}", found.len(), expected.len());
    }
    Ok(())
}

const PACKAGE: &str = "tinfer-contract";
const LIMIT: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_sentences_are_not() {
        let line = Line::parse("fast add_i8_armv7em 2000 00000000deadbeef").unwrap();
        assert_eq!(line, Line::new("fast", "add_i8_armv7em", 2000, 0xdead_beef));
        let error = Line::parse("add_i8_armv7em, case 3: accepted").unwrap_err();
        assert_eq!(error.to_string(), "add_i8_armv7em, case 3: accepted");
    }

    #[test]
    fn a_kernel_that_differs_or_is_missing_is_named() {
        let line = |digest| Line::new("fast", "conv_2d_i8", 2000, digest);
        assert!(compare("m4", &[line(1)], &[line(1)]).is_ok());
        let error = compare("m4", &[line(1)], &[line(2)]).unwrap_err().to_string();
        assert!(error.contains("conv_2d_i8") && error.contains("0000000000000002"), "{error}");
        assert!(compare("m4", &[line(1), line(1)], &[line(1)]).unwrap_err().to_string().contains("1 kernels"));
    }
}
