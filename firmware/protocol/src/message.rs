//! What host and device say to each other.

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Most tensor bytes in one [`Request::SetInput`] or [`Reply::OutputBytes`].
pub const MAX_CHUNK_BYTES: usize = 1024;

/// Most inputs, and most outputs, that [`ModelInfo`] describes.
pub const MAX_TENSORS: usize = 8;

/// What the host asks for.
///
/// The position of a variant is its number on the wire: new ones (writing the model slot comes next) are appended,
/// none is ever moved or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who are you? Answered by [`Reply::Hello`], whatever the model slot holds.
    Hello,
    /// What is in the model slot? Answered by [`Reply::ModelInfo`], or by the reason why the image is refused.
    ModelInfo,
    /// Store a part of an input, in the image's own form (int8 NHWC as a rule): the host does the preprocessing, the
    /// quantization and the layout. Answered by [`Reply::Accepted`].
    SetInput {
        /// Which input of the model.
        index: u8,
        /// Where in the input the bytes start.
        offset: u32,
        /// At most [`MAX_CHUNK_BYTES`].
        bytes: &'a [u8],
    },
    /// Run the model on the stored inputs. Answered by [`Reply::Done`]; with taps, by one [`Reply::StepDone`] for
    /// each step before it.
    Run {
        /// Report every step with its digest.
        taps: bool,
    },
    /// Read a part of an output of the last run. Answered by [`Reply::OutputBytes`].
    ReadOutput {
        /// Which output of the model.
        index: u8,
        /// Where in the output the reading starts.
        offset: u32,
        /// How many bytes, at most [`MAX_CHUNK_BYTES`].
        length: u32,
    },
    /// How much the firmware logs from now on. Answered by [`Reply::Accepted`].
    SetLogLevel(LogLevel),
}

/// What the device answers. Variants are numbered by position, as in [`Request`].
// A reply lives on the stack for as long as it is sent: there is no heap to put the large variant on.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// Answer to [`Request::Hello`].
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Answer to [`Request::ModelInfo`].
    ModelInfo(ModelInfo<'a>),
    /// Done as asked, nothing to report.
    Accepted,
    /// One step of a run with taps.
    StepDone {
        /// Position of the step in the plan.
        index: u32,
        /// Digest of the step's output bytes, as the runtime's observer computes it on every machine.
        digest: u64,
        /// Cost of the step in the unit of [`Hello::counter`], without the digest.
        instructions: u64,
    },
    /// The run is complete.
    Done {
        /// Cost of all steps in the unit of [`Hello::counter`].
        instructions: u64,
        /// Deepest use of the whole stack since reset, from its top, interrupts included.
        stack_high_water_bytes: u32,
        /// Deepest use below the frame that started this run: what the model itself needs.
        run_stack_bytes: u32,
    },
    /// Answer to [`Request::ReadOutput`].
    OutputBytes {
        /// Which output of the model.
        index: u8,
        /// Where in the output the bytes start.
        offset: u32,
        /// The bytes in the image's own form.
        bytes: &'a [u8],
    },
    /// The request was not carried out.
    Error {
        /// Whom to blame, for programs.
        code: ErrorCode,
        /// The whole cause with its numbers, for people.
        text: &'a str,
    },
}

impl Reply<'_> {
    /// Whether this reply ends the answer to its request.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::StepDone { .. })
    }
}

/// Who the device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// [`crate::PROTOCOL_VERSION`] of the firmware.
    pub protocol_version: u8,
    /// Name of the board: its folder under `firmware/boards`.
    pub board: &'a str,
    /// Instruction set of the kernels that the firmware was built with, as images name it.
    pub isa: &'a str,
    /// Version of the firmware.
    pub firmware_version: &'a str,
    /// What `instructions` in the replies counts.
    pub counter: Counter,
}

/// What a device counts to state the cost of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counter {
    /// Executed instructions (emulator): exact, but says nothing about memory waits.
    Instructions,
    /// Clock cycles of the real core.
    Cycles,
}

impl Counter {
    /// The word to print beside a number.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Cycles => "cycles",
        }
    }
}

/// The model in the slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo<'a> {
    /// Name in the image's manifest.
    pub name: &'a str,
    /// Arena that the model needs.
    pub arena_bytes: u32,
    /// Number of steps in the plan.
    pub n_steps: u32,
    /// Inputs in the order of their indices.
    #[serde(borrow)]
    pub inputs: Vec<TensorInfo<'a>, MAX_TENSORS>,
    /// Outputs in the order of their indices.
    pub outputs: Vec<TensorInfo<'a>, MAX_TENSORS>,
    /// Digest of the image, so that the host knows which one it talks to.
    pub digest: &'a [u8],
}

/// One input or output of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo<'a> {
    /// Name in the ONNX graph.
    pub name: &'a str,
    /// Size in the image's own form.
    pub bytes: u32,
}

/// How much the firmware logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// Errors only.
    Quiet,
    /// The model at start, one line for each run.
    Normal,
    /// One line for each request and each step as well.
    Verbose,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    /// The frame was intact, its message is of a kind that this firmware does not know.
    UnknownRequest,
    /// Host and firmware speak different protocol versions.
    VersionMismatch,
    /// The model slot is empty or its content is refused.
    ImageRefused,
    /// The image is sound but cannot run on this board: arena, operators, instruction set.
    BindRefused,
    /// The model has no such input or output.
    NoSuchTensor,
    /// The bytes lie outside the tensor.
    OutOfRange,
    /// The last run overwrote the inputs: they must be sent again.
    InputsConsumed,
    /// There is no run whose output could be read.
    NotRun,
    /// The run stopped.
    RunFailed,
    /// The answer does not fit in a frame.
    ReplyTooLong,
}
