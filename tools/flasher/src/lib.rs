//! Puts model images on boards and talks to the firmware there.
//!
//! ```no_run
//! use tinfer_flash::{Board, firmware_elf, open_emulator};
//! # fn input() -> Vec<u8> { vec![] }
//! let board = Board::find("mps2-an386")?;
//! let image = std::fs::read("model.tnf")?;
//! let mut device = open_emulator(&board, &firmware_elf(&board)?, &image)?;
//! device.set_input(0, &input())?;
//! let report = device.run(true)?;
//! println!("{} {}", report.instructions, device.hello().counter.unit());
//! let scores = device.read_output(0)?;
//! # let _ = scores; Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod conversation;
mod device;
mod device_log;
mod emulator;
mod error;
mod firmware;

pub use device::{Device, Hello, ModelInfo, RunReport, StepReport, TensorInfo};
pub use emulator::open_emulator;
pub use error::FlashError;
pub use firmware::firmware_elf;
pub use tinfer_build::Board;
pub use tinfer_protocol::{Counter, ErrorCode};
