//! The use cases of scheduled reports.

use domain::{
    account::AccountQuery,
    actor::{Actor, Permission},
    audit::{AuditAction, AuditEntry},
    ids::{DeliveryId, ReportRunId, ScheduleId},
    page::{Page, PageRequest},
    schedule::{Format, ReportRun, Schedule, ScheduleDraft, ScheduleForm, ScheduleRow},
    time::Timestamp,
};

use crate::{
    Error, Parts,
    audit::{entry, picture},
    error::need,
    ports::RunCause,
};

/// How many runs of a schedule are kept, with their files.
pub const RUNS_KEPT: u32 = 50;
/// How many coming runs a form shows.
const RUNS_SHOWN: usize = 3;

/// The use cases of scheduled reports.
pub struct Schedules<'a>(pub(crate) &'a Parts);

impl Schedules<'_> {
    pub async fn list(&self, actor: &Actor, search: &str, page: PageRequest) -> Result<Page<ScheduleRow>, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.list_schedules(search, page).await?)
    }

    pub async fn load(&self, actor: &Actor, id: ScheduleId) -> Result<Schedule, Error> {
        need(actor, Permission::List)?;
        self.0.store.find_schedule(id).await?.ok_or(Error::NotFound)
    }

    /// Whether there is an enabled SMTP configuration by which reports can go.
    pub async fn can_send(&self, actor: &Actor) -> Result<bool, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.default_smtp().await?.is_some())
    }

    /// The names of all time zones.
    pub fn zones(&self) -> Vec<String> {
        self.0.reporter.zones()
    }

    /// A time as people of that zone write it.
    pub fn local(&self, zone: &str, at: Timestamp) -> String {
        self.0.reporter.local(zone, at)
    }

    /// The next runs of a form that is being filled in, in its zone; problems as on saving.
    pub fn preview(&self, actor: &Actor, form: &ScheduleForm) -> Result<Vec<String>, Error> {
        need(actor, Permission::List)?;
        let timing = form.timing().map_err(Error::Invalid)?;
        let runs = self.0.reporter.next_runs(&timing, self.0.clock.now(), RUNS_SHOWN);
        let runs = runs.map_err(|it| Error::Invalid(vec![it]))?;
        Ok(runs.into_iter().map(|it| self.0.reporter.local(&timing.zone, it)).collect())
    }

    /// How many accounts a schedule's filter gives at this moment.
    pub async fn count(&self, actor: &Actor, query: &AccountQuery) -> Result<u64, Error> {
        need(actor, Permission::List)?;
        Ok(self.0.store.count_accounts(&query.filter).await?)
    }

    /// Adds a schedule (`id` is `None`) or changes one.
    pub async fn save(&self, actor: &Actor, id: Option<ScheduleId>, form: &ScheduleForm) -> Result<ScheduleId, Error> {
        need(actor, Permission::Write)?;
        let draft = ScheduleDraft::try_from(form);
        // The calendar's problem stands beside the others.
        let next = form.timing().map(|it| self.0.reporter.next_runs(&it, self.0.clock.now(), 1));
        let (draft, next) = match (draft, next) {
            (Ok(draft), Ok(Ok(next))) => (draft, next.first().copied()),
            (draft, next) => {
                let mut problems = draft.err().unwrap_or_default();
                problems.extend(next.ok().and_then(Result::err));
                return Err(Error::Invalid(problems));
            }
        };
        let next = next.filter(|_| draft.enabled);
        let now = self.0.clock.now();
        let id = if let Some(id) = id {
            let before = self.load(actor, id).await?;
            if form.version.parse() != Ok(before.version) {
                return Err(Error::Conflict);
            }
            self.change(actor, &before, &draft, next).await?;
            id
        } else {
            let subject = format!("schedule \"{}\"", draft.name);
            let entry = AuditEntry { after: picture(&draft), ..entry(actor, now, AuditAction::ScheduleAdded, subject) };
            self.0.store.add_schedule(&draft, next, &[entry]).await?
        };
        self.0.reporter.wake();
        Ok(id)
    }

    async fn change(
        &self,
        actor: &Actor,
        before: &Schedule,
        draft: &ScheduleDraft,
        next: Option<Timestamp>,
    ) -> Result<(), Error> {
        let subject = format!("schedule {} \"{}\"", before.id, draft.name);
        let entry = AuditEntry {
            before: picture(&before.draft),
            after: picture(draft),
            ..entry(actor, self.0.clock.now(), AuditAction::ScheduleChanged, subject)
        };
        self.0.store.change_schedule(before.id, before.version, draft, next, &[entry]).await?;
        Ok(())
    }

    /// Pauses or goes on.
    pub async fn set_enabled(&self, actor: &Actor, id: ScheduleId, version: i64, enabled: bool) -> Result<(), Error> {
        need(actor, Permission::Write)?;
        let before = self.load(actor, id).await?;
        if before.version != version {
            return Err(Error::Conflict);
        }
        let draft = ScheduleDraft { enabled, ..before.draft.clone() };
        let next = self.0.reporter.next_runs(&draft.timing, self.0.clock.now(), 1);
        let next = next.map_err(|it| Error::Invalid(vec![it]))?.first().copied().filter(|_| enabled);
        self.change(actor, &before, &draft, next).await?;
        self.0.reporter.wake();
        Ok(())
    }

    pub async fn remove(&self, actor: &Actor, id: ScheduleId, version: i64) -> Result<(), Error> {
        need(actor, Permission::Delete)?;
        let before = self.load(actor, id).await?;
        let subject = format!("schedule {id} \"{}\"", before.draft.name);
        let entry = AuditEntry {
            before: picture(&before.draft),
            ..entry(actor, self.0.clock.now(), AuditAction::ScheduleRemoved, subject)
        };
        Ok(self.0.store.remove_schedule(id, version, &[entry]).await?)
    }

    /// Makes and sends the report now, beside its schedule.
    pub async fn run(&self, actor: &Actor, id: ScheduleId) -> Result<ReportRun, Error> {
        need(actor, Permission::Action)?;
        let schedule = self.load(actor, id).await?;
        let now = self.0.clock.now();
        let subject = format!("schedule {id} \"{}\"", schedule.draft.name);
        let entry = entry(actor, now, AuditAction::ScheduleRun, subject);
        let cause = RunCause::Asked { by: actor.name.clone() };
        let run = self.0.store.begin_run(id, &cause, now, RUNS_KEPT, &[entry]).await?.ok_or(Error::NotFound)?;
        self.0.reporter.wake();
        self.0.store.find_report_run(run).await?.ok_or(Error::NotFound)
    }

    /// Sends a mail once more whose fate is failed or uncertain.
    pub async fn repeat(&self, actor: &Actor, run: ReportRunId, delivery: DeliveryId) -> Result<ScheduleId, Error> {
        need(actor, Permission::Action)?;
        let found = self.0.store.find_report_run(run).await?.ok_or(Error::NotFound)?;
        let it = found.deliveries.iter().find(|it| it.id == delivery).ok_or(Error::NotFound)?;
        let now = self.0.clock.now();
        let subject = format!("schedule {}, run {run}, to {}", found.schedule_id, it.recipient);
        let entry = entry(actor, now, AuditAction::DeliveryRepeated, subject);
        self.0.store.repeat_delivery(run, delivery, now, &[entry]).await?;
        self.0.reporter.wake();
        Ok(found.schedule_id)
    }

    pub async fn runs(&self, actor: &Actor, id: ScheduleId, page: PageRequest) -> Result<Page<ReportRun>, Error> {
        need(actor, Permission::List)?;
        self.load(actor, id).await?;
        Ok(self.0.store.list_report_runs(id, page).await?)
    }

    /// A file that a run made: its name, its format and its bytes.
    pub async fn file(&self, actor: &Actor, run: ReportRunId, format: Format) -> Result<(String, Vec<u8>), Error> {
        need(actor, Permission::List)?;
        let (name, bytes) = self.0.store.report_file(run, format).await?.ok_or(Error::NotFound)?;
        let subject = format!("report run {run}, {}", format.label());
        let entry = entry(actor, self.0.clock.now(), AuditAction::ReportExported, subject);
        self.0.store.add_audit(&[entry]).await?;
        Ok((name, bytes))
    }
}
