//! Shapes of what a kernel does: windows, products, strided loops. All checks are total and made once, at bind.

mod lanes;
mod lead;
mod moves;
mod transposed;
mod window_3d;

pub use lanes::{LaneStart, Lanes};
pub use lead::Strip;
pub use moves::{Border, BorderMode, Gather, Rows, SliceAxis, View};
pub use transposed::{ConvTranspose2d, Positions, ReachingTaps, TransposedAxis};
pub use window_3d::{ConvNd, Direction, Window3d};

use crate::tensor::MAX_RANK;

/// Most elements of one tensor, so that every position and every padded coordinate fits an `i32`.
pub const MAX_ELEMENTS: u32 = 1 << 28;
/// Largest kernel extent, stride, dilation and padding.
const MAX_WINDOW: u32 = 1 << 14;

/// A two-dimensional window that moves over an NHWC tensor with N = 1. One-dimensional windows have height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window2d {
    /// H, W, C.
    pub input: [u32; 3],
    /// H, W, C.
    pub output: [u32; 3],
    /// H, W.
    pub kernel: [u32; 2],
    /// H, W.
    pub stride: [u32; 2],
    /// H, W.
    pub dilation: [u32; 2],
    /// Top, left; what lies beyond the bottom and the right edge follows from the output size.
    pub padding: [u32; 2],
}

/// One axis of a [`Window2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    input: i32,
    kernel: i32,
    stride: i32,
    dilation: i32,
    padding: i32,
}

/// The taps of one output position that lie inside the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taps {
    /// First tap inside.
    pub first: usize,
    /// How many, one after the other.
    pub count: usize,
    /// Input position of the first one.
    pub position: usize,
}

impl Window2d {
    /// The window if every number is usable.
    ///
    /// Refused: zero extents, strides or dilations, tensors above [`MAX_ELEMENTS`], windows or strides above 2^14, and
    /// output positions whose window lies as a whole beyond the bottom or right edge.
    #[inline(never)]
    pub fn check(self) -> Option<Self> {
        elements(&self.input)?;
        elements(&self.output)?;
        for i in [self.kernel, self.stride, self.dilation].as_flattened() {
            if *i == 0 || *i > MAX_WINDOW {
                return None;
            }
        }
        let [input_height, input_width, _] = self.input;
        let [output_height, output_width, _] = self.output;
        let [top, left] = self.padding;
        let [stride_y, stride_x] = self.stride;
        for (input, output, stride, padding) in
            [(input_height, output_height, stride_y, top), (input_width, output_width, stride_x, left)]
        {
            if padding > MAX_WINDOW {
                return None;
            }
            let last_start = u64::from(output - 1) * u64::from(stride);
            if last_start >= u64::from(input) + u64::from(padding) {
                return None;
            }
        }
        let [kernel_height, kernel_width] = self.kernel;
        kernel_height.checked_mul(kernel_width).filter(|&n| n <= MAX_ELEMENTS)?;
        Some(self)
    }

    /// Rows of the window.
    pub fn vertical(&self) -> Axis {
        Axis::new(self.input[0], self.kernel[0], self.stride[0], self.dilation[0], self.padding[0])
    }

    /// Columns of the window.
    pub fn horizontal(&self) -> Axis {
        Axis::new(self.input[1], self.kernel[1], self.stride[1], self.dilation[1], self.padding[1])
    }

    /// Elements of the input.
    pub fn input_elements(&self) -> usize {
        product(&self.input)
    }

    /// Elements of the output.
    pub fn output_elements(&self) -> usize {
        product(&self.output)
    }

    /// Taps of the window.
    pub fn kernel_elements(&self) -> usize {
        product(&self.kernel)
    }
}

impl Axis {
    fn new(input: u32, kernel: u32, stride: u32, dilation: u32, padding: u32) -> Self {
        let [input, kernel, stride, dilation, padding] = [input, kernel, stride, dilation, padding].map(|v| v as i32);
        Self { input, kernel, stride, dilation: dilation.max(1), padding }
    }

    /// The taps inside for output position `output`.
    #[inline]
    pub fn taps(&self, output: usize) -> Taps {
        let start = (output as i32).wrapping_mul(self.stride).wrapping_sub(self.padding);
        let (first, end) = if self.dilation == 1 {
            (start.wrapping_neg().max(0), self.input.wrapping_sub(start))
        } else {
            let ceiling = |n: i32| divide_up(n.max(0) as u32, self.dilation.unsigned_abs()) as i32;
            (ceiling(start.wrapping_neg()), ceiling(self.input.wrapping_sub(start)))
        };
        let count = end.min(self.kernel).wrapping_sub(first).max(0);
        let position = start.wrapping_add(first.wrapping_mul(self.dilation)).max(0);
        Taps { first: first as usize, count: count as usize, position: position as usize }
    }

    /// Distance in the input from one tap to the next.
    #[inline]
    pub fn dilation(&self) -> usize {
        self.dilation as usize
    }
}

/// A convolution: a window whose channels fall into groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Input, output and taps.
    pub window: Window2d,
    /// Both channel counts are multiples of this.
    pub groups: u32,
}

impl Conv2d {
    /// The convolution if every number is usable.
    pub fn check(self) -> Option<Self> {
        self.window.check()?;
        let ([_, _, input_channels], [_, _, output_channels]) = (self.window.input, self.window.output);
        let whole = |channels: u32| channels.checked_rem(self.groups) == Some(0);
        if !(whole(input_channels) && whole(output_channels)) {
            return None;
        }
        let filter = elements(&[self.window.kernel_elements() as u32, self.input_channels_per_group() as u32])?;
        elements(&[filter, output_channels])?;
        Some(self)
    }

    /// Input channels that one output channel sees.
    pub fn input_channels_per_group(&self) -> usize {
        self.window.input[2].checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Output channels that see the same input channels.
    pub fn output_channels_per_group(&self) -> usize {
        self.window.output[2].checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Weights of one output channel.
    pub fn filter_elements(&self) -> usize {
        self.window.kernel_elements().wrapping_mul(self.input_channels_per_group())
    }

    /// Weights of all output channels.
    pub fn weight_elements(&self) -> usize {
        self.filter_elements().wrapping_mul(self.window.output[2] as usize)
    }

    /// Multiply-accumulates, padded taps included.
    pub fn macs(&self) -> u64 {
        (self.window.output_elements() as u64).saturating_mul(self.filter_elements() as u64)
    }
}

/// A stack of matrix products `[batch, m, k] x [batch, k, n] -> [batch, m, n]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Products.
    pub batch: u32,
    /// Rows of the left matrix.
    pub m: u32,
    /// Length of the sums.
    pub k: u32,
    /// Columns of the right matrix.
    pub n: u32,
    /// Elements from one left matrix to the next, 0 to use one for all.
    pub a_batch_stride: u32,
    /// Elements from one right matrix to the next, 0 to use one for all.
    pub b_batch_stride: u32,
    /// How the right matrix lies in memory.
    pub b_layout: MatrixLayout,
}

/// How a right matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MatrixLayout {
    /// `[k, n]`: the columns of one row are neighbours.
    Kn = 0,
    /// `[n, k]`: transposed.
    Nk = 1,
}

impl MatMul {
    /// The product if every number is usable.
    pub fn check(self) -> Option<Self> {
        let a = elements(&[self.m, self.k])?;
        let b = elements(&[self.k, self.n])?;
        elements(&[self.batch, self.m, self.n])?;
        elements(&[self.batch, a])?;
        elements(&[self.batch, b])?;
        let strides_fit = (self.a_batch_stride == 0 || self.a_batch_stride == a)
            && (self.b_batch_stride == 0 || self.b_batch_stride == b);
        strides_fit.then_some(self)
    }

    /// Elements of the left operand.
    pub fn a_elements(&self) -> usize {
        product(&[if self.a_batch_stride == 0 { 1 } else { self.batch }, self.m, self.k])
    }

    /// Elements of the right operand.
    pub fn b_elements(&self) -> usize {
        product(&[if self.b_batch_stride == 0 { 1 } else { self.batch }, self.k, self.n])
    }

    /// Elements of the output.
    pub fn output_elements(&self) -> usize {
        product(&[self.batch, self.m, self.n])
    }

    /// Multiply-accumulates.
    pub fn macs(&self) -> u64 {
        (self.output_elements() as u64).saturating_mul(u64::from(self.k))
    }
}

/// Up to five nested loops with one stride per loop and operand, outermost first. The innermost is run row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedLoops<const OPERANDS: usize> {
    /// Iterations of each loop.
    pub dims: [u32; MAX_RANK],
    /// Elements by which each operand advances in each loop.
    pub strides: [[u32; MAX_RANK]; OPERANDS],
}

impl<const OPERANDS: usize> StridedLoops<OPERANDS> {
    /// Joins loops that walk every operand as one loop would and moves loops of one iteration outwards.
    ///
    /// A sum of two equal shapes becomes one row, whatever the rank; so does a sum with a scalar.
    pub fn merged(self) -> Self {
        let mut merged = Self { dims: [1; MAX_RANK], strides: [[0; MAX_RANK]; OPERANDS] };
        let mut rows = merged.dims.iter_mut().enumerate().rev();
        // The loop that is being built: (axis in `merged`, iterations, strides).
        let mut open: Option<(usize, &mut u32, [u32; OPERANDS])> = None;
        for axis in (0..MAX_RANK).rev() {
            let dim = self.dims.get(axis).copied().unwrap_or(1);
            let strides = self.strides.map(|s| s.get(axis).copied().unwrap_or(0));
            if dim == 1 {
                continue;
            }
            if let Some((_, length, inner)) = &mut open {
                let joins = strides.iter().zip(inner.iter()).all(|(s, i)| Some(*s) == i.checked_mul(**length));
                if let (true, Some(product)) = (joins, length.checked_mul(dim)) {
                    **length = product;
                    continue;
                }
            }
            let Some((target, length)) = rows.next() else { return self };
            *length = dim;
            for (operand, stride) in merged.strides.iter_mut().zip(strides) {
                if let Some(slot) = operand.get_mut(target) {
                    *slot = stride;
                }
            }
            open = Some((target, length, strides));
        }
        merged
    }

    /// Elements that operand `idx` must have, or `None` when an index overflows [`MAX_ELEMENTS`].
    pub fn reach(&self, idx: usize) -> Option<usize> {
        let strides = self.strides.get(idx)?;
        let mut last: u32 = 0;
        for (dim, stride) in self.dims.iter().zip(strides) {
            last = dim.checked_sub(1)?.checked_mul(*stride)?.checked_add(last)?;
        }
        (last < MAX_ELEMENTS).then_some(last as usize + 1)
    }

    /// Iterations of all loops.
    pub fn n_iterations(&self) -> Option<u32> {
        elements(&self.dims)
    }

    /// Length of the innermost loop.
    pub fn row_length(&self) -> usize {
        self.dims[MAX_RANK - 1] as usize
    }

    /// Strides of the innermost loop.
    pub fn row_strides(&self) -> [u32; OPERANDS] {
        self.strides.map(|s| s[MAX_RANK - 1])
    }

    /// Calls `row` with the element offsets of the operands at the start of every innermost loop, in ascending order.
    ///
    /// Stops and answers `None` as soon as `row` does.
    #[inline]
    pub fn for_each_row(&self, mut row: impl FnMut([usize; OPERANDS]) -> Option<()>) -> Option<()> {
        let [d0, d1, d2, d3, _] = self.dims;
        let advance = |from: [usize; OPERANDS], axis: usize| {
            let mut to = from;
            for (t, s) in to.iter_mut().zip(&self.strides) {
                *t = t.wrapping_add(s.get(axis).map_or(0, |&s| s as usize));
            }
            to
        };
        let mut o0 = [0; OPERANDS];
        for _ in 0..d0 {
            let mut o1 = o0;
            for _ in 0..d1 {
                let mut o2 = o1;
                for _ in 0..d2 {
                    let mut o3 = o2;
                    for _ in 0..d3 {
                        row(o3)?;
                        o3 = advance(o3, 3);
                    }
                    o2 = advance(o2, 2);
                }
                o1 = advance(o1, 1);
            }
            o0 = advance(o0, 0);
        }
        Some(())
    }
}

impl StridedLoops<3> {
    /// The loops of an elementwise operation with numpy broadcasting, over (a, b, output), merged.
    ///
    /// `None` when the shapes do not broadcast to `output`. Shapes are right-aligned, filled with ones.
    pub fn broadcast(a: [u32; MAX_RANK], b: [u32; MAX_RANK], output: [u32; MAX_RANK]) -> Option<Self> {
        elements(&output)?;
        for ((a, b), o) in a.iter().zip(&b).zip(&output) {
            let larger = if *a == 1 { b } else { a };
            if !((a == b || *a == 1 || *b == 1) && larger == o) {
                return None;
            }
        }
        let strides = [broadcast_strides(a), broadcast_strides(b), broadcast_strides(output)];
        Some(Self { dims: output, strides }.merged())
    }
}

impl StridedLoops<4> {
    /// [`StridedLoops::broadcast`] for three operands, over (a, b, c, output), merged.
    pub fn broadcast_three(
        a: [u32; MAX_RANK],
        b: [u32; MAX_RANK],
        c: [u32; MAX_RANK],
        output: [u32; MAX_RANK],
    ) -> Option<Self> {
        elements(&output)?;
        for (((a, b), c), o) in a.iter().zip(&b).zip(&c).zip(&output) {
            if ![a, b, c].iter().all(|d| *d == o || **d == 1) || a.max(b).max(c) != o {
                return None;
            }
        }
        let strides = [broadcast_strides(a), broadcast_strides(b), broadcast_strides(c), broadcast_strides(output)];
        Some(Self { dims: output, strides }.merged())
    }
}

impl StridedLoops<2> {
    /// The loops of a transposition from `input` by `permutation`, over (input, output), merged.
    ///
    /// Axis `i` of the output is axis `permutation[i]` of the input. `None` when it is no permutation.
    pub fn transpose(input: [u32; MAX_RANK], permutation: [u8; MAX_RANK]) -> Option<Self> {
        elements(&input)?;
        let input_strides = row_major_strides(input);
        let mut seen = 0u32;
        let (mut dims, mut strides) = ([0; MAX_RANK], [0; MAX_RANK]);
        for ((dim, stride), axis) in dims.iter_mut().zip(&mut strides).zip(permutation) {
            *dim = *input.get(usize::from(axis))?;
            *stride = *input_strides.get(usize::from(axis))?;
            seen |= 1 << axis;
        }
        if seen != (1 << MAX_RANK) - 1 {
            return None;
        }
        Some(Self { dims, strides: [strides, row_major_strides(dims)] }.merged())
    }

    /// The loops that copy a whole tensor `part` to the place where its first element is element `offset` of a
    /// tensor `whole`, over (part, whole), merged: one operand of a concatenation, or the inside of a padded tensor.
    ///
    /// `None` when an axis of `part` is longer than that of `whole`.
    pub fn embed(part: [u32; MAX_RANK], whole: [u32; MAX_RANK]) -> Option<Self> {
        elements(&whole)?;
        elements(&part)?;
        if part.iter().zip(&whole).any(|(p, w)| p > w) {
            return None;
        }
        Some(Self { dims: part, strides: [row_major_strides(part), row_major_strides(whole)] }.merged())
    }
}

/// Elements of a tensor with these dimensions, `None` when 0 or above [`MAX_ELEMENTS`].
pub fn elements(dims: &[u32]) -> Option<u32> {
    let n = dims.iter().try_fold(1u32, |n, &d| n.checked_mul(d))?;
    (1..=MAX_ELEMENTS).contains(&n).then_some(n)
}

/// `n / d` rounded up, 0 when `d` is 0. (`u32::div_ceil` keeps a panic path at `opt-level = "s"`.)
pub(crate) fn divide_up(n: u32, d: u32) -> u32 {
    n.wrapping_add(d.wrapping_sub(1)).checked_div(d).unwrap_or(0)
}

/// Product of dimensions that [`elements`] has accepted.
fn product(dims: &[u32]) -> usize {
    dims.iter().fold(1usize, |n, &d| n.wrapping_mul(d as usize))
}

/// Strides of a row-major tensor.
pub fn row_major_strides(dims: [u32; MAX_RANK]) -> [u32; MAX_RANK] {
    let mut strides = [0; MAX_RANK];
    let mut stride = 1u32;
    for (s, d) in strides.iter_mut().rev().zip(dims.iter().rev()) {
        *s = stride;
        stride = stride.wrapping_mul(*d);
    }
    strides
}

/// Row-major strides, 0 where the tensor is repeated.
fn broadcast_strides(dims: [u32; MAX_RANK]) -> [u32; MAX_RANK] {
    let mut strides = row_major_strides(dims);
    for (s, d) in strides.iter_mut().zip(dims) {
        if d == 1 {
            *s = 0;
        }
    }
    strides
}

#[cfg(test)]
mod tests;
