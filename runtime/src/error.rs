//! What can be wrong, sorted by the moment it is found: loading, binding, running.
//!
//! Every variant is one cause and carries the numbers that are needed to fix it.

use core::fmt;

/// Why bytes are not a model image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// The slot holds erased flash or nothing.
    Empty,
    /// The first bytes are not an image header.
    NotAnImage {
        /// The 32-bit word found.
        found: u32,
    },
    /// The bytes end before the image does.
    Truncated {
        /// Bytes that the image says it has.
        need_bytes: u32,
        /// Bytes that are there.
        have_bytes: u32,
    },
    /// The slice does not start at a 16-byte boundary, so weights could not be read in place.
    Misaligned,
    /// The envelope breaks a rule of the format.
    Envelope {
        /// Which rule.
        rule: &'static str,
    },
    /// SHA-256 over header, body and protected TLVs differs from the recorded one.
    Digest,
    /// Written for another format version.
    FormatVersion {
        /// Version of the image.
        found: u16,
        /// Version that this build reads.
        expected: u16,
    },
    /// Written for another kernel ABI.
    KernelAbi {
        /// ABI of the image.
        found: u16,
        /// ABI of this build.
        expected: u16,
    },
    /// Weights are packed for an instruction set that this build cannot run.
    InstructionSet {
        /// Name of the image's instruction set.
        found: &'static str,
    },
    /// A record of the body breaks a rule of the format.
    Record {
        /// Section of the record.
        section: &'static str,
        /// Index of the record in its section.
        index: u32,
        /// Which rule.
        rule: &'static str,
    },
    /// A shape has a zero dimension, too many dimensions, or more than `u32::MAX` elements.
    Shape,
}

/// Why a checked image cannot run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum BindError {
    /// The arena is smaller than the plan needs.
    ArenaTooSmall {
        /// Bytes that the plan needs.
        need_bytes: u32,
        /// Bytes that were given.
        have_bytes: u32,
    },
    /// The arena does not start at a 16-byte boundary.
    ArenaMisaligned,
    /// The operator list of this firmware lacks an operator of the plan.
    MissingOperator {
        /// Step of the plan.
        step: u32,
        /// Operator code, see the `operators` module.
        code: u16,
    },
    /// A step breaks a rule of its operator.
    Step {
        /// Step of the plan.
        step: u32,
        /// Operator name.
        operator: &'static str,
        /// Which rule.
        rule: &'static str,
    },
    /// The steps do more work than the header declares.
    Work {
        /// Work units declared in the header.
        declared: u64,
        /// Work units that the steps need.
        found: u64,
    },
}

/// Why a run stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RunError {
    /// A step found an operand whose value does not lead to the shapes of the plan.
    Inconsistent {
        /// Step of the plan.
        step: u32,
    },
    /// There is no input or output with this index.
    NoSuchPort {
        /// The index asked for.
        index: u32,
        /// Number of ports of that direction.
        n_ports: u32,
    },
    /// The bytes given for an input are not its size.
    InputSize {
        /// Size of the input's tensor.
        need_bytes: u32,
        /// Bytes that were given.
        have_bytes: u32,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Empty => write!(f, "the model slot is empty"),
            LoadError::NotAnImage { found } => {
                write!(
                    f,
                    "not a model image: starts with {found:#010x}, expected {:#010x}",
                    crate::image::envelope::MAGIC
                )
            }
            LoadError::Truncated { need_bytes, have_bytes } => {
                write!(f, "model image is truncated: need {need_bytes} bytes, have {have_bytes}")
            }
            LoadError::Misaligned => write!(f, "model image does not start at a 16-byte boundary"),
            LoadError::Envelope { rule } => write!(f, "model image envelope is damaged: {rule}"),
            LoadError::Digest => write!(f, "model image is damaged: its SHA-256 differs from the recorded one"),
            LoadError::FormatVersion { found, expected } => {
                write!(
                    f,
                    "model image has format version {found}, this build reads {expected}: convert the model again"
                )
            }
            LoadError::KernelAbi { found, expected } => {
                write!(f, "model image has kernel ABI {found}, this build has {expected}: convert the model again")
            }
            LoadError::InstructionSet { found } => {
                write!(f, "model image is packed for {found}, which this build cannot run: convert it for this board")
            }
            LoadError::Record { section, index, rule } => {
                write!(f, "model image is damaged: {section} record {index}: {rule}")
            }
            LoadError::Shape => write!(f, "model image is damaged: a tensor has an impossible shape"),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::ArenaTooSmall { need_bytes, have_bytes } => {
                write!(f, "arena too small: need {need_bytes} bytes, have {have_bytes}")
            }
            BindError::ArenaMisaligned => write!(f, "arena does not start at a 16-byte boundary"),
            BindError::MissingOperator { step, code } => {
                write!(f, "step {step} needs operator {code:#06x}, which is not linked into this firmware")
            }
            BindError::Step { step, operator, rule } => write!(f, "step {step} ({operator}) cannot run: {rule}"),
            BindError::Work { declared, found } => {
                write!(f, "the plan needs {found} work units, its header declares {declared}")
            }
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Inconsistent { step } => write!(
                f,
                "step {step} cannot be computed: an input that steers it (a shape, axes, a count) has a value that this \
                 image was not made for"
            ),
            RunError::NoSuchPort { index, n_ports } => write!(f, "no port {index}: the model has {n_ports}"),
            RunError::InputSize { need_bytes, have_bytes } => {
                write!(f, "input has {have_bytes} bytes, need {need_bytes}")
            }
        }
    }
}

impl core::error::Error for LoadError {}
impl core::error::Error for BindError {}
impl core::error::Error for RunError {}
