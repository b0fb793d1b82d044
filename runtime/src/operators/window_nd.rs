//! The window record of operators in the ONNX file's own layout `[N, C, D1, ..]`, with one to three spatial axes.
//!
//! ```text
//! 0 kernel u16[3]   6 stride u16[3]   12 dilation u16[3]   18 padding before u16[3]   24 behind u16[3] .. 30
//! ```
//! The axes are those of D, H, W; where a tensor has fewer, the first ones are 1.

use crate::image::TensorView;
use crate::image::bytes::RecordWriter;
use crate::kernels::geometry::Window3d;

/// Bytes of the record.
pub const SIZE: usize = 30;

/// A window over the spatial axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowNdRecord {
    /// D, H, W.
    pub kernel: [u16; 3],
    /// D, H, W.
    pub stride: [u16; 3],
    /// D, H, W.
    pub dilation: [u16; 3],
    /// Before D, H, W.
    pub padding: [u16; 3],
    /// Behind D, H, W.
    pub padding_after: [u16; 3],
}

impl WindowNdRecord {
    /// Reads the start of an operator's parameters.
    pub fn view(parameters: &[u8]) -> Option<Self> {
        let words: &[[u8; 2]; SIZE / 2] = parameters.as_chunks().0.first_chunk()?;
        let [kd, kh, kw, sd, sh, sw, dd, dh, dw, pd, ph, pw, ad, ah, aw] = words.map(u16::from_le_bytes);
        Some(WindowNdRecord {
            kernel: [kd, kh, kw],
            stride: [sd, sh, sw],
            dilation: [dd, dh, dw],
            padding: [pd, ph, pw],
            padding_after: [ad, ah, aw],
        })
    }

    /// Writes the start of an operator's parameters.
    pub(super) fn put<const N: usize>(&self, writer: RecordWriter<N>) -> RecordWriter<N> {
        let words = [self.kernel, self.stride, self.dilation, self.padding, self.padding_after];
        words.as_flattened().iter().enumerate().fold(writer, |w, (i, word)| w.put(i * 2, &word.to_le_bytes()))
    }

    /// The window from planes to planes, unchecked.
    pub(super) fn geometry(&self, input: [u32; 3], output: [u32; 3]) -> Window3d {
        Window3d {
            input,
            output,
            kernel: self.kernel.map(u32::from),
            stride: self.stride.map(u32::from),
            dilation: self.dilation.map(u32::from),
            padding: self.padding.map(u32::from),
            padding_after: self.padding_after.map(u32::from),
        }
    }
}

/// N and C, then D, H and W of a tensor of rank 3 to 5.
#[inline(never)]
pub(super) fn planes(tensor: &TensorView) -> Option<([u32; 2], [u32; 3])> {
    match tensor.shape.dims() {
        [n, c, w] => Some(([*n, *c], [1, 1, *w])),
        [n, c, h, w] => Some(([*n, *c], [1, *h, *w])),
        [n, c, d, h, w] => Some(([*n, *c], [*d, *h, *w])),
        _ => None,
    }
}
