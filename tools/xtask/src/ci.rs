//! `cargo xtask test`: what CI runs, in order, up to the first step that fails.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use tinfer_build::Board;

use crate::firmware::Noise;
use crate::process;
use crate::project::Project;
use crate::toolchain::cargo;
use crate::{bench, conformance, dist, docs, firmware, kernels, realtime, setup, sizes, smoke, stack, symbols, tidy};

/// Which steps to run.
#[derive(Args)]
pub struct Options {
    /// Only the steps with one of these in their name; all when none is given
    names: Vec<String>,
}

/// Runs the steps and closes with `N passed, N failed`.
///
/// # Errors
/// The name of the step that failed, and why.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let start = Instant::now();
    let steps = chosen(&options.names)?;
    for (n_passed, &(name, step)) in steps.iter().enumerate() {
        println!("\n== {name}");
        let begun = Instant::now();
        if let Err(error) = step(project) {
            println!("== {name} FAILED after {}: {error:#}", clock(begun.elapsed()));
            println!("\n{n_passed} passed, 1 failed");
            bail!("{name} failed");
        }
        println!("== {name} passed in {}", clock(begun.elapsed()));
    }
    println!("\nAll steps in {}", clock(start.elapsed()));
    println!("{} passed, 0 failed", steps.len());
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<(&'static str, Step)>> {
    let wanted = |step: &str| names.is_empty() || names.iter().any(|name| step.contains(name.as_str()));
    let steps: Vec<_> = STEPS.into_iter().filter(|(step, _)| wanted(step)).collect();
    if steps.is_empty() {
        bail!("no such step; there are: {}", STEPS.map(|(step, _)| step).join(", "));
    }
    Ok(steps)
}

type Step = fn(&Project) -> Result<()>;

const STEPS: [(&str, Step); 18] = [
    ("setup", |project| setup::run(project, &setup::Options::default())),
    ("tidy", tidy::run),
    ("rustfmt", rustfmt),
    ("clippy", clippy),
    ("tests of the workspace", workspace_tests),
    ("tests of the firmware's libraries", firmware_tests),
    ("firmware of every board", boards),
    ("panics in the firmware", panics),
    ("kernels on every instruction set", kernels::run),
    ("1 kHz beside inference", realtime::run),
    ("stack of every operator", |project| stack::run(project, &stack::Options::default())),
    ("size of the bare runtime", |project| sizes::run(project, &sizes::Options::bare_check())),
    ("costs of the models", |project| bench::run(project, &bench::Options::quick_check())),
    ("tables in the documentation", |project| docs::run(project, &docs::Options { check: true })),
    ("conformance", |project| conformance::run(project, &conformance::Options { check: true })),
    ("demo", crate::demo::run),
    ("accuracy of the models", crate::zoo::run),
    ("tinfer on aarch64", aarch64),
];

fn rustfmt(project: &Project) -> Result<()> {
    for folder in [project.root().to_owned(), project.root().join("firmware")] {
        process::run(cargo("fmt", &folder).args(["--all", "--", "--check"]))?;
    }
    Ok(())
}

/// In the release profile, the only one in which build scripts and macros of the dependencies are built.
fn clippy(project: &Project) -> Result<()> {
    let arguments = ["--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    process::run(cargo("clippy", project.root()).args(arguments))?;
    let mut firmware = cargo("clippy", &project.root().join("firmware"));
    firmware.arg("--target-dir").arg(project.firmware_target_folder());
    process::run(firmware.args(["--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn workspace_tests(project: &Project) -> Result<()> {
    let data = project.root().join("../shared/data");
    let there = if data.is_dir() { "there: tests on it run" } else { "not there: tests on it are skipped" };
    println!("../shared/data is {there}");
    process::run(cargo("test", project.root()).args(["--release", "--workspace"]))
}

/// The portable crates of the firmware workspace (its default members), on this machine.
fn firmware_tests(project: &Project) -> Result<()> {
    let mut command = cargo("test", &project.root().join("firmware"));
    process::run(command.arg("--target-dir").arg(project.firmware_target_folder()))
}

fn boards(project: &Project) -> Result<()> {
    for board in Board::all() {
        let elf = firmware::build(project, &board, Noise::Quiet)?;
        println!("{}: {}", board.name, elf.strip_prefix(project.root())?.display());
    }
    Ok(())
}

fn panics(project: &Project) -> Result<()> {
    let mut n_bad = 0;
    for board in Board::all() {
        let elf = firmware::build(project, &board, Noise::Quiet)?;
        match symbols::check(project, &board.name, &elf) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                n_bad += 1;
                println!("{error:#}");
            }
        }
    }
    if n_bad > 0 {
        bail!("{n_bad} board(s) with new panics");
    }
    Ok(())
}

/// The binary for Arm Linux starts and runs a real model under QEMU's user-mode emulation.
fn aarch64(project: &Project) -> Result<()> {
    let binary = dist::build(project, dist::Target::Aarch64)?;
    println!("{} bytes", binary.metadata()?.len());
    smoke::run(project, &binary)
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_chosen_by_a_part_of_their_name() {
        let names = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            chosen(&words).map(|steps| steps.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap().len(), STEPS.len());
        assert_eq!(names(&["clippy", "tidy"]).unwrap(), ["tidy", "clippy"]);
        assert!(names(&["cheese"]).unwrap_err().to_string().contains("there are: setup, tidy"));
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(clock(Duration::from_millis(1_540)), "1.5 s");
        assert_eq!(clock(Duration::from_secs(185)), "3 min 05 s");
    }
}
