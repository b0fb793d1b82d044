//! What can be wrong with files of samples.

use crate::array::ArrayError;

/// Why a file or folder gives no samples. Every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The file system refused.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The path.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// An array file that is not readable.
    #[error(transparent)]
    Array(#[from] ArrayError),
    /// The file name's ending says nothing that is known.
    #[error(
        "{path} is not a kind of file that samples can be read from (.npz, .npy, .png, .jpg or a folder of pictures)"
    )]
    Kind {
        /// The path.
        path: String,
    },
    /// No array is named as the input.
    #[error("{path} has no array named {input}, which the model needs; it has {found}")]
    MissingArray {
        /// The path.
        path: String,
        /// The input.
        input: String,
        /// Names and shapes of the arrays in the file.
        found: String,
    },
    /// An array does not hold samples of the input.
    #[error("array {array} of {path} has shape {found:?}, input {array} takes {expected}")]
    Shape {
        /// The path.
        path: String,
        /// The array.
        array: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shapes that would fit.
        expected: String,
    },
    /// An array's values are none of the input's type.
    #[error("array {array} of {path} is {found}, and some of its values are not {expected} as the input takes them")]
    Type {
        /// The path.
        path: String,
        /// The array.
        array: String,
        /// Its element type.
        found: &'static str,
        /// The input's.
        expected: &'static str,
    },
    /// Arrays disagree about the number of samples.
    #[error("{path} has {found} samples in array {array} but {expected} in array {first}")]
    Count {
        /// The path.
        path: String,
        /// The array that differs.
        array: String,
        /// Its samples.
        found: usize,
        /// The first array.
        first: String,
        /// The first array's samples.
        expected: usize,
    },
    /// No sample at all.
    #[error("{path} holds no samples")]
    Empty {
        /// The path.
        path: String,
    },
    /// `labels` is not one class per sample.
    #[error("array labels of {path} must hold one class number per sample, found {found}")]
    Labels {
        /// The path.
        path: String,
        /// Type and shape, or the offending value.
        found: String,
    },
    /// One unnamed array, several inputs.
    #[error("{path} holds one array without a name, but the model has {n_inputs} inputs: {inputs}")]
    SeveralInputs {
        /// The path.
        path: String,
        /// How many.
        n_inputs: usize,
        /// Their names.
        inputs: String,
    },
    /// Nothing says how a picture becomes this input.
    #[error("{path} is a picture, and nothing says how a picture becomes input {input}")]
    NoPreprocess {
        /// The path.
        path: String,
        /// The input.
        input: String,
    },
    /// The preprocessing gives another size than the input has.
    #[error("preprocessing makes {width} x {height} x {channels} of a picture, input {input} has shape {shape:?}")]
    PreprocessShape {
        /// The input.
        input: String,
        /// Pixels per row.
        width: u16,
        /// Rows.
        height: u16,
        /// Values per pixel.
        channels: usize,
        /// The input's shape.
        shape: Vec<usize>,
    },
    /// A picture that cannot be decoded.
    #[error("cannot decode picture {path}: {reason}")]
    Picture {
        /// The path.
        path: String,
        /// The decoder's words.
        reason: String,
    },
    /// A folder of pictures is named as no class of the model.
    #[error("folder {path} is named as none of the model's classes ({classes})")]
    Class {
        /// The folder.
        path: String,
        /// The classes.
        classes: String,
    },
}

impl SampleError {
    /// Stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            SampleError::File { .. } => "samples-file",
            SampleError::Array(e) => e.code(),
            SampleError::Kind { .. } => "samples-kind",
            SampleError::MissingArray { .. } => "samples-missing-array",
            SampleError::Shape { .. } => "samples-shape",
            SampleError::Type { .. } => "samples-type",
            SampleError::Count { .. } => "samples-count",
            SampleError::Empty { .. } => "samples-empty",
            SampleError::Labels { .. } => "samples-labels",
            SampleError::SeveralInputs { .. } => "samples-several-inputs",
            SampleError::NoPreprocess { .. } => "samples-no-preprocess",
            SampleError::PreprocessShape { .. } => "samples-preprocess-shape",
            SampleError::Picture { .. } => "samples-picture",
            SampleError::Class { .. } => "samples-class",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            SampleError::Array(e) => e.hint(),
            SampleError::File { .. } => "check the path and its permissions".into(),
            SampleError::Kind { .. } => "write the samples with numpy.savez, one array per model input".into(),
            SampleError::MissingArray { input, .. } => {
                format!("name the array as the model's input: numpy.savez(FILE, **{{\"{input}\": array}})")
            }
            SampleError::Shape { .. } => "reshape or transpose the array before writing the file".into(),
            SampleError::Type { expected, .. } => format!("convert the array with array.astype(numpy.{expected})"),
            SampleError::Count { .. } => "write the same number of samples for every input".into(),
            SampleError::Empty { .. } => "put .png or .jpg files, or folders of them, one per class, into it".into(),
            SampleError::Labels { .. } => "write labels as integers of shape [number of samples]".into(),
            SampleError::SeveralInputs { .. } => "use an .npz file with one array per input".into(),
            SampleError::NoPreprocess { input, .. } => {
                format!("add a section [preprocess.{input}] to model.toml beside the ONNX file, or pass an .npz file")
            }
            SampleError::PreprocessShape { input, .. } => format!("correct [preprocess.{input}] in model.toml"),
            SampleError::Picture { .. } => "use a .png or .jpg file".into(),
            SampleError::Class { .. } => "rename the folder, or correct the labels of the model".into(),
        }
    }
}
