//! The smallest model that can tell right from wrong: `tiny` adds one to every byte, in place, as many times as it has
//! steps. Running it twice without putting its input back gives another answer. Shared with the emulator's tests.

use tinfer::image::body::{self, BodyHeader, SectionKind, emit_section};
use tinfer::image::envelope::{self, PROTECTED_MAGIC, TLV_MAGIC, TLV_MANIFEST, TLV_SHA256};
use tinfer::image::port::{self, Direction};
use tinfer::image::{ALIGNMENT, FORMAT_VERSION, Manifest, Placement, PortView, TensorView, manifest, plan};
use tinfer::isa::{Isa, KERNEL_ABI};
use tinfer::operators::unary::TABLE_I8;
use tinfer::tensor::{ElementType, Quantization, Shape};

/// Steps of `tiny`.
pub const N_STEPS: usize = 3;

/// What `tiny` makes of its input.
pub fn expected(input: &[u8]) -> Vec<u8> {
    input.iter().map(|byte| byte.wrapping_add(N_STEPS as u8)).collect()
}

/// The image of `tiny` for `n_bytes` bytes, which says that it needs an arena of `arena_bytes`.
pub fn image(n_bytes: usize, arena_bytes: usize, isa: Isa) -> Vec<u8> {
    let tensor = |n_elements: usize, placement| TensorView {
        element_type: ElementType::I8,
        shape: Shape::new(&[n_elements as u32]).unwrap(),
        placement,
        quantization: Quantization { scale: 1.0, zero_point: 0 },
    };
    let tensors = [tensor(n_bytes, Placement::Arena(0)), tensor(256, Placement::Weights(0))];
    let table: Vec<u8> = (0..=255u8).map(|byte| byte.wrapping_add(1)).collect();
    let plan: Vec<u8> = (0..N_STEPS).flat_map(|_| step()).collect();
    let sections = [
        (SectionKind::Plan, plan, N_STEPS as u32),
        (SectionKind::Tensors, tensors.iter().flat_map(TensorView::emit).collect(), 2),
        (SectionKind::Weights, table, 0),
        (SectionKind::Io, ports(n_bytes), 2),
        (SectionKind::Doc, Vec::new(), 0),
    ];
    let header = BodyHeader {
        format_version: FORMAT_VERSION,
        kernel_abi: KERNEL_ABI,
        isa,
        n_sections: sections.len() as u16,
        arena_bytes: arena_bytes as u32,
        state_bytes: 0,
        scratch_bytes: 0,
        stack_bytes: 0,
        macs: 0,
        work: u64::MAX,
    };
    let mut body = header.emit().to_vec();
    let table_end = body::SIZE + sections.len() * body::SECTION_SIZE;
    let mut data = Vec::new();
    for (kind, content, count) in sections {
        data.resize((table_end + data.len()).next_multiple_of(ALIGNMENT) - table_end, 0);
        body.extend(emit_section(kind, (table_end + data.len()) as u32, content.len() as u32, count));
        data.extend(content);
    }
    body.extend(data);
    let mut about = Manifest::new("tiny", isa.name(), [1, 0, 0]);
    about.arena_bytes = arena_bytes as u32;
    enveloped(&body, &about)
}

/// One step: operator, tensors 0 and 1 in, tensor 0 out.
fn step() -> Vec<u8> {
    let mut step = vec![0; plan::parameters_offset(3).next_multiple_of(4)];
    let length = step.len() as u16;
    step[0..2].copy_from_slice(&TABLE_I8.code.to_le_bytes());
    step[2..4].copy_from_slice(&[2, 1]);
    step[4..6].copy_from_slice(&length.to_le_bytes());
    for (field, tensor) in step[plan::HEADER_SIZE..].chunks_mut(2).zip([0u16, 1, 0]) {
        field.copy_from_slice(&tensor.to_le_bytes());
    }
    step
}

fn ports(n_bytes: usize) -> Vec<u8> {
    let names = ["x", "y"];
    let port = |direction, name| {
        PortView::new(direction, name, ElementType::I8, false, 0, &[n_bytes as u32], &[0], None).unwrap()
    };
    let mut section = port(Direction::Input, names[0]).emit(2 * port::SIZE as u32).to_vec();
    section.extend(port(Direction::Output, names[1]).emit(2 * port::SIZE as u32 + 1));
    section.extend(names.concat().as_bytes());
    section
}

fn enveloped(body: &[u8], about: &Manifest) -> Vec<u8> {
    let mut image = envelope::emit_header(body.len() as u32, about.version).to_vec();
    image.extend(body);
    image.extend(envelope::emit_tlv_head(PROTECTED_MAGIC, TLV_MANIFEST, manifest::SIZE as u16));
    image.extend(about.emit());
    let digest = envelope::digest(&image);
    image.extend(envelope::emit_tlv_head(TLV_MAGIC, TLV_SHA256, digest.len() as u16));
    image.extend(digest);
    image
}
