//! Manifest: what a flasher or a bootloader must know without reading the body.
//!
//! A protected TLV of the envelope:
//! ```text
//! 0 name u8[32], UTF-8, zero padded   32 version u16[3] major, minor, revision   38 reserved (0)
//! 40 target u8[16], zero padded       56 arena_bytes u32   60 state_bytes u32
//! 64 scratch_bytes u32                68 stack_bytes u32   72 macs u64           80 security_counter u32 .. 84
//! ```

use super::bytes::{RecordWriter, array, u16_at, u32_at, u64_at};
use crate::error::LoadError;

/// Bytes of the TLV's value.
pub const SIZE: usize = 84;

/// Requirements and identity of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    name: [u8; 32],
    target: [u8; 16],
    /// Semantic version of the model: major, minor, revision.
    pub version: [u16; 3],
    /// Arena that a session needs.
    pub arena_bytes: u32,
    /// State that survives between runs.
    pub state_bytes: u32,
    /// Largest scratch of a step, part of the arena.
    pub scratch_bytes: u32,
    /// Worst-case stack of a run, 0 when unknown.
    pub stack_bytes: u32,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Never decreases; for rollback protection.
    pub security_counter: u32,
}

impl Manifest {
    /// A manifest with a name and target cut to their fields at a character boundary.
    pub fn new(name: &str, target: &str, version: [u16; 3]) -> Self {
        Manifest {
            name: padded(name),
            target: padded(target),
            version,
            arena_bytes: 0,
            state_bytes: 0,
            scratch_bytes: 0,
            stack_bytes: 0,
            macs: 0,
            security_counter: 0,
        }
    }

    /// Model name.
    pub fn name(&self) -> &str {
        padded_text(&self.name).unwrap_or("")
    }

    /// Board or instruction set that the image was converted for.
    pub fn target(&self) -> &str {
        padded_text(&self.target).unwrap_or("")
    }

    /// Reads the TLV's value.
    pub fn view(bytes: &[u8]) -> Result<Self, LoadError> {
        Self::parse(bytes).ok_or(LoadError::Envelope { rule: "malformed manifest" })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let manifest = Manifest {
            name: array(bytes, 0)?,
            version: [u16_at(bytes, 32)?, u16_at(bytes, 34)?, u16_at(bytes, 36)?],
            target: array(bytes, 40)?,
            arena_bytes: u32_at(bytes, 56)?,
            state_bytes: u32_at(bytes, 60)?,
            scratch_bytes: u32_at(bytes, 64)?,
            stack_bytes: u32_at(bytes, 68)?,
            macs: u64_at(bytes, 72)?,
            security_counter: u32_at(bytes, 80)?,
        };
        let canonical = bytes.len() == SIZE
            && padded_text(&manifest.name).is_some()
            && padded_text(&manifest.target).is_some()
            && u16_at(bytes, 38)? == 0;
        canonical.then_some(manifest)
    }

    /// The TLV's value.
    pub fn emit(&self) -> [u8; SIZE] {
        let [major, minor, revision] = self.version.map(u16::to_le_bytes);
        RecordWriter::<SIZE>::default()
            .put(0, &self.name)
            .put(32, &major)
            .put(34, &minor)
            .put(36, &revision)
            .put(40, &self.target)
            .put(56, &self.arena_bytes.to_le_bytes())
            .put(60, &self.state_bytes.to_le_bytes())
            .put(64, &self.scratch_bytes.to_le_bytes())
            .put(68, &self.stack_bytes.to_le_bytes())
            .put(72, &self.macs.to_le_bytes())
            .put(80, &self.security_counter.to_le_bytes())
            .finish()
    }
}

fn padded<const N: usize>(value: &str) -> [u8; N] {
    let mut out = [0; N];
    let mut end = value.len().min(N);
    while !value.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    for (o, b) in out.iter_mut().zip(value.as_bytes().iter().take(end)) {
        *o = *b;
    }
    out
}

/// The text of a zero-padded field; `None` when something follows the first zero, or when it is no UTF-8.
#[inline(never)]
fn padded_text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let (text, padding) = field.split_at_checked(end)?;
    if padding.iter().any(|&b| b != 0) {
        return None;
    }
    core::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_round_trips() {
        let mut manifest = Manifest::new("a model with a name that is far too long", "mps2-an386", [1, 2, 3]);
        manifest.macs = 77;
        assert_eq!(Manifest::view(&manifest.emit()), Ok(manifest));
        assert_eq!(manifest.name(), "a model with a name that is far ");
        assert_eq!(manifest.target(), "mps2-an386");
        assert!(Manifest::view(&manifest.emit()[..SIZE - 1]).is_err());
    }
}
