//! Boards that QEMU emulates.

use std::fs;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tinfer_build::Board;

use crate::conversation::{Conversation, READ_TICK};
use crate::device::Limits;
use crate::device_log::DeviceLog;
use crate::{Device, FlashError};

/// Starts a board in QEMU with `image` in its model slot, and opens the link to its firmware.
///
/// One instruction is one nanosecond of the board's time (`-icount shift=0`), so counts are the same on every machine.
/// An empty `image` leaves the slot empty.
///
/// # Errors
/// What [`FlashError`] says: no emulator, image too large, firmware that does not start, image that it refuses.
pub fn open_emulator(board: &Board, firmware_elf: &Path, image: &[u8]) -> Result<Device, FlashError> {
    open_emulator_with(QEMU, board, firmware_elf, image)
}

pub(crate) fn open_emulator_with(
    qemu: &str,
    board: &Board,
    firmware_elf: &Path,
    image: &[u8],
) -> Result<Device, FlashError> {
    let slot_bytes = board.model_slot.length;
    if image.len() > slot_bytes as usize {
        return Err(FlashError::ImageTooLarge { board: board.name.clone(), image_bytes: image.len(), slot_bytes });
    }
    // We listen and QEMU connects: the system chooses a free port, and nobody else can take it in between.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|err| system("listening on 127.0.0.1", err))?;
    let (mut emulator, log) = Emulator::start(qemu, board, firmware_elf, image, &listener)?;
    let stream = emulator.accept(&listener, &log)?;
    let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(READ_TICK)));
    let reader = prepared.and_then(|()| stream.try_clone()).map_err(|err| system("link to the emulator", err))?;
    Device::open(&board.name, Conversation::new(reader, stream), log, Some(emulator), Limits::EMULATOR)
}

/// A running QEMU, which ends with this value.
pub(crate) struct Emulator {
    board: String,
    process: Child,
    /// What QEMU wrote to stderr, once it has ended.
    stderr: mpsc::Receiver<String>,
    /// Holds the image while QEMU may read it.
    _folder: TempDir,
}

impl Emulator {
    fn start(
        qemu: &str,
        board: &Board,
        firmware_elf: &Path,
        image: &[u8],
        listener: &TcpListener,
    ) -> Result<(Self, DeviceLog), FlashError> {
        let Some(facts) = &board.emulator else {
            return Err(FlashError::NotEmulated { board: board.name.clone(), emulated: emulated() });
        };
        let elf = fs::File::open(firmware_elf).and_then(|_| firmware_elf.canonicalize());
        let elf = elf.map_err(|err| system(&format!("firmware {}", firmware_elf.display()), err))?;
        let folder = tempfile::tempdir().map_err(|err| system("temporary folder", err))?;
        let port = listener.local_addr().map_err(|err| system("listening on 127.0.0.1", err))?.port();
        let mut command = Command::new(qemu);
        command.args(["-machine", &facts.machine, "-icount", "shift=0"]);
        command.args(["-display", "none", "-monitor", "none", "-nic", "none"]);
        command.args(["-chardev", &format!("socket,id=link,host=127.0.0.1,port={port},nodelay=on")]);
        command.args(["-serial", "chardev:link"]);
        command.args(["-chardev", "stdio,id=log,signal=off"]);
        command.args(["-semihosting-config", "enable=on,target=native,chardev=log"]);
        command.arg("-kernel").arg(&elf);
        if !image.is_empty() {
            let file = folder.path().join("model.tnf");
            fs::write(&file, image).map_err(|err| system(&file.display().to_string(), err))?;
            // A comma in a value is written twice.
            let file = file.display().to_string().replace(',', ",,");
            let origin = board.model_slot.origin;
            command.args(["-device", &format!("loader,file={file},addr={origin:#x},force-raw=on")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        log::debug!("{command:?}");
        let mut process = command.spawn().map_err(|err| match err.kind() {
            io::ErrorKind::NotFound => FlashError::QemuMissing { program: qemu.to_owned() },
            _ => system(qemu, err),
        })?;
        let log = process.stdout.take().map(|frames| DeviceLog::decode(frames, &elf)).unwrap_or_default();
        let stderr = gather(process.stderr.take());
        Ok((Self { board: board.name.clone(), process, stderr, _folder: folder }, log))
    }

    /// Waits until QEMU has connected to us.
    fn accept(&mut self, listener: &TcpListener, log: &DeviceLog) -> Result<TcpStream, FlashError> {
        listener.set_nonblocking(true).map_err(|err| system("listening on 127.0.0.1", err))?;
        let end = Instant::now() + CONNECT_LIMIT;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(|err| system("link to the emulator", err))?;
                    return Ok(stream);
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Err(system("link to the emulator", err)),
            }
            if let Ok(Some(_)) = self.process.try_wait() {
                return Err(self.ended(log));
            }
            if Instant::now() >= end {
                let (board, log) = (self.board.clone(), log.last_lines());
                return Err(FlashError::NoAnswer { board, request: "start", limit: CONNECT_LIMIT, log });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Why the link is gone, when that is because QEMU is.
    pub(crate) fn why_ended(&mut self, log: &DeviceLog) -> Option<FlashError> {
        let end = Instant::now() + Duration::from_secs(2);
        // The link closes a moment before the process is gone.
        while Instant::now() < end {
            if let Ok(Some(_)) = self.process.try_wait() {
                return Some(self.ended(log));
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    fn ended(&mut self, log: &DeviceLog) -> FlashError {
        let status = self.process.wait().map_or_else(|err| err.to_string(), |status| status.to_string());
        let stderr = self.stderr.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
        let said = match stderr.trim() {
            "" => format!("the firmware gave up; its log ends with: {}", log.last_lines()),
            stderr => stderr.to_owned(),
        };
        FlashError::QemuEnded { board: self.board.clone(), status, said }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gather(stderr: Option<ChildStderr>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut stderr) = stderr {
        thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            let _ = sender.send(text);
        });
    }
    receiver
}

fn emulated() -> String {
    let boards = Board::all().into_iter().filter(|board| board.emulator.is_some());
    boards.map(|board| board.name).collect::<Vec<_>>().join(", ")
}

fn system(what: &str, source: io::Error) -> FlashError {
    FlashError::System { what: what.to_owned(), source }
}

const QEMU: &str = "qemu-system-arm";

/// From the start of QEMU to its connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
