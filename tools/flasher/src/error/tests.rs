//! Every error is triggered, and its sentence is read.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use tinfer_protocol::{
    Counter, ErrorCode, FRAME_BYTES, FrameBuffer, Hello, ModelInfo, Reply, Request, TensorInfo, decode, encode,
};

use crate::conversation::{Conversation, READ_TICK};
use crate::device::Limits;
use crate::device_log::DeviceLog;
use crate::emulator::open_emulator_with;
use crate::firmware::locate;
use crate::{Board, Device, FlashError, open_emulator};

#[track_caller]
fn check<T>(outcome: Result<T, FlashError>, expected: &str) {
    let text = outcome.map(|_| ()).expect_err(expected).to_string();
    let expected: Vec<&str> = expected.split("…").collect();
    let rest = expected.iter().try_fold(text.as_str(), |rest, part| Some(&rest[rest.find(part)? + part.len()..]));
    assert!(rest.is_some() && text.starts_with(expected[0]), "{text}\nis not\n{}", expected.join("…"));
}

fn board() -> Board {
    Board::find("mps2-an386").unwrap()
}

fn elf(folder: &Path) -> PathBuf {
    let file = folder.join("mps2-an386.elf");
    fs::write(&file, "not a program").unwrap();
    file
}

#[test]
fn boards_and_emulators() {
    let folder = tempfile::tempdir().unwrap();
    let elf = elf(folder.path());
    let names = |boards: Vec<Board>| boards.into_iter().map(|board| board.name).collect::<Vec<_>>().join(", ");
    let unknown = Board::find("mps4").map_err(FlashError::from);
    check(unknown, &format!("no board is called `mps4`; boards: {}", names(Board::all())));
    let hardware = Board::find("nrf52840-dk").unwrap();
    let emulated = names(Board::all().into_iter().filter(|board| board.emulator.is_some()).collect());
    check(
        open_emulator(&hardware, &elf, &[]),
        &format!("board nrf52840-dk has no emulator; emulated boards: {emulated}"),
    );
    check(
        open_emulator(&board(), &elf, &vec![0; 0x20_0001]),
        "image too large for mps2-an386: 2097153 bytes, the model slot has 2097152",
    );
    check(
        open_emulator_with("no-such-qemu", &board(), &elf, &[]),
        "no-such-qemu is not installed: run `cargo xtask setup`, or `apt-get install qemu-system-arm`",
    );
    check(open_emulator(&board(), &folder.path().join("missing"), &[]), "firmware …/missing: No such file");
    check(
        open_emulator_with("false", &board(), &elf, &[]),
        "the emulator of mps2-an386 ended (exit status: 1): the firmware gave up; its log ends with: ",
    );
    let mut older = board();
    older.emulator.as_mut().unwrap().machine = "mps9".to_owned();
    check(
        open_emulator(&older, &elf, &[]),
        "the emulator of mps2-an386 ended (exit status: 1): …unsupported machine type",
    );
}

#[test]
fn firmware_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let locate = |from_env: Option<&Path>| locate(from_env.map(Path::to_owned), &[path.join("below")], &board());
    check(locate(Some(&path)), "TINFER_FIRMWARE is …, which has neither mps2-an386.elf nor mps2-an386");
    check(locate(None), "no firmware for mps2-an386: set TINFER_FIRMWARE to a folder with mps2-an386.elf, or run this");
    let elf = elf(&path);
    assert_eq!(locate(Some(&path)).unwrap(), elf);
    fs::create_dir_all(path.join("firmware/boards/mps2-an386")).unwrap();
    fs::write(path.join("firmware/boards/mps2-an386/board.toml"), "").unwrap();
    check(locate(None), "firmware for mps2-an386 does not build (`cargo xtask firmware mps2-an386` in …): …error: ");
}

#[test]
fn a_device_that_says_something_else() {
    let open = |answer: fn(u8, &Request) -> Vec<u8>| {
        Device::open("mps2-an386", talk_to(answer), DeviceLog::default(), None, LIMITS)
    };
    check(open(|_, _| Vec::new()), "mps2-an386 did not answer `hello` within 200ms; its log ends with: (nothing)");
    check(
        open(|sequence, _| framed(&[2, sequence, 0])),
        "mps2-an386: the peer speaks protocol version 2, this side speaks 1: build firmware and host tools from",
    );
    check(
        open(|sequence, _| reply(sequence, &Reply::Accepted)),
        "mps2-an386 answered `hello` with something else; build firmware and host tools from the same release",
    );
    check(
        open(|sequence, _| reply(sequence, &hello("mps2-an500"))),
        "this firmware is for mps2-an500, not for mps2-an386",
    );
    check(
        open(|sequence, request| match request {
            Request::Hello => reply(sequence, &hello("mps2-an386")),
            _ => {
                let text = "arena too small: need 41984 bytes, have 32768";
                reply(sequence, &Reply::Error { code: ErrorCode::BindRefused, text })
            }
        }),
        "mps2-an386: arena too small: need 41984 bytes, have 32768",
    );
}

#[test]
fn a_device_with_a_model() {
    let model = |sequence, request: &Request| match request {
        Request::Hello => reply(sequence, &hello("mps2-an386")),
        Request::ModelInfo => {
            let tensor = |name, bytes| [TensorInfo { name, bytes }].into_iter().collect();
            let info = ModelInfo {
                name: "kws",
                arena_bytes: 8_000,
                n_steps: 12,
                inputs: tensor("spectrogram", 490),
                outputs: tensor("scores", 12),
                digest: &[7; 32],
            };
            // A late answer to an earlier request comes first: it must be passed over.
            [reply(sequence.wrapping_sub(1), &Reply::Accepted), reply(sequence, &Reply::ModelInfo(info))].concat()
        }
        Request::SetInput { .. } => reply(sequence, &Reply::Accepted),
        // Hangs up: the test's reader sees the end of the stream.
        _ => HANG_UP.to_vec(),
    };
    let mut device = Device::open("mps2-an386", talk_to(model), DeviceLog::default(), None, LIMITS).unwrap();
    assert_eq!((device.model().name.as_str(), device.model().inputs[0].bytes), ("kws", 490));
    device.set_input(0, &[1; 490]).unwrap();
    check(device.set_input(0, &[1; 3]), "input 0 (spectrogram) takes 490 bytes, 3 were given");
    check(device.set_input(2, &[1; 3]), "no input 2: the model on mps2-an386 has 1");
    check(device.read_output(1), "no output 1: the model on mps2-an386 has 1");
    check(device.run(false), "the link to mps2-an386 broke: ");
}

const LIMITS: Limits = Limits {
    start: Duration::from_millis(200),
    answer: Duration::from_millis(5_000),
    run: Duration::from_millis(5_000),
};

/// An answer that closes the link.
const HANG_UP: [u8; 4] = [0; 4];

/// A conversation with a device that answers each request as told.
fn talk_to(answer: impl Fn(u8, &Request) -> Vec<u8> + Send + 'static) -> Conversation {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut device, _) = listener.accept().unwrap();
    thread::spawn(move || {
        let mut receiver = FrameBuffer::new();
        let mut byte = [0];
        while device.read(&mut byte).is_ok_and(|n_read| n_read == 1) {
            let Some(frame) = receiver.push(byte[0]) else { continue };
            let (sequence, request) = decode::<Request>(frame).unwrap();
            let bytes = answer(sequence, &request);
            if bytes == HANG_UP || device.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    host.set_read_timeout(Some(READ_TICK)).unwrap();
    Conversation::new(host.try_clone().unwrap(), host)
}

fn hello(board: &'static str) -> Reply<'static> {
    let counter = Counter::Instructions;
    Reply::Hello(Hello { protocol_version: 1, board, isa: "armv7em", firmware_version: "0.1.0", counter })
}

fn reply(sequence: u8, reply: &Reply) -> Vec<u8> {
    encode(sequence, reply, &mut [0; FRAME_BYTES]).unwrap().to_vec()
}

/// A frame with a right checksum around any content.
fn framed(content: &[u8]) -> Vec<u8> {
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(content).to_le_bytes();
    let content = [content, &crc].concat();
    let mut frame = vec![0; cobs::max_encoding_length(content.len()) + 1];
    let length = cobs::encode(&content, &mut frame);
    frame.truncate(length + 1);
    frame
}
