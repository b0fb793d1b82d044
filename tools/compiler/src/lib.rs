//! ONNX file to verified model image: import, lower, quantize, plan, pack, verify.

pub mod aligned;
pub mod array;
pub mod graph;
pub mod pack;
pub mod plan;
pub mod runner;
