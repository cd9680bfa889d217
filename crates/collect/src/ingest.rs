//! Fetching and storing, side by side: the network is read while what came before is indexed, and that while what came before
//! that is written.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use domain::{account::Account, check::Stage, message::MessageIndex};
use service::ports::{
    Arrival, Assembled, FailedFetch, Fetched, Lease, Mailbox, MessageReader, Part, RemoteKey, StoreError, Stored,
    Verdict, Wanted,
};
use tokio::sync::mpsc;

use crate::{CollectorParts, run::RunLog, visit::Stop};

/// Batches that may wait between two of the three; each holds a few mebibytes.
const WAITING: usize = 2;
/// One transaction takes no more bytes than this, and one batch.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;
/// Of the head of a large message so much is looked at for its header fields.
const HEAD_MAX: usize = 256 * 1024;

/// What fetching came to.
#[derive(Default)]
pub(crate) struct Ingested {
    pub(crate) stored: Stored,
    pub(crate) n_failed: u64,
}

/// Ready to be written.
enum Ready {
    Arrivals(Vec<Arrival>),
    Failed(Vec<FailedFetch>),
    Part(Part),
}

/// What arrived complete is stored even if the connection breaks; then the error comes out. Single messages that fail do not stop
/// the rest.
pub(crate) async fn ingest(
    parts: &CollectorParts,
    lease: Lease,
    account: &Account,
    log: &RunLog,
    mailbox: &mut dyn Mailbox,
    work: Vec<Wanted>,
) -> Result<Ingested, Stop> {
    let began = Instant::now();
    let n_work = work.len();
    let (sink, fetched) = mpsc::channel(WAITING);
    let (indexed, ready) = mpsc::channel(WAITING);
    let writer = Writer { parts, lease, account, log, ingested: Ingested::default(), assembling: None };
    let (network, (), written) =
        tokio::join!(mailbox.fetch(work, sink), index(&parts.reader, fetched, indexed), writer.run(ready));
    let n_new = log.snapshot().new_messages;
    let detail = network.as_ref().map_or_else(|it| it.message.clone(), |()| format!("{n_new} of {n_work} messages"));
    log.note(Stage::Fetch, network.is_ok(), began, detail);
    let detail = written.as_ref().map_or_else(ToString::to_string, |it| match it.stored.n_renamed {
        0 => format!("{} messages", it.stored.n_new),
        n_renamed => format!("{} messages; {n_renamed} were here under another name", it.stored.n_new),
    });
    log.note(Stage::Store, written.is_ok(), began, detail);
    let ingested = written?;
    network?;
    Ok(ingested)
}

/// Hashes and indexes off the async threads.
async fn index(reader: &Arc<dyn MessageReader>, mut fetched: mpsc::Receiver<Fetched>, ready: mpsc::Sender<Ready>) {
    while let Some(fetched) = fetched.recv().await {
        let batch = match fetched {
            Fetched::Part(part) => {
                if ready.send(Ready::Part(part)).await.is_err() {
                    return;
                }
                continue;
            }
            Fetched::Batch(batch) => batch,
        };
        if !batch.failed.is_empty() && ready.send(Ready::Failed(batch.failed)).await.is_err() {
            return;
        }
        if batch.messages.is_empty() {
            continue;
        }
        let (reader, messages) = (Arc::clone(reader), batch.messages);
        let arrivals =
            tokio::task::spawn_blocking(move || messages.into_iter().map(|it| arrival(&*reader, it)).collect());
        // The runtime ends: the messages stay where they are and come again.
        let Ok(arrivals) = arrivals.await else { return };
        if ready.send(Ready::Arrivals(arrivals)).await.is_err() {
            return;
        }
    }
}

fn arrival(reader: &dyn MessageReader, (key, raw): (RemoteKey, Vec<u8>)) -> Arrival {
    Arrival { index: read(reader, &raw), hash: *blake3::hash(&raw).as_bytes(), key, raw }
}

/// Reading never fails. If it does after all, that message is stored unread: it must not keep back those behind it.
fn read(reader: &dyn MessageReader, raw: &[u8]) -> MessageIndex {
    std::panic::catch_unwind(AssertUnwindSafe(|| reader.index(raw))).unwrap_or_else(|_| {
        tracing::error!(bytes = raw.len(), "reading a message broke off; it is stored unread");
        MessageIndex { is_unreadable: true, ..MessageIndex::default() }
    })
}

/// Writes what is ready, several batches in one transaction when they queue up.
struct Writer<'a> {
    parts: &'a CollectorParts,
    lease: Lease,
    account: &'a Account,
    log: &'a RunLog,
    ingested: Ingested,
    assembling: Option<Assembling>,
}

/// A large message whose parts are coming.
struct Assembling {
    key: RemoteKey,
    size: u64,
    hasher: blake3::Hasher,
    head: Vec<u8>,
}

impl Assembling {
    fn new(key: RemoteKey) -> Self {
        Self { key, size: 0, hasher: blake3::Hasher::new(), head: Vec::new() }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let wanted = HEAD_MAX.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..wanted]);
    }
}

impl Writer<'_> {
    async fn run(mut self, mut ready: mpsc::Receiver<Ready>) -> Result<Ingested, StoreError> {
        let mut waiting = Vec::new();
        let mut bytes = 0;
        while let Some(next) = ready.recv().await {
            match next {
                Ready::Arrivals(arrivals) => {
                    bytes += arrivals.iter().map(|it| it.raw.len()).sum::<usize>();
                    waiting.extend(arrivals);
                    if bytes < COMMIT_BYTES && !ready.is_empty() {
                        continue;
                    }
                    bytes = 0;
                    self.store(std::mem::take(&mut waiting)).await?;
                }
                Ready::Failed(failed) => self.record(failed).await?,
                Ready::Part(part) => self.stage(part).await?,
            }
        }
        self.store(waiting).await?;
        Ok(self.ingested)
    }

    async fn store(&mut self, arrivals: Vec<Arrival>) -> Result<(), StoreError> {
        if arrivals.is_empty() {
            return Ok(());
        }
        let store = &self.parts.store;
        let stored = store.store_arrivals(self.lease, arrivals, self.delete_wanted(), self.parts.clock.now()).await?;
        self.count(stored);
        Ok(())
    }

    async fn record(&mut self, failed: Vec<FailedFetch>) -> Result<(), StoreError> {
        self.ingested.n_failed += failed.len() as u64;
        let quarantine_after = self.parts.settings.quarantine_after;
        let verdicts: Vec<_> = failed.into_iter().map(|failed| Verdict::Failed { failed, quarantine_after }).collect();
        self.parts.store.record_verdicts(self.lease, &verdicts, self.parts.clock.now()).await
    }

    /// Keeps a part; with the last one the message is whole.
    async fn stage(&mut self, part: Part) -> Result<(), StoreError> {
        let Part { key, offset, is_last, .. } = &part;
        let (key, offset, is_last) = (key.clone(), *offset, *is_last);
        if offset == 0 {
            self.assembling = Some(Assembling::new(key.clone()));
        } else if self.assembling.as_ref().is_none_or(|it| it.key != key) {
            self.assembling = Some(self.resumed(&key).await?);
        }
        if let Some(assembling) = &mut self.assembling {
            assembling.add(&part.bytes);
        }
        self.parts.store.stage_part(self.lease, part).await?;
        if let Some(assembled) = self.assembling.take_if(|_| is_last) {
            self.publish(assembled).await?;
        }
        Ok(())
    }

    /// What an earlier visit staged.
    async fn resumed(&self, key: &RemoteKey) -> Result<Assembling, StoreError> {
        let mut assembling = Assembling::new(key.clone());
        let mut nth = 0;
        while let Some(bytes) = self.parts.store.staged_part(self.lease, key, nth).await? {
            assembling.add(&bytes);
            nth += 1;
        }
        Ok(assembling)
    }

    async fn publish(&mut self, assembling: Assembling) -> Result<(), StoreError> {
        let Assembling { key, size, hasher, head } = assembling;
        let reader = Arc::clone(&self.parts.reader);
        let index = tokio::task::spawn_blocking(move || header_index(&*reader, &head)).await;
        let index = index.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let message = Assembled { key, size, hash: *hasher.finalize().as_bytes(), index };
        let store = &self.parts.store;
        let stored = store.publish_staged(self.lease, &message, self.delete_wanted(), self.parts.clock.now()).await?;
        self.count(stored);
        Ok(())
    }

    fn count(&mut self, stored: Stored) {
        self.ingested.stored += stored;
        self.log.update(|run| run.new_messages += stored.n_new);
    }

    fn delete_wanted(&self) -> bool {
        !self.account.draft.keep_copy
    }
}

/// Of a large message only the header fields are read.
fn header_index(reader: &dyn MessageReader, head: &[u8]) -> MessageIndex {
    let end = head.windows(4).position(|it| it == b"\r\n\r\n").map_or(head.len(), |it| it + 4);
    read(reader, &head[..end])
}
