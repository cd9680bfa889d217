//! Device codes on PostgreSQL. They are sealed before they come here.

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    device::{DeviceFlow, DeviceState},
    ids::CredentialId,
    time::Timestamp,
};
use service::ports::{DeviceClaim, DeviceRow, DeviceStore, KeptTokens, NewDeviceFlow, SealedSecret, StoreError};

use crate::{PostgresStore, Tx, audit, credentials::resume_stopped, error::backend, seals::check_key};

#[async_trait]
impl DeviceStore for PostgresStore {
    async fn find_device(&self, id: CredentialId) -> Result<Option<DeviceRow>, StoreError> {
        let row = sqlx::query!(
            "SELECT state, message, sealed, started_by, started_at, until, interval_s
             FROM device_flows WHERE credential_id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = StoreError::Corrupt { table: "device_flows", column: "state", row: id.0 };
        let flow = DeviceFlow {
            state: DeviceState::parse(&row.state).ok_or(corrupt)?,
            message: row.message,
            started_by: row.started_by,
            started_at: Timestamp(row.started_at),
            until: Timestamp(row.until),
            interval_s: u32::try_from(row.interval_s).unwrap_or(u32::MAX),
            code: None,
        };
        Ok(Some(DeviceRow { flow, sealed: row.sealed.map(SealedSecret) }))
    }

    async fn start_device(
        &self,
        id: CredentialId,
        new: &NewDeviceFlow,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_key(&mut tx, &new.sealed).await?;
        lock(&mut tx, id).await?;
        let found = sqlx::query_scalar!(r#"SELECT credential_id AS "id!" FROM oauth WHERE credential_id = $1"#, id.0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(backend)?;
        if found.is_none() {
            return Err(StoreError::NotFound);
        }
        let started = sqlx::query!(
            "INSERT INTO device_flows (credential_id, state, sealed, started_by, started_at, until, interval_s, poll_at)
             VALUES ($1, 'pending', $2, $3, $4, $5, $6, $7)
             ON CONFLICT (credential_id) DO UPDATE
             SET state = 'pending', message = NULL, sealed = excluded.sealed, started_by = excluded.started_by,
                 started_at = excluded.started_at, until = excluded.until, interval_s = excluded.interval_s,
                 poll_at = excluded.poll_at, fence = device_flows.fence + 1, lease_until = NULL
             WHERE device_flows.state <> 'pending' OR device_flows.until <= excluded.started_at",
            id.0,
            new.sealed.0,
            new.started_by,
            new.started_at.0,
            new.until.0,
            i64::from(new.interval_s),
            new.poll_at.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if started.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn due_devices(&self, now: Timestamp, limit: u32) -> Result<Vec<CredentialId>, StoreError> {
        let limit = i64::from(limit);
        let ids = sqlx::query_scalar!(
            r#"SELECT credential_id AS "id!" FROM device_flows
             WHERE state = 'pending' AND poll_at <= $1 AND (lease_until IS NULL OR lease_until <= $1)
             ORDER BY poll_at LIMIT $2"#,
            now.0,
            limit
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(ids.into_iter().map(CredentialId).collect())
    }

    async fn claim_device(
        &self,
        id: CredentialId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<DeviceClaim>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!(
            r#"UPDATE device_flows SET fence = fence + 1, lease_until = $1
             WHERE credential_id = $2 AND state = 'pending' AND poll_at <= $3
                 AND (lease_until IS NULL OR lease_until <= $3)
             RETURNING fence AS "fence!", sealed, started_by AS "started_by!", until AS "until!",
                 interval_s AS "interval_s!""#,
            until.0,
            id.0,
            now.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = StoreError::Corrupt { table: "device_flows", column: "sealed", row: id.0 };
        Ok(Some(DeviceClaim {
            fence: row.fence,
            sealed: SealedSecret(row.sealed.ok_or(corrupt)?),
            started_by: row.started_by,
            until: Timestamp(row.until),
            interval_s: u32::try_from(row.interval_s).unwrap_or(u32::MAX),
        }))
    }

    async fn put_off_device(
        &self,
        id: CredentialId,
        fence: i64,
        interval_s: u32,
        poll_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let written = sqlx::query!(
            "UPDATE device_flows SET interval_s = $1, poll_at = $2, lease_until = NULL
             WHERE credential_id = $3 AND fence = $4 AND state = 'pending'",
            i64::from(interval_s),
            poll_at.0,
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

    async fn grant_device(
        &self,
        id: CredentialId,
        fence: i64,
        kept: &KeptTokens,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_key(&mut tx, &kept.sealed).await?;
        lock(&mut tx, id).await?;
        end(&mut tx, id, fence, (DeviceState::Granted, None)).await?;
        sqlx::query!(
            "UPDATE oauth
             SET tokens = $1, obtained_at = $2, expires_at = $3, renew_at = $4, consent_ends_at = $5, state = 'ok',
                 message = NULL, fence = fence + 1, lease_until = NULL
             WHERE credential_id = $6",
            kept.sealed.0,
            kept.obtained_at.0,
            kept.expires_at.0,
            kept.renew_at.0,
            kept.consent_ends_at.map(|it| it.0),
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        resume_stopped(&mut tx, id, kept.obtained_at.0).await?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn end_device(
        &self,
        id: CredentialId,
        fence: i64,
        (state, message): (DeviceState, &str),
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        end(&mut tx, id, fence, (state, Some(message))).await?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn cancel_device(&self, id: CredentialId, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if cancel(&mut tx, id).await? == 0 {
            return Err(StoreError::NotFound);
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }
}

/// Credentials are locked before all that belongs to them.
async fn lock(tx: &mut Tx, id: CredentialId) -> Result<(), StoreError> {
    sqlx::query_scalar!("SELECT version FROM credentials WHERE id = $1 FOR UPDATE", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    Ok(())
}

/// What was pending is over; nobody needs its codes any more.
async fn end(
    tx: &mut Tx,
    id: CredentialId,
    fence: i64,
    (state, message): (DeviceState, Option<&str>),
) -> Result<(), StoreError> {
    let written = sqlx::query!(
        "UPDATE device_flows SET state = $1, message = $2, sealed = NULL, lease_until = NULL
         WHERE credential_id = $3 AND fence = $4 AND state = 'pending'",
        state.as_str(),
        message,
        id.0,
        fence
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    if written.rows_affected() == 0 { Err(StoreError::Fenced) } else { Ok(()) }
}

/// Fences out whoever asks about it right now. Answers with how many were pending.
pub(crate) async fn cancel(tx: &mut Tx, id: CredentialId) -> Result<u64, StoreError> {
    let written = sqlx::query!(
        "UPDATE device_flows
         SET state = 'cancelled', message = NULL, sealed = NULL, fence = fence + 1, lease_until = NULL
         WHERE credential_id = $1 AND state = 'pending'",
        id.0
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(written.rows_affected())
}
