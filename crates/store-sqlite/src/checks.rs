//! The schedule of checks and their records on SQLite.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    check::{CheckRun, StageRecord},
    ids::{AccountId, CheckRunId, CredentialId},
    page::{Page, PageRequest},
    time::Timestamp,
};
use service::ports::{CheckStore, Finished, Lease, Standing, StoreError, Way};

use crate::{
    SqliteStore, Tx, audit,
    credentials::ACCEPTED_EVERY,
    error::backend,
    posture,
    record::{RunRecord, clean, count},
};

/// Fails unless the lease is still the account's latest. Within a write transaction nobody can take it meanwhile.
pub(crate) async fn check_fence(tx: &mut Tx, lease: Lease) -> Result<(), StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM accounts WHERE id = $1 AND fence = $2 AND lease_owner IS NOT NULL",
        lease.account_id.0,
        lease.fence
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(backend)?;
    found.map(|_| ()).ok_or(StoreError::Fenced)
}

#[async_trait]
impl CheckStore for SqliteStore {
    async fn take_due(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
        limit: u32,
        busy: &[Way],
    ) -> Result<Vec<Lease>, StoreError> {
        let busy: Vec<String> = busy.iter().map(ToString::to_string).collect();
        let busy = serde_json::to_string(&busy).map_err(|it| StoreError::Backend(Box::new(it)))?;
        let mut tx = self.begin_light().await?;
        let mut rows = sqlx::query!(
            "UPDATE accounts SET lease_owner = $1, lease_until = $2, fence = fence + 1
             WHERE id IN (
                 SELECT id FROM accounts
                 WHERE deleted_at IS NULL AND enabled AND (lease_owner IS NULL OR lease_until < $3)
                     AND (asked_at IS NOT NULL
                         OR (next_check_at IS NOT NULL AND next_check_at <= $3 AND automatic_check AND NOT is_stopped))
                     AND CASE WHEN connector_id IS NULL THEN address || ' ' || port
                         ELSE 'connector ' || connector_id END NOT IN (SELECT value FROM json_each($5))
                 ORDER BY COALESCE(asked_at, next_check_at)
                 LIMIT $4)
             RETURNING asked_at, next_check_at, id, fence, setup, epoch",
            owner,
            now.plus(lease_for).0,
            now.0,
            i64::from(limit),
            busy
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        // What is returned comes in no order.
        rows.sort_unstable_by_key(|it| (it.asked_at.or(it.next_check_at), it.id));
        let due = |asked_at: Option<i64>, due_at: Option<i64>| due_at.filter(|_| asked_at.is_none()).map(Timestamp);
        Ok(rows
            .into_iter()
            .map(|it| Lease {
                account_id: AccountId(it.id),
                fence: it.fence,
                setup: it.setup,
                epoch: it.epoch,
                due_at: due(it.asked_at, it.next_check_at),
            })
            .collect())
    }

    async fn take_account(
        &self,
        id: AccountId,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let mut tx = self.begin_light().await?;
        let taken = sqlx::query!(
            "UPDATE accounts SET lease_owner = $1, lease_until = $2, fence = fence + 1
             WHERE id = $3 AND deleted_at IS NULL AND (lease_owner IS NULL OR lease_until < $4)
             RETURNING fence, setup, epoch",
            owner,
            now.plus(lease_for).0,
            id.0,
            now.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(taken.map(|it| Lease { account_id: id, fence: it.fence, setup: it.setup, epoch: it.epoch, due_at: None }))
    }

    async fn is_held(&self, id: AccountId, now: Timestamp) -> Result<bool, StoreError> {
        let held = sqlx::query_scalar!(
            "SELECT id FROM accounts WHERE id = $1 AND lease_owner IS NOT NULL AND lease_until >= $2",
            id.0,
            now.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(held.is_some())
    }

    async fn standings(&self, accounts: &[AccountId]) -> Result<Vec<Standing>, StoreError> {
        let ids: Vec<_> = accounts.iter().map(|it| it.0).collect();
        let ids = serde_json::to_string(&ids).map_err(|it| StoreError::Backend(Box::new(it)))?;
        let records = sqlx::query!(
            r#"SELECT id, setup, enabled AS "enabled: bool", next_check_at FROM accounts
             WHERE deleted_at IS NULL AND id IN (SELECT value FROM json_each($1))"#,
            ids
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let standing = records.into_iter().map(|it| Standing {
            account_id: AccountId(it.id),
            setup: it.setup,
            is_enabled: it.enabled,
            next_check_at: it.next_check_at.map(Timestamp),
        });
        Ok(standing.collect())
    }

    async fn ask_check(&self, id: AccountId, at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        let asked = sqlx::query!(
            "UPDATE accounts SET asked_at = COALESCE(asked_at, $1) WHERE id = $2 AND deleted_at IS NULL",
            at.0,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        if asked.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn ask_checks_with(
        &self,
        credential: CredentialId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let asked = sqlx::query!(
            "UPDATE accounts SET asked_at = COALESCE(asked_at, $1)
             WHERE credential_id = $2 AND enabled AND deleted_at IS NULL",
            at.0,
            credential.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(asked.rows_affected())
    }

    async fn asked_of(&self, owner: &str) -> Result<Vec<AccountId>, StoreError> {
        let ids = sqlx::query_scalar!("SELECT id FROM accounts WHERE asked_at IS NOT NULL AND lease_owner = $1", owner)
            .fetch_all(self.reader())
            .await
            .map_err(backend)?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    async fn extend_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!("UPDATE accounts SET lease_until = $1 WHERE id = $2", until.0, lease.account_id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn extend_leases(&self, owner: &str, until: Timestamp) -> Result<Vec<(AccountId, i64)>, StoreError> {
        let mut tx = self.begin_light().await?;
        let held = sqlx::query!(
            "UPDATE accounts SET lease_until = $1 WHERE lease_owner = $2 RETURNING id, fence",
            until.0,
            owner
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(held.into_iter().map(|it| (AccountId(it.id), it.fence)).collect())
    }

    async fn start_run(&self, lease: Lease, at: Timestamp) -> Result<CheckRunId, StoreError> {
        let mut tx = self.begin_light().await?;
        // What was asked for begins now; the same statement finds out whether the lease still holds.
        let begun = sqlx::query!(
            "UPDATE accounts SET asked_at = NULL WHERE id = $1 AND fence = $2 AND lease_owner IS NOT NULL",
            lease.account_id.0,
            lease.fence
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if begun.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
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
            r#"INSERT INTO check_runs (account_id, due_at, started_at, outcome) VALUES ($1, $2, $3, 'running')
             RETURNING id AS "id!""#,
            lease.account_id.0,
            lease.due_at.map(|it| it.0),
            at.0
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(CheckRunId(id))
    }

    async fn record_stages(&self, lease: Lease, run: CheckRunId, stages: &[StageRecord]) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
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
        let mut tx = self.begin_light().await?;
        let shares = shares(&mut tx, lease, finished).await?;
        let Finished { health, late_at, mailbox, keeps_lease, .. } = finished;
        // Credentials are locked before accounts.
        if let Some(at) = health.last_success_at.filter(|_| health.failure.is_none()) {
            note_accepted(&mut tx, lease, at).await?;
        }
        // The success is a fact whatever was changed meanwhile; the same statement finds out whether the lease still holds.
        let ended = sqlx::query!(
            "UPDATE accounts
             SET last_success_at = $1, lease_owner = CASE WHEN $2 THEN lease_owner END,
                 lease_until = CASE WHEN $2 THEN lease_until END,
                 is_late = is_late AND CAST($3 AS BIGINT) IS NULL,
                 late_at = CASE WHEN enabled AND automatic_check AND deleted_at IS NULL THEN COALESCE($3, late_at) END,
                 health_rank = CASE WHEN failure_kind IS NULL AND CAST($3 AS BIGINT) IS NOT NULL THEN 0
                     ELSE health_rank END
             WHERE id = $4 AND fence = $5 AND lease_owner IS NOT NULL
             RETURNING tls_mark",
            health.last_success_at.map(|it| it.0),
            keeps_lease,
            late_at.map(|it| it.0),
            lease.account_id.0,
            lease.fence
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        let Some(ended) = ended else { return Err(StoreError::Fenced) };
        posture::record_tls(&mut tx, lease, finished, ended.tls_mark).await?;
        end_run(&mut tx, finished).await?;
        let failure = health.failure.as_ref();
        sqlx::query!(
            "UPDATE accounts
             SET next_check_at = CASE WHEN enabled AND automatic_check AND deleted_at IS NULL THEN CAST($1 AS BIGINT) END,
                 failure_kind = $2, failure_message = $3, failure_since = $4, n_failures = $5, is_stopped = $6,
                 stopped_by = NULL,
                 health_rank = CASE WHEN CAST($2 AS TEXT) IS NULL AND is_late THEN 2 ELSE CAST($7 AS BIGINT) END,
                 mailbox_messages = $8, mailbox_uid_validity = $9, mailbox_uid_next = $10
             WHERE id = $11 AND setup = $12",
            health.next_check_at.map(|it| it.0),
            failure.map(|it| it.kind.as_str()),
            failure.map(|it| clean(&it.message)),
            failure.map(|it| it.since.0),
            failure.map_or(0, |it| i64::from(it.n_failures)),
            failure.is_some_and(|it| it.is_stopped),
            health.state() as i64,
            mailbox.map(|it| i64::try_from(it.n_messages).unwrap_or(i64::MAX)),
            mailbox.and_then(|it| it.uid_validity).map(i64::from),
            mailbox.and_then(|it| it.uid_next).map(i64::from),
            lease.account_id.0,
            lease.setup
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if shares {
            share(&mut tx, lease, finished).await?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn give_back(&self, lease: Lease, due_at: Option<Timestamp>) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
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
            r#"SELECT id, account_id, due_at, started_at, finished_at, outcome, new_messages, deleted_messages, stages,
                 error_kind, error_message,
                 EXISTS (SELECT 1 FROM transcripts WHERE run_id = check_runs.id) AS "has_transcript!: bool"
             FROM check_runs WHERE account_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3"#,
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
            r#"SELECT id, account_id, due_at, started_at, finished_at, outcome, new_messages, deleted_messages, stages,
                 error_kind, error_message,
                 EXISTS (SELECT 1 FROM transcripts WHERE run_id = check_runs.id) AS "has_transcript!: bool"
             FROM check_runs WHERE id = $1"#,
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(CheckRun::try_from).transpose()
    }

    async fn run_transcript(&self, id: CheckRunId) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar!("SELECT text FROM transcripts WHERE run_id = $1", id.0)
            .fetch_optional(self.reader())
            .await
            .map_err(backend)
    }

    async fn purge_runs(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.begin_light().await?;
        let removed = sqlx::query!(
            "DELETE FROM check_runs WHERE id IN (SELECT id FROM check_runs WHERE finished_at < $1 LIMIT $2)",
            before.0,
            i64::from(limit)
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(removed.rows_affected())
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

async fn end_run(tx: &mut Tx, Finished { run, transcript, .. }: &Finished) -> Result<(), StoreError> {
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
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    let Some(text) = transcript else { return Ok(()) };
    sqlx::query!(
        "INSERT INTO transcripts (run_id, text) VALUES ($1, $2) ON CONFLICT (run_id) DO UPDATE SET text = excluded.text",
        run.id.0,
        clean(text)
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

/// Whether the end of the check matters to other accounts with the same credential. Then the credential is locked before any
/// account is: connectors, credentials, accounts, always in this order.
async fn shares(tx: &mut Tx, lease: Lease, finished: &Finished) -> Result<bool, StoreError> {
    let failure = finished.health.failure.as_ref();
    let account = lease.account_id.0;
    let shares = if failure.is_some() {
        failure.is_some_and(|it| it.is_stopped) || finished.spare_siblings_until.is_some()
    } else {
        sqlx::query_scalar!(
            "SELECT id FROM accounts
             WHERE credential_id = (SELECT credential_id FROM accounts WHERE id = $1) AND stopped_by IS NOT NULL LIMIT 1",
            account
        )
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?
        .is_some()
    };
    if shares {
        sqlx::query!(
            "SELECT id FROM credentials WHERE id = (SELECT credential_id FROM accounts WHERE id = $1)",
            account
        )
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    }
    Ok(shares)
}

/// That a server took the credential, now and then: see [`ACCEPTED_EVERY`].
async fn note_accepted(tx: &mut Tx, lease: Lease, at: Timestamp) -> Result<(), StoreError> {
    let before = at.minus(ACCEPTED_EVERY).0;
    sqlx::query!(
        "UPDATE credentials SET last_accepted_at = $1
         WHERE id = (SELECT credential_id FROM accounts WHERE id = $2 AND setup = $3)
             AND (last_accepted_at IS NULL OR last_accepted_at <= $4)",
        at.0,
        lease.account_id.0,
        lease.setup,
        before
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

/// What a refused credential, or one that works again, means for the other accounts that use it: nobody tries it on and on
/// through another account.
async fn share(tx: &mut Tx, lease: Lease, finished: &Finished) -> Result<(), StoreError> {
    let account = lease.account_id.0;
    match &finished.health.failure {
        Some(failure) if failure.is_stopped => {
            sqlx::query!(
                "UPDATE accounts
                 SET is_stopped = TRUE, stopped_by = $1, next_check_at = NULL, failure_kind = $2, failure_message = $3,
                     failure_since = $4, n_failures = 0, health_rank = 4
                 WHERE id <> $1 AND NOT is_stopped AND deleted_at IS NULL
                     AND credential_id = (SELECT credential_id FROM accounts WHERE id = $1 AND setup = $5)",
                account,
                failure.kind.as_str(),
                clean(&failure.message),
                finished.run.finished_at.map(|it| it.0),
                lease.setup
            )
            .execute(&mut **tx)
            .await
            .map_err(backend)?;
        }
        Some(_) => {
            sqlx::query!(
                "UPDATE accounts SET next_check_at = $2
                 WHERE id <> $1 AND next_check_at < $2 AND deleted_at IS NULL
                     AND credential_id = (SELECT credential_id FROM accounts WHERE id = $1 AND setup = $3)",
                account,
                finished.spare_siblings_until.map(|it| it.0),
                lease.setup
            )
            .execute(&mut **tx)
            .await
            .map_err(backend)?;
        }
        None => {
            sqlx::query!(
                "UPDATE accounts
                 SET is_stopped = FALSE, stopped_by = NULL, failure_kind = NULL, failure_message = NULL,
                     failure_since = NULL, n_failures = 0,
                     health_rank = CASE WHEN last_success_at IS NULL THEN 1 WHEN is_late THEN 2 ELSE 0 END,
                     next_check_at = CASE WHEN enabled AND automatic_check AND deleted_at IS NULL THEN CAST($2 AS BIGINT) END
                 WHERE stopped_by IS NOT NULL AND credential_id = (SELECT credential_id FROM accounts WHERE id = $1)",
                account,
                finished.run.finished_at.map(|it| it.0)
            )
            .execute(&mut **tx)
            .await
            .map_err(backend)?;
        }
    }
    Ok(())
}

fn to_json(stages: &[StageRecord]) -> Result<String, StoreError> {
    serde_json::to_string(stages).map_err(|it| StoreError::Backend(Box::new(it)))
}
