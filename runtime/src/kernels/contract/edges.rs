//! The cases that break kernels, by name.

use crate::kernels::geometry::Window2d;

/// Something about a case that kernels get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Edge {
    /// An output is -128 or 127.
    Saturation,
    /// A zero point of an input is -128.
    ZeroPointMin,
    /// A zero point of an input is 127.
    ZeroPointMax,
    /// The image, the vector or the matrix has one element per channel.
    OnePixel,
    /// An odd number of output channels, or of elements where there are no channels.
    OddChannels,
    /// A stride that leaves input between the windows.
    StrideBeyondKernel,
    /// Taps with input between them.
    Dilation,
    /// The first window lies in the padding as a whole.
    PaddingBeyondKernel,
    /// The output is written over an input, as far up as the kernel allows.
    Overlap,
}

impl Edge {
    /// All of them, in the order of [`Edges::counts`].
    pub const ALL: [Self; 9] = [
        Self::Saturation,
        Self::ZeroPointMin,
        Self::ZeroPointMax,
        Self::OnePixel,
        Self::OddChannels,
        Self::StrideBeyondKernel,
        Self::Dilation,
        Self::PaddingBeyondKernel,
        Self::Overlap,
    ];

    /// What never applies to layers without windows.
    pub const OF_WINDOWS: [Self; 3] = [Self::StrideBeyondKernel, Self::Dilation, Self::PaddingBeyondKernel];
}

/// Edges of one case, or how many cases had each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges([u32; Edge::ALL.len()]);

impl Edges {
    /// How many cases had this edge.
    pub fn count(&self, edge: Edge) -> u32 {
        self.0.get(edge as usize).copied().unwrap_or(0)
    }

    pub(super) fn with(mut self, edge: Edge, applies: impl Into<u32>) -> Self {
        if let Some(count) = self.0.get_mut(edge as usize) {
            *count = count.wrapping_add(applies.into());
        }
        self
    }

    pub(super) fn zero_point(self, zero_point: i32) -> Self {
        self.with(Edge::ZeroPointMin, zero_point == -128).with(Edge::ZeroPointMax, zero_point == 127)
    }

    pub(super) fn window(self, window: &Window2d) -> Self {
        let extent = |axis: usize| (window.kernel[axis] - 1) * window.dilation[axis] + 1;
        let on_an_axis = |applies: fn(&Window2d, usize, u32) -> bool| (0..2).any(|a| applies(window, a, extent(a)));
        self.with(Edge::OnePixel, window.input[..2] == [1, 1])
            .with(Edge::OddChannels, window.output[2] % 2 == 1)
            .with(Edge::StrideBeyondKernel, on_an_axis(|w, a, extent| w.stride[a] > extent))
            .with(Edge::Dilation, on_an_axis(|w, a, _| w.dilation[a] > 1 && w.kernel[a] > 1))
            .with(Edge::PaddingBeyondKernel, on_an_axis(|w, a, extent| w.padding[a] >= extent))
    }

    /// A case with two zero points of -128 is still one case.
    pub(super) fn at_most_once(self) -> Self {
        Self(self.0.map(|count| count.min(1)))
    }

    pub(super) fn add(&mut self, case: &Self) {
        for (sum, count) in self.0.iter_mut().zip(case.0) {
            *sum = sum.wrapping_add(count);
        }
    }
}
