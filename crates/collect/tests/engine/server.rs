//! A model of mail servers: maildrops by host, with the names that IMAP and POP3 give, and a witness of every deletion.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{
    account::Protocol,
    check::{ErrorKind, Stage, StageRecord},
    ids::AccountId,
    time::Timestamp,
};
use service::ports::{
    Clock, FailedFetch, Fetched, FetchedBatch, Listed, Listing, MailError, MailServer, Mailbox, MailboxState, Part,
    RemoteKey, StageLog, Visit, Wanted,
};
use tokio::sync::{mpsc, watch};

use crate::{
    faults::{Fault, Faults},
    stored::{Archive, Hash, hash},
};

/// Messages of a batch, the size from which one comes in parts, and the size of a part: small, so that there are many of each.
const BATCH: usize = 2;
const LARGE: usize = 200;
const PART: usize = 90;

pub(crate) struct Message {
    pub(crate) id: u64,
    uid: u32,
    uidl: Option<String>,
    pub(crate) raw: Arc<[u8]>,
    /// So often the server will not give it out.
    pub(crate) n_refusals: u32,
}

/// What a host keeps for its one user.
pub(crate) struct Maildrop {
    pub(crate) protocol: Protocol,
    pub(crate) account: Option<AccountId>,
    pub(crate) messages: Vec<Message>,
    uid_validity: u32,
    uid_next: u32,
    n_names: u32,
    n_delivered: u64,
    /// What the account says at this moment.
    pub(crate) keep_copy: bool,
    pub(crate) hold: Duration,
    /// Why nobody gets in.
    pub(crate) refusal: Option<MailError>,
    pub(crate) breaks_idle: bool,
    sessions: HashMap<u64, Arc<Faults>>,
    pub(crate) is_idle: bool,
    pub(crate) n_opened: u32,
    pub(crate) n_listed: u32,
    /// The ids of what was listed last.
    pub(crate) last_listed: Vec<u64>,
    pub(crate) deleted: Vec<Hash>,
    changes: watch::Sender<u64>,
}

impl Maildrop {
    fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            account: None,
            messages: Vec::new(),
            uid_validity: 1,
            uid_next: 1,
            n_names: 0,
            n_delivered: 0,
            keep_copy: true,
            hold: Duration::ZERO,
            refusal: None,
            breaks_idle: false,
            sessions: HashMap::new(),
            is_idle: false,
            n_opened: 0,
            n_listed: 0,
            last_listed: Vec::new(),
            deleted: Vec::new(),
            changes: watch::channel(0).0,
        }
    }

    pub(crate) fn deliver(&mut self, raw: &[u8]) -> u64 {
        let (uid, uidl) = (self.uid_next, self.fresh_uidl());
        self.uid_next += 1;
        self.n_delivered += 1;
        let id = self.n_delivered;
        self.messages.push(Message { id, uid, uidl: Some(uidl), raw: raw.into(), n_refusals: 0 });
        self.tell();
        id
    }

    pub(crate) fn remove(&mut self, id: u64) {
        self.messages.retain(|it| it.id != id);
        self.tell();
    }

    /// Every message gets another name.
    pub(crate) fn rename(&mut self) {
        self.uid_validity += 1;
        self.uid_next = 1;
        for at in 0..self.messages.len() {
            let (uid, uidl) = (self.uid_next, self.fresh_uidl());
            self.uid_next += 1;
            (self.messages[at].uid, self.messages[at].uidl) = (uid, Some(uidl));
        }
    }

    /// POP3: this message has no UIDL any more.
    pub(crate) fn unname(&mut self, at: usize) {
        self.messages[at].uidl = None;
    }

    /// POP3: both have one UIDL.
    pub(crate) fn confuse(&mut self, at: usize, other: usize) {
        self.messages[at].uidl = self.messages[other].uidl.clone();
    }

    fn fresh_uidl(&mut self) -> String {
        self.n_names += 1;
        format!("name-{}", self.n_names)
    }

    fn tell(&self) {
        self.changes.send_modify(|it| *it += 1);
    }

    /// The idle connections end, or notice that they have.
    pub(crate) fn break_idle(&mut self) {
        self.breaks_idle = true;
        self.tell();
    }

    pub(crate) fn n_connected(&self) -> usize {
        self.sessions.values().filter(|it| !it.is_dead()).count()
    }

    /// What a session sees: names and ids in the order of delivery.
    pub(crate) fn names(&self) -> Vec<(RemoteKey, u64)> {
        let (uid_validity, uidls) = (self.uid_validity, || self.messages.iter().map(|it| &it.uidl));
        let mut n_equal: HashMap<String, u32> = HashMap::new();
        let name = |it: &Message| {
            let uidl = it.uidl.clone().filter(|uidl| uidls().filter(|it| it.as_ref() == Some(uidl)).count() == 1);
            match (self.protocol, uidl) {
                (Protocol::Imap, _) => RemoteKey::Uid { uid_validity, uid: it.uid },
                (Protocol::Pop3, Some(uidl)) => RemoteKey::Uidl(uidl),
                (Protocol::Pop3, None) => {
                    let hash = format!("{}-{}", blake3::hash(header(&it.raw)).to_hex(), it.raw.len());
                    let nth = n_equal.entry(hash.clone()).or_default();
                    *nth += 1;
                    RemoteKey::Content { hash, nth: *nth - 1 }
                }
            }
        };
        let keys: Vec<_> = self.messages.iter().map(name).collect();
        keys.into_iter().zip(self.messages.iter().map(|it| it.id)).collect()
    }
}

fn header(raw: &[u8]) -> &[u8] {
    let end = raw.windows(4).position(|it| it == b"\r\n\r\n").map_or(raw.len(), |it| it + 4);
    &raw[..end]
}

/// All hosts.
pub(crate) struct Servers {
    hosts: Mutex<HashMap<String, Arc<Mutex<Maildrop>>>>,
    archive: Arc<Archive>,
    clock: Arc<dyn Clock>,
    /// What must never happen, and did.
    violations: Mutex<Vec<String>>,
    n_sessions: AtomicU64,
}

impl Servers {
    pub(crate) fn new(archive: Arc<Archive>, clock: Arc<dyn Clock>) -> Self {
        let (hosts, violations, n_sessions) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Self { hosts, archive, clock, violations, n_sessions }
    }

    pub(crate) fn add(&self, host: &str, protocol: Protocol) -> Arc<Mutex<Maildrop>> {
        let maildrop = Arc::new(Mutex::new(Maildrop::new(protocol)));
        self.alias(host, &maildrop);
        maildrop
    }

    /// The same maildrop under another host's name.
    pub(crate) fn alias(&self, host: &str, maildrop: &Arc<Mutex<Maildrop>>) {
        self.hosts.lock().unwrap().insert(host.to_owned(), Arc::clone(maildrop));
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    pub(crate) fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut *self.violations.lock().unwrap())
    }

    fn violated(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }

    /// A message has left the server because we asked for it: at this very moment it must be stored, for long enough.
    async fn witness(&self, maildrop: &Mutex<Maildrop>, message: &Message) {
        let hash = hash(&message.raw);
        let (account, keep_copy, hold, n_deleted) = {
            let mut maildrop = maildrop.lock().unwrap();
            maildrop.deleted.push(hash);
            let n_deleted = maildrop.deleted.iter().filter(|it| **it == hash).count();
            (maildrop.account, maildrop.keep_copy, maildrop.hold, n_deleted)
        };
        let name = format!("message {} of {account:?}", message.id);
        if keep_copy {
            self.violated(format!("{name} was deleted although copies are kept"));
        }
        let Some(account) = account else { return };
        let stored = self.archive.stored(account).await;
        let since = self.clock.now().minus(hold);
        let n_stored = stored.iter().filter(|it| it.hash == hash).count();
        if n_stored < n_deleted {
            self.violated(format!("{name} is the {n_deleted}th like it that was deleted; {n_stored} are stored"));
        }
        if stored.iter().filter(|it| it.hash == hash && it.at <= since).count() < n_deleted {
            self.violated(format!("{name} was deleted before its time"));
        }
    }
}

/// The way from one instance to the servers.
pub(crate) struct Wire {
    pub(crate) servers: Arc<Servers>,
    pub(crate) faults: Arc<Faults>,
}

fn error(stage: Stage, fault: Fault) -> MailError {
    let kind = match fault {
        Fault::Timeout => ErrorKind::Timeout,
        Fault::No => ErrorKind::Mailbox,
        _ => ErrorKind::Protocol,
    };
    MailError::new(kind, stage, format!("{fault:?}"))
}

/// What every step of a dialogue may come to.
async fn step(faults: &Faults, name: &str, stage: Stage) -> Result<(), MailError> {
    match faults.step(name).await {
        None => Ok(()),
        Some(Fault::Panic) => panic!("as the test wants it, at {name}"),
        Some(Fault::HangAfter) => {
            faults.hang().await;
            Ok(())
        }
        Some(fault) => Err(error(stage, fault)),
    }
}

#[async_trait]
impl MailServer for Wire {
    async fn open(&self, visit: &Visit, log: Arc<dyn StageLog>) -> Result<Box<dyn Mailbox>, MailError> {
        step(&self.faults, "server.open", Stage::Connect).await?;
        let host = visit.destination.address.as_str();
        let maildrop = self.servers.hosts.lock().unwrap().get(host).cloned();
        let maildrop = maildrop.ok_or_else(|| MailError::new(ErrorKind::Resolve, Stage::Resolve, "no such host"))?;
        let id = self.servers.n_sessions.fetch_add(1, Ordering::SeqCst);
        let session = {
            let mut inside = maildrop.lock().unwrap();
            inside.n_opened += 1;
            if let Some(refusal) = &inside.refusal {
                return Err(refusal.clone());
            }
            if inside.n_connected() > 0 {
                self.servers.violated(format!("two at once are connected to {host}"));
            }
            inside.sessions.insert(id, Arc::clone(&self.faults));
            let is_imap = visit.protocol == Protocol::Imap;
            let state = MailboxState {
                n_messages: inside.messages.len() as u64,
                uid_validity: is_imap.then_some(inside.uid_validity),
                uid_next: is_imap.then_some(inside.uid_next),
            };
            let changes = inside.changes.subscribe();
            let (servers, faults) = (Arc::clone(&self.servers), Arc::clone(&self.faults));
            let maildrop = Arc::clone(&maildrop);
            Session { id, servers, faults, maildrop, state, numbers: HashMap::new(), changes, is_closed: false }
        };
        log.ended(StageRecord { stage: Stage::Select, ok: true, ms: 0, detail: String::new() });
        step(&self.faults, "server.opened", Stage::Authenticate).await?;
        Ok(Box::new(session))
    }
}

/// A connection. What it knows of names holds for itself only.
struct Session {
    id: u64,
    servers: Arc<Servers>,
    faults: Arc<Faults>,
    maildrop: Arc<Mutex<Maildrop>>,
    state: MailboxState,
    numbers: HashMap<RemoteKey, u64>,
    changes: watch::Receiver<u64>,
    is_closed: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut maildrop = self.maildrop.lock().unwrap();
        maildrop.sessions.remove(&self.id);
        maildrop.is_idle = false;
    }
}

impl Session {
    fn maildrop(&self) -> MutexGuard<'_, Maildrop> {
        self.maildrop.lock().unwrap()
    }

    async fn step(&self, name: &str, stage: Stage) -> Result<(), MailError> {
        step(&self.faults, name, stage).await?;
        if self.is_closed {
            Err(MailError::new(ErrorKind::Protocol, stage, "the connection is closed"))
        } else {
            Ok(())
        }
    }

    /// Which message that is, if it is there.
    fn find(&self, key: &RemoteKey) -> Option<(u64, Arc<[u8]>)> {
        let id = self.numbers.get(key)?;
        self.maildrop().messages.iter().find(|it| it.id == *id).map(|it| (it.id, Arc::clone(&it.raw)))
    }

    /// Whether the server will not give it out, this once.
    fn refuses(&self, id: u64) -> bool {
        let mut maildrop = self.maildrop();
        let Some(message) = maildrop.messages.iter_mut().find(|it| it.id == id) else { return false };
        let refuses = message.n_refusals > 0;
        message.n_refusals = message.n_refusals.saturating_sub(1);
        refuses
    }

    /// One message whole or in parts. `Err(None)`: the server refuses it.
    async fn fetch_one(
        &self,
        wanted: &Wanted,
        batch: &mut FetchedBatch,
        sink: &mpsc::Sender<Fetched>,
    ) -> Result<(), Option<MailError>> {
        let key = &wanted.listed.key;
        let refused = |it: MailError| if it.kind == ErrorKind::Mailbox { None } else { Some(it) };
        self.step("server.fetch", Stage::Fetch).await.map_err(refused)?;
        let (id, raw) = self.find(key).ok_or(None)?;
        if self.refuses(id) {
            return Err(None);
        }
        if raw.len() <= LARGE {
            batch.messages.push((key.clone(), raw.to_vec()));
            return Ok(());
        }
        // Nothing comes between the parts of a message, so what was complete goes first.
        _ = sink.send(Fetched::Batch(std::mem::take(batch))).await;
        let staged = usize::try_from(wanted.staged).unwrap_or(0).min(raw.len());
        let mut offset = if matches!(key, RemoteKey::Uid { .. }) { staged } else { 0 };
        loop {
            let end = (offset + PART).min(raw.len());
            let is_last = end == raw.len();
            let part = Part { key: key.clone(), offset: offset as u64, bytes: raw[offset..end].to_vec(), is_last };
            _ = sink.send(Fetched::Part(part)).await;
            if is_last {
                return Ok(());
            }
            offset = end;
            self.step("server.part", Stage::Fetch).await.map_err(refused)?;
        }
    }
}

#[async_trait]
impl Mailbox for Session {
    fn state(&self) -> MailboxState {
        self.state
    }

    async fn list(&mut self) -> Result<Listing, MailError> {
        self.step("server.list", Stage::List).await?;
        let mut maildrop = self.maildrop.lock().unwrap();
        maildrop.n_listed += 1;
        let names = maildrop.names();
        maildrop.last_listed = names.iter().map(|it| it.1).collect();
        let sizes = maildrop.messages.iter().map(|it| it.raw.len() as u64);
        let messages: Vec<_> = names.iter().zip(sizes).map(|(it, size)| Listed { key: it.0.clone(), size }).collect();
        self.numbers = names.into_iter().collect();
        let n_unidentified = messages.iter().filter(|it| !it.key.is_given()).count() as u64;
        Ok(Listing { messages, n_unidentified })
    }

    async fn fetch(&mut self, work: Vec<Wanted>, sink: mpsc::Sender<Fetched>) -> Result<(), MailError> {
        let mut batch = FetchedBatch::default();
        for wanted in &work {
            match self.fetch_one(wanted, &mut batch, &sink).await {
                Ok(()) => {}
                Err(None) => {
                    let (key, sample) = (wanted.listed.key.clone(), b"Subject: ".to_vec());
                    batch.failed.push(FailedFetch { key, reason: "NO".to_owned(), sample });
                }
                Err(Some(error)) => {
                    _ = sink.send(Fetched::Batch(batch)).await;
                    return Err(error);
                }
            }
            if batch.messages.len() >= BATCH && sink.send(Fetched::Batch(std::mem::take(&mut batch))).await.is_err() {
                return Ok(());
            }
        }
        _ = sink.send(Fetched::Batch(batch)).await;
        self.step("server.fetched", Stage::Fetch).await
    }

    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        let is_imap = self.state.uid_validity.is_some();
        let mut gone = Vec::new();
        let mut marked = Vec::new();
        for key in keys.iter().filter(|it| it.is_given()) {
            self.step("server.delete", Stage::Delete).await?;
            let Some((id, _)) = self.find(key) else { continue };
            // IMAP takes it at once, POP3 at QUIT (RFC 1939 section 6).
            if is_imap {
                self.take(id).await;
            } else {
                marked.push(id);
            }
            gone.push(key.clone());
        }
        if !is_imap {
            self.step("server.quit", Stage::Delete).await?;
            for id in marked {
                self.take(id).await;
            }
            self.is_closed = true;
            step(&self.faults, "server.deleted", Stage::Delete).await?;
            return Ok(gone);
        }
        self.step("server.deleted", Stage::Delete).await?;
        Ok(gone)
    }

    fn can_idle(&self) -> bool {
        self.state.uid_validity.is_some()
    }

    async fn idle(&mut self, at_most: Duration) -> Result<bool, MailError> {
        self.step("server.idle", Stage::Select).await?;
        if self.maildrop().breaks_idle {
            return Err(MailError::new(ErrorKind::Protocol, Stage::Select, "the connection is over"));
        }
        self.maildrop().is_idle = true;
        let told = tokio::time::timeout(at_most, self.changes.changed()).await.is_ok();
        self.maildrop().is_idle = false;
        self.step("server.told", Stage::Select).await?;
        if self.maildrop().breaks_idle {
            return Err(MailError::new(ErrorKind::Protocol, Stage::Select, "the connection is over"));
        }
        Ok(told)
    }

    async fn close(self: Box<Self>) {
        _ = self.faults.step("server.close").await;
    }
}

impl Session {
    /// Deletes a message for good.
    async fn take(&self, id: u64) {
        let taken = {
            let mut maildrop = self.maildrop();
            let at = maildrop.messages.iter().position(|it| it.id == id);
            at.map(|it| maildrop.messages.remove(it))
        };
        if let Some(message) = taken {
            self.servers.witness(&self.maildrop, &message).await;
        }
    }
}

/// A clock that stands still until it is moved, or that goes on from there.
pub(crate) struct TestClock {
    now: Mutex<Timestamp>,
    began: Option<Instant>,
}

impl TestClock {
    pub(crate) fn new(is_ticking: bool) -> Self {
        let began = is_ticking.then(Instant::now);
        Self { now: Mutex::new(Timestamp::from_seconds(1_700_000_000)), began }
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap();
        *now = now.plus(by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.now.lock().unwrap().plus(self.began.map(|it| it.elapsed()).unwrap_or_default())
    }
}
