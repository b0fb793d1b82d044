//! The firmware in QEMU, as the tools meet it.

use tinfer_flash::{Board, Device, ErrorCode, FlashError, firmware_elf, open_emulator};

const BOARDS: [&str; 2] = ["mps2-an386", "mps2-an500"];

fn open(board: &str, image: &[u8]) -> Result<Device, FlashError> {
    let board = Board::find(board)?;
    open_emulator(&board, &firmware_elf(&board)?, image)
}

/// Boots every emulated board with `image` in its slot and expects this refusal.
fn refused(image: &[u8], code: ErrorCode, sentence: &str) {
    for board in BOARDS {
        match open(board, image) {
            Err(FlashError::Refused { board: of, code: found, text }) => {
                assert_eq!((of.as_str(), found, text.as_str()), (board, code, sentence));
            }
            other => panic!("{board}: expected a refusal, got {other:?}"),
        }
    }
}

#[test]
fn an_empty_slot_is_told() {
    refused(&[], ErrorCode::ImageRefused, "the model slot is empty");
    refused(&[0xff; 64], ErrorCode::ImageRefused, "the model slot is empty");
}

#[test]
fn garbage_in_the_slot_is_told() {
    let sentence = "not a model image: starts with 0x67452301, expected 0x96f3b83d";
    refused(&[0x01, 0x23, 0x45, 0x67, 0x89], ErrorCode::ImageRefused, sentence);
}
