//! The model in the slot: bound to the arena, with its inputs kept for the next run, or refused with a reason.

use core::{fmt, mem};

use tinfer::error::{BindError, LoadError, RunError};
use tinfer::image::PortView;
use tinfer::operators::Operator;
use tinfer::{ElementType, Image, Session};
use tinfer_protocol::ErrorCode;

/// The content of the model slot, ready to be asked.
#[derive(Debug)]
pub struct Model<'a, 'i> {
    pub(crate) bound: Result<Bound<'a, 'i>, Refusal>,
}

impl<'a, 'i> Model<'a, 'i> {
    /// Binds a checked image to the arena, or keeps the reason why that cannot be.
    ///
    /// # Memory
    /// The session takes the start of the first of `arenas` that is large enough: they come fastest memory first. A plan
    /// may overwrite its inputs, so they are also kept, behind the session's part or in another arena, when there is
    /// room; then any number of runs can follow one transfer.
    pub fn bind<const N: usize>(
        image: &'a Result<Image<'i>, LoadError>,
        slot: &'i [u8],
        arenas: [&'a mut [u8]; N],
        operators: &'a [&'a Operator],
    ) -> Self {
        let n_bytes = image.as_ref().map_or(0, Image::arena_bytes);
        Self { bound: Bound::new(image, slot, Arenas::new(arenas, n_bytes), operators) }
    }

    /// The model, when there is one.
    pub(crate) fn bound(&mut self) -> Result<&mut Bound<'a, 'i>, AskError> {
        self.bound.as_mut().map_err(|refusal| AskError::Model(*refusal))
    }

    /// Why there is no model to run.
    pub fn refusal(&self) -> Option<Refusal> {
        self.bound.as_ref().err().copied()
    }
}

/// Memory for one model, of several arenas.
struct Arenas<'a> {
    /// The first one that is large enough, or the largest when none is.
    chosen: &'a mut [u8],
    /// The largest of the others.
    spare: &'a mut [u8],
}

impl<'a> Arenas<'a> {
    fn new<const N: usize>(arenas: [&'a mut [u8]; N], n_bytes: usize) -> Self {
        let (mut chosen, mut spare): (&mut [u8], &mut [u8]) = (&mut [], &mut []);
        for mut arena in arenas {
            if chosen.len() < n_bytes.max(1).min(arena.len()) {
                mem::swap(&mut chosen, &mut arena);
            }
            if arena.len() > spare.len() {
                spare = arena;
            }
        }
        Self { chosen, spare }
    }
}

/// Why the slot's content cannot be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not a sound image.
    Load(LoadError),
    /// A sound image that cannot run here.
    Bind(BindError),
}

impl Refusal {
    /// The code that the host gets beside the text.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Load(_) => ErrorCode::ImageRefused,
            Self::Bind(_) => ErrorCode::BindRefused,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
        }
    }
}

/// A model that can run.
#[derive(Debug)]
pub(crate) struct Bound<'a, 'i> {
    session: Session<'a, 'i>,
    /// All inputs one behind the other; `None` when the arena has no room for them.
    kept_inputs: Option<&'a mut [u8]>,
    /// The session's inputs are gone since the last run and were not kept.
    inputs_consumed: bool,
    /// The session holds the outputs of a run.
    has_outputs: bool,
    digest: &'i [u8],
    arena_address: usize,
}

impl<'a, 'i> Bound<'a, 'i> {
    fn new(
        image: &'a Result<Image<'i>, LoadError>,
        slot: &'i [u8],
        arenas: Arenas<'a>,
        operators: &'a [&'a Operator],
    ) -> Result<Self, Refusal> {
        let image = image.as_ref().map_err(|&error| Refusal::Load(error))?;
        let n_inputs_bytes = image.inputs().fold(0usize, |sum, port| sum.saturating_add(n_bytes(image, &port)));
        let Arenas { chosen, spare } = arenas;
        let room = image.arena_bytes().checked_add(n_inputs_bytes);
        let (arena, kept_inputs) = if room.is_some_and(|bytes| bytes <= chosen.len()) {
            let (arena, rest) = chosen.split_at_mut_checked(image.arena_bytes()).unwrap_or_default();
            (arena, rest.get_mut(..n_inputs_bytes))
        } else {
            (chosen, spare.get_mut(..n_inputs_bytes))
        };
        let arena_address = arena.as_ptr().addr();
        let session = Session::bind(image, arena, operators).map_err(Refusal::Bind)?;
        Ok(Self {
            session,
            inputs_consumed: kept_inputs.is_none(),
            kept_inputs,
            has_outputs: false,
            digest: digest(slot),
            arena_address,
        })
    }

    pub(crate) fn image(&self) -> &'a Image<'i> {
        self.session.image()
    }

    /// Where the session's arena starts.
    pub(crate) fn arena_address(&self) -> usize {
        self.arena_address
    }

    /// SHA-256 of the image, as its envelope records it.
    pub(crate) fn digest(&self) -> &'i [u8] {
        self.digest
    }

    /// Stores a part of an input.
    pub(crate) fn set_input(&mut self, index: u8, offset: u32, bytes: &[u8]) -> Result<(), AskError> {
        let image = self.session.image();
        let ports = || image.inputs().map(|port| n_bytes(image, &port));
        let input_bytes = ports().nth(usize::from(index)).ok_or(AskError::no_such("input", index, ports().count()))?;
        let range = range(offset, bytes.len(), input_bytes)?;
        let input = match &mut self.kept_inputs {
            Some(kept) => {
                let start = ports().take(usize::from(index)).fold(0usize, usize::saturating_add);
                kept.get_mut(start..start.saturating_add(input_bytes))
            }
            None => {
                self.inputs_consumed = false;
                self.has_outputs = false;
                self.session.input(usize::from(index)).ok()
            }
        };
        copy(input.and_then(|input| input.get_mut(range)).unwrap_or_default(), bytes);
        Ok(())
    }

    /// The session with its inputs in place, to be run once.
    pub(crate) fn start(&mut self) -> Result<&mut Session<'a, 'i>, AskError> {
        match &self.kept_inputs {
            Some(kept) => {
                let mut kept: &[u8] = kept;
                let n_inputs = self.session.image().inputs().count();
                for index in 0..n_inputs {
                    let Ok(input) = self.session.input(index) else { continue };
                    let Some((bytes, rest)) = kept.split_at_checked(input.len()) else { continue };
                    copy(input, bytes);
                    kept = rest;
                }
            }
            None if self.inputs_consumed => return Err(AskError::InputsConsumed),
            None => self.inputs_consumed = true,
        }
        self.has_outputs = false;
        Ok(&mut self.session)
    }

    /// The run that was started is complete.
    pub(crate) fn finish(&mut self) {
        self.has_outputs = true;
    }

    /// A part of an output of the last run.
    pub(crate) fn output(&self, index: u8, offset: u32, length: u32) -> Result<&[u8], AskError> {
        let n_outputs = self.session.image().outputs().count();
        let no_such = AskError::no_such("output", index, n_outputs);
        let output = self.session.output(usize::from(index)).map_err(|_| no_such)?;
        if !self.has_outputs {
            return Err(AskError::NotRun);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(output.get(range(offset, length, output.len())?).unwrap_or_default())
    }

    /// Position and value of the largest element of output 0 when it is int8: the class, for a classifier.
    pub(crate) fn largest_element(&self) -> Option<(usize, i8)> {
        let image = self.session.image();
        let tensor = image.tensor(image.outputs().next()?.tensor)?;
        if tensor.element_type != ElementType::I8 {
            return None;
        }
        let elements = self.session.output(0).ok()?.iter().map(|byte| byte.cast_signed());
        // The first of equals, as argmax has it.
        elements.enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}

/// Why a request was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskError {
    /// There is no model to run.
    Model(Refusal),
    /// The run stopped.
    Run(RunError),
    /// No port with that index.
    NoSuchTensor { direction: &'static str, index: u8, n_ports: usize },
    /// Outside the port's tensor.
    OutOfRange { offset: u32, length: usize, tensor_bytes: usize },
    /// Nothing was run since the inputs changed.
    NotRun,
    /// The run before overwrote the inputs, and there was no room to keep them.
    InputsConsumed,
}

impl AskError {
    fn no_such(direction: &'static str, index: u8, n_ports: usize) -> Self {
        Self::NoSuchTensor { direction, index, n_ports }
    }

    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::Model(refusal) => refusal.code(),
            Self::Run(_) => ErrorCode::RunFailed,
            Self::NoSuchTensor { .. } => ErrorCode::NoSuchTensor,
            Self::OutOfRange { .. } => ErrorCode::OutOfRange,
            Self::NotRun => ErrorCode::NotRun,
            Self::InputsConsumed => ErrorCode::InputsConsumed,
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(refusal) => refusal.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::NoSuchTensor { direction, index, n_ports } => {
                write!(f, "no {direction} {index}: the model has {n_ports}")
            }
            Self::OutOfRange { offset, length, tensor_bytes } => {
                write!(f, "{length} bytes at offset {offset} lie outside the tensor's {tensor_bytes} bytes")
            }
            Self::NotRun => f.write_str("there is no output yet: run the model first"),
            Self::InputsConsumed => f.write_str(
                "the arena has no room to keep the inputs beside the model: send all inputs before every run",
            ),
        }
    }
}

fn range(offset: u32, length: usize, tensor_bytes: usize) -> Result<core::ops::Range<usize>, AskError> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    match start.checked_add(length) {
        Some(end) if end <= tensor_bytes => Ok(start..end),
        _ => Err(AskError::OutOfRange { offset, length, tensor_bytes }),
    }
}

fn n_bytes(image: &Image<'_>, port: &PortView<'_>) -> usize {
    image.tensor(port.tensor).map_or(0, |tensor| tensor.n_bytes())
}

/// The SHA-256 that ends the image in `slot`.
fn digest(slot: &[u8]) -> &[u8] {
    let envelope = tinfer::image::Envelope::open(slot).ok();
    let image = envelope.and_then(|envelope| slot.get(..envelope.image_bytes()));
    image.and_then(|image| image.last_chunk::<32>()).map_or(&[], |digest| digest)
}

/// `copy_from_slice` without its panic: slices of different lengths are copied as far as both go.
fn copy(target: &mut [u8], source: &[u8]) {
    for (to, from) in target.iter_mut().zip(source) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_gets_the_first_arena_with_room_and_the_largest_other_one_for_inputs() {
        for (n_bytes, lengths, expected) in [
            (100, [100, 200, 300], (100, 300)),
            (101, [100, 200, 300], (200, 300)),
            (101, [100, 300, 200], (300, 200)),
            (301, [100, 300, 200], (300, 200)),
            (0, [100, 50, 60], (100, 60)),
        ] {
            let mut memory = [[0; 300]; 3];
            let [first, second, third] = memory.each_mut();
            let arenas = [&mut first[..lengths[0]], &mut second[..lengths[1]], &mut third[..lengths[2]]];
            let Arenas { chosen, spare } = Arenas::new(arenas, n_bytes);
            assert_eq!((chosen.len(), spare.len()), expected, "{n_bytes} of {lengths:?}");
        }
    }
}
