//! One output element per input element: sums and products with broadcasting, tables, float functions.
//!
//! These kernels may run in place. They take one mutable region; an operand inside it is either the very range that
//! is written or apart from it. Rows run in ascending order, and a stretch of elements is read before it is written.

use super::functions::{hard_sigmoid, hard_swish, leaky_relu};
use crate::fixed_point::{PairMultiplier, Requantizer};
use crate::float_math;
use crate::kernels::Operand;
use crate::kernels::geometry::StridedLoops;
use crate::kernels::operand::store;
use crate::kernels::parameters::{OutputF32, OutputI8};
use core::cell::Cell;

/// Arithmetic of [`add_i8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddI8 {
    /// The integer that stands for 0 in `a`.
    pub a_zero_point: i32,
    /// The integer that stands for 0 in `b`.
    pub b_zero_point: i32,
    /// Scales of `a` and `b` over the output's scale; the second negative to subtract.
    pub multiplier: PairMultiplier,
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// Arithmetic of [`mul_i8`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulI8 {
    /// The integer that stands for 0 in `a`.
    pub a_zero_point: i32,
    /// The integer that stands for 0 in `b`.
    pub b_zero_point: i32,
    /// Product of the operands' scales over the output's scale.
    pub requantizer: Requantizer,
    /// Zero point and limits of the output.
    pub output: OutputI8,
}

/// Sum or difference in int8, with broadcasting.
///
/// # Shapes
/// `loops` over (a, b, output) from [`StridedLoops::broadcast`]; the output lies in `region` from `output_offset` on.
///
/// # Algorithm
/// `clamp(output_zero_point + (((a - za) * ma + (b - zb) * mb + 2^(s-1)) >> s), min, max)` in 32 bits: one rounding.
pub fn add_i8(
    loops: &StridedLoops<3>,
    q: &AddI8,
    region: &mut [i8],
    a: Operand<'_, i8>,
    b: Operand<'_, i8>,
    output_offset: usize,
) -> Option<()> {
    binary(loops, region, a, b, output_offset, |a, b| {
        let (a, b) = (i32::from(a).wrapping_sub(q.a_zero_point), i32::from(b).wrapping_sub(q.b_zero_point));
        q.output.finish(q.multiplier.combine(a, b))
    })
}

/// Product in int8, with broadcasting.
///
/// # Shapes
/// As [`add_i8`].
///
/// # Algorithm
/// `clamp(output_zero_point + requantize((a - za) * (b - zb)), min, max)`.
pub fn mul_i8(
    loops: &StridedLoops<3>,
    q: &MulI8,
    region: &mut [i8],
    a: Operand<'_, i8>,
    b: Operand<'_, i8>,
    output_offset: usize,
) -> Option<()> {
    binary(loops, region, a, b, output_offset, |a, b| {
        let (a, b) = (i32::from(a).wrapping_sub(q.a_zero_point), i32::from(b).wrapping_sub(q.b_zero_point));
        q.output.requantize(q.requantizer, a.wrapping_mul(b))
    })
}

/// Function of two float32 elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BinaryF32 {
    /// `a + b`
    Add = 0,
    /// `a - b`
    Sub = 1,
    /// `a * b`
    Mul = 2,
    /// `a / b`
    Div = 3,
}

/// A function of two float32 operands, with broadcasting.
///
/// # Shapes
/// As [`add_i8`].
///
/// # Algorithm
/// The IEEE operation, then the limits.
pub fn binary_f32(
    loops: &StridedLoops<3>,
    function: BinaryF32,
    limits: &OutputF32,
    region: &mut [f32],
    a: Operand<'_, f32>,
    b: Operand<'_, f32>,
    output_offset: usize,
) -> Option<()> {
    match function {
        BinaryF32::Add => binary(loops, region, a, b, output_offset, |a, b| limits.finish(a + b)),
        BinaryF32::Sub => binary(loops, region, a, b, output_offset, |a, b| limits.finish(a - b)),
        BinaryF32::Mul => binary(loops, region, a, b, output_offset, |a, b| limits.finish(a * b)),
        BinaryF32::Div => binary(loops, region, a, b, output_offset, |a, b| limits.finish(a / b)),
    }
}

/// Any int8 function of one int8 element.
///
/// # Shapes
/// `input` and the output have the same length; the output lies in `region` from `output_offset` on.
///
/// # Algorithm
/// `output = table[input as u8]`: entries 0..=127 belong to the inputs 0..=127, entries 128..=255 to -128..=-1.
pub fn table_lookup_i8(
    table: &[i8; 256],
    region: &mut [i8],
    input: Operand<'_, i8>,
    output_offset: usize,
) -> Option<()> {
    unary(region, input, output_offset, |x: i8| {
        // A u8 cannot leave a table of 256.
        table.get(usize::from(x as u8)).copied().unwrap_or(0)
    })
}

/// Function of one float32 element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryF32 {
    /// Into the limits, NaN stays NaN; Relu and Relu6 are limits.
    Clip(OutputF32),
    /// `x` below 0 times this.
    LeakyRelu(f32),
    /// `|x|`
    Abs,
    /// `-x`
    Neg,
    /// `1 / x`
    Reciprocal,
    /// Square root, correctly rounded.
    Sqrt,
    /// [`float_math::exp`]
    Exp,
    /// [`float_math::sigmoid`]
    Sigmoid,
    /// [`float_math::tanh`]
    Tanh,
    /// `x * sigmoid(x)`
    Silu,
    /// `clamp(slope * x + offset, 0, 1)`
    HardSigmoid {
        /// ONNX `alpha`.
        slope: f32,
        /// ONNX `beta`.
        offset: f32,
    },
    /// `x * clamp(x / 6 + 1/2, 0, 1)`, as `x * (clamp(x + 3, 0, 6) / 6)`
    HardSwish,
}

/// A function of one float32 operand.
///
/// # Shapes
/// As [`table_lookup_i8`].
pub fn unary_f32(function: UnaryF32, region: &mut [f32], input: Operand<'_, f32>, output_offset: usize) -> Option<()> {
    match function {
        UnaryF32::Clip(limits) => unary(region, input, output_offset, |x| limits.finish(x)),
        UnaryF32::LeakyRelu(slope) => unary(region, input, output_offset, |x: f32| leaky_relu(x, slope)),
        UnaryF32::Abs => unary(region, input, output_offset, f32::abs),
        UnaryF32::Neg => unary(region, input, output_offset, |x: f32| -x),
        UnaryF32::Reciprocal => unary(region, input, output_offset, |x: f32| 1.0 / x),
        UnaryF32::Sqrt => unary(region, input, output_offset, float_math::sqrt),
        UnaryF32::Exp => unary(region, input, output_offset, float_math::exp),
        UnaryF32::Sigmoid => unary(region, input, output_offset, float_math::sigmoid),
        UnaryF32::Tanh => unary(region, input, output_offset, float_math::tanh),
        UnaryF32::Silu => unary(region, input, output_offset, |x: f32| x * float_math::sigmoid(x)),
        UnaryF32::HardSigmoid { slope, offset } => {
            unary(region, input, output_offset, |x| hard_sigmoid(x, slope, offset))
        }
        UnaryF32::HardSwish => unary(region, input, output_offset, hard_swish),
    }
}

/// Elements that are read before they are written: a few vectors of any CPU.
const STRETCH: usize = 32;

/// Any function of two elements of one type, with broadcasting.
///
/// # Shapes
/// As [`add_i8`].
///
/// # Algorithm
/// Stretches are copied to and from the stack so that LLVM vectorizes `function` although the region may alias.
#[inline(always)]
pub fn binary<T: Copy + Default>(
    loops: &StridedLoops<3>,
    region: &mut [T],
    a: Operand<'_, T>,
    b: Operand<'_, T>,
    output_offset: usize,
    function: impl Fn(T, T) -> T,
) -> Option<()> {
    let cells = Cell::from_mut(region).as_slice_of_cells();
    let (a, b) = (a.resolve(cells)?, b.resolve(cells)?);
    let output = cells.get(output_offset..)?;
    let [a_stride, b_stride, _] = loops.row_strides();
    let row_length = loops.row_length();
    let (mut x, mut y) = ([T::default(); STRETCH], [T::default(); STRETCH]);
    loops.for_each_row(|[a_start, b_start, start]| {
        let mut done = 0usize;
        while done < row_length {
            let len = row_length.wrapping_sub(done).min(STRETCH);
            let a_at = a_start.wrapping_add(if a_stride == 0 { 0 } else { done });
            let b_at = b_start.wrapping_add(if b_stride == 0 { 0 } else { done });
            a.load(a_at, a_stride, x.get_mut(..len)?)?;
            b.load(b_at, b_stride, y.get_mut(..len)?)?;
            for (x, &y) in x.iter_mut().zip(&y) {
                *x = function(*x, y);
            }
            store(output, start.wrapping_add(done), x.get(..len)?)?;
            done = done.wrapping_add(len);
        }
        Some(())
    })
}

/// Any function of one element that keeps its type.
///
/// # Shapes
/// As [`table_lookup_i8`].
#[inline(always)]
pub fn unary<T: Copy>(
    region: &mut [T],
    input: Operand<'_, T>,
    output_offset: usize,
    function: impl Fn(T) -> T,
) -> Option<()> {
    let cells = Cell::from_mut(region).as_slice_of_cells();
    match input {
        Operand::Region { offset, len } => {
            let output = cells.get(output_offset..)?.get(..len)?;
            for (target, x) in output.iter().zip(cells.get(offset..)?.get(..len)?) {
                target.set(function(x.get()));
            }
        }
        Operand::Constant(slice) => {
            for (target, &x) in cells.get(output_offset..)?.get(..slice.len())?.iter().zip(slice) {
                target.set(function(x));
            }
        }
    }
    Some(())
}
