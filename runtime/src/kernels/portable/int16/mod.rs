//! Kernels on int16 activations: symmetric (zero point 0), with int8 weights ("int16x8").

mod elements;
mod layers;
mod pool;

pub use elements::{AddI16, MulI16, add_i16, clamp_i16, mul_i16, softmax_i16, table_lookup_i16};
pub use layers::{ChannelsI16, OutputI16, conv_2d_i16_on, depthwise_conv_2d_i16_on, fully_connected_i16};
pub use pool::{average_pool_2d_i16_on, max_pool_2d_i16_on};

#[cfg(test)]
mod tests;
