//! The measuring program of one model: `firmware/bench` with the operators of its image and no others.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};
use tinfer_build::Board;

use crate::firmware;
use crate::process;
use crate::project::Project;
use crate::toolchain::CrossToolchain;

/// Builds the program for an image, or with all operators, and returns its ELF file, which the next build overwrites.
///
/// # Errors
/// No compiler for the board's target, or what the compiler said.
pub fn build(project: &Project, board: &Board, image: Option<&Path>) -> Result<PathBuf> {
    let toolchain = CrossToolchain::require(&board.target)?;
    let target_folder = project.firmware_target_folder();
    let mut command = toolchain.cargo("build", &target_folder, &firmware::flags(board));
    command.current_dir(project.root().join("firmware")).args(["--package", PACKAGE, "--quiet"]);
    if board.isa != "portable" {
        // Links the program for size. Where inner loops are assembly this costs no instruction and saves a fifth of
        // the program; portable kernels would be a quarter slower.
        command.args(["--config", "profile.release.opt-level=\"s\""]);
    }
    command.env("TINFER_BOARD", &board.name).env_remove("TINFER_MODEL");
    if let Some(image) = image {
        command.env("TINFER_MODEL", image);
    }
    process::run(&mut command)?;
    Ok(target_folder.join(&board.target).join("release").join(PACKAGE))
}

/// What the program takes of the flash, without the model: code, constants, and the first values of variables.
///
/// # Errors
/// A file that is no ELF file.
pub fn flash_bytes(elf: &Path) -> Result<u64> {
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let program = object::File::parse(&*bytes)?;
    let is_stored = |section: &object::Section<'_, '_>| match section.flags() {
        SectionFlags::Elf { sh_flags } => {
            sh_flags & u64::from(elf::SHF_ALLOC) != 0 && section.kind() != SectionKind::UninitializedData
        }
        _ => false,
    };
    Ok(program.sections().filter(is_stored).map(|section| section.size()).sum())
}

const PACKAGE: &str = "tinfer-bench";
