//! Small models against what onnxruntime recorded for them, from file to outputs.

mod calibrated;
mod float32;
mod quantized;
mod recorded;
