//! Reads ahead of TLS, which itself asks for 4 KiB at a time; holds no memory while nothing comes.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Two TLS records.
const ROOM: usize = 32 * 1024;

pub(crate) struct Ahead<S> {
    stream: S,
    buffer: Vec<u8>,
    taken: usize,
}

impl<S> Ahead<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), taken: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, buffer, taken } = self.get_mut();
        if *taken == buffer.len() {
            buffer.clear();
            *taken = 0;
            buffer.reserve(ROOM);
            let read = pin!(stream.read_buf(buffer)).poll(context);
            if read.is_pending() {
                *buffer = Vec::new();
            }
            ready!(read)?;
        }
        let n = into.remaining().min(buffer.len() - *taken);
        into.put_slice(&buffer[*taken..*taken + n]);
        *taken += n;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
