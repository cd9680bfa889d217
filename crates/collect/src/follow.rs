//! Following a check that another instance runs, through the store.

use std::{sync::Arc, time::Duration};

use domain::{
    check::{CheckError, CheckRun, ErrorKind, Outcome},
    ids::AccountId,
    page::PageRequest,
};
use service::{
    CheckTicket, Error, StartError,
    ports::{Clock, Store, StoreError},
};
use tokio::{sync::watch, time::sleep};

use crate::CollectorParts;

/// How often the store is asked. There is no feed between instances that share a file.
const EVERY: Duration = Duration::from_millis(250);

/// A ticket for the check that somebody else runs; `None` if no such check can be seen.
pub(crate) async fn follow(parts: &CollectorParts, account: AccountId) -> Result<Option<CheckTicket>, StartError> {
    let store = &parts.store;
    let latest = store.list_runs(account, PageRequest::new(1, 1)).await.map_err(Error::from)?;
    let Some(run) = latest.items.into_iter().next().filter(|it| it.outcome == Outcome::Running) else {
        return Ok(None);
    };
    if !store.is_held(account, parts.clock.now()).await.map_err(Error::from)? {
        return Ok(None);
    }
    let (sender, updates) = watch::channel(run.clone());
    let follower = Follower { store: Arc::clone(store), clock: Arc::clone(&parts.clock), sender };
    let deadline = parts.settings.deadline;
    tokio::spawn(async move { tokio::time::timeout(deadline, follower.poll(run)).await });
    Ok(Some(CheckTicket { updates }))
}

struct Follower {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sender: watch::Sender<CheckRun>,
}

impl Follower {
    async fn poll(self, run: CheckRun) {
        while !self.sender.is_closed() {
            sleep(EVERY).await;
            match self.latest(&run).await {
                Ok(latest) => {
                    let is_finished = latest.finished_at.is_some();
                    self.sender.send_replace(latest);
                    if is_finished {
                        break;
                    }
                }
                Err(error) => tracing::warn!(%error, run = %run.id, "a running check could not be read"),
            }
        }
    }

    /// The record as it is now. Whoever ran the check and holds the account no more does not come back to end it.
    async fn latest(&self, run: &CheckRun) -> Result<CheckRun, StoreError> {
        let now = self.clock.now();
        // In this order: a check that ends gives its lease back with its record.
        let is_held = self.store.is_held(run.account_id, now).await?;
        let latest = self.store.find_run(run.id).await?;
        Ok(latest.filter(|it| is_held || it.finished_at.is_some()).unwrap_or_else(|| {
            let message = "the instance that ran this check went away".to_owned();
            CheckRun {
                outcome: Outcome::Failed,
                finished_at: Some(now),
                error: Some(CheckError { kind: ErrorKind::Internal, message }),
                ..run.clone()
            }
        }))
    }
}
