//! SSH jump hosts (RFC 4252 to 4254): one session a connector, shared by the channels of many visits.
//!
//! **Invariant:** nothing but the key exchange happens before the server has shown the key that was approved for it.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use domain::{
    account::Address,
    check::{ErrorKind, Stage},
    connector::HostKey,
    credential::is_private_key,
    ids::ConnectorId,
};
use russh::{
    Channel, ChannelOpenFailure, ChannelStream, MethodKind, Preferred,
    client::{self, AuthResult, Handle, KeyboardInteractiveAuthResponse, Msg},
    keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate, decode_secret_key},
};
use service::{
    ports::{MailError, ViaConnector},
    secret::Secret,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::{dial::failed, egress::Egress, stages::Stages, wire::Stream};

/// A session without channels is ended after so long.
const IDLE: Duration = Duration::from_mins(5);
/// How often that is looked at.
const LOOKED_AFTER: Duration = Duration::from_secs(30);
/// A session that did something so lately is not asked whether it is still there.
const FRESH: Duration = Duration::from_secs(5);
/// How long it may take to answer that.
const PING: Duration = Duration::from_secs(5);
/// A server that refused the credential is not asked again for so long: many accounts would lock the user out.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// Rounds of questions in the place of a password (RFC 4256).
const ROUNDS: usize = 3;

/// The sessions with jump hosts.
#[derive(Default)]
pub(crate) struct Pool(Mutex<HashMap<ConnectorId, Arc<Slot>>>);

/// One connector's session. Whoever holds the lock dials; the others wait for what comes of it.
#[derive(Default)]
struct Slot(Arc<tokio::sync::Mutex<Option<Held>>>);

struct Held {
    mark: Mark,
    state: State,
}

enum State {
    Open(Arc<Session>),
    Refused { since: Instant, error: MailError },
}

/// What a session was opened with; with anything else it is another one.
type Mark = (i64, [u8; 32]);

fn mark(connector: &ViaConnector) -> Mark {
    let (name, secret) = connector.credential.as_ref().map(|it| (it.0.as_str(), it.1.expose())).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(secret.as_bytes());
    (connector.version, *hasher.finalize().as_bytes())
}

/// Where a channel leads.
type Target<'a> = (&'a Address, u16);

impl Pool {
    /// A channel to the target, over the session that is there or over a new one.
    pub(crate) async fn open(
        &self,
        connector: &ViaConnector,
        target: Target<'_>,
        egress: &Egress,
        stages: &Stages,
    ) -> Result<Box<dyn Stream>, MailError> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&slots.entry(connector.id).or_default().0)
        };
        let mark = mark(connector);
        let mut is_second = false;
        loop {
            let began = stages.begin(Stage::Connector);
            let Ok(mut held) = timeout(stages.step_timeout, Arc::clone(&slot).lock_owned()).await else {
                let late = "nobody got through to the SSH server in time";
                return stages.run(Stage::Connector, async { Err(timed_out(late)) }).await;
            };
            let Some(session) = usable(&mut held, mark).await.map_err(|it| told(stages, began, it))? else {
                let stream = crate::dial::connect(&connector.address, connector.port, egress, stages).await?;
                return stages
                    .run(Stage::Connector, async move {
                        let seen = Seen::default();
                        let session = match Session::open(stream, connector, &seen).await {
                            Ok(session) => Arc::new(session),
                            Err(Fault::Refused(error)) => {
                                let state = State::Refused { since: Instant::now(), error: error.clone() };
                                *held = Some(Held { mark, state });
                                return Err(error);
                            }
                            Err(Fault::Other(error)) => return Err(error),
                        };
                        *held = Some(Held { mark, state: State::Open(Arc::clone(&session)) });
                        drop(held);
                        tokio::spawn(look_after(Arc::downgrade(&slot), Arc::downgrade(&session)));
                        let tunnel = session.channel(target).await.map_err(Fault::into_error)?;
                        Ok((Box::new(tunnel) as Box<dyn Stream>, through(target)))
                    })
                    .await;
            };
            drop(held);
            match timeout(stages.step_timeout, session.channel(target)).await {
                Ok(Ok(tunnel)) => {
                    stages.note(Stage::Connector, began.elapsed(), through(target));
                    return Ok(Box::new(tunnel));
                }
                // The session ended just now: the next one will do.
                Ok(Err(Fault::Other(_))) if !is_second && session.handle.is_closed() => is_second = true,
                Ok(Err(fault)) => return Err(told(stages, began, fault.into_error())),
                Err(_) => {
                    let late = format!("the SSH server did not open the way to {} in time", shown(target));
                    return Err(told(stages, began, timed_out(&late)));
                }
            }
        }
    }
}

/// The session that may be used again; what cannot be is let go.
async fn usable(held: &mut Option<Held>, mark: Mark) -> Result<Option<Arc<Session>>, MailError> {
    match held {
        Some(Held { mark: of, state: State::Refused { since, error } })
            if *of == mark && since.elapsed() < REFUSED_FOR =>
        {
            return Err(MailError { message: format!("{} (not asked again yet)", error.message), ..error.clone() });
        }
        Some(Held { mark: of, state: State::Open(session) }) if *of == mark && session.answers().await => {
            return Ok(Some(Arc::clone(session)));
        }
        _ => *held = None,
    }
    Ok(None)
}

/// Ends the session once nobody has used it for a while.
async fn look_after(slot: Weak<tokio::sync::Mutex<Option<Held>>>, session: Weak<Session>) {
    loop {
        tokio::time::sleep(LOOKED_AFTER).await;
        let (Some(slot), Some(session)) = (slot.upgrade(), session.upgrade()) else { return };
        let mut held = slot.lock().await;
        let is_held = matches!(&*held, Some(Held { state: State::Open(it), .. }) if Arc::ptr_eq(it, &session));
        if !is_held {
            return;
        }
        // The slot's, and the one here.
        let n_channels = Arc::strong_count(&session).saturating_sub(2);
        if session.handle.is_closed() || (n_channels == 0 && session.idle_for() > IDLE) {
            *held = None;
            return;
        }
    }
}

/// Tells the log of a stage that failed.
fn told(stages: &Stages, began: Instant, error: MailError) -> MailError {
    stages.failed(Stage::Connector, began.elapsed(), error.message.clone());
    error
}

fn timed_out(message: &str) -> MailError {
    MailError::new(ErrorKind::Timeout, Stage::Connector, message)
}

fn shown((address, port): Target<'_>) -> String {
    format!("{address} port {port}")
}

fn through(target: Target<'_>) -> String {
    format!("SSH to {}", shown(target))
}

/// Why there is no session or no channel.
pub(crate) enum Fault {
    /// The server does not take the credential.
    Refused(MailError),
    Other(MailError),
}

impl Fault {
    pub(crate) fn into_error(self) -> MailError {
        match self {
            Self::Refused(error) | Self::Other(error) => error,
        }
    }
}

fn other(message: impl Into<String>) -> Fault {
    Fault::Other(failed(message))
}

/// The key that the server showed.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Option<HostKey>>>);

impl Seen {
    pub(crate) fn key(&self) -> Option<HostKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Our side of a session: takes the approved key and no other.
struct Client {
    approved: Option<HostKey>,
    seen: Seen,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let shown = HostKey::parse(&shown.public_key().fingerprint(HashAlg::Sha256).to_string()).ok();
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&shown);
        Ok(shown.is_some() && shown == self.approved)
    }
}

/// An authenticated session.
pub(crate) struct Session {
    handle: Handle<Client>,
    used: Mutex<Instant>,
}

impl Session {
    pub(crate) async fn open(stream: TcpStream, connector: &ViaConnector, seen: &Seen) -> Result<Self, Fault> {
        let Some((username, secret)) = &connector.credential else {
            return Err(other("an SSH jump host needs a credential"));
        };
        let approved = connector.host_key.clone();
        let client = Client { approved: approved.clone(), seen: seen.clone() };
        let handle = client::connect_stream(Arc::new(settings()), stream, client).await;
        let mut handle = handle.map_err(|error| match (seen.key(), approved) {
            (Some(shown), None) => other(format!(
                "nobody has approved the SSH server's host key yet: it shows {shown}; test the connector and approve that key"
            )),
            (Some(shown), Some(approved)) if shown != approved => other(format!(
                "the SSH server shows another host key than the approved one: {shown} instead of {approved}; nothing was sent \
                 to it. If the server was set up anew, test the connector and approve its key"
            )),
            _ => other(format!("the SSH server cannot be talked to: {error}")),
        })?;
        if !authenticate(&mut handle, username, secret).await? {
            return Err(Fault::Refused(failed("the SSH server does not accept the credential")));
        }
        Ok(Self { handle, used: Mutex::new(Instant::now()) })
    }

    /// A channel to the target. The session stays open at least as long.
    pub(crate) async fn channel(self: &Arc<Self>, target: Target<'_>) -> Result<Tunnel, Fault> {
        let (address, port) = target;
        let opened = self.handle.channel_open_direct_tcpip(address.as_str(), port.into(), "127.0.0.1", 0).await;
        let channel: Channel<Msg> = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited) => {
                other(format!("the SSH server forbids the way to {}", shown(target)))
            }
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => {
                other(format!("the SSH server does not reach {}", shown(target)))
            }
            error => other(format!("the SSH server opens no way to {}: {error}", shown(target))),
        })?;
        self.touch();
        Ok(Tunnel { stream: channel.into_stream(), session: Arc::clone(self) })
    }

    /// Whether the server is still there.
    async fn answers(&self) -> bool {
        let is_fresh = self.idle_for() < FRESH;
        let answers = is_fresh || matches!(timeout(PING, self.handle.send_ping()).await, Ok(Ok(())));
        answers && !self.handle.is_closed()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_for(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

fn settings() -> client::Config {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let curves = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521].map(ecdsa);
    client::Config {
        keepalive_interval: Some(Duration::from_secs(20)),
        keepalive_max: 3,
        // A server that stops answering before it has authenticated us gets no keep-alive either.
        inactivity_timeout: Some(Duration::from_secs(90)),
        preferred: Preferred {
            key: [Algorithm::Ed25519].into_iter().chain(curves).collect::<Vec<_>>().into(),
            ..Preferred::DEFAULT
        },
        nodelay: true,
        ..client::Config::default()
    }
}

/// With the key if it is one; else with the password, also where the server asks for it in its own words.
async fn authenticate(handle: &mut Handle<Client>, username: &str, secret: &Secret) -> Result<bool, Fault> {
    let broken = |it: russh::Error| other(format!("the SSH server broke off the authentication: {it}"));
    if is_private_key(secret.expose()) {
        let locked = "the private key is protected by a passphrase: enter it without one";
        let key = decode_secret_key(secret.expose(), None).map_err(|it| match it {
            russh::keys::Error::KeyIsEncrypted => other(locked),
            it => other(format!("the private key cannot be read: {it}")),
        })?;
        if key.is_encrypted() {
            return Err(other(locked));
        }
        if !matches!(key.algorithm(), Algorithm::Ed25519 | Algorithm::Ecdsa { .. }) {
            return Err(other("the private key cannot be used: only Ed25519 and ECDSA keys can"));
        }
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        return Ok(handle.authenticate_publickey(username, key).await.map_err(broken)?.success());
    }
    match handle.authenticate_password(username, secret.expose()).await.map_err(broken)? {
        AuthResult::Success => Ok(true),
        AuthResult::Failure { remaining_methods, .. }
            if remaining_methods.contains(&MethodKind::KeyboardInteractive) =>
        {
            answer(handle, username, secret).await.map_err(broken)
        }
        AuthResult::Failure { .. } => Ok(false),
    }
}

/// Answers whatever is asked without an echo with the password.
async fn answer(handle: &mut Handle<Client>, username: &str, secret: &Secret) -> Result<bool, russh::Error> {
    let mut said = handle.authenticate_keyboard_interactive_start(username, None::<String>).await?;
    for _ in 0..ROUNDS {
        match said {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                let answer = |it: &client::Prompt| if it.echo { String::new() } else { secret.expose().to_owned() };
                let answers = prompts.iter().map(answer).collect();
                said = handle.authenticate_keyboard_interactive_respond(answers).await?;
            }
        }
    }
    Ok(matches!(said, KeyboardInteractiveAuthResponse::Success))
}

/// A channel as a stream of bytes.
pub(crate) struct Tunnel {
    stream: ChannelStream<Msg>,
    session: Arc<Session>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.session.touch();
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Tunnel {
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
