//! What is kept: accounts, credentials, connectors, users, the audit log, the ledger of messages, the schedule of checks.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    account::{
        Account, AccountDraft, AccountFilter, AccountQuery, AccountRow, AccountSort, Choice, Destination, Health,
        MessageCounts, Route, UsedBy,
    },
    actor::Role,
    agent::{Agent, AgentDraft},
    audit::{AuditEntry, AuditQuery, AuditRow},
    authority::{Authority, AuthorityDraft, AuthorityFacts, AuthorityRow},
    check::{CheckRun, StageRecord},
    connection_test::{ConnectionTest, TestRecord},
    connector::{Connector, ConnectorDraft, HostKey},
    credential::{Credential, CredentialDraft},
    ids::{
        AccountId, AgentId, AuthorityId, CheckRunId, ConnectionTestId, ConnectorId, CredentialId, IncidentId,
        MessageId, RemoteId, UserId,
    },
    incident::{Ailing, Cause, Incident, Instance, Role as InstanceRole, Running},
    ledger::{Deletion, DeletionProof, PlannedDeletion, Trouble},
    message::{MessageIndex, MessageQuery, MessageRow},
    page::{Page, PageRequest},
    posture::TlsSeen,
    time::Timestamp,
};

use super::{
    DeviceStore, FailedFetch, Listed, MailboxState, OAuthStore, Part, PostureStore, RemoteKey, ReportRunStore,
    ScheduleStore, SealStore, SmtpStore,
};
use crate::{RunId, TestRun};

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
    /// The secret was sealed by a master key that does not seal any more: seal it again.
    #[error("another master key seals by now")]
    OtherKey,
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

/// A credential as a visit needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCredential {
    pub username: String,
    pub secret: SealedSecret,
    /// The secret is an OAuth 2.0 client's and is shown to the provider alone.
    pub is_oauth: bool,
}

/// All stores; one value implements them for one database.
pub trait Store:
    AccountStore
    + CredentialStore
    + ConnectorStore
    + AgentStore
    + AuthorityStore
    + ConnectionTestStore
    + UserStore
    + AuditStore
    + LedgerStore
    + CheckStore
    + WatchStore
    + SmtpStore
    + ScheduleStore
    + ReportRunStore
    + PostureStore
    + OAuthStore
    + SealStore
    + DeviceStore
{
}

impl<T> Store for T where
    T: AccountStore
        + CredentialStore
        + ConnectorStore
        + AgentStore
        + AuthorityStore
        + ConnectionTestStore
        + UserStore
        + AuditStore
        + LedgerStore
        + CheckStore
        + WatchStore
        + SmtpStore
        + ScheduleStore
        + ReportRunStore
        + PostureStore
        + OAuthStore
        + SealStore
        + DeviceStore
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
    /// The same accounts, whole.
    async fn find_accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError>;
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
    /// Marks every stored message of the account's mailbox that is still on the server for deletion there; answers with their
    /// number.
    async fn want_older_deleted(&self, id: AccountId, at: Timestamp, audit: &[AuditEntry]) -> Result<u64, StoreError>;
    /// Takes such marks back where the server was not asked yet; answers with their number. What is to go since it arrived is no
    /// older message and keeps its mark.
    async fn forget_older_deletions(&self, id: AccountId, audit: &[AuditEntry]) -> Result<u64, StoreError>;
}

#[async_trait]
pub trait CredentialStore: Send + Sync {
    /// By name; `search` anywhere in name or user name.
    async fn list_credentials(&self, search: &str, page: PageRequest) -> Result<Page<Credential>, StoreError>;
    async fn credential_choices(&self) -> Result<Vec<Choice>, StoreError>;
    async fn find_credential(&self, id: CredentialId) -> Result<Option<Credential>, StoreError>;
    async fn sealed_credential(&self, id: CredentialId) -> Result<Option<SealedCredential>, StoreError>;
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
    /// Notes that a server took it at this time, at most once a minute. Changes no version.
    async fn note_accepted(&self, id: CredentialId, at: Timestamp) -> Result<(), StoreError>;
    /// What uses it, not more than 100 records.
    async fn credential_used_by(&self, id: CredentialId) -> Result<UsedBy, StoreError>;
}

#[async_trait]
pub trait ConnectorStore: Send + Sync {
    async fn list_connectors(&self, search: &str, page: PageRequest) -> Result<Page<Connector>, StoreError>;
    async fn connector_choices(&self) -> Result<Vec<Choice>, StoreError>;
    async fn find_connector(&self, id: ConnectorId) -> Result<Option<Connector>, StoreError>;
    async fn add_connector(&self, draft: &ConnectorDraft, audit: &[AuditEntry]) -> Result<ConnectorId, StoreError>;
    /// Where another server stands now, its key and how it did are forgotten.
    async fn change_connector(
        &self,
        id: ConnectorId,
        version: i64,
        draft: &ConnectorDraft,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// Pins an SSH server's key; answers with the new version.
    async fn approve_host_key(
        &self,
        id: ConnectorId,
        version: i64,
        host_key: &HostKey,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// Keeps when it last went well, or what went wrong, each at most once a minute. Changes no version.
    async fn record_contact(&self, id: ConnectorId, at: Timestamp, error: Option<&str>) -> Result<(), StoreError>;
    /// `InUse` while an account or an SMTP record refers to it.
    async fn remove_connector(&self, id: ConnectorId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;
    async fn connector_used_by(&self, id: ConnectorId) -> Result<UsedBy, StoreError>;
}

#[async_trait]
pub trait AgentStore: Send + Sync {
    /// In the order in which they were enrolled.
    async fn list_agents(&self, connector: ConnectorId) -> Result<Vec<Agent>, StoreError>;
    async fn find_agent(&self, id: AgentId) -> Result<Option<Agent>, StoreError>;
    async fn find_agent_by_key(&self, fingerprint: &str) -> Result<Option<Agent>, StoreError>;
    /// Keeps the hash of a code for one agent of this connector; forgets those that are too old.
    async fn add_agent_code(
        &self,
        connector: ConnectorId,
        hash: &str,
        expires_at: Timestamp,
        now: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// Whose agents the code enrols, if it is good at this time.
    async fn agent_code(&self, hash: &str, now: Timestamp) -> Result<Option<ConnectorId>, StoreError>;
    /// Adds an agent that waits for approval and uses the code up; `NotFound` if that was done meanwhile.
    async fn enroll_agent(
        &self,
        hash: &str,
        draft: &AgentDraft,
        now: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<AgentId, StoreError>;
    async fn approve_agent(
        &self,
        id: AgentId,
        version: i64,
        now: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    async fn remove_agent(&self, id: AgentId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;
    /// Notes that it is there, and with which version of the program. Changes no version of the record.
    async fn touch_agent(&self, id: AgentId, program_version: &str, now: Timestamp) -> Result<(), StoreError>;
    /// Notes that it holds a tunnel to this instance, and forgets tunnels not seen since `gone_before`.
    async fn touch_tunnel(
        &self,
        id: AgentId,
        instance: &str,
        now: Timestamp,
        gone_before: Timestamp,
    ) -> Result<(), StoreError>;
    async fn end_tunnel(&self, id: AgentId, instance: &str) -> Result<(), StoreError>;
    /// The connectors for which other instances have had agents since then.
    async fn connectors_elsewhere(&self, instance: &str, since: Timestamp) -> Result<Vec<ConnectorId>, StoreError>;
}

#[async_trait]
pub trait AuthorityStore: Send + Sync {
    /// By name; `search` anywhere in name or subject.
    async fn list_authorities(&self, search: &str, page: PageRequest) -> Result<Page<AuthorityRow>, StoreError>;
    async fn authority_choices(&self) -> Result<Vec<Choice>, StoreError>;
    async fn find_authority(&self, id: AuthorityId) -> Result<Option<Authority>, StoreError>;
    async fn add_authority(
        &self,
        draft: &AuthorityDraft,
        facts: &AuthorityFacts,
        audit: &[AuditEntry],
    ) -> Result<AuthorityId, StoreError>;
    async fn change_authority(
        &self,
        id: AuthorityId,
        version: i64,
        draft: &AuthorityDraft,
        facts: &AuthorityFacts,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// `InUse` while an account or an SMTP record trusts it.
    async fn remove_authority(&self, id: AuthorityId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;
    async fn authority_used_by(&self, id: AuthorityId) -> Result<UsedBy, StoreError>;
}

/// The result of a test of a connection, about to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewTest<'a> {
    pub account: AccountId,
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: &'a str,
    pub test: &'a ConnectionTest,
}

#[async_trait]
pub trait ConnectionTestStore: Send + Sync {
    /// Keeps a result, and of the account's others the newest up to [`KEPT`] of all and the last good ones of each way.
    ///
    /// [`KEPT`]: domain::connection_test::KEPT
    async fn add_test(&self, new: &NewTest<'_>) -> Result<ConnectionTestId, StoreError>;
    /// Newest first.
    async fn list_tests(&self, account: AccountId, limit: u32) -> Result<Vec<TestRecord>, StoreError>;
    /// The newest good test of what was saved, by that connector or directly; with `signed_in`, only one that signed in.
    async fn last_good_test(
        &self,
        account: AccountId,
        connector: Option<ConnectorId>,
        signed_in: bool,
    ) -> Result<Option<TestRecord>, StoreError>;

    /// A test has begun; whatever instance is asked from now on knows of it.
    async fn add_test_run(&self, run: &TestRun) -> Result<(), StoreError>;
    /// How it goes; whether somebody wants it to end. A run that is not there any more is not wanted.
    async fn note_test_run(&self, id: RunId, test: &ConnectionTest) -> Result<bool, StoreError>;
    /// Whether somebody wants it to end.
    async fn is_test_run_cancelled(&self, id: RunId) -> Result<bool, StoreError>;
    /// Somebody wants it to end; whether it is known at all.
    async fn cancel_test_run(&self, id: RunId) -> Result<bool, StoreError>;
    async fn find_test_run(&self, id: RunId) -> Result<Option<TestRun>, StoreError>;
    /// Those that were begun together last for this account as it is saved, in their order.
    async fn last_test_runs(&self, account: AccountId) -> Result<Vec<TestRun>, StoreError>;
    /// Forgets what began before.
    async fn forget_test_runs(&self, before: Timestamp) -> Result<(), StoreError>;
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
    /// Sets it, whatever it was.
    async fn set_setting(&self, key: &str, value: &str, audit: &[AuditEntry]) -> Result<(), StoreError>;
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
    /// The same message has another name by now, and its content is that one's.
    Renamed,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRemote {
    pub key: RemoteKey,
    pub state: RemoteState,
    pub n_attempts: u32,
    /// Missing from the listing, since whenever that was.
    pub is_missing: bool,
    /// The server was asked to delete it; whether it did may be unknown.
    pub is_delete_asked: bool,
    /// Bytes of it that are staged.
    pub staged: u64,
}

/// What the ledger says to a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What should be there, in the order of arrival; then what is listed and was gone.
    pub rows: Vec<KnownRemote>,
    /// The ledger has no row of this mailbox yet.
    pub is_new: bool,
}

/// What is left to do for an account, and what its mailbox looked like when nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkLeft {
    /// Rows without content.
    pub n_listed: u64,
    /// Stored, and to be deleted on the server sooner or later.
    pub n_to_delete: u64,
    /// As the last complete check found it.
    pub mailbox: Option<MailboxState>,
}

/// A message to store.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub key: RemoteKey,
    pub raw: Vec<u8>,
    /// BLAKE3 of the bytes.
    pub hash: [u8; 32],
    pub index: MessageIndex,
}

/// A message whose parts are staged, all of them.
#[derive(Clone, Debug)]
pub struct Assembled {
    pub key: RemoteKey,
    pub size: u64,
    /// BLAKE3 of the bytes.
    pub hash: [u8; 32],
    pub index: MessageIndex,
}

/// What storing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub n_new: u64,
    /// Messages that were here already under another name: after a new UIDVALIDITY or new UIDLs.
    pub n_renamed: u64,
}

impl std::ops::AddAssign for Stored {
    fn add_assign(&mut self, other: Self) {
        self.n_new += other.n_new;
        self.n_renamed += other.n_renamed;
    }
}

/// What to record of a remote message that is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    TooLarge(RemoteKey),
    /// One more failed attempt; quarantined from `quarantine_after` attempts on.
    Failed {
        failed: FailedFetch,
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
    /// Which mailbox the visit began with: another address, protocol or user is another one, whose names mean nothing here.
    pub epoch: i64,
    /// When the check was due; `None` if it was asked for.
    pub due_at: Option<Timestamp>,
}

#[async_trait]
pub trait LedgerStore: Send + Sync {
    async fn work_left(&self, lease: Lease) -> Result<WorkLeft, StoreError>;
    /// What is known of a listing's names, and of every message that should be in it: what is gone and not listed is left out, since
    /// of that there may be any number.
    async fn known_remotes(&self, lease: Lease, listed: &[RemoteKey]) -> Result<Known, StoreError>;
    /// Adds rows in state `Listed`; those that exist stay as they are.
    async fn add_listed(&self, lease: Lease, listed: &[Listed], at: Timestamp) -> Result<(), StoreError>;
    /// Notes which stored messages the listing lacks and which it has again. What is missing for the first time may have got
    /// another name: `may_be_renamed`. Rows of earlier mailboxes of the account that are still stored are missing with the first
    /// listing of the new one, and may be renamed. Answers with how many rows may be renamed now.
    async fn note_missing(
        &self,
        lease: Lease,
        missing: &[RemoteKey],
        back: &[RemoteKey],
        may_be_renamed: bool,
        at: Timestamp,
    ) -> Result<u64, StoreError>;
    /// Everything that was listed is here: what is missing was not renamed, it is gone.
    async fn settle_missing(&self, lease: Lease) -> Result<(), StoreError>;
    /// Stores messages and marks their rows `Stored`, in one transaction; what is stored already is not stored again. One that
    /// equals a message that may be renamed takes that one's place, which becomes `Renamed`. With `delete_wanted`, marks them
    /// for deletion on the server.
    async fn store_arrivals(
        &self,
        lease: Lease,
        arrivals: Vec<Arrival>,
        delete_wanted: bool,
        at: Timestamp,
    ) -> Result<Stored, StoreError>;
    /// Keeps a part of a large message that is not whole yet. Offset 0 discards what was staged before; any other offset must
    /// be where the staged parts end (`Conflict`).
    async fn stage_part(&self, lease: Lease, part: Part) -> Result<(), StoreError>;
    /// The nth staged part of a message that is not whole yet.
    async fn staged_part(&self, lease: Lease, key: &RemoteKey, nth: u32) -> Result<Option<Vec<u8>>, StoreError>;
    /// Makes a message of the staged parts, as [`Self::store_arrivals`] does of a whole one.
    async fn publish_staged(
        &self,
        lease: Lease,
        message: &Assembled,
        delete_wanted: bool,
        at: Timestamp,
    ) -> Result<Stored, StoreError>;
    async fn record_verdicts(&self, lease: Lease, verdicts: &[Verdict], at: Timestamp) -> Result<(), StoreError>;
    /// What is to be deleted on the server: stored, committed, named by the server, wanted deleted since `wanted_before`, and
    /// in the last listing.
    async fn deletable(&self, lease: Lease, wanted_before: Timestamp) -> Result<Vec<RemoteKey>, StoreError>;
    /// Before the server is asked: from here on a message that is missing was deleted by us.
    async fn record_delete_asked(&self, lease: Lease, keys: &[RemoteKey], at: Timestamp) -> Result<(), StoreError>;
    async fn record_deleted(
        &self,
        lease: Lease,
        keys: &[RemoteKey],
        proof: DeletionProof,
        run: CheckRunId,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Messages that could not be fetched, latest first.
    async fn list_trouble(&self, account: AccountId, page: PageRequest) -> Result<Page<Trouble>, StoreError>;
    /// The beginning of a message that could not be fetched, if it was kept.
    async fn trouble_sample(
        &self,
        account: AccountId,
        id: RemoteId,
        audit: &[AuditEntry],
    ) -> Result<Option<Vec<u8>>, StoreError>;
    /// Lets the next check fetch it again: all of the account's without `id`. Answers with their number.
    async fn retry_trouble(
        &self,
        account: AccountId,
        id: Option<RemoteId>,
        audit: &[AuditEntry],
    ) -> Result<u64, StoreError>;
    /// What the next checks will delete on the server, earliest first.
    async fn list_planned_deletions(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<PlannedDeletion>, StoreError>;
    /// Receipts, latest first.
    async fn list_deletions(&self, account: AccountId, page: PageRequest) -> Result<Page<Deletion>, StoreError>;

    /// Newest first, by the date of collection and then id.
    async fn list_messages(
        &self,
        account: AccountId,
        reader: Option<UserId>,
        query: &MessageQuery,
    ) -> Result<Page<MessageRow>, StoreError>;
    async fn find_message(&self, id: MessageId, reader: Option<UserId>) -> Result<Option<MessageRow>, StoreError>;
    /// The bytes as the server gave them, part by part, from 0; a message that arrived whole has one part.
    async fn raw_part(&self, id: MessageId, nth: u32) -> Result<Option<Vec<u8>>, StoreError>;
    /// Records that the reader opened it, with the audit entry.
    async fn open_message(
        &self,
        id: MessageId,
        reader: Option<UserId>,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
}

/// What checks share on their way: the connector, or else the server's address and port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    Connector(ConnectorId),
    Direct(String, u16),
}

impl Way {
    pub fn of(destination: &Destination) -> Self {
        match destination.route {
            Route::Connector(id) => Self::Connector(id),
            Route::Direct => Self::Direct(destination.address.to_string(), destination.port),
        }
    }
}

/// As the stores compare it: `connector 3`, `mail.example.org 993`.
impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connector(id) => write!(f, "connector {id}"),
            Self::Direct(address, port) => write!(f, "{address} {port}"),
        }
    }
}

/// What a finished check leaves behind.
#[derive(Clone, Debug)]
pub struct Finished {
    pub run: CheckRun,
    pub health: Health,
    /// A success moves it on: when the account is late without another one.
    pub late_at: Option<Timestamp>,
    /// What the mailbox looked like, if nothing is left to do in it.
    pub mailbox: Option<MailboxState>,
    /// After a refused credential: the account's siblings that use it too are not checked before this time.
    pub spare_siblings_until: Option<Timestamp>,
    /// The visit goes on: the connection stays open for the next check.
    pub keeps_lease: bool,
    pub transcript: Option<String>,
    /// What this visit saw of the server's TLS, if it came so far. It is written down if it is not what was seen before.
    pub tls: Option<TlsSeen>,
}

impl Finished {
    /// Stands for what was seen of TLS in this mailbox: equal marks, nothing to write.
    pub fn tls_mark(&self, epoch: i64) -> Option<i64> {
        let TlsSeen { version, suite, not_after, issuer, fingerprint } = self.tls.as_ref()?;
        let mut hash = blake3::Hasher::new();
        for number in [epoch, not_after.map_or(i64::MIN, |it| it.0)] {
            hash.update(&number.to_le_bytes());
        }
        for text in [version, suite, issuer, fingerprint] {
            hash.update(text.as_bytes());
            hash.update(&[0]);
        }
        let mut mark = [0; 8];
        hash.finalize_xof().fill(&mut mark);
        Some(i64::from_le_bytes(mark))
    }
}

/// What whoever keeps a connection to an account has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub account_id: AccountId,
    /// Another one than the lease's: account, credential, connector or authority were changed since.
    pub setup: i64,
    pub is_enabled: bool,
    pub next_check_at: Option<Timestamp>,
}

#[async_trait]
pub trait CheckStore: Send + Sync {
    /// Takes up to `limit` accounts that are free and due: enabled and automatically checked, or asked for. Longest due first.
    /// Those whose way is busy are passed over.
    async fn take_due(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
        limit: u32,
        busy: &[Way],
    ) -> Result<Vec<Lease>, StoreError>;
    /// Takes this account whether due or not; `None` while somebody else holds it.
    async fn take_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<Lease>, StoreError>;
    /// Whether somebody holds the account at this time.
    async fn is_held(&self, id: AccountId, now: Timestamp) -> Result<bool, StoreError>;
    /// How these accounts stand, but for those that were deleted.
    async fn standings(&self, accounts: &[AccountId]) -> Result<Vec<Standing>, StoreError>;
    /// Has the account checked as soon as an instance is free, due or not.
    async fn ask_check(&self, id: AccountId, at: Timestamp) -> Result<(), StoreError>;
    /// The same for every enabled account that uses the credential; answers with how many.
    async fn ask_checks_with(
        &self,
        credential: CredentialId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<u64, StoreError>;
    /// The accounts that this instance holds and that somebody asked to be checked.
    async fn asked_of(&self, owner: &str) -> Result<Vec<AccountId>, StoreError>;
    /// Prolongs the lease; `Fenced` if it was lost.
    async fn extend_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StoreError>;
    /// Prolongs every lease that this instance still holds, and answers with them by account and fence.
    async fn extend_leases(&self, owner: &str, until: Timestamp) -> Result<Vec<(AccountId, i64)>, StoreError>;
    async fn start_run(&self, lease: Lease, at: Timestamp) -> Result<CheckRunId, StoreError>;
    /// Records stages and counts of a running check, so that others can show them.
    async fn record_stages(&self, lease: Lease, run: CheckRunId, stages: &[StageRecord]) -> Result<(), StoreError>;
    /// Ends the run, sets health and next due time, gives the lease back unless it is kept, in one transaction. Of a check that
    /// began before account or credential were changed only the success counts. A stop for a refused credential stops every
    /// account that uses it; a success ends the stops that came of another account.
    async fn finish_run(&self, lease: Lease, finished: &Finished) -> Result<(), StoreError>;
    /// Gives the lease back without a run.
    async fn give_back(&self, lease: Lease, due_at: Option<Timestamp>) -> Result<(), StoreError>;
    /// Newest first.
    async fn list_runs(&self, account: AccountId, page: PageRequest) -> Result<Page<CheckRun>, StoreError>;
    async fn find_run(&self, id: CheckRunId) -> Result<Option<CheckRun>, StoreError>;
    /// The dialogue with the server, if it was taken down.
    async fn run_transcript(&self, id: CheckRunId) -> Result<Option<String>, StoreError>;
    /// Removes up to `limit` runs that ended before; answers with their number. Receipts of deletions outlive them.
    async fn purge_runs(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;
    /// When the earliest account falls due.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;
}

/// How many accounts there are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub n_automatic: u64,
    pub n_running: u64,
    pub n_due: u64,
    pub n_late: u64,
    pub n_failing: u64,
    pub n_stopped: u64,
    pub n_quarantined: u64,
}

#[async_trait]
pub trait WatchStore: Send + Sync {
    /// Raises the accounts whose time has passed; answers with how many are newly late.
    async fn mark_late(&self, now: Timestamp) -> Result<u64, StoreError>;
    async fn tally(&self, now: Timestamp) -> Result<Tally, StoreError>;
    /// The checks that have been under way for longest.
    async fn list_running(&self, limit: u32) -> Result<Vec<Running>, StoreError>;
    /// Accounts that are failing or late, counted by what they have in common.
    async fn ailing(&self) -> Result<Vec<Ailing>, StoreError>;
    /// Notes that an instance lives and which master keys it holds, and forgets those not seen since `gone_before`.
    async fn touch_instance(
        &self,
        id: &str,
        role: InstanceRole,
        host: &str,
        key_ids: &str,
        now: Timestamp,
        gone_before: Timestamp,
    ) -> Result<(), StoreError>;
    async fn remove_instance(&self, id: &str) -> Result<(), StoreError>;
    async fn list_instances(&self) -> Result<Vec<Instance>, StoreError>;
    /// Opens incidents for causes that have none, brings the open ones up to date, and ends those whose cause is not among them.
    async fn update_incidents(&self, causes: &[Cause], now: Timestamp) -> Result<(), StoreError>;
    /// Takes an incident of which nobody was told yet: one that opened before `opened_before`, or one that was told of and is
    /// over. Whoever takes it tells, and nobody else does; it is noted as told in the same transaction.
    async fn take_untold(&self, opened_before: Timestamp, now: Timestamp) -> Result<Option<Incident>, StoreError>;
    /// What came of telling.
    async fn record_told(&self, id: IncidentId, detail: &str) -> Result<(), StoreError>;
    /// The open ones, then those that are over, latest first.
    async fn list_incidents(&self, limit: u32) -> Result<Vec<Incident>, StoreError>;
}
