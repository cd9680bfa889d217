//! The use cases of accounts: list, load, save under the rule of grants, remove, restore.

use std::{collections::HashMap, time::Duration};

use domain::{
    account::{
        Account, AccountChoices, AccountDraft, AccountFilter, AccountForm, AccountQuery, AccountRow, AccountSort,
        MessageCounts,
    },
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    ids::AccountId,
    page::{Page, PageRequest},
    problem::{Problem, Rule},
    time::Timestamp,
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::{Purged, StoreError},
};

/// How long a removed account can be restored.
pub const RESTORABLE_DAYS: u64 = 30;

const DAY: Duration = Duration::from_hours(24);
/// Messages that one transaction removes for good.
const PURGED_AT_ONCE: u32 = 500;

/// The use cases of accounts.
pub struct Accounts<'a>(pub(crate) &'a Parts);

/// What a save did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub id: AccountId,
    pub version: i64,
}

impl Accounts<'_> {
    pub async fn list(&self, actor: &Actor, query: &AccountQuery) -> Result<Page<AccountRow>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_accounts(query).await?)
    }

    /// The same page with whole accounts, without those that were deleted meanwhile.
    pub async fn list_whole(&self, actor: &Actor, query: &AccountQuery) -> Result<Page<Account>, Error> {
        let page = self.list(actor, query).await?;
        let ids: Vec<_> = page.items.iter().map(|it| it.id).collect();
        let found = self.0.store.find_accounts(&ids).await?;
        let mut found: HashMap<_, _> = found.into_iter().map(|it| (it.id, it)).collect();
        let items = ids.iter().filter_map(|it| found.remove(it)).collect();
        Ok(Page::new(items, page.total, query.page))
    }

    /// Whether there is any account at all, so that an empty report can say what to do first.
    pub async fn any(&self, actor: &Actor) -> Result<bool, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.count_accounts(&AccountFilter::default()).await? > 0)
    }

    /// Every account that matches at this moment, in the order wanted.
    pub async fn matching(
        &self,
        actor: &Actor,
        filter: &AccountFilter,
        sort: AccountSort,
    ) -> Result<Vec<AccountId>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.matching_accounts(filter, sort).await?)
    }

    /// The same, and notes that they leave the house, as a print or as a file.
    pub async fn export(&self, actor: &Actor, query: &AccountQuery, format: &str) -> Result<Vec<AccountId>, Error> {
        let ids = self.matching(actor, &query.filter, query.sort).await?;
        let subject = format!("accounts, {format}, {} rows, {}", ids.len(), query.to_query_string());
        let entry = entry(actor, self.0.clock.now(), AuditAction::ReportExported, subject);
        self.0.store.add_audit(&[entry]).await?;
        Ok(ids)
    }

    /// The rows of these accounts in their order, without those that were deleted meanwhile.
    pub async fn rows(&self, actor: &Actor, ids: &[AccountId]) -> Result<Vec<AccountRow>, Error> {
        need(actor, Permission::List)?;
        let rows = self.0.store.account_rows(ids).await?;
        let mut rows: HashMap<_, _> = rows.into_iter().map(|it| (it.id, it)).collect();
        Ok(ids.iter().filter_map(|it| rows.remove(it)).collect())
    }

    pub async fn load(&self, actor: &Actor, id: AccountId) -> Result<Account, Error> {
        need(actor, Permission::List)?;
        let account = self.0.store.find_account(id).await?;
        account.filter(|it| it.deleted_at.is_none()).ok_or(Error::NotFound)
    }

    /// Removed accounts that can still be restored.
    pub async fn deleted(&self, actor: &Actor, page: PageRequest) -> Result<Page<Account>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_deleted_accounts(page).await?)
    }

    pub async fn choices(&self, actor: &Actor) -> Result<AccountChoices, Error> {
        need(actor, Permission::List)?;
        Ok(AccountChoices {
            credentials: self.0.store.credential_choices().await?,
            connectors: self.0.store.connector_choices().await?,
            authorities: self.0.store.authority_choices().await?,
        })
    }

    pub async fn counts(&self, actor: &Actor, id: AccountId) -> Result<MessageCounts, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.count_messages(id).await?)
    }

    /// Adds an account (`id` is `None`) or changes one.
    ///
    /// A credential is only ever sent to a destination that it was granted for: a new account, another credential and a
    /// changed destination need permission Action, and a changed destination must be confirmed by `grant_credential`.
    pub async fn save(&self, actor: &Actor, id: Option<AccountId>, form: &AccountForm) -> Result<Saved, Error> {
        need(actor, Permission::Write)?;
        let draft = AccountDraft::try_from(form).map_err(Error::Invalid)?;
        match id {
            None => self.add(actor, &draft).await,
            Some(id) => self.change(actor, id, form, &draft).await,
        }
    }

    async fn add(&self, actor: &Actor, draft: &AccountDraft) -> Result<Saved, Error> {
        need(actor, Permission::Action)?;
        let now = self.0.clock.now();
        let subject = format!("account \"{}\"", draft.name);
        let entries = [
            AuditEntry { after: picture(draft), ..entry(actor, now, AuditAction::AccountAdded, subject.clone()) },
            grant(actor, now, &subject, draft),
        ];
        let id = self.0.store.add_account(draft, first_due(draft, now), &entries).await?;
        Ok(Saved { id, version: 1 })
    }

    async fn change(
        &self,
        actor: &Actor,
        id: AccountId,
        form: &AccountForm,
        draft: &AccountDraft,
    ) -> Result<Saved, Error> {
        let before = self.load(actor, id).await?;
        if form.version.parse() != Ok(before.version) {
            return Err(Error::Conflict);
        }
        let now = self.0.clock.now();
        let subject = format!("account {id} \"{}\"", draft.name);
        let mut entries = vec![AuditEntry {
            before: picture(&before.draft),
            after: picture(draft),
            ..entry(actor, now, AuditAction::AccountChanged, subject.clone())
        }];
        let moves = draft.destination != before.draft.destination || draft.protocol != before.draft.protocol;
        if moves || draft.credential_id != before.draft.credential_id {
            need(actor, Permission::Action)?;
            if moves && form.grant_credential != "yes" {
                return Err(Error::Invalid(vec![Problem::new("credential_id", Rule::GrantNeeded)]));
            }
            entries.push(grant(actor, now, &subject, draft));
        }
        let version = self.0.store.change_account(id, before.version, draft, first_due(draft, now), &entries).await?;
        Ok(Saved { id, version })
    }

    /// Hides the account for thirty days.
    pub async fn remove(&self, actor: &Actor, id: AccountId, version: i64) -> Result<MessageCounts, Error> {
        need(actor, Permission::Delete)?;
        let before = self.load(actor, id).await?;
        let now = self.0.clock.now();
        let subject = format!("account {id} \"{}\"", before.draft.name);
        let entry =
            AuditEntry { before: picture(&before.draft), ..entry(actor, now, AuditAction::AccountRemoved, subject) };
        let counts = self.0.store.count_messages(id).await?;
        self.0.store.remove_account(id, version, now, &[entry]).await?;
        Ok(counts)
    }

    pub async fn restore(&self, actor: &Actor, id: AccountId) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let account = self.0.store.find_account(id).await?.ok_or(Error::NotFound)?;
        if account.deleted_at.is_none() {
            return Err(Error::NotFound);
        }
        let now = self.0.clock.now();
        let subject = format!("account {id} \"{}\"", account.draft.name);
        let entry = entry(actor, now, AuditAction::AccountRestored, subject);
        self.0.store.restore_account(id, first_due(&account.draft, now), &[entry]).await?;
        Ok(())
    }

    /// Removes for good the accounts that were deleted more than `days` ago, at least [`RESTORABLE_DAYS`], with all that was
    /// collected from them; answers with their number.
    pub async fn purge(&self, actor: &Actor, days: u64) -> Result<u64, Error> {
        need(actor, Permission::Delete)?;
        let now = self.0.clock.now();
        let before = now.minus(DAY.saturating_mul(u32::try_from(days.max(RESTORABLE_DAYS)).unwrap_or(u32::MAX)));
        let mut n_purged = 0;
        while let Some(account) = self.0.store.purgeable_account(before).await? {
            let subject = format!("account {} \"{}\"", account.id, account.draft.name);
            let entry = AuditEntry {
                before: picture(&account.draft),
                ..entry(actor, now, AuditAction::AccountPurged, subject)
            };
            let entries = [entry];
            // Between two parts others get their turn at the database; an account restored meanwhile stays as it is.
            loop {
                match self.0.store.purge_account(account.id, before, PURGED_AT_ONCE, &entries).await {
                    Ok(Purged::Part) => {}
                    Ok(Purged::Whole) => break n_purged += 1,
                    Err(StoreError::NotFound) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(n_purged)
    }

    /// Asks for the deletion, on the server, of the messages that were collected while a copy was kept.
    pub async fn delete_older(&self, actor: &Actor, id: AccountId) -> Result<u64, Error> {
        need(actor, Permission::Delete)?;
        need(actor, Permission::Action)?;
        let account = self.load(actor, id).await?;
        if account.draft.keep_copy {
            return Err(Error::field("keep_copy", Rule::CopyKept));
        }
        let now = self.0.clock.now();
        let subject = format!("account {id} \"{}\"", account.draft.name);
        let entry = entry(actor, now, AuditAction::OlderDeletionAsked, subject);
        Ok(self.0.store.want_older_deleted(id, now, &[entry]).await?)
    }

    /// Takes back what [`Self::delete_older`] asked for, as far as the server was not asked yet; answers with the number of messages
    /// that stay there.
    pub async fn keep_older(&self, actor: &Actor, id: AccountId) -> Result<u64, Error> {
        need(actor, Permission::Delete)?;
        let account = self.load(actor, id).await?;
        let subject = format!("account {id} \"{}\"", account.draft.name);
        let entry = entry(actor, self.0.clock.now(), AuditAction::OlderDeletionCancelled, subject);
        Ok(self.0.store.forget_older_deletions(id, &[entry]).await?)
    }
}

/// A new or changed account is checked soon, if it is checked at all.
fn first_due(draft: &AccountDraft, now: Timestamp) -> Option<Timestamp> {
    (draft.enabled && draft.automatic_check).then_some(now)
}

fn grant(actor: &Actor, now: Timestamp, subject: &str, draft: &AccountDraft) -> AuditEntry {
    let subject = format!("credential {} for {subject}", draft.credential_id);
    AuditEntry { after: picture(&draft.destination), ..entry(actor, now, AuditAction::CredentialGranted, subject) }
}

impl From<StoreError> for crate::checks::StartError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            _ => Self::Failed(Error::from(error)),
        }
    }
}
