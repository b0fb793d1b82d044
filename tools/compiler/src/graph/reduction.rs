//! Operators in which many elements decide about one.

use tinfer::kernels::portable::{BoxFormat, LpNorm, Order, Reading, ReduceFunction, Start, Statistic, Tie};
use tinfer::operators::reduction::non_max_suppression::SpareRows;
use tinfer::operators::reduction::normalization::NormalizationResult;
use tinfer::operators::reduction::selection::TopKResult;

/// Reductions, choices along an axis, and what is computed from a whole lane of elements.
#[derive(Clone, Debug, PartialEq)]
pub enum Reduction {
    /// inputs: x; axes, int64, when they are not known.
    Reduce {
        /// What is computed.
        function: ReduceFunction,
        /// The axes that are joined; `None` when they are an operand.
        axes: Option<Vec<usize>>,
        /// Whether they stay with length 1.
        keeps_dims: bool,
    },
    /// Indices, int64, of the largest or smallest elements along an axis. inputs: x.
    ArgExtreme {
        /// The axis.
        axis: usize,
        /// Largest or smallest.
        order: Order,
        /// Which of equal elements.
        tie: Tie,
    },
    /// The first elements of the sorted axis, or their indices; the output's shape says how many. inputs: x.
    TopK {
        /// The axis.
        axis: usize,
        /// What comes first.
        order: Order,
        /// Elements or indices.
        result: TopKResult,
    },
    /// 1 at the largest element along an axis, 0 elsewhere. inputs: x.
    Hardmax {
        /// The axis.
        axis: usize,
    },
    /// The logarithm of Softmax over the last axis. inputs: x.
    LogSoftmax,
    /// inputs: x; the axis, int32 or int64, when it is not known.
    CumulativeSum {
        /// The axis; `None` when it is an operand.
        axis: Option<usize>,
        /// Whether a sum includes its own element.
        reading: Reading,
        /// Where the sums start.
        start: Start,
    },
    /// Division by the length of each lane. inputs: x.
    LpNormalization {
        /// The axis.
        axis: usize,
        /// What length is.
        norm: LpNorm,
    },
    /// inputs: boxes [B, N, 4], scores [B, C, N], most boxes of a class (int64), threshold of the overlap, threshold of the
    /// score; output: int64 [rows, 3].
    NonMaxSuppression {
        /// What the numbers of a box are.
        format: BoxFormat,
        /// What becomes of rows that no box needs.
        spare_rows: SpareRows,
    },
}

/// Normalization of rows of `n` elements, see [`tinfer::kernels::portable::Normalization`].
///
/// inputs: x; scale and bias, or scale, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Normalized elements, or a statistic of each row.
    pub result: NormalizationResult,
    /// What is subtracted.
    pub statistic: Statistic,
    /// Added to the variance.
    pub epsilon: f32,
    /// Elements that are normalized together.
    pub n: usize,
    /// Rows with factors of their own.
    pub groups: usize,
    /// Neighbours that share a factor.
    pub repeat: usize,
}
