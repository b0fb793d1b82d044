//! What is in a file: an ONNX model before conversion, or an image.

mod image;
mod onnx;

pub use image::{ImageReport, StepReport, inspect_image};
pub(crate) use image::{precision, steps};
pub use onnx::{OnnxReport, UnsupportedReport, inspect_onnx};

use crate::import::Interface;
use serde::Serialize;

/// An input or output.
#[derive(Clone, Debug, Serialize)]
pub struct PortReport {
    /// Name in the ONNX file.
    pub name: String,
    /// Shape in the ONNX file's layout, with fixed dimensions.
    pub shape: Vec<usize>,
    /// Element type, `other` for one that no image has.
    #[serde(rename = "type")]
    pub element_type: &'static str,
    /// Whether the first dimension is a batch.
    pub batched: bool,
}

impl From<&Interface> for PortReport {
    fn from(port: &Interface) -> Self {
        PortReport {
            name: port.name.clone(),
            shape: port.shape.clone(),
            element_type: port.element_type.map_or("other", |t| t.name()),
            batched: port.batched,
        }
    }
}
