//! OAuth 2.0 tokens on SQLite. They are sealed before they come here.

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    ids::CredentialId,
    oauth::{OAuthDraft, OAuthStatus, TokenState},
    time::Timestamp,
};
use service::ports::{Consent, KeptTokens, OAuthRow, OAuthStore, SealedSecret, StoreError};

use crate::{SqliteStore, Tx, audit, credentials::resume_stopped, devices, error::backend, seals::check_key};

#[async_trait]
impl OAuthStore for SqliteStore {
    async fn find_oauth(&self, id: CredentialId) -> Result<Option<OAuthRow>, StoreError> {
        let row = sqlx::query!(
            "SELECT settings, state, message, tokens, obtained_at, expires_at, renew_at, consent_ends_at
             FROM oauth WHERE credential_id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = |column| StoreError::Corrupt { table: "oauth", column, row: id.0 };
        let status = OAuthStatus {
            settings: serde_json::from_str(&row.settings).map_err(|_| corrupt("settings"))?,
            state: TokenState::parse(&row.state).ok_or_else(|| corrupt("state"))?,
            message: row.message,
            obtained_at: row.obtained_at.map(Timestamp),
            expires_at: row.expires_at.map(Timestamp),
            consent_ends_at: row.consent_ends_at.map(Timestamp),
        };
        Ok(Some(OAuthRow { status, tokens: row.tokens.map(SealedSecret), renew_at: row.renew_at.map(Timestamp) }))
    }

    async fn take_renewal(
        &self,
        id: CredentialId,
        now: Timestamp,
        until: Timestamp,
        by_force: bool,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.begin().await?;
        let fence = sqlx::query_scalar!(
            r#"UPDATE oauth SET fence = fence + 1, lease_until = $1
             WHERE credential_id = $2 AND ($3 OR lease_until IS NULL OR lease_until <= $4)
             RETURNING fence AS "fence!""#,
            until.0,
            id.0,
            by_force,
            now.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(fence)
    }

    async fn keep_tokens(
        &self,
        id: CredentialId,
        fence: i64,
        kept: &KeptTokens,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_key(&mut tx, &kept.sealed).await?;
        let written = sqlx::query!(
            "UPDATE oauth
             SET tokens = $1, obtained_at = $2, expires_at = $3, renew_at = $4, consent_ends_at = $5, state = 'ok',
                 message = NULL, lease_until = NULL
             WHERE credential_id = $6 AND fence = $7",
            kept.sealed.0,
            kept.obtained_at.0,
            kept.expires_at.0,
            kept.renew_at.0,
            kept.consent_ends_at.map(|it| it.0),
            id.0,
            fence
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
        // Somebody acted: the accounts that stopped for the lack of a token go on.
        if !audit.is_empty() {
            resume_stopped(&mut tx, id, kept.obtained_at.0).await?;
            audit::write(&mut tx, audit).await?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn refuse_tokens(&self, id: CredentialId, fence: i64, message: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let written = sqlx::query!(
            "UPDATE oauth SET state = 'needs_person', message = $1, renew_at = NULL, lease_until = NULL
             WHERE credential_id = $2 AND fence = $3",
            message,
            id.0,
            fence
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if written.rows_affected() == 0 {
            return Err(StoreError::Fenced);
        }
        tx.commit().await.map_err(backend)
    }

    async fn give_back_renewal(
        &self,
        id: CredentialId,
        fence: i64,
        again_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "UPDATE oauth SET lease_until = NULL, renew_at = COALESCE($1, renew_at) WHERE credential_id = $2 AND fence = $3",
            again_at.map(|it| it.0),
            id.0,
            fence
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn due_renewals(&self, now: Timestamp, limit: u32) -> Result<Vec<CredentialId>, StoreError> {
        let limit = i64::from(limit);
        let ids = sqlx::query_scalar!(
            r#"SELECT credential_id AS "id!" FROM oauth
             WHERE renew_at <= $1 AND (lease_until IS NULL OR lease_until <= $1) ORDER BY renew_at LIMIT $2"#,
            now.0,
            limit
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(ids.into_iter().map(CredentialId).collect())
    }

    async fn start_consent(&self, id: CredentialId, consent: &Consent) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_key(&mut tx, &consent.sealed).await?;
        let written = sqlx::query!(
            "UPDATE oauth SET consent_hash = $1, consent = $2, consent_until = $3 WHERE credential_id = $4",
            consent.hash,
            consent.sealed.0,
            consent.until.0,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if written.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        tx.commit().await.map_err(backend)
    }

    async fn take_consent(
        &self,
        hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<(CredentialId, SealedSecret)>, StoreError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query!(
            r#"SELECT credential_id AS "id!", consent AS "consent!", consent_until AS "until!"
             FROM oauth WHERE consent_hash = $1"#,
            hash
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        let Some(found) = found else { return Ok(None) };
        let taken = sqlx::query!(
            "UPDATE oauth SET consent_hash = NULL, consent = NULL, consent_until = NULL
             WHERE credential_id = $1 AND consent_hash = $2",
            found.id,
            hash
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        let is_taken = taken.rows_affected() > 0 && now.0 < found.until;
        Ok(is_taken.then_some((CredentialId(found.id), SealedSecret(found.consent))))
    }
}

/// Writes the settings of a credential, or that it has none. Tokens were given for these settings and no others.
pub(crate) async fn write(tx: &mut Tx, id: CredentialId, settings: Option<&OAuthDraft>) -> Result<(), StoreError> {
    let Some(settings) = settings else {
        sqlx::query!("DELETE FROM oauth WHERE credential_id = $1", id.0).execute(&mut **tx).await.map_err(backend)?;
        return Ok(());
    };
    let json = serde_json::to_string(settings).map_err(|it| StoreError::Backend(Box::new(it)))?;
    let changed = sqlx::query!(
        "INSERT INTO oauth (credential_id, settings, state) VALUES ($1, $2, 'never')
         ON CONFLICT (credential_id) DO UPDATE
         SET settings = excluded.settings, state = 'never', message = NULL, tokens = NULL, obtained_at = NULL,
             expires_at = NULL, renew_at = NULL, fence = oauth.fence + 1, lease_until = NULL, consent_hash = NULL,
             consent = NULL, consent_until = NULL, consent_ends_at = NULL
         WHERE oauth.settings <> excluded.settings",
        id.0,
        json
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    if changed.rows_affected() > 0 {
        devices::cancel(tx, id).await?;
    }
    Ok(())
}

/// A provider that refused the old secret of the client is asked again with the new one.
pub(crate) async fn renew_with_secret(tx: &mut Tx, id: CredentialId, at: i64) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE oauth
         SET state = CASE WHEN tokens IS NULL THEN 'never' ELSE 'ok' END, message = NULL,
             renew_at = CASE WHEN tokens IS NOT NULL THEN CAST($1 AS BIGINT) END
         WHERE credential_id = $2",
        at,
        id.0
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}
