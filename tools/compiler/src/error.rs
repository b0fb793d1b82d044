//! The error of everything in the compiler: one sentence, a stable code, and what to do next.

use crate::array::ArrayError;
use crate::import::ImportError;
use crate::lower::Unsupported;
use crate::model_toml::ModelTomlError;
use crate::pack::PackError;
use crate::quantize::QuantizeError;
use crate::runner::RunnerError;
use crate::samples::SampleError;
use tinfer_build::FitError;

/// Why a model was not compiled, run or verified. Stages add their own variant.
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
    /// The graph has no int8 form.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The graph has no image.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Neither a board nor an instruction set.
    #[error("there is no target '{name}'")]
    UnknownTarget {
        /// The name asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The model is larger than the board.
    #[error("{0}")]
    DoesNotFit(FitError),
    /// An inference costs more than it may.
    #[error("{excess}")]
    TooSlow {
        /// Both numbers, in words.
        excess: String,
    },
    /// No choice of precisions is as accurate as asked for, within the budget.
    #[error("no choice of precisions gives {floor}: {}", best(reached, excess))]
    FloorNotReached {
        /// What was asked for.
        floor: String,
        /// What the best choice within the budget gives.
        reached: String,
        /// By how much the choices that give it are beyond the budget; empty when there is none.
        excess: String,
    },
    /// An output of the image, or a part of it, tells nothing of what the model's tells.
    #[error("output {output} has no signal in {part}: {}", lost_in(layer))]
    NoSignal {
        /// The output.
        output: String,
        /// Which elements of it, and what is there.
        part: String,
        /// The first layer without it; `None` when it is none that the file names.
        layer: Option<String>,
        /// What would keep it.
        remedy: String,
    },
    /// The image is packed for other kernels.
    #[error("the image is packed for {found} kernels, {board} has {expected}")]
    WrongKernels {
        /// The board.
        board: String,
        /// Its instruction set.
        expected: &'static str,
        /// The image's instruction set.
        found: &'static str,
    },
    /// int8 without samples.
    #[error("int8 needs calibration samples, and no model.toml beside {model} names any")]
    NoCalibration {
        /// The ONNX file.
        model: String,
        /// The model's inputs.
        inputs: String,
    },
    /// Known, but not in this release.
    #[error("{what} is not available yet")]
    NotAvailable {
        /// What was asked for.
        what: String,
        /// What there is.
        instead: String,
    },
    /// A file that is needed cannot be read or written.
    #[error("cannot {action} {path}: {reason}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The path as given.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// A file that should be an image.
    #[error("{path} is not a usable model image: {reason}")]
    NotAnImage {
        /// The path as given.
        path: String,
        /// The runtime's words.
        reason: RunnerError,
    },
    /// An image does not run on this machine.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// Image and ONNX file do not belong together.
    #[error("{image} was not converted from {model}: {reason}")]
    Mismatch {
        /// The image file.
        image: String,
        /// The ONNX file.
        model: String,
        /// What differs.
        reason: String,
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
            CompileError::Quantize(_) => "cannot-quantize",
            CompileError::Pack(PackError::Refused { .. }) => "internal",
            CompileError::Pack(_) => "cannot-pack",
            CompileError::UnknownTarget { .. } => "unknown-target",
            CompileError::DoesNotFit(_) => "does-not-fit",
            CompileError::TooSlow { .. } => "too-slow",
            CompileError::FloorNotReached { .. } => "floor-not-reached",
            CompileError::NoSignal { .. } => "no-signal",
            CompileError::WrongKernels { .. } => "wrong-kernels",
            CompileError::NoCalibration { .. } => "no-calibration",
            CompileError::NotAvailable { .. } => "not-available",
            CompileError::File { .. } => "file",
            CompileError::NotAnImage { .. } => "not-an-image",
            CompileError::Runner(_) => "cannot-run",
            CompileError::Mismatch { .. } => "model-mismatch",
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
            CompileError::Quantize(e) => e.hint(),
            CompileError::Pack(PackError::Refused { .. }) => {
                "this is a defect of tinfer: please report it with the model".into()
            }
            CompileError::Pack(_) => "make the model smaller, or split it".into(),
            CompileError::UnknownTarget { known, .. } => format!("targets are {known}"),
            CompileError::DoesNotFit(_) => {
                "`tinfer inspect` of an image converted for `host` shows where the memory goes".into()
            }
            CompileError::TooSlow { .. } => {
                "`tinfer convert` without the limit lists what each layer costs; a smaller model or a faster board helps".into()
            }
            CompileError::FloorNotReached { excess, .. } if excess.is_empty() => {
                "ask for less, or look for what differs beside the quantization: `tinfer verify` of a float32 image".into()
            }
            CompileError::FloorNotReached { .. } => {
                "ask for less, choose a board or limits with more room, or improve int8 itself: --equalise, \
                 --bias-correction, --adaround, --calibration-method, quantization-aware training"
                    .into()
            }
            CompileError::NoSignal { remedy, .. } => format!("{remedy}; --force writes the image all the same"),
            CompileError::WrongKernels { board, .. } => format!("convert the model with --target {board}"),
            CompileError::NoCalibration { inputs, .. } => format!(
                "pass --calibration FILE.npz with some hundred typical samples (numpy.savez, one array per input: {inputs}) \
                 or a folder of pictures; or --precision float32"
            ),
            CompileError::NotAvailable { instead, .. } => instead.clone(),
            CompileError::File { .. } => "check the path and its permissions".into(),
            CompileError::NotAnImage { .. } => "pass a .tnf file written by `tinfer convert`, or an .onnx file".into(),
            CompileError::Runner(_) => "`tinfer inspect` shows the inputs that the model takes".into(),
            CompileError::Mismatch { .. } => "convert the model again, with the same --dim".into(),
        }
    }

    /// Whether the question was sound and the answer is no; otherwise something is wrong with what was given.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            CompileError::DoesNotFit(_)
                | CompileError::TooSlow { .. }
                | CompileError::FloorNotReached { .. }
                | CompileError::NoSignal { .. }
                | CompileError::WrongKernels { .. }
        )
    }
}

fn lost_in(layer: &Option<String>) -> String {
    match layer {
        Some(layer) => format!("it is lost in {layer}"),
        None => "where it is lost is not known".into(),
    }
}

fn best(reached: &str, excess: &str) -> String {
    match excess {
        "" => format!("with float32 in every layer that has it: {reached}"),
        excess => format!("what gives it is beyond the budget ({excess}), the best within gives {reached}"),
    }
}

fn others(n_more: &usize) -> String {
    if *n_more == 0 { String::new() } else { format!(" (and {n_more} more unsupported nodes)") }
}
