//! The model image: bytes to checked views, and back.
//!
//! One file per record; each has the byte offsets, a total reader, the writer and their tests.
//! The byte layout is specified in `runtime/docs/image-format.md`.
//!
//! ```text
//! +--------+------+---------+----------+-------+---------+---------+-----+------+-----------+
//! | header | pad  | BODY    | sections | PLAN  | TENSORS | WEIGHTS | IO  | DOC  | TLVs      |
//! | 32 B   | 224  | header  | table    |       |         |         |     |      | protected |
//! +--------+------+---------+----------+-------+---------+---------+-----+------+-----------+
//! 0               256 = start of the body, 16-byte aligned                       + SHA-256
//! ```
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects))]

pub mod body;
pub mod bytes;
pub mod doc;
pub mod envelope;
pub mod manifest;
pub mod plan;
pub mod port;
pub mod tensors;

pub use body::{BodyHeader, Section};
pub use envelope::Envelope;
pub use manifest::Manifest;
pub use plan::StepView;
pub use port::PortView;
pub use tensors::{Placement, TensorView};

use crate::error::LoadError;
use crate::isa::{Isa, KERNEL_ABI};

/// Alignment of the image, of every tensor in it and of every tensor in the arena.
pub const ALIGNMENT: usize = 16;

/// Version of the byte layout described in this module.
pub const FORMAT_VERSION: u16 = 2;

/// A checked model image: every offset in it is known to be inside.
///
/// # Examples
/// ```
/// use tinfer::image::Image;
/// assert!(Image::check(&[]).is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Image<'i> {
    header: BodyHeader,
    manifest: Manifest,
    tensors: &'i [u8],
    plan: &'i [u8],
    n_steps: u32,
    weights: &'i [u8],
    ports: &'i [u8],
    n_ports: u32,
    doc: &'i [u8],
}

impl<'i> Image<'i> {
    /// Checks envelope, digest and every record of an image that starts at `bytes[0]`.
    ///
    /// `bytes` may be longer than the image (a flash slot). Its start must be 16-byte aligned.
    /// Reads nothing outside `bytes`, takes time proportional to the image's length.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn check(bytes: &'i [u8]) -> Result<Self, LoadError> {
        let envelope = Envelope::open(bytes)?;
        envelope.check_digest()?;
        Self::check_body(&envelope)
    }

    fn check_body(envelope: &Envelope<'i>) -> Result<Self, LoadError> {
        let body = envelope.body();
        if !body.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(LoadError::Misaligned);
        }
        let header = BodyHeader::view(body)?;
        if header.format_version != FORMAT_VERSION {
            return Err(LoadError::FormatVersion { found: header.format_version, expected: FORMAT_VERSION });
        }
        if header.kernel_abi != KERNEL_ABI {
            return Err(LoadError::KernelAbi { found: header.kernel_abi, expected: KERNEL_ABI });
        }
        if !header.isa.runs_here() {
            return Err(LoadError::InstructionSet { found: header.isa.name() });
        }
        let sections = body::sections(body, &header)?;
        let image = Image {
            header,
            manifest: Manifest::view(envelope.manifest())?,
            tensors: sections.tensors.bytes,
            plan: sections.plan.bytes,
            n_steps: sections.plan.count,
            weights: sections.weights.bytes,
            ports: sections.ports.bytes,
            n_ports: sections.ports.count,
            doc: sections.doc.bytes,
        };
        tensors::check(sections.tensors, header.arena_bytes, sections.weights.bytes)?;
        plan::check(&image)?;
        port::check(&image)?;
        doc::check(sections.doc)?;
        Ok(image)
    }

    /// Sizes and versions.
    pub fn header(&self) -> &BodyHeader {
        &self.header
    }

    /// Name, version and requirements, as in the protected part of the envelope.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Instruction set that the weights are packed for.
    pub fn isa(&self) -> Isa {
        self.header.isa
    }

    /// Bytes that [`crate::session::Session::bind`] needs.
    pub fn arena_bytes(&self) -> usize {
        self.header.arena_bytes as usize
    }

    /// Number of steps of the plan.
    pub fn n_steps(&self) -> usize {
        self.n_steps as usize
    }

    /// Number of tensors.
    pub fn n_tensors(&self) -> usize {
        self.tensors.len() / tensors::SIZE
    }

    /// The tensor with this index.
    #[inline(never)]
    pub fn tensor(&self, index: u16) -> Option<TensorView> {
        tensors::view(self.tensors, index)
    }

    /// The steps in execution order.
    pub fn steps(&self) -> plan::Steps<'i> {
        plan::Steps::new(self.plan, self.n_steps)
    }

    /// Constant data of the model.
    pub fn weights(&self) -> &'i [u8] {
        self.weights
    }

    /// The model's inputs in the order of the ONNX file.
    pub fn inputs(&self) -> impl Iterator<Item = PortView<'i>> + use<'i> {
        self.ports().filter(|p| p.direction == port::Direction::Input)
    }

    /// The model's outputs in the order of the ONNX file.
    pub fn outputs(&self) -> impl Iterator<Item = PortView<'i>> + use<'i> {
        self.ports().filter(|p| p.direction == port::Direction::Output)
    }

    /// Inputs and outputs in the order of their records.
    pub(crate) fn ports(&self) -> port::Ports<'i> {
        port::Ports::new(self.ports, self.n_ports)
    }

    /// A documentation entry: licence, labels, layer names.
    pub fn doc(&self, key: doc::Key) -> Option<&'i [u8]> {
        doc::find(self.doc, key)
    }
}
