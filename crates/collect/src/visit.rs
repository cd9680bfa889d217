//! A visit: from a lease to its record, and on from check to check while the account is kept connected.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    account::{Account, Protocol},
    check::{CheckError, CheckRun, ErrorKind, Outcome, Stage},
    ids::CheckRunId,
};
use futures::FutureExt as _;
use service::{
    open_visit,
    ports::{Finished, Lease, MailError, Mailbox, MailboxState, StoreError, Transcript},
    record_contact,
};
use tokio::time::timeout;

use crate::{
    CollectorParts, delete,
    ingest::ingest,
    listing,
    policy::{End, next},
    run::RunLog,
    transcript::Taken,
};

/// How often a check that takes its time is written where others can see it.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// Why a check ended early.
pub(crate) enum Stop {
    /// The lease was lost: another instance has the account, nothing more may be written.
    Fenced,
    Failed {
        error: CheckError,
        is_certain: bool,
        retry_after: Option<Duration>,
    },
}

impl From<MailError> for Stop {
    fn from(error: MailError) -> Self {
        let MailError { kind, message, is_certain, retry_after, .. } = error;
        Self::Failed { error: CheckError { kind, message }, is_certain, retry_after }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Fenced) {
            return Self::Fenced;
        }
        tracing::error!(%error, "the store failed during a check");
        Self::failed(ErrorKind::Storage, "storing failed; nothing was deleted on the server".to_owned())
    }
}

impl Stop {
    fn failed(kind: ErrorKind, message: String) -> Self {
        Self::Failed { error: CheckError { kind, message }, is_certain: false, retry_after: None }
    }
}

/// What a good check leaves: the mailbox, for as long as it can be used, and what it looked like if nothing is left to do.
pub(crate) struct Left {
    pub(crate) mailbox: Option<Box<dyn Mailbox>>,
    state: Option<MailboxState>,
}

/// One check of an account: over a new connection, or over the one that was kept.
pub(crate) struct Check<'a> {
    pub(crate) parts: &'a CollectorParts,
    pub(crate) lease: Lease,
    pub(crate) run: CheckRunId,
    pub(crate) account: &'a Account,
    pub(crate) log: &'a RunLog,
    pub(crate) transcript: Option<Arc<Taken>>,
    /// The lease may be kept after a success, for a connection that waits for mail.
    pub(crate) may_stay: bool,
}

impl Check<'_> {
    /// Runs the check and records how it ended, whatever happens in it. Answers with the mailbox if the connection is kept, and
    /// the lease with it. `lost` ends when the lease is lost.
    pub(crate) async fn run(
        &self,
        mailbox: Option<Box<dyn Mailbox>>,
        lost: impl Future<Output = ()>,
    ) -> (Outcome, Option<Box<dyn Mailbox>>) {
        let deadline = self.parts.settings.deadline;
        let work = AssertUnwindSafe(timeout(deadline, self.work(mailbox))).catch_unwind();
        let result = tokio::select! {
            result = work => match result {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Stop::failed(ErrorKind::Timeout, "the check took too long".to_owned())),
                Err(_) => Err(Stop::failed(ErrorKind::Internal, "the check broke off on an internal error".to_owned())),
            },
            () = lost => Err(Stop::Fenced),
            never = self.show() => match never {},
        };
        self.record(result).await
    }

    async fn work(&self, mailbox: Option<Box<dyn Mailbox>>) -> Result<Left, Stop> {
        let Self { parts, lease, account, log, .. } = self;
        let is_new = mailbox.is_none();
        let mut mailbox = match mailbox {
            Some(mailbox) => mailbox,
            None => self.open().await?,
        };
        let left = parts.store.work_left(*lease).await?;
        let due = delete::due(parts, *lease, account).await?;
        // The server says that nothing has changed since nothing was left to do: that is all there is to know. What it says of a
        // connection that was kept is as old as the connection.
        if is_new && left.n_listed == 0 && due.is_empty() && is_unchanged(left.mailbox, mailbox.state()) {
            return Ok(self.leave(mailbox, left.mailbox).await);
        }
        let began = Instant::now();
        let listing = match mailbox.list().await {
            Ok(listing) => listing,
            Err(error) => {
                log.note(Stage::List, false, began, error.message.clone());
                return Err(error.into());
            }
        };
        let plan = listing::plan(parts, *lease, self.run, account.draft.protocol, &listing).await?;
        let n_listed = listing.messages.len();
        let remark = plan.remark.as_ref().map_or_else(String::new, |it| format!("; {it}"));
        let nameless = match listing.n_unidentified {
            0 => String::new(),
            n => format!("; {n} have no name of their own on the server and are never deleted there"),
        };
        log.note(Stage::List, true, began, format!("{n_listed} messages{remark}{nameless}"));
        log.update(|run| run.deleted_messages += plan.n_reconciled);

        let has_work = !plan.work.is_empty();
        let n_failed =
            if has_work { ingest(parts, *lease, account, log, &mut *mailbox, plan.work).await?.n_failed } else { 0 };
        let is_done = n_failed == 0 && parts.store.work_left(*lease).await?.n_listed == 0;
        // Also what an earlier check left open that broke off.
        if is_done {
            parts.store.settle_missing(*lease).await?;
        }
        let due = delete::due(parts, *lease, account).await?;
        let state = mailbox.state();
        if !due.is_empty() {
            delete::delete(parts, *lease, self.run, log, &mut *mailbox, &due).await?;
        }
        if n_failed > 0 {
            mailbox.close().await;
            let message = format!("{n_failed} messages could not be fetched and stay on the server");
            return Err(Stop::failed(ErrorKind::Mailbox, message));
        }
        // After POP3's QUIT there is nobody to talk to any more; closing says no more than that.
        Ok(self.leave(mailbox, Some(state).filter(|_| is_done && due.is_empty())).await)
    }

    async fn open(&self) -> Result<Box<dyn Mailbox>, Stop> {
        let parts = self.parts;
        let mut visit = open_visit(&*parts.store, &parts.vault, &parts.tokens, self.account).await?;
        visit.transcript = self.transcript.clone().map(|it| it as Arc<dyn Transcript>);
        let mut opened = parts.mail.open(&visit, Arc::new(self.log.clone())).await;
        // A token can be revoked before its time: whether that is all, a new one tells.
        if visit.password.is_token() && opened.as_ref().is_err_and(is_refusal) {
            visit.password = parts.tokens.instead_of(self.account.draft.credential_id, &visit.password).await?;
            opened = parts.mail.open(&visit, Arc::new(self.log.clone())).await;
        }
        if let Some(connector) = &visit.connector {
            let now = self.parts.clock.now();
            record_contact(&*self.parts.store, connector.id, now, opened.as_ref().err()).await;
        }
        Ok(opened?)
    }

    /// Keeps the connection if that is wanted and the server can; else says good-bye.
    async fn leave(&self, mailbox: Box<dyn Mailbox>, state: Option<MailboxState>) -> Left {
        let draft = &self.account.draft;
        if self.may_stay && draft.push && draft.protocol == Protocol::Imap && mailbox.can_idle() {
            return Left { mailbox: Some(mailbox), state };
        }
        mailbox.close().await;
        Left { mailbox: None, state }
    }

    async fn record(&self, result: Result<Left, Stop>) -> (Outcome, Option<Box<dyn Mailbox>>) {
        let (left, error, is_certain, retry_after) = match result {
            Ok(left) => (Some(left), None, false, None),
            Err(Stop::Failed { error, is_certain, retry_after }) => (None, Some(error), is_certain, retry_after),
            Err(Stop::Fenced) => {
                tracing::warn!(account = %self.account.id, "another instance took the account over");
                self.end_for_watchers();
                return (Outcome::Failed, None);
            }
        };
        let now = self.parts.clock.now();
        // What was changed meanwhile, the store finds out by itself: then neither health nor due time count.
        let account = self.account;
        let end = End { error: error.as_ref(), is_certain, retry_after };
        let next = next(&account.health, &account.draft, &end, now, &mut rand::rng());
        let mut run = self.log.snapshot();
        run.finished_at = Some(now);
        run.outcome = match (&error, run.new_messages + run.deleted_messages) {
            (None, _) => Outcome::Ok,
            (Some(_), 0) => Outcome::Failed,
            (Some(_), _) => Outcome::Partial,
        };
        if let Some(error) = &error {
            let (kind, message) = (error.kind.as_str(), &error.message);
            tracing::warn!(account = %account.id, kind, message, "a check failed");
        }
        run.error = error;
        let (mut mailbox, state) = left.map_or((None, None), |it| (it.mailbox, it.state));
        if mailbox.is_some() && !self.is_current().await {
            mailbox = None;
        }
        let transcript = self.transcript.as_ref().map(|it| it.text());
        run.has_transcript = transcript.is_some();
        let finished = Finished {
            run,
            health: next.health,
            late_at: next.late_at,
            mailbox: state,
            spare_siblings_until: next.spare_siblings_until,
            keeps_lease: mailbox.is_some(),
            transcript,
            tls: self.log.tls(),
        };
        if let Err(error) = self.parts.store.finish_run(self.lease, &finished).await {
            tracing::error!(%error, account = %self.account.id, "a check could not be recorded");
            mailbox = None;
        }
        let run: CheckRun = finished.run;
        let outcome = run.outcome;
        self.log.update(|shown| *shown = run);
        (outcome, mailbox)
    }

    /// Whether the account is still as the check began with it. Whoever was changed meanwhile begins anew.
    async fn is_current(&self) -> bool {
        let standing = self.parts.store.standings(&[self.account.id]).await.unwrap_or_default();
        standing.first().is_some_and(|it| it.setup == self.lease.setup && it.is_enabled)
    }

    fn end_for_watchers(&self) {
        let now = self.parts.clock.now();
        self.log.update(|run| {
            run.finished_at = Some(now);
            run.outcome = Outcome::Failed;
            let message = "another instance took over".to_owned();
            run.error = Some(CheckError { kind: ErrorKind::Internal, message });
        });
    }

    /// Writes the stages so far where other instances see them, now and then. They are for looking at: a failure does not end the
    /// check.
    async fn show(&self) -> std::convert::Infallible {
        let mut n_shown = 0;
        loop {
            tokio::time::sleep(SHOWN_EVERY).await;
            let run = self.log.snapshot();
            if run.stages.len() == n_shown {
                continue;
            }
            n_shown = run.stages.len();
            if let Err(error) = self.parts.store.record_stages(self.lease, run.id, &run.stages).await {
                tracing::debug!(%error, "the stages of a running check could not be written");
            }
        }
    }
}

/// IMAP: a message that came or went changes the UID that is next, or the number (RFC 9051 section 2.3.1.1). POP3 says too little.
fn is_unchanged(before: Option<MailboxState>, now: MailboxState) -> bool {
    now.uid_validity.is_some() && now.uid_next.is_some() && before == Some(now)
}

fn is_refusal(error: &MailError) -> bool {
    matches!(error.kind, ErrorKind::Authentication | ErrorKind::Expired)
}
