//! Why a board does not do what it is asked.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tinfer_build::BoardError;
use tinfer_protocol::{DecodeError, ErrorCode};

/// Why a board does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The board is not known.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The board exists only as hardware.
    #[error("board {board} has no emulator; emulated boards: {emulated}")]
    NotEmulated {
        /// The board.
        board: String,
        /// The boards that can be emulated.
        emulated: String,
    },
    /// QEMU is not installed.
    #[error("{program} is not installed: run `cargo xtask setup`, or `apt-get install qemu-system-arm`")]
    QemuMissing {
        /// What was looked for.
        program: String,
    },
    /// QEMU ended by itself.
    #[error("the emulator of {board} ended ({status}): {said}")]
    QemuEnded {
        /// The board.
        board: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote to stderr, or of the firmware's log.
        said: String,
    },
    /// The folder in `TINFER_FIRMWARE` does not hold the board's firmware.
    #[error("TINFER_FIRMWARE is {folder}, which has neither {board}.elf nor {board}")]
    FirmwareFolder {
        /// The folder.
        folder: PathBuf,
        /// The board.
        board: String,
    },
    /// There is no firmware and nothing to build it from.
    #[error(
        "no firmware for {board}: set TINFER_FIRMWARE to a folder with {board}.elf, \
         or run this from a checkout of tinfer, where it is built from firmware/boards/{board}"
    )]
    FirmwareMissing {
        /// The board.
        board: String,
    },
    /// The firmware does not build.
    #[error("firmware for {board} does not build (`cargo xtask firmware {board}` in {checkout}): {said}")]
    FirmwareBuild {
        /// The board.
        board: String,
        /// Where it was tried.
        checkout: PathBuf,
        /// The end of what the build wrote.
        said: String,
    },
    /// The image is longer than the model slot.
    #[error("image too large for {board}: {image_bytes} bytes, the model slot has {slot_bytes}")]
    ImageTooLarge {
        /// The board.
        board: String,
        /// Length of the image.
        image_bytes: usize,
        /// Length of the slot.
        slot_bytes: u32,
    },
    /// A file or a process could not be used.
    #[error("{what}: {source}")]
    System {
        /// Which one.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The link broke.
    #[error("the link to {board} broke: {source}")]
    Link {
        /// The board.
        board: String,
        /// What the system said.
        source: io::Error,
    },
    /// The device says nothing.
    #[error("{board} did not answer `{request}` within {limit:?}; its log ends with: {log}")]
    NoAnswer {
        /// The board.
        board: String,
        /// What it was asked.
        request: &'static str,
        /// The time limit.
        limit: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// The device answers in words that we do not know.
    #[error("{board}: {source}")]
    Protocol {
        /// The board.
        board: String,
        /// What is wrong with the answer.
        source: DecodeError,
    },
    /// The device answers something else than what it was asked.
    #[error("{board} answered `{request}` with something else; build firmware and host tools from the same release")]
    Unexpected {
        /// The board.
        board: String,
        /// What it was asked.
        request: &'static str,
    },
    /// The firmware on the device was built for another board.
    #[error("this firmware is for {found}, not for {expected}")]
    WrongBoard {
        /// The board that was asked for.
        expected: String,
        /// The board that answered.
        found: String,
    },
    /// The device says why it cannot.
    #[error("{board}: {text}")]
    Refused {
        /// The board.
        board: String,
        /// Whom to blame.
        code: ErrorCode,
        /// The device's own sentence.
        text: String,
    },
    /// The model has no such input or output.
    #[error("no {direction} {index}: the model on {board} has {n_tensors}")]
    NoSuchTensor {
        /// The board.
        board: String,
        /// `input` or `output`.
        direction: &'static str,
        /// The index asked for.
        index: usize,
        /// How many there are.
        n_tensors: usize,
    },
    /// The bytes are not an input's size.
    #[error("input {index} ({name}) takes {need_bytes} bytes, {have_bytes} were given")]
    InputSize {
        /// The input's index.
        index: usize,
        /// The input's name.
        name: String,
        /// Its size.
        need_bytes: usize,
        /// What was given.
        have_bytes: usize,
    },
}

#[cfg(test)]
mod tests;
