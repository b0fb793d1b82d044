#![no_std]
//! What every Cortex-M board has: counters, the stack, the model slot in the address space.

mod arena;
mod clock;
pub mod semihosting;
mod slot;
mod stack;
#[cfg(feature = "ticker")]
mod ticker;

pub use arena::ArenaMemory;
pub use clock::{CycleClock, InstructionClock};
pub use slot::model_slot;
pub use stack::PaintedStack;
#[cfg(feature = "ticker")]
pub use ticker::{Period, Ticker};
