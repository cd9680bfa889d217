//! One check from its lease to its record.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Instant,
};

use domain::{
    account::{Account, Health},
    check::{CheckError, ErrorKind, Outcome, Stage},
};
use futures::FutureExt as _;
use service::{
    open_visit,
    ports::{
        Arrival, FetchedBatch, Finished, KnownRemote, Lease, Listed, MailError, Mailbox, MessageReader, RemoteKey,
        RemoteState, StoreError, Verdict,
    },
};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    CollectorParts,
    policy::{End, next_health},
    run::RunLog,
};

/// Rows that one transaction adds to the ledger.
const LISTED_AT_ONCE: usize = 2_000;
/// Batches that may wait between the network and the store; each holds about a mebibyte.
const BATCHES_WAITING: usize = 2;

/// Why a check ended early.
enum Stop {
    /// The lease was lost: another instance has the account, nothing more may be written.
    Fenced,
    Failed {
        error: CheckError,
        is_certain: bool,
    },
}

impl From<MailError> for Stop {
    fn from(error: MailError) -> Self {
        let is_certain = error.is_certain;
        Self::Failed { error: CheckError { kind: error.kind, message: error.message }, is_certain }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Fenced) {
            return Self::Fenced;
        }
        tracing::error!(%error, "the store failed during a check");
        Self::failed(ErrorKind::Storage, "storing failed; nothing was deleted on the server".to_owned())
    }
}

impl Stop {
    fn failed(kind: ErrorKind, message: String) -> Self {
        Self::Failed { error: CheckError { kind, message }, is_certain: false }
    }
}

/// Runs the check and records how it ended, whatever happens in it.
pub(crate) async fn visit(parts: &CollectorParts, lease: Lease, account: &Account, log: RunLog) {
    let work = AssertUnwindSafe(timeout(parts.settings.deadline, work(parts, lease, account, &log))).catch_unwind();
    let result = tokio::select! {
        result = work => match result {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Stop::failed(ErrorKind::Timeout, "the check took too long".to_owned())),
            Err(_) => Err(Stop::failed(ErrorKind::Internal, "the check broke off on an internal error".to_owned())),
        },
        () = keep_lease(parts, lease) => Err(Stop::Fenced),
    };
    let end = match result {
        Ok(()) => None,
        Err(Stop::Failed { error, is_certain }) => Some((error, is_certain)),
        Err(Stop::Fenced) => {
            tracing::warn!(account = %account.id, "another instance took the account over");
            let error = CheckError { kind: ErrorKind::Internal, message: "another instance took over".to_owned() };
            return finish_watchers(parts, &log, error);
        }
    };
    record(parts, lease, account, &log, end).await;
}

fn finish_watchers(parts: &CollectorParts, log: &RunLog, error: CheckError) {
    let now = parts.clock.now();
    log.update(|run| {
        run.finished_at = Some(now);
        run.outcome = Outcome::Failed;
        run.error = Some(error);
    });
}

async fn record(
    parts: &CollectorParts,
    lease: Lease,
    account: &Account,
    log: &RunLog,
    end: Option<(CheckError, bool)>,
) {
    let now = parts.clock.now();
    // The account may have been changed meanwhile: its newer interval and switches decide what comes next.
    let current = parts.store.find_account(account.id).await.ok().flatten();
    let account = current.as_ref().unwrap_or(account);
    let (error, is_certain) = end.map_or((None, false), |(error, is_certain)| (Some(error), is_certain));
    let outcome = {
        let end = End { error: error.as_ref(), is_certain };
        next_health(&account.health, &account.draft, &end, now, &mut rand::rng())
    };
    let health: Health = outcome;
    let mut run = log.snapshot();
    run.finished_at = Some(now);
    run.outcome = match (&error, run.new_messages + run.deleted_messages) {
        (None, _) => Outcome::Ok,
        (Some(_), 0) => Outcome::Failed,
        (Some(_), _) => Outcome::Partial,
    };
    if let Some(error) = &error {
        tracing::warn!(account = %account.id, kind = error.kind.as_str(), message = error.message, "a check failed");
    }
    run.error = error;
    let finished = Finished { run, health };
    if let Err(error) = parts.store.finish_run(lease, &finished).await {
        tracing::error!(%error, account = %account.id, "a check could not be recorded");
    }
    log.update(|run| *run = finished.run);
}

/// Prolongs the lease for as long as it is polled; returns when it is lost.
async fn keep_lease(parts: &CollectorParts, lease: Lease) {
    loop {
        tokio::time::sleep(parts.settings.lease_for / 3).await;
        let until = parts.clock.now().plus(parts.settings.lease_for);
        match parts.store.extend_lease(lease, until).await {
            Ok(()) => {}
            Err(StoreError::Fenced) => return,
            Err(error) => tracing::warn!(%error, account = %lease.account_id, "a lease could not be prolonged"),
        }
    }
}

async fn work(parts: &CollectorParts, lease: Lease, account: &Account, log: &RunLog) -> Result<(), Stop> {
    let visit = open_visit(&*parts.store, &parts.vault, account).await?;
    let mut mailbox = parts.mail.open(&visit, Arc::new(log.clone())).await?;
    drop(visit);
    show(parts, lease, log).await;

    let began = Instant::now();
    let listing = mailbox.list().await;
    let detail = listing.as_ref().map_or_else(|it| it.message.clone(), |it| format!("{} messages", it.messages.len()));
    log.note(Stage::List, listing.is_ok(), began, detail);
    let listing = listing?;

    let known = known(parts, account).await?;
    let work = to_fetch(parts, lease, &known, &listing.messages).await?;
    let trouble = fetch(parts, lease, account, log, &mut *mailbox, work).await?;
    show(parts, lease, log).await;
    delete(parts, lease, account, log, mailbox, &listing.messages).await?;

    if listing.n_unidentified > 0 {
        let message = format!(
            "{} messages have no identifier of their own on the server; they are neither fetched nor deleted",
            listing.n_unidentified
        );
        return Err(Stop::failed(ErrorKind::Mailbox, message));
    }
    trouble.map_or(Ok(()), |message| Err(Stop::failed(ErrorKind::Mailbox, message)))
}

/// Writes the stages so far where other instances see them. They are for looking at: a failure does not end the check.
async fn show(parts: &CollectorParts, lease: Lease, log: &RunLog) {
    let run = log.snapshot();
    if let Err(error) = parts.store.record_stages(lease, run.id, &run.stages).await {
        tracing::debug!(%error, "the stages of a running check could not be written");
    }
}

async fn known(parts: &CollectorParts, account: &Account) -> Result<HashMap<RemoteKey, KnownRemote>, StoreError> {
    let rows = parts.store.known_remotes(account.id).await?;
    Ok(rows.into_iter().map(|it| (it.key.clone(), it)).collect())
}

/// Brings the ledger up to the listing, and answers with the rows without content: the work to do.
async fn to_fetch(
    parts: &CollectorParts,
    lease: Lease,
    known: &HashMap<RemoteKey, KnownRemote>,
    listing: &[Listed],
) -> Result<Vec<Listed>, StoreError> {
    let new: Vec<Listed> = listing.iter().filter(|it| !known.contains_key(&it.key)).cloned().collect();
    let now = parts.clock.now();
    for chunk in new.chunks(LISTED_AT_ONCE) {
        parts.store.add_listed(lease, chunk, now).await?;
    }
    let mut work = Vec::new();
    for listed in listing {
        let state = known.get(&listed.key).map_or(RemoteState::Listed, |it| it.state);
        if state != RemoteState::Listed {
            continue;
        }
        if listed.size > parts.settings.size_limit {
            parts.store.record_verdict(lease, &listed.key, &Verdict::TooLarge).await?;
        } else {
            work.push(listed.clone());
        }
    }
    Ok(work)
}

/// Fetches and stores, side by side. What arrived complete is stored even if the connection breaks; then the error comes out.
/// Single messages that failed do not stop the rest: they come back as a sentence.
async fn fetch(
    parts: &CollectorParts,
    lease: Lease,
    account: &Account,
    log: &RunLog,
    mailbox: &mut dyn Mailbox,
    work: Vec<Listed>,
) -> Result<Option<String>, Stop> {
    if work.is_empty() {
        return Ok(None);
    }
    let began = Instant::now();
    let n_work = work.len();
    let (sink, batches) = mpsc::channel(BATCHES_WAITING);
    let (fetched, stored) = tokio::join!(mailbox.fetch(work, sink), store_batches(parts, lease, account, log, batches));
    let n_new = log.snapshot().new_messages;
    let detail = fetched.as_ref().map_or_else(|it| it.message.clone(), |()| format!("{n_new} of {n_work} messages"));
    log.note(Stage::Fetch, fetched.is_ok(), began, detail);
    let n_failed = match stored {
        Ok(n_failed) => {
            log.note(Stage::Store, true, began, format!("{n_new} messages"));
            n_failed
        }
        Err(error) => {
            log.note(Stage::Store, false, began, error.to_string());
            return Err(error.into());
        }
    };
    fetched?;
    Ok((n_failed > 0).then(|| format!("{n_failed} messages could not be fetched and stay on the server")))
}

/// Stores batches as they come, several in one transaction when they queue up; answers with the number of failed messages.
async fn store_batches(
    parts: &CollectorParts,
    lease: Lease,
    account: &Account,
    log: &RunLog,
    mut batches: mpsc::Receiver<FetchedBatch>,
) -> Result<u64, StoreError> {
    let mut n_failed = 0;
    let mut waiting = Vec::new();
    while batches.recv_many(&mut waiting, BATCHES_WAITING).await > 0 {
        let mut messages = Vec::new();
        for batch in waiting.drain(..) {
            messages.extend(batch.messages);
            for (key, reason) in batch.failed {
                n_failed += 1;
                let verdict = Verdict::Failed { reason, quarantine_after: parts.settings.quarantine_after };
                parts.store.record_verdict(lease, &key, &verdict).await?;
            }
        }
        if messages.is_empty() {
            continue;
        }
        let reader = Arc::clone(&parts.reader);
        let arrivals = tokio::task::spawn_blocking(move || index_all(&*reader, messages)).await;
        let arrivals = arrivals.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let now = parts.clock.now();
        let n_new = parts.store.store_arrivals(lease, arrivals, !account.draft.keep_copy, now).await?;
        log.update(|run| run.new_messages += n_new);
    }
    Ok(n_failed)
}

fn index_all(reader: &dyn MessageReader, messages: Vec<(RemoteKey, Vec<u8>)>) -> Vec<Arrival> {
    let one = |(key, raw): (RemoteKey, Vec<u8>)| Arrival { index: reader.index(&raw), key, raw };
    messages.into_iter().map(one).collect()
}

/// Deletes on the server what is stored here and not to be kept there. Reads the ledger again: only what was committed counts.
async fn delete(
    parts: &CollectorParts,
    lease: Lease,
    account: &Account,
    log: &RunLog,
    mut mailbox: Box<dyn Mailbox>,
    listing: &[Listed],
) -> Result<(), Stop> {
    let current = parts.store.find_account(account.id).await?;
    if current.is_none_or(|it| it.draft.keep_copy || it.deleted_at.is_some()) {
        mailbox.close().await;
        return Ok(());
    }
    let on_server: HashSet<&RemoteKey> = listing.iter().map(|it| &it.key).collect();
    let wanted = known(parts, account).await?.into_values();
    let wanted = wanted.filter(|it| it.is_delete_wanted && it.state == RemoteState::Stored).map(|it| it.key);
    let (keys, gone): (Vec<_>, Vec<_>) = wanted.partition(|it| on_server.contains(it));
    // Asked for earlier and not listed any more: the connection broke before the answer came.
    if !gone.is_empty() {
        parts.store.record_deleted(lease, &gone, parts.clock.now()).await?;
    }
    if keys.is_empty() {
        mailbox.close().await;
        return Ok(());
    }
    let began = Instant::now();
    let deleted = mailbox.delete(&keys).await;
    let detail = deleted.as_ref().map_or_else(|it| it.message.clone(), |it| format!("{} messages", it.len()));
    log.note(Stage::Delete, deleted.is_ok(), began, detail);
    let deleted = deleted?;
    parts.store.record_deleted(lease, &deleted, parts.clock.now()).await?;
    log.update(|run| run.deleted_messages += deleted.len() as u64);
    mailbox.close().await;
    Ok(())
}
