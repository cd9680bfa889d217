//! The use cases of checks: ask for one, follow it, look at the earlier ones.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    actor::{Actor, Permission},
    audit::AuditAction,
    check::CheckRun,
    ids::{AccountId, CheckRunId},
    page::{Page, PageRequest},
    problem::Rule,
};
use tokio::sync::watch;

use crate::{Error, Parts, audit::entry, error::need};

/// A running check. The receiver always holds its latest state; it closes when the check has finished.
#[derive(Clone, Debug)]
pub struct CheckTicket {
    pub updates: watch::Receiver<CheckRun>,
}

impl CheckTicket {
    /// The finished record.
    pub async fn finished(mut self) -> CheckRun {
        while self.updates.borrow_and_update().finished_at.is_none() {
            if self.updates.changed().await.is_err() {
                break;
            }
        }
        self.updates.borrow().clone()
    }
}

/// Why a check did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("there is no such account")]
    NotFound,
    /// A disabled account is never contacted.
    #[error("the account is disabled")]
    Disabled,
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Runs checks; implemented by `collect`.
#[async_trait]
pub trait Checker: Send + Sync {
    /// Starts a check of the account, or joins the one that is running, here or in another instance. With `transcript`, a check
    /// that begins now takes its dialogue with the server down.
    async fn start(&self, account: AccountId, transcript: bool) -> Result<CheckTicket, StartError>;

    /// The check that is running, here or in another instance, if any.
    async fn watch(&self, account: AccountId) -> Result<Option<CheckTicket>, StartError>;
}

/// The use cases of checks.
pub struct Checks<'a>(pub(crate) &'a Parts);

impl Checks<'_> {
    /// Runs a check now, or joins the running one. With `transcript`, its dialogue with the server is taken down and kept.
    pub async fn ask(&self, actor: &Actor, id: AccountId, transcript: bool) -> Result<CheckTicket, Error> {
        need(actor, Permission::Action)?;
        let account = self.0.store.find_account(id).await?.filter(|it| it.deleted_at.is_none());
        let account = account.ok_or(Error::NotFound)?;
        let subject = format!("account {id} \"{}\"", account.draft.name);
        let entry = entry(actor, self.0.clock.now(), AuditAction::CheckAsked, subject);
        self.0.store.add_audit(&[entry]).await?;
        self.0.checker.start(id, transcript).await.map_err(|it| match it {
            StartError::NotFound => Error::NotFound,
            StartError::Disabled => Error::field("enabled", Rule::AccountDisabled),
            StartError::Failed(error) => error,
        })
    }

    /// Follows the running check, or gives the last one if none is running; starts nothing.
    pub async fn watch(&self, actor: &Actor, id: AccountId) -> Result<Option<CheckTicket>, Error> {
        need(actor, Permission::List)?;
        match self.0.checker.watch(id).await {
            Ok(Some(ticket)) => return Ok(Some(ticket)),
            Ok(None) => {}
            Err(StartError::Failed(error)) => return Err(error),
            Err(_) => return Err(Error::NotFound),
        }
        let latest = self.0.store.list_runs(id, PageRequest::new(1, 1)).await?;
        Ok(latest.items.into_iter().next().map(|run| CheckTicket { updates: watch::channel(run).1 }))
    }

    /// Removes the records of checks that ended more than `days` ago, part by part; answers with their number. Receipts of
    /// deletions stay.
    pub async fn purge_runs(&self, actor: &Actor, days: u64, at_once: u32) -> Result<u64, Error> {
        need(actor, Permission::Delete)?;
        let days = u32::try_from(days).unwrap_or(u32::MAX);
        let before = self.0.clock.now().minus(Duration::from_hours(24).saturating_mul(days));
        let mut n_purged = 0;
        loop {
            let n = self.0.store.purge_runs(before, at_once).await?;
            n_purged += n;
            if n < u64::from(at_once) {
                return Ok(n_purged);
            }
        }
    }

    /// The dialogue of a check with the server, secrets and bodies masked, if it was taken down.
    pub async fn transcript(&self, actor: &Actor, account: AccountId, run: CheckRunId) -> Result<String, Error> {
        need(actor, Permission::Query)?;
        let found = self.0.store.find_run(run).await?;
        found.filter(|it| it.account_id == account).ok_or(Error::NotFound)?;
        self.0.store.run_transcript(run).await?.ok_or(Error::NotFound)
    }

    pub async fn runs(&self, actor: &Actor, id: AccountId, page: PageRequest) -> Result<Page<CheckRun>, Error> {
        need(actor, Permission::List)?;
        let account = self.0.store.find_account(id).await?;
        account.filter(|it| it.deleted_at.is_none()).ok_or(Error::NotFound)?;
        Ok(self.0.store.list_runs(id, page).await?)
    }
}
