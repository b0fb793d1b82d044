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
    let around: Vec<PathBuf> = [env::current_dir(), env::current_exe()].into_iter().flatten().collect();
    locate(env::var_os("TINFER_FIRMWARE").map(PathBuf::from), &around, board)
}

pub(crate) fn locate(folder: Option<PathBuf>, around: &[PathBuf], board: &Board) -> Result<PathBuf, FlashError> {
    if let Some(folder) = folder {
        return in_folder(&folder, board);
    }
    match around.iter().find_map(|start| checkout_around(start, board)) {
        Some(checkout) => build(&checkout, board),
        None => Err(FlashError::FirmwareMissing { board: board.name.clone() }),
    }
}

fn in_folder(folder: &Path, board: &Board) -> Result<PathBuf, FlashError> {
    let candidates = [folder.join(format!("{}.elf", board.name)), folder.join(&board.name)];
    let found = candidates.into_iter().find(|file| file.is_file());
    found.ok_or_else(|| FlashError::FirmwareFolder { folder: folder.to_owned(), board: board.name.clone() })
}

fn checkout_around(start: &Path, board: &Board) -> Option<PathBuf> {
    let has_board = |folder: &&Path| folder.join("firmware/boards").join(&board.name).join("board.toml").is_file();
    start.ancestors().find(has_board).map(Path::to_owned)
}

fn build(checkout: &Path, board: &Board) -> Result<PathBuf, FlashError> {
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
