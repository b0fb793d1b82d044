//! Inputs and outputs as the ONNX file names them.
//!
//! ```text
//! 0 direction u8 (0 input, 1 output)   1 element_type u8 (of the file)   2 rank u8   3 batched u8 (0, 1)
//! 4 tensor u16                         6 reserved (0)
//! 8 name offset u32, 12 name length u32 (UTF-8, in this section)
//! 16 dims u32[6], unused ones 0        40 permutation u8[6], unused ones 0
//! 46 pad value u8                      47 threshold u8
//! 48 preprocess u8 (0 none, 1 image)   49 channels u8   50 resize u8   51 fit u8 + 16 * binarise u8
//! 52 width u16   54 height u16         56 scale f32     60 mean f32[3]  72 std f32[3] .. 84
//! ```
//! fit: 0 stretch, 1 crop, 2 pad (with the pad value, else 0); binarise: 0 never, 1 above the threshold (else 0), 2 Otsu.
//! The tensor holds the port's data transposed by `permutation`.

use super::Image;
use super::bytes::{RecordWriter, array, f32_at, range, u8_at, u16_at, u32_at};
use crate::error::LoadError;
use crate::preprocess::{Binarise, Channels, Fit, ImagePreprocess, Resize};
use crate::tensor::ElementType;

/// Bytes of one record; the names follow the records.
pub const SIZE: usize = 84;

/// Highest rank of a port: batch plus the ranks of a tensor.
pub const MAX_PORT_RANK: usize = 6;

/// Whether data go in or come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Filled before a run.
    Input,
    /// Read after a run.
    Output,
}

/// One input or output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PortView<'i> {
    /// In or out.
    pub direction: Direction,
    /// Element type in the ONNX file; the tensor may be quantized.
    pub element_type: ElementType,
    /// Whether the first dimension is a batch of which the image takes one sample at a time.
    pub batched: bool,
    /// The tensor that holds it.
    pub tensor: u16,
    /// Name in the ONNX file.
    pub name: &'i str,
    dims: [u32; MAX_PORT_RANK],
    permutation: [u8; MAX_PORT_RANK],
    rank: u8,
    /// How a picture becomes this input.
    pub preprocess: Option<ImagePreprocess>,
}

impl<'i> PortView<'i> {
    /// A port for [`PortView::emit`]; `None` when the rank is too high or the lengths differ.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        direction: Direction,
        name: &'i str,
        element_type: ElementType,
        batched: bool,
        tensor: u16,
        dims: &[u32],
        permutation: &[u8],
        preprocess: Option<ImagePreprocess>,
    ) -> Option<Self> {
        let mut port = PortView {
            direction,
            element_type,
            batched,
            tensor,
            name,
            dims: [0; MAX_PORT_RANK],
            permutation: [0; MAX_PORT_RANK],
            rank: dims.len() as u8,
            preprocess,
        };
        if permutation.len() != dims.len() {
            return None;
        }
        port.dims.get_mut(..dims.len())?.copy_from_slice(dims);
        port.permutation.get_mut(..dims.len())?.copy_from_slice(permutation);
        Some(port)
    }

    /// Shape in the ONNX file's layout.
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&[])
    }

    /// Axes of the port's shape in the tensor's order.
    pub fn permutation(&self) -> &[u8] {
        self.permutation.get(..usize::from(self.rank)).unwrap_or(&[])
    }

    /// The record; `name_offset` counts from the start of the section.
    pub fn emit(&self, name_offset: u32) -> [u8; SIZE] {
        let mut writer = RecordWriter::<SIZE>::default()
            .put(0, &[self.direction as u8, self.element_type as u8, self.rank, u8::from(self.batched)])
            .put(4, &self.tensor.to_le_bytes())
            .put(8, &name_offset.to_le_bytes())
            .put(12, &(self.name.len() as u32).to_le_bytes())
            .put(40, &self.permutation);
        for (i, dim) in self.dims.iter().enumerate() {
            writer = writer.put(16usize.saturating_add(i.saturating_mul(4)), &dim.to_le_bytes());
        }
        if let Some(p) = &self.preprocess {
            let (fit, pad) = match p.fit {
                Fit::Stretch => (0, 0),
                Fit::Crop => (1, 0),
                Fit::Pad(value) => (2, value),
            };
            let (binarise, threshold) = match p.binarise {
                Binarise::Never => (0x00, 0),
                Binarise::Above(threshold) => (0x10, threshold),
                Binarise::Otsu => (0x20, 0),
            };
            writer = writer
                .put(46, &[pad, threshold])
                .put(48, &[1, p.channels as u8, p.resize as u8, fit | binarise])
                .put(52, &p.width.to_le_bytes())
                .put(54, &p.height.to_le_bytes())
                .put(56, &p.scale.to_le_bytes());
            for i in 0..3usize {
                let at = i.saturating_mul(4);
                let value = |v: &[f32; 3]| v.get(i).copied().unwrap_or(0.0).to_le_bytes();
                writer = writer.put(at.saturating_add(60), &value(&p.mean)).put(at.saturating_add(72), &value(&p.std));
            }
        }
        writer.finish()
    }
}

fn parse_preprocess(record: &[u8]) -> Option<Option<ImagePreprocess>> {
    let ([pad, threshold], how) = (array(record, 46)?, u8_at(record, 51)?);
    match u8_at(record, 48)? {
        0 => (pad == 0 && threshold == 0 && how == 0).then_some(None),
        1 => {
            let triple = |at: usize| {
                Some([f32_at(record, at)?, f32_at(record, at.checked_add(4)?)?, f32_at(record, at.checked_add(8)?)?])
            };
            Some(Some(ImagePreprocess {
                channels: Channels::from_code(u8_at(record, 49)?)?,
                resize: Resize::from_code(u8_at(record, 50)?)?,
                fit: match (how & 0x0f, pad) {
                    (0, 0) => Fit::Stretch,
                    (1, 0) => Fit::Crop,
                    (2, value) => Fit::Pad(value),
                    _ => return None,
                },
                binarise: match (how & 0xf0, threshold) {
                    (0x00, 0) => Binarise::Never,
                    (0x10, threshold) => Binarise::Above(threshold),
                    (0x20, 0) => Binarise::Otsu,
                    _ => return None,
                },
                width: u16_at(record, 52)?,
                height: u16_at(record, 54)?,
                scale: f32_at(record, 56)?,
                mean: triple(60)?,
                std: triple(72)?,
            }))
        }
        _ => None,
    }
}

#[inline(never)]
fn parse<'i>(section: &'i [u8], record: &[u8]) -> Option<PortView<'i>> {
    let mut dims = [0; MAX_PORT_RANK];
    for (i, dim) in dims.iter_mut().enumerate() {
        *dim = u32_at(record, 16usize.checked_add(i.checked_mul(4)?)?)?;
    }
    let permutation: [u8; MAX_PORT_RANK] = array(record, 40)?;
    let rank = u8_at(record, 2)?;
    let used = permutation.get(..usize::from(rank))?;
    let each_axis_once = (0..rank).all(|axis| used.contains(&axis));
    if !each_axis_once || dims.get(..usize::from(rank))?.contains(&0) || u16_at(record, 6)? != 0 {
        return None;
    }
    Some(PortView {
        direction: match u8_at(record, 0)? {
            0 => Direction::Input,
            1 => Direction::Output,
            _ => return None,
        },
        element_type: ElementType::from_code(u8_at(record, 1)?)?,
        batched: match u8_at(record, 3)? {
            0 => false,
            1 => true,
            _ => return None,
        },
        tensor: u16_at(record, 4)?,
        name: core::str::from_utf8(range(section, u32_at(record, 8)?, u32_at(record, 12)?)?).ok()?,
        dims,
        permutation,
        rank,
        preprocess: parse_preprocess(record)?,
    })
}

/// The ports of a section; stops early on bytes that were never checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports<'i> {
    section: &'i [u8],
    next: u32,
    n_ports: u32,
}

impl<'i> Ports<'i> {
    pub(super) fn new(section: &'i [u8], n_ports: u32) -> Self {
        Ports { section, next: 0, n_ports }
    }
}

impl<'i> Iterator for Ports<'i> {
    type Item = PortView<'i>;

    fn next(&mut self) -> Option<PortView<'i>> {
        if self.next >= self.n_ports {
            return None;
        }
        let start = (self.next as usize).checked_mul(SIZE)?;
        let record = self.section.get(start..start.checked_add(SIZE)?)?;
        self.next = self.next.saturating_add(1);
        parse(self.section, record)
    }
}

/// Every port is well formed and names an arena tensor with as many elements as its shape has.
///
/// Names follow the records without gaps: ports that share one long name would make reading take longer than the
/// section is.
pub(super) fn check(image: &Image<'_>) -> Result<(), LoadError> {
    let mut ports = Ports::new(image.ports, image.n_ports);
    let mut name_at = (image.n_ports as usize).saturating_mul(SIZE);
    for index in 0..image.n_ports {
        let rule = |rule| LoadError::Record { section: "io", index, rule };
        let record = (index as usize).saturating_mul(SIZE);
        let field = |at: usize| u32_at(image.ports, record.saturating_add(at)).map(|v| v as usize);
        if field(8) != Some(name_at) {
            return Err(rule("has a name that does not follow the one before"));
        }
        name_at = name_at.saturating_add(field(12).unwrap_or(0));
        let port = ports.next().ok_or(rule("is malformed"))?;
        let tensor = image.tensor(port.tensor).ok_or(rule("names a tensor that does not exist"))?;
        let n_elements = port.dims().iter().try_fold(1u32, |n, &d| n.checked_mul(d));
        if n_elements.map(|n| n as usize) != Some(tensor.shape.n_elements()) {
            return Err(rule("has another number of elements than its tensor"));
        }
        if !matches!(tensor.placement, super::Placement::Arena(_)) {
            return Err(rule("is a constant"));
        }
    }
    if name_at == image.ports.len() {
        Ok(())
    } else {
        Err(LoadError::Record { section: "io", index: image.n_ports, rule: "is followed by other bytes" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_round_trips() {
        for fit in [Fit::Stretch, Fit::Crop, Fit::Pad(7), Fit::Pad(0)] {
            for binarise in [Binarise::Never, Binarise::Above(90), Binarise::Above(0), Binarise::Otsu] {
                round_trip(fit, binarise);
            }
        }
    }

    fn round_trip(fit: Fit, binarise: Binarise) {
        let preprocess = ImagePreprocess {
            channels: Channels::Rgb,
            resize: Resize::Bilinear,
            fit,
            binarise,
            width: 32,
            height: 24,
            scale: 0.5,
            mean: [1.0, 2.0, 3.0],
            std: [4.0, 5.0, 6.0],
        };
        let port = PortView::new(
            Direction::Output,
            "y",
            ElementType::F32,
            true,
            7,
            &[1, 3, 24, 32],
            &[0, 2, 3, 1],
            Some(preprocess),
        )
        .unwrap();
        let mut section = port.emit(SIZE as u32).to_vec();
        section.push(b'y');
        assert_eq!(Ports::new(&section, 1).next(), Some(port));
    }

    #[test]
    fn fields_without_a_meaning_are_zero() {
        let port = PortView::new(Direction::Input, "", ElementType::I8, false, 0, &[2], &[0], None).unwrap();
        for at in [46, 47, 51] {
            let mut record = port.emit(0);
            record[at] = 1;
            assert_eq!(Ports::new(&record, 1).next(), None, "byte {at}");
        }
    }

    #[test]
    fn permutation_names_each_axis_once() {
        let port = PortView::new(Direction::Input, "", ElementType::I8, false, 0, &[2, 2], &[1, 1], None).unwrap();
        assert_eq!(Ports::new(&port.emit(0), 1).next(), None);
    }
}
