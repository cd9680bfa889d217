//! The use cases of the ledger: what could not be fetched, what will be deleted on a server, and the receipts of what was.

use domain::{
    actor::{Actor, Permission},
    audit::AuditAction,
    ids::{AccountId, RemoteId},
    ledger::{Deletion, PlannedDeletion, Trouble},
    page::{Page, PageRequest},
};

use crate::{Error, Parts, audit::entry, error::need};

/// The use cases of the ledger.
pub struct Ledger<'a>(pub(crate) &'a Parts);

impl Ledger<'_> {
    /// Messages of the account that are on its server and could not be fetched.
    pub async fn trouble(&self, actor: &Actor, id: AccountId, page: PageRequest) -> Result<Page<Trouble>, Error> {
        self.account(actor, id, Permission::List).await?;
        Ok(self.0.store.list_trouble(id, page).await?)
    }

    /// The beginning of such a message, as far as it came.
    pub async fn sample(&self, actor: &Actor, id: AccountId, remote: RemoteId) -> Result<Vec<u8>, Error> {
        let name = self.account(actor, id, Permission::Query).await?;
        let subject = format!("message {remote} in quarantine, account {id} \"{name}\"");
        let entry = entry(actor, self.0.clock.now(), AuditAction::RemoteViewed, subject);
        self.0.store.trouble_sample(id, remote, &[entry]).await?.ok_or(Error::NotFound)
    }

    /// Has the next check fetch it again, or all of them; answers with their number.
    pub async fn retry(&self, actor: &Actor, id: AccountId, remote: Option<RemoteId>) -> Result<u64, Error> {
        let name = self.account(actor, id, Permission::Action).await?;
        let which = remote.map_or_else(|| "all messages".to_owned(), |it| format!("message {it}"));
        let subject = format!("{which} in quarantine, account {id} \"{name}\"");
        let entry = entry(actor, self.0.clock.now(), AuditAction::RemoteRetried, subject);
        let n_retried = self.0.store.retry_trouble(id, remote, &[entry]).await?;
        if n_retried == 0 && remote.is_some() { Err(Error::NotFound) } else { Ok(n_retried) }
    }

    /// What the next checks will delete on the server: nothing is done.
    pub async fn planned_deletions(
        &self,
        actor: &Actor,
        id: AccountId,
        page: PageRequest,
    ) -> Result<Page<PlannedDeletion>, Error> {
        self.account(actor, id, Permission::List).await?;
        Ok(self.0.store.list_planned_deletions(id, page).await?)
    }

    /// The receipts of what was deleted on the server.
    pub async fn deletions(&self, actor: &Actor, id: AccountId, page: PageRequest) -> Result<Page<Deletion>, Error> {
        self.account(actor, id, Permission::List).await?;
        Ok(self.0.store.list_deletions(id, page).await?)
    }

    /// The account's name.
    async fn account(&self, actor: &Actor, id: AccountId, permission: Permission) -> Result<String, Error> {
        need(actor, permission)?;
        let account = self.0.store.find_account(id).await?.filter(|it| it.deleted_at.is_none());
        Ok(account.ok_or(Error::NotFound)?.draft.name)
    }
}
