//! Operators over windows and channels in the ONNX file's own layout `[N, C, D1, ..]`: any batch, one to three spatial
//! axes.

/// Window geometry over D, H, W; where a map has fewer axes, the first ones are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window3d {
    /// Kernel.
    pub kernel: [usize; 3],
    /// Strides.
    pub stride: [usize; 3],
    /// Dilations.
    pub dilation: [usize; 3],
    /// Padding before each axis.
    pub padding: [usize; 3],
    /// Padding behind each axis.
    pub padding_after: [usize; 3],
}

/// Which taps an average counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Those inside the map.
    Inside,
    /// Those inside the map and its padding.
    Padded,
}

/// How indices count the elements of one map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexOrder {
    /// The last axis is the innermost.
    RowMajor,
    /// The first spatial axis is the innermost.
    ColumnMajor,
}

/// What is computed. All in float32 but the maxima, which take int8 and uint8 too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WindowNd {
    /// inputs: x, weights [O, C / groups, K1, ..], bias [O] (optional), any of them computed.
    Conv {
        /// Geometry.
        window: Window3d,
        /// Groups.
        groups: usize,
    },
    /// inputs: x, weights [C, O / groups, K1, ..], bias [O] (optional), any of them computed.
    ConvTranspose {
        /// Geometry of the convolution that is transposed.
        window: Window3d,
        /// Groups.
        groups: usize,
    },
    /// inputs: x.
    MaxPool {
        /// Geometry.
        window: Window3d,
    },
    /// inputs: x; the result is int64.
    MaxPoolIndices {
        /// Geometry.
        window: Window3d,
        /// How elements are counted.
        order: IndexOrder,
    },
    /// inputs: x.
    AveragePool {
        /// Geometry.
        window: Window3d,
        /// What the sum is divided by.
        counted: Counted,
    },
    /// inputs: x; the p-norm of each window.
    LpPool {
        /// Geometry.
        window: Window3d,
        /// Exponent, at least 1.
        p: u32,
    },
    /// inputs: x; `x / (bias + alpha / size * sum(x^2))^beta` over neighbouring channels.
    LocalResponseNorm {
        /// Channels that count.
        size: u32,
        /// See above.
        alpha: f32,
        /// See above.
        beta: f32,
        /// See above.
        bias: f32,
    },
    /// inputs: x, scale [C], bias [C], mean [C], variance [C], any of them computed.
    BatchNormalization {
        /// Added to the variance.
        epsilon: f32,
    },
}
