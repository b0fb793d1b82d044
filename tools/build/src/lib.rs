//! What the build knows about boards: their facts, their linker script, and whether a model fits.
//!
//! A board is the folder `firmware/boards/<board>` with a `board.toml` ([`Board`]). The same file is read by the
//! build script of the board's firmware ([`board`]), by the converter ([`check_fit`]) and by the flasher.
//!
//! # Examples
//! ```
//! use tinfer_build::{Board, Requirements, check_fit};
//! let board = Board::find("mps2-an386")?;
//! let model = Requirements { image_bytes: 60_000, arena_bytes: 8_000, stack_bytes: 1_024, state_bytes: 0 };
//! assert_eq!(check_fit(&board, &model)?.memory, "RAM");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod board;
mod build_script;
mod fit;
mod linker;
mod operator_list;

pub use board::{ArenaBudget, Board, BoardError, Budgets, Emulator, MemoryKind, MemoryRegion, Region};
pub use build_script::{BuildScriptError, any_board, board};
pub use fit::{FitError, Requirements, check_fit};
pub use linker::memory_x;
pub use operator_list::operator_list;
