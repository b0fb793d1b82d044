//! The firmware's log: defmt frames from the device, decoded by `defmt-print`.
//!
//! The decoder is a program and not a library here: as a library it would bring some eighty crates into every build of
//! the tools.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{env, thread};

/// Decoded lines, gathered in the background.
#[derive(Default)]
pub(crate) struct DeviceLog {
    lines: Arc<Mutex<Lines>>,
    decoder: Option<Child>,
}

#[derive(Default)]
struct Lines {
    /// Not yet taken.
    new: Vec<String>,
    /// The last few, taken or not, to be shown with an error.
    last: VecDeque<String>,
}

impl DeviceLog {
    /// Decodes `frames` with the symbols in `elf`. Without a decoder the frames are thrown away and the log says so.
    pub(crate) fn decode(frames: impl Into<Stdio> + Read + Send + 'static, elf: &Path) -> Self {
        match find_decoder() {
            Some(decoder) => Self::decode_with(&decoder, frames, elf),
            None => Self::drain(
                frames,
                &format!("{DECODER} is missing, so there is no device log: run `cargo xtask setup`"),
            ),
        }
    }

    fn decode_with(decoder: &Path, frames: impl Into<Stdio> + Read + Send + 'static, elf: &Path) -> Self {
        let mut command = Command::new(decoder);
        command.arg("-e").arg(elf).args(["--log-format", "{L} {s}"]);
        command.stdin(frames.into()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut log = Self::default();
        match command.spawn() {
            Ok(mut child) => {
                if let Some(stdout) = child.stdout.take() {
                    let lines = Arc::clone(&log.lines);
                    thread::spawn(move || {
                        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                            log::debug!("device: {line}");
                            lock(&lines).push(line);
                        }
                    });
                }
                log.decoder = Some(child);
            }
            Err(err) => lock(&log.lines).push(format!("{} does not start: {err}", decoder.display())),
        }
        log
    }

    fn drain(mut frames: impl Read + Send + 'static, why: &str) -> Self {
        log::warn!("{why}");
        let log = Self::default();
        lock(&log.lines).push(why.to_owned());
        // Somebody must read, or the device stops when the pipe is full.
        thread::spawn(move || std::io::copy(&mut frames, &mut std::io::sink()));
        log
    }

    /// Lines since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.lines).new)
    }

    /// The last lines, for an error.
    pub(crate) fn last_lines(&self) -> String {
        let lines = lock(&self.lines);
        if lines.last.is_empty() {
            return "(nothing)".to_owned();
        }
        lines.last.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for DeviceLog {
    fn drop(&mut self) {
        if let Some(decoder) = &mut self.decoder {
            // Its input has ended or is about to; the lines are no longer wanted either way.
            let _ = decoder.kill();
            let _ = decoder.wait();
        }
    }
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.last.len() == N_LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        self.new.push(line);
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    // A line is pushed whole or not at all, so a poisoned list is still a list.
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The decoder that `cargo xtask setup` installed, or one on the path.
fn find_decoder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    let installed = cache.map(|cache| cache.join("tinfer/tools/bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = installed.into_iter().chain(env::split_paths(&path));
    folders.find_map(|folder| {
        let program = folder.join(format!("{DECODER}{}", env::consts::EXE_SUFFIX));
        program.is_file().then_some(program)
    })
}

const DECODER: &str = "defmt-print";
const N_LAST_LINES: usize = 5;
