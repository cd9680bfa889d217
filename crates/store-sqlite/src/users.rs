//! Users, sessions, tokens and settings on SQLite.

use async_trait::async_trait;
use domain::{actor::Role, audit::AuditEntry, ids::UserId, text::fold, time::Timestamp};
use service::ports::{Session, StoreError, User, UserStore};

use crate::{
    SqliteStore, audit,
    error::{backend, taken},
    record::{clean, count},
};

struct Record {
    id: i64,
    name: String,
    role: String,
    password_hash: String,
}

impl TryFrom<Record> for User {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = StoreError::Corrupt { table: "users", column: "role", row: record.id };
        Ok(Self {
            id: UserId(record.id),
            role: Role::parse(&record.role).ok_or(corrupt)?,
            name: record.name,
            password_hash: record.password_hash,
        })
    }
}

#[async_trait]
impl UserStore for SqliteStore {
    async fn count_users(&self) -> Result<u64, StoreError> {
        let n = sqlx::query_scalar!(r#"SELECT COUNT(*) AS "n!" FROM users"#)
            .fetch_one(self.reader())
            .await
            .map_err(backend)?;
        Ok(count(n))
    }

    async fn find_user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT id, name, role, password_hash FROM users WHERE name_folded = $1",
            fold(&clean(name))
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(User::try_from).transpose()
    }

    async fn add_user(
        &self,
        name: &str,
        role: Role,
        password_hash: &str,
        only_first: bool,
        audit: &[AuditEntry],
    ) -> Result<UserId, StoreError> {
        let mut tx = self.begin().await?;
        let n =
            sqlx::query_scalar!(r#"SELECT COUNT(*) AS "n!" FROM users"#).fetch_one(&mut *tx).await.map_err(backend)?;
        if only_first && n > 0 {
            return Err(StoreError::Conflict);
        }
        let id = sqlx::query_scalar!(
            "INSERT INTO users (name, name_folded, role, password_hash) VALUES ($1, $2, $3, $4) RETURNING id",
            name,
            fold(name),
            role.as_str(),
            password_hash
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(UserId(id))
    }

    async fn add_session(
        &self,
        token_hash: &[u8],
        user: UserId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "INSERT INTO sessions (token_hash, user_id, created_at, last_used_at) VALUES ($1, $2, $3, $3)",
            token_hash,
            user.0,
            at.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn find_session(&self, token_hash: &[u8]) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query!(
            "SELECT users.id, users.name, users.role, users.password_hash, sessions.created_at, sessions.last_used_at
             FROM sessions JOIN users ON users.id = sessions.user_id
             WHERE sessions.token_hash = $1",
            token_hash
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let user = Record { id: row.id, name: row.name, role: row.role, password_hash: row.password_hash };
        Ok(Some(Session {
            user: user.try_into()?,
            created_at: Timestamp(row.created_at),
            last_used_at: Timestamp(row.last_used_at),
        }))
    }

    async fn touch_session(&self, token_hash: &[u8], at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!("UPDATE sessions SET last_used_at = $1 WHERE token_hash = $2", at.0, token_hash)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn remove_session(&self, token_hash: &[u8], audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!("DELETE FROM sessions WHERE token_hash = $1", token_hash)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn remove_expired_sessions(&self, created: Timestamp, used: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let removed =
            sqlx::query!("DELETE FROM sessions WHERE created_at < $1 OR last_used_at < $2", created.0, used.0)
                .execute(&mut *tx)
                .await
                .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(removed.rows_affected())
    }

    async fn add_token(
        &self,
        token_hash: &[u8],
        user: UserId,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "INSERT INTO tokens (token_hash, user_id, created_at) VALUES ($1, $2, $3)",
            token_hash,
            user.0,
            at.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn find_token(&self, token_hash: &[u8]) -> Result<Option<User>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT users.id, users.name, users.role, users.password_hash
             FROM tokens JOIN users ON users.id = tokens.user_id
             WHERE tokens.token_hash = $1",
            token_hash
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(User::try_from).transpose()
    }

    async fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar!("SELECT value FROM settings WHERE key = $1", key)
            .fetch_optional(self.reader())
            .await
            .map_err(backend)
    }

    async fn setting_or(&self, key: &str, value: &str) -> Result<String, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", key, value)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        let current = sqlx::query_scalar!("SELECT value FROM settings WHERE key = $1", key)
            .fetch_one(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(current)
    }

    async fn set_setting(&self, key: &str, value: &str, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query!(
            "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            key,
            value
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn has_sealed_secrets(&self) -> Result<bool, StoreError> {
        let n = sqlx::query_scalar!(r#"SELECT COUNT(*) AS "n!" FROM credentials"#)
            .fetch_one(self.reader())
            .await
            .map_err(backend)?;
        Ok(n > 0)
    }
}
