//! Documentation: what people and the host tool want to know; never needed to run.
//!
//! ```text
//! per entry: 0 key u16   2 reserved (0)   4 length u32   8 bytes, padded with zeros to a multiple of 4
//! ```

use super::body::Section;
use super::bytes::{u16_at, u32_at};
use crate::error::LoadError;

/// What an entry holds. All but the digest are UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Key {
    /// Licence of the model.
    Licence = 1,
    /// SHA-256 of the ONNX file.
    OnnxDigest = 2,
    /// One line per step: name, ONNX operators, ONNX tensor of its result, axes of that tensor in our order, and, where
    /// not all channels are left, their number and those that are, as in `8:0-2,5`; tab separated.
    Layers = 3,
    /// One class label per line.
    Labels = 4,
    /// One line per input or output whose real numbers have another width in the ONNX file: name and `float16`,
    /// `bfloat16` or `float64`, tab separated.
    RealTypes = 5,
}

/// Bytes before the data of an entry.
pub const HEADER_SIZE: usize = 8;

/// The first bytes of an entry; data and padding follow.
pub fn emit_header(key: Key, length: u32) -> [u8; HEADER_SIZE] {
    let [a, b] = (key as u16).to_le_bytes();
    let [c, d, e, f] = length.to_le_bytes();
    [a, b, 0, 0, c, d, e, f]
}

fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32_at(bytes, 4)? as usize;
    let data = bytes.get(HEADER_SIZE..)?;
    let (padded, rest) = data.split_at_checked(length.checked_next_multiple_of(4)?)?;
    if u16_at(bytes, 2)? != 0 {
        return None;
    }
    Some((u16_at(bytes, 0)?, padded.get(..length)?, rest))
}

pub(super) fn check(section: Section<'_>) -> Result<(), LoadError> {
    let mut rest = section.bytes;
    for index in 0..section.count {
        let (_, _, next) = split(rest).ok_or(LoadError::Record { section: "doc", index, rule: "is malformed" })?;
        rest = next;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Record { section: "doc", index: section.count, rule: "is followed by other bytes" })
    }
}

/// The data of the first entry with this key.
pub(super) fn find(section: &[u8], key: Key) -> Option<&[u8]> {
    let mut rest = section;
    while let Some((found, data, next)) = split(rest) {
        if found == key as u16 {
            return Some(data);
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_and_bounded() {
        let mut bytes = emit_header(Key::Licence, 3).to_vec();
        bytes.extend(*b"MIT\0");
        bytes.extend(emit_header(Key::Labels, 4));
        bytes.extend(*b"a\nb\n");
        assert_eq!(check(Section { bytes: &bytes, count: 2 }), Ok(()));
        assert_eq!(find(&bytes, Key::Labels), Some(&b"a\nb\n"[..]));
        assert_eq!(find(&bytes, Key::Layers), None);
        assert!(check(Section { bytes: &bytes, count: 1 }).is_err());
        assert!(check(Section { bytes: &bytes[..bytes.len() - 1], count: 2 }).is_err());
    }
}
