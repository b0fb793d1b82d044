//! Kernels for Helium, the M-profile vector extension: Cortex-M55, M85.
//!
//! Each equals its portable twin on every input. Inner loops are naked functions ([`instructions`]), because LLVM widens
//! vectors and spills accumulators when it compiles such loops; off target the same functions are plain Rust
//! ([`twins`]).
//!
//! # Algorithm
//! `VMLADAVA.S8` multiplies sixteen pairs of int8 and adds all products to one core register. Eight such registers hold
//! four outputs of two pixels, so that 14 instructions do 128 multiply-accumulates. Requantization works on the four
//! outputs at once: `VQDMULH` and `VRSHL`, which are exact from a shift of 32 on (see [`crate::fixed_point`]).

pub mod add;
pub mod chunks;
pub mod conv_2d;
pub mod depthwise_conv_2d;
pub mod fully_connected;
pub mod instructions;
pub mod layout;
pub mod plane;
pub mod pool_2d;
mod twins;
