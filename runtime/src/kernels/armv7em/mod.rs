//! Kernels for the DSP extension of Armv7E-M and Armv8-M: Cortex-M4, M7, M33.
//!
//! Each equals its portable twin on every input. Inner loops are naked functions (`instructions.rs`), because LLVM spills
//! accumulators when it allocates registers for such loops; off target the same functions are plain Rust.
//!
//! # Algorithm
//! `SMLAD` multiplies two pairs of int16 and adds both products: two multiply-accumulates for one instruction. Int8
//! weights must be widened for it, which usually costs one `SXTB16` per pair. Here **two output channels share one
//! halfword**: `h = 256 * a + b`. `SMLAD` with the packed pairs as they are sums `256 * A + B`, `SXTB16` of the same word
//! leaves the pairs of `b`, whose sum is `B`. So one widening serves two channels, and weights take no more flash than
//! int8. `A` must fit 24 bits, which the layout proves from the weights before it packs them.

pub mod add;
pub mod conv_2d;
pub mod depthwise_conv_2d;
pub mod fully_connected;
#[cfg(all(target_arch = "arm", kernel_isa = "armv7em"))]
#[macro_use]
mod assembly;
#[cfg(all(target_arch = "arm", kernel_isa = "armv7em"))]
mod instructions;
pub mod layout;
mod loops;
pub mod pool_2d;
#[cfg(not(all(target_arch = "arm", kernel_isa = "armv7em")))]
mod twins;
pub mod winograd;
