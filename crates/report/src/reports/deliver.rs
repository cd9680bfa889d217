//! Sends what a run made.

use std::{sync::Arc, time::Duration};

use domain::{
    check::StageRecord,
    email::EmailAddress,
    schedule::{Delivery, DeliveryState, Format, ReportRun, Schedule},
    smtp::Smtp,
    time::Timestamp,
};
use service::{
    open_submission,
    ports::{Attempt, Fate, Outbox, RunLease, SendError, StageLog, StoreError},
};
use words::Locale;

use super::Inner;
use crate::message::{self, Envelope};

/// The pause after a first failure; it doubles.
const PAUSE: Duration = Duration::from_mins(1);
const PAUSE_MAX: Duration = Duration::from_hours(1);

/// The stages of a delivery are not kept: what failed is in its error.
struct Unheard;

impl StageLog for Unheard {
    fn ended(&self, record: StageRecord) {
        tracing::debug!(?record, "a stage of a delivery");
    }
}

impl Inner {
    /// Sends every mail of the run that is due. Answers with why nothing could be tried, and when to try again.
    pub(super) async fn deliver(
        &self,
        lease: RunLease,
        schedule: &Schedule,
        run: &ReportRun,
        locale: Locale,
    ) -> Result<Option<(String, Timestamp)>, StoreError> {
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        let now = clock.now();
        let is_due =
            |it: &&Delivery| it.state == DeliveryState::Waiting && it.next_attempt_at.is_none_or(|at| at <= now);
        let due: Vec<&Delivery> = run.deliveries.iter().filter(is_due).collect();
        if due.is_empty() {
            return Ok(None);
        }
        let Some(smtp) = store.default_smtp().await? else {
            return Ok(Some((locale.words().report.no_smtp.to_owned(), now.plus(PAUSE))));
        };
        let files = self.files(run).await?;
        let mut outbox = None;
        for delivery in due {
            let sent = self.send(lease, schedule, run, locale, &smtp, &files, delivery, &mut outbox).await?;
            let attempt = sent.map_or_else(|error| self.after(delivery, &error), Attempt::Sent);
            store.record_attempt(lease, delivery.id, &attempt, clock.now()).await?;
        }
        if let Some(outbox) = outbox {
            outbox.close().await;
        }
        Ok(None)
    }

    async fn files(&self, run: &ReportRun) -> Result<Vec<(Format, String, Vec<u8>)>, StoreError> {
        let mut files = Vec::new();
        for file in &run.files {
            if let Some((name, bytes)) = self.parts.store.report_file(run.id, file.format).await? {
                files.push((file.format, name, bytes));
            }
        }
        Ok(files)
    }

    /// One mail. The outbox is opened when it is needed, and dropped with the first failure.
    #[expect(clippy::too_many_arguments, reason = "all of it belongs to one mail")]
    async fn send(
        &self,
        lease: RunLease,
        schedule: &Schedule,
        run: &ReportRun,
        locale: Locale,
        smtp: &Smtp,
        files: &[(Format, String, Vec<u8>)],
        delivery: &Delivery,
        outbox: &mut Option<Box<dyn Outbox>>,
    ) -> Result<Result<String, SendError>, StoreError> {
        let to = EmailAddress::from_stored(delivery.recipient.clone());
        let envelope = Envelope {
            smtp: &smtp.draft,
            to: &to,
            subject: subject(schedule, run, locale),
            message_id: delivery.message_id.clone(),
            at: self.parts.clock.now(),
        };
        let message = match message::report(&envelope, text(schedule, run, locale), files) {
            Ok(message) => message,
            Err(error) => {
                let error = service::ports::MailError::new(
                    domain::check::ErrorKind::Internal,
                    domain::check::Stage::Send,
                    error.to_string(),
                );
                return Ok(Err(SendError::new(Fate::Never, error)));
            }
        };
        let mut open = match outbox.take() {
            Some(open) => open,
            None => match self.open(smtp).await {
                Ok(open) => open,
                Err(error) => return Ok(Err(error)),
            },
        };
        if let Err(error) = open.address(&to).await {
            return Ok(Err(error));
        }
        self.parts.store.record_sending(lease, delivery.id, self.parts.clock.now()).await?;
        let sent = open.transmit(&message).await;
        if sent.is_ok() {
            *outbox = Some(open);
        }
        Ok(sent)
    }

    async fn open(&self, smtp: &Smtp) -> Result<Box<dyn Outbox>, SendError> {
        let submission = open_submission(&*self.parts.store, &self.parts.vault, &self.parts.tokens, smtp).await;
        let submission = submission.map_err(SendError::before)?;
        self.parts.sender.open(&submission, Arc::new(Unheard)).await
    }

    /// What a failure means for this mail.
    fn after(&self, delivery: &Delivery, error: &SendError) -> Attempt {
        let why = error.error.message.clone();
        let n = delivery.n_attempts.saturating_add(1);
        match error.fate {
            Fate::Unknown => Attempt::Uncertain(why),
            Fate::Later if n < self.parts.settings.attempts_at_most => {
                let pause = PAUSE.saturating_mul(1 << delivery.n_attempts.min(10)).min(PAUSE_MAX);
                Attempt::Later(self.parts.clock.now().plus(pause), why)
            }
            Fate::Later | Fate::Never => Attempt::Failed(why),
        }
    }
}

fn subject(schedule: &Schedule, run: &ReportRun, locale: Locale) -> String {
    let words = &locale.words().report;
    let count = match run.n_changes {
        Some(n) => words.changes(n),
        None => words.count(run.n_rows.unwrap_or_default()),
    };
    words.subject(&schedule.draft.name, count)
}

/// What a mail says for those who see no HTML.
fn text(schedule: &Schedule, run: &ReportRun, locale: Locale) -> String {
    let words = locale.words();
    let mut lines = vec![
        words.report.count(run.n_rows.unwrap_or_default()),
        crate::filter(&schedule.draft.query.filter, words),
        crate::sort(schedule.draft.query.sort, words),
    ];
    lines.extend(run.n_changes.map(|it| words.report.changes(it)));
    if run.files.iter().any(|it| it.format != Format::Html) {
        lines.extend([String::new(), words.report.attached.to_owned()]);
    }
    lines.extend(Some(run.detail.clone()).filter(|it| !it.is_empty()));
    lines.extend([String::new(), words.report.sent_by(&schedule.draft.name)]);
    lines.join("\r\n")
}
