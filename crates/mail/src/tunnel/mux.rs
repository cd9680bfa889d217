//! Many streams over one tunnel. Each has a window of its own, so one that nobody reads holds up no other.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use yamux::{Config, Connection, Mode, Stream};

/// Streams that are opened at once over one tunnel.
pub(super) const STREAMS_MAX: usize = 512;
/// Streams that are taken: some whose opener has left already are not over here.
const TAKEN_MAX: usize = 2 * STREAMS_MAX;
/// What a stream may have on the way and unread.
const WINDOW: usize = yamux::DEFAULT_CREDIT as usize;

/// Takes the stream that was asked for; dropped when there is none.
pub(super) type Wanted = oneshot::Sender<Stream>;

/// One end of a tunnel.
pub(super) struct Mux<T> {
    connection: Connection<T>,
    wanted: mpsc::Receiver<Wanted>,
    next: Option<Wanted>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Mux<T> {
    /// Posthorn is the server, whoever dialled.
    pub(super) fn new(bytes: T, mode: Mode, wanted: mpsc::Receiver<Wanted>) -> Self {
        let most = match mode {
            Mode::Server => STREAMS_MAX,
            Mode::Client => TAKEN_MAX,
        };
        let mut config = Config::default();
        config.set_max_num_streams(most);
        config.set_max_connection_receive_window(Some(most * WINDOW));
        Self { connection: Connection::new(bytes, config, mode), wanted, next: None }
    }

    /// Carries bytes until the other end opens a stream; `None` at the end of the tunnel.
    pub(super) async fn next_stream(&mut self) -> io::Result<Option<Stream>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Says good-bye.
    pub(super) async fn close(&mut self) {
        _ = poll_fn(|cx| self.connection.poll_close(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Stream>>> {
        while let Some(wanted) = self.poll_wanted(cx) {
            match self.connection.poll_new_outbound(cx) {
                Poll::Ready(Ok(stream)) => _ = wanted.send(stream),
                // Too many: whoever wanted it learns of it by the sender's end.
                Poll::Ready(Err(yamux::ConnectionError::TooManyStreams)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Pending => {
                    self.next = Some(wanted);
                    break;
                }
            }
        }
        self.connection.poll_next_inbound(cx).map(|it| it.transpose().map_err(io::Error::other))
    }

    fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Option<Wanted> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        match self.wanted.poll_recv(cx) {
            Poll::Ready(wanted) => wanted,
            Poll::Pending => None,
        }
    }
}
