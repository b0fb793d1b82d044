//! Little-endian fields at fixed offsets, read totally.
//!
//! The readers of one field are never inlined: a call is a third of the bytes that the checked access takes, there are
//! about a hundred of them, and none is in a loop over elements.

/// `N` bytes at `offset`.
pub fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

/// The byte at `offset`.
pub fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

/// The 16-bit word at `offset`.
#[inline(never)]
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_le_bytes)
}

/// The 32-bit word at `offset`.
#[inline(never)]
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_le_bytes)
}

/// The signed 32-bit word at `offset`.
pub fn i32_at(bytes: &[u8], offset: usize) -> Option<i32> {
    u32_at(bytes, offset).map(u32::cast_signed)
}

/// The 64-bit word at `offset`.
#[inline(never)]
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_le_bytes)
}

/// The binary32 at `offset`.
pub fn f32_at(bytes: &[u8], offset: usize) -> Option<f32> {
    u32_at(bytes, offset).map(f32::from_bits)
}

/// `length` bytes from `offset`, both as stored in an image.
pub fn range(bytes: &[u8], offset: u32, length: u32) -> Option<&[u8]> {
    let start = offset as usize;
    bytes.get(start..start.checked_add(length as usize)?)
}

/// Writes fields one after the other into a record of `N` bytes; what is not written stays zero.
#[derive(Clone, Debug)]
pub struct RecordWriter<const N: usize> {
    bytes: [u8; N],
}

impl<const N: usize> Default for RecordWriter<N> {
    fn default() -> Self {
        RecordWriter { bytes: [0; N] }
    }
}

impl<const N: usize> RecordWriter<N> {
    /// Puts `field` at `offset`. A field that would not fit is left out, which the record's
    /// round-trip test finds.
    pub fn put(mut self, offset: usize, field: &[u8]) -> Self {
        let end = offset.saturating_add(field.len());
        if let Some(target) = self.bytes.get_mut(offset..end) {
            target.copy_from_slice(field);
        }
        self
    }

    /// The record.
    pub fn finish(self) -> [u8; N] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end() {
        let bytes = [1, 2, 3, 4, 5];
        assert_eq!(u32_at(&bytes, 1), Some(0x0504_0302));
        assert_eq!(u32_at(&bytes, 2), None);
        assert_eq!(u16_at(&bytes, usize::MAX), None);
        assert_eq!(range(&bytes, 4, 1), Some(&[5][..]));
        assert_eq!(range(&bytes, 4, 2), None);
        assert_eq!(range(&bytes, u32::MAX, u32::MAX), None);
    }
}
