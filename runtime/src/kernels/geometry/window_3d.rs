//! Windows over the planes of `[N, C, D, H, W]`, the layout of the ONNX file.

use super::{Axis, MAX_WINDOW, divide_up, elements, product};

/// A window that moves over planes `[D, H, W]`. Planes with fewer axes have ones in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window3d {
    /// D, H, W.
    pub input: [u32; 3],
    /// D, H, W.
    pub output: [u32; 3],
    /// D, H, W.
    pub kernel: [u32; 3],
    /// D, H, W.
    pub stride: [u32; 3],
    /// D, H, W.
    pub dilation: [u32; 3],
    /// Before each axis.
    pub padding: [u32; 3],
    /// Behind each axis; only averages that count their padding look at it.
    pub padding_after: [u32; 3],
}

impl Window3d {
    /// The window if every number is usable.
    ///
    /// Refused: zero extents, strides or dilations, planes above [`MAX_ELEMENTS`](super::MAX_ELEMENTS), windows,
    /// strides or padding above 2^14, and output positions whose window lies as a whole beyond the end of an axis.
    #[inline(never)]
    pub fn check(self) -> Option<Self> {
        elements(&self.input)?;
        elements(&self.output)?;
        elements(&self.kernel)?;
        for i in [self.kernel, self.stride, self.dilation].as_flattened() {
            if *i == 0 || *i > MAX_WINDOW {
                return None;
            }
        }
        for i in [self.padding, self.padding_after].as_flattened() {
            if *i > MAX_WINDOW {
                return None;
            }
        }
        let extents = self.input.iter().zip(self.output);
        for ((input, output), (stride, padding)) in extents.zip(self.stride.iter().zip(self.padding)) {
            let last_start = u64::from(output.wrapping_sub(1)).saturating_mul(u64::from(*stride));
            if last_start >= u64::from(*input).saturating_add(u64::from(padding)) {
                return None;
            }
        }
        Some(self)
    }

    /// D, H, W.
    pub fn axes(&self) -> [Axis; 3] {
        let [d, h, w] = [0, 1, 2].map(|i: usize| {
            let at = |values: [u32; 3]| values.get(i).copied().unwrap_or(1);
            Axis::new(at(self.input), at(self.kernel), at(self.stride), at(self.dilation), at(self.padding))
        });
        [d, h, w]
    }

    /// Elements of one input plane.
    pub fn input_elements(&self) -> usize {
        product(&self.input)
    }

    /// Elements of one output plane.
    pub fn output_elements(&self) -> usize {
        product(&self.output)
    }

    /// Taps.
    pub fn kernel_elements(&self) -> usize {
        product(&self.kernel)
    }

    /// Taps of the window at output position `[D, H, W]` that lie in the plane or its padding.
    pub fn padded_taps(&self, output: [usize; 3]) -> u32 {
        output.into_iter().enumerate().fold(1u32, |taps, (i, output)| {
            let at = |values: [u32; 3]| values.get(i).copied().unwrap_or(0);
            let size = at(self.input).wrapping_add(at(self.padding)).wrapping_add(at(self.padding_after));
            let left = size.saturating_sub((output as u32).wrapping_mul(at(self.stride)));
            taps.wrapping_mul(divide_up(left, at(self.dilation)).min(at(self.kernel)))
        })
    }
}

/// Which of the two sides of a window a convolution reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A convolution: reads what the window moves over.
    Forward,
    /// A transposed convolution: reads one element per window position and adds to what the window moves over.
    Transposed,
}

/// A convolution over `[N, C, D, H, W]`, or a transposed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvNd {
    /// The window. Where the direction is [`Direction::Transposed`], `output` is the plane that is read.
    pub window: Window3d,
    /// Forward or transposed.
    pub direction: Direction,
    /// N.
    pub batch: u32,
    /// Channels that are read.
    pub input_channels: u32,
    /// Channels that are written.
    pub output_channels: u32,
    /// Both channel counts are multiples of this.
    pub groups: u32,
}

impl ConvNd {
    /// The convolution if every number is usable.
    #[inline(never)]
    pub fn check(self) -> Option<Self> {
        self.window.check()?;
        let whole = |channels: u32| channels.checked_rem(self.groups) == Some(0);
        if !(whole(self.input_channels) && whole(self.output_channels)) {
            return None;
        }
        elements(&[self.batch, self.input_channels, self.input_plane() as u32])?;
        elements(&[self.batch, self.output_channels, self.output_plane() as u32])?;
        let filter = elements(&[elements(&self.window.kernel)?, self.input_channels_per_group() as u32])?;
        elements(&[filter, self.output_channels])?;
        Some(self)
    }

    /// Elements of a plane that is read.
    pub fn input_plane(&self) -> usize {
        match self.direction {
            Direction::Forward => self.window.input_elements(),
            Direction::Transposed => self.window.output_elements(),
        }
    }

    /// Elements of a plane that is written.
    pub fn output_plane(&self) -> usize {
        match self.direction {
            Direction::Forward => self.window.output_elements(),
            Direction::Transposed => self.window.input_elements(),
        }
    }

    /// Input channels that one output channel sees.
    pub fn input_channels_per_group(&self) -> usize {
        self.input_channels.checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Output channels that see the same input channels.
    pub fn output_channels_per_group(&self) -> usize {
        self.output_channels.checked_div(self.groups).unwrap_or(0) as usize
    }

    /// Weights.
    pub fn weight_elements(&self) -> usize {
        let filter = self.window.kernel_elements().wrapping_mul(self.input_channels_per_group());
        filter.wrapping_mul(self.output_channels as usize)
    }

    /// Multiply-accumulates, those of the padding included.
    pub fn macs(&self) -> u64 {
        let positions = (self.window.output_elements() as u64).saturating_mul(u64::from(self.batch));
        positions.saturating_mul(self.weight_elements() as u64)
    }
}
