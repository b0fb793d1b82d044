//! Every kernel in safe Rust: the definition of the right answer, and what a CPU without its own kernel runs.
//!
//! Written so that LLVM vectorizes the inner loops: contiguous int8 dot products, and for float32 outer products whose
//! order of additions is fixed (multiply, then add, never fused, never reassociated).

mod batch_matmul;
mod batch_normalization;
mod cast;
mod comparison;
mod conv_2d;
mod conv_nd;
mod conv_transpose_2d;
mod conversion;
mod cumulative_sum;
mod depthwise_conv_2d;
mod dot;
mod elementwise;
mod fully_connected;
pub mod functions;
pub mod int16;
pub mod int4;
mod integers;
mod local_response_norm;
mod moves;
mod non_max_suppression;
mod normalization;
mod pairs;
mod pool_2d;
mod pool_nd;
mod reduce;
mod resample;
mod resize;
mod row_normalization;
mod rows;
mod select;
mod selection;
mod softmax;
mod strided_copy;

pub use batch_matmul::{BatchMatMulI8, batch_matmul_f32, batch_matmul_i8};
pub use batch_normalization::{ChannelStatistics, batch_normalization_f32};
pub use cast::{CastTo, cast, cast_from_bool, cast_to_bool};
pub use comparison::{Relation, compare};
pub use conv_2d::{conv_2d_f32, conv_2d_f32_on, conv_2d_i8, conv_2d_i8_on};
pub use conv_nd::{conv_nd_f32, fill_bias_f32};
pub use conv_transpose_2d::{conv_transpose_2d_f32, conv_transpose_2d_i8};
pub use conversion::{Rescale, Step, dequantize, quantize, requantize, requantize_i16};
pub use cumulative_sum::{CumulativeSum, Reading, Start, cumulative_sum};
pub use depthwise_conv_2d::{
    depthwise_conv_2d_f32, depthwise_conv_2d_f32_on, depthwise_conv_2d_i8, depthwise_conv_2d_i8_on,
};
pub use elementwise::{
    AddI8, BinaryF32, MulI8, UnaryF32, add_i8, binary, binary_f32, mul_i8, table_lookup_i8, unary, unary_f32,
};
pub use fully_connected::{fully_connected_f32, fully_connected_i8};
pub use integers::{Integer, IntegerFunction};
pub use local_response_norm::{LocalResponseNorm, local_response_norm_f32};
pub use moves::{Index, Triangle, copy_view, gather, gather_elements, one_hot, pad, trilu};
pub use non_max_suppression::{BoxFormat, NonMaxSuppression, non_max_suppression};
pub use normalization::{LpNorm, Normalization, Statistic, lp_normalization_f32, normalization_f32, statistic_f32};
pub use pairs::pairs;
pub use pool_2d::{
    AveragePoolDequantizedI8, AveragePoolI8, Divisor, SumOrder, average_pool_2d_dequantized_i8,
    average_pool_2d_dequantized_i8_on, average_pool_2d_f32, average_pool_2d_f32_on, average_pool_2d_i8,
    average_pool_2d_i8_on, max_pool_2d_f32, max_pool_2d_f32_on, max_pool_2d_i8, max_pool_2d_i8_on,
};
pub(in crate::kernels) use pool_2d::{Counts, Position, average};
pub use pool_nd::{
    CountedTaps, IndexOrder, Ordered, average_pool_nd_f32, lp_pool_nd_f32, max_pool_indices_nd, max_pool_nd,
};
pub use reduce::{Reduce, ReduceFunction, ReduceLoops, reduce};
pub use resample::{Resample, Taps, WEIGHT_BITS, resample_f32, resample_i8, resample_nearest};
pub use resize::{CoordinateMode, Interpolation, NearestMode, Outside, Reduction, ResizeAxis};
pub use row_normalization::{Centre, MAX_ROW, MAX_SCALE_SHIFT, RowNormalization, normalize_rows};
pub use select::select;
pub use selection::{Order, Ranked, Tie, arg_extreme, hardmax_f32, top_k};
pub use softmax::{log_softmax_f32, softmax_f32, softmax_i8, softmax_masked_i8, softmax_scaled_i8, softmax_table_bits};
pub use strided_copy::{fill, strided_copy};

#[cfg(test)]
mod tests;
