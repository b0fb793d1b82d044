//! The main loop: takes requests from the link and presses of the button, answers, lights the lamp.

use core::fmt::{self, Write as _};

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_io::{Read, ReadReady, Write};
use heapless::{String, Vec};
use tinfer::image::PortView;
use tinfer_protocol::{
    DecodeError, ErrorCode, FRAME_BYTES, FrameBuffer, Hello, LogLevel, MAX_CHUNK_BYTES, ModelInfo, PROTOCOL_VERSION,
    Reply, Request, TensorInfo, decode, encode,
};

use crate::model::{AskError, Bound};
use crate::run::{RunCost, StepCost, run, run_with_taps};
use crate::telemetry::Telemetry;
use crate::{Clock, Hardware, Identity, Model, StackMeter};

/// The firmware: hardware, model, and a conversation with the host.
pub struct App<'a, 'i, Link, Lamp, Button, C, S> {
    receiver: FrameBuffer,
    was_pressed: bool,
    desk: Desk<'a, 'i, Link, Lamp, Button, C, S>,
}

impl<'a, 'i, Link, Lamp, Button, C, S> App<'a, 'i, Link, Lamp, Button, C, S>
where
    Link: Read + ReadReady + Write,
    Lamp: OutputPin,
    Button: InputPin,
    C: Clock,
    S: StackMeter,
{
    /// Takes the hardware and the model, and logs what is in the slot.
    pub fn new(identity: Identity, hardware: Hardware<Link, Lamp, Button, C, S>, model: Model<'a, 'i>) -> Self {
        let telemetry = Telemetry { level: LogLevel::Normal, counter: C::COUNTER };
        telemetry.start(&identity, &model);
        let desk = Desk { identity, hardware, model, telemetry, frame: [0; FRAME_BYTES] };
        Self { receiver: FrameBuffer::new(), was_pressed: false, desk }
    }

    /// The link, to wait on when [`App::poll`] had nothing to do.
    pub fn link(&mut self) -> &mut Link {
        &mut self.desk.hardware.link
    }

    /// Does what there is to do and returns whether there was anything; never waits. To be called for ever.
    pub fn poll(&mut self) -> bool {
        // A button or a link that fails is one that says nothing.
        let is_pressed = self.desk.hardware.button.is_high().unwrap_or(false);
        let pressed_now = is_pressed && !self.was_pressed;
        self.was_pressed = is_pressed;
        if pressed_now {
            self.desk.run_for_button();
        }
        let mut bytes = [0; READ_BYTES];
        let link = &mut self.desk.hardware.link;
        if !link.read_ready().unwrap_or(false) {
            return pressed_now;
        }
        let n_read = link.read(&mut bytes).unwrap_or(0);
        for &byte in bytes.iter().take(n_read) {
            if let Some(frame) = self.receiver.push(byte) {
                self.desk.answer(frame);
            }
        }
        true
    }
}

/// Everything but the receiving side, so that a request may borrow from the frame that brought it.
struct Desk<'a, 'i, Link, Lamp, Button, C, S> {
    identity: Identity,
    hardware: Hardware<Link, Lamp, Button, C, S>,
    model: Model<'a, 'i>,
    telemetry: Telemetry,
    frame: [u8; FRAME_BYTES],
}

impl<Link, Lamp, Button, C, S> Desk<'_, '_, Link, Lamp, Button, C, S>
where
    Link: Write,
    Lamp: OutputPin,
    C: Clock,
    S: StackMeter,
{
    fn answer(&mut self, frame: &mut [u8]) {
        let (sequence, request) = match decode::<Request>(frame) {
            Ok(request) => request,
            // Noise has no sender to answer; the host asks again when its time is up.
            Err(DecodeError::Framing | DecodeError::Checksum) => return,
            Err(error @ DecodeError::Version { sequence, .. }) => {
                return self.refuse(sequence, ErrorCode::VersionMismatch, &error);
            }
            Err(error @ DecodeError::Message { sequence }) => {
                return self.refuse(sequence, ErrorCode::UnknownRequest, &error);
            }
        };
        self.telemetry.request(name(&request));
        if let Err(error) = self.carry_out(sequence, request) {
            self.refuse(sequence, error.code(), &error);
        }
    }

    fn carry_out(&mut self, sequence: u8, request: Request) -> Result<(), AskError> {
        let reply = match request {
            Request::Hello => self.hello(),
            Request::ModelInfo => Reply::ModelInfo(describe(self.model.bound()?)),
            Request::SetInput { index, offset, bytes } => {
                self.model.bound()?.set_input(index, offset, bytes)?;
                Reply::Accepted
            }
            Request::Run { taps: false } => done(self.run()?),
            Request::Run { taps: true } => done(self.run_with_taps(sequence)?),
            Request::ReadOutput { index, offset, length } => {
                let bytes = self.model.bound()?.output(index, offset, length.min(MAX_CHUNK_BYTES as u32))?;
                Reply::OutputBytes { index, offset, bytes }
            }
            Request::SetLogLevel(level) => {
                self.telemetry.level = level;
                Reply::Accepted
            }
        };
        send(&mut self.hardware.link, &mut self.frame, sequence, &reply);
        Ok(())
    }

    fn hello(&self) -> Reply<'static> {
        Reply::Hello(Hello {
            protocol_version: PROTOCOL_VERSION,
            board: self.identity.board,
            isa: self.identity.isa,
            firmware_version: env!("CARGO_PKG_VERSION"),
            counter: C::COUNTER,
        })
    }

    fn run_for_button(&mut self) {
        if let Err(error) = self.run() {
            self.log_refusal(&error);
        }
    }

    fn run(&mut self) -> Result<RunCost, AskError> {
        let bound = self.model.bound()?;
        let session = bound.start()?;
        let Hardware { lamp, clock, stack, .. } = &mut self.hardware;
        let cost = lit(lamp, || run(session, clock, stack)).map_err(AskError::Run)?;
        bound.finish();
        self.telemetry.run(&cost, bound);
        Ok(cost)
    }

    fn run_with_taps(&mut self, sequence: u8) -> Result<RunCost, AskError> {
        let bound = self.model.bound()?;
        let session = bound.start()?;
        let Hardware { link, lamp, clock, stack, .. } = &mut self.hardware;
        let tap = |step: StepCost| {
            self.telemetry.step(&step);
            let StepCost { index, digest, instructions } = step;
            send(link, &mut self.frame, sequence, &Reply::StepDone { index, digest, instructions });
        };
        let cost = lit(lamp, || run_with_taps(session, clock, stack, tap)).map_err(AskError::Run)?;
        bound.finish();
        self.telemetry.run(&cost, bound);
        Ok(cost)
    }

    fn refuse(&mut self, sequence: u8, code: ErrorCode, error: &dyn fmt::Display) {
        let text = self.log_refusal(error);
        send(&mut self.hardware.link, &mut self.frame, sequence, &Reply::Error { code, text: &text });
    }

    fn log_refusal(&self, error: &dyn fmt::Display) -> String<TEXT_BYTES> {
        let mut text = String::new();
        // A text that is too long is cut, which is better than none.
        let _ = write!(text, "{error}");
        self.telemetry.refused(&text);
        text
    }
}

/// Does `work` with the lamp lit. A lamp that fails is no reason not to work.
fn lit<Lamp: OutputPin, T>(lamp: &mut Lamp, work: impl FnOnce() -> T) -> T {
    let _ = lamp.set_high();
    let outcome = work();
    let _ = lamp.set_low();
    outcome
}

fn done(cost: RunCost) -> Reply<'static> {
    Reply::Done {
        instructions: cost.instructions,
        stack_high_water_bytes: cost.stack.high_water_bytes,
        run_stack_bytes: cost.stack.run_bytes,
    }
}

/// Sends one reply. A link that fails is one where nobody listens: the host asks again.
fn send<Link: Write>(link: &mut Link, frame: &mut [u8; FRAME_BYTES], sequence: u8, reply: &Reply) {
    let too_long = Reply::Error { code: ErrorCode::ReplyTooLong, text: "the answer does not fit in a frame" };
    let mut encoded = encode(sequence, reply, frame).map(<[u8]>::len);
    if encoded.is_err() {
        encoded = encode(sequence, &too_long, frame).map(<[u8]>::len);
    }
    let bytes = frame.get(..encoded.unwrap_or(0)).unwrap_or_default();
    if link.write_all(bytes).is_ok() {
        let _ = link.flush();
    }
}

fn describe<'a>(bound: &Bound<'a, '_>) -> ModelInfo<'a> {
    let image = bound.image();
    let tensor = |port: PortView<'a>| TensorInfo {
        name: port.name,
        bytes: image.tensor(port.tensor).map_or(0, |tensor| tensor.n_bytes() as u32),
    };
    // `Vec::from_iter` would panic on a model with more ports than fit; those behind are left out.
    let mut info = ModelInfo {
        name: image.manifest().name(),
        arena_bytes: image.header().arena_bytes,
        n_steps: image.n_steps() as u32,
        inputs: Vec::new(),
        outputs: Vec::new(),
        digest: bound.digest(),
    };
    for port in image.inputs() {
        let _ = info.inputs.push(tensor(port));
    }
    for port in image.outputs() {
        let _ = info.outputs.push(tensor(port));
    }
    info
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::Hello => "hello",
        Request::ModelInfo => "model info",
        Request::SetInput { .. } => "set input",
        Request::Run { .. } => "run",
        Request::ReadOutput { .. } => "read output",
        Request::SetLogLevel(_) => "set log level",
    }
}

/// Bytes taken from the link in one go.
const READ_BYTES: usize = 64;

/// Longest text of an error.
const TEXT_BYTES: usize = 192;
