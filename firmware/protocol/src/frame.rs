//! Frames: where a message starts and ends on the link, and whether it arrived whole.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, Digest};
use postcard::ser_flavors::{Cobs, Slice, crc::CrcModifier};
use serde::{Deserialize, Serialize};

use crate::{MAX_CHUNK_BYTES, PROTOCOL_VERSION};

/// Room for the largest frame: a full chunk and the numbers around it, or a model with long tensor names.
pub const FRAME_BYTES: usize = MAX_CHUNK_BYTES + 512;

/// Writes `message` as one frame, its closing zero included, into `buffer` ([`FRAME_BYTES`] are always enough for a
/// chunk).
///
/// # Errors
/// [`EncodeError`] when the buffer is too small for the message.
pub fn encode<'b, T: Serialize>(sequence: u8, message: &T, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
    let room_bytes = buffer.len();
    let framed = (PROTOCOL_VERSION, sequence, message);
    Cobs::try_new(Slice::new(buffer))
        .and_then(|cobs| postcard::serialize_with_flavor(&framed, CrcModifier::new(cobs, digest())))
        .map(|frame| &*frame)
        .map_err(|_| EncodeError { room_bytes })
}

/// Reads one frame (without its closing zero, as [`FrameBuffer::push`] hands it out) in place: its sequence number
/// and its message, which borrows from the frame.
///
/// # Errors
/// [`DecodeError`]; never panics, whatever the bytes are.
pub fn decode<'f, T: Deserialize<'f>>(frame: &'f mut [u8]) -> Result<(u8, T), DecodeError> {
    let length = cobs::decode_in_place(frame).map_err(|_| DecodeError::Framing)?;
    let (content, stored_crc) =
        frame.get(..length).and_then(|bytes| bytes.split_last_chunk::<CRC_BYTES>()).ok_or(DecodeError::Framing)?;
    let mut digest = digest();
    digest.update(content);
    if digest.finalize() != u32::from_le_bytes(*stored_crc) {
        return Err(DecodeError::Checksum);
    }
    let (&[version, sequence], message) = content.split_first_chunk::<2>().ok_or(DecodeError::Framing)?;
    if version != PROTOCOL_VERSION {
        return Err(DecodeError::Version { sequence, found: version });
    }
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Ok((sequence, message)),
        _ => Err(DecodeError::Message { sequence }),
    }
}

/// Gathers bytes from a link into frames.
pub struct FrameBuffer {
    bytes: [u8; FRAME_BYTES],
    length: usize,
    /// The frame on the way is longer than any real one: wait for its end, then forget it.
    overrun: bool,
}

impl FrameBuffer {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { bytes: [0; FRAME_BYTES], length: 0, overrun: false }
    }

    /// Takes the next byte from the link; returns a frame when this byte ends one. Empty frames (two zeros in a row)
    /// and overlong ones are skipped.
    pub fn push(&mut self, byte: u8) -> Option<&mut [u8]> {
        if byte != 0 {
            match self.bytes.get_mut(self.length) {
                Some(place) => {
                    *place = byte;
                    self.length = self.length.saturating_add(1);
                }
                None => self.overrun = true,
            }
            return None;
        }
        let length = core::mem::take(&mut self.length);
        let overrun = core::mem::take(&mut self.overrun);
        if overrun || length == 0 {
            return None;
        }
        self.bytes.get_mut(..length)
    }
}

impl Default for FrameBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// A message that does not fit in the buffer given for its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeError {
    /// Size of that buffer.
    pub room_bytes: usize,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message does not fit in a frame of {} bytes", self.room_bytes)
    }
}

impl core::error::Error for EncodeError {}

/// Why a frame holds no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Not a COBS frame with room for version, sequence and checksum.
    Framing,
    /// The checksum is wrong: bytes were lost or changed.
    Checksum,
    /// Intact, but from a peer with another protocol version.
    Version {
        /// Sequence number of the frame.
        sequence: u8,
        /// The peer's version.
        found: u8,
    },
    /// Intact and of our version, but not a message that we know.
    Message {
        /// Sequence number of the frame.
        sequence: u8,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Framing => f.write_str("bytes on the link are not a frame"),
            Self::Checksum => f.write_str("frame checksum is wrong, bytes were lost or changed on the link"),
            Self::Version { found, .. } => write!(
                f,
                "the peer speaks protocol version {found}, this side speaks {PROTOCOL_VERSION}: \
                 build firmware and host tools from the same release"
            ),
            Self::Message { .. } => f.write_str("frame is intact but its message is of an unknown kind"),
        }
    }
}

impl core::error::Error for DecodeError {}

const CRC_BYTES: usize = size_of::<u32>();
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

fn digest() -> Digest<'static, u32> {
    CRC.digest()
}
