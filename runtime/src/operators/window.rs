//! The window record that convolutions and pools begin with.
//!
//! ```text
//! 0 kernel u16[2]   4 stride u16[2]   8 dilation u16[2]   12 padding u16[4] top, left, bottom, right .. 20
//! ```

use super::StepOperands;
use crate::image::TensorView;
use crate::image::bytes::RecordWriter;
use crate::kernels::geometry::{Strip, Window2d};
use crate::kernels::portable::Divisor;

/// Bytes of the record.
pub const SIZE: usize = 20;

/// A window over NHWC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRecord {
    /// Height, width.
    pub kernel: [u16; 2],
    /// Height, width.
    pub stride: [u16; 2],
    /// Height, width.
    pub dilation: [u16; 2],
    /// Top, left, bottom, right.
    pub padding: [u16; 4],
}

impl WindowRecord {
    /// Reads the start of an operator's parameters.
    pub fn view(parameters: &[u8]) -> Option<Self> {
        let words: &[[u8; 2]; SIZE / 2] = parameters.as_chunks().0.first_chunk()?;
        let [kh, kw, sh, sw, dh, dw, top, left, bottom, right] = words.map(u16::from_le_bytes);
        Some(WindowRecord {
            kernel: [kh, kw],
            stride: [sh, sw],
            dilation: [dh, dw],
            padding: [top, left, bottom, right],
        })
    }

    /// Writes the start of an operator's parameters.
    pub(super) fn put<const N: usize>(&self, writer: RecordWriter<N>) -> RecordWriter<N> {
        let words = [self.kernel, self.stride, self.dilation].into_iter().flatten().chain(self.padding);
        words.enumerate().fold(writer, |writer, (i, word)| writer.put(i * 2, &word.to_le_bytes()))
    }

    /// The window between two tensors `[1, H, W, C]`, unchecked.
    #[inline(never)]
    pub fn geometry(&self, input: &TensorView, output: &TensorView) -> Option<Window2d> {
        let [top, left, _, _] = self.padding;
        Some(Window2d {
            input: input.shape.nhwc()?,
            output: output.shape.nhwc()?,
            kernel: self.kernel.map(u32::from),
            stride: self.stride.map(u32::from),
            dilation: self.dilation.map(u32::from),
            padding: [top, left].map(u32::from),
        })
    }

    /// What an average over the window is divided by.
    pub(super) fn divisor(&self, count_include_pad: bool) -> Divisor {
        let [_, _, bottom, right] = self.padding.map(u32::from);
        if count_include_pad { Divisor::Padded { bottom, right } } else { Divisor::Inside }
    }
}

/// Bytes by which the output of a kernel that works pixel after pixel must start below its input to overlap it.
pub(super) fn lead(operands: &StepOperands<'_>) -> Option<u32> {
    let (input, output) = (operands.any_input(0)?, operands.any_output(0)?);
    let window = WindowRecord::view(operands.parameters())?.geometry(&input, &output)?;
    window.lead_elements(Strip::Pixels(1)).checked_mul(u32::try_from(input.element_type.size_bytes()).ok()?)
}

/// The rule that all users of a window share.
pub(super) const WINDOW_RULE: &str = "its window does not fit its tensors";
