//! A board with a model in its slot, whatever the link to it is.

use std::time::Duration;

use tinfer_protocol::{Counter, MAX_CHUNK_BYTES, Reply, Request};

use crate::FlashError;
use crate::conversation::{Conversation, TalkError};
use crate::device_log::DeviceLog;
use crate::emulator::Emulator;

/// A board with a model in its slot. Closing it ends the emulator.
pub struct Device {
    board: String,
    conversation: Conversation,
    hello: Hello,
    model: ModelInfo,
    log: DeviceLog,
    emulator: Option<Emulator>,
    limits: Limits,
}

impl Device {
    /// Asks who is there and what model it has.
    ///
    /// # Errors
    /// [`FlashError::Refused`] when the device refuses what is in its slot, with its sentence; [`FlashError::WrongBoard`]
    /// and everything that can happen on a link.
    pub(crate) fn open(
        board: &str,
        conversation: Conversation,
        log: DeviceLog,
        emulator: Option<Emulator>,
        limits: Limits,
    ) -> Result<Self, FlashError> {
        let (hello, model) = (Hello::default(), ModelInfo::default());
        let mut device = Self { board: board.to_owned(), conversation, hello, model, log, emulator, limits };
        device.hello = device.ask_one("hello", &Request::Hello, limits.start, |reply| match reply {
            Reply::Hello(hello) => Some(Hello::from(hello)),
            _ => None,
        })?;
        if device.hello.board != board {
            return Err(FlashError::WrongBoard { expected: board.to_owned(), found: device.hello.board.clone() });
        }
        device.model = device.ask_one("model info", &Request::ModelInfo, limits.answer, |reply| match reply {
            Reply::ModelInfo(info) => Some(ModelInfo::from(info)),
            _ => None,
        })?;
        Ok(device)
    }

    /// Who the device is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The model in its slot.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// Sends a whole input in the image's own form: quantized, NHWC.
    ///
    /// # Errors
    /// [`FlashError::NoSuchTensor`], [`FlashError::InputSize`], and everything that can happen on a link.
    pub fn set_input(&mut self, index: usize, bytes: &[u8]) -> Result<(), FlashError> {
        let input = self.model.inputs.get(index);
        let (name, need_bytes) = input
            .map(|input| (input.name.clone(), input.bytes))
            .ok_or_else(|| self.no_such_tensor("input", index, self.model.inputs.len()))?;
        if bytes.len() != need_bytes {
            return Err(FlashError::InputSize { index, name, need_bytes, have_bytes: bytes.len() });
        }
        for (idx, bytes) in bytes.chunks(MAX_CHUNK_BYTES).enumerate() {
            let offset = (idx * MAX_CHUNK_BYTES) as u32;
            let request = Request::SetInput { index: index as u8, offset, bytes };
            self.ask_one("set input", &request, self.limits.answer, |reply| {
                matches!(reply, Reply::Accepted).then_some(())
            })?;
        }
        Ok(())
    }

    /// Runs the model on the inputs that were set. With `taps`, every step is reported with its digest, and the cost
    /// is the sum of the steps; without, it is the cost of the whole run, the step loop included.
    ///
    /// # Errors
    /// [`FlashError::Refused`] and everything that can happen on a link.
    pub fn run(&mut self, taps: bool) -> Result<RunReport, FlashError> {
        let mut steps = Vec::new();
        let mut report = self.ask_one("run", &Request::Run { taps }, self.limits.run, |reply| match *reply {
            Reply::StepDone { index, digest, instructions } => {
                steps.push(StepReport { index, digest, instructions });
                None
            }
            Reply::Done { instructions, stack_high_water_bytes, run_stack_bytes } => {
                Some(RunReport { instructions, stack_high_water_bytes, run_stack_bytes, steps: Vec::new() })
            }
            _ => None,
        })?;
        report.steps = steps;
        Ok(report)
    }

    /// Reads a whole output of the last run, in the image's own form.
    ///
    /// # Errors
    /// [`FlashError::NoSuchTensor`], [`FlashError::Refused`], and everything that can happen on a link.
    pub fn read_output(&mut self, index: usize) -> Result<Vec<u8>, FlashError> {
        let outputs = &self.model.outputs;
        let n_bytes =
            outputs.get(index).map(|it| it.bytes).ok_or_else(|| self.no_such_tensor("output", index, outputs.len()))?;
        let mut output = Vec::with_capacity(n_bytes);
        while output.len() < n_bytes {
            let (offset, length) = (output.len() as u32, (n_bytes - output.len()).min(MAX_CHUNK_BYTES) as u32);
            let request = Request::ReadOutput { index: index as u8, offset, length };
            let chunk = self.ask_one("read output", &request, self.limits.answer, |reply| match reply {
                Reply::OutputBytes { offset: at, bytes, .. } if *at == offset && bytes.len() == length as usize => {
                    Some(bytes.to_vec())
                }
                _ => None,
            })?;
            output.extend(chunk);
        }
        Ok(output)
    }

    /// The lines of the firmware's log that came since the last call.
    pub fn log(&mut self) -> Vec<String> {
        self.log.take()
    }

    /// Asks, and picks the answer out of the replies.
    fn ask_one<T>(
        &mut self,
        name: &'static str,
        request: &Request,
        limit: Duration,
        mut pick: impl FnMut(&Reply) -> Option<T>,
    ) -> Result<T, FlashError> {
        let mut picked = None;
        let mut refused = None;
        let outcome = self.conversation.ask(request, limit, &mut |reply| match reply {
            Reply::Error { code, text } => refused = Some((*code, (*text).to_owned())),
            reply => picked = pick(reply),
        });
        let board = || self.board.clone();
        match outcome {
            Ok(()) => {}
            Err(TalkError::NoAnswer) => {
                let log = self.log.last_lines();
                return Err(FlashError::NoAnswer { board: board(), request: name, limit, log });
            }
            Err(TalkError::Protocol(source)) => return Err(FlashError::Protocol { board: board(), source }),
            Err(TalkError::Link(source)) => {
                let ended = self.emulator.as_mut().and_then(|emulator| emulator.why_ended(&self.log));
                return Err(ended.unwrap_or(FlashError::Link { board: board(), source }));
            }
        }
        if let Some((code, text)) = refused {
            return Err(FlashError::Refused { board: board(), code, text });
        }
        picked.ok_or_else(|| FlashError::Unexpected { board: board(), request: name })
    }

    fn no_such_tensor(&self, direction: &'static str, index: usize, n_tensors: usize) -> FlashError {
        FlashError::NoSuchTensor { board: self.board.clone(), direction, index, n_tensors }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").field("hello", &self.hello).field("model", &self.model).finish_non_exhaustive()
    }
}

/// Who a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version of its firmware.
    pub protocol_version: u8,
    /// Name of the board.
    pub board: String,
    /// Instruction set of its kernels.
    pub isa: String,
    /// Version of its firmware.
    pub firmware_version: String,
    /// What `instructions` in a [`RunReport`] counts.
    pub counter: Counter,
}

/// The model on a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelInfo {
    /// Name in the image's manifest.
    pub name: String,
    /// Arena that it needs.
    pub arena_bytes: usize,
    /// Number of steps of its plan.
    pub n_steps: usize,
    /// Inputs in the order of their indices.
    pub inputs: Vec<TensorInfo>,
    /// Outputs in the order of their indices.
    pub outputs: Vec<TensorInfo>,
    /// SHA-256 of the image.
    pub digest: Vec<u8>,
}

/// One input or output of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the ONNX graph.
    pub name: String,
    /// Size in the image's own form.
    pub bytes: usize,
}

/// What a run cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// In the unit of [`Hello::counter`].
    pub instructions: u64,
    /// Deepest use of the firmware's whole stack since reset.
    pub stack_high_water_bytes: u32,
    /// Deepest use by the run alone: what the model needs.
    pub run_stack_bytes: u32,
    /// Every step in its order; empty without taps.
    pub steps: Vec<StepReport>,
}

/// One step of a run with taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepReport {
    /// Position in the plan.
    pub index: u32,
    /// Digest of its outputs, as the runtime's observer computes it on every machine.
    pub digest: u64,
    /// In the unit of [`Hello::counter`].
    pub instructions: u64,
}

impl Default for Hello {
    fn default() -> Self {
        let text = String::new;
        let counter = Counter::Instructions;
        Self { protocol_version: 0, board: text(), isa: text(), firmware_version: text(), counter }
    }
}

impl From<&tinfer_protocol::Hello<'_>> for Hello {
    fn from(hello: &tinfer_protocol::Hello<'_>) -> Self {
        Self {
            protocol_version: hello.protocol_version,
            board: hello.board.to_owned(),
            isa: hello.isa.to_owned(),
            firmware_version: hello.firmware_version.to_owned(),
            counter: hello.counter,
        }
    }
}

impl From<&tinfer_protocol::ModelInfo<'_>> for ModelInfo {
    fn from(info: &tinfer_protocol::ModelInfo<'_>) -> Self {
        let tensors = |tensors: &[tinfer_protocol::TensorInfo<'_>]| {
            tensors.iter().map(|it| TensorInfo { name: it.name.to_owned(), bytes: it.bytes as usize }).collect()
        };
        Self {
            name: info.name.to_owned(),
            arena_bytes: info.arena_bytes as usize,
            n_steps: info.n_steps as usize,
            inputs: tensors(&info.inputs),
            outputs: tensors(&info.outputs),
            digest: info.digest.to_vec(),
        }
    }
}

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From power on to the first answer: the firmware computes the image's SHA-256 meanwhile.
    pub(crate) start: Duration,
    /// For everything that takes no computing.
    pub(crate) answer: Duration,
    /// For a run without taps, or for one step of a run with taps.
    pub(crate) run: Duration,
}

impl Limits {
    /// For an emulator that does about 100 million instructions a second, on a machine that does other things as well.
    pub(crate) const EMULATOR: Self =
        Self { start: Duration::from_secs(60), answer: Duration::from_secs(30), run: Duration::from_secs(300) };
}
