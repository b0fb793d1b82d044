//! Element types, shapes and per-tensor quantization.

use crate::error::LoadError;
use crate::float_math::round_ties_even;

/// Highest rank of a tensor in an image.
pub const MAX_RANK: usize = 5;

/// Element type as stored in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ElementType {
    /// IEEE 754 binary32.
    F32 = 1,
    /// Signed 8-bit integer.
    I8 = 2,
    /// Unsigned 8-bit integer.
    U8 = 3,
    /// Signed 16-bit integer.
    I16 = 4,
    /// Signed 32-bit integer.
    I32 = 5,
    /// Signed 64-bit integer.
    I64 = 6,
    /// One byte, 0 or 1.
    Bool = 7,
}

impl ElementType {
    /// All of them, in the order of their codes.
    pub const ALL: [ElementType; 7] = [
        ElementType::F32,
        ElementType::I8,
        ElementType::U8,
        ElementType::I16,
        ElementType::I32,
        ElementType::I64,
        ElementType::Bool,
    ];

    /// Size of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            ElementType::I8 | ElementType::U8 | ElementType::Bool => 1,
            ElementType::I16 => 2,
            ElementType::F32 | ElementType::I32 => 4,
            ElementType::I64 => 8,
        }
    }

    /// Name as in ONNX, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            ElementType::F32 => "float32",
            ElementType::I8 => "int8",
            ElementType::U8 => "uint8",
            ElementType::I16 => "int16",
            ElementType::I32 => "int32",
            ElementType::I64 => "int64",
            ElementType::Bool => "bool",
        }
    }

    /// The element type with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// Row-major dimensions, those behind the last being 1; at most [`MAX_RANK`], all positive, whose product fits 32 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    dims: [u32; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// A checked shape.
    ///
    /// # Errors
    /// [`LoadError::Shape`] for a rank above [`MAX_RANK`], a zero dimension, or more than `u32::MAX` elements.
    pub fn new(dims: &[u32]) -> Result<Self, LoadError> {
        let mut padded = [1; MAX_RANK];
        let target = padded.get_mut(..dims.len()).ok_or(LoadError::Shape)?;
        target.copy_from_slice(dims);
        Self::padded(padded, dims.len() as u8).ok_or(LoadError::Shape)
    }

    /// The first `rank` of `dims`, when those behind are 1 and the rules of [`Shape::new`] hold.
    pub(crate) fn padded(dims: [u32; MAX_RANK], rank: u8) -> Option<Self> {
        let mut product: u32 = 1;
        for (axis, &dim) in dims.iter().enumerate() {
            if axis >= usize::from(rank) && dim != 1 {
                return None;
            }
            product = product.checked_mul(dim)?;
        }
        (product != 0 && usize::from(rank) <= MAX_RANK).then_some(Shape { dims, rank })
    }

    /// The dimensions.
    pub fn dims(&self) -> &[u32] {
        self.dims.get(..usize::from(self.rank)).unwrap_or(&[])
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.dims.iter().fold(1, |n, &d| n * d as usize)
    }

    /// The last dimension, 1 for a scalar.
    pub fn last(&self) -> usize {
        self.dims().last().map_or(1, |&d| d as usize)
    }

    /// Dimensions right-aligned in [`MAX_RANK`], filled with ones, as broadcasting needs them.
    pub fn broadcast_dims(&self) -> [u32; MAX_RANK] {
        let mut out = [1; MAX_RANK];
        for (o, d) in out.iter_mut().rev().zip(self.dims().iter().rev()) {
            *o = *d;
        }
        out
    }

    /// The shape as `[1, H, W, C]`.
    pub fn nhwc(&self) -> Option<[u32; 3]> {
        match self.dims() {
            [1, h, w, c] => Some([*h, *w, *c]),
            _ => None,
        }
    }
}

impl core::fmt::Debug for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.dims()).finish()
    }
}

/// real = scale * (q - zero_point), one for the whole tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Real units per step; 1 for tensors that are not quantized.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero_point: i32,
}

impl Quantization {
    /// The nearest int8 step to a real value, see [`quantize_i8`].
    pub fn quantize_i8(&self, real: f32) -> i8 {
        nearest(real, self.scale, self.zero_point).clamp(-128, 127) as i8
    }

    /// The nearest int16 step to a real value, rounded as [`quantize_i8`] does.
    pub fn quantize_i16(&self, real: f32) -> i16 {
        nearest(real, self.scale, self.zero_point).clamp(-32768, 32767) as i16
    }

    /// The real value of a step.
    pub fn dequantize(&self, q: i32) -> f32 {
        self.scale * q.saturating_sub(self.zero_point) as f32
    }
}

/// The nearest int8 step to a real value, ties to even, saturated. NaN becomes the zero point.
///
/// # Algorithm
/// `saturate(round(real / scale) + zero_point)` as ONNX QuantizeLinear has it: one IEEE division in binary32, of operands
/// that are rounded to binary32.
pub fn quantize_i8(real: f64, scale: f64, zero_point: i32) -> i8 {
    nearest(real as f32, scale as f32, zero_point).clamp(-128, 127) as i8
}

/// The nearest step, ties to even.
#[inline(always)]
pub(crate) fn nearest(real: f32, scale: f32, zero_point: i32) -> i32 {
    // Beyond every sum of a step and a zero point, and within what the rounding takes.
    let steps = (real / scale).clamp(-131_072.0, 131_072.0);
    (round_ties_even(steps) as i32).saturating_add(zero_point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantization_rounds_half_to_even_and_saturates() {
        let q = Quantization { scale: 0.5, zero_point: -3 };
        for (real, expected) in [
            (0.0, -3),
            (0.25, -3),
            (-0.25, -3),
            (0.75, -1),
            (-0.75, -5),
            (0.26, -2),
            (1e30, 127),
            (-1e30, -128),
            (f32::NAN, -3),
            (f32::INFINITY, 127),
        ] {
            assert_eq!(q.quantize_i8(real), expected, "{real}");
        }
        assert_eq!(q.dequantize(-5), -1.0);
        let wide = Quantization { scale: 0.5, zero_point: 0 };
        assert_eq!([-1e9, -0.25, 0.26, 100.25, 1e9].map(|x| wide.quantize_i16(x)), [-32768, 0, 1, 200, 32767]);
    }
}
