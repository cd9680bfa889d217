//! The mail servers of the demonstration: mailboxes that grow with time, and the usual ways to fail.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{
    account::{Protocol, Security},
    check::{ErrorKind, Stage, StageRecord},
    connection_test::{Fact, MailboxFacts},
    time::Timestamp,
};
use service::ports::{
    Clock, ConnectionProbe, Depth, Fetched, FetchedBatch, Listed, Listing, MailError, MailServer, Mailbox,
    MailboxState, RemoteKey, StageLog, Visit, Wanted,
};
use tokio::sync::mpsc;

use super::{DOMAIN, letters};

/// Messages that a mailbox has when the demonstration begins.
const N_FIRST: i64 = 36;
/// One more arrives each time this has passed.
const ARRIVES_EVERY: Duration = Duration::from_mins(4);
/// Messages of one batch.
const AT_ONCE: usize = 16;

/// Plays the servers of the demonstration's domain, and leaves all others to the real thing.
pub(crate) struct DemoMail<M> {
    others: M,
    clock: Arc<dyn Clock>,
    since: Timestamp,
    /// What was deleted since the start: host and key.
    deleted: Arc<Mutex<HashSet<(String, RemoteKey)>>>,
}

impl<M> DemoMail<M> {
    pub(crate) fn new(others: M, clock: Arc<dyn Clock>, since: Timestamp) -> Self {
        Self { others, clock, since, deleted: Arc::default() }
    }
}

#[async_trait]
impl<M: MailServer> MailServer for DemoMail<M> {
    async fn open(&self, visit: &Visit, log: Arc<dyn StageLog>) -> Result<Box<dyn Mailbox>, MailError> {
        let address = visit.destination.address.to_string();
        let Some(host) = address.strip_suffix(DOMAIN).and_then(|it| it.strip_suffix('.')) else {
            return self.others.open(visit, log).await;
        };
        for (stage, detail) in stages(visit) {
            let began = Instant::now();
            // As long as a server near by takes, so that one sees a check go its way.
            tokio::time::sleep(Duration::from_millis(40 + 20 * (stage as u64))).await;
            let failure = failure(host, stage);
            let detail = failure.as_ref().map_or(detail, |it| it.message.clone());
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            log.ended(StageRecord { stage, ok: failure.is_none(), ms, detail });
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        let arrived = self.clock.now().since(self.since).as_secs() / ARRIVES_EVERY.as_secs();
        Ok(Box::new(DemoMailbox {
            host: host.to_owned(),
            protocol: visit.protocol,
            since: self.since,
            n_messages: N_FIRST + i64::try_from(arrived).unwrap_or_default(),
            deleted: Arc::clone(&self.deleted),
        }))
    }
}

#[async_trait]
impl<M: MailServer + ConnectionProbe> ConnectionProbe for DemoMail<M> {
    async fn probe_connection(&self, visit: &Visit, depth: Depth, log: Arc<dyn StageLog>) -> Result<(), MailError> {
        if !visit.destination.address.as_str().ends_with(&format!(".{DOMAIN}")) {
            return self.others.probe_connection(visit, depth, log).await;
        }
        let mailbox = self.open(visit, Arc::clone(&log)).await?;
        let n_messages = mailbox.state().n_messages;
        log.found(Fact::Mailbox(MailboxFacts { n_messages, ..MailboxFacts::default() }));
        mailbox.close().await;
        Ok(())
    }
}

fn stages(visit: &Visit) -> Vec<(Stage, String)> {
    let mut stages = Vec::new();
    match &visit.connector {
        Some(connector) => stages.push((Stage::Connector, format!("{}:{}", connector.address, connector.port))),
        None => stages.push((Stage::Resolve, "192.0.2.25 (a server of the demonstration)".to_owned())),
    }
    stages.push((Stage::Connect, format!("192.0.2.25:{}", visit.destination.port)));
    let tls = (Stage::Tls, "TLSv1.3, certificate accepted".to_owned());
    let greeting = (Stage::Greeting, "demonstration ready".to_owned());
    match visit.destination.security {
        Security::Plain => stages.push(greeting),
        Security::Implicit(_) => stages.extend([tls, greeting]),
        Security::StartTls(_) => stages.extend([greeting, tls]),
    }
    stages.push((Stage::Authenticate, visit.username.clone()));
    if visit.protocol == Protocol::Imap {
        stages.push((Stage::Select, "INBOX".to_owned()));
    }
    stages
}

/// The hosts that fail, each at its stage.
fn failure(host: &str, stage: Stage) -> Option<MailError> {
    let (kind, message) = match (host, stage) {
        ("people", Stage::Authenticate) => {
            (ErrorKind::Authentication, "the server says: \u{ab}[AUTHENTICATIONFAILED] Authentication failed.\u{bb}")
        }
        ("partner", Stage::Tls) => (ErrorKind::Certificate, "the certificate expired 12 days ago"),
        ("plant", Stage::Connector) => (ErrorKind::Connector, "the proxy refuses the connection"),
        _ => return None,
    };
    Some(MailError { is_certain: kind == ErrorKind::Authentication, ..MailError::new(kind, stage, message) })
}

struct DemoMailbox {
    host: String,
    protocol: Protocol,
    since: Timestamp,
    n_messages: i64,
    deleted: Arc<Mutex<HashSet<(String, RemoteKey)>>>,
}

impl DemoMailbox {
    fn key(&self, nth: i64) -> RemoteKey {
        match self.protocol {
            Protocol::Imap => RemoteKey::Uid { uid_validity: 1, uid: u32::try_from(nth).unwrap_or(u32::MAX) },
            Protocol::Pop3 => RemoteKey::Uidl(format!("{nth:08}")),
        }
    }

    /// The message with that key, as it would be on the wire.
    fn message(&self, key: &RemoteKey) -> Vec<u8> {
        let nth = match key {
            RemoteKey::Uid { uid, .. } => i64::from(*uid),
            RemoteKey::Uidl(uidl) => uidl.parse().unwrap_or_default(),
            RemoteKey::Content { .. } => 0,
        };
        // The first ones were sent over the last weeks, the later ones as they arrive.
        let sent = if nth <= N_FIRST {
            self.since.minus(Duration::from_hours(u64::try_from(N_FIRST - nth).unwrap_or_default() * 11))
        } else {
            self.since.plus(ARRIVES_EVERY * u32::try_from(nth - N_FIRST).unwrap_or_default())
        };
        letters::letter(&self.host, nth, sent)
    }
}

#[async_trait]
impl Mailbox for DemoMailbox {
    fn state(&self) -> MailboxState {
        let n_messages = u64::try_from(self.n_messages).unwrap_or_default();
        let is_imap = self.protocol == Protocol::Imap;
        let uid_next = u32::try_from(self.n_messages + 1).ok().filter(|_| is_imap);
        MailboxState { n_messages, uid_validity: is_imap.then_some(1), uid_next }
    }

    async fn list(&mut self) -> Result<Listing, MailError> {
        let deleted = self.deleted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let keys = (1..=self.n_messages).map(|nth| self.key(nth));
        let keys = keys.filter(|key| !deleted.contains(&(self.host.clone(), key.clone())));
        let messages = keys.map(|key| Listed { size: self.message(&key).len() as u64, key }).collect();
        Ok(Listing { messages, n_unidentified: 0 })
    }

    async fn fetch(&mut self, work: Vec<Wanted>, sink: mpsc::Sender<Fetched>) -> Result<(), MailError> {
        for chunk in work.chunks(AT_ONCE) {
            let messages = chunk.iter().map(|it| (it.listed.key.clone(), self.message(&it.listed.key))).collect();
            if sink.send(Fetched::Batch(FetchedBatch { messages, failed: Vec::new() })).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn delete(&mut self, keys: &[RemoteKey]) -> Result<Vec<RemoteKey>, MailError> {
        let gone = keys.iter().map(|it| (self.host.clone(), it.clone()));
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner).extend(gone);
        Ok(keys.to_vec())
    }

    fn can_idle(&self) -> bool {
        false
    }

    async fn idle(&mut self, _: Duration) -> Result<bool, MailError> {
        Ok(false)
    }

    async fn close(self: Box<Self>) {}
}
