//! A server that plays a script, and remembers every byte that it was sent.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{HANG, PASSWORD, gives_away};

/// What a peer does, in order. After the last step it swallows until the client leaves, so that nothing but the script is to
/// blame for how the client ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Vec<Step>);

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    /// The next line holds this text.
    Expect(String),
    Tls(Arc<ServerConfig>),
    Close,
    /// Byte by byte, with a pause after each.
    Drip(Vec<u8>, Duration),
    /// The same again and again, until the client leaves.
    Flood(Vec<u8>),
}

impl Script {
    fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }

    pub(crate) fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Send(bytes.as_ref().to_vec()))
    }

    pub(crate) fn expect(self, text: &str) -> Self {
        self.then(Step::Expect(text.to_owned()))
    }

    /// Expects a line and answers it.
    pub(crate) fn answer(self, text: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.expect(text).send(bytes)
    }

    /// The rest is inside TLS.
    pub(crate) fn tls(self) -> Self {
        self.tls_as(self_signed())
    }

    /// The same with another certificate.
    pub(crate) fn tls_as(self, config: Arc<ServerConfig>) -> Self {
        self.then(Step::Tls(config))
    }

    pub(crate) fn close(self) -> Self {
        self.then(Step::Close)
    }

    pub(crate) fn drip(self, bytes: impl AsRef<[u8]>, pause: Duration) -> Self {
        self.then(Step::Drip(bytes.as_ref().to_vec(), pause))
    }

    pub(crate) fn flood(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Step::Flood(bytes.as_ref().to_vec()))
    }
}

/// A running peer. It takes one connection.
pub(crate) struct Peer {
    pub(crate) port: u16,
    task: JoinHandle<Result<u64, String>>,
    is_taken: Arc<AtomicBool>,
    received: Arc<Mutex<Vec<u8>>>,
}

/// What a peer saw.
pub(crate) struct Recording {
    /// Bytes as they crossed the network.
    pub(crate) received: Vec<u8>,
    /// Bytes that the client's side took, its system's buffers included.
    pub(crate) n_sent: u64,
}

impl Peer {
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_on("127.0.0.1", script).await
    }

    /// The same on another address of this machine.
    pub(crate) async fn start_on(address: &str, script: Script) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let is_taken = Arc::new(AtomicBool::new(false));
        let (tapped, taken) = (Arc::clone(&received), Arc::clone(&is_taken));
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.map_err(|it| it.to_string())?;
            taken.store(true, Ordering::SeqCst);
            stream.set_nodelay(true).map_err(|it| it.to_string())?;
            play(script, Tap { stream, received: tapped }).await
        });
        Self { port, task, is_taken, received }
    }

    /// Nobody has connected so far.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.is_taken.load(Ordering::SeqCst)
    }

    /// What it was sent so far.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }

    /// Waits until the client has left; fails if it did not keep to the script.
    pub(crate) async fn end(self) -> Recording {
        let played = timeout(HANG, self.task).await.expect("the client does not leave").unwrap();
        let n_sent = played.unwrap_or_else(|it| panic!("{it}"));
        Recording { received: std::mem::take(&mut self.received.lock().unwrap()), n_sent }
    }
}

impl Recording {
    /// Nothing that would let anybody sign in crossed the network readably.
    pub(crate) fn assert_no_secret(&self) {
        let text = String::from_utf8_lossy(&self.received);
        assert!(!gives_away(&self.received, PASSWORD), "a secret in clear: {text}");
        assert!(!gives_away(&self.received, "user"), "the user name in clear: {text}");
    }
}

async fn play(script: Script, stream: Tap) -> Result<u64, String> {
    let mut stream: Box<dyn Duplex> = Box::new(stream);
    let mut line = Vec::new();
    let mut n_sent = 0;
    for step in script.0 {
        match step {
            // A client that leaves in the middle is what some tests are about: the next expectation notices if it is not.
            Step::Send(bytes) => n_sent += write(&mut stream, &bytes).await.unwrap_or(0),
            Step::Expect(text) => {
                line.clear();
                while !line.ends_with(b"\n") {
                    let byte = stream.read_u8().await.map_err(|it| format!("instead of {text:?}: {it}"))?;
                    line.push(byte);
                }
                let found = String::from_utf8_lossy(&line);
                if !found.contains(&text) {
                    return Err(format!("{text:?} expected, {found:?} found"));
                }
            }
            Step::Tls(config) => {
                let accepted = TlsAcceptor::from(config).accept(stream).await.map_err(|it| format!("no TLS: {it}"))?;
                stream = Box::new(accepted);
            }
            Step::Close => {
                _ = stream.shutdown().await;
                return Ok(n_sent);
            }
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    if write(&mut stream, &[byte]).await.is_err() {
                        return Ok(n_sent);
                    }
                    n_sent += 1;
                    tokio::time::sleep(pause).await;
                }
            }
            Step::Flood(bytes) => {
                while let Ok(n) = write(&mut stream, &bytes).await {
                    n_sent += n;
                }
                return Ok(n_sent);
            }
        }
    }
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
    Ok(n_sent)
}

async fn write(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> io::Result<u64> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    Ok(bytes.len() as u64)
}

/// A certificate for `localhost` and 127.0.0.1 that nobody has signed but itself.
fn self_signed() -> Arc<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Arc::new(config)
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The bare connection, below TLS: what is readable here is readable by anybody on the way.
struct Tap {
    stream: TcpStream,
    received: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, into);
        self.received.lock().unwrap().extend_from_slice(&into.filled()[before..]);
        result
    }
}

impl AsyncWrite for Tap {
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
