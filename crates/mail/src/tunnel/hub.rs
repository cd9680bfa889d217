//! The tunnels that agents hold open to this instance, and the way through them.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use domain::{
    account::Address,
    agent::Tunnel,
    check::{ErrorKind, Stage},
    ids::{AgentId, ConnectorId},
    time::Timestamp,
};
use service::ports::{MailError, Tunnels};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{
    compat::{Compat, FuturesAsyncReadCompatExt as _},
    sync::CancellationToken,
};
use yamux::Mode;

use super::{
    frames::{ByteStream, Frames},
    mux::{Mux, STREAMS_MAX, Wanted},
    target::{Outcome, Target, ask},
};
use crate::{dial::failed, wire::Stream};

/// Openings that wait for one tunnel.
const WAITING_AT_MOST: usize = 64;
/// How long one agent may take to open a connection: longer than it tries, and so short that another one gets its turn.
const OPENING: Duration = Duration::from_secs(12);

/// Who holds a tunnel.
#[derive(Clone, Debug)]
pub struct Attached {
    pub agent: AgentId,
    pub connector: ConnectorId,
    /// As people know it.
    pub name: String,
    pub since: Timestamp,
}

/// All tunnels to this instance. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    instance: String,
    tunnels: Mutex<HashMap<ConnectorId, Vec<Arc<Live>>>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { instance: format!("{:016x}", rand::random::<u64>()), tunnels: Mutex::default() }
    }
}

#[derive(Debug)]
struct Live {
    who: Attached,
    wanted: mpsc::Sender<Wanted>,
    n_streams: AtomicU32,
    over: CancellationToken,
}

impl Hub {
    /// Carries the streams of an agent that is welcome until the tunnel breaks, `until` comes true, or the agent is cut off. Another
    /// tunnel of the same agent ends: it has dialled anew.
    pub async fn carry(&self, who: Attached, frames: impl Frames, until: impl Future<Output = ()>) -> io::Result<()> {
        let (wanted, asked) = mpsc::channel(WAITING_AT_MOST);
        let live = Arc::new(Live { who, wanted, n_streams: AtomicU32::new(0), over: CancellationToken::new() });
        let _entry = Entry::new(self, &live);
        let mut mux = Mux::new(ByteStream::new(frames), Mode::Server, asked);
        tokio::select! {
            ended = mux.next_stream() => match ended? {
                None => Ok(()),
                Some(_) => Err(io::Error::other("an agent opens no streams")),
            },
            () = until => Ok(()),
            () = live.over.cancelled() => Ok(()),
        }
    }

    /// The agents that a way by this connector has at the moment.
    pub(crate) fn n_agents(&self, connector: ConnectorId) -> usize {
        self.map().get(&connector).map_or(0, Vec::len)
    }

    /// A connection to the target: by the agent with the fewest, or by another one where that fails. Has no deadline of its own.
    pub(crate) async fn open(
        &self,
        connector: ConnectorId,
        (address, port): (&Address, u16),
    ) -> Result<(Box<dyn Stream>, String), MailError> {
        let (stream, agent) = self.connect(connector, address, port).await?;
        Ok((Box::new(stream), format!("agent {agent} to {address} port {port}")))
    }

    /// The same, with the name of the agent.
    pub async fn connect(
        &self,
        connector: ConnectorId,
        address: &Address,
        port: u16,
    ) -> Result<(Carried, String), MailError> {
        let target = Target { host: address.as_str().to_owned(), port };
        let mut error = nobody();
        for live in self.by_load(connector) {
            let name = live.who.name.clone();
            match Live::open(live, &target).await {
                Ok(stream) => return Ok((stream, name)),
                Err(why) => error = why.told(&name),
            }
        }
        Err(error)
    }

    /// The one with the fewest streams first.
    fn by_load(&self, connector: ConnectorId) -> Vec<Arc<Live>> {
        let mut live = self.map().get(&connector).cloned().unwrap_or_default();
        live.sort_by_key(|it| it.n_streams.load(Ordering::Relaxed));
        live
    }

    fn map(&self) -> MutexGuard<'_, HashMap<ConnectorId, Vec<Arc<Live>>>> {
        self.0.tunnels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tunnels for Hub {
    fn instance(&self) -> &str {
        &self.0.instance
    }

    fn live(&self, connector: ConnectorId) -> Vec<Tunnel> {
        let shown = |it: &Arc<Live>| Tunnel {
            agent_id: it.who.agent,
            since: it.who.since,
            n_streams: it.n_streams.load(Ordering::Relaxed),
        };
        self.map().get(&connector).map(|it| it.iter().map(shown).collect()).unwrap_or_default()
    }

    fn cut(&self, agent: AgentId) {
        for live in self.map().values().flatten().filter(|it| it.who.agent == agent) {
            live.over.cancel();
        }
    }
}

/// There is no agent to ask.
pub(crate) fn nobody() -> MailError {
    failed("no agent of this connector is connected to this instance")
}

/// A tunnel in the map, for as long as it is carried.
struct Entry<'a> {
    hub: &'a Hub,
    live: &'a Arc<Live>,
}

impl<'a> Entry<'a> {
    fn new(hub: &'a Hub, live: &'a Arc<Live>) -> Self {
        let mut map = hub.map();
        for other in map.values().flatten().filter(|it| it.who.agent == live.who.agent) {
            other.over.cancel();
        }
        map.entry(live.who.connector).or_default().push(Arc::clone(live));
        drop(map);
        Self { hub, live }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut map = self.hub.map();
        if let Some(all) = map.get_mut(&self.live.who.connector) {
            all.retain(|it| !Arc::ptr_eq(it, self.live));
            if all.is_empty() {
                map.remove(&self.live.who.connector);
            }
        }
    }
}

/// Why one agent gives no connection.
enum Fault {
    Full,
    Silent,
    Broken(String),
    Answered(Outcome),
}

impl Fault {
    fn told(self, agent: &str) -> MailError {
        let message = match self {
            Self::Full => format!("the agent {agent} carries as many connections as it can"),
            Self::Silent => format!("the agent {agent} does not answer"),
            Self::Broken(ref error) => format!("the tunnel of the agent {agent} broke: {error}"),
            Self::Answered(outcome) => format!("the agent {agent} {}", outcome.message()),
        };
        match self {
            Self::Silent | Self::Answered(Outcome::Timeout) => {
                MailError::new(ErrorKind::Timeout, Stage::Connector, message)
            }
            _ => failed(message),
        }
    }
}

impl Live {
    async fn open(live: Arc<Self>, target: &Target) -> Result<Carried, Fault> {
        let n_before = live.n_streams.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(live);
        if usize::try_from(n_before).unwrap_or(usize::MAX) >= STREAMS_MAX {
            return Err(Fault::Full);
        }
        let opening = async {
            let (wanted, given) = oneshot::channel();
            counted.0.wanted.send(wanted).await.map_err(|_| Fault::Broken("it is over".to_owned()))?;
            let over = || Fault::Broken("it is over".to_owned());
            let none = |_| if counted.0.wanted.is_closed() { over() } else { Fault::Full };
            let mut stream = given.await.map_err(none)?.compat();
            match ask(&mut stream, target).await.map_err(|it| Fault::Broken(it.to_string()))? {
                Outcome::Connected => Ok(stream),
                refused => Err(Fault::Answered(refused)),
            }
        };
        let stream = tokio::select! {
            opened = timeout(OPENING, opening) => opened.unwrap_or(Err(Fault::Silent))?,
            () = counted.0.over.cancelled() => return Err(Fault::Broken("it is over".to_owned())),
        };
        Ok(Carried { stream, _counted: counted })
    }
}

/// Counts a stream until it is dropped.
struct Counted(Arc<Live>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.n_streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection by an agent.
pub struct Carried {
    stream: Compat<yamux::Stream>,
    _counted: Counted,
}

impl AsyncRead for Carried {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
