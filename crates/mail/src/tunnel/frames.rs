//! A WebSocket as a stream of bytes that notices when nobody is at the other end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite, Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

/// How often each side asks whether the other is there.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Without a word for so long, it is not.
const SILENT_AT_MOST: Duration = Duration::from_secs(40);
/// Bytes that are sent as one message.
const MESSAGE: usize = 32 * 1024;

/// What of a WebSocket matters here, whichever library carries it.
#[derive(Debug)]
pub enum Frame {
    Data(Bytes),
    /// Only ever sent: the libraries answer those that come.
    Ping,
    /// A sign of life without content.
    Life,
}

/// A WebSocket.
pub trait Frames: Stream<Item = io::Result<Frame>> + Sink<Frame, Error = io::Error> + Send + Unpin {}
impl<T: Stream<Item = io::Result<Frame>> + Sink<Frame, Error = io::Error> + Send + Unpin> Frames for T {}

/// The bytes of a WebSocket's messages, one after the other.
pub(super) struct ByteStream<F> {
    frames: F,
    /// Of the last message, what was not read yet.
    rest: Bytes,
    /// What becomes the next message.
    written: BytesMut,
    heard_at: Instant,
    ticks: Interval,
    owes_ping: bool,
}

impl<F: Frames> ByteStream<F> {
    pub(super) fn new(frames: F) -> Self {
        let mut ticks = interval(PING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (rest, written) = (Bytes::new(), BytesMut::new());
        Self { frames, rest, written, heard_at: Instant::now(), ticks, owes_ping: false }
    }

    /// Asks for a sign of life when it is time; an error if none came for too long.
    fn keep_alive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.ticks.poll_tick(cx).is_ready() {
            if self.heard_at.elapsed() > SILENT_AT_MOST {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the other end keeps silent"));
            }
            self.owes_ping = true;
        }
        if self.owes_ping && self.frames.poll_ready_unpin(cx)?.is_ready() {
            self.frames.start_send_unpin(Frame::Ping)?;
            self.owes_ping = false;
            // Whether it left already does not matter: the next flush takes it along.
            _ = self.frames.poll_flush_unpin(cx)?;
        }
        Ok(())
    }

    fn send_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.written.is_empty() {
            ready!(self.frames.poll_ready_unpin(cx))?;
            let message = self.written.split().freeze();
            self.frames.start_send_unpin(Frame::Data(message))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<F: Frames> AsyncRead for ByteStream<F> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.keep_alive(cx)?;
        while this.rest.is_empty() {
            match ready!(this.frames.poll_next_unpin(cx)).transpose()? {
                None => return Poll::Ready(Ok(0)),
                Some(Frame::Data(bytes)) => this.rest = bytes,
                Some(Frame::Ping | Frame::Life) => {}
            }
            this.heard_at = Instant::now();
        }
        let n = this.rest.len().min(buffer.len());
        this.rest.copy_to_slice(&mut buffer[..n]);
        Poll::Ready(Ok(n))
    }
}

impl<F: Frames> AsyncWrite for ByteStream<F> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.keep_alive(cx)?;
        if this.written.len() >= MESSAGE {
            ready!(this.send_written(cx))?;
        }
        let n = bytes.len().min(MESSAGE - this.written.len());
        this.written.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.keep_alive(cx)?;
        ready!(this.send_written(cx))?;
        this.frames.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(this.send_written(cx))?;
        this.frames.poll_close_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::AsyncReadExt as _;

    use super::*;

    /// Takes everything and never says a word.
    #[derive(Default)]
    struct Nobody {
        n_pings: usize,
    }

    impl Stream for Nobody {
        type Item = io::Result<Frame>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame>>> {
            Poll::Pending
        }
    }

    impl Sink<Frame> for Nobody {
        type Error = io::Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, frame: Frame) -> io::Result<()> {
            self.n_pings += usize::from(matches!(frame, Frame::Ping));
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_keeps_silent_is_asked_and_then_given_up() {
        let began = Instant::now();
        let mut bytes = ByteStream::new(Nobody::default());
        let error = bytes.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= SILENT_AT_MOST && began.elapsed() <= SILENT_AT_MOST + PING_EVERY);
        assert!(bytes.frames.n_pings >= 2);
    }
}
