//! What is kept: accounts, credentials, connectors, users, the audit log, the ledger of messages, the schedule of checks.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    account::{
        Account, AccountDraft, AccountFilter, AccountQuery, AccountRow, AccountSort, Choice, Health, MessageCounts,
        UsedBy,
    },
    actor::Role,
    audit::{AuditEntry, AuditQuery, AuditRow},
    check::{CheckRun, StageRecord},
    connector::{Connector, ConnectorDraft},
    credential::{Credential, CredentialDraft},
    ids::{AccountId, CheckRunId, ConnectorId, CredentialId, MessageId, UserId},
    message::{MessageIndex, MessageQuery, MessageRow},
    page::{Page, PageRequest},
    time::Timestamp,
};

use super::{Listed, RemoteKey, ReportRunStore, ScheduleStore, SmtpStore};

/// Why a store did not do what it was asked, by what the caller may do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("there is no such record")]
    NotFound,
    /// The version that was named is not the current one.
    #[error("the record was changed by somebody else")]
    Conflict,
    #[error("another record has this {field}")]
    Taken { field: &'static str },
    /// Still used by other records.
    #[error("the record is in use")]
    InUse,
    /// A record that was referred to does not exist.
    #[error("the {field} does not exist")]
    Gone { field: &'static str },
    /// The lease was lost to another instance: nothing was written.
    #[error("the lease was lost")]
    Fenced,
    #[error("table {table}, row {row}: column {column} holds what it must not")]
    Corrupt { table: &'static str, column: &'static str, row: i64 },
    #[error("the database failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A secret as it is stored: sealed, with the number of what it is bound to (see `vault`).
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(pub Vec<u8>);

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// All stores; one value implements them for one database.
pub trait Store:
    AccountStore
    + CredentialStore
    + ConnectorStore
    + UserStore
    + AuditStore
    + LedgerStore
    + CheckStore
    + SmtpStore
    + ScheduleStore
    + ReportRunStore
{
}

impl<T> Store for T where
    T: AccountStore
        + CredentialStore
        + ConnectorStore
        + UserStore
        + AuditStore
        + LedgerStore
        + CheckStore
        + SmtpStore
        + ScheduleStore
        + ReportRunStore
{
}

/// How far a removal for good has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// There is more to remove.
    Part,
    /// The account is gone.
    Whole,
}

#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Accounts that are not deleted.
    async fn list_accounts(&self, query: &AccountQuery) -> Result<Page<AccountRow>, StoreError>;
    /// All accounts that match at this moment, in that order: what is printed or exported, however it changes meanwhile.
    async fn matching_accounts(&self, filter: &AccountFilter, sort: AccountSort) -> Result<Vec<AccountId>, StoreError>;
    /// The rows of those of these accounts that are not deleted, in any order.
    async fn account_rows(&self, ids: &[AccountId]) -> Result<Vec<AccountRow>, StoreError>;
    async fn count_accounts(&self, filter: &AccountFilter) -> Result<u64, StoreError>;
    /// Deleted accounts that can still be restored, latest first.
    async fn list_deleted_accounts(&self, page: PageRequest) -> Result<Page<Account>, StoreError>;
    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError>;
    /// `Taken{name}`, `Gone{credential_id}`, `Gone{network_connector_id}`. The first check is due at `due_at`, if any.
    async fn add_account(
        &self,
        draft: &AccountDraft,
        due_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<AccountId, StoreError>;
    /// `Conflict` unless `version` is current. Clears the failure and sets the next due time.
    async fn change_account(
        &self,
        id: AccountId,
        version: i64,
        draft: &AccountDraft,
        due_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// Hides the account; its name becomes free.
    async fn remove_account(
        &self,
        id: AccountId,
        version: i64,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// `Taken{name}` if another account has the name by now.
    async fn restore_account(
        &self,
        id: AccountId,
        due_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// The account that was deleted first, if that was before `before`.
    async fn purgeable_account(&self, before: Timestamp) -> Result<Option<Account>, StoreError>;
    /// Removes for good up to `limit` messages of an account that was deleted before `before`, and with the last of them the
    /// account itself. `NotFound` if it was restored meanwhile. The audit entry is written when the account goes.
    async fn purge_account(
        &self,
        id: AccountId,
        before: Timestamp,
        limit: u32,
        audit: &[AuditEntry],
    ) -> Result<Purged, StoreError>;
    async fn count_messages(&self, id: AccountId) -> Result<MessageCounts, StoreError>;
    /// Marks every stored message of the account that is still on the server for deletion there; answers with their number.
    async fn want_older_deleted(&self, id: AccountId, at: Timestamp, audit: &[AuditEntry]) -> Result<u64, StoreError>;
}

#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// By name; `search` anywhere in name or user name.
    async fn list_credentials(&self, search: &str, page: PageRequest) -> Result<Page<Credential>, StoreError>;
    async fn credential_choices(&self) -> Result<Vec<Choice>, StoreError>;
    async fn find_credential(&self, id: CredentialId) -> Result<Option<Credential>, StoreError>;
    /// User name and sealed secret.
    async fn sealed_credential(&self, id: CredentialId) -> Result<Option<(String, SealedSecret)>, StoreError>;
    /// Reserves an id first, so that the secret can be bound to it: `seal` is called with it.
    async fn next_credential_id(&self) -> Result<CredentialId, StoreError>;
    async fn add_credential(
        &self,
        id: CredentialId,
        draft: &CredentialDraft,
        secret: &SealedSecret,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// With a new secret, clears the stop of the accounts that use it and makes their automatic checks due.
    async fn change_credential(
        &self,
        id: CredentialId,
        version: i64,
        draft: &CredentialDraft,
        secret: Option<&SealedSecret>,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// `InUse` while an account (even a deleted one that can be restored), a connector or an SMTP record refers to it.
    async fn remove_credential(&self, id: CredentialId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;
    /// What uses it, not more than 100 records.
    async fn credential_used_by(&self, id: CredentialId) -> Result<UsedBy, StoreError>;
}

#[async_trait]
pub trait ConnectorStore: Send + Sync {
    async fn list_connectors(&self, search: &str, page: PageRequest) -> Result<Page<Connector>, StoreError>;
    async fn connector_choices(&self) -> Result<Vec<Choice>, StoreError>;
    async fn find_connector(&self, id: ConnectorId) -> Result<Option<Connector>, StoreError>;
    async fn add_connector(&self, draft: &ConnectorDraft, audit: &[AuditEntry]) -> Result<ConnectorId, StoreError>;
    async fn change_connector(
        &self,
        id: ConnectorId,
        version: i64,
        draft: &ConnectorDraft,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// `InUse` while an account or an SMTP record refers to it.
    async fn remove_connector(&self, id: ConnectorId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;
    async fn connector_used_by(&self, id: ConnectorId) -> Result<UsedBy, StoreError>;
}

/// A user as the sign-in needs it.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub role: Role,
    /// Argon2id in PHC form.
    pub password_hash: String,
}

/// A signed-in browser. The cookie's value is not stored, only its hash.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
}

#[async_trait]
pub trait UserStore: Send + Sync {
    async fn count_users(&self) -> Result<u64, StoreError>;
    async fn find_user(&self, name: &str) -> Result<Option<User>, StoreError>;
    /// `Taken{name}`. With `only_first`, `Conflict` if there is a user already.
    async fn add_user(
        &self,
        name: &str,
        role: Role,
        password_hash: &str,
        only_first: bool,
        audit: &[AuditEntry],
    ) -> Result<UserId, StoreError>;
    async fn add_session(
        &self,
        token_hash: &[u8],
        user: UserId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    async fn find_session(&self, token_hash: &[u8]) -> Result<Option<Session>, StoreError>;
    /// Notes the use; removes nothing.
    async fn touch_session(&self, token_hash: &[u8], at: Timestamp) -> Result<(), StoreError>;
    async fn remove_session(&self, token_hash: &[u8], audit: &[AuditEntry]) -> Result<(), StoreError>;
    /// Removes sessions that were created or used for the last time before these.
    async fn remove_expired_sessions(&self, created: Timestamp, used: Timestamp) -> Result<u64, StoreError>;
    async fn add_token(
        &self,
        token_hash: &[u8],
        user: UserId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    async fn find_token(&self, token_hash: &[u8]) -> Result<Option<User>, StoreError>;
    /// A value of the installation: the master key's id, the signing salt.
    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError>;
    /// Sets it if it is not set yet, and answers with what is set now.
    async fn setting_or(&self, key: &str, value: &str) -> Result<String, StoreError>;
    async fn has_sealed_secrets(&self) -> Result<bool, StoreError>;
}

#[async_trait]
pub trait AuditStore: Send + Sync {
    async fn add_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError>;
    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError>;
}

/// How far a remote message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RemoteState {
    /// On the server, not here yet: the work to do.
    Listed,
    /// Stored here.
    Stored,
    /// Larger than the limit: recorded, left on the server.
    TooLarge,
    /// Failed too often: left on the server, shown with its reason.
    Quarantined,
    /// Stored here and gone from the server.
    Deleted,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRemote {
    pub key: RemoteKey,
    pub state: RemoteState,
    pub n_attempts: u32,
    /// Stored, committed, and to be deleted from the server.
    pub is_delete_wanted: bool,
}

/// A message to store.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub key: RemoteKey,
    pub raw: Vec<u8>,
    pub index: MessageIndex,
}

/// What to record of a remote message that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    TooLarge,
    /// One more failed attempt; quarantined from `quarantine_after` attempts on.
    Failed {
        reason: String,
        quarantine_after: u32,
    },
}

/// The right to visit an account, until it runs out. Every write of a check names it; a store refuses with `Fenced` if a later
/// lease exists or this one ran out and was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub account_id: AccountId,
    pub fence: i64,
    /// Which state of account and credential the visit began with: its outcome counts for no later one.
    pub setup: i64,
}

#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// Every row of the account, in the order of arrival.
    async fn known_remotes(&self, account: AccountId) -> Result<Vec<KnownRemote>, StoreError>;
    /// Adds rows in state `Listed`; those that exist stay as they are.
    async fn add_listed(&self, lease: Lease, listed: &[Listed], at: Timestamp) -> Result<(), StoreError>;
    /// Stores messages and marks their rows `Stored`, in one transaction; what is stored already is not stored again. With
    /// `delete_wanted`, marks them for deletion on the server. Answers with the number of new messages.
    async fn store_arrivals(
        &self,
        lease: Lease,
        arrivals: Vec<Arrival>,
        delete_wanted: bool,
        at: Timestamp,
    ) -> Result<u64, StoreError>;
    async fn record_verdict(&self, lease: Lease, key: &RemoteKey, verdict: &Verdict) -> Result<(), StoreError>;
    async fn record_deleted(&self, lease: Lease, keys: &[RemoteKey], at: Timestamp) -> Result<(), StoreError>;

    /// Newest first, by the date of collection and then id.
    async fn list_messages(
        &self,
        account: AccountId,
        reader: Option<UserId>,
        query: &MessageQuery,
    ) -> Result<Page<MessageRow>, StoreError>;
    async fn find_message(&self, id: MessageId, reader: Option<UserId>) -> Result<Option<MessageRow>, StoreError>;
    /// The bytes as the server gave them.
    async fn raw_message(&self, id: MessageId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Records that the reader opened it, with the audit entry.
    async fn open_message(
        &self,
        id: MessageId,
        reader: Option<UserId>,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
}

/// What a finished check leaves behind.
#[derive(Clone, Debug)]
pub struct Finished {
    pub run: CheckRun,
    pub health: Health,
}

#[async_trait]
pub trait CheckStore: Send + Sync {
    /// Takes up to `limit` enabled, automatically checked accounts that are due and free, longest due first.
    async fn take_due(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
        limit: u32,
    ) -> Result<Vec<Lease>, StoreError>;
    /// Takes this account whether due or not; `None` while somebody else holds it.
    async fn take_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<Lease>, StoreError>;
    /// Prolongs the lease; `Fenced` if it was lost.
    async fn extend_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StoreError>;
    async fn start_run(&self, lease: Lease, at: Timestamp) -> Result<CheckRunId, StoreError>;
    /// Records stages and counts of a running check, so that others can show them.
    async fn record_stages(&self, lease: Lease, run: CheckRunId, stages: &[StageRecord]) -> Result<(), StoreError>;
    /// Ends the run, sets health and next due time, gives the lease back, in one transaction. Of a check that began before account
    /// or credential were changed only the success counts.
    async fn finish_run(&self, lease: Lease, finished: &Finished) -> Result<(), StoreError>;
    /// Gives the lease back without a run.
    async fn give_back(&self, lease: Lease, due_at: Option<Timestamp>) -> Result<(), StoreError>;
    /// Newest first.
    async fn list_runs(&self, account: AccountId, page: PageRequest) -> Result<Page<CheckRun>, StoreError>;
    async fn find_run(&self, id: CheckRunId) -> Result<Option<CheckRun>, StoreError>;
    /// When the earliest account falls due.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;
}
