//! Network connectors on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    account::{Address, Choice, UsedBy},
    audit::AuditEntry,
    connector::{Connector, ConnectorDraft, ConnectorKind, Contact, HostKey},
    ids::{ConnectorId, CredentialId},
    page::{Page, PageRequest},
    text::fold,
    time::Timestamp,
};
use service::ports::{ConnectorStore, StoreError};

use crate::{
    PostgresStore, Tx, audit,
    error::{backend, in_use, taken},
    record::{count, pattern, user},
};

struct Record {
    id: i64,
    version: i64,
    name: String,
    kind: String,
    address: String,
    port: i64,
    credential_id: Option<i64>,
    host_key: Option<String>,
    last_ok_at: Option<i64>,
    last_error_at: Option<i64>,
    last_error: Option<String>,
    n_uses: i64,
}

/// How a connector did is written no more often.
const CONTACT_EVERY: Duration = Duration::from_mins(1);

impl TryFrom<Record> for Connector {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "connectors", column, row: record.id };
        Ok(Self {
            id: ConnectorId(record.id),
            version: record.version,
            n_uses: count(record.n_uses),
            host_key: record.host_key.map(|it| HostKey::parse(&it).map_err(|_| corrupt("host_key"))).transpose()?,
            contact: Contact {
                last_ok_at: record.last_ok_at.map(Timestamp),
                last_error_at: record.last_error_at.map(Timestamp),
                last_error: record.last_error,
            },
            draft: ConnectorDraft {
                kind: ConnectorKind::parse(&record.kind).ok_or_else(|| corrupt("kind"))?,
                port: u16::try_from(record.port).map_err(|_| corrupt("port"))?,
                name: record.name,
                address: Address::from_stored(record.address),
                credential_id: record.credential_id.map(CredentialId),
            },
        })
    }
}

#[async_trait]
impl ConnectorStore for PostgresStore {
    async fn list_connectors(&self, search: &str, page: PageRequest) -> Result<Page<Connector>, StoreError> {
        let wanted = pattern(search);
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM connectors WHERE search_folded LIKE $1 ESCAPE '\'"#,
            wanted
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, name, kind, address, port, credential_id, host_key, last_ok_at,
                 last_error_at, last_error,
                 (SELECT COUNT(*) FROM accounts WHERE connector_id = connectors.id)
                 + (SELECT COUNT(*) FROM smtp_accounts WHERE connector_id = connectors.id) AS "n_uses!: i64"
             FROM connectors
             WHERE search_folded LIKE $1 ESCAPE '\'
             ORDER BY name_folded LIMIT $2 OFFSET $3"#,
            wanted,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let connectors = records.into_iter().map(Connector::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(connectors, count(total), page))
    }

    async fn connector_choices(&self) -> Result<Vec<Choice>, StoreError> {
        let rows = sqlx::query!("SELECT id, name, address FROM connectors ORDER BY name_folded")
            .fetch_all(self.reader())
            .await
            .map_err(backend)?;
        let choice = |(id, name, address): (i64, String, String)| {
            // Only agents have no address.
            let hint = if address.is_empty() { ConnectorKind::Agent.label().to_owned() } else { address };
            Choice { id, name, hint }
        };
        Ok(rows.into_iter().map(|it| choice((it.id, it.name, it.address))).collect())
    }

    async fn find_connector(&self, id: ConnectorId) -> Result<Option<Connector>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, name, kind, address, port, credential_id, host_key, last_ok_at,
                 last_error_at, last_error,
                 (SELECT COUNT(*) FROM accounts WHERE connector_id = connectors.id)
                 + (SELECT COUNT(*) FROM smtp_accounts WHERE connector_id = connectors.id) AS "n_uses!: i64"
             FROM connectors
             WHERE id = $1"#,
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(Connector::try_from).transpose()
    }

    async fn add_connector(&self, draft: &ConnectorDraft, audit: &[AuditEntry]) -> Result<ConnectorId, StoreError> {
        let mut tx = self.begin().await?;
        check_credential(&mut tx, draft).await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO connectors (version, name, name_folded, search_folded, kind, address, port, credential_id)
             VALUES (1, $1, $2, $3, $4, $5, $6, $7)
             RETURNING id",
            draft.name,
            fold(&draft.name),
            searched(draft),
            draft.kind.as_str(),
            draft.address.as_str(),
            i64::from(draft.port),
            draft.credential_id.map(|it| it.0)
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(ConnectorId(id))
    }

    async fn change_connector(
        &self,
        id: ConnectorId,
        version: i64,
        draft: &ConnectorDraft,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        check_credential(&mut tx, draft).await?;
        let moved = sqlx::query_scalar!(
            "SELECT id FROM connectors WHERE id = $1 AND (kind <> $2 OR address <> $3 OR port <> $4)",
            id.0,
            draft.kind.as_str(),
            draft.address.as_str(),
            i64::from(draft.port)
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "UPDATE connectors
             SET version = version + 1, name = $1, name_folded = $2, search_folded = $3, kind = $4, address = $5,
                 port = $6, credential_id = $7
             WHERE id = $8",
            draft.name,
            fold(&draft.name),
            searched(draft),
            draft.kind.as_str(),
            draft.address.as_str(),
            i64::from(draft.port),
            draft.credential_id.map(|it| it.0),
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        if moved.is_some() {
            sqlx::query!(
                "UPDATE connectors SET host_key = NULL, last_ok_at = NULL, last_error_at = NULL, last_error = NULL WHERE id = $1",
                id.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        sqlx::query!("UPDATE accounts SET setup = setup + 1 WHERE id IN (SELECT id FROM accounts WHERE connector_id = $1 ORDER BY id FOR NO KEY UPDATE)", id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn approve_host_key(
        &self,
        id: ConnectorId,
        version: i64,
        host_key: &HostKey,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!(
            "UPDATE connectors SET version = version + 1, host_key = $1 WHERE id = $2",
            host_key.as_str(),
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn record_contact(&self, id: ConnectorId, at: Timestamp, error: Option<&str>) -> Result<(), StoreError> {
        // Most visits have nothing to write: they look before they wait for their turn.
        let (at, before) = (at.0, at.minus(CONTACT_EVERY).0);
        let last = sqlx::query!("SELECT last_ok_at, last_error_at FROM connectors WHERE id = $1", id.0)
            .fetch_optional(self.reader())
            .await
            .map_err(backend)?;
        let last = last.and_then(|it| if error.is_none() { it.last_ok_at } else { it.last_error_at });
        if last.is_some_and(|it| it > before) {
            return Ok(());
        }
        let mut tx = self.begin_light().await?;
        let written =
            match error {
                None => sqlx::query!(
                    "UPDATE connectors SET last_ok_at = $1 WHERE id = $2 AND (last_ok_at IS NULL OR last_ok_at <= $3)",
                    at,
                    id.0,
                    before
                )
                .execute(&mut *tx)
                .await,
                Some(error) => {
                    sqlx::query!(
                        "UPDATE connectors SET last_error_at = $1, last_error = $2
                     WHERE id = $3 AND (last_error_at IS NULL OR last_error_at <= $4)",
                        at,
                        error,
                        id.0,
                        before
                    )
                    .execute(&mut *tx)
                    .await
                }
            };
        if written.map_err(backend)?.rows_affected() > 0 && error.is_none() {
            sqlx::query!(
                "UPDATE credentials SET last_accepted_at = $1
                 WHERE id = (SELECT credential_id FROM connectors WHERE id = $2)
                     AND (last_accepted_at IS NULL OR last_accepted_at < $1)",
                at,
                id.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn remove_connector(&self, id: ConnectorId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("DELETE FROM connectors WHERE id = $1", id.0).execute(&mut *tx).await.map_err(in_use)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn connector_used_by(&self, id: ConnectorId) -> Result<UsedBy, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT kind AS "kind!: String", id AS "id!: i64", name AS "name!: String" FROM (
                 SELECT 'account' AS kind, id, name, name_folded FROM accounts WHERE connector_id = $1
                 UNION ALL
                 SELECT 'smtp', id, name, name_folded FROM smtp_accounts WHERE connector_id = $1) AS users
             ORDER BY name_folded LIMIT 100"#,
            id.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(rows.into_iter().map(|it| (user(&it.kind, it.id), it.name)).collect())
    }
}

fn searched(draft: &ConnectorDraft) -> String {
    fold(&format!("{} {}", draft.name, draft.address))
}

async fn check_version(tx: &mut Tx, id: ConnectorId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT version FROM connectors WHERE id = $1 FOR NO KEY UPDATE", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}

async fn check_credential(tx: &mut Tx, draft: &ConnectorDraft) -> Result<(), StoreError> {
    let Some(CredentialId(id)) = draft.credential_id else { return Ok(()) };
    let found = sqlx::query_scalar!("SELECT id FROM credentials WHERE id = $1 FOR SHARE", id)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    if found.is_none() { Err(StoreError::Gone { field: "credential_id" }) } else { Ok(()) }
}
