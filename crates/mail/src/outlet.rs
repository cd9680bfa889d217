//! The way of what was fetched to whoever stores it, and how much is held on it.

use std::collections::VecDeque;

use service::ports::{FailedFetch, Fetched, FetchedBatch, MailError, Part, RemoteKey};
use tokio::sync::mpsc;

/// A message that is listed with more goes alone and in parts.
pub(crate) const LARGE: u64 = 8 * 1024 * 1024;
/// The longest part.
pub(crate) const PART: usize = 1024 * 1024;
/// A batch ends at so many bytes.
pub(crate) const BATCH_BYTES: u64 = 2 * 1024 * 1024;
/// Or at so many messages.
pub(crate) const BATCH_MESSAGES: usize = 256;
/// What is kept of a message that could not be taken.
pub(crate) const SAMPLE: usize = 64 * 1024;
/// So much waits here while the sink is full, before the network has to wait too.
const WAITING_AT_MOST: usize = 1;

/// Why fetching ends before everything came.
pub(crate) enum Stop {
    /// Nobody listens any more: the store has failed, which it says itself.
    Closed,
    Broken(MailError),
}

impl From<MailError> for Stop {
    fn from(error: MailError) -> Self {
        Self::Broken(error)
    }
}

pub(crate) struct Outlet {
    sink: mpsc::Sender<Fetched>,
    waiting: VecDeque<Fetched>,
}

impl Outlet {
    pub(crate) fn new(sink: mpsc::Sender<Fetched>) -> Self {
        Self { sink, waiting: VecDeque::new() }
    }

    /// Hands on, without waiting as long as little is held.
    pub(crate) async fn put(&mut self, fetched: Fetched) -> Result<(), Stop> {
        self.waiting.push_back(fetched);
        while let Some(next) = self.waiting.pop_front() {
            match self.sink.try_send(next) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return Err(Stop::Closed),
                Err(mpsc::error::TrySendError::Full(next)) => {
                    if self.waiting.len() < WAITING_AT_MOST {
                        self.waiting.push_front(next);
                        return Ok(());
                    }
                    self.sink.send(next).await.map_err(|_| Stop::Closed)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn put_batch(&mut self, batch: FetchedBatch) -> Result<(), Stop> {
        if batch.messages.is_empty() && batch.failed.is_empty() {
            return Ok(());
        }
        self.put(Fetched::Batch(batch)).await
    }

    pub(crate) async fn put_failed(&mut self, failed: FailedFetch) -> Result<(), Stop> {
        self.put(Fetched::Batch(FetchedBatch { messages: Vec::new(), failed: vec![failed] })).await
    }

    pub(crate) async fn put_part(
        &mut self,
        key: &RemoteKey,
        offset: u64,
        bytes: Vec<u8>,
        is_last: bool,
    ) -> Result<(), Stop> {
        self.put(Fetched::Part(Part { key: key.clone(), offset, bytes, is_last })).await
    }

    /// Hands the rest on; what was complete counts even where the connection broke.
    pub(crate) async fn end(mut self, result: Result<(), Stop>) -> Result<(), MailError> {
        if !matches!(result, Err(Stop::Closed)) {
            while let Some(next) = self.waiting.pop_front() {
                if self.sink.send(next).await.is_err() {
                    break;
                }
            }
        }
        match result {
            Err(Stop::Broken(error)) => Err(error),
            Ok(()) | Err(Stop::Closed) => Ok(()),
        }
    }
}

/// A message that has more bytes than the settings allow.
pub(crate) fn too_long(key: RemoteKey, length: u64, sample: Vec<u8>) -> FailedFetch {
    FailedFetch { key, reason: format!("it has {length} bytes, more than is taken"), sample }
}

/// The beginning.
pub(crate) fn sample_of(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(SAMPLE)].to_vec()
}
