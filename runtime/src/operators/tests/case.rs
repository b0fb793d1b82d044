//! One operator in an image of its own: built, checked, bound, run.

use crate::error::BindError;
use crate::image::body::{self, BodyHeader, SectionKind, emit_section};
use crate::image::envelope::{self, PROTECTED_MAGIC, TLV_MAGIC, TLV_MANIFEST, TLV_SHA256};
use crate::image::{ALIGNMENT, FORMAT_VERSION, Image, Manifest, Placement, TensorView, manifest, plan};
use crate::isa::{Isa, KERNEL_ABI};
use crate::operators::{ALL, Operator, StepContext, work};
use crate::tensor::{ElementType, Quantization, Shape};
use std::vec;
use std::vec::Vec;

/// A tensor and its data.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub element_type: ElementType,
    pub shape: Vec<u32>,
    pub quantization: Quantization,
    pub bytes: Vec<u8>,
    pub is_constant: bool,
}

impl Tensor {
    pub fn new(element_type: ElementType, shape: &[u32], bytes: &[u8]) -> Self {
        let quantization = Quantization { scale: 1.0, zero_point: 0 };
        Self { element_type, shape: shape.to_vec(), quantization, bytes: bytes.to_vec(), is_constant: false }
    }

    pub fn i8(shape: &[u32], zero_point: i32, values: &[i8]) -> Self {
        let quantization = Quantization { scale: 1.0, zero_point };
        Self { quantization, ..Self::new(ElementType::I8, shape, bytemuck::cast_slice(values)) }
    }

    pub fn f32(shape: &[u32], values: &[f32]) -> Self {
        Self::new(ElementType::F32, shape, bytemuck::cast_slice(values))
    }

    /// Plain elements of any type.
    pub fn plain<T: bytemuck::NoUninit>(element_type: ElementType, shape: &[u32], values: &[T]) -> Self {
        Self::new(element_type, shape, bytemuck::cast_slice(values))
    }

    /// A tensor of this type whose elements are `numbers`.
    pub fn of(element_type: ElementType, shape: &[u32], numbers: &[i64]) -> Self {
        let size = element_type.size_bytes();
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes().into_iter().take(size)).collect();
        Self::new(element_type, shape, &bytes)
    }

    pub fn i32(values: &[i32]) -> Self {
        Self::new(ElementType::I32, &[values.len() as u32], bytemuck::cast_slice(values)).constant()
    }

    pub fn u8(values: &[u8]) -> Self {
        Self::new(ElementType::U8, &[values.len() as u32], values).constant()
    }

    pub fn constant(self) -> Self {
        Self { is_constant: true, ..self }
    }

    pub fn n_elements(&self) -> usize {
        self.shape.iter().product::<u32>() as usize
    }
}

/// A step with its operands.
#[derive(Clone, Debug)]
pub struct Case {
    pub operator: &'static Operator,
    pub inputs: Vec<Tensor>,
    pub output: Tensor,
    pub parameters: Vec<u8>,
    /// The input whose memory the output takes.
    pub in_place: Option<usize>,
    /// Bytes by which the output starts earlier or later than it should.
    pub output_moved_by: i64,
    /// Bytes of the arena below the first input.
    pub room_below: usize,
    /// Working memory, behind everything else.
    pub scratch_bytes: usize,
}

impl Case {
    pub fn new(operator: &'static Operator, inputs: &[Tensor], output: Tensor, parameters: &[u8]) -> Self {
        Self {
            operator,
            inputs: inputs.to_vec(),
            output,
            parameters: parameters.to_vec(),
            in_place: None,
            output_moved_by: 0,
            room_below: 0,
            scratch_bytes: 0,
        }
    }

    /// The output's bytes, or why the step may not run. Nothing but the output may have been written.
    pub fn run(&self) -> Result<Vec<u8>, BindError> {
        self.attempt().map(|output| output.expect("what binds also runs"))
    }

    /// [`Case::run`] of a step that may find at run time that its operands make no sense: `None`.
    pub fn attempt(&self) -> Result<Option<Vec<u8>>, BindError> {
        let mut arena: Vec<u8> = vec![0xa5; self.room_below];
        let mut weights = Vec::new();
        let mut offsets = Vec::new();
        for input in &self.inputs {
            let memory = if input.is_constant { &mut weights } else { &mut arena };
            memory.resize(memory.len().next_multiple_of(ALIGNMENT), 0xa5);
            offsets.push(memory.len() as u32);
            memory.extend_from_slice(&input.bytes);
        }
        let output_bytes = self.output.n_elements() * self.output.element_type.size_bytes();
        let at = match self.in_place {
            Some(input) => offsets[input] as usize,
            None => arena.len().next_multiple_of(ALIGNMENT),
        };
        let at = (at as i64 + self.output_moved_by) as usize;
        arena.resize(arena.len().max(at + output_bytes).next_multiple_of(ALIGNMENT), 0xa5);
        let scratch = arena.len()..arena.len() + self.scratch_bytes;
        arena.resize(scratch.end.next_multiple_of(ALIGNMENT), 0xa5);

        let placed = |t: &Tensor, placement| TensorView {
            element_type: t.element_type,
            shape: Shape::new(&t.shape).unwrap(),
            placement,
            quantization: t.quantization,
        };
        let place = |(t, &offset): (&Tensor, &u32)| {
            placed(t, if t.is_constant { Placement::Weights(offset) } else { Placement::Arena(offset) })
        };
        let mut tensors: Vec<u8> = self.inputs.iter().zip(&offsets).flat_map(|pair| place(pair).emit()).collect();
        tensors.extend(placed(&self.output, Placement::Arena(at as u32)).emit());
        let image = aligned(&self.image(&tensors, &weights, arena.len() as u32, scratch.start as u32));
        let image = Image::check(bytemuck::cast_slice::<u128, u8>(&image)).expect("a well-formed image");

        // Whatever lies behind the arena must stay as it is.
        let n_bytes = arena.len();
        arena.extend([0xee; 64]);
        let mut memory = aligned(&arena);
        work(&image, ALL)?;
        let mut ended = Some(());
        for step in image.steps() {
            let arena = &mut bytemuck::cast_slice_mut(&mut memory)[..n_bytes];
            ended = (self.operator.run)(&mut StepContext::new(&image, &step, arena));
        }
        let after: &[u8] = bytemuck::cast_slice(&memory);
        let untouched = |range: core::ops::Range<usize>| after[range.clone()] == arena[range];
        let behind = untouched(at + output_bytes..scratch.start) && untouched(scratch.end..n_bytes + 64);
        assert!(untouched(0..at) && behind, "wrote outside its output and scratch");
        Ok(ended.map(|()| after[at..at + output_bytes].to_vec()))
    }

    fn image(&self, tensors: &[u8], weights: &[u8], arena_bytes: u32, scratch_offset: u32) -> Vec<u8> {
        let header = BodyHeader {
            format_version: FORMAT_VERSION,
            kernel_abi: KERNEL_ABI,
            isa: Isa::Portable,
            n_sections: 5,
            arena_bytes,
            state_bytes: 0,
            scratch_bytes: self.scratch_bytes as u32,
            stack_bytes: 0,
            macs: 0,
            work: u64::MAX,
        };
        let n_tensors = self.inputs.len() + 1;
        let sections: [(SectionKind, &[u8], u32); 5] = [
            (SectionKind::Plan, &self.step(scratch_offset), 1),
            (SectionKind::Tensors, tensors, n_tensors as u32),
            (SectionKind::Weights, weights, 0),
            (SectionKind::Io, &[], 0),
            (SectionKind::Doc, &[], 0),
        ];
        let mut bytes = header.emit().to_vec();
        let mut data = Vec::new();
        let table_end = body::SIZE + sections.len() * body::SECTION_SIZE;
        for (kind, content, count) in sections {
            data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
            bytes.extend(emit_section(kind, (table_end + data.len()) as u32, content.len() as u32, count));
            data.extend_from_slice(content);
        }
        assert!(table_end.is_multiple_of(ALIGNMENT));
        bytes.extend(data);
        let manifest = Manifest::new("case", "host", [0, 0, 1]);
        let mut image = envelope::emit_header(bytes.len() as u32, manifest.version).to_vec();
        image.extend(bytes);
        image.extend(envelope::emit_tlv_head(PROTECTED_MAGIC, TLV_MANIFEST, manifest::SIZE as u16));
        image.extend(manifest.emit());
        let digest = envelope::digest(&image);
        image.extend(envelope::emit_tlv_head(TLV_MAGIC, TLV_SHA256, digest.len() as u16));
        image.extend(digest);
        image
    }

    fn step(&self, scratch_offset: u32) -> Vec<u8> {
        let n_inputs = self.inputs.len();
        let mut step = vec![0; plan::parameters_offset(n_inputs + 1)];
        step.extend(&self.parameters);
        step.resize(step.len().next_multiple_of(4), 0);
        let length = step.len() as u16;
        step[0..2].copy_from_slice(&self.operator.code.to_le_bytes());
        step[2..4].copy_from_slice(&[n_inputs as u8, 1]);
        step[4..6].copy_from_slice(&length.to_le_bytes());
        if self.scratch_bytes > 0 {
            step[8..12].copy_from_slice(&scratch_offset.to_le_bytes());
            step[12..16].copy_from_slice(&(self.scratch_bytes as u32).to_le_bytes());
        }
        for (i, field) in step[plan::HEADER_SIZE..].chunks_mut(2).take(n_inputs + 1).enumerate() {
            field.copy_from_slice(&(i as u16).to_le_bytes());
        }
        step
    }
}

/// A copy that starts at a 16-byte boundary.
fn aligned(bytes: &[u8]) -> Vec<u128> {
    let mut words = vec![0u128; bytes.len().div_ceil(16)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}
