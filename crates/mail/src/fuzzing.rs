//! What fuzzing and its corpus reach the readers by: a server's side of a whole session as bytes, a stored message as bytes.
//!
//! Each function runs the clients as they are and panics where one breaks a promise. Nothing here is part of the product.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use domain::{
    account::{Address, Destination, Protocol, Route, Security, Trust},
    check::StageRecord,
};
use service::{
    ports::{Fetched, Listed, MailError, Mailbox, MessageReader as _, RemoteKey, StageLog, Visit, Wanted},
    secret::Secret,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};

use crate::{Reader, imap, pop3, stages::Stages, wire::Wire};

/// Small, so that what is passed over is passed over here too.
const SIZE_LIMIT: u64 = 16 * 1024;
/// Nothing waits here: only a loop could last.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
const PASSWORD: &str = "pass-ä-Zq81";
/// A session is cut into so many pieces: short ones into single bytes.
const PIECES: usize = 100;

/// The bytes are all that an IMAP server says, from its greeting on.
///
/// # Panics
/// Where the client breaks a promise.
pub fn imap(said: &[u8]) {
    check(Protocol::Imap, said);
}

/// The bytes are all that a POP3 server says, from its greeting on.
///
/// # Panics
/// Where the client breaks a promise.
pub fn pop3(said: &[u8]) {
    check(Protocol::Pop3, said);
}

/// The bytes are a message as it is stored.
///
/// # Panics
/// Where the reader breaks a promise.
pub fn message(raw: &[u8]) {
    let index = Reader.index(raw);
    for text in [&index.subject, &index.from, &index.message_id] {
        assert!(!domain::text::has_control(text), "controls in the index: {text:?}");
    }
    if let Ok(read) = Reader.read(raw) {
        for attachment in &read.attachments {
            let name = &attachment.name;
            assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']), "a path: {name:?}");
            assert!(!domain::text::has_control(name), "controls in a name: {name:?}");
            let found = Reader.attachment(raw, attachment.index).map(|(it, bytes)| (it, bytes.len() as u64));
            assert!(found == Ok((attachment.clone(), attachment.size)), "attachment {} is another", attachment.index);
        }
    }
    if let Ok(html) = Reader.html(raw) {
        let html = html.to_ascii_lowercase();
        for tag in ["<script", "<iframe", "<form", "<svg", "<base", "<link"] {
            // In a quoted value or as text it would be escaped.
            assert!(!html.contains(tag), "{tag} survives");
        }
    }
}

/// However the network cuts the bytes, the session goes the same way.
fn check(protocol: Protocol, said: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let whole = runtime.block_on(Session::run(protocol, said, usize::MAX));
    let cut = runtime.block_on(Session::run(protocol, said, said.len().div_ceil(PIECES).max(1)));
    assert_eq!(whole, cut, "the network's cuts change what is understood");
    let is_echo = String::from_utf8_lossy(said).contains(PASSWORD);
    let error = whole.error.unwrap_or_default();
    assert!(is_echo || !error.contains(PASSWORD), "the password: {error}");
    runtime.block_on(upgrade(protocol, said));
}

/// Before TLS nothing may leave that would let anybody sign in.
async fn upgrade(protocol: Protocol, said: &[u8]) {
    let (wire, heard) = wire(said, usize::MAX);
    let result = match protocol {
        Protocol::Imap => imap::start_tls(wire, &stages()).await,
        Protocol::Pop3 => pop3::start_tls(wire, &stages()).await,
    };
    if let Err(error) = result {
        assert_presentable(&error.message);
    }
    let heard = heard.take();
    let wanted: &[u8] = if protocol == Protocol::Imap { b"P1 STARTTLS\r\n" } else { b"STLS\r\n" };
    assert!(heard.is_empty() || heard == wanted, "more than the wish for TLS: {}", String::from_utf8_lossy(&heard));
}

/// What a session came to.
#[derive(Debug, Default, PartialEq)]
struct Session {
    listed: Vec<Listed>,
    messages: Vec<(RemoteKey, Vec<u8>)>,
    failed: Vec<(RemoteKey, String)>,
    deleted: Vec<RemoteKey>,
    error: Option<String>,
    heard: Vec<u8>,
}

impl Session {
    async fn run(protocol: Protocol, said: &[u8], step: usize) -> Self {
        let (wire, heard) = wire(said, step);
        let visit = visit(protocol);
        let opened = match protocol {
            Protocol::Imap => imap::open(wire, false, &visit, &stages()).await,
            Protocol::Pop3 => pop3::open(wire, false, &visit, &stages()).await,
        };
        let mut session = Self::default();
        let result = match opened {
            Ok(mailbox) => session.use_mailbox(mailbox).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            assert_presentable(&error.message);
            session.error = Some(error.message);
        }
        session.heard = heard.take();
        session
    }

    async fn use_mailbox(&mut self, mut mailbox: Box<dyn Mailbox>) -> Result<(), MailError> {
        self.listed = mailbox.list().await?.messages;
        self.listed.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let work: Vec<Listed> = self.listed.iter().take(200).cloned().collect();
        let fetched = self.fetch(&mut *mailbox, work.clone()).await;
        let all = self.messages.iter().map(|it| &it.0).chain(self.failed.iter().map(|it| &it.0));
        for key in all {
            assert!(work.iter().any(|it| it.key == *key), "nobody asked for {key:?}");
        }
        for (_, raw) in &self.messages {
            assert!(raw.len() as u64 <= SIZE_LIMIT, "a message of {} bytes is more than is taken", raw.len());
        }
        for (_, reason) in &self.failed {
            assert_presentable(reason);
        }
        fetched?;
        let doomed: Vec<RemoteKey> = work.iter().take(2).map(|it| it.key.clone()).collect();
        self.deleted = mailbox.delete(&doomed).await?;
        assert!(self.deleted.iter().all(|it| doomed.contains(it)), "more is gone than was named");
        mailbox.close().await;
        Ok(())
    }

    async fn fetch(&mut self, mailbox: &mut dyn Mailbox, work: Vec<Listed>) -> Result<(), MailError> {
        let work = work.into_iter().map(|listed| Wanted { listed, staged: 0 }).collect();
        let (sender, mut sink) = mpsc::channel::<Fetched>(1);
        let collect = async {
            let mut staged = Vec::new();
            while let Some(fetched) = sink.recv().await {
                match fetched {
                    Fetched::Batch(batch) => {
                        self.messages.extend(batch.messages);
                        self.failed.extend(batch.failed.into_iter().map(|it| (it.key, it.reason)));
                    }
                    Fetched::Part(part) => {
                        assert!(part.offset == 0 || part.offset == staged.len() as u64, "a gap before {}", part.offset);
                        if part.offset == 0 {
                            staged.clear();
                        }
                        staged.extend(part.bytes);
                        if part.is_last {
                            self.messages.push((part.key, std::mem::take(&mut staged)));
                        }
                    }
                }
            }
        };
        tokio::join!(collect, mailbox.fetch(work, sender)).1
    }
}

fn assert_presentable(message: &str) {
    assert!(!domain::text::has_control(message), "controls: {message:?}");
    assert!(message.chars().count() < 400, "long: {message}");
}

fn visit(protocol: Protocol) -> Visit {
    let address = Address::parse("127.0.0.1").unwrap_or_else(|_| unreachable!("this is an address"));
    let security = Security::Implicit(Trust::SkipCertificate { until: None });
    Visit {
        protocol,
        destination: Destination { address, port: 993, security, route: Route::Direct },
        connector: None,
        authority: None,
        username: "user".to_owned(),
        password: Secret::new(PASSWORD.to_owned()),
        transcript: None,
    }
}

struct NoLog;

impl StageLog for NoLog {
    fn ended(&self, record: StageRecord) {
        assert_presentable(&record.detail);
    }
}

fn stages() -> Stages {
    Stages::new(Arc::new(NoLog), STEP_TIMEOUT)
}

/// What the client said.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn take(&self) -> Vec<u8> {
        self.0.lock().map(|mut it| std::mem::take(&mut *it)).unwrap_or_default()
    }
}

fn wire(said: &[u8], step: usize) -> (Wire, Heard) {
    let heard = Heard::default();
    let script = Script { said: said.to_vec(), at: 0, step, heard: heard.clone() };
    (Wire::new(Box::new(script), STEP_TIMEOUT, SIZE_LIMIT), heard)
}

/// Says its bytes, so many at a time, whatever it hears; then it closes.
struct Script {
    said: Vec<u8>,
    at: usize,
    step: usize,
    heard: Heard,
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = (self.said.len() - self.at).min(into.remaining()).min(self.step);
        into.put_slice(&self.said[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Ok(mut heard) = self.heard.0.lock() {
            heard.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
