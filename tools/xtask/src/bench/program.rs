//! The measuring program of one model: `firmware/bench` with the operators of its image and no others.

use std::path::{Path, PathBuf};

use anyhow::Result;
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
    build_kind(project, board, image, Kind::Measuring)
}

/// A program of `firmware/bench`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Runs a model and reports what it costs.
    Measuring,
    /// The same, linked for speed on every instruction set, as firmware is.
    MeasuringForSpeed,
    /// Runs int8 dense layers and reports nothing.
    Bare,
}

impl Kind {
    fn binary(self) -> &'static str {
        match self {
            Self::Measuring | Self::MeasuringForSpeed => "tinfer-bench",
            Self::Bare => "tinfer-bare",
        }
    }
}

/// [`build`] of any of the programs; the bare one does not look at the image.
///
/// # Errors
/// As [`build`].
pub fn build_kind(project: &Project, board: &Board, image: Option<&Path>, kind: Kind) -> Result<PathBuf> {
    let toolchain = CrossToolchain::require(&board.target)?;
    let target_folder = project.firmware_target_folder();
    let mut command = toolchain.cargo("build", &target_folder, &firmware::flags(board));
    command.current_dir(project.root().join("firmware")).args([
        "--package",
        PACKAGE,
        "--bin",
        kind.binary(),
        "--quiet",
    ]);
    if board.isa != "portable" && kind != Kind::MeasuringForSpeed {
        // Links the program for size. Where inner loops are assembly this costs no instruction and saves a fifth of
        // the program; portable kernels would be a quarter slower.
        command.args(["--config", "profile.release.opt-level=\"s\""]);
    }
    command.env("TINFER_BOARD", &board.name).env_remove("TINFER_MODEL");
    if let Some(image) = image {
        command.env("TINFER_MODEL", image);
    }
    process::run(&mut command)?;
    Ok(target_folder.join(&board.target).join("release").join(kind.binary()))
}

const PACKAGE: &str = "tinfer-bench";
