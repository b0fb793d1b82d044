//! Runs verified, quantized model images without a heap.
//!
//! A model image is written by the `tinfer` tool from an ONNX file. This crate checks it, binds
//! it to an arena and runs it; it never allocates, never panics, and trusts no byte of the image.
//!
//! ```no_run
//! # fn slot() -> &'static [u8] { &[] }
//! use tinfer::{Arena, Image, Session, operators};
//! let image = Image::check(slot())?;
//! let mut arena = Arena::<16384>::new();
//! let mut session = Session::bind(&image, arena.bytes(), operators::ALL)?;
//! session.input(0)?.fill(0);
//! session.run()?;
//! let scores = session.output(0)?;
//! # let _ = scores; Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod error;
pub mod fixed_point;
pub mod float_math;
pub mod image;
pub mod isa;
pub mod kernels;
mod log;
pub mod operators;
pub mod preprocess;
pub mod session;
pub mod tensor;

pub use error::{BindError, LoadError, RunError};
pub use image::Image;
pub use isa::Isa;
pub use session::{Arena, Observer, Progress, Session};
pub use tensor::ElementType;
