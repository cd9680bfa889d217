//! Outgoing mail and scheduled reports: what the service and the reporter need of a store, a mail server, and a calendar.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    account::Destination,
    audit::AuditEntry,
    check::ErrorKind,
    email::EmailAddress,
    ids::{CredentialId, DeliveryId, ReportRunId, ScheduleId, SmtpId},
    page::{Page, PageRequest},
    problem::Problem,
    schedule::{Format, ReportRun, Schedule, ScheduleDraft, ScheduleRow, Timing},
    smtp::{Smtp, SmtpDraft},
    time::Timestamp,
};

use super::{AuthorityBundle, MailError, StageLog, StoreError, ViaConnector};
use crate::secret::Secret;

#[async_trait]
pub trait SmtpStore: Send + Sync {
    /// By name; `search` anywhere in name, sender or address.
    async fn list_smtp(&self, search: &str, page: PageRequest) -> Result<Page<Smtp>, StoreError>;
    async fn find_smtp(&self, id: SmtpId) -> Result<Option<Smtp>, StoreError>;
    /// The enabled one that reports are sent by.
    async fn default_smtp(&self) -> Result<Option<Smtp>, StoreError>;
    /// `Taken{name}`, `Gone{credential_id}`, `Gone{network_connector_id}`. A new default takes that from the other.
    async fn add_smtp(&self, draft: &SmtpDraft, audit: &[AuditEntry]) -> Result<SmtpId, StoreError>;
    /// `Conflict` unless `version` is current; else as [`Self::add_smtp`].
    async fn change_smtp(
        &self,
        id: SmtpId,
        version: i64,
        draft: &SmtpDraft,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    async fn remove_smtp(&self, id: SmtpId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;
}

/// The right to work on a run, until it runs out. Every write of the work names it; a store refuses with `Fenced` if a later
/// lease exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLease {
    pub run_id: ReportRunId,
    pub fence: i64,
}

/// Why a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunCause {
    /// Its time has come. `due_at` is the schedule's next run, which becomes `next`: whoever changes it first has the run.
    Due { due_at: Timestamp, next: Option<Timestamp> },
    /// Somebody asked for it, now.
    Asked { by: String },
}

/// A mail to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub address: EmailAddress,
    pub message_id: String,
}

/// What a run made, before anything of it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeReport {
    pub n_rows: u64,
    pub n_changes: Option<u64>,
    /// What is wrong with it, in words: characters that no font has.
    pub detail: String,
    /// Format, name and bytes.
    pub files: Vec<(Format, String, Vec<u8>)>,
    /// What the next report is compared with.
    pub snapshot: Vec<u8>,
    /// Nobody, if nothing had changed: then the run ends here, `Unchanged`.
    pub recipients: Vec<Recipient>,
}

/// What became of one attempt to send a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The server took it, with these words.
    Sent(String),
    /// Not now: again at that time.
    Later(Timestamp, String),
    Failed(String),
    Uncertain(String),
}

#[async_trait]
pub trait ScheduleStore: Send + Sync {
    /// By name; `search` anywhere in it.
    async fn list_schedules(&self, search: &str, page: PageRequest) -> Result<Page<ScheduleRow>, StoreError>;
    async fn find_schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, StoreError>;
    /// `Taken{name}`.
    async fn add_schedule(
        &self,
        draft: &ScheduleDraft,
        next_run_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<ScheduleId, StoreError>;
    /// `Conflict` unless `version` is current, `Taken{name}`.
    async fn change_schedule(
        &self,
        id: ScheduleId,
        version: i64,
        draft: &ScheduleDraft,
        next_run_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError>;
    /// With its runs, their files and deliveries. `Conflict` unless `version` is current.
    async fn remove_schedule(&self, id: ScheduleId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError>;

    /// Schedules whose next run is not after `now`, longest due first.
    async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<Schedule>, StoreError>;
}

#[async_trait]
pub trait ReportRunStore: Send + Sync {
    /// When there is something to do next: a schedule falls due, or a run waits for an attempt or for its lease to run out.
    async fn next_report_work(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Begins a run; `None` if another instance has begun it, or the schedule was changed or paused meanwhile. At most the
    /// latest `keep` runs of the schedule stay; older finished ones go, with their files.
    async fn begin_run(
        &self,
        schedule: ScheduleId,
        cause: &RunCause,
        at: Timestamp,
        keep: u32,
        audit: &[AuditEntry],
    ) -> Result<Option<ReportRunId>, StoreError>;
    /// Takes an unfinished run whose next step is not after `now` and that nobody holds. What the holder before was sending
    /// becomes `Uncertain`, in the same transaction.
    async fn take_run(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<(RunLease, ReportRun)>, StoreError>;
    /// Prolongs the lease; `Fenced` if it was lost.
    async fn extend_run(&self, lease: RunLease, until: Timestamp) -> Result<(), StoreError>;
    /// The snapshot of the schedule's latest run that reached somebody and had the same filter and sort.
    async fn last_snapshot(&self, schedule: ScheduleId, query: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Keeps what was made, with one waiting delivery for each recipient.
    async fn record_made(
        &self,
        lease: RunLease,
        query: &str,
        made: &MadeReport,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Before the message goes out: from here on it is `Uncertain` until the server has answered.
    async fn record_sending(&self, lease: RunLease, id: DeliveryId, at: Timestamp) -> Result<(), StoreError>;
    /// Counts the attempt and keeps what became of it.
    async fn record_attempt(
        &self,
        lease: RunLease,
        id: DeliveryId,
        attempt: &Attempt,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Gives the lease back. The run is finished once no delivery waits, with the outcome that they come to; else its next step
    /// is the earliest attempt. With `failure`, nothing could be made: the run has failed, or waits until that time.
    async fn give_back_run(
        &self,
        lease: RunLease,
        failure: Option<(&str, Option<Timestamp>)>,
        at: Timestamp,
    ) -> Result<(), StoreError>;
    /// Makes a delivery that is `Failed` or `Uncertain` wait again, from its first attempt, and its run unfinished; `Conflict`
    /// in every other state.
    async fn repeat_delivery(
        &self,
        run: ReportRunId,
        id: DeliveryId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;

    /// Latest first, with files and deliveries.
    async fn list_report_runs(&self, schedule: ScheduleId, page: PageRequest) -> Result<Page<ReportRun>, StoreError>;
    async fn find_report_run(&self, id: ReportRunId) -> Result<Option<ReportRun>, StoreError>;
    /// Name and bytes.
    async fn report_file(&self, id: ReportRunId, format: Format) -> Result<Option<(String, Vec<u8>)>, StoreError>;
}

/// Everything that one submission needs, secrets opened.
#[derive(Clone, Debug)]
pub struct Submission {
    pub destination: Destination,
    /// Present if and only if the destination's route is a connector.
    pub connector: Option<ViaConnector>,
    /// Present if and only if the destination trusts an authority that still exists.
    pub authority: Option<AuthorityBundle>,
    /// User name and password; `None`: the server asks for none.
    pub credential: Option<(String, Secret)>,
    /// Whose user name and password those are.
    pub credential_id: Option<CredentialId>,
    pub sender: EmailAddress,
}

/// Why a mail was not taken, and what that means for another attempt.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct SendError {
    pub fate: Fate,
    pub error: MailError,
}

/// What is known of a mail that was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The server does not have it; another attempt may succeed.
    Later,
    /// The server will never take it.
    Never,
    /// The connection was lost after the message had begun: the server may have it.
    Unknown,
}

impl SendError {
    pub fn new(fate: Fate, error: MailError) -> Self {
        Self { fate, error }
    }

    /// A failure of the way to the server. What a person has to mend first is not tried again by itself.
    pub fn before(error: MailError) -> Self {
        let is_final = error.kind == ErrorKind::Authentication && error.is_certain;
        Self { fate: if is_final { Fate::Never } else { Fate::Later }, error }
    }
}

/// Hands mail to servers (RFC 6409).
#[async_trait]
pub trait MailSender: Send + Sync {
    /// Resolves, applies the egress policy, connects, secures and authenticates. Every step has a deadline and is reported to
    /// the log, the failed one too.
    async fn open(&self, submission: &Submission, log: Arc<dyn StageLog>) -> Result<Box<dyn Outbox>, SendError>;
}

/// An open, authenticated connection that takes mail.
#[async_trait]
pub trait Outbox: Send {
    /// Says from whom and to whom; the server has not got the message yet.
    async fn address(&mut self, to: &EmailAddress) -> Result<(), SendError>;
    /// Sends the message for the recipient that was named; answers with the server's words. After an error the connection is of
    /// no more use.
    async fn transmit(&mut self, message: &[u8]) -> Result<String, SendError>;
    /// Says good-bye; errors do not matter any more.
    async fn close(self: Box<Self>);
}

/// Knows days, zones and languages, and runs what falls due.
pub trait Reporter: Send + Sync {
    /// The next `n` times after `after`, fewer if it ends; a problem names the zone or the expression.
    fn next_runs(&self, timing: &Timing, after: Timestamp, n: usize) -> Result<Vec<Timestamp>, Problem>;
    /// The names of all zones.
    fn zones(&self) -> Vec<String>;
    /// Times as people of that zone write them: `2026-11-25 08:00 -03`.
    fn local(&self, zone: &str, at: Timestamp) -> String;
    /// A short message that says that sending works.
    fn test_message(&self, smtp: &SmtpDraft, to: &EmailAddress, language: &str, at: Timestamp) -> Vec<u8>;
    /// There is work: look now.
    fn wake(&self);
}
