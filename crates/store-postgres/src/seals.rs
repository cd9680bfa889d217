//! Sealed secrets on PostgreSQL: which key seals, and how rows get another seal.

use async_trait::async_trait;
use domain::{audit::AuditEntry, time::Timestamp};
use service::{
    ports::{
        InstanceKeys, KeyChange, Resealed, SealStore, SealedAt, SealedCount, SealedPlace, SealedRow, SealedSecret,
        StoreError,
    },
    vault::sealed_by,
};
use sqlx::PgConnection;

use crate::{PostgresStore, Tx, audit, error::backend, record::count};

struct Record {
    id: i64,
    sealed: Vec<u8>,
}

struct Counted {
    head: Vec<u8>,
    n: i64,
}

#[async_trait]
impl SealStore for PostgresStore {
    async fn sealed_rows(&self, place: SealedPlace, after: i64, limit: u32) -> Result<Vec<SealedRow>, StoreError> {
        let limit = i64::from(limit);
        let records = match place {
            SealedPlace::Credential => {
                sqlx::query_as!(
                    Record,
                    r#"SELECT id AS "id!", sealed FROM credentials WHERE id > $1 ORDER BY id LIMIT $2"#,
                    after,
                    limit
                )
                .fetch_all(self.reader())
                .await
            }
            SealedPlace::OauthTokens => {
                sqlx::query_as!(
                    Record,
                    r#"SELECT credential_id AS "id!", tokens AS "sealed!" FROM oauth
                     WHERE credential_id > $1 AND tokens IS NOT NULL ORDER BY credential_id LIMIT $2"#,
                    after,
                    limit
                )
                .fetch_all(self.reader())
                .await
            }
            SealedPlace::OauthConsent => {
                sqlx::query_as!(
                    Record,
                    r#"SELECT credential_id AS "id!", consent AS "sealed!" FROM oauth
                     WHERE credential_id > $1 AND consent IS NOT NULL ORDER BY credential_id LIMIT $2"#,
                    after,
                    limit
                )
                .fetch_all(self.reader())
                .await
            }
            SealedPlace::DeviceCodes => {
                sqlx::query_as!(
                    Record,
                    r#"SELECT credential_id AS "id!", sealed AS "sealed!" FROM device_flows
                     WHERE credential_id > $1 AND sealed IS NOT NULL ORDER BY credential_id LIMIT $2"#,
                    after,
                    limit
                )
                .fetch_all(self.reader())
                .await
            }
        };
        let row = |it: Record| SealedRow { at: place.of(it.id), sealed: SealedSecret(it.sealed) };
        Ok(records.map_err(backend)?.into_iter().map(row).collect())
    }

    async fn count_sealed(&self, place: SealedPlace) -> Result<Vec<SealedCount>, StoreError> {
        let counted = match place {
            SealedPlace::Credential => {
                sqlx::query_as!(
                    Counted,
                    r#"SELECT CASE WHEN substr(sealed, 1, 1) = '\x02'::BYTEA THEN substr(sealed, 1, 9) ELSE substr(sealed, 1, 1) END AS "head!: Vec<u8>",
                         COUNT(*) AS "n!: i64"
                     FROM credentials GROUP BY 1"#
                )
                .fetch_all(self.reader())
                .await
            }
            SealedPlace::OauthTokens => {
                sqlx::query_as!(
                    Counted,
                    r#"SELECT CASE WHEN substr(tokens, 1, 1) = '\x02'::BYTEA THEN substr(tokens, 1, 9) ELSE substr(tokens, 1, 1) END AS "head!: Vec<u8>",
                         COUNT(*) AS "n!: i64"
                     FROM oauth WHERE tokens IS NOT NULL GROUP BY 1"#
                )
                .fetch_all(self.reader())
                .await
            }
            SealedPlace::OauthConsent => {
                sqlx::query_as!(
                    Counted,
                    r#"SELECT CASE WHEN substr(consent, 1, 1) = '\x02'::BYTEA THEN substr(consent, 1, 9) ELSE substr(consent, 1, 1) END AS "head!: Vec<u8>",
                         COUNT(*) AS "n!: i64"
                     FROM oauth WHERE consent IS NOT NULL GROUP BY 1"#
                )
                .fetch_all(self.reader())
                .await
            }
            SealedPlace::DeviceCodes => {
                sqlx::query_as!(
                    Counted,
                    r#"SELECT CASE WHEN substr(sealed, 1, 1) = '\x02'::BYTEA THEN substr(sealed, 1, 9) ELSE substr(sealed, 1, 1) END AS "head!: Vec<u8>",
                         COUNT(*) AS "n!: i64"
                     FROM device_flows WHERE sealed IS NOT NULL GROUP BY 1"#
                )
                .fetch_all(self.reader())
                .await
            }
        };
        let row = |it: Counted| SealedCount { head: it.head, n: count(it.n) };
        Ok(counted.map_err(backend)?.into_iter().map(row).collect())
    }

    async fn replace_seals(&self, rows: &[Resealed], audit: &[AuditEntry]) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let sealing = sealing_key(&mut tx).await?;
        let mut replaced = 0;
        for Resealed { before, after } in rows {
            check(sealing.as_deref(), after)?;
            replaced += replace(&mut tx, before.at, &before.sealed, after).await?;
        }
        if replaced > 0 {
            audit::write(&mut tx, audit).await?;
            tx.commit().await.map_err(backend)?;
        }
        Ok(replaced)
    }

    async fn change_sealing_key(
        &self,
        change: &KeyChange,
        audit: &[AuditEntry],
    ) -> Result<Vec<InstanceKeys>, StoreError> {
        let (before, after) = (change.before.to_string(), change.after.to_string());
        let mut tx = self.begin().await?;
        let changed =
            sqlx::query!("UPDATE settings SET value = $1 WHERE key = 'master_key_id' AND value = $2", after, before)
                .execute(&mut *tx)
                .await
                .map_err(backend)?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
        // Looked for when the setting is held: an instance that begins now waits for it, and reads then which key it needs.
        let mut instances = instances(&mut tx, change.seen_since).await?;
        instances.retain(|it| !it.holds(change.after));
        if !instances.is_empty() {
            return Ok(instances);
        }
        sqlx::query!(
            "INSERT INTO settings (key, value) VALUES ('first_master_key_id', $1) ON CONFLICT (key) DO NOTHING",
            before
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(Vec::new())
    }

    async fn instance_keys(&self, seen_since: Timestamp) -> Result<Vec<InstanceKeys>, StoreError> {
        let mut connection = self.reader().acquire().await.map_err(backend)?;
        instances(&mut connection, seen_since).await
    }
}

async fn instances(connection: &mut PgConnection, seen_since: Timestamp) -> Result<Vec<InstanceKeys>, StoreError> {
    sqlx::query_as!(
        InstanceKeys,
        r#"SELECT id AS "instance!", host, key_ids FROM instances WHERE seen_at >= $1 ORDER BY id"#,
        seen_since.0
    )
    .fetch_all(connection)
    .await
    .map_err(backend)
}

/// Replaces a seal if it is still the one before.
async fn replace(
    tx: &mut Tx,
    at: SealedAt,
    SealedSecret(before): &SealedSecret,
    SealedSecret(after): &SealedSecret,
) -> Result<u64, StoreError> {
    let replaced = match at.place {
        SealedPlace::Credential => {
            sqlx::query!("UPDATE credentials SET sealed = $1 WHERE id = $2 AND sealed = $3", after, at.id, before)
                .execute(&mut **tx)
                .await
        }
        SealedPlace::OauthTokens => {
            sqlx::query!("UPDATE oauth SET tokens = $1 WHERE credential_id = $2 AND tokens = $3", after, at.id, before)
                .execute(&mut **tx)
                .await
        }
        SealedPlace::OauthConsent => {
            sqlx::query!(
                "UPDATE oauth SET consent = $1 WHERE credential_id = $2 AND consent = $3",
                after,
                at.id,
                before
            )
            .execute(&mut **tx)
            .await
        }
        SealedPlace::DeviceCodes => {
            sqlx::query!(
                "UPDATE device_flows SET sealed = $1 WHERE credential_id = $2 AND sealed = $3",
                after,
                at.id,
                before
            )
            .execute(&mut **tx)
            .await
        }
    };
    Ok(replaced.map_err(backend)?.rows_affected())
}

/// Refuses a seal by another key than the one that seals. Whoever changes that key waits for this transaction, so that nothing is
/// written under the old one once the rows are sealed anew.
pub(crate) async fn check_key(tx: &mut Tx, secret: &SealedSecret) -> Result<(), StoreError> {
    check(sealing_key(tx).await?.as_deref(), secret)
}

fn check(sealing: Option<&str>, secret: &SealedSecret) -> Result<(), StoreError> {
    let Some(sealing) = sealing else { return Ok(()) };
    let is_by_it = sealed_by(&secret.0).is_some_and(|it| it.to_string() == sealing);
    if is_by_it { Ok(()) } else { Err(StoreError::OtherKey) }
}

/// The key that seals, for as long as this transaction lasts. It is locked before everything else that a transaction locks.
pub(crate) async fn sealing_key(tx: &mut Tx) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!("SELECT value FROM settings WHERE key = 'master_key_id' FOR SHARE")
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)
}
