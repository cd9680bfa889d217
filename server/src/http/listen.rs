//! The loop that takes connections: so many at once, and each with deadlines for what its client sends and for what he does not
//! read. HTTP/1.1 only; a proxy in front speaks what else browsers want.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, serve::Listener as _};
use hyper::{
    Request,
    body::{Bytes, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Sleep, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::impatient::Impatient;

/// The most bytes of a request's head.
const HEAD_MAX: usize = 64 * 1024;
/// How often is said that there are too many connections.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at once. For a further one that gives way on which nothing was asked for longest; else it waits. Those that became an agent's tunnel do not count.
    pub(crate) n_connections: usize,
    /// For the whole head of a request, from when it may come; so a connection may be idle so long.
    pub(crate) head: Duration,
    /// For the whole body of a request.
    pub(crate) body: Duration,
    /// For a client that takes nothing of an answer.
    pub(crate) write: Duration,
}

impl Bounds {
    pub(crate) fn new(n_connections: usize) -> Self {
        let (head, minute) = (Duration::from_secs(15), Duration::from_mins(1));
        Self { n_connections, head, body: minute, write: minute }
    }
}

/// Serves until `stopped` says so, and then what is under way until it has ended.
pub(crate) async fn serve(
    mut listener: TcpListener,
    router: Router,
    bounds: Bounds,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(bounds.n_connections));
    let silent = Arc::new(Silent::default());
    let connections = TaskTracker::new();
    let stopping = stopped.clone();
    let mut said = None;
    for id in 0.. {
        let (stream, peer, place) = tokio::select! {
            biased;
            () = said_so(&mut stopped) => break,
            taken = take(&mut listener, &places, &silent, &mut said) => taken,
        };
        let left = silent.enter(id);
        let (router, silent, stopping) = (router.clone(), Arc::clone(&silent), stopping.clone());
        connections.spawn(async move {
            let _place = place;
            tokio::select! {
                () = left.cancelled() => {}
                () = converse(stream, peer, router, bounds, (id, &silent), stopping) => silent.leave(id),
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Connections on which nothing was asked yet, by their age.
#[derive(Default)]
struct Silent(Mutex<BTreeMap<u64, CancellationToken>>);

impl Silent {
    /// What is cancelled when it has to give way.
    fn enter(&self, id: u64) -> CancellationToken {
        let token = CancellationToken::new();
        self.all().insert(id, token.clone());
        token
    }

    fn leave(&self, id: u64) {
        self.all().remove(&id);
    }

    fn end_oldest(&self) {
        if let Some((_, oldest)) = self.all().pop_first() {
            oldest.cancel();
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next connection, once there is a place for it: the one that has been silent longest gives way.
async fn take(
    listener: &mut TcpListener,
    places: &Arc<Semaphore>,
    silent: &Silent,
    said: &mut Option<Instant>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // What goes wrong here it says and waits out, such as a lack of descriptors.
    let (stream, peer) = listener.accept().await;
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return (stream, peer, Some(place));
    }
    if said.is_none_or(|it| it.elapsed() >= SAY_EVERY) {
        *said = Some(Instant::now());
        tracing::warn!("as many connections as there may be: silent ones give way, and further ones wait");
    }
    silent.end_oldest();
    // The places are never closed.
    (stream, peer, Arc::clone(places).acquire_owned().await.ok())
}

async fn said_so(stopped: &mut watch::Receiver<bool>) {
    // Without anybody who could say so it has been said.
    _ = stopped.wait_for(|it| *it).await;
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    bounds: Bounds,
    (id, silent): (u64, &Silent),
    mut stopping: watch::Receiver<bool>,
) {
    // What goes by an agent is often a short line that somebody waits for.
    _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        silent.leave(id);
        let router = router.clone();
        async move {
            let mut request = request.map(|it| timed(it, bounds.body));
            request.extensions_mut().insert(ConnectInfo(peer));
            router.oneshot(request).await as Result<_, Infallible>
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(bounds.head).max_buf_size(HEAD_MAX);
    let stream = TokioIo::new(Impatient::new(stream, bounds.write));
    let mut connection = pin!(server.serve_connection(stream, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = said_so(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

fn timed(body: Incoming, within: Duration) -> Body {
    use hyper::body::Body as _;

    if body.is_end_stream() { Body::new(body) } else { Body::new(Timed { body, deadline: Box::pin(sleep(within)) }) }
}

/// A body that has to be there in time.
struct Timed {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl hyper::body::Body for Timed {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|it| it.map_err(Into::into)));
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Some(Err("the body of the request was not there in time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        task::JoinHandle,
        time::timeout,
    };

    use super::*;

    /// For what must come.
    const PATIENCE: Duration = Duration::from_secs(30);
    const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    struct World {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        serving: JoinHandle<()>,
    }

    async fn world(router: Router, n_connections: usize) -> World {
        let short = Duration::from_millis(300);
        with_bounds(router, Bounds { n_connections, head: short, body: short, write: short }).await
    }

    async fn with_bounds(router: Router, bounds: Bounds) -> World {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        World { address, stop, serving: tokio::spawn(serve(listener, router, bounds, stopped)) }
    }

    fn live() -> Router {
        let whose = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { format!("live for {}", peer.ip()) };
        Router::new().route("/health/live", get(whose)).route("/take", post(|body: String| async move { body }))
    }

    impl World {
        async fn say(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    /// Everything until the server closes.
    async fn answer(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut text)).await;
        _ = read.expect("the server closes");
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn half_open_heads_give_way_at_once() {
        let hour = Duration::from_hours(1);
        let world = with_bounds(live(), Bounds { n_connections: 3, head: hour, body: hour, write: hour }).await;
        let mut half_open = Vec::new();
        for _ in 0..20 {
            half_open.push(world.say("GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await);
            assert!(answer(world.say(LIVE).await).await.ends_with("live for 127.0.0.1"));
        }
    }

    #[tokio::test]
    async fn half_open_heads_end() {
        let world = world(live(), 10).await;
        let mut half_open = Vec::new();
        for text in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "POST /take HTTP/1.1\r\n"] {
            half_open.push(world.say(text).await);
        }
        assert!(answer(world.say(LIVE).await).await.ends_with("live for 127.0.0.1"));
        for it in half_open {
            assert_eq!(answer(it).await, "");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_refused() {
        let world = world(live(), 3).await;
        let text = "POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
        assert!(answer(world.say(&format!("{text}12345")).await).await.ends_with("12345"));
        let slow = answer(world.say(&format!("{text}1234")).await).await;
        assert!(slow.starts_with("HTTP/1.1 400"), "{slow}");
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_leaves_its_place_to_others() {
        let more_than_sockets_hold = || async { vec![0; 64 * 1024 * 1024] };
        let world = world(live().route("/large", get(more_than_sockets_hold)), 1).await;
        let unread = world.say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer(world.say(LIVE).await).await.ends_with("live for 127.0.0.1"));
        drop(unread);
    }

    #[tokio::test]
    async fn what_is_under_way_ends_before_the_server_does() {
        let (asked, was_asked) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel();
        let ends = Arc::new(std::sync::Mutex::new(Some((asked, goes_on))));
        let slow = move || {
            let (asked, goes_on) = ends.lock().unwrap().take().unwrap();
            async move {
                asked.send(()).unwrap();
                goes_on.await.unwrap();
                "done"
            }
        };
        let world = world(Router::new().route("/slow", get(slow)), 3).await;
        let idle = world.say("").await;
        let under_way = world.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
        was_asked.await.unwrap();
        world.stop.send_replace(true);
        assert_eq!(answer(idle).await, "");
        assert!(!world.serving.is_finished());
        go_on.send(()).unwrap();
        assert!(answer(under_way).await.ends_with("done"));
        timeout(PATIENCE, world.serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(world.address).await.is_err());
    }
}
