//! One connection: where it may lead, and the bytes both ways.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use domain::account::Address;
use tokio::{
    io::{AsyncWriteExt as _, BufReader, copy_buf, split},
    net::TcpStream,
    time::timeout,
};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;

use super::allow::AllowList;
use crate::{
    egress::Resolver,
    race,
    tunnel::target::{Outcome, Target, answered, asked},
};

/// How long the server may take to say where a stream leads.
const ASKING: Duration = Duration::from_secs(10);
/// How long a name may take to be found, and a connection to be made: together less than the server waits.
const LOOKING_UP: Duration = Duration::from_secs(4);
const CONNECTING: Duration = Duration::from_secs(6);
/// How long the rest may take once one side has nothing more to say.
const LINGERING: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const BUFFER: usize = 16 * 1024;

/// What a connection may need.
pub(super) struct Way {
    pub(super) allow: AllowList,
    pub(super) resolver: Arc<dyn Resolver>,
}

impl Way {
    pub(super) async fn carry(&self, stream: yamux::Stream) {
        let mut stream = stream.compat();
        let Ok(Ok(target)) = timeout(ASKING, asked(&mut stream)).await else { return };
        let Target { host, port } = &target;
        match self.reach(&target).await {
            Ok(socket) => {
                tracing::debug!(host, port, "connected");
                if answered(&mut stream, Outcome::Connected).await.is_ok() {
                    relay(stream, socket).await;
                }
            }
            Err(outcome) => {
                tracing::warn!(host, port, "this agent {}", outcome.message());
                // A tunnel that broke meanwhile needs no answer.
                _ = answered(&mut stream, outcome).await;
                _ = stream.shutdown().await;
            }
        }
    }

    async fn reach(&self, Target { host, port }: &Target) -> Result<TcpStream, Outcome> {
        let address = Address::parse(host).map_err(|_| Outcome::NotAllowed)?;
        let addresses = match address.ip() {
            Some(ip) if self.allow.permits(None, ip, *port) => vec![SocketAddr::new(ip, *port)],
            Some(_) => return Err(Outcome::NotAllowed),
            None => self.look_up(address.as_str(), *port).await?,
        };
        let connecting = async { race::connect(&addresses).await.map(|it| it.0).map_err(|_| Outcome::Refused) };
        timeout(CONNECTING, connecting).await.unwrap_or(Err(Outcome::Timeout))
    }

    /// Only addresses that are allowed: whoever connects, connects to one of these.
    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, Outcome> {
        if !self.allow.may_permit(name, port) {
            return Err(Outcome::NotAllowed);
        }
        let found = timeout(LOOKING_UP, self.resolver.look_up(name, port)).await.map_err(|_| Outcome::Timeout)?;
        let found = found.ok().filter(|it| !it.is_empty()).ok_or(Outcome::NotFound)?;
        let permitted = |it: &SocketAddr| self.allow.permits(Some(name), it.ip(), port);
        let allowed: Vec<_> = found.iter().copied().filter(permitted).collect();
        if allowed.is_empty() {
            tracing::warn!(name, addresses = ?found, "the name leads to addresses that are not allowed");
            return Err(Outcome::NotAllowed);
        }
        Ok(allowed)
    }
}

/// Until both sides have said everything, or one has and the other takes too long.
async fn relay(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite, mut socket: TcpStream) {
    let (from_server, mut to_server) = split(stream);
    let (from_mail, mut to_mail) = socket.split();
    let up = async {
        copy_buf(&mut BufReader::with_capacity(BUFFER, from_server), &mut to_mail).await?;
        to_mail.shutdown().await
    };
    let down = async {
        copy_buf(&mut BufReader::with_capacity(BUFFER, from_mail), &mut to_server).await?;
        to_server.shutdown().await
    };
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    // What broke one way is of no use the other way.
    tokio::select! {
        ended = &mut up => if ended.is_ok() { _ = timeout(LINGERING, down).await },
        ended = &mut down => if ended.is_ok() { _ = timeout(LINGERING, up).await },
    }
}
