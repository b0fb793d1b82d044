//! The error of everything in the compiler: one sentence, a stable code, and what to do next.

use crate::array::ArrayError;
use crate::import::ImportError;
use crate::lower::Unsupported;
use crate::model_toml::ModelTomlError;
use crate::samples::SampleError;

/// Why a model was not compiled. Stages add their own variant.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The file is no usable model.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A file of arrays is not readable.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// A file or folder gives no samples.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The file beside the model is wrong.
    #[error(transparent)]
    ModelToml(#[from] ModelTomlError),
    /// Some node has no form in the image.
    #[error("{first}{}", others(.n_more))]
    Unsupported {
        /// The first of them.
        first: Box<Unsupported>,
        /// How many more there are.
        n_more: usize,
    },
}

impl CompileError {
    /// Stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            CompileError::Import(e) => e.code(),
            CompileError::Array(e) => e.code(),
            CompileError::Sample(e) => e.code(),
            CompileError::ModelToml(e) => e.code(),
            CompileError::Unsupported { .. } => "unsupported-operator",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            CompileError::Import(e) => e.hint(),
            CompileError::Array(e) => e.hint(),
            CompileError::Sample(e) => e.hint(),
            CompileError::ModelToml(e) => e.hint(),
            CompileError::Unsupported { first, .. } => first.suggestion.clone(),
        }
    }
}

fn others(n_more: &usize) -> String {
    if *n_more == 0 { String::new() } else { format!(" (and {n_more} more unsupported nodes)") }
}
