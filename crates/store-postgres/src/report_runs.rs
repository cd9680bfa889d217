//! The runs of schedules on PostgreSQL.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    ids::{DeliveryId, ReportRunId, ScheduleId},
    page::{Page, PageRequest},
    schedule::{Delivery, DeliveryState, Format, ReportFile, ReportRun, RunOutcome},
    time::Timestamp,
};
use service::ports::{Attempt, MadeReport, ReportRunStore, RunCause, RunLease, StoreError};

use crate::{
    PostgresStore, Tx, audit,
    error::backend,
    record::{clean, count},
};

/// Zstandard's own default.
const COMPRESSION: i32 = 3;

struct Record {
    id: i64,
    schedule_id: i64,
    due_at: i64,
    started_at: i64,
    finished_at: Option<i64>,
    outcome: String,
    asked_by: Option<String>,
    n_rows: Option<i64>,
    n_changes: Option<i64>,
    detail: String,
}

impl TryFrom<Record> for ReportRun {
    type Error = StoreError;

    fn try_from(it: Record) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "report_runs", column, row: it.id };
        Ok(Self {
            id: ReportRunId(it.id),
            schedule_id: ScheduleId(it.schedule_id),
            due_at: Timestamp(it.due_at),
            started_at: Timestamp(it.started_at),
            finished_at: it.finished_at.map(Timestamp),
            outcome: RunOutcome::parse(&it.outcome).ok_or_else(|| corrupt("outcome"))?,
            asked_by: it.asked_by,
            n_rows: it.n_rows.map(count),
            n_changes: it.n_changes.map(count),
            detail: it.detail,
            files: Vec::new(),
            deliveries: Vec::new(),
        })
    }
}

struct DeliveryRecord {
    id: i64,
    run_id: i64,
    recipient: String,
    message_id: String,
    state: String,
    n_attempts: i64,
    next_attempt_at: Option<i64>,
    at: i64,
    detail: String,
}

impl TryFrom<DeliveryRecord> for Delivery {
    type Error = StoreError;

    fn try_from(it: DeliveryRecord) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "deliveries", column, row: it.id };
        Ok(Self {
            id: DeliveryId(it.id),
            recipient: it.recipient,
            state: DeliveryState::parse(&it.state).ok_or_else(|| corrupt("state"))?,
            n_attempts: u32::try_from(it.n_attempts).map_err(|_| corrupt("n_attempts"))?,
            next_attempt_at: it.next_attempt_at.map(Timestamp),
            at: Timestamp(it.at),
            detail: it.detail,
            message_id: it.message_id,
        })
    }
}

/// Fails unless the lease is still the run's latest. The row is locked, so nobody can take it meanwhile.
async fn check_fence(tx: &mut Tx, lease: RunLease) -> Result<(), StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM report_runs WHERE id = $1 AND fence = $2 AND lease_owner IS NOT NULL FOR NO KEY UPDATE",
        lease.run_id.0,
        lease.fence
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(backend)?;
    found.map(|_| ()).ok_or(StoreError::Fenced)
}

#[async_trait]
impl ReportRunStore for PostgresStore {
    async fn next_report_work(&self) -> Result<Option<Timestamp>, StoreError> {
        let schedule = sqlx::query_scalar!(r#"SELECT MIN(next_run_at) AS "at: i64" FROM schedules"#)
            .fetch_one(self.reader())
            .await
            .map_err(backend)?;
        let run = sqlx::query_scalar!(
            r#"SELECT MIN(CASE WHEN lease_until > next_step_at THEN lease_until ELSE next_step_at END) AS "at: i64"
             FROM report_runs WHERE finished_at IS NULL"#
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        Ok(schedule.into_iter().chain(run).min().map(Timestamp))
    }

    async fn begin_run(
        &self,
        schedule: ScheduleId,
        cause: &RunCause,
        at: Timestamp,
        keep: u32,
        audit: &[AuditEntry],
    ) -> Result<Option<ReportRunId>, StoreError> {
        let mut tx = self.begin().await?;
        let (due_at, asked_by) = match cause {
            RunCause::Due { due_at, next } => {
                let moved = sqlx::query!(
                    "UPDATE schedules SET next_run_at = $1 WHERE id = $2 AND next_run_at = $3 AND enabled",
                    next.map(|it| it.0),
                    schedule.0,
                    due_at.0
                )
                .execute(&mut *tx)
                .await
                .map_err(backend)?;
                if moved.rows_affected() == 0 {
                    return Ok(None);
                }
                (*due_at, None)
            }
            RunCause::Asked { by } => {
                let found = sqlx::query_scalar!("SELECT id FROM schedules WHERE id = $1 FOR SHARE", schedule.0)
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(backend)?;
                if found.is_none() {
                    return Ok(None);
                }
                (at, Some(by))
            }
        };
        let id = sqlx::query_scalar!(
            r#"INSERT INTO report_runs (schedule_id, due_at, started_at, outcome, asked_by, next_step_at)
             VALUES ($1, $2, $3, 'running', $4, $3)
             ON CONFLICT DO NOTHING
             RETURNING id AS "id!""#,
            schedule.0,
            due_at.0,
            at.0,
            asked_by
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        // The clock was set back over a run that has been: it is not repeated.
        let Some(id) = id else {
            tx.commit().await.map_err(backend)?;
            return Ok(None);
        };
        // What the next report is compared with stays, however many runs had nothing to send since.
        sqlx::query!(
            "DELETE FROM report_runs
             WHERE schedule_id = $1 AND finished_at IS NOT NULL AND id NOT IN (
                 SELECT id FROM report_runs WHERE schedule_id = $1 ORDER BY id DESC LIMIT $2)
                 AND id <> COALESCE((
                     SELECT MAX(id) FROM report_runs WHERE schedule_id = $1 AND snapshot IS NOT NULL AND EXISTS (
                         SELECT 1 FROM deliveries WHERE run_id = report_runs.id AND state IN ('sent', 'uncertain'))), 0)",
            schedule.0,
            i64::from(keep)
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(Some(ReportRunId(id)))
    }

    async fn take_run(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<(RunLease, ReportRun)>, StoreError> {
        let mut tx = self.begin().await?;
        let taken = sqlx::query!(
            "UPDATE report_runs SET lease_owner = $1, lease_until = $2, fence = fence + 1
             WHERE id = (
                 SELECT id FROM report_runs
                 WHERE finished_at IS NULL AND next_step_at <= $3 AND (lease_owner IS NULL OR lease_until <= $3)
                 ORDER BY next_step_at
                 LIMIT 1
                 FOR NO KEY UPDATE SKIP LOCKED)
             RETURNING id, fence",
            owner,
            now.plus(lease_for).0,
            now.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        let Some(taken) = taken else { return Ok(None) };
        sqlx::query!(
            "UPDATE deliveries
             SET state = 'uncertain', at = $1, detail = 'the sender was lost before the server had answered'
             WHERE run_id = $2 AND state = 'sending'",
            now.0,
            taken.id
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        let lease = RunLease { run_id: ReportRunId(taken.id), fence: taken.fence };
        Ok(self.find_report_run(lease.run_id).await?.map(|run| (lease, run)))
    }

    async fn extend_run(&self, lease: RunLease, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!("UPDATE report_runs SET lease_until = $1 WHERE id = $2", until.0, lease.run_id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn last_snapshot(&self, schedule: ScheduleId, query: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let packed = sqlx::query_scalar!(
            r#"SELECT snapshot AS "snapshot!" FROM report_runs
             WHERE schedule_id = $1 AND query = $2 AND snapshot IS NOT NULL
                 AND EXISTS (SELECT 1 FROM deliveries WHERE run_id = report_runs.id AND state IN ('sent', 'uncertain'))
             ORDER BY id DESC LIMIT 1"#,
            schedule.0,
            query
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        match packed {
            Some(packed) => unpack(packed).await.map(Some),
            None => Ok(None),
        }
    }

    async fn record_made(
        &self,
        lease: RunLease,
        query: &str,
        made: &MadeReport,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let snapshot = pack(made.snapshot.clone()).await?;
        let mut packed = Vec::new();
        for (format, name, bytes) in &made.files {
            packed.push((format, name, bytes.len(), pack(bytes.clone()).await?));
        }
        let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        let is_over = made.recipients.is_empty();
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!(
            "UPDATE report_runs SET query = $1, n_rows = $2, n_changes = $3, detail = $4, snapshot = $5 WHERE id = $6",
            query,
            number(made.n_rows),
            made.n_changes.map(number),
            clean(&made.detail),
            snapshot,
            lease.run_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        for (format, name, size, bytes) in packed {
            sqlx::query!(
                "INSERT INTO report_files (run_id, format, name, size, bytes) VALUES ($1, $2, $3, $4, $5)",
                lease.run_id.0,
                format.as_str(),
                name,
                i64::try_from(size).unwrap_or(i64::MAX),
                bytes
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        for recipient in &made.recipients {
            sqlx::query!(
                "INSERT INTO deliveries (run_id, recipient, message_id, state, next_attempt_at, at)
                 VALUES ($1, $2, $3, 'waiting', $4, $4)",
                lease.run_id.0,
                recipient.address.as_str(),
                recipient.message_id,
                at.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        if is_over {
            finish(&mut tx, lease.run_id, RunOutcome::Unchanged, at).await?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn record_sending(&self, lease: RunLease, id: DeliveryId, at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!(
            "UPDATE deliveries SET state = 'sending', at = $1, next_attempt_at = NULL WHERE id = $2 AND run_id = $3",
            at.0,
            id.0,
            lease.run_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn record_attempt(
        &self,
        lease: RunLease,
        id: DeliveryId,
        attempt: &Attempt,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (state, again, detail) = match attempt {
            Attempt::Sent(words) => (DeliveryState::Sent, None, words),
            Attempt::Later(again, why) => (DeliveryState::Waiting, Some(again.0), why),
            Attempt::Failed(why) => (DeliveryState::Failed, None, why),
            Attempt::Uncertain(why) => (DeliveryState::Uncertain, None, why),
        };
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!(
            "UPDATE deliveries
             SET state = $1, next_attempt_at = $2, detail = $3, at = $4, n_attempts = n_attempts + 1
             WHERE id = $5 AND run_id = $6",
            state.as_str(),
            again,
            clean(detail),
            at.0,
            id.0,
            lease.run_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn give_back_run(
        &self,
        lease: RunLease,
        failure: Option<(&str, Option<Timestamp>)>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        if let Some((why, again)) = failure {
            sqlx::query!(
                "UPDATE report_runs SET detail = $1, next_step_at = $2, lease_owner = NULL, lease_until = NULL WHERE id = $3",
                clean(why),
                again.map(|it| it.0),
                lease.run_id.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
            if again.is_none() {
                finish(&mut tx, lease.run_id, RunOutcome::Failed, at).await?;
            }
            return tx.commit().await.map_err(backend);
        }
        let rows = sqlx::query!("SELECT state, next_attempt_at FROM deliveries WHERE run_id = $1", lease.run_id.0)
            .fetch_all(&mut *tx)
            .await
            .map_err(backend)?;
        let states: Vec<_> = rows.iter().filter_map(|it| DeliveryState::parse(&it.state)).collect();
        match RunOutcome::of(&states) {
            RunOutcome::Running => {
                let again = rows.iter().filter_map(|it| it.next_attempt_at).min().unwrap_or(at.0);
                sqlx::query!(
                    "UPDATE report_runs SET next_step_at = $1, lease_owner = NULL, lease_until = NULL WHERE id = $2",
                    again,
                    lease.run_id.0
                )
                .execute(&mut *tx)
                .await
                .map_err(backend)?;
            }
            outcome => finish(&mut tx, lease.run_id, outcome, at).await?,
        }
        tx.commit().await.map_err(backend)
    }

    async fn repeat_delivery(
        &self,
        run: ReportRunId,
        id: DeliveryId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let reopened = sqlx::query!(
            "UPDATE report_runs SET finished_at = NULL, outcome = 'running', next_step_at = $1 WHERE id = $2",
            at.0,
            run.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let found = sqlx::query_scalar!("SELECT id FROM deliveries WHERE id = $1 AND run_id = $2", id.0, run.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(backend)?;
        // Here and below: undone now and not when the connection is used next, for whoever takes runs passes over locked ones.
        if reopened.rows_affected() == 0 || found.is_none() {
            tx.rollback().await.map_err(backend)?;
            return Err(StoreError::NotFound);
        }
        let repeated = sqlx::query!(
            "UPDATE deliveries SET state = 'waiting', n_attempts = 0, next_attempt_at = $1, at = $1
             WHERE id = $2 AND state IN ('failed', 'uncertain')",
            at.0,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if repeated.rows_affected() == 0 {
            tx.rollback().await.map_err(backend)?;
            return Err(StoreError::Conflict);
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn list_report_runs(&self, schedule: ScheduleId, page: PageRequest) -> Result<Page<ReportRun>, StoreError> {
        let total =
            sqlx::query_scalar!(r#"SELECT COUNT(*) AS "total!" FROM report_runs WHERE schedule_id = $1"#, schedule.0)
                .fetch_one(self.reader())
                .await
                .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            "SELECT id, schedule_id, due_at, started_at, finished_at, outcome, asked_by, n_rows, n_changes, detail
             FROM report_runs WHERE schedule_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
            schedule.0,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let runs = records.into_iter().map(ReportRun::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(self.with_parts(runs).await?, count(total), page))
    }

    async fn find_report_run(&self, id: ReportRunId) -> Result<Option<ReportRun>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT id, schedule_id, due_at, started_at, finished_at, outcome, asked_by, n_rows, n_changes, detail
             FROM report_runs WHERE id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        let run = record.map(ReportRun::try_from).transpose()?;
        Ok(self.with_parts(run.into_iter().collect()).await?.pop())
    }

    async fn report_file(&self, id: ReportRunId, format: Format) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let found = sqlx::query!(
            "SELECT name, bytes FROM report_files WHERE run_id = $1 AND format = $2",
            id.0,
            format.as_str()
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        match found {
            Some(found) => Ok(Some((found.name, unpack(found.bytes).await?))),
            None => Ok(None),
        }
    }
}

impl PostgresStore {
    /// A schedule's latest run, without files and deliveries.
    pub(crate) async fn latest_run(&self, schedule: ScheduleId) -> Result<Option<ReportRun>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT id, schedule_id, due_at, started_at, finished_at, outcome, asked_by, n_rows, n_changes, detail
             FROM report_runs WHERE schedule_id = $1 ORDER BY id DESC LIMIT 1",
            schedule.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(ReportRun::try_from).transpose()
    }

    /// The runs with their files and deliveries.
    async fn with_parts(&self, mut runs: Vec<ReportRun>) -> Result<Vec<ReportRun>, StoreError> {
        let (Some(first), Some(last)) = (runs.iter().map(|it| it.id.0).min(), runs.iter().map(|it| it.id.0).max())
        else {
            return Ok(runs);
        };
        // A page of runs is a range of ids, with little between them.
        let files = sqlx::query!(
            "SELECT run_id, format, name, size FROM report_files WHERE run_id BETWEEN $1 AND $2 ORDER BY run_id, format",
            first,
            last
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let deliveries = sqlx::query_as!(
            DeliveryRecord,
            "SELECT id, run_id, recipient, message_id, state, n_attempts, next_attempt_at, at, detail
             FROM deliveries WHERE run_id BETWEEN $1 AND $2 ORDER BY id",
            first,
            last
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let mut by_id: HashMap<i64, &mut ReportRun> = runs.iter_mut().map(|it| (it.id.0, it)).collect();
        for file in files {
            if let (Some(run), Some(format)) = (by_id.get_mut(&file.run_id), Format::parse(&file.format)) {
                run.files.push(ReportFile { format, name: file.name, size: count(file.size) });
            }
        }
        for record in deliveries {
            if let Some(run) = by_id.get_mut(&record.run_id) {
                run.deliveries.push(record.try_into()?);
            }
        }
        Ok(runs)
    }
}

async fn finish(tx: &mut Tx, id: ReportRunId, outcome: RunOutcome, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE report_runs
         SET finished_at = $1, outcome = $2, next_step_at = NULL, lease_owner = NULL, lease_until = NULL
         WHERE id = $3",
        at.0,
        outcome.as_str(),
        id.0
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

async fn pack(bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    off_thread(move || zstd::encode_all(bytes.as_slice(), COMPRESSION)).await
}

async fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    off_thread(move || zstd::decode_all(bytes.as_slice())).await
}

async fn off_thread(work: impl FnOnce() -> std::io::Result<Vec<u8>> + Send + 'static) -> Result<Vec<u8>, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(StoreError::Backend(Box::new(error))),
        Err(error) => Err(StoreError::Backend(Box::new(error))),
    }
}
