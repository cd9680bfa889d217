//! Agents and the codes that enrol them, on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    agent::{Agent, AgentDraft},
    audit::AuditEntry,
    ids::{AgentId, ConnectorId},
    time::Timestamp,
};
use service::ports::{AgentStore, StoreError};

use crate::{PostgresStore, Tx, audit, error::backend};

/// That an agent is there is written no more often.
const SEEN_EVERY: Duration = Duration::from_mins(1);

struct Record {
    id: i64,
    version: i64,
    connector_id: i64,
    name: String,
    fingerprint: String,
    program_version: String,
    enrolled_at: i64,
    approved_at: Option<i64>,
    last_seen_at: Option<i64>,
}

impl From<Record> for Agent {
    fn from(record: Record) -> Self {
        Self {
            id: AgentId(record.id),
            version: record.version,
            connector_id: ConnectorId(record.connector_id),
            draft: AgentDraft {
                name: record.name,
                fingerprint: record.fingerprint,
                program_version: record.program_version,
            },
            enrolled_at: Timestamp(record.enrolled_at),
            approved_at: record.approved_at.map(Timestamp),
            last_seen_at: record.last_seen_at.map(Timestamp),
        }
    }
}

#[async_trait]
impl AgentStore for PostgresStore {
    async fn list_agents(&self, connector: ConnectorId) -> Result<Vec<Agent>, StoreError> {
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, connector_id, name, fingerprint, program_version, enrolled_at, approved_at,
                 last_seen_at
             FROM agents
             WHERE connector_id = $1
             ORDER BY id"#,
            connector.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(records.into_iter().map(Agent::from).collect())
    }

    async fn find_agent(&self, id: AgentId) -> Result<Option<Agent>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, connector_id, name, fingerprint, program_version, enrolled_at, approved_at,
                 last_seen_at
             FROM agents
             WHERE id = $1"#,
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(record.map(Agent::from))
    }

    async fn find_agent_by_key(&self, fingerprint: &str) -> Result<Option<Agent>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, connector_id, name, fingerprint, program_version, enrolled_at, approved_at,
                 last_seen_at
             FROM agents
             WHERE fingerprint = $1"#,
            fingerprint
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(record.map(Agent::from))
    }

    async fn add_agent_code(
        &self,
        connector: ConnectorId,
        hash: &str,
        expires_at: Timestamp,
        now: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!("DELETE FROM agent_codes WHERE expires_at <= $1", now.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        sqlx::query!(
            "INSERT INTO agent_codes (hash, connector_id, expires_at) VALUES ($1, $2, $3)",
            hash,
            connector.0,
            expires_at.0
        )
        .execute(&mut *tx)
        .await
        .map_err(gone)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn agent_code(&self, hash: &str, now: Timestamp) -> Result<Option<ConnectorId>, StoreError> {
        let found = sqlx::query_scalar!(
            "SELECT connector_id FROM agent_codes WHERE hash = $1 AND expires_at > $2",
            hash,
            now.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(found.map(ConnectorId))
    }

    async fn enroll_agent(
        &self,
        hash: &str,
        draft: &AgentDraft,
        now: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<AgentId, StoreError> {
        let mut tx = self.begin().await?;
        let connector = sqlx::query_scalar!(
            "DELETE FROM agent_codes WHERE hash = $1 AND expires_at > $2 RETURNING connector_id",
            hash,
            now.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?
        .ok_or(StoreError::NotFound)?;
        let id = sqlx::query_scalar!(
            r#"INSERT INTO agents (version, connector_id, name, fingerprint, program_version, enrolled_at, last_seen_at)
             VALUES (1, $1, $2, $3, $4, $5, $5)
             RETURNING id AS "id!""#,
            connector,
            draft.name,
            draft.fingerprint,
            draft.program_version,
            now.0
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(AgentId(id))
    }

    async fn approve_agent(
        &self,
        id: AgentId,
        version: i64,
        now: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("UPDATE agents SET version = version + 1, approved_at = $1 WHERE id = $2", now.0, id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn remove_agent(&self, id: AgentId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("DELETE FROM agents WHERE id = $1", id.0).execute(&mut *tx).await.map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn touch_agent(&self, id: AgentId, program_version: &str, now: Timestamp) -> Result<(), StoreError> {
        // Mostly there is nothing to write: it looks before it waits for its turn.
        let before = now.minus(SEEN_EVERY).0;
        let is_due = sqlx::query_scalar!(
            "SELECT id FROM agents
             WHERE id = $1 AND (last_seen_at IS NULL OR last_seen_at <= $2 OR program_version <> $3)",
            id.0,
            before,
            program_version
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        if is_due.is_none() {
            return Ok(());
        }
        let mut tx = self.begin_light().await?;
        sqlx::query!(
            "UPDATE agents SET last_seen_at = $1, program_version = $2 WHERE id = $3",
            now.0,
            program_version,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn touch_tunnel(
        &self,
        id: AgentId,
        instance: &str,
        now: Timestamp,
        gone_before: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        sqlx::query!("DELETE FROM agent_tunnels WHERE seen_at < $1", gone_before.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        sqlx::query!(
            "INSERT INTO agent_tunnels (agent_id, instance, seen_at) VALUES ($1, $2, $3)
             ON CONFLICT (agent_id, instance) DO UPDATE SET seen_at = excluded.seen_at",
            id.0,
            instance,
            now.0
        )
        .execute(&mut *tx)
        .await
        .map_err(gone)?;
        tx.commit().await.map_err(backend)
    }

    async fn end_tunnel(&self, id: AgentId, instance: &str) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        sqlx::query!("DELETE FROM agent_tunnels WHERE agent_id = $1 AND instance = $2", id.0, instance)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn connectors_elsewhere(&self, instance: &str, since: Timestamp) -> Result<Vec<ConnectorId>, StoreError> {
        let found = sqlx::query_scalar!(
            "SELECT DISTINCT connector_id FROM agents JOIN agent_tunnels ON agent_id = id
             WHERE instance <> $1 AND seen_at >= $2",
            instance,
            since.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(found.into_iter().map(ConnectorId).collect())
    }
}

fn gone(error: sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) {
        StoreError::NotFound
    } else {
        backend(error)
    }
}

async fn check_version(tx: &mut Tx, id: AgentId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT version FROM agents WHERE id = $1 FOR NO KEY UPDATE", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}
