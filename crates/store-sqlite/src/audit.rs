//! The audit log on SQLite. Triggers refuse changes and removals.

use async_trait::async_trait;
use domain::{
    audit::{AuditAction, AuditEntry, AuditQuery, AuditRow},
    ids::AuditId,
    page::Page,
    text::fold,
    time::Timestamp,
};
use service::ports::{AuditStore, StoreError};
use sqlx::{FromRow, QueryBuilder};

use crate::{
    Db, SqliteStore, Tx,
    error::backend,
    record::{clean, count, pattern},
};

/// Writes entries within the transaction of what they tell about.
pub(crate) async fn write(tx: &mut Tx, entries: &[AuditEntry]) -> Result<(), StoreError> {
    for entry in entries {
        sqlx::query(
            "INSERT INTO audit (at, actor, actor_folded, origin, action, subject, subject_folded, before, after)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(entry.at.0)
        .bind(clean(&entry.actor))
        .bind(fold(&clean(&entry.actor)))
        .bind(clean(&entry.origin))
        .bind(entry.action.as_str())
        .bind(clean(&entry.subject))
        .bind(fold(&clean(&entry.subject)))
        .bind(&entry.before)
        .bind(&entry.after)
        .execute(&mut **tx)
        .await
        .map_err(backend)?;
    }
    Ok(())
}

#[derive(FromRow)]
struct Record {
    id: i64,
    at: i64,
    actor: String,
    origin: String,
    action: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
}

impl TryFrom<Record> for AuditRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = StoreError::Corrupt { table: "audit", column: "action", row: record.id };
        Ok(Self {
            id: AuditId(record.id),
            entry: AuditEntry {
                at: Timestamp(record.at),
                actor: record.actor,
                origin: record.origin,
                action: AuditAction::parse(&record.action).ok_or(corrupt)?,
                subject: record.subject,
                before: record.before,
                after: record.after,
            },
        })
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn add_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        write(&mut tx, entries).await?;
        tx.commit().await.map_err(backend)
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
        let mut counting = QueryBuilder::<Db>::new("SELECT COUNT(*) FROM audit");
        push_filter(&mut counting, query);
        let total: i64 = counting.build_query_scalar().fetch_one(self.reader()).await.map_err(backend)?;
        let mut listing =
            QueryBuilder::<Db>::new("SELECT id, at, actor, origin, action, subject, before, after FROM audit");
        push_filter(&mut listing, query);
        listing.push(" ORDER BY id DESC LIMIT ").push_bind(query.page.limit());
        listing.push(" OFFSET ").push_bind(query.page.offset());
        let records: Vec<Record> = listing.build_query_as().fetch_all(self.reader()).await.map_err(backend)?;
        let rows = records.into_iter().map(AuditRow::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(rows, count(total), query.page))
    }
}

fn push_filter(builder: &mut QueryBuilder<Db>, query: &AuditQuery) {
    builder.push(" WHERE TRUE");
    if !query.actor.is_empty() {
        let pattern = pattern(&query.actor);
        let beginning = pattern.trim_start_matches('%').to_owned();
        builder.push(" AND actor_folded LIKE ").push_bind(beginning).push(" ESCAPE '\\'");
    }
    if !query.subject.is_empty() {
        builder.push(" AND subject_folded LIKE ").push_bind(pattern(&query.subject)).push(" ESCAPE '\\'");
    }
    if let Some(action) = query.action {
        builder.push(" AND action = ").push_bind(action.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_log_is_append_only() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = SqliteStore::open(&format!("sqlite://{}/posthorn.db", folder.path().display())).await.unwrap();
        let entry = AuditEntry {
            at: Timestamp(1),
            actor: "ana".to_owned(),
            origin: String::new(),
            action: AuditAction::SignIn,
            subject: String::new(),
            before: None,
            after: None,
        };
        store.add_audit(&[entry]).await.unwrap();
        for forbidden in ["UPDATE audit SET actor = 'bob'", "DELETE FROM audit"] {
            let mut tx = store.begin().await.unwrap();
            let error = sqlx::query(forbidden).execute(&mut *tx).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        assert_eq!(store.list_audit(&AuditQuery::default()).await.unwrap().total, 1);
        store.close().await;
    }
}
