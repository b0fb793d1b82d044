//! Requests and replies on a link, with a time limit for each.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use tinfer_protocol::{DecodeError, FRAME_BYTES, FrameBuffer, Reply, Request, decode, encode};

/// The host's end of the protocol. Its reader must give up after [`READ_TICK`], so that time limits hold.
pub(crate) struct Conversation {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    receiver: FrameBuffer,
    /// Bytes read and not yet looked at.
    unread: Vec<u8>,
    sequence: u8,
}

impl Conversation {
    pub(crate) fn new(reader: impl Read + Send + 'static, writer: impl Write + Send + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
            receiver: FrameBuffer::new(),
            unread: Vec::new(),
            sequence: 0,
        }
    }

    /// Sends `request` and shows every reply to `on_reply`, until the final one. The limit holds from reply to reply.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        limit: Duration,
        on_reply: &mut dyn FnMut(&Reply),
    ) -> Result<(), TalkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut buffer = [0; FRAME_BYTES];
        // A chunk always fits; the zero in front ends whatever noise the device has gathered so far.
        let frame =
            encode(self.sequence, request, &mut buffer).map_err(|err| TalkError::Link(io::Error::other(err)))?;
        self.writer.write_all(&[0])?;
        self.writer.write_all(frame)?;
        self.writer.flush()?;
        loop {
            if self.next_reply(Instant::now() + limit, on_reply)? {
                return Ok(());
            }
        }
    }

    /// Waits for the next reply to the last request; returns whether it was the final one.
    fn next_reply(&mut self, end: Instant, on_reply: &mut dyn FnMut(&Reply)) -> Result<bool, TalkError> {
        loop {
            for (idx, &byte) in self.unread.iter().enumerate() {
                let Some(frame) = self.receiver.push(byte) else { continue };
                let sequence = self.sequence;
                let is_final = match decode::<Reply>(frame) {
                    Ok((of, reply)) if of == sequence => {
                        on_reply(&reply);
                        Some(reply.is_final())
                    }
                    // An answer to a request that we gave up on, or noise: ours is still to come.
                    Ok(_) | Err(DecodeError::Framing | DecodeError::Checksum) => None,
                    Err(error) => return Err(TalkError::Protocol(error)),
                };
                if let Some(is_final) = is_final {
                    self.unread.drain(..=idx);
                    return Ok(is_final);
                }
            }
            self.unread.clear();
            if Instant::now() >= end {
                return Err(TalkError::NoAnswer);
            }
            let mut bytes = [0; 4096];
            match self.reader.read(&mut bytes) {
                Ok(0) => return Err(TalkError::Link(io::ErrorKind::UnexpectedEof.into())),
                Ok(n_read) => self.unread.extend_from_slice(&bytes[..n_read]),
                Err(err) if is_tick(&err) => {}
                Err(err) => return Err(TalkError::Link(err)),
            }
        }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum TalkError {
    Link(io::Error),
    NoAnswer,
    Protocol(DecodeError),
}

impl From<io::Error> for TalkError {
    fn from(error: io::Error) -> Self {
        Self::Link(error)
    }
}

/// How long one read may wait.
pub(crate) const READ_TICK: Duration = Duration::from_millis(50);

fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
