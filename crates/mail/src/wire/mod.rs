//! The bytes between us and a server: lines and counted blocks with limits, every wait under a deadline.

mod ahead;
mod body;
mod pace;
mod tap;

use std::{sync::Arc, time::Duration};

pub(crate) use ahead::Ahead;
pub(crate) use body::Body;
use domain::check::{ErrorKind, Stage};
use memchr::memchr;
use service::ports::{MailError, Transcript};
pub(crate) use tap::{Tap, secret_of};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use self::pace::Pace;
use crate::protocol;

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// What is longer than is taken is passed over, so that what comes after it arrives; up to so many times the limit.
const SKIPPED_AT_MOST: u64 = 16;
/// The longest line. Servers exceed the standards' few hundred bytes; a search among many messages is long.
const LINE_MAX: usize = 1024 * 1024;
/// Room that a read finds.
const READ: usize = 64 * 1024;
/// A block of which more is missing is read to where it stays, without a copy.
const READ_IN_PLACE: usize = 32 * 1024;
/// So much is set aside for what a server announces, before any of it comes.
const ANNOUNCED_AT_MOST: usize = 1024 * 1024;

/// A connection with a buffer of its own.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    taken: usize,
    /// Whether the last line ended with a bare LF.
    is_bare: bool,
    /// Bytes that the server may still send.
    left: u64,
    /// Bytes that may still be passed over.
    skippable: u64,
    pace: Pace,
    pub(crate) tap: Tap,
    pub(crate) size_limit: u64,
    /// What an error is reported under.
    pub(crate) stage: Stage,
}

/// What a connection keeps when TLS is put around it.
pub(crate) struct Mold {
    step_timeout: Duration,
    size_limit: u64,
    tap: Tap,
}

impl Mold {
    pub(crate) fn wire(self, stream: Box<dyn Stream>) -> Wire {
        Wire { tap: self.tap, ..Wire::new(stream, self.step_timeout, self.size_limit) }
    }
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>, step_timeout: Duration, size_limit: u64) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            taken: 0,
            is_bare: false,
            left: u64::MAX,
            skippable: size_limit.saturating_mul(SKIPPED_AT_MOST),
            pace: Pace::new(step_timeout),
            tap: Tap::default(),
            size_limit,
            stage: Stage::Greeting,
        }
    }

    /// From here on the dialogue is taken down, if there is anybody to do it.
    pub(crate) fn told_to(mut self, transcript: Option<Arc<dyn Transcript>>) -> Self {
        self.tap = Tap::new(transcript);
        self
    }

    /// The bare stream, to put TLS around it. What came before TLS must not be read as if it came inside it: anything left in
    /// the buffer is an attack or a broken server.
    pub(crate) fn into_stream(self) -> Result<(Box<dyn Stream>, Mold), MailError> {
        if self.taken < self.buffer.len() {
            return Err(protocol(Stage::Tls, "the server sent more before TLS began; this may be an attack"));
        }
        let mold = Mold { step_timeout: self.pace.step, size_limit: self.size_limit, tap: self.tap };
        Ok((self.stream, mold))
    }

    /// One or more whole lines, in one write.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.tap.sent(bytes);
        self.write(bytes).await
    }

    /// What holds a secret: the transcript gets something else.
    pub(crate) async fn send_secret(&mut self, bytes: &[u8], shown: &str) -> Result<(), MailError> {
        self.tap.sent(shown.as_bytes());
        self.write(bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        self.pace.begin();
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.pace.step, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error.to_string())),
            Err(_) => Err(self.silent()),
        }
    }

    /// One line without its CRLF; a bare LF ends a line too, as some servers write them.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, MailError> {
        let mut line = Vec::new();
        self.append_line(&mut line).await?;
        self.hear(&line);
        Ok(line)
    }

    /// The same at the end of a text, not yet taken down: it may be a part of something that is not to be.
    pub(crate) async fn append_line(&mut self, into: &mut Vec<u8>) -> Result<(), MailError> {
        let end = self.find_line_feed().await?;
        let line = &self.buffer[self.taken..end - 1];
        let bare = line.strip_suffix(b"\r");
        self.is_bare = bare.is_none();
        let line = bare.unwrap_or(line);
        into.extend_from_slice(line);
        self.taken = end;
        Ok(())
    }

    /// Takes a line of the server down.
    pub(crate) fn hear(&self, line: &[u8]) {
        self.tap.heard(line, self.stage);
    }

    /// Takes down that so many bytes of a message came.
    pub(crate) fn hear_block(&self, n_bytes: u64) {
        self.tap.heard_block(n_bytes);
    }

    /// The end of the line in the buffer, its line feed included.
    async fn find_line_feed(&mut self) -> Result<usize, MailError> {
        let mut searched = 0;
        loop {
            let have = &self.buffer[self.taken..];
            if let Some(at) = memchr(b'\n', &have[searched..]) {
                return Ok(self.taken + searched + at + 1);
            }
            searched = have.len();
            if searched > LINE_MAX {
                return Err(protocol(self.stage, "the server sent an endless line"));
            }
            self.more().await?;
        }
    }

    /// From here on the server may send so many bytes; what is passed over does not count.
    pub(crate) fn allow(&mut self, bytes: u64) {
        self.left = bytes;
        self.skippable = self.size_limit.saturating_mul(SKIPPED_AT_MOST);
        self.pace.begin();
    }

    /// The server was not waited for meanwhile.
    pub(crate) fn resume(&mut self) {
        self.pace.begin();
    }

    /// Passes over so many bytes; keeps the beginning of them, up to so much.
    pub(crate) async fn skip(&mut self, length: u64, sample: usize) -> Result<Vec<u8>, MailError> {
        self.may_skip(length)?;
        self.tap.heard_block(length);
        self.left = self.left.saturating_add(length);
        let mut kept = Vec::new();
        let mut missing = length;
        loop {
            let have = &self.buffer[self.taken..];
            let step = usize::try_from(missing).unwrap_or(usize::MAX).min(have.len());
            kept.extend_from_slice(&have[..step.min(sample - kept.len())]);
            self.taken += step;
            missing -= step as u64;
            if missing == 0 {
                return Ok(kept);
            }
            self.more().await?;
        }
    }

    /// Refuses to pass over what would take for ever.
    pub(crate) fn may_skip(&mut self, length: u64) -> Result<(), MailError> {
        let left = self.skippable.checked_sub(length);
        self.skippable = left.ok_or_else(|| protocol(self.stage, "the server sends far more than is taken"))?;
        Ok(())
    }

    /// Exactly so many bytes.
    pub(crate) async fn block(&mut self, length: usize) -> Result<Vec<u8>, MailError> {
        self.tap.heard_block(length as u64);
        let mut block = Vec::with_capacity(length.min(ANNOUNCED_AT_MOST));
        loop {
            let have = &self.buffer[self.taken..];
            let take = have.len().min(length - block.len());
            block.extend_from_slice(&have[..take]);
            self.taken += take;
            let missing = length - block.len();
            if missing == 0 {
                return Ok(block);
            }
            if missing < READ_IN_PLACE {
                self.more().await?;
                continue;
            }
            // Never beyond the end, and no more room than has come already.
            if block.len() == block.capacity() {
                block.reserve_exact(missing.min(block.len()));
            }
            let room = missing.min(block.capacity() - block.len());
            self.read(&mut block, room).await?;
        }
    }

    /// Waits so long for the server to say anything, with next to no memory.
    pub(crate) async fn wait(&mut self, at_most: Duration) -> Result<bool, MailError> {
        if self.taken < self.buffer.len() {
            return Ok(true);
        }
        self.buffer = Vec::with_capacity(256);
        self.taken = 0;
        match timeout(at_most, self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(self.broken("the server closed the connection")),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(self.broken(&error.to_string())),
            Err(_) => Ok(false),
        }
    }

    /// Reads more into the buffer.
    async fn more(&mut self) -> Result<(), MailError> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(READ);
        let room = buffer.capacity() - buffer.len();
        let read = self.read(&mut buffer, room).await;
        self.buffer = buffer;
        read
    }

    /// Reads once, at most so many bytes, for which there is room.
    async fn read(&mut self, into: &mut Vec<u8>, room: usize) -> Result<(), MailError> {
        if self.left == 0 {
            return Err(protocol(self.stage, "the server sends more than was asked for"));
        }
        let mut source = (&mut self.stream).take(room as u64);
        match timeout(self.pace.wait(), source.read_buf(into)).await {
            Ok(Ok(0)) => Err(self.broken("the server closed the connection")),
            Ok(Ok(n)) => {
                self.left = self.left.saturating_sub(n as u64);
                self.pace.earned(n as u64);
                Ok(())
            }
            Ok(Err(error)) => Err(self.broken(&error.to_string())),
            Err(_) => Err(self.silent()),
        }
    }

    fn broken(&self, why: &str) -> MailError {
        MailError::new(ErrorKind::Protocol, self.stage, format!("the connection broke: {why}"))
    }

    fn silent(&self) -> MailError {
        MailError::new(ErrorKind::Timeout, self.stage, self.pace.complaint())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn wire(step: Duration) -> (Wire, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        (Wire::new(Box::new(ours), step, 1 << 30), theirs)
    }

    /// One byte before each deadline: people saw an account that was "running" for days.
    #[tokio::test]
    async fn a_drip_within_each_deadline_ends_all_the_same() {
        let (mut wire, mut theirs) = wire(Duration::from_millis(200));
        wire.allow(1 << 20);
        let drip = tokio::spawn(async move {
            while theirs.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let began = std::time::Instant::now();
        let error = wire.line().await.unwrap_err();
        assert_eq!((error.kind, &*error.message), (ErrorKind::Timeout, "the server answers too slowly"));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        drip.abort();
    }

    /// A few KiB a second, for longer than an answer may take without getting on, are a slow link and no attack.
    #[tokio::test]
    async fn a_slow_link_is_waited_for() {
        let (mut wire, mut theirs) = wire(Duration::from_millis(200));
        wire.allow(1 << 30);
        tokio::spawn(async move {
            for _ in 0..40 {
                theirs.write_all(&[b'x'; 500]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        });
        assert_eq!(wire.block(40 * 500).await.unwrap().len(), 40 * 500);
    }

    #[tokio::test]
    async fn what_is_announced_is_not_set_aside_before_it_comes() {
        let (mut wire, mut theirs) = wire(Duration::from_millis(100));
        theirs.write_all(&[b'x'; 1000]).await.unwrap();
        let began = std::time::Instant::now();
        wire.block(1 << 40).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
