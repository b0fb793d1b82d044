//! Why an ONNX file could not be imported.

/// One cause per variant; every message names the place in the file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// Nothing there.
    #[error("there is no file {path}")]
    Missing {
        /// The path as given.
        path: String,
    },
    /// A folder, not a file.
    #[error("{path} is a directory, not a model file")]
    Directory {
        /// The path as given.
        path: String,
    },
    /// The file system refused.
    #[error("cannot read {path}: {reason}")]
    File {
        /// The path as given.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// No byte at all.
    #[error("{path} is empty")]
    Empty {
        /// The path as given.
        path: String,
    },
    /// The file of another format.
    #[error("{path} is {what}, not an ONNX model")]
    OtherFormat {
        /// The path as given.
        path: String,
        /// What it is: `a PNG picture`.
        what: &'static str,
    },
    /// The file ends inside a field.
    #[error("{path} is truncated: a field at byte {offset} needs {needed} bytes, {found} are left")]
    Truncated {
        /// The path as given.
        path: String,
        /// Where the cut field begins.
        offset: usize,
        /// Bytes that the field announces.
        needed: u64,
        /// Bytes that follow.
        found: usize,
    },
    /// Not the protobuf of an ONNX model.
    #[error("{path} is not an ONNX model: {reason}")]
    NotOnnx {
        /// The path as given.
        path: String,
        /// What is missing or unreadable.
        reason: String,
    },
    /// A version that we do not know.
    #[error("the model has {what} version {found}, supported are {oldest} to {newest}")]
    Version {
        /// `IR` or `operator set`.
        what: &'static str,
        /// In the file.
        found: i64,
        /// Oldest supported.
        oldest: i64,
        /// Newest supported.
        newest: i64,
    },
    /// Sparse weights, strings where numbers belong, …
    #[error("{place} is {what}, which is not supported")]
    UnsupportedFeature {
        /// Tensor or node.
        place: String,
        /// The feature.
        what: String,
    },
    /// Nodes that wait for each other.
    #[error("the graph has a cycle through node '{node}'")]
    Cycle {
        /// One node of the cycle.
        node: String,
    },
    /// A tensor that nobody computes.
    #[error("node '{node}' reads tensor '{tensor}', which is neither an input nor a weight nor computed by any node")]
    MissingTensor {
        /// The reader.
        node: String,
        /// The tensor.
        tensor: String,
    },
    /// A graph output that nobody computes.
    #[error("graph output '{tensor}' is not computed by any node")]
    MissingOutput {
        /// The tensor.
        tensor: String,
    },
    /// No output at all.
    #[error("the graph has no output")]
    NoOutput,
    /// Two sources of one name.
    #[error("tensor '{tensor}' is defined twice")]
    Duplicate {
        /// The tensor.
        tensor: String,
    },
    /// Weights that are not numbers.
    #[error("weight '{tensor}' holds {value} at index {index}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// `NaN`, `inf` or `-inf`, or what is beyond float32.
        value: String,
        /// Flat row-major index.
        index: usize,
    },
    /// Dimensions and data of a weight disagree.
    #[error("weight '{tensor}' of shape {shape:?} and type {element_type} needs {expected} bytes, has {found}")]
    WeightSize {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        shape: Vec<i64>,
        /// ONNX name of the type.
        element_type: &'static str,
        /// Bytes that the shape needs.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// An empty tensor.
    #[error("tensor '{tensor}' has shape {shape:?} with a dimension of zero")]
    ZeroDimension {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        shape: Vec<usize>,
    },
    /// More than any device or this program could hold.
    #[error("tensor '{tensor}' would have {elements} elements, the limit is {limit}")]
    TooLarge {
        /// The tensor.
        tensor: String,
        /// Elements asked for, saturating.
        elements: u64,
        /// Most elements allowed.
        limit: u64,
    },
    /// A dimension without a number.
    #[error("dimension {axis} of input '{input}' is '{symbol}', not a number")]
    FreeDimension {
        /// The graph input.
        input: String,
        /// Axis, from 0.
        axis: usize,
        /// The symbol, or `?` if it has none.
        symbol: String,
        /// What `--dim` calls it.
        flag: String,
    },
    /// A `--dim` that fixes nothing.
    #[error("no input has a dimension called '{name}'")]
    UnknownDimension {
        /// The name given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// An `--input-value` for an input that the model has not.
    #[error("no input is called '{name}'")]
    UnknownInput {
        /// The name given.
        name: String,
        /// The inputs that there are.
        known: Vec<String>,
    },
    /// An `--input-value` that is no value of the input's type.
    #[error("input '{name}' is {element_type}, {value} is no value of it")]
    InputValue {
        /// The input.
        name: String,
        /// The value given.
        value: f64,
        /// The input's element type.
        element_type: &'static str,
    },
    /// External data outside the model's folder.
    #[error("external data of weight '{tensor}' is at '{location}', outside of the model's folder")]
    ExternalOutside {
        /// The weight.
        tensor: String,
        /// The location in the file.
        location: String,
    },
    /// External data that cannot be read.
    #[error("external data of weight '{tensor}' at '{location}' cannot be read: {reason}")]
    ExternalUnreadable {
        /// The weight.
        tensor: String,
        /// The location in the file.
        location: String,
        /// Why.
        reason: String,
    },
    /// The reference implementation refused.
    #[error("the reference implementation cannot {what}: {reason}")]
    Reference {
        /// `build the model` or `run the model`.
        what: &'static str,
        /// Its own words, first causes last.
        reason: String,
    },
    /// An input for a run that does not fit.
    #[error("input '{name}' needs shape {expected}, found {found}")]
    InputMismatch {
        /// The graph input.
        name: String,
        /// Type and shape of the model.
        expected: String,
        /// Type and shape given, or `nothing`.
        found: String,
    },
}

impl ImportError {
    /// Stable name for scripts.
    pub fn code(&self) -> &'static str {
        use ImportError::*;
        match self {
            Missing { .. } => "missing-file",
            Directory { .. } => "is-a-directory",
            File { .. } => "unreadable-file",
            Empty { .. } => "empty-file",
            OtherFormat { .. } => "other-format",
            Truncated { .. } => "truncated-file",
            NotOnnx { .. } => "not-onnx",
            Version { .. } => "unsupported-version",
            UnsupportedFeature { .. } => "unsupported-feature",
            Cycle { .. } => "graph-cycle",
            MissingTensor { .. } => "missing-tensor",
            MissingOutput { .. } => "missing-output",
            NoOutput => "no-output",
            Duplicate { .. } => "duplicate-tensor",
            NotFinite { .. } => "weight-not-finite",
            WeightSize { .. } => "weight-size",
            ZeroDimension { .. } => "zero-dimension",
            TooLarge { .. } => "tensor-too-large",
            FreeDimension { .. } => "free-dimension",
            UnknownDimension { .. } => "unknown-dimension",
            UnknownInput { .. } => "unknown-input",
            InputValue { .. } => "input-value",
            ExternalOutside { .. } => "external-data-outside",
            ExternalUnreadable { .. } => "external-data-unreadable",
            Reference { .. } => "reference-failed",
            InputMismatch { .. } => "input-mismatch",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        use ImportError::*;
        match self {
            Missing { .. } => "check the path".into(),
            Directory { .. } => "give the .onnx file inside it".into(),
            File { .. } => "check the file's permissions".into(),
            Empty { .. } | Truncated { .. } => {
                "export or copy the model again; a download may have been cut off".into()
            }
            OtherFormat { what, .. } if what.contains("tinfer") => {
                "pass the .onnx file that the image was converted from".into()
            }
            OtherFormat { .. } | NotOnnx { .. } => "pass a model exported to ONNX (.onnx)".into(),
            Version { what: "IR", .. } => "export the model again with a current exporter".into(),
            Version { newest, .. } => format!("export the model again with opset_version={}", (*newest).min(17)),
            UnsupportedFeature { .. } => "export the model without it".into(),
            Cycle { .. }
            | MissingTensor { .. }
            | MissingOutput { .. }
            | NoOutput
            | Duplicate { .. }
            | WeightSize { .. } => {
                "the file breaks the ONNX rules: check it with onnx.checker and export it again".into()
            }
            NotFinite { .. } => "the training diverged or the export is damaged: export finite weights".into(),
            ZeroDimension { .. } => "export the model with positive dimensions".into(),
            TooLarge { .. } => "reduce the model's input or fix its dimensions with --dim NAME=N".into(),
            FreeDimension { flag, .. } => format!("fix it with --dim {flag}=N"),
            UnknownDimension { known, .. } if known.is_empty() => {
                "the model has no free dimension: leave --dim away".into()
            }
            UnknownDimension { known, .. } => format!("the model's free dimensions are {}", known.join(", ")),
            UnknownInput { known, .. } => format!("the model's inputs are {}", known.join(", ")),
            InputValue { .. } => "give a number that the type has".into(),
            ExternalOutside { .. } => "put the data file beside the model and export it with a plain file name".into(),
            ExternalUnreadable { .. } => "copy the data file of the model beside it".into(),
            Reference { .. } => "simplify the model (onnxsim) or export it with another operator set".into(),
            InputMismatch { .. } => "give one array per model input, named as the input".into(),
        }
    }
}
