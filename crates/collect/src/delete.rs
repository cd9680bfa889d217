//! Deletion on the server: only what is stored here, committed, and held for as long as the account says; each with a receipt.

use std::time::Instant;

use domain::{account::Account, check::Stage, ids::CheckRunId, ledger::DeletionProof};
use service::ports::{Lease, Mailbox, RemoteKey, StoreError};

use crate::{CollectorParts, run::RunLog, visit::Stop};

/// Messages that one check deletes at most: a server that is asked for more may be busy for longer than its clients wait.
const AT_ONCE: usize = 5_000;

/// What is to be deleted now, by what was committed. Nothing while a copy is kept, and nothing once the account was changed
/// since the check began: that may have been to keep copies, and the next check knows.
pub(crate) async fn due(parts: &CollectorParts, lease: Lease, account: &Account) -> Result<Vec<RemoteKey>, StoreError> {
    if account.draft.keep_copy || account.deleted_at.is_some() {
        return Ok(Vec::new());
    }
    let mut keys = parts.store.deletable(lease, parts.clock.now().minus(account.draft.hold())).await?;
    if keys.is_empty() {
        return Ok(keys);
    }
    let current = parts.store.find_account(account.id).await?;
    if current.is_none_or(|it| it.version != account.version) {
        return Ok(Vec::new());
    }
    keys.truncate(AT_ONCE);
    Ok(keys)
}

/// Asks the server, after it was written down that it is asked: what is missing from the next listing was deleted by us, whether
/// or not the answer came.
pub(crate) async fn delete(
    parts: &CollectorParts,
    lease: Lease,
    run: CheckRunId,
    log: &RunLog,
    mailbox: &mut dyn Mailbox,
    keys: &[RemoteKey],
) -> Result<(), Stop> {
    parts.store.record_delete_asked(lease, keys, parts.clock.now()).await?;
    let began = Instant::now();
    let deleted = mailbox.delete(keys).await;
    let detail = deleted.as_ref().map_or_else(|it| it.message.clone(), |it| format!("{} messages", it.len()));
    log.note(Stage::Delete, deleted.is_ok(), began, detail);
    let deleted = deleted?;
    parts.store.record_deleted(lease, &deleted, DeletionProof::Confirmed, run, parts.clock.now()).await?;
    log.update(|run| run.deleted_messages += deleted.len() as u64);
    Ok(())
}
