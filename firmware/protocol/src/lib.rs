#![no_std]
//! Messages between the host tools and the firmware: with the model image, the only contract between them.
//!
//! The host sends one [`Request`] at a time; the device answers each with one or more [`Reply`] messages that carry
//! the same sequence number. Every request has exactly one *final* reply ([`Reply::is_final`]): only
//! [`Reply::StepDone`] is followed by more.
//!
//! A message travels in one frame:
//!
//! ```text
//!  COBS( version u8 | sequence u8 | message, postcard | CRC-32, little endian )  00
//!        `------------ covered by the CRC ----------'
//! ```
//!
//! The first two bytes and the CRC never change their place, so that a version that is not understood can still be
//! told from noise ([`DecodeError::Version`]). A receiver that joins in the middle, or loses bytes, is in step again
//! after the next zero byte.
//!
//! # Examples
//! ```
//! use tinfer_protocol::{FRAME_BYTES, FrameBuffer, Request, decode, encode};
//! let mut buffer = [0; FRAME_BYTES];
//! let sent = encode(7, &Request::Run { taps: true }, &mut buffer)?;
//! let mut receiver = FrameBuffer::new();
//! for &byte in sent {
//!     if let Some(frame) = receiver.push(byte) {
//!         let (sequence, request) = decode::<Request>(frame).expect("an intact frame");
//!         assert_eq!((sequence, request), (7, Request::Run { taps: true }));
//!     }
//! }
//! # Ok::<(), tinfer_protocol::EncodeError>(())
//! ```

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod frame;
mod message;

pub use frame::{DecodeError, EncodeError, FRAME_BYTES, FrameBuffer, decode, encode};
pub use message::{
    Counter, ErrorCode, Hello, LogLevel, MAX_CHUNK_BYTES, MAX_TENSORS, ModelInfo, Reply, Request, TensorInfo,
};

/// Version of the frame's content. Raised by every change that an older peer would misread; messages appended to the
/// end of [`Request`] do not raise it, because the older peer answers [`ErrorCode::UnknownRequest`].
pub const PROTOCOL_VERSION: u8 = 1;
