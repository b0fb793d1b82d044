//! The whole app on the host: a link in memory, a lamp and a button that are mocks, a model in a slot.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction};
use embedded_io::{ErrorType, Read, ReadReady, Write};
use tinfer::isa::Isa;
use tinfer::{Arena, Image, operators};
use tinfer_app::{App, Clock, Hardware, Identity, Model, StackMeter, StackUse};
use tinfer_protocol::{
    Counter, ErrorCode, FRAME_BYTES, FrameBuffer, LogLevel, MAX_CHUNK_BYTES, Reply, Request, decode, encode,
};

mod tiny;

const N_BYTES: usize = 1500;

/// What one request is answered with, as text, so that replies outlive their frames.
fn ask(app: &mut TestApp, wire: &Wire, request: &Request) -> Vec<String> {
    let mut buffer = [0; FRAME_BYTES];
    send(app, wire, encode(77, request, &mut buffer).unwrap())
}

fn send(app: &mut TestApp, wire: &Wire, bytes: &[u8]) -> Vec<String> {
    wire.to_device.borrow_mut().extend(bytes);
    while app.poll() {}
    let mut receiver = FrameBuffer::new();
    let mut replies = Vec::new();
    for byte in wire.to_host.borrow_mut().drain(..) {
        if let Some(frame) = receiver.push(byte) {
            let (sequence, reply) = decode::<Reply>(frame).expect("the firmware sends whole frames");
            assert!(sequence == 77 || sequence == 5, "the sequence number comes back");
            replies.push(format!("{reply:?}"));
        }
    }
    replies
}

/// Runs `test` with a firmware that has `slot` as its model slot; the lamp must be lit `n_runs` times, and the button
/// is seen as in `button` (and not pressed from then on).
fn check(slot: &[u8], n_runs: usize, button: &[State], test: impl FnOnce(&mut TestApp, &Wire)) {
    check_in([Arena::<ARENA_BYTES>::new().bytes()], slot, n_runs, button, test);
}

/// As [`check`], with these arenas.
fn check_in<const N: usize>(
    arenas: [&mut [u8]; N],
    slot: &[u8],
    n_runs: usize,
    button: &[State],
    test: impl FnOnce(&mut TestApp, &Wire),
) {
    let mut aligned = vec![0u128; slot.len().div_ceil(16)];
    let memory = aligned_bytes(&mut aligned);
    memory[..slot.len()].copy_from_slice(slot);
    let image = Image::check(memory);
    let model = Model::bind(&image, memory, arenas, operators::ALL);
    let lit = [Transaction::set(State::High), Transaction::set(State::Low)];
    let lamp = Pin::new(&lit.iter().cycle().take(2 * n_runs).cloned().collect::<Vec<_>>());
    let presses = Rc::new(RefCell::new(button.iter().copied().collect::<VecDeque<_>>()));
    let wire = Wire::default();
    let hardware =
        Hardware { link: wire.clone(), lamp: lamp.clone(), button: Button(presses), clock: Steps(0), stack: NoStack };
    let mut app = App::new(Identity { board: "test-board", isa: "portable" }, hardware, model);
    test(&mut app, &wire);
    drop(app);
    lamp.clone().done();
}

fn tiny_image() -> Vec<u8> {
    tiny::image(N_BYTES, N_BYTES.next_multiple_of(16), Isa::Portable)
}

fn set_input(app: &mut TestApp, wire: &Wire, bytes: &[u8]) {
    for (idx, bytes) in bytes.chunks(MAX_CHUNK_BYTES).enumerate() {
        let offset = (idx * MAX_CHUNK_BYTES) as u32;
        assert_eq!(ask(app, wire, &Request::SetInput { index: 0, offset, bytes }), ["Accepted"]);
    }
}

fn expect_output(app: &mut TestApp, wire: &Wire, expected: &[u8]) {
    for (idx, bytes) in expected.chunks(MAX_CHUNK_BYTES).enumerate() {
        let (offset, length) = ((idx * MAX_CHUNK_BYTES) as u32, bytes.len() as u32);
        let reply = Reply::OutputBytes { index: 0, offset, bytes };
        let replies = ask(app, wire, &Request::ReadOutput { index: 0, offset, length });
        assert!(replies == [format!("{reply:?}")], "wrong output: {:.120}", replies.concat());
    }
}

fn input() -> Vec<u8> {
    (0..N_BYTES).map(|idx| (idx * 7) as u8).collect()
}

#[test]
fn a_host_is_told_who_is_there_and_what_model_it_has() {
    let image = tiny_image();
    check(&image, 0, &[], |app, wire| {
        let hello = ask(app, wire, &Request::Hello).concat();
        assert!(hello.contains("test-board") && hello.contains("Instructions"), "{hello}");
        let info = ask(app, wire, &Request::ModelInfo).concat();
        let digest = format!("{:?}", &image[image.len() - 32..]);
        for part in ["\"tiny\"", "arena_bytes: 1504", "n_steps: 3", "\"x\", bytes: 1500", "\"y\", bytes: 1500", &digest]
        {
            assert!(info.contains(part), "{part} is missing in {info}");
        }
    });
}

#[test]
fn every_run_starts_from_the_inputs_that_were_set() {
    check(&tiny_image(), 3, &[], |app, wire| {
        set_input(app, wire, &input());
        for _ in 0..2 {
            let done = "Done { instructions: 1, stack_high_water_bytes: 9, run_stack_bytes: 4 }";
            assert_eq!(ask(app, wire, &Request::Run { taps: false }), [done]);
            expect_output(app, wire, &tiny::expected(&input()));
        }
        set_input(app, wire, &[9; N_BYTES]);
        assert_eq!(ask(app, wire, &Request::Run { taps: false }).len(), 1);
        expect_output(app, wire, &tiny::expected(&[9; N_BYTES]));
    });
}

#[test]
fn taps_report_every_step_with_its_digest() {
    check(&tiny_image(), 1, &[], |app, wire| {
        assert_eq!(ask(app, wire, &Request::SetLogLevel(LogLevel::Verbose)), ["Accepted"]);
        set_input(app, wire, &input());
        let replies = ask(app, wire, &Request::Run { taps: true });
        assert_eq!(replies.len(), tiny::N_STEPS + 1);
        for (idx, reply) in replies.iter().take(tiny::N_STEPS).enumerate() {
            let bytes: Vec<u8> = input().iter().map(|byte| byte.wrapping_add(idx as u8 + 1)).collect();
            let digest = tinfer::session::digest(&bytes);
            assert_eq!(*reply, format!("StepDone {{ index: {idx}, digest: {digest}, instructions: 1 }}"));
        }
        assert!(replies[tiny::N_STEPS].starts_with("Done { instructions: 3,"), "{replies:?}");
        expect_output(app, wire, &tiny::expected(&input()));
    });
}

#[test]
fn a_press_of_the_button_runs_the_last_input_once() {
    use State::{High, Low};
    // Low while the input is sent (two chunks), then held down for three polls, released, pressed again.
    let button = [&[Low; 64][..], &[High, High, High, Low, High]].concat();
    check(&tiny_image(), 2, &button, |app, wire| {
        set_input(app, wire, &input());
        for _ in 0..80 {
            app.poll();
        }
        expect_output(app, wire, &tiny::expected(&input()));
    });
}

#[test]
fn inputs_that_cannot_be_kept_must_be_sent_again() {
    // The arena is just large enough for the model, with no room behind it.
    let image = tiny::image(N_BYTES, ARENA_BYTES, Isa::Portable);
    check(&image, 2, &[], |app, wire| {
        let consumed = "Error { code: InputsConsumed, text: \"the arena has no room to keep the inputs beside the model: \
                        send all inputs before every run\" }";
        assert_eq!(ask(app, wire, &Request::Run { taps: false }), [consumed]);
        for _ in 0..2 {
            set_input(app, wire, &input());
            assert_eq!(ask(app, wire, &Request::Run { taps: false }).len(), 1);
            expect_output(app, wire, &tiny::expected(&input()));
            assert_eq!(ask(app, wire, &Request::Run { taps: true }), [consumed]);
        }
    });
}

#[test]
fn inputs_are_kept_in_an_arena_that_the_model_does_not_use() {
    let image = tiny::image(N_BYTES, ARENA_BYTES, Isa::Portable);
    let (mut small, mut large) = (Arena::<{ ARENA_BYTES / 2 }>::new(), Arena::<ARENA_BYTES>::new());
    check_in([small.bytes(), large.bytes()], &image, 2, &[], |app, wire| {
        set_input(app, wire, &input());
        for _ in 0..2 {
            assert_eq!(ask(app, wire, &Request::Run { taps: false }).len(), 1);
            expect_output(app, wire, &tiny::expected(&input()));
        }
    });
    assert_eq!(small.bytes()[..N_BYTES], input());
}

#[test]
fn what_is_not_a_model_is_refused_with_its_reason() {
    let mut damaged = tiny_image();
    damaged[700] ^= 4;
    let too_large = tiny::image(N_BYTES, ARENA_BYTES + 16, Isa::Portable);
    let digest = "ImageRefused, text: \"model image is damaged: its SHA-256 differs from the recorded one\"";
    let cases: [(&[u8], &str); 4] = [
        (&[0xff; 4096], "ImageRefused, text: \"the model slot is empty\""),
        (b"not an image but a text", "ImageRefused, text: \"not a model image: starts with 0x20746f6e, expected"),
        (&damaged, digest),
        (&too_large, "BindRefused, text: \"arena too small: need 4112 bytes, have 4096\""),
    ];
    for (slot, expected) in cases {
        check(slot, 0, &[], |app, wire| {
            assert_eq!(ask(app, wire, &Request::Hello).len(), 1, "the firmware lives without a model");
            let requests = [
                Request::ModelInfo,
                Request::SetInput { index: 0, offset: 0, bytes: &[1] },
                Request::Run { taps: false },
                Request::Run { taps: true },
                Request::ReadOutput { index: 0, offset: 0, length: 1 },
            ];
            for request in requests {
                let reply = ask(app, wire, &request).concat();
                assert!(reply.starts_with(&format!("Error {{ code: {expected}")), "{request:?}: {reply}");
            }
        });
    }
}

#[test]
fn wrong_requests_are_refused_with_their_reason() {
    let cases = [
        (
            Request::SetInput { index: 1, offset: 0, bytes: &[1] },
            ErrorCode::NoSuchTensor,
            "no input 1: the model has 1",
        ),
        (
            Request::SetInput { index: 0, offset: 1499, bytes: &[1, 2] },
            ErrorCode::OutOfRange,
            "2 bytes at offset 1499 lie outside the tensor's 1500 bytes",
        ),
        (
            Request::SetInput { index: 0, offset: u32::MAX, bytes: &[1] },
            ErrorCode::OutOfRange,
            "1 bytes at offset 4294967295 lie outside the tensor's 1500 bytes",
        ),
        (
            Request::ReadOutput { index: 0, offset: 0, length: 1 },
            ErrorCode::NotRun,
            "there is no output yet: run the model first",
        ),
        (
            Request::ReadOutput { index: 3, offset: 0, length: 1 },
            ErrorCode::NoSuchTensor,
            "no output 3: the model has 1",
        ),
    ];
    for (request, code, text) in cases {
        check(&tiny_image(), 0, &[], |app, wire| {
            assert_eq!(ask(app, wire, &request), [format!("{:?}", Reply::Error { code, text })]);
        });
    }
}

#[test]
fn frames_of_another_age_are_answered_and_noise_is_not() {
    check(&tiny_image(), 0, &[], |app, wire| {
        let later = send(app, wire, &[framed(9, &[0]), vec![0]].concat()).concat();
        assert!(later.contains("VersionMismatch") && later.contains("the peer speaks protocol version 9"), "{later}");
        let unknown = send(app, wire, &[framed(1, &[200]), vec![0]].concat()).concat();
        assert!(unknown.contains("UnknownRequest"), "{unknown}");
        assert_eq!(send(app, wire, &[1, 2, 3, 0, 0, 0xff, 0]), Vec::<String>::new());
        assert_eq!(ask(app, wire, &Request::Hello).len(), 1, "noise does not stop the conversation");
    });
}

#[test]
fn no_bytes_on_the_link_stop_the_firmware() {
    let mut state = 99u32;
    check(&tiny_image(), 0, &[], |app, wire| {
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            wire.to_device.borrow_mut().push_back((state >> 24) as u8 & 0x7f);
            app.poll();
        }
        send(app, wire, &[0]);
        assert_eq!(ask(app, wire, &Request::Hello).len(), 1);
    });
}

const ARENA_BYTES: usize = 4096;

type TestApp<'a, 'i> = App<'a, 'i, Wire, Pin, Button, Steps, NoStack>;

/// Both directions of a link, in memory.
#[derive(Clone, Default)]
struct Wire {
    to_device: Rc<RefCell<VecDeque<u8>>>,
    to_host: Rc<RefCell<Vec<u8>>>,
}

impl ErrorType for Wire {
    type Error = Infallible;
}

impl ReadReady for Wire {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.to_device.borrow().is_empty())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let mut bytes = self.to_device.borrow_mut();
        let n_read = buffer.len().min(bytes.len());
        for (place, byte) in buffer.iter_mut().zip(bytes.drain(..n_read)) {
            *place = byte;
        }
        Ok(n_read)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.to_host.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A button that is seen in these states, one for each poll, and not pressed afterwards. The mock would insist on the
/// exact number of polls, which is nobody's business.
struct Button(Rc<RefCell<VecDeque<State>>>);

impl embedded_hal::digital::ErrorType for Button {
    type Error = Infallible;
}

impl embedded_hal::digital::InputPin for Button {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.borrow_mut().pop_front() == Some(State::High))
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

/// Counts how often it is read.
struct Steps(u64);

impl Clock for Steps {
    const COUNTER: Counter = Counter::Instructions;

    fn now(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

struct NoStack;

impl StackMeter for NoStack {
    fn start(&mut self) {}

    fn stop(&mut self) -> StackUse {
        StackUse { high_water_bytes: 9, run_bytes: 4 }
    }
}

/// A frame with a right checksum around any content, without its closing zero.
fn framed(version: u8, message: &[u8]) -> Vec<u8> {
    let mut content = [&[version, 5], message].concat();
    content.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&content).to_le_bytes());
    let mut frame = vec![0; cobs::max_encoding_length(content.len())];
    let length = cobs::encode(&content, &mut frame);
    frame.truncate(length);
    frame
}

fn aligned_bytes(words: &mut [u128]) -> &mut [u8] {
    bytemuck::cast_slice_mut(words)
}
