//! Tensor records.
//!
//! ```text
//! 0 element_type u8   1 rank u8   2 placement u8 (0 arena, 1 weights)   3 reserved (0)
//! 4 offset u32, 16-byte aligned   8 dims u32[5], unused ones 1
//! 28 scale f32                    32 zero_point i32                     36 reserved (0) .. 40
//! ```

use super::body::Section;
use super::bytes::{RecordWriter, range};
use crate::error::LoadError;
use crate::image::ALIGNMENT;
use crate::tensor::{ElementType, MAX_RANK, Quantization, Shape};

/// Bytes of one record.
pub const SIZE: usize = 40;

/// Where a tensor's data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Offset in the arena.
    Arena(u32),
    /// Offset in the weights section.
    Weights(u32),
}

/// One tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView {
    /// Type of its elements.
    pub element_type: ElementType,
    /// Dimensions.
    pub shape: Shape,
    /// Where its data are.
    pub placement: Placement,
    /// Scale 1 and zero point 0 when it is not quantized.
    pub quantization: Quantization,
}

impl TensorView {
    /// Size of the data.
    #[inline(never)]
    pub fn n_bytes(&self) -> usize {
        self.shape.n_elements().saturating_mul(self.element_type.size_bytes())
    }

    /// The record's bytes.
    pub fn emit(&self) -> [u8; SIZE] {
        let (placement, offset) = match self.placement {
            Placement::Arena(offset) => (0u8, offset),
            Placement::Weights(offset) => (1u8, offset),
        };
        let mut writer = RecordWriter::<SIZE>::default()
            .put(0, &[self.element_type as u8, self.shape.rank() as u8, placement])
            .put(4, &offset.to_le_bytes())
            .put(28, &self.quantization.scale.to_le_bytes())
            .put(32, &self.quantization.zero_point.to_le_bytes());
        for i in 0..MAX_RANK {
            let dim = self.shape.dims().get(i).copied().unwrap_or(1);
            writer = writer.put(8usize.saturating_add(i.saturating_mul(4)), &dim.to_le_bytes());
        }
        writer.finish()
    }
}

/// Every step of a run parses the records of its operands several times: fields of a record of known size need no
/// checks.
fn parse(record: &[u8; SIZE]) -> Option<TensorView> {
    let words: &[[u8; 4]; SIZE / 4] = record.as_chunks().0.first_chunk()?;
    let [[element_type, rank, placement, zero], offset, dims @ .., scale, zero_point, reserved] = words;
    if *zero != 0 || *reserved != [0; 4] {
        return None;
    }
    let offset = u32::from_le_bytes(*offset);
    Some(TensorView {
        element_type: ElementType::from_code(*element_type)?,
        shape: Shape::padded(dims.map(u32::from_le_bytes), *rank)?,
        placement: match *placement {
            0 => Placement::Arena(offset),
            1 => Placement::Weights(offset),
            _ => return None,
        },
        quantization: Quantization { scale: f32::from_le_bytes(*scale), zero_point: i32::from_le_bytes(*zero_point) },
    })
}

/// The record with this index of a section.
pub(super) fn view(section: &[u8], index: u16) -> Option<TensorView> {
    parse(section.as_chunks::<SIZE>().0.get(usize::from(index))?)
}

/// Every record is well formed and its data lie inside the arena or the weights section.
pub(super) fn check(section: Section<'_>, arena_bytes: u32, weights: &[u8]) -> Result<(), LoadError> {
    let (records, rest) = section.bytes.as_chunks::<SIZE>();
    if !rest.is_empty() || records.len() != section.count as usize || records.len() > usize::from(u16::MAX) {
        return Err(LoadError::Record { section: "tensors", index: section.count, rule: "wrong number of records" });
    }
    for (index, record) in records.iter().enumerate() {
        let rule = |rule| LoadError::Record { section: "tensors", index: index as u32, rule };
        let tensor = parse(record).ok_or(rule("is malformed"))?;
        let length = u32::try_from(tensor.n_bytes()).map_err(|_| rule("is too large"))?;
        let (Placement::Arena(offset) | Placement::Weights(offset)) = tensor.placement;
        if !(offset as usize).is_multiple_of(ALIGNMENT) {
            return Err(rule("is misaligned"));
        }
        let inside = match tensor.placement {
            Placement::Arena(_) => offset.checked_add(length).is_some_and(|end| end <= arena_bytes),
            Placement::Weights(_) => range(weights, offset, length).is_some(),
        };
        if !inside {
            return Err(rule("leaves its memory"));
        }
        let Quantization { scale, zero_point } = tensor.quantization;
        if !(scale.is_finite() && scale > 0.0 && (-32768..=32767).contains(&zero_point)) {
            return Err(rule("has an impossible quantization"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor() -> TensorView {
        TensorView {
            element_type: ElementType::I8,
            shape: Shape::new(&[1, 2, 3, 4]).unwrap(),
            placement: Placement::Arena(16),
            quantization: Quantization { scale: 0.5, zero_point: -3 },
        }
    }

    fn check_one(record: &[u8], arena_bytes: u32) -> Result<(), LoadError> {
        check(Section { bytes: record, count: 1 }, arena_bytes, &[])
    }

    #[test]
    fn record_round_trips() {
        assert_eq!(view(&tensor().emit(), 0), Some(tensor()));
        assert_eq!(view(&tensor().emit(), 1), None);
    }

    #[test]
    fn data_must_lie_inside() {
        assert_eq!(check_one(&tensor().emit(), 40), Ok(()));
        for (record, arena_bytes) in [
            (tensor().emit(), 39),
            (TensorView { placement: Placement::Arena(8), ..tensor() }.emit(), 400),
            (TensorView { placement: Placement::Arena(u32::MAX - 15), ..tensor() }.emit(), u32::MAX),
            (TensorView { placement: Placement::Weights(0), ..tensor() }.emit(), 400),
            (TensorView { quantization: Quantization { scale: f32::NAN, zero_point: 0 }, ..tensor() }.emit(), 400),
        ] {
            assert!(check_one(&record, arena_bytes).is_err());
        }
        let mut zero = tensor().emit();
        zero[8] = 0;
        assert!(check_one(&zero, 400).is_err());
    }
}
