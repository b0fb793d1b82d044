#![no_std]
#![no_main]
//! Firmware for the MPS2+ board with AN505 in QEMU.

use cortex_m_rt::entry;
use tinfer_app::Identity;
use tinfer_cortex_m::model_slot;
use tinfer_mps2::{Memory, MemoryMap, give_up, serve};

include!(concat!(env!("OUT_DIR"), "/board.rs"));

#[entry]
fn main() -> ! {
    let Some(arenas) = arenas() else { give_up() };
    // SAFETY: memory behind the firmware, which only the emulator's loader writes, before reset.
    let slot = unsafe { model_slot(MODEL_SLOT_ORIGIN, MODEL_SLOT_BYTES) };
    let memory = Memory { slot, arenas };
    serve(&MemoryMap::AN505, Identity { board: BOARD, isa: ISA }, memory, OPERATORS, INSTRUCTIONS_PER_TICK)
}
