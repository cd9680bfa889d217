//! From what a server lists to the work to do: new names enter the ledger, missing ones are noted, and what is left to fetch
//! comes out.

use std::collections::{HashMap, HashSet};

use domain::{account::Protocol, ids::CheckRunId, ledger::DeletionProof};
use service::ports::{Known, KnownRemote, Lease, Listed, Listing, RemoteKey, RemoteState, StoreError, Verdict, Wanted};

use crate::CollectorParts;

/// Rows that one transaction adds to the ledger.
const LISTED_AT_ONCE: usize = 2_000;

/// What a listing came to.
#[derive(Default)]
pub(crate) struct Plan {
    /// To fetch, oldest first; those that failed before come last.
    pub(crate) work: Vec<Wanted>,
    /// Deletions whose answer was lost, and that did take place.
    pub(crate) n_reconciled: u64,
    /// What somebody who looks at the check should know of the names.
    pub(crate) remark: Option<String>,
}

/// Brings the ledger up to the listing.
pub(crate) async fn plan(
    parts: &CollectorParts,
    lease: Lease,
    run: CheckRunId,
    protocol: Protocol,
    listing: &Listing,
) -> Result<Plan, StoreError> {
    let store = &parts.store;
    let names: Vec<RemoteKey> = listing.messages.iter().map(|it| it.key.clone()).collect();
    let Known { rows, is_new } = store.known_remotes(lease, &names).await?;
    let known: HashMap<&RemoteKey, &KnownRemote> = rows.iter().map(|it| (&it.key, it)).collect();
    let now = parts.clock.now();
    let new: Vec<Listed> = listing.messages.iter().filter(|it| !known.contains_key(&it.key)).cloned().collect();
    let mut plan = Plan::default();
    // Before the new names enter the ledger: if this breaks off in between, they are still new to the next check.
    note_missing(parts, lease, run, protocol, listing, &known, is_new, !new.is_empty(), &mut plan).await?;
    for chunk in new.chunks(LISTED_AT_ONCE) {
        store.add_listed(lease, chunk, now).await?;
    }
    let mut too_large = Vec::new();
    let mut failed_before = Vec::new();
    for listed in &listing.messages {
        let row = known.get(&listed.key);
        let state = row.map_or(RemoteState::Listed, |it| it.state);
        let is_too_large = listed.size > parts.settings.size_limit;
        match state {
            // The limit may have been raised since.
            RemoteState::Listed | RemoteState::TooLarge if !is_too_large => {
                let wanted = Wanted { listed: listed.clone(), staged: row.map_or(0, |it| it.staged) };
                let into = if row.is_some_and(|it| it.n_attempts > 0) { &mut failed_before } else { &mut plan.work };
                into.push(wanted);
            }
            RemoteState::Listed => too_large.push(Verdict::TooLarge(listed.key.clone())),
            _ => {}
        }
    }
    if !too_large.is_empty() {
        store.record_verdicts(lease, &too_large, now).await?;
    }
    plan.work.append(&mut failed_before);
    Ok(plan)
}

/// What is known and not listed: deleted by us, removed by others, or still there under another name.
#[expect(clippy::too_many_arguments, reason = "all of it belongs to one listing")]
async fn note_missing(
    parts: &CollectorParts,
    lease: Lease,
    run: CheckRunId,
    protocol: Protocol,
    listing: &Listing,
    known: &HashMap<&RemoteKey, &KnownRemote>,
    is_new: bool,
    has_new: bool,
    plan: &mut Plan,
) -> Result<(), StoreError> {
    let listed: HashSet<&RemoteKey> = listing.messages.iter().map(|it| &it.key).collect();
    let (mut reconciled, mut gone, mut renamable, mut back) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let present = listing.messages.iter().find_map(|it| validity(&it.key));
    for (key, row) in known {
        if listed.contains(*key) {
            if row.is_missing {
                back.push((*key).clone());
            }
            continue;
        }
        if row.is_missing || matches!(row.state, RemoteState::Deleted | RemoteState::Renamed) {
            continue;
        }
        if row.is_delete_asked && row.state == RemoteState::Stored {
            reconciled.push((*key).clone());
        } else if may_be_renamed(protocol, key, present, has_new) {
            renamable.push((*key).clone());
        } else {
            gone.push((*key).clone());
        }
    }
    let now = parts.clock.now();
    let store = &parts.store;
    if !reconciled.is_empty() {
        store.record_deleted(lease, &reconciled, DeletionProof::Reconciled, run, now).await?;
        plan.n_reconciled = reconciled.len() as u64;
    }
    if !gone.is_empty() || !back.is_empty() {
        store.note_missing(lease, &gone, &back, false, now).await?;
    }
    // A mailbox whose rows are all new may be the account's second one.
    if !renamable.is_empty() || is_new {
        store.note_missing(lease, &renamable, &[], true, now).await?;
    }
    if !renamable.is_empty() {
        let remark = format!(
            "the server has given its messages other names ({} are missing): they are recognised by their content",
            renamable.len()
        );
        tracing::warn!(account = %lease.account_id, n_missing = renamable.len(), "{remark}");
        plan.remark = Some(remark);
    }
    Ok(())
}

fn validity(key: &RemoteKey) -> Option<u32> {
    match key {
        RemoteKey::Uid { uid_validity, .. } => Some(*uid_validity),
        _ => None,
    }
}

/// Within one UIDVALIDITY a UID is never another message's (RFC 9051 section 2.3.1.1): what is missing is gone. A UIDL promises as
/// much (RFC 1939 section 7), but servers renumber; where there is nothing new, there is no new name either.
fn may_be_renamed(protocol: Protocol, key: &RemoteKey, present: Option<u32>, has_new: bool) -> bool {
    has_new
        && match protocol {
            Protocol::Imap => validity(key) != present,
            Protocol::Pop3 => true,
        }
}
