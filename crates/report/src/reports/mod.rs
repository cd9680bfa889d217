//! Scheduled reports: begins runs as they fall due, makes what they send, and sends it.
//!
//! Everything that matters is in the store before it is done, so that another instance can go on where one stopped: the run is
//! begun by whoever moves the schedule on, its files and mails are kept before the first mail goes out, and a mail is marked
//! before its bytes leave.

mod deliver;
mod make;

use std::{sync::Arc, time::Duration};

use domain::{
    email::EmailAddress,
    problem::Problem,
    schedule::{ReportRun, Timing},
    smtp::SmtpDraft,
    time::Timestamp,
};
use rand::Rng as _;
use service::{
    RUNS_KEPT, Tokens,
    ports::{Clock, MailSender, Reporter, RunCause, RunLease, Store, StoreError},
    vault::Vault,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{interval, sleep, timeout},
};
use words::Locale;

use crate::{calendar, message, pdf::Fonts};

/// The longest sleep between two looks: another process may have changed a schedule.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How much at once, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Runs at once, in this instance.
    pub at_once: usize,
    /// How long an instance may be silent before another takes its run over.
    pub lease_for: Duration,
    /// Accounts in one report.
    pub rows_at_most: u64,
    /// Bytes of the files of one mail.
    pub bytes_at_most: u64,
    /// Attempts to send one mail, the pause doubling from a minute to an hour.
    pub attempts_at_most: u32,
    /// How long a stopping instance waits for its runs.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            at_once: 4,
            lease_for: Duration::from_secs(30),
            rows_at_most: 100_000,
            bytes_at_most: 20 * 1024 * 1024,
            attempts_at_most: 8,
            grace: Duration::from_secs(10),
        }
    }
}

/// What the reports are made of.
pub struct ReportsParts {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub tokens: Tokens,
    pub sender: Arc<dyn MailSender>,
    pub clock: Arc<dyn Clock>,
    pub fonts: Fonts,
    pub settings: Settings,
}

/// Runs scheduled reports. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Reports(Arc<Inner>);

struct Inner {
    parts: ReportsParts,
    /// Names this instance in leases.
    owner: String,
    wake: Notify,
}

impl Reports {
    pub fn new(parts: ReportsParts) -> Self {
        let owner = format!("{:016x}", rand::random::<u64>());
        Self(Arc::new(Inner { parts, owner, wake: Notify::new() }))
    }

    /// Makes and sends reports as they fall due, until `shutdown` becomes true; then waits a while for the runs under way.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut running = JoinSet::new();
        while !*shutdown.borrow() {
            let wait = self.look(&mut running).await.unwrap_or_else(|error| {
                tracing::error!(%error, "the schedules could not be read; trying again");
                LOOK_EVERY
            });
            tokio::select! {
                () = sleep(wait) => {}
                () = self.0.wake.notified() => {}
                _ = running.join_next(), if !running.is_empty() => {}
                changed = shutdown.changed() => if changed.is_err() { break },
            }
        }
        let ended = async { while running.join_next().await.is_some() {} };
        if timeout(self.0.parts.settings.grace, ended).await.is_err() {
            tracing::warn!("stopped while reports were under way; they will be taken up again when their leases end");
        }
    }

    /// Begins what is due, takes up what waits, and answers with how long to sleep.
    async fn look(&self, running: &mut JoinSet<()>) -> Result<Duration, StoreError> {
        let ReportsParts { store, clock, settings, .. } = &self.0.parts;
        let now = clock.now();
        for schedule in store.due_schedules(now, 100).await? {
            let Some(due_at) = schedule.next_run_at else { continue };
            // What was missed is caught up once: the next run is the first one after now.
            let next = calendar::next_runs(&schedule.draft.timing, now, 1).ok().and_then(|it| it.first().copied());
            let cause = RunCause::Due { due_at, next };
            store.begin_run(schedule.id, &cause, now, RUNS_KEPT, &[]).await?;
        }
        while running.len() < settings.at_once {
            let Some((lease, run)) = store.take_run(&self.0.owner, clock.now(), settings.lease_for).await? else {
                break;
            };
            let inner = Arc::clone(&self.0);
            running.spawn(async move { inner.hold(lease, run).await });
        }
        let next = store.next_report_work().await?;
        Ok(next.map_or(LOOK_EVERY, |it| it.since(clock.now()).clamp(Duration::from_millis(20), LOOK_EVERY)))
    }
}

impl Inner {
    /// Works on a run while its lease lasts.
    async fn hold(&self, lease: RunLease, run: ReportRun) {
        let id = run.id;
        let result = tokio::select! {
            result = self.work(lease, run) => result,
            error = self.keep(lease) => Err(error),
        };
        match result {
            Ok(()) => {}
            Err(StoreError::Fenced) => tracing::warn!(run = %id, "another instance has taken the report over"),
            Err(error) => {
                tracing::error!(%error, run = %id, "a report stopped; it is taken up again when its lease ends");
            }
        }
    }

    /// Prolongs the lease again and again; ends only with an error.
    async fn keep(&self, lease: RunLease) -> StoreError {
        let lease_for = self.parts.settings.lease_for;
        let mut ticks = interval(lease_for / 3);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let until = self.parts.clock.now().plus(lease_for);
            if let Err(error) = self.parts.store.extend_run(lease, until).await {
                return error;
            }
        }
    }

    async fn work(&self, lease: RunLease, run: ReportRun) -> Result<(), StoreError> {
        let ReportsParts { store, clock, .. } = &self.parts;
        let Some(schedule) = store.find_schedule(run.schedule_id).await? else { return Ok(()) };
        let locale = Locale::parse(&schedule.draft.language).unwrap_or_default();
        if run.n_rows.is_none() {
            match self.make(lease, &schedule, &run, locale).await? {
                make::Made::Nothing => return Ok(()),
                make::Made::Failed(why) => {
                    return store.give_back_run(lease, Some((&why, None)), clock.now()).await;
                }
                make::Made::Kept => {}
            }
        }
        let Some(run) = store.find_report_run(run.id).await? else { return Ok(()) };
        let failure = self.deliver(lease, &schedule, &run, locale).await?;
        let failure = failure.as_ref().map(|(why, again)| (why.as_str(), Some(*again)));
        store.give_back_run(lease, failure, clock.now()).await
    }
}

impl Reporter for Reports {
    fn next_runs(&self, timing: &Timing, after: Timestamp, n: usize) -> Result<Vec<Timestamp>, Problem> {
        calendar::next_runs(timing, after, n)
    }

    fn zones(&self) -> Vec<String> {
        calendar::zones()
    }

    fn local(&self, zone: &str, at: Timestamp) -> String {
        calendar::local(zone, at)
    }

    fn test_message(&self, smtp: &SmtpDraft, to: &EmailAddress, language: &str, at: Timestamp) -> Vec<u8> {
        let locale = Locale::parse(language).unwrap_or_default();
        let message_id = format!("<{:032x}@{}>", rand::rng().random::<u128>(), smtp.sender.host());
        let subject = locale.words().report.test_subject.to_owned();
        let envelope = message::Envelope { smtp, to, subject, message_id, at };
        message::test(&envelope, locale).unwrap_or_else(|error| {
            tracing::error!(%error, "a test message could not be made");
            Vec::new()
        })
    }

    fn wake(&self) {
        self.0.wake.notify_one();
    }
}
