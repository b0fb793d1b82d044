//! Fixed header of the body and its section table.
//!
//! ```text
//! 0  magic "TNF1"      4  format_version u16   6  kernel_abi u16
//! 8  isa u8            9  flags u8 (0)         10 n_sections u16
//! 12 arena_bytes u32   16 state_bytes u32      20 scratch_bytes u32   24 stack_bytes u32
//! 28 layout_digest u32 32 macs u64             40 work u64            48 reserved (0) .. 64
//! 64 section table: n_sections times { kind u16, reserved u16, offset u32, length u32, count u32 }
//! ```

use super::bytes::{RecordWriter, array, range, u8_at, u16_at, u32_at, u64_at};
use crate::error::LoadError;
use crate::image::ALIGNMENT;
use crate::isa::Isa;

/// "TNF1", the first bytes of a body.
pub const MAGIC: [u8; 4] = *b"TNF1";

/// Bytes of the fixed header.
pub const SIZE: usize = 64;

/// Bytes of one entry of the section table.
pub const SECTION_SIZE: usize = 16;

/// Identifies how weights are laid out by this version; part of every image.
///
/// The CRC-like constant changes by hand together with [`crate::isa::KERNEL_ABI`].
pub const LAYOUT_DIGEST: u32 = 0x7466_0002;

/// The fixed header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyHeader {
    /// Version of the byte layout.
    pub format_version: u16,
    /// Version of operator records and packings.
    pub kernel_abi: u16,
    /// Instruction set that the weights are packed for.
    pub isa: Isa,
    /// Number of sections.
    pub n_sections: u16,
    /// Arena that a session needs, scratch included; a multiple of 16.
    pub arena_bytes: u32,
    /// State that survives between runs (recurrent nets).
    pub state_bytes: u32,
    /// Largest scratch of a step, part of the arena.
    pub scratch_bytes: u32,
    /// Worst-case stack of a run, 0 when unknown.
    pub stack_bytes: u32,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Upper bound of the work units of one inference, proven at bind.
    pub work: u64,
}

impl BodyHeader {
    /// Reads the header; the values are checked by whoever uses them.
    pub(super) fn view(body: &[u8]) -> Result<Self, LoadError> {
        let rule = |rule| LoadError::Record { section: "body", index: 0, rule };
        let field = rule("header is truncated");
        if array::<4>(body, 0).ok_or(field)? != MAGIC {
            return Err(rule("does not start with TNF1"));
        }
        let header = BodyHeader {
            format_version: u16_at(body, 4).ok_or(field)?,
            kernel_abi: u16_at(body, 6).ok_or(field)?,
            isa: Isa::from_code(u8_at(body, 8).ok_or(field)?).ok_or(rule("unknown instruction set"))?,
            n_sections: u16_at(body, 10).ok_or(field)?,
            arena_bytes: u32_at(body, 12).ok_or(field)?,
            state_bytes: u32_at(body, 16).ok_or(field)?,
            scratch_bytes: u32_at(body, 20).ok_or(field)?,
            stack_bytes: u32_at(body, 24).ok_or(field)?,
            macs: u64_at(body, 32).ok_or(field)?,
            work: u64_at(body, 40).ok_or(field)?,
        };
        if u8_at(body, 9) != Some(0) || body.get(48..SIZE).is_none_or(|b| b.iter().any(|&x| x != 0)) {
            return Err(rule("reserved bytes are not zero"));
        }
        if u32_at(body, 28) != Some(LAYOUT_DIGEST) {
            return Err(rule("weights are packed in a layout that this build does not know: convert the model again"));
        }
        if !(header.arena_bytes as usize).is_multiple_of(ALIGNMENT) {
            return Err(rule("arena size is not a multiple of 16"));
        }
        Ok(header)
    }

    /// The header's bytes.
    pub fn emit(&self) -> [u8; SIZE] {
        RecordWriter::<SIZE>::default()
            .put(0, &MAGIC)
            .put(4, &self.format_version.to_le_bytes())
            .put(6, &self.kernel_abi.to_le_bytes())
            .put(8, &[self.isa as u8])
            .put(10, &self.n_sections.to_le_bytes())
            .put(12, &self.arena_bytes.to_le_bytes())
            .put(16, &self.state_bytes.to_le_bytes())
            .put(20, &self.scratch_bytes.to_le_bytes())
            .put(24, &self.stack_bytes.to_le_bytes())
            .put(28, &LAYOUT_DIGEST.to_le_bytes())
            .put(32, &self.macs.to_le_bytes())
            .put(40, &self.work.to_le_bytes())
            .finish()
    }
}

/// Kinds of sections, in the order in which they appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum SectionKind {
    /// Steps.
    Plan = 1,
    /// Tensor records.
    Tensors = 2,
    /// Constant data.
    Weights = 3,
    /// Inputs and outputs.
    Io = 4,
    /// Names, labels, licence; the device may skip it.
    Doc = 5,
}

/// One entry of the section table.
#[derive(Clone, Copy, Debug)]
pub struct Section<'i> {
    /// The section's bytes.
    pub bytes: &'i [u8],
    /// Number of records in it.
    pub count: u32,
}

pub(super) struct Sections<'i> {
    pub plan: Section<'i>,
    pub tensors: Section<'i>,
    pub weights: Section<'i>,
    pub ports: Section<'i>,
    pub doc: Section<'i>,
}

/// Reads the table: all five sections, in order, aligned, not overlapping, inside the body.
pub(super) fn sections<'i>(body: &'i [u8], header: &BodyHeader) -> Result<Sections<'i>, LoadError> {
    let rule = |index: u32, rule| LoadError::Record { section: "section table", index, rule };
    if header.n_sections != 5 {
        return Err(rule(0, "does not have five entries"));
    }
    let mut end = SIZE.saturating_add(SECTION_SIZE.saturating_mul(5));
    let mut read = |index: u32, kind: SectionKind| {
        section(body, &mut end, index, kind).map_err(|rule| LoadError::Record { section: "section table", index, rule })
    };
    let sections = Sections {
        plan: read(0, SectionKind::Plan)?,
        tensors: read(1, SectionKind::Tensors)?,
        weights: read(2, SectionKind::Weights)?,
        ports: read(3, SectionKind::Io)?,
        doc: read(4, SectionKind::Doc)?,
    };
    if end != body.len() {
        return Err(rule(4, "is followed by bytes that belong to no section"));
    }
    Ok(sections)
}

/// Reads one entry; its section must begin at `end` or later, and moves `end` behind itself.
#[inline(never)]
fn section<'i>(body: &'i [u8], end: &mut usize, index: u32, kind: SectionKind) -> Result<Section<'i>, &'static str> {
    let at = SIZE.saturating_add(SECTION_SIZE.saturating_mul(index as usize));
    let entry = body.get(at..).ok_or("is truncated")?;
    if u16_at(entry, 0) != Some(kind as u16) || u16_at(entry, 2) != Some(0) {
        return Err("has the wrong kind");
    }
    let (Some(offset), Some(length), Some(count)) = (u32_at(entry, 4), u32_at(entry, 8), u32_at(entry, 12)) else {
        return Err("is truncated");
    };
    if (offset as usize) < *end || !(offset as usize).is_multiple_of(ALIGNMENT) {
        return Err("overlaps or is misaligned");
    }
    let bytes = range(body, offset, length).ok_or("leaves the body")?;
    *end = (offset as usize).saturating_add(length as usize);
    Ok(Section { bytes, count })
}

/// The bytes of one entry of the section table.
pub fn emit_section(kind: SectionKind, offset: u32, length: u32, count: u32) -> [u8; SECTION_SIZE] {
    RecordWriter::<SECTION_SIZE>::default()
        .put(0, &(kind as u16).to_le_bytes())
        .put(4, &offset.to_le_bytes())
        .put(8, &length.to_le_bytes())
        .put(12, &count.to_le_bytes())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips() {
        let header = BodyHeader {
            format_version: 1,
            kernel_abi: 2,
            isa: Isa::Armv7em,
            n_sections: 5,
            arena_bytes: 64,
            state_bytes: 4,
            scratch_bytes: 5,
            stack_bytes: 6,
            macs: 1 << 40,
            work: 1 << 41,
        };
        assert_eq!(BodyHeader::view(&header.emit()), Ok(header));
        let mut bytes = header.emit();
        bytes[60] = 1;
        assert!(matches!(BodyHeader::view(&bytes), Err(LoadError::Record { rule: "reserved bytes are not zero", .. })));
    }
}
