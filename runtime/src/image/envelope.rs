//! Envelope: MCUboot's image format, read more strictly than MCUboot itself does.
//!
//! ```text
//! 0   magic 0x96f3b83d   4 load_addr u32 (0)   8 hdr_size u16 (256)   10 protect_tlv_size u16
//! 12  img_size u32 (body)   16 flags u32 (0)   20 version u8 major, u8 minor, u16 revision, u32 build (0)
//! 28  pad u32 (0)           32 .. 256 zeros
//! 256 body
//!     protected TLVs:   magic 0x6908, total u16, { type u16 0x00a0 manifest, length u16, value }
//!     unprotected TLVs: magic 0x6907, total u16, { type u16 0x0010 SHA-256, length u16 32, value }
//! ```
//! Exactly these TLVs, in this order. The SHA-256 covers everything before the unprotected TLVs.
//!
//! Source: MCUboot design document, section "Image format".

use super::bytes::{range, u16_at, u32_at};
use super::manifest;
use crate::error::LoadError;
use sha2::{Digest, Sha256};

/// First word of an MCUboot image.
pub const MAGIC: u32 = 0x96f3_b83d;
/// Bytes before the body.
pub const HEADER_SIZE: usize = 256;
/// Starts the protected TLV area.
pub const PROTECTED_MAGIC: u16 = 0x6908;
/// Starts the unprotected TLV area.
pub const TLV_MAGIC: u16 = 0x6907;
/// TLV type of the manifest, from the range that MCUboot leaves to vendors.
pub const TLV_MANIFEST: u16 = 0x00a0;
/// TLV type of the digest.
pub const TLV_SHA256: u16 = 0x0010;
/// Bytes of the protected TLV area.
pub const PROTECTED_SIZE: usize = 4 + 4 + manifest::SIZE;
/// Bytes of the unprotected TLV area.
pub const TLV_SIZE: usize = 4 + 4 + 32;

/// An envelope whose structure is right; the digest is checked by [`Envelope::check_digest`].
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'i> {
    signed: &'i [u8],
    body: &'i [u8],
    manifest: &'i [u8],
    digest: [u8; 32],
}

impl<'i> Envelope<'i> {
    /// Finds the parts of the image at the start of `bytes`, which may go on behind it.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn open(bytes: &'i [u8]) -> Result<Self, LoadError> {
        let have_bytes = bytes.len() as u32;
        let Some(found) = u32_at(bytes, 0) else { return Err(LoadError::Empty) };
        if found == 0 || found == u32::MAX {
            return Err(LoadError::Empty);
        }
        if found != MAGIC {
            return Err(LoadError::NotAnImage { found });
        }
        let truncated = |need_bytes| LoadError::Truncated { need_bytes, have_bytes };
        let header = bytes.get(..HEADER_SIZE).ok_or(truncated(HEADER_SIZE as u32))?;
        let rule = |rule| LoadError::Envelope { rule };
        let word = |at| u32_at(header, at).unwrap_or(0);
        if u16_at(header, 8) != Some(HEADER_SIZE as u16) {
            return Err(rule("header size is not 256"));
        }
        if u16_at(header, 10) != Some(PROTECTED_SIZE as u16) {
            return Err(rule("protected part has the wrong size"));
        }
        if word(4) != 0 || word(16) != 0 || word(24) != 0 || header.get(28..).is_none_or(|b| b.iter().any(|&x| x != 0))
        {
            return Err(rule("reserved header bytes are not zero"));
        }
        let body_bytes = word(12);
        let need_bytes = body_bytes.saturating_add((HEADER_SIZE + PROTECTED_SIZE + TLV_SIZE) as u32);
        if need_bytes > have_bytes {
            return Err(truncated(need_bytes));
        }
        let body = range(bytes, HEADER_SIZE as u32, body_bytes).ok_or(truncated(need_bytes))?;
        let signed_bytes = body_bytes.saturating_add((HEADER_SIZE + PROTECTED_SIZE) as u32);
        let signed = range(bytes, 0, signed_bytes).ok_or(truncated(need_bytes))?;
        let protected = signed.get(body.len().saturating_add(HEADER_SIZE)..).ok_or(truncated(need_bytes))?;
        let tlvs = range(bytes, signed_bytes, TLV_SIZE as u32).ok_or(truncated(need_bytes))?;
        let manifest = only_tlv(protected, PROTECTED_MAGIC, TLV_MANIFEST).ok_or(rule("wrong protected TLVs"))?;
        let digest = only_tlv(tlvs, TLV_MAGIC, TLV_SHA256).ok_or(rule("wrong TLVs"))?;
        let digest = *digest.first_chunk::<32>().ok_or(rule("wrong TLVs"))?;
        Ok(Envelope { signed, body, manifest, digest })
    }

    /// Recomputes the SHA-256.
    ///
    /// # Errors
    /// [`LoadError::Digest`].
    pub fn check_digest(&self) -> Result<(), LoadError> {
        let computed: [u8; 32] = Sha256::digest(self.signed).into();
        if computed == self.digest { Ok(()) } else { Err(LoadError::Digest) }
    }

    /// The body.
    pub fn body(&self) -> &'i [u8] {
        self.body
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> &'i [u8] {
        self.manifest
    }

    /// Bytes of the whole image.
    pub fn image_bytes(&self) -> usize {
        self.signed.len().saturating_add(TLV_SIZE)
    }
}

/// The value of the single TLV that fills `area`.
fn only_tlv(area: &[u8], magic: u16, kind: u16) -> Option<&[u8]> {
    let value = area.get(8..)?;
    let right = u16_at(area, 0)? == magic
        && usize::from(u16_at(area, 2)?) == area.len()
        && u16_at(area, 4)? == kind
        && usize::from(u16_at(area, 6)?) == value.len();
    right.then_some(value)
}

/// The 256 bytes before a body of `body_bytes`.
pub fn emit_header(body_bytes: u32, version: [u16; 3]) -> [u8; HEADER_SIZE] {
    let [major, minor, revision] = version;
    super::bytes::RecordWriter::<HEADER_SIZE>::default()
        .put(0, &MAGIC.to_le_bytes())
        .put(8, &(HEADER_SIZE as u16).to_le_bytes())
        .put(10, &(PROTECTED_SIZE as u16).to_le_bytes())
        .put(12, &body_bytes.to_le_bytes())
        .put(20, &[major as u8, minor as u8])
        .put(22, &revision.to_le_bytes())
        .finish()
}

/// The head of a TLV area with one TLV; the value follows.
pub fn emit_tlv_head(magic: u16, kind: u16, value_bytes: u16) -> [u8; 8] {
    super::bytes::RecordWriter::<8>::default()
        .put(0, &magic.to_le_bytes())
        .put(2, &value_bytes.saturating_add(8).to_le_bytes())
        .put(4, &kind.to_le_bytes())
        .put(6, &value_bytes.to_le_bytes())
        .finish()
}

/// SHA-256 over everything before the unprotected TLVs.
pub fn digest(signed: &[u8]) -> [u8; 32] {
    Sha256::digest(signed).into()
}
