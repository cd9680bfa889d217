//! The bytes between us and a server: lines and counted blocks with limits, every wait under a deadline.

use std::time::Duration;

use domain::check::{ErrorKind, Stage};
use service::ports::MailError;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use crate::protocol;

/// Anything that carries bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// What is longer than is taken is passed over, so that what comes after it arrives; up to so many times the limit.
const SKIPPED_AT_MOST: u64 = 16;
/// The longest line. Servers exceed the standards' few hundred bytes; a search among many messages is long.
const LINE_MAX: usize = 1024 * 1024;

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
    step_timeout: Duration,
    pub(crate) size_limit: u64,
    /// What an error is reported under.
    pub(crate) stage: Stage,
}

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>, step_timeout: Duration, size_limit: u64) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            taken: 0,
            is_bare: false,
            left: u64::MAX,
            step_timeout,
            size_limit,
            stage: Stage::Greeting,
        }
    }

    /// The bare stream, to put TLS around it. What came before TLS must not be read as if it came inside it: anything left in
    /// the buffer is an attack or a broken server.
    pub(crate) fn into_stream(self) -> Result<(Box<dyn Stream>, Duration, u64), MailError> {
        if self.taken < self.buffer.len() {
            return Err(protocol(Stage::Tls, "the server sent more before TLS began; this may be an attack"));
        }
        Ok((self.stream, self.step_timeout, self.size_limit))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), MailError> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.step_timeout, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error.to_string())),
            Err(_) => Err(self.silent()),
        }
    }

    /// One line without its CRLF; a bare LF ends a line too, as some servers write them.
    pub(crate) async fn line(&mut self) -> Result<Vec<u8>, MailError> {
        let mut line = self.through_line_feed(LINE_MAX as u64).await?;
        line.pop();
        self.is_bare = line.last() != Some(&b'\r');
        if !self.is_bare {
            line.pop();
        }
        Ok(line)
    }

    /// A line of a message without its CRLF. A bare LF is a part of it like any other byte, unless the server ended its own
    /// line with one: else a message could bring the dot that ends it.
    pub(crate) async fn body_line(&mut self) -> Result<Vec<u8>, MailError> {
        if self.is_bare {
            return self.line().await;
        }
        let mut line: Vec<u8> = Vec::new();
        loop {
            line.extend(self.through_line_feed(self.size_limit).await?);
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                return Ok(line);
            }
            if line.len() as u64 > self.size_limit {
                return Err(protocol(self.stage, "the server sent an endless line"));
            }
        }
    }

    async fn through_line_feed(&mut self, most: u64) -> Result<Vec<u8>, MailError> {
        let mut searched = self.taken;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|it| *it == b'\n') {
                let end = searched + at + 1;
                let line = self.buffer[self.taken..end].to_vec();
                self.taken = end;
                return Ok(line);
            }
            if (self.buffer.len() - self.taken) as u64 > most {
                return Err(protocol(self.stage, "the server sent an endless line"));
            }
            let already = self.buffer.len() - self.taken;
            self.more().await?;
            searched = self.taken + already;
        }
    }

    /// From here on the server may send so many bytes; what is passed over does not count.
    pub(crate) fn allow(&mut self, bytes: u64) {
        self.left = bytes;
    }

    /// Refuses to pass over what would take for ever.
    pub(crate) fn may_skip(&self, length: u64) -> Result<(), MailError> {
        if length > self.size_limit.saturating_mul(SKIPPED_AT_MOST) {
            return Err(protocol(self.stage, "the server sends far more than is taken"));
        }
        Ok(())
    }

    /// Passes over so many bytes, without keeping them.
    pub(crate) async fn skip(&mut self, length: u64) -> Result<(), MailError> {
        self.may_skip(length)?;
        self.left = self.left.saturating_add(length);
        let mut left = length;
        loop {
            let have = (self.buffer.len() - self.taken) as u64;
            let step = usize::try_from(have.min(left)).unwrap_or_default();
            self.taken += step;
            left -= step as u64;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// Exactly so many bytes.
    pub(crate) async fn block(&mut self, length: usize) -> Result<Vec<u8>, MailError> {
        if length as u64 > self.size_limit {
            return Err(protocol(self.stage, format!("the server announced {length} bytes, more than is taken")));
        }
        let mut block = Vec::new();
        loop {
            let have = self.buffer.len() - self.taken;
            let take = have.min(length - block.len());
            block.extend_from_slice(&self.buffer[self.taken..self.taken + take]);
            self.taken += take;
            if block.len() == length {
                return Ok(block);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), MailError> {
        if self.left == 0 {
            return Err(protocol(self.stage, "the server sends more than was asked for"));
        }
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let filled = self.buffer.len();
        self.buffer.resize(filled + 64 * 1024, 0);
        let read = timeout(self.step_timeout, self.stream.read(&mut self.buffer[filled..])).await;
        self.buffer.truncate(filled + read.as_ref().map_or(0, |it| *it.as_ref().unwrap_or(&0)));
        match read {
            Ok(Ok(0)) => Err(self.broken("the server closed the connection")),
            Ok(Ok(n)) => {
                self.left = self.left.saturating_sub(n as u64);
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
        let seconds = self.step_timeout.as_secs();
        MailError::new(ErrorKind::Timeout, self.stage, format!("no answer within {seconds} s"))
    }
}
