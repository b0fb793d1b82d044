//! Plan: one variable-length record per step.
//!
//! ```text
//! 0 code u16   2 n_inputs u8   3 n_outputs u8   4 length u16 (whole record, multiple of 4)   6 reserved (0)
//! 8 scratch offset u32, 16-byte aligned         12 scratch length u32
//! 16 tensor indices u16[n_inputs + n_outputs], padded with zeros to a multiple of 4
//! .. operator parameters, see the operator
//! ```

use super::bytes::u16_at;
use super::{ALIGNMENT, Image};
use crate::error::LoadError;

/// Bytes before the tensor indices.
pub const HEADER_SIZE: usize = 16;

/// One step.
#[derive(Clone, Copy, Debug)]
pub struct StepView<'i> {
    /// Position in the plan.
    pub index: u32,
    /// Operator code, see [`crate::operators`].
    pub code: u16,
    /// Offset of the scratch in the arena.
    pub scratch_offset: u32,
    /// Bytes of scratch.
    pub scratch_bytes: u32,
    indices: &'i [u8],
    n_inputs: u8,
    /// The operator's parameters.
    pub parameters: &'i [u8],
}

impl<'i> StepView<'i> {
    #[inline(never)]
    fn parse(index: u32, bytes: &'i [u8]) -> Option<(Self, &'i [u8])> {
        let words: &[[u8; 2]; HEADER_SIZE / 2] = bytes.as_chunks().0.first_chunk()?;
        let [code, [n_inputs, n_outputs], length, reserved, scratch @ ..] = *words;
        let [[a, b], [c, d], [e, f], [g, h]] = scratch;
        let length = usize::from(u16::from_le_bytes(length));
        let (record, rest) = bytes.split_at_checked(length)?;
        let n_indices = usize::from(n_inputs).checked_add(usize::from(n_outputs))?;
        let (indices, _) = record.get(HEADER_SIZE..)?.split_at_checked(n_indices.checked_mul(2)?)?;
        let parameters = record.get(parameters_offset(n_indices)..)?;
        if !length.is_multiple_of(4) || reserved != [0; 2] {
            return None;
        }
        let step = StepView {
            index,
            code: u16::from_le_bytes(code),
            scratch_offset: u32::from_le_bytes([a, b, c, d]),
            scratch_bytes: u32::from_le_bytes([e, f, g, h]),
            indices,
            n_inputs,
            parameters,
        };
        Some((step, rest))
    }

    /// Number of inputs.
    pub fn n_inputs(&self) -> usize {
        usize::from(self.n_inputs)
    }

    /// Number of outputs.
    pub fn n_outputs(&self) -> usize {
        (self.indices.len() / 2).saturating_sub(self.n_inputs())
    }

    /// Index of input `i` in the tensor section.
    pub fn input(&self, i: usize) -> Option<u16> {
        if i < self.n_inputs() { u16_at(self.indices, i.checked_mul(2)?) } else { None }
    }

    /// Index of output `i` in the tensor section.
    pub fn output(&self, i: usize) -> Option<u16> {
        u16_at(self.indices, i.checked_add(self.n_inputs())?.checked_mul(2)?)
    }
}

/// Where the parameters start in a record with `n_indices` tensor indices.
pub fn parameters_offset(n_indices: usize) -> usize {
    HEADER_SIZE.saturating_add(n_indices.div_ceil(2).saturating_mul(4))
}

/// Steps in execution order; stops early on bytes that were never checked.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'i> {
    rest: &'i [u8],
    next: u32,
    n_steps: u32,
}

impl<'i> Steps<'i> {
    pub(super) fn new(plan: &'i [u8], n_steps: u32) -> Self {
        Steps { rest: plan, next: 0, n_steps }
    }
}

impl<'i> Iterator for Steps<'i> {
    type Item = StepView<'i>;

    fn next(&mut self) -> Option<StepView<'i>> {
        if self.next >= self.n_steps {
            return None;
        }
        let (step, rest) = StepView::parse(self.next, self.rest)?;
        self.rest = rest;
        self.next = self.next.saturating_add(1);
        Some(step)
    }
}

/// Every step is well formed and names tensors and scratch that exist; nothing follows the last.
pub(super) fn check(image: &Image<'_>) -> Result<(), LoadError> {
    let mut steps = image.steps();
    let n_tensors = image.n_tensors();
    for index in 0..image.n_steps {
        let rule = |rule| LoadError::Record { section: "plan", index, rule };
        let step = steps.next().ok_or(rule("is malformed"))?;
        if step.indices.as_chunks::<2>().0.iter().any(|i| usize::from(u16::from_le_bytes(*i)) >= n_tensors) {
            return Err(rule("names a tensor that does not exist"));
        }
        if step.n_outputs() == 0 {
            return Err(rule("has no output"));
        }
        let scratch_end = step.scratch_offset.checked_add(step.scratch_bytes);
        if !(step.scratch_offset as usize).is_multiple_of(ALIGNMENT)
            || scratch_end.is_none_or(|end| end > image.header.arena_bytes)
        {
            return Err(rule("has scratch outside the arena"));
        }
    }
    if steps.rest.is_empty() {
        Ok(())
    } else {
        Err(LoadError::Record { section: "plan", index: image.n_steps, rule: "is followed by other bytes" })
    }
}
