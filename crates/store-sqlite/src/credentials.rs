//! Credentials on SQLite. Secrets are sealed before they come here.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    account::{Choice, UsedBy},
    audit::AuditEntry,
    credential::{Credential, CredentialDraft, TokensLast},
    ids::CredentialId,
    oauth::TokenState,
    page::{Page, PageRequest},
    text::fold,
    time::{Day, Timestamp},
};
use service::ports::{CredentialStore, SealedCredential, SealedSecret, StoreError};

use crate::{
    SqliteStore, Tx, audit,
    error::{backend, in_use, taken},
    oauth,
    record::{count, pattern, user},
    seals::check_key,
};

/// That a server took a credential is written once in this time: a row that many share is not fought over.
pub(crate) const ACCEPTED_EVERY: Duration = Duration::from_mins(1);

struct Record {
    id: i64,
    version: i64,
    name: String,
    username: String,
    secret_set_at: i64,
    secret_set_by: String,
    last_accepted_at: Option<i64>,
    secret_ends_on: Option<i64>,
    /// Of OAuth 2.0 tokens, as the next two.
    state: Option<String>,
    expires_at: Option<i64>,
    consent_ends_at: Option<i64>,
    n_uses: i64,
}

impl TryFrom<Record> for Credential {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = StoreError::Corrupt { table: "oauth", column: "state", row: record.id };
        let state = record.state.map(|it| TokenState::parse(&it).ok_or(corrupt)).transpose()?;
        Ok(Self {
            id: CredentialId(record.id),
            version: record.version,
            name: record.name,
            username: record.username,
            secret_set_at: Timestamp(record.secret_set_at),
            secret_set_by: record.secret_set_by,
            is_oauth: state.is_some(),
            last_accepted_at: record.last_accepted_at.map(Timestamp),
            secret_ends_on: record.secret_ends_on.map(Day),
            tokens: state.map(|state| TokensLast {
                state,
                expires_at: record.expires_at.map(Timestamp),
                consent_ends_at: record.consent_ends_at.map(Timestamp),
            }),
            n_uses: count(record.n_uses),
        })
    }
}

#[async_trait]
impl CredentialStore for SqliteStore {
    async fn list_credentials(&self, search: &str, page: PageRequest) -> Result<Page<Credential>, StoreError> {
        let wanted = pattern(search);
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM credentials WHERE search_folded LIKE $1 ESCAPE '\'"#,
            wanted
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, name, username, secret_set_at, secret_set_by, last_accepted_at,
                 secret_ends_on, oauth.state AS "state?", oauth.expires_at, oauth.consent_ends_at,
                 (SELECT COUNT(*) FROM accounts WHERE credential_id = credentials.id)
                 + (SELECT COUNT(*) FROM connectors WHERE credential_id = credentials.id)
                 + (SELECT COUNT(*) FROM smtp_accounts WHERE credential_id = credentials.id) AS "n_uses!: i64"
             FROM credentials LEFT JOIN oauth ON oauth.credential_id = credentials.id
             WHERE search_folded LIKE $1 ESCAPE '\'
             ORDER BY name_folded LIMIT $2 OFFSET $3"#,
            wanted,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let items = records.into_iter().map(Credential::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(items, count(total), page))
    }

    async fn credential_choices(&self) -> Result<Vec<Choice>, StoreError> {
        let rows = sqlx::query!("SELECT id, name, username FROM credentials ORDER BY name_folded")
            .fetch_all(self.reader())
            .await
            .map_err(backend)?;
        Ok(rows.into_iter().map(|it| Choice { id: it.id, name: it.name, hint: it.username }).collect())
    }

    async fn find_credential(&self, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, name, username, secret_set_at, secret_set_by, last_accepted_at,
                 secret_ends_on, oauth.state AS "state?", oauth.expires_at, oauth.consent_ends_at,
                 (SELECT COUNT(*) FROM accounts WHERE credential_id = credentials.id)
                 + (SELECT COUNT(*) FROM connectors WHERE credential_id = credentials.id)
                 + (SELECT COUNT(*) FROM smtp_accounts WHERE credential_id = credentials.id) AS "n_uses!: i64"
             FROM credentials LEFT JOIN oauth ON oauth.credential_id = credentials.id
             WHERE id = $1"#,
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(Credential::try_from).transpose()
    }

    async fn sealed_credential(&self, id: CredentialId) -> Result<Option<SealedCredential>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT username, sealed,
                 EXISTS (SELECT 1 FROM oauth WHERE credential_id = credentials.id) AS "is_oauth!: bool"
             FROM credentials WHERE id = $1"#,
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(row.map(|it| SealedCredential {
            username: it.username,
            secret: SealedSecret(it.sealed),
            is_oauth: it.is_oauth,
        }))
    }

    async fn next_credential_id(&self) -> Result<CredentialId, StoreError> {
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar!("INSERT INTO credential_ids (drawn) VALUES (1) RETURNING id")
            .fetch_one(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(CredentialId(id))
    }

    async fn add_credential(
        &self,
        id: CredentialId,
        draft: &CredentialDraft,
        secret: &SealedSecret,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let (at, by) = set_by(audit);
        let mut tx = self.begin().await?;
        check_key(&mut tx, secret).await?;
        sqlx::query!(
            "INSERT INTO credentials (id, version, name, name_folded, search_folded, username, sealed, secret_set_at,
                 secret_set_by, secret_ends_on)
             VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9)",
            id.0,
            draft.name,
            fold(&draft.name),
            searched(draft),
            draft.username,
            secret.0,
            at,
            by,
            draft.secret_ends_on.map(|it| it.0)
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        oauth::write(&mut tx, id, draft.oauth.as_ref()).await?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn change_credential(
        &self,
        id: CredentialId,
        version: i64,
        draft: &CredentialDraft,
        secret: Option<&SealedSecret>,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(secret) = secret {
            check_key(&mut tx, secret).await?;
        }
        check_version(&mut tx, id, version).await?;
        // Another user name is another mailbox, whose names of messages mean nothing in the present one.
        sqlx::query!(
            "UPDATE accounts
             SET setup = setup + 1,
                 epoch = epoch + (
                     SELECT CASE WHEN username = $1 OR accounts.credential_id <> $2 THEN 0 ELSE 1 END
                     FROM credentials WHERE id = $2),
                 mailbox_messages = NULL
             WHERE credential_id = $2 OR connector_id IN (SELECT id FROM connectors WHERE credential_id = $2)",
            draft.username,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "UPDATE credentials
             SET version = version + 1, name = $1, name_folded = $2, search_folded = $3, username = $4,
                 secret_ends_on = $5
             WHERE id = $6",
            draft.name,
            fold(&draft.name),
            searched(draft),
            draft.username,
            draft.secret_ends_on.map(|it| it.0),
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        oauth::write(&mut tx, id, draft.oauth.as_ref()).await?;
        if let Some(secret) = secret {
            // A new password was accepted by nobody yet.
            let (at, by) = set_by(audit);
            sqlx::query!(
                "UPDATE credentials
                 SET sealed = $1, secret_set_at = $2, secret_set_by = $3,
                     last_accepted_at = CASE WHEN EXISTS (SELECT 1 FROM oauth WHERE credential_id = $4)
                         THEN last_accepted_at END
                 WHERE id = $4",
                secret.0,
                at,
                by,
                id.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
            oauth::renew_with_secret(&mut tx, id, at).await?;
            resume_stopped(&mut tx, id, at).await?;
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn remove_credential(&self, id: CredentialId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("DELETE FROM credentials WHERE id = $1", id.0).execute(&mut *tx).await.map_err(in_use)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn note_accepted(&self, id: CredentialId, at: Timestamp) -> Result<(), StoreError> {
        // Most have nothing to write: they look before they wait for their turn.
        let before = at.minus(ACCEPTED_EVERY).0;
        let last = sqlx::query_scalar!("SELECT last_accepted_at FROM credentials WHERE id = $1", id.0)
            .fetch_optional(self.reader())
            .await
            .map_err(backend)?;
        if last.flatten().is_some_and(|it| it > before) {
            return Ok(());
        }
        let mut tx = self.begin_light().await?;
        sqlx::query!(
            "UPDATE credentials SET last_accepted_at = $1
             WHERE id = $2 AND (last_accepted_at IS NULL OR last_accepted_at <= $3)",
            at.0,
            id.0,
            before
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn credential_used_by(&self, id: CredentialId) -> Result<UsedBy, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT kind AS "kind!: String", id AS "id!: i64", name AS "name!: String" FROM (
                 SELECT 'account' AS kind, id, name, name_folded FROM accounts WHERE credential_id = $1
                 UNION ALL
                 SELECT 'connector', id, name, name_folded FROM connectors WHERE credential_id = $1
                 UNION ALL
                 SELECT 'smtp', id, name, name_folded FROM smtp_accounts WHERE credential_id = $1) AS users
             ORDER BY name_folded LIMIT 100"#,
            id.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(rows.into_iter().map(|it| (user(&it.kind, it.id), it.name)).collect())
    }
}

/// A new secret or token gives the accounts that were stopped for the old one another chance.
pub(crate) async fn resume_stopped(tx: &mut Tx, id: CredentialId, at: i64) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE accounts
         SET is_stopped = FALSE, stopped_by = NULL, failure_kind = NULL, failure_message = NULL, failure_since = NULL, n_failures = 0,
             health_rank = CASE WHEN last_success_at IS NULL THEN 1 ELSE 0 END,
             next_check_at = CASE WHEN enabled AND automatic_check AND deleted_at IS NULL THEN CAST($1 AS BIGINT) END
         WHERE credential_id = $2 AND failure_kind IN ('authentication', 'expired')",
        at,
        id.0
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

/// When and by whom, as the audit entry of the change says.
fn set_by(audit: &[AuditEntry]) -> (i64, String) {
    audit.first().map(|it| (it.at.0, it.actor.clone())).unwrap_or_default()
}

fn searched(draft: &CredentialDraft) -> String {
    fold(&format!("{} {}", draft.name, draft.username))
}

async fn check_version(tx: &mut Tx, id: CredentialId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT version FROM credentials WHERE id = $1", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}
