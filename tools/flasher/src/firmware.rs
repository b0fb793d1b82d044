//! Where a board's firmware comes from.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use tinfer_build::Board;

use crate::FlashError;

/// The firmware of a board: from the folder in `TINFER_FIRMWARE`, or built in the checkout around the current folder
/// or around this program.
///
/// # Errors
/// [`FlashError::FirmwareFolder`], [`FlashError::FirmwareMissing`], [`FlashError::FirmwareBuild`].
pub fn firmware_elf(board: &Board) -> Result<PathBuf, FlashError> {
    if let Some(folder) = env::var_os("TINFER_FIRMWARE") {
        return in_folder(Path::new(&folder), board);
    }
    let around = [env::current_dir(), env::current_exe()];
    let Some(checkout) = around.into_iter().flatten().find_map(|start| checkout_around(&start, board)) else {
        return Err(FlashError::FirmwareMissing { board: board.name.clone() });
    };
    build(&checkout, board)
}

pub(crate) fn in_folder(folder: &Path, board: &Board) -> Result<PathBuf, FlashError> {
    let candidates = [folder.join(format!("{}.elf", board.name)), folder.join(&board.name)];
    let found = candidates.into_iter().find(|file| file.is_file());
    found.ok_or_else(|| FlashError::FirmwareFolder { folder: folder.to_owned(), board: board.name.clone() })
}

pub(crate) fn checkout_around(start: &Path, board: &Board) -> Option<PathBuf> {
    let has_board = |folder: &&Path| folder.join("firmware/boards").join(&board.name).join("board.toml").is_file();
    start.ancestors().find(has_board).map(Path::to_owned)
}

pub(crate) fn build(checkout: &Path, board: &Board) -> Result<PathBuf, FlashError> {
    let failed = |said: String| FlashError::FirmwareBuild {
        board: board.name.clone(),
        checkout: checkout.to_owned(),
        said: last_lines(&said),
    };
    log::info!("building the firmware of {}", board.name);
    let mut command = Command::new("cargo");
    command.args(["xtask", "firmware", &board.name, "--print-path"]).current_dir(checkout);
    let output = command.output().map_err(|err| match err.kind() {
        io::ErrorKind::NotFound => failed("cargo is not installed".to_owned()),
        _ => failed(err.to_string()),
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    match stdout.lines().last().map(PathBuf::from) {
        Some(elf) if output.status.success() && elf.is_file() => Ok(elf),
        _ => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(N_LINES)..].join("\n")
}

const N_LINES: usize = 12;
