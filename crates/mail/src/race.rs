//! One connection to a host with several addresses.

use std::{net::SocketAddr, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

/// How long an attempt is alone before the next address is tried too (RFC 8305 section 8: Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to the first address that answers. They are tried in their order, each a little after the one before or at once when that
/// failed (RFC 8305 section 5): one that swallows every packet does not hide the others. The error is the last attempt's.
pub(crate) async fn connect(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), String> {
    let mut left = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut why = "no address".to_owned();
    loop {
        let next = left.next();
        if let Some(address) = next {
            attempts.push(async move { (address, TcpStream::connect(address).await) });
        }
        tokio::select! {
            Some((address, attempt)) = attempts.next() => match attempt {
                Ok(stream) => {
                    // Small commands wait for nothing; a failure to set this only costs time.
                    _ = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Err(error) => why = format!("{address}: {error}"),
            },
            () = sleep(ATTEMPT_DELAY), if next.is_some() => {}
            else => return Err(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        net::{TcpListener, TcpSocket},
        time::timeout,
    };

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address that lets connections wait without an end: its queue is full.
    async fn silent() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        (listener, queue, address)
    }

    #[tokio::test]
    async fn an_address_that_is_silent_hides_no_other() {
        let (_silent, _queue, silent) = silent().await;
        let (_open, open) = listener().await;
        let both = [silent, open];
        let connecting = timeout(Duration::from_secs(10), connect(&both));
        assert_eq!(connecting.await.expect("the second address is tried in time").unwrap().1, open);
    }

    #[tokio::test]
    async fn one_that_refuses_is_passed_at_once_and_the_first_that_answers_wins() {
        let (closed, refusing) = listener().await;
        drop(closed);
        let ((_first, first), (_second, second)) = (listener().await, listener().await);
        assert_eq!(connect(&[refusing, first, second]).await.unwrap().1, first);
        let error = connect(&[refusing]).await.unwrap_err();
        assert!(error.starts_with(&refusing.to_string()), "{error}");
        assert_eq!(connect(&[]).await.unwrap_err(), "no address");
    }
}
