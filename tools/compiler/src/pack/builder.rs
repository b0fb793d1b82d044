//! Collects tensors, constants and steps and lays them out as an image.

use std::collections::HashMap;

use super::PackError;
use tinfer::image::body::{self, BodyHeader, SectionKind, emit_section};
use tinfer::image::envelope::{self, PROTECTED_MAGIC, TLV_MAGIC, TLV_MANIFEST, TLV_SHA256};
use tinfer::image::manifest::{self, Manifest};
use tinfer::image::tensors::TensorView;
use tinfer::image::{ALIGNMENT, FORMAT_VERSION, Placement, PortView, doc, plan, port};
use tinfer::isa::{Isa, KERNEL_ABI};
use tinfer::tensor::{ElementType, Quantization, Shape};

/// Everything of an image but the numbers that follow from it.
#[derive(Default)]
pub(super) struct ImageBuilder {
    tensors: Vec<TensorView>,
    weights: Vec<u8>,
    /// Offsets of constants by their bytes, so that equal ones are stored once.
    stored: HashMap<Vec<u8>, u32>,
    plan: Vec<u8>,
    n_steps: u32,
    doc: Vec<u8>,
    n_doc: u32,
}

/// The sizes in header and manifest.
pub(super) struct Sizes {
    pub arena_bytes: u32,
    pub scratch_bytes: u32,
    pub stack_bytes: u32,
    pub macs: u64,
    pub work: u64,
}

/// A port before its record is written.
pub(super) struct PortSpec<'a> {
    pub name: &'a str,
    pub view: PortView<'a>,
}

impl ImageBuilder {
    /// Adds a tensor in the arena and returns its index.
    pub fn arena_tensor(
        &mut self,
        name: &str,
        element_type: ElementType,
        shape: &[usize],
        offset: usize,
        quantization: Quantization,
    ) -> Result<u16, PackError> {
        let offset = u32::try_from(offset).map_err(|_| PackError::TooLarge { what: "arena" })?;
        self.tensor(name, element_type, shape, Placement::Arena(offset), quantization)
    }

    /// Adds a constant and returns its index. `bytes` are little-endian elements.
    pub fn constant(
        &mut self,
        name: &str,
        element_type: ElementType,
        shape: &[usize],
        bytes: Vec<u8>,
        quantization: Quantization,
    ) -> Result<u16, PackError> {
        let offset = match self.stored.get(&bytes) {
            Some(&offset) => offset,
            None => {
                align(&mut self.weights);
                let offset =
                    u32::try_from(self.weights.len()).map_err(|_| PackError::TooLarge { what: "weights section" })?;
                self.weights.extend_from_slice(&bytes);
                self.stored.insert(bytes, offset);
                offset
            }
        };
        self.tensor(name, element_type, shape, Placement::Weights(offset), quantization)
    }

    fn tensor(
        &mut self,
        name: &str,
        element_type: ElementType,
        shape: &[usize],
        placement: Placement,
        quantization: Quantization,
    ) -> Result<u16, PackError> {
        let dims: Option<Vec<u32>> = shape.iter().map(|&d| u32::try_from(d).ok()).collect();
        let shape = dims
            .and_then(|dims| Shape::new(&dims).ok())
            .ok_or_else(|| PackError::Shape { tensor: name.to_string(), shape: shape.to_vec() })?;
        let index = u16::try_from(self.tensors.len()).map_err(|_| PackError::TooLarge { what: "tensor table" })?;
        self.tensors.push(TensorView { element_type, shape, placement, quantization });
        Ok(index)
    }

    /// Appends a step.
    pub fn step(
        &mut self,
        code: u16,
        inputs: &[u16],
        outputs: &[u16],
        scratch: (usize, usize),
        parameters: &[u8],
    ) -> Result<(), PackError> {
        let too_large = || PackError::TooLarge { what: "step" };
        let start = self.plan.len();
        let parameters_at = plan::parameters_offset(inputs.len() + outputs.len());
        let length = (parameters_at + parameters.len()).next_multiple_of(4);
        self.plan.extend(code.to_le_bytes());
        self.plan.push(u8::try_from(inputs.len()).map_err(|_| too_large())?);
        self.plan.push(u8::try_from(outputs.len()).map_err(|_| too_large())?);
        self.plan.extend(u16::try_from(length).map_err(|_| too_large())?.to_le_bytes());
        self.plan.extend([0; 2]);
        self.plan.extend(u32::try_from(scratch.0).map_err(|_| too_large())?.to_le_bytes());
        self.plan.extend(u32::try_from(scratch.1).map_err(|_| too_large())?.to_le_bytes());
        for index in inputs.iter().chain(outputs) {
            self.plan.extend(index.to_le_bytes());
        }
        self.plan.resize(start + parameters_at, 0);
        self.plan.extend_from_slice(parameters);
        self.plan.resize(start + length, 0);
        self.n_steps += 1;
        Ok(())
    }

    /// Adds a documentation entry.
    pub fn doc(&mut self, key: doc::Key, data: &[u8]) {
        self.doc.extend(doc::emit_header(key, data.len() as u32));
        self.doc.extend_from_slice(data);
        self.doc.resize(self.doc.len().next_multiple_of(4), 0);
        self.n_doc += 1;
    }

    /// Size of all constants.
    pub fn weights_bytes(&self) -> usize {
        self.weights.len()
    }

    /// The whole image.
    pub fn finish(
        &self,
        isa: Isa,
        ports: &[PortSpec<'_>],
        manifest: &Manifest,
        sizes: &Sizes,
    ) -> Result<Vec<u8>, PackError> {
        let header = BodyHeader {
            format_version: FORMAT_VERSION,
            kernel_abi: KERNEL_ABI,
            isa,
            n_sections: 5,
            arena_bytes: sizes.arena_bytes,
            state_bytes: 0,
            scratch_bytes: sizes.scratch_bytes,
            stack_bytes: sizes.stack_bytes,
            macs: sizes.macs,
            work: sizes.work,
        };
        let tensors: Vec<u8> = self.tensors.iter().flat_map(TensorView::emit).collect();
        let io = emit_ports(ports);
        let sections = [
            (SectionKind::Plan, &self.plan, self.n_steps),
            (SectionKind::Tensors, &tensors, self.tensors.len() as u32),
            (SectionKind::Weights, &self.weights, 0),
            (SectionKind::Io, &io, ports.len() as u32),
            (SectionKind::Doc, &self.doc, self.n_doc),
        ];
        let table_end = body::SIZE + body::SECTION_SIZE * sections.len();
        let mut bytes = header.emit().to_vec();
        let mut data: Vec<u8> = Vec::new();
        for (kind, content, count) in sections {
            data.resize((table_end + data.len()).next_multiple_of(ALIGNMENT) - table_end, 0);
            let offset =
                u32::try_from(table_end + data.len()).map_err(|_| PackError::TooLarge { what: "model image" })?;
            bytes.extend(emit_section(kind, offset, content.len() as u32, count));
            data.extend_from_slice(content);
        }
        bytes.extend(data);
        envelope(&bytes, manifest)
    }
}

fn emit_ports(ports: &[PortSpec<'_>]) -> Vec<u8> {
    let mut io = Vec::new();
    let mut names = Vec::new();
    for spec in ports {
        io.extend(spec.view.emit((ports.len() * port::SIZE + names.len()) as u32));
        names.extend_from_slice(spec.name.as_bytes());
    }
    io.extend(names);
    io
}

/// Puts a body into its envelope: header, protected manifest, digest.
fn envelope(body: &[u8], manifest: &Manifest) -> Result<Vec<u8>, PackError> {
    let body_bytes = u32::try_from(body.len()).map_err(|_| PackError::TooLarge { what: "model image" })?;
    let mut image = envelope::emit_header(body_bytes, manifest.version).to_vec();
    image.extend_from_slice(body);
    image.extend(envelope::emit_tlv_head(PROTECTED_MAGIC, TLV_MANIFEST, manifest::SIZE as u16));
    image.extend(manifest.emit());
    let digest = envelope::digest(&image);
    image.extend(envelope::emit_tlv_head(TLV_MAGIC, TLV_SHA256, digest.len() as u16));
    image.extend(digest);
    Ok(image)
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
}
