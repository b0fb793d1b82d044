//! ONNX file to verified model image: import, lower, quantize, plan, pack, verify.

pub mod aligned;
pub mod array;
pub mod bench;
pub mod choose;
pub mod convert;
pub mod cost;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod graph;
pub mod import;
pub mod inspect;
pub mod kept_channels;
pub mod lower;
pub mod metrics;
pub mod model_file;
pub mod model_toml;
pub mod pack;
pub mod passes;
pub mod plan;
pub mod quantize;
pub mod runner;
pub mod samples;
pub mod target;
pub mod trim;
pub mod verify;
