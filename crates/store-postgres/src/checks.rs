//! The schedule of checks and their records on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    check::{CheckRun, StageRecord},
    ids::{AccountId, CheckRunId},
    page::{Page, PageRequest},
    time::Timestamp,
};
use service::ports::{CheckStore, Finished, Lease, StoreError};

use crate::{
    PostgresStore, Tx,
    error::backend,
    record::{RunRecord, clean, count},
};

/// Fails unless the lease is still the account's latest. The row is locked, so nobody can take it meanwhile.
pub(crate) async fn check_fence(tx: &mut Tx, lease: Lease) -> Result<(), StoreError> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT id FROM accounts WHERE id = $1 AND fence = $2 AND lease_owner IS NOT NULL FOR UPDATE",
    )
    .bind(lease.account_id.0)
    .bind(lease.fence)
    .fetch_optional(&mut **tx)
    .await
    .map_err(backend)?;
    found.map(|_| ()).ok_or(StoreError::Fenced)
}

#[async_trait]
impl CheckStore for PostgresStore {
    async fn take_due(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
        limit: u32,
    ) -> Result<Vec<Lease>, StoreError> {
        let mut tx = self.begin().await?;
        let mut rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "UPDATE accounts SET lease_owner = $1, lease_until = $2, fence = fence + 1
             WHERE id IN (
                 SELECT id FROM accounts
                 WHERE deleted_at IS NULL AND next_check_at IS NOT NULL AND next_check_at <= $3
                     AND enabled AND automatic_check AND NOT is_stopped
                     AND (lease_owner IS NULL OR lease_until < $3)
                 ORDER BY next_check_at
                 LIMIT $4
                 FOR UPDATE SKIP LOCKED)
             RETURNING next_check_at, id, fence, setup",
        )
        .bind(owner)
        .bind(now.plus(lease_for).0)
        .bind(now.0)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        // What is returned comes in no order.
        rows.sort_unstable();
        Ok(rows.into_iter().map(|(_, id, fence, setup)| Lease { account_id: AccountId(id), fence, setup }).collect())
    }

    async fn take_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.begin().await?;
        let taken: Option<(i64, i64)> = sqlx::query_as(
            "UPDATE accounts SET lease_owner = $1, lease_until = $2, fence = fence + 1
             WHERE id = $3 AND deleted_at IS NULL AND (lease_owner IS NULL OR lease_until < $4)
             RETURNING fence, setup",
        )
        .bind(owner)
        .bind(now.plus(lease_for).0)
        .bind(id.0)
        .bind(now.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(taken.map(|(fence, setup)| Lease { account_id: id, fence, setup }))
    }

    async fn extend_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query("UPDATE accounts SET lease_until = $1 WHERE id = $2")
            .bind(until.0)
            .bind(lease.account_id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn start_run(&self, lease: Lease, at: Timestamp) -> Result<CheckRunId, StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        // Whoever had the lease before did not come back to end its run.
        sqlx::query(
            "UPDATE check_runs
             SET outcome = 'failed', finished_at = $1, error_kind = 'internal',
                 error_message = 'the instance that ran this check went away'
             WHERE account_id = $2 AND finished_at IS NULL",
        )
        .bind(at.0)
        .bind(lease.account_id.0)
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO check_runs (account_id, started_at, outcome) VALUES ($1, $2, 'running') RETURNING id",
        )
        .bind(lease.account_id.0)
        .bind(at.0)
        .fetch_one(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(CheckRunId(id))
    }

    async fn record_stages(&self, lease: Lease, run: CheckRunId, stages: &[StageRecord]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query("UPDATE check_runs SET stages = $1 WHERE id = $2 AND finished_at IS NULL")
            .bind(to_json(stages)?)
            .bind(run.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn finish_run(&self, lease: Lease, finished: &Finished) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let Finished { run, health } = finished;
        sqlx::query(
            "UPDATE check_runs
             SET finished_at = $1, outcome = $2, new_messages = $3, deleted_messages = $4, stages = $5,
                 error_kind = $6, error_message = $7
             WHERE id = $8",
        )
        .bind(run.finished_at.map(|it| it.0))
        .bind(run.outcome.as_str())
        .bind(i64::try_from(run.new_messages).unwrap_or(i64::MAX))
        .bind(i64::try_from(run.deleted_messages).unwrap_or(i64::MAX))
        .bind(to_json(&run.stages)?)
        .bind(run.error.as_ref().map(|it| it.kind.as_str()))
        .bind(run.error.as_ref().map(|it| clean(&it.message)))
        .bind(run.id.0)
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        // The success is a fact whatever was changed meanwhile.
        sqlx::query(
            "UPDATE accounts
             SET last_success_at = $1, lease_owner = NULL, lease_until = NULL,
                 health_rank = CASE WHEN failure_kind IS NULL AND CAST($1 AS BIGINT) IS NOT NULL THEN 0 ELSE health_rank END
             WHERE id = $2",
        )
        .bind(health.last_success_at.map(|it| it.0))
        .bind(lease.account_id.0)
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let failure = health.failure.as_ref();
        sqlx::query(
            "UPDATE accounts
             SET next_check_at = CASE WHEN enabled AND automatic_check AND deleted_at IS NULL THEN $1 END,
                 failure_kind = $2, failure_message = $3, failure_since = $4, n_failures = $5, is_stopped = $6,
                 health_rank = $7
             WHERE id = $8 AND setup = $9",
        )
        .bind(health.next_check_at.map(|it| it.0))
        .bind(failure.map(|it| it.kind.as_str()))
        .bind(failure.map(|it| clean(&it.message)))
        .bind(failure.map(|it| it.since.0))
        .bind(failure.map_or(0, |it| i64::from(it.n_failures)))
        .bind(failure.is_some_and(|it| it.is_stopped))
        .bind(health.state() as i64)
        .bind(lease.account_id.0)
        .bind(lease.setup)
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn give_back(&self, lease: Lease, due_at: Option<Timestamp>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query("UPDATE accounts SET lease_owner = NULL, lease_until = NULL, next_check_at = $1 WHERE id = $2")
            .bind(due_at.map(|it| it.0))
            .bind(lease.account_id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn list_runs(&self, account: AccountId, page: PageRequest) -> Result<Page<CheckRun>, StoreError> {
        let total: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM check_runs WHERE account_id = $1")
            .bind(account.0)
            .fetch_one(self.reader())
            .await
            .map_err(backend)?;
        let records: Vec<RunRecord> = sqlx::query_as(
            "SELECT id, account_id, started_at, finished_at, outcome, new_messages, deleted_messages, stages,
                 error_kind, error_message
             FROM check_runs WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
        )
        .bind(account.0)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let runs = records.into_iter().map(CheckRun::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(runs, count(total), page))
    }

    async fn find_run(&self, id: CheckRunId) -> Result<Option<CheckRun>, StoreError> {
        let record: Option<RunRecord> = sqlx::query_as(
            "SELECT id, account_id, started_at, finished_at, outcome, new_messages, deleted_messages, stages,
                 error_kind, error_message
             FROM check_runs WHERE id = $1",
        )
        .bind(id.0)
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(CheckRun::try_from).transpose()
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let at: Option<i64> = sqlx::query_scalar(
            "SELECT next_check_at FROM accounts
             WHERE deleted_at IS NULL AND next_check_at IS NOT NULL AND enabled AND automatic_check AND NOT is_stopped
                 AND lease_owner IS NULL
             ORDER BY next_check_at
             LIMIT 1",
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(at.map(Timestamp))
    }
}

fn to_json(stages: &[StageRecord]) -> Result<String, StoreError> {
    serde_json::to_string(stages).map_err(|it| StoreError::Backend(Box::new(it)))
}
