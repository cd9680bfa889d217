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
    let found = sqlx::query_scalar!(
        "SELECT id FROM accounts WHERE id = $1 AND fence = $2 AND lease_owner IS NOT NULL FOR UPDATE",
        lease.account_id.0,
        lease.fence
    )
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
        let mut rows = sqlx::query!(
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
            owner,
            now.plus(lease_for).0,
            now.0,
            i64::from(limit)
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        // What is returned comes in no order.
        rows.sort_unstable_by_key(|it| (it.next_check_at, it.id));
        Ok(rows
            .into_iter()
            .map(|it| Lease { account_id: AccountId(it.id), fence: it.fence, setup: it.setup })
            .collect())
    }

    async fn take_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.begin().await?;
        let taken = sqlx::query!(
            "UPDATE accounts SET lease_owner = $1, lease_until = $2, fence = fence + 1
             WHERE id = $3 AND deleted_at IS NULL AND (lease_owner IS NULL OR lease_until < $4)
             RETURNING fence, setup",
            owner,
            now.plus(lease_for).0,
            id.0,
            now.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(taken.map(|it| Lease { account_id: id, fence: it.fence, setup: it.setup }))
    }

    async fn extend_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!("UPDATE accounts SET lease_until = $1 WHERE id = $2", until.0, lease.account_id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn start_run(&self, lease: Lease, at: Timestamp) -> Result<CheckRunId, StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        // Whoever had the lease before did not come back to end its run.
        sqlx::query!(
            "UPDATE check_runs
             SET outcome = 'failed', finished_at = $1, error_kind = 'internal',
                 error_message = 'the instance that ran this check went away'
             WHERE account_id = $2 AND finished_at IS NULL",
            at.0,
            lease.account_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let id = sqlx::query_scalar!(
            r#"INSERT INTO check_runs (account_id, started_at, outcome) VALUES ($1, $2, 'running') RETURNING id AS "id!""#,
            lease.account_id.0,
            at.0
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(CheckRunId(id))
    }

    async fn record_stages(&self, lease: Lease, run: CheckRunId, stages: &[StageRecord]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!(
            "UPDATE check_runs SET stages = $1 WHERE id = $2 AND finished_at IS NULL",
            to_json(stages)?,
            run.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn finish_run(&self, lease: Lease, finished: &Finished) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let Finished { run, health } = finished;
        sqlx::query!(
            "UPDATE check_runs
             SET finished_at = $1, outcome = $2, new_messages = $3, deleted_messages = $4, stages = $5,
                 error_kind = $6, error_message = $7
             WHERE id = $8",
            run.finished_at.map(|it| it.0),
            run.outcome.as_str(),
            i64::try_from(run.new_messages).unwrap_or(i64::MAX),
            i64::try_from(run.deleted_messages).unwrap_or(i64::MAX),
            to_json(&run.stages)?,
            run.error.as_ref().map(|it| it.kind.as_str()),
            run.error.as_ref().map(|it| clean(&it.message)),
            run.id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        // The success is a fact whatever was changed meanwhile.
        sqlx::query!(
            "UPDATE accounts
             SET last_success_at = $1, lease_owner = NULL, lease_until = NULL,
                 health_rank = CASE WHEN failure_kind IS NULL AND CAST($1 AS BIGINT) IS NOT NULL THEN 0
                     ELSE health_rank END
             WHERE id = $2",
            health.last_success_at.map(|it| it.0),
            lease.account_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let failure = health.failure.as_ref();
        sqlx::query!(
            "UPDATE accounts
             SET next_check_at = CASE WHEN enabled AND automatic_check AND deleted_at IS NULL THEN CAST($1 AS BIGINT) END,
                 failure_kind = $2, failure_message = $3, failure_since = $4, n_failures = $5, is_stopped = $6,
                 health_rank = $7
             WHERE id = $8 AND setup = $9",
            health.next_check_at.map(|it| it.0),
            failure.map(|it| it.kind.as_str()),
            failure.map(|it| clean(&it.message)),
            failure.map(|it| it.since.0),
            failure.map_or(0, |it| i64::from(it.n_failures)),
            failure.is_some_and(|it| it.is_stopped),
            health.state() as i64,
            lease.account_id.0,
            lease.setup
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn give_back(&self, lease: Lease, due_at: Option<Timestamp>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!(
            "UPDATE accounts SET lease_owner = NULL, lease_until = NULL, next_check_at = $1 WHERE id = $2",
            due_at.map(|it| it.0),
            lease.account_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn list_runs(&self, account: AccountId, page: PageRequest) -> Result<Page<CheckRun>, StoreError> {
        let total =
            sqlx::query_scalar!(r#"SELECT COUNT(*) AS "total!" FROM check_runs WHERE account_id = $1"#, account.0)
                .fetch_one(self.reader())
                .await
                .map_err(backend)?;
        let records = sqlx::query_as!(
            RunRecord,
            "SELECT id, account_id, started_at, finished_at, outcome, new_messages, deleted_messages, stages,
                 error_kind, error_message
             FROM check_runs WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
            account.0,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let runs = records.into_iter().map(CheckRun::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(runs, count(total), page))
    }

    async fn find_run(&self, id: CheckRunId) -> Result<Option<CheckRun>, StoreError> {
        let record = sqlx::query_as!(
            RunRecord,
            "SELECT id, account_id, started_at, finished_at, outcome, new_messages, deleted_messages, stages,
                 error_kind, error_message
             FROM check_runs WHERE id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(CheckRun::try_from).transpose()
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let at = sqlx::query_scalar!(
            r#"SELECT next_check_at AS "next_check_at!" FROM accounts
             WHERE deleted_at IS NULL AND next_check_at IS NOT NULL AND enabled AND automatic_check AND NOT is_stopped
                 AND lease_owner IS NULL
             ORDER BY next_check_at
             LIMIT 1"#
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
