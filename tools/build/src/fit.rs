//! Whether a model fits a board, before anything is flashed.

use crate::{ArenaBudget, Board};

/// What a model needs, as its image states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requirements {
    /// Length of the image file.
    pub image_bytes: u64,
    /// Arena of a session: activations and scratch.
    pub arena_bytes: u64,
    /// Worst-case stack of a run; 0 when unknown.
    pub stack_bytes: u64,
    /// State that survives between runs, beside the arena.
    pub state_bytes: u64,
}

/// Compares what a model needs with what a board's firmware reserves, and gives the arena that the model will run in.
///
/// # Errors
/// The first thing that does not fit, with both numbers.
pub fn check_fit<'b>(board: &'b Board, model: &Requirements) -> Result<&'b ArenaBudget, FitError> {
    let name = || board.name.clone();
    let have = |bytes: u32| u64::from(bytes);
    let have_slot = have(board.model_slot.length);
    if model.image_bytes > have_slot {
        return Err(FitError::Image { board: name(), need_bytes: model.image_bytes, have_bytes: have_slot });
    }
    let largest = board.largest_arena();
    let (memory, have_arena) = (largest.memory.clone(), have(largest.bytes));
    if model.arena_bytes > have_arena {
        return Err(FitError::Arena { board: name(), memory, need_bytes: model.arena_bytes, have_bytes: have_arena });
    }
    let Some(arena) = board.arena_for(model.arena_bytes.saturating_add(model.state_bytes)) else {
        return Err(FitError::State {
            board: name(),
            memory,
            state_bytes: model.state_bytes,
            arena_bytes: model.arena_bytes,
            have_bytes: have_arena,
        });
    };
    let have_stack = have(board.budgets.stack_bytes).saturating_sub(FIRMWARE_STACK_BYTES);
    if model.stack_bytes > have_stack {
        return Err(FitError::Stack { board: name(), need_bytes: model.stack_bytes, have_bytes: have_stack });
    }
    Ok(arena)
}

/// Why a model does not fit a board.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The image is longer than the model slot.
    #[error(
        "image too large for {board}: {need_bytes} bytes, the model slot has {have_bytes}; \
         convert with a smaller precision or choose another board"
    )]
    Image {
        /// The board.
        board: String,
        /// Length of the image.
        need_bytes: u64,
        /// Length of the slot.
        have_bytes: u64,
    },
    /// The arena does not fit in any of the firmware's.
    #[error(
        "arena too small on {board}: the model needs {need_bytes} bytes, the firmware reserves at most {have_bytes}, \
         in {memory} (budgets.arena in board.toml)"
    )]
    Arena {
        /// The board.
        board: String,
        /// Memory with the largest arena.
        memory: String,
        /// Arena of the model.
        need_bytes: u64,
        /// The largest arena of the firmware.
        have_bytes: u64,
    },
    /// The arena fits, the states do not fit beside it.
    #[error(
        "arena too small on {board}: the model needs {state_bytes} bytes of state beside {arena_bytes} bytes of arena, \
         the firmware reserves at most {have_bytes} for both, in {memory} (budgets.arena in board.toml)"
    )]
    State {
        /// The board.
        board: String,
        /// Memory with the largest arena.
        memory: String,
        /// State of the model.
        state_bytes: u64,
        /// Arena of the model.
        arena_bytes: u64,
        /// The largest arena of the firmware.
        have_bytes: u64,
    },
    /// The run's stack does not fit in what the firmware leaves.
    #[error(
        "stack too small on {board}: the model needs {need_bytes} bytes, the firmware leaves {have_bytes} \
         (budgets.stack_bytes in board.toml)"
    )]
    Stack {
        /// The board.
        board: String,
        /// Stack of the model.
        need_bytes: u64,
        /// Stack budget without the firmware's own part.
        have_bytes: u64,
    },
}

/// Stack of the firmware around a run (main loop, messages, interrupts). The emulator test measures that it holds.
const FIRMWARE_STACK_BYTES: u64 = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Requirements), expected: Result<(), &str>) {
        let board = Board::find("nrf52840-dk").unwrap();
        let mut model = Requirements { image_bytes: 393_216, arena_bytes: 163_840, stack_bytes: 8_192, state_bytes: 0 };
        change(&mut model);
        assert_eq!(
            check_fit(&board, &model).map(|_| ()).map_err(|err| err.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn what_fits_exactly_fits() {
        check(|_| (), Ok(()));
        check(|model| (model.arena_bytes, model.state_bytes) = (163_000, 840), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_told_with_both_numbers() {
        check(
            |model| model.image_bytes += 1,
            Err("image too large for nrf52840-dk: 393217 bytes, the model slot has 393216; \
                 convert with a smaller precision or choose another board"),
        );
        check(
            |model| model.arena_bytes = u64::MAX,
            Err("arena too small on nrf52840-dk: the model needs 18446744073709551615 bytes, the firmware reserves \
                 at most 163840, in RAM (budgets.arena in board.toml)"),
        );
        check(
            |model| model.state_bytes = 1,
            Err("arena too small on nrf52840-dk: the model needs 1 bytes of state beside 163840 bytes of arena, \
                 the firmware reserves at most 163840 for both, in RAM (budgets.arena in board.toml)"),
        );
        check(
            |model| model.stack_bytes += 1,
            Err("stack too small on nrf52840-dk: the model needs 8193 bytes, the firmware leaves 8192 \
                 (budgets.stack_bytes in board.toml)"),
        );
    }
}
