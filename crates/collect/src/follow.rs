//! Following a check that another instance runs, through the store.

use std::{sync::Arc, time::Duration};

use domain::{
    check::{CheckRun, Outcome},
    ids::AccountId,
    page::PageRequest,
};
use service::{CheckTicket, Error, StartError, ports::Store};
use tokio::{sync::watch, time::sleep};

/// How often the store is asked. There is no feed between instances that share a file.
const EVERY: Duration = Duration::from_millis(250);

/// A ticket for the check that somebody else runs; `None` if no such check can be seen.
pub(crate) async fn follow(
    store: Arc<dyn Store>,
    account: AccountId,
    deadline: Duration,
) -> Result<Option<CheckTicket>, StartError> {
    let latest = store.list_runs(account, PageRequest::new(1, 1)).await.map_err(Error::from)?;
    let Some(run) = latest.items.into_iter().next().filter(|it| it.outcome == Outcome::Running) else {
        return Ok(None);
    };
    let (sender, updates) = watch::channel(run.clone());
    tokio::spawn(async move {
        // Whoever runs the check may die; then its lease ends and so does this.
        _ = tokio::time::timeout(deadline, poll(store, run, sender)).await;
    });
    Ok(Some(CheckTicket { updates }))
}

async fn poll(store: Arc<dyn Store>, run: CheckRun, sender: watch::Sender<CheckRun>) {
    while !sender.is_closed() {
        sleep(EVERY).await;
        match store.find_run(run.id).await {
            Ok(Some(latest)) => {
                let is_finished = latest.finished_at.is_some();
                sender.send_replace(latest);
                if is_finished {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => tracing::warn!(%error, run = %run.id, "a running check could not be read"),
        }
    }
}
