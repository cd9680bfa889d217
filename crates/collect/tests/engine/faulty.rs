//! A real store that fails where a test says: before it did what it was asked, after, or not at all.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    account::{
        Account, AccountDraft, AccountFilter, AccountQuery, AccountRow, AccountSort, Choice, MessageCounts, UsedBy,
    },
    actor::Role,
    agent::{Agent, AgentDraft},
    audit::{AuditEntry, AuditQuery, AuditRow},
    authority::{Authority, AuthorityDraft, AuthorityFacts, AuthorityRow},
    check::{CheckRun, StageRecord},
    connection_test::{ConnectionTest, TestRecord},
    connector::{Connector, ConnectorDraft, HostKey},
    credential::{Credential, CredentialDraft},
    device::DeviceState,
    ids::{
        AccountId, AgentId, AuthorityId, CheckRunId, ConnectionTestId, ConnectorId, CredentialId, DeliveryId,
        IncidentId, MessageId, RemoteId, ReportRunId, ScheduleId, SmtpId, UserId,
    },
    incident::{Ailing, Cause, Incident, Instance, Role as InstanceRole, Running},
    ledger::{Deletion, DeletionProof, PlannedDeletion, Trouble},
    message::{MessageQuery, MessageRow},
    page::{Page, PageRequest},
    posture::{PostureList, PostureRow},
    schedule::{Format, ReportRun, Schedule, ScheduleDraft, ScheduleRow},
    smtp::{Smtp, SmtpDraft},
    time::Timestamp,
};
use service::{
    RunId, TestRun,
    ports::{
        AccountStore, AgentStore, Arrival, Assembled, Attempt, AuditStore, AuthorityStore, CheckStore,
        ConnectionTestStore, ConnectorStore, Consent, CredentialStore, DeviceClaim, DeviceRow, DeviceStore, Finished,
        InstanceKeys, KeptTokens, KeyChange, Known, Lease, LedgerStore, Listed, MadeReport, NewDeviceFlow, NewTest,
        OAuthRow, OAuthStore, Part, PostureStore, Purged, RemoteKey, ReportRunStore, Resealed, RunCause, RunLease,
        ScheduleStore, SealStore, SealedCount, SealedCredential, SealedPlace, SealedRow, SealedSecret, Session,
        SmtpStore, Standing, Store, StoreError, Stored, Tally, User, UserStore, Verdict, WatchStore, Way, WorkLeft,
    },
};

use crate::faults::{Fault, Faults};

pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<dyn Store>,
    pub(crate) faults: Arc<Faults>,
}

/// What is for looking at only, and comes by the clock on the wall: it counts as no step.
const UNCOUNTED: [&str; 9] = [
    "record_stages",
    "touch_instance",
    "list_instances",
    "remove_instance",
    "next_due",
    "extend_leases",
    "connectors_elsewhere",
    "due_renewals",
    "due_devices",
];

fn failed(fault: Fault) -> StoreError {
    StoreError::Backend(format!("{fault:?}").into())
}

macro_rules! delegate {
    ($($port:ident { $($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)+ })+) => {$(
        #[async_trait]
        impl $port for FaultyStore {$(
            async fn $name(&self, $($arg: $type),*) -> Result<$result, StoreError> {
                if UNCOUNTED.contains(&stringify!($name)) {
                    self.faults.alive().await;
                    self.faults.note(stringify!($name));
                    return self.inner.$name($($arg),*).await;
                }
                match self.faults.step(stringify!($name)).await {
                    None => {
                        let result = self.inner.$name($($arg),*).await;
                        self.faults.alive().await;
                        result
                    }
                    Some(Fault::HangAfter) => {
                        let result = self.inner.$name($($arg),*).await;
                        self.faults.hang().await;
                        result
                    }
                    Some(Fault::AnswerLost) => {
                        self.inner.$name($($arg),*).await?;
                        Err(failed(Fault::AnswerLost))
                    }
                    Some(fault) => Err(failed(fault)),
                }
            }
        )+}
    )+};
}

delegate! {
    AccountStore {
        list_accounts(query: &AccountQuery) -> Page<AccountRow>;
        matching_accounts(filter: &AccountFilter, sort: AccountSort) -> Vec<AccountId>;
        account_rows(ids: &[AccountId]) -> Vec<AccountRow>;
        find_accounts(ids: &[AccountId]) -> Vec<Account>;
        count_accounts(filter: &AccountFilter) -> u64;
        list_deleted_accounts(page: PageRequest) -> Page<Account>;
        find_account(id: AccountId) -> Option<Account>;
        add_account(draft: &AccountDraft, due_at: Option<Timestamp>, audit: &[AuditEntry]) -> AccountId;
        change_account(id: AccountId, version: i64, draft: &AccountDraft, due_at: Option<Timestamp>, audit: &[AuditEntry]) -> i64;
        remove_account(id: AccountId, version: i64, at: Timestamp, audit: &[AuditEntry]) -> ();
        restore_account(id: AccountId, due_at: Option<Timestamp>, audit: &[AuditEntry]) -> ();
        purgeable_account(before: Timestamp) -> Option<Account>;
        purge_account(id: AccountId, before: Timestamp, limit: u32, audit: &[AuditEntry]) -> Purged;
        count_messages(id: AccountId) -> MessageCounts;
        want_older_deleted(id: AccountId, at: Timestamp, audit: &[AuditEntry]) -> u64;
        forget_older_deletions(id: AccountId, audit: &[AuditEntry]) -> u64;
    }
    CredentialStore {
        list_credentials(search: &str, page: PageRequest) -> Page<Credential>;
        credential_choices() -> Vec<Choice>;
        find_credential(id: CredentialId) -> Option<Credential>;
        sealed_credential(id: CredentialId) -> Option<SealedCredential>;
        next_credential_id() -> CredentialId;
        add_credential(id: CredentialId, draft: &CredentialDraft, secret: &SealedSecret, audit: &[AuditEntry]) -> ();
        change_credential(id: CredentialId, version: i64, draft: &CredentialDraft, secret: Option<&SealedSecret>, audit: &[AuditEntry]) -> i64;
        remove_credential(id: CredentialId, version: i64, audit: &[AuditEntry]) -> ();
        note_accepted(id: CredentialId, at: Timestamp) -> ();
        credential_used_by(id: CredentialId) -> UsedBy;
    }
    OAuthStore {
        find_oauth(id: CredentialId) -> Option<OAuthRow>;
        take_renewal(id: CredentialId, now: Timestamp, until: Timestamp, by_force: bool) -> Option<i64>;
        keep_tokens(id: CredentialId, fence: i64, kept: &KeptTokens, audit: &[AuditEntry]) -> ();
        refuse_tokens(id: CredentialId, fence: i64, message: &str) -> ();
        give_back_renewal(id: CredentialId, fence: i64, again_at: Option<Timestamp>) -> ();
        due_renewals(now: Timestamp, limit: u32) -> Vec<CredentialId>;
        start_consent(id: CredentialId, consent: &Consent) -> ();
        take_consent(hash: &[u8], now: Timestamp) -> Option<(CredentialId, SealedSecret)>;
    }
    DeviceStore {
        find_device(id: CredentialId) -> Option<DeviceRow>;
        start_device(id: CredentialId, new: &NewDeviceFlow, audit: &[AuditEntry]) -> ();
        due_devices(now: Timestamp, limit: u32) -> Vec<CredentialId>;
        claim_device(id: CredentialId, now: Timestamp, until: Timestamp) -> Option<DeviceClaim>;
        put_off_device(id: CredentialId, fence: i64, interval_s: u32, poll_at: Timestamp) -> ();
        grant_device(id: CredentialId, fence: i64, kept: &KeptTokens, audit: &[AuditEntry]) -> ();
        end_device(id: CredentialId, fence: i64, end: (DeviceState, &str), audit: &[AuditEntry]) -> ();
        cancel_device(id: CredentialId, audit: &[AuditEntry]) -> ();
    }
    ConnectorStore {
        list_connectors(search: &str, page: PageRequest) -> Page<Connector>;
        connector_choices() -> Vec<Choice>;
        find_connector(id: ConnectorId) -> Option<Connector>;
        add_connector(draft: &ConnectorDraft, audit: &[AuditEntry]) -> ConnectorId;
        change_connector(id: ConnectorId, version: i64, draft: &ConnectorDraft, audit: &[AuditEntry]) -> i64;
        remove_connector(id: ConnectorId, version: i64, audit: &[AuditEntry]) -> ();
        connector_used_by(id: ConnectorId) -> UsedBy;
        approve_host_key(id: ConnectorId, version: i64, host_key: &HostKey, audit: &[AuditEntry]) -> i64;
        record_contact(id: ConnectorId, at: Timestamp, error: Option<&str>) -> ();
    }
    AgentStore {
        list_agents(connector: ConnectorId) -> Vec<Agent>;
        find_agent(id: AgentId) -> Option<Agent>;
        find_agent_by_key(fingerprint: &str) -> Option<Agent>;
        add_agent_code(connector: ConnectorId, hash: &str, expires_at: Timestamp, now: Timestamp, audit: &[AuditEntry]) -> ();
        agent_code(hash: &str, now: Timestamp) -> Option<ConnectorId>;
        enroll_agent(hash: &str, draft: &AgentDraft, now: Timestamp, audit: &[AuditEntry]) -> AgentId;
        approve_agent(id: AgentId, version: i64, now: Timestamp, audit: &[AuditEntry]) -> ();
        remove_agent(id: AgentId, version: i64, audit: &[AuditEntry]) -> ();
        touch_agent(id: AgentId, program_version: &str, now: Timestamp) -> ();
        touch_tunnel(id: AgentId, instance: &str, now: Timestamp, gone_before: Timestamp) -> ();
        end_tunnel(id: AgentId, instance: &str) -> ();
        connectors_elsewhere(instance: &str, since: Timestamp) -> Vec<ConnectorId>;
    }
    AuthorityStore {
        list_authorities(search: &str, page: PageRequest) -> Page<AuthorityRow>;
        authority_choices() -> Vec<Choice>;
        find_authority(id: AuthorityId) -> Option<Authority>;
        add_authority(draft: &AuthorityDraft, facts: &AuthorityFacts, audit: &[AuditEntry]) -> AuthorityId;
        change_authority(id: AuthorityId, version: i64, draft: &AuthorityDraft, facts: &AuthorityFacts, audit: &[AuditEntry]) -> i64;
        remove_authority(id: AuthorityId, version: i64, audit: &[AuditEntry]) -> ();
        authority_used_by(id: AuthorityId) -> UsedBy;
    }
    ConnectionTestStore {
        add_test(new: &NewTest<'_>) -> ConnectionTestId;
        list_tests(account: AccountId, limit: u32) -> Vec<TestRecord>;
        last_good_test(account: AccountId, connector: Option<ConnectorId>, signed_in: bool) -> Option<TestRecord>;
        add_test_run(run: &TestRun) -> ();
        note_test_run(id: RunId, test: &ConnectionTest) -> bool;
        is_test_run_cancelled(id: RunId) -> bool;
        cancel_test_run(id: RunId) -> bool;
        find_test_run(id: RunId) -> Option<TestRun>;
        last_test_runs(account: AccountId) -> Vec<TestRun>;
        forget_test_runs(before: Timestamp) -> ();
    }
    UserStore {
        count_users() -> u64;
        find_user(name: &str) -> Option<User>;
        add_user(name: &str, role: Role, password_hash: &str, only_first: bool, audit: &[AuditEntry]) -> UserId;
        add_session(token_hash: &[u8], user: UserId, at: Timestamp, audit: &[AuditEntry]) -> ();
        find_session(token_hash: &[u8]) -> Option<Session>;
        touch_session(token_hash: &[u8], at: Timestamp) -> ();
        remove_session(token_hash: &[u8], audit: &[AuditEntry]) -> ();
        remove_expired_sessions(created: Timestamp, used: Timestamp) -> u64;
        add_token(token_hash: &[u8], user: UserId, at: Timestamp, audit: &[AuditEntry]) -> ();
        find_token(token_hash: &[u8]) -> Option<User>;
        setting(key: &str) -> Option<String>;
        setting_or(key: &str, value: &str) -> String;
        set_setting(key: &str, value: &str, audit: &[AuditEntry]) -> ();
        has_sealed_secrets() -> bool;
    }
    AuditStore {
        add_audit(entries: &[AuditEntry]) -> ();
        list_audit(query: &AuditQuery) -> Page<AuditRow>;
    }
    LedgerStore {
        work_left(lease: Lease) -> WorkLeft;
        known_remotes(lease: Lease, listed: &[RemoteKey]) -> Known;
        add_listed(lease: Lease, listed: &[Listed], at: Timestamp) -> ();
        note_missing(lease: Lease, missing: &[RemoteKey], back: &[RemoteKey], may_be_renamed: bool, at: Timestamp) -> u64;
        settle_missing(lease: Lease) -> ();
        store_arrivals(lease: Lease, arrivals: Vec<Arrival>, delete_wanted: bool, at: Timestamp) -> Stored;
        stage_part(lease: Lease, part: Part) -> ();
        staged_part(lease: Lease, key: &RemoteKey, nth: u32) -> Option<Vec<u8>>;
        publish_staged(lease: Lease, message: &Assembled, delete_wanted: bool, at: Timestamp) -> Stored;
        record_verdicts(lease: Lease, verdicts: &[Verdict], at: Timestamp) -> ();
        deletable(lease: Lease, wanted_before: Timestamp) -> Vec<RemoteKey>;
        record_delete_asked(lease: Lease, keys: &[RemoteKey], at: Timestamp) -> ();
        record_deleted(lease: Lease, keys: &[RemoteKey], proof: DeletionProof, run: CheckRunId, at: Timestamp) -> ();
        list_trouble(account: AccountId, page: PageRequest) -> Page<Trouble>;
        trouble_sample(account: AccountId, id: RemoteId, audit: &[AuditEntry]) -> Option<Vec<u8>>;
        retry_trouble(account: AccountId, id: Option<RemoteId>, audit: &[AuditEntry]) -> u64;
        list_planned_deletions(account: AccountId, page: PageRequest) -> Page<PlannedDeletion>;
        list_deletions(account: AccountId, page: PageRequest) -> Page<Deletion>;
        list_messages(account: AccountId, reader: Option<UserId>, query: &MessageQuery) -> Page<MessageRow>;
        find_message(id: MessageId, reader: Option<UserId>) -> Option<MessageRow>;
        raw_part(id: MessageId, nth: u32) -> Option<Vec<u8>>;
        open_message(id: MessageId, reader: Option<UserId>, at: Timestamp, audit: &[AuditEntry]) -> ();
    }
    CheckStore {
        take_due(owner: &str, now: Timestamp, lease_for: Duration, limit: u32, busy: &[Way]) -> Vec<Lease>;
        is_held(id: AccountId, now: Timestamp) -> bool;
        take_account(id: AccountId, owner: &str, now: Timestamp, lease_for: Duration) -> Option<Lease>;
        standings(accounts: &[AccountId]) -> Vec<Standing>;
        ask_check(id: AccountId, at: Timestamp) -> ();
        ask_checks_with(credential: CredentialId, at: Timestamp, audit: &[AuditEntry]) -> u64;
        asked_of(owner: &str) -> Vec<AccountId>;
        extend_lease(lease: Lease, until: Timestamp) -> ();
        extend_leases(owner: &str, until: Timestamp) -> Vec<(AccountId, i64)>;
        start_run(lease: Lease, at: Timestamp) -> CheckRunId;
        record_stages(lease: Lease, run: CheckRunId, stages: &[StageRecord]) -> ();
        finish_run(lease: Lease, finished: &Finished) -> ();
        give_back(lease: Lease, due_at: Option<Timestamp>) -> ();
        list_runs(account: AccountId, page: PageRequest) -> Page<CheckRun>;
        find_run(id: CheckRunId) -> Option<CheckRun>;
        run_transcript(id: CheckRunId) -> Option<String>;
        purge_runs(before: Timestamp, limit: u32) -> u64;
        next_due() -> Option<Timestamp>;
    }
    WatchStore {
        mark_late(now: Timestamp) -> u64;
        tally(now: Timestamp) -> Tally;
        list_running(limit: u32) -> Vec<Running>;
        ailing() -> Vec<Ailing>;
        touch_instance(id: &str, role: InstanceRole, host: &str, key_ids: &str, now: Timestamp, gone_before: Timestamp) -> ();
        remove_instance(id: &str) -> ();
        list_instances() -> Vec<Instance>;
        update_incidents(causes: &[Cause], now: Timestamp) -> ();
        take_untold(opened_before: Timestamp, now: Timestamp) -> Option<Incident>;
        record_told(id: IncidentId, detail: &str) -> ();
        list_incidents(limit: u32) -> Vec<Incident>;
    }
    SmtpStore {
        list_smtp(search: &str, page: PageRequest) -> Page<Smtp>;
        find_smtp(id: SmtpId) -> Option<Smtp>;
        default_smtp() -> Option<Smtp>;
        add_smtp(draft: &SmtpDraft, audit: &[AuditEntry]) -> SmtpId;
        change_smtp(id: SmtpId, version: i64, draft: &SmtpDraft, audit: &[AuditEntry]) -> i64;
        remove_smtp(id: SmtpId, version: i64, audit: &[AuditEntry]) -> ();
    }
    ScheduleStore {
        list_schedules(search: &str, page: PageRequest) -> Page<ScheduleRow>;
        find_schedule(id: ScheduleId) -> Option<Schedule>;
        add_schedule(draft: &ScheduleDraft, next_run_at: Option<Timestamp>, audit: &[AuditEntry]) -> ScheduleId;
        change_schedule(id: ScheduleId, version: i64, draft: &ScheduleDraft, next_run_at: Option<Timestamp>, audit: &[AuditEntry]) -> i64;
        remove_schedule(id: ScheduleId, version: i64, audit: &[AuditEntry]) -> ();
        due_schedules(now: Timestamp, limit: u32) -> Vec<Schedule>;
    }
    ReportRunStore {
        next_report_work() -> Option<Timestamp>;
        begin_run(schedule: ScheduleId, cause: &RunCause, at: Timestamp, keep: u32, audit: &[AuditEntry]) -> Option<ReportRunId>;
        take_run(owner: &str, now: Timestamp, lease_for: Duration) -> Option<(RunLease, ReportRun)>;
        extend_run(lease: RunLease, until: Timestamp) -> ();
        last_snapshot(schedule: ScheduleId, query: &str) -> Option<Vec<u8>>;
        record_made(lease: RunLease, query: &str, made: &MadeReport, at: Timestamp) -> ();
        record_sending(lease: RunLease, id: DeliveryId, at: Timestamp) -> ();
        record_attempt(lease: RunLease, id: DeliveryId, attempt: &Attempt, at: Timestamp) -> ();
        give_back_run(lease: RunLease, failure: Option<(&str, Option<Timestamp>)>, at: Timestamp) -> ();
        repeat_delivery(run: ReportRunId, id: DeliveryId, at: Timestamp, audit: &[AuditEntry]) -> ();
        list_report_runs(schedule: ScheduleId, page: PageRequest) -> Page<ReportRun>;
        find_report_run(id: ReportRunId) -> Option<ReportRun>;
        report_file(id: ReportRunId, format: Format) -> Option<(String, Vec<u8>)>;
    }
    SealStore {
        sealed_rows(place: SealedPlace, after: i64, limit: u32) -> Vec<SealedRow>;
        count_sealed(place: SealedPlace) -> Vec<SealedCount>;
        replace_seals(rows: &[Resealed], audit: &[AuditEntry]) -> u64;
        change_sealing_key(change: &KeyChange, audit: &[AuditEntry]) -> Vec<InstanceKeys>;
        instance_keys(seen_since: Timestamp) -> Vec<InstanceKeys>;
    }
    PostureStore {
        count_posture(list: PostureList, below: i64) -> u64;
        list_posture(list: PostureList, below: i64, page: PageRequest) -> Page<PostureRow>;
    }
}
