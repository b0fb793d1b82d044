//! Builds the firmware of a board.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use tinfer_build::Board;

use crate::process;
use crate::project::Project;
use crate::toolchain::CrossToolchain;

/// Which board, and what to print.
#[derive(Args)]
pub struct Options {
    /// Folder name in firmware/boards
    board: String,
    /// Print the path of the ELF file and nothing else
    #[arg(long)]
    print_path: bool,
}

/// Builds and prints the ELF file's path as the last line of stdout.
///
/// # Errors
/// No such board, no compiler for it, or what the compiler said.
pub fn run(project: &Project, options: &Options) -> Result<()> {
    let board = Board::find(&options.board)?;
    let elf = build(project, &board, Noise::from_print_path(options.print_path))?;
    println!("{}", elf.display());
    Ok(())
}

/// How much of Cargo's progress is shown on stderr.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Cargo's own progress.
    Progress,
    /// Warnings and errors only.
    Quiet,
}

impl Noise {
    fn from_print_path(print_path: bool) -> Self {
        if print_path { Self::Quiet } else { Self::Progress }
    }
}

/// Builds the board's package in release and returns its ELF file.
///
/// # Errors
/// No compiler for the board's target, or what the compiler said.
pub fn build(project: &Project, board: &Board, noise: Noise) -> Result<PathBuf> {
    let toolchain = CrossToolchain::require(&board.target)?;
    let target_folder = project.firmware_target_folder();
    let mut command = toolchain.cargo("build", &target_folder, &flags(board));
    command.current_dir(project.root().join("firmware")).args(["--package", &board.name]);
    if noise == Noise::Quiet {
        command.arg("--quiet");
    }
    process::run(&mut command)?;
    let elf = target_folder.join(&board.target).join("release").join(&board.name);
    if !elf.is_file() {
        bail!("package {} built, but there is no {}: its binary must have the board's name", board.name, elf.display());
    }
    Ok(elf)
}

/// What rustc must know beside the target: the instruction set that the kernels are chosen for.
pub fn flags(board: &Board) -> Vec<String> {
    let mut flags = vec!["--cfg".to_owned(), format!("kernel_isa=\"{}\"", board.isa)];
    if board.isa == "armv7em" && board.target.starts_with("thumbv8m.main") {
        // The DSP extension is an option of Armv8-M, which naming the core switches on.
        flags.extend(["-C".to_owned(), format!("target-cpu={}", board.cpu)]);
    }
    if board.isa == "mve" {
        // No armv8.1-m target exists; the vector unit is switched on by hand.
        flags.extend(["-C".to_owned(), "target-feature=+v8.1m.main,+mve,+lob".to_owned()]);
    }
    flags
}
