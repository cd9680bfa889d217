//! The watch over the checks on PostgreSQL: who is late, what ails many, which instances live, who was told.

use async_trait::async_trait;
use domain::{
    ids::{AccountId, ConnectorId, CredentialId, IncidentId},
    incident::{Ailing, Cause, Incident, Instance, Role, Running},
    time::Timestamp,
};
use service::ports::{StoreError, Tally, WatchStore};

use crate::{
    PostgresStore,
    error::backend,
    record::{clean, count, failure_kind},
    seals::sealing_key,
};

struct AilingRecord {
    failure_kind: Option<String>,
    address: String,
    connector_id: Option<i64>,
    connector_name: Option<String>,
    credential_id: i64,
    credential_name: String,
    n_accounts: i64,
    n_late: i64,
    n_stopped: i64,
    since: Option<i64>,
    example: i64,
    example_name: String,
    message: Option<String>,
}

impl TryFrom<AilingRecord> for Ailing {
    type Error = StoreError;

    fn try_from(record: AilingRecord) -> Result<Self, StoreError> {
        Ok(Self {
            kind: record.failure_kind.as_deref().map(|it| failure_kind(it, record.example)).transpose()?,
            address: record.address,
            connector: record.connector_id.map(ConnectorId).zip(record.connector_name),
            credential: (CredentialId(record.credential_id), record.credential_name),
            n_accounts: count(record.n_accounts),
            n_late: count(record.n_late),
            n_stopped: count(record.n_stopped),
            since: Timestamp(record.since.unwrap_or_default()),
            example: AccountId(record.example),
            example_name: record.example_name,
            message: record.message.unwrap_or_default(),
        })
    }
}

struct IncidentRecord {
    id: i64,
    cause: String,
    opened_at: i64,
    noticed_at: Option<i64>,
    over_at: Option<i64>,
    detail: String,
}

impl TryFrom<IncidentRecord> for Incident {
    type Error = StoreError;

    fn try_from(record: IncidentRecord) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Corrupt { table: "incidents", column: "cause", row: record.id };
        Ok(Self {
            id: IncidentId(record.id),
            cause: serde_json::from_str(&record.cause).map_err(corrupt)?,
            opened_at: Timestamp(record.opened_at),
            noticed_at: record.noticed_at.map(Timestamp),
            over_at: record.over_at.map(Timestamp),
            detail: record.detail,
        })
    }
}

#[async_trait]
impl WatchStore for PostgresStore {
    async fn mark_late(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin_light().await?;
        // One that is just written is looked at again in a moment.
        let marked = sqlx::query!(
            "UPDATE accounts SET is_late = TRUE, health_rank = CASE WHEN health_rank < 2 THEN 2 ELSE health_rank END
             WHERE id IN (
                 SELECT id FROM accounts
                 WHERE late_at IS NOT NULL AND NOT is_late AND late_at <= $1 AND deleted_at IS NULL
                 FOR NO KEY UPDATE SKIP LOCKED)",
            now.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(marked.rows_affected())
    }

    async fn tally(&self, now: Timestamp) -> Result<Tally, StoreError> {
        let found = sqlx::query!(
            r#"SELECT COUNT(*) FILTER (WHERE enabled AND automatic_check) AS "n_automatic!",
                 COUNT(*) FILTER (WHERE enabled AND automatic_check AND NOT is_stopped AND next_check_at <= $1
                     AND lease_owner IS NULL) AS "n_due!",
                 COUNT(*) FILTER (WHERE is_late) AS "n_late!",
                 COUNT(*) FILTER (WHERE failure_kind IS NOT NULL AND NOT is_stopped) AS "n_failing!",
                 COUNT(*) FILTER (WHERE is_stopped) AS "n_stopped!",
                 (SELECT COUNT(*) FROM check_runs WHERE finished_at IS NULL) AS "n_running!",
                 (SELECT COUNT(*) FROM remotes WHERE state = 'quarantined' AND missing_at IS NULL) AS "n_quarantined!"
             FROM accounts WHERE deleted_at IS NULL"#,
            now.0
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        Ok(Tally {
            n_automatic: count(found.n_automatic),
            n_running: count(found.n_running),
            n_due: count(found.n_due),
            n_late: count(found.n_late),
            n_failing: count(found.n_failing),
            n_stopped: count(found.n_stopped),
            n_quarantined: count(found.n_quarantined),
        })
    }

    async fn list_running(&self, limit: u32) -> Result<Vec<Running>, StoreError> {
        let rows = sqlx::query!(
            "SELECT accounts.id, accounts.name, check_runs.started_at
             FROM check_runs JOIN accounts ON accounts.id = check_runs.account_id
             WHERE check_runs.finished_at IS NULL
             ORDER BY check_runs.started_at, check_runs.id
             LIMIT $1",
            i64::from(limit)
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let running = |id, account_name, started_at| Running {
            account_id: AccountId(id),
            account_name,
            started_at: Timestamp(started_at),
        };
        Ok(rows.into_iter().map(|it| running(it.id, it.name, it.started_at)).collect())
    }

    async fn ailing(&self) -> Result<Vec<Ailing>, StoreError> {
        let records = sqlx::query_as!(
            AilingRecord,
            r#"SELECT ailing.failure_kind AS "failure_kind?", ailing.address AS "address!",
                 ailing.connector_id AS "connector_id?", connectors.name AS "connector_name?",
                 ailing.credential_id AS "credential_id!", credentials.name AS "credential_name!",
                 ailing.n_accounts AS "n_accounts!: i64", ailing.n_late AS "n_late!: i64",
                 ailing.n_stopped AS "n_stopped!: i64", ailing.since AS "since?: i64", ailing.example AS "example!: i64",
                 examples.name AS "example_name!", examples.failure_message AS "message?"
             FROM (
                 SELECT failure_kind, address, connector_id, credential_id, COUNT(*) AS n_accounts,
                     COUNT(*) FILTER (WHERE is_late) AS n_late, COUNT(*) FILTER (WHERE is_stopped) AS n_stopped,
                     MIN(COALESCE(failure_since, late_at)) AS since, MIN(id) AS example
                 FROM accounts
                 WHERE deleted_at IS NULL AND enabled AND (failure_kind IS NOT NULL OR is_late)
                 GROUP BY failure_kind, address, connector_id, credential_id) AS ailing
             JOIN credentials ON credentials.id = ailing.credential_id
             JOIN accounts AS examples ON examples.id = ailing.example
             LEFT JOIN connectors ON connectors.id = ailing.connector_id"#
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(Ailing::try_from).collect()
    }

    async fn touch_instance(
        &self,
        id: &str,
        role: Role,
        host: &str,
        key_ids: &str,
        now: Timestamp,
        gone_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        // A change of the key under way ends first: whoever is not seen by it sees it.
        sealing_key(&mut tx).await?;
        sqlx::query!(
            "INSERT INTO instances (id, role, host, started_at, seen_at, key_ids) VALUES ($1, $2, $3, $4, $4, $5)
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, key_ids = excluded.key_ids",
            id,
            role.as_str(),
            host,
            now.0,
            key_ids
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!("DELETE FROM instances WHERE seen_at < $1", gone_before.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn remove_instance(&self, id: &str) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        sqlx::query!("DELETE FROM instances WHERE id = $1", id).execute(&mut *tx).await.map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn list_instances(&self) -> Result<Vec<Instance>, StoreError> {
        let rows = sqlx::query!("SELECT id, role, host, started_at, seen_at FROM instances ORDER BY started_at, id")
            .fetch_all(self.reader())
            .await
            .map_err(backend)?;
        rows.into_iter()
            .map(|it| {
                let corrupt = StoreError::Corrupt { table: "instances", column: "role", row: 0 };
                Ok(Instance {
                    id: it.id,
                    role: Role::parse(&it.role).ok_or(corrupt)?,
                    host: it.host,
                    started_at: Timestamp(it.started_at),
                    seen_at: Timestamp(it.seen_at),
                })
            })
            .collect()
    }

    async fn update_incidents(&self, causes: &[Cause], now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        for cause in causes {
            let text = serde_json::to_string(cause).map_err(|it| StoreError::Backend(Box::new(it)))?;
            sqlx::query!(
                "INSERT INTO incidents (cause_key, cause, opened_at) VALUES ($1, $2, $3)
                 ON CONFLICT (cause_key) WHERE over_at IS NULL DO UPDATE SET cause = excluded.cause",
                cause.key(),
                clean(&text),
                now.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        let keys: Vec<String> = causes.iter().map(Cause::key).collect();
        sqlx::query!(
            "UPDATE incidents SET over_at = $1
             WHERE over_at IS NULL AND cause_key <> ALL($2)",
            now.0,
            &keys
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn take_untold(&self, opened_before: Timestamp, now: Timestamp) -> Result<Option<Incident>, StoreError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query_as!(
            IncidentRecord,
            "SELECT id, cause, opened_at, noticed_at, over_at, detail FROM incidents
             WHERE (noticed_at IS NULL AND over_at IS NULL AND opened_at <= $1)
                 OR (noticed_at IS NOT NULL AND over_at IS NOT NULL AND over_noticed_at IS NULL)
             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
            opened_before.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        let Some(record) = found else { return Ok(None) };
        sqlx::query!(
            "UPDATE incidents
             SET noticed_at = COALESCE(noticed_at, $1), over_noticed_at = CASE WHEN over_at IS NULL THEN NULL ELSE CAST($1 AS BIGINT) END
             WHERE id = $2",
            now.0,
            record.id
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Incident::try_from(record).map(Some)
    }

    async fn record_told(&self, id: IncidentId, detail: &str) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        sqlx::query!("UPDATE incidents SET detail = $1 WHERE id = $2", clean(detail), id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn list_incidents(&self, limit: u32) -> Result<Vec<Incident>, StoreError> {
        let records = sqlx::query_as!(
            IncidentRecord,
            "SELECT id, cause, opened_at, noticed_at, over_at, detail FROM incidents
             ORDER BY over_at IS NOT NULL, COALESCE(over_at, opened_at) DESC, id DESC
             LIMIT $1",
            i64::from(limit)
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(Incident::try_from).collect()
    }
}
