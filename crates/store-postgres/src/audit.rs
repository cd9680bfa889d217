//! The audit log on PostgreSQL. Triggers refuse changes and removals.

use async_trait::async_trait;
use domain::{
    audit::{AuditAction, AuditEntry, AuditQuery, AuditRow},
    ids::AuditId,
    page::Page,
    text::fold,
    time::Timestamp,
};
use service::ports::{AuditStore, StoreError};

use crate::{
    PostgresStore, Tx,
    error::backend,
    record::{clean, count, pattern},
};

/// Writes entries within the transaction of what they tell about.
pub(crate) async fn write(tx: &mut Tx, entries: &[AuditEntry]) -> Result<(), StoreError> {
    for entry in entries {
        sqlx::query!(
            "INSERT INTO audit (at, actor, actor_folded, origin, action, subject, subject_folded, before, after)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            entry.at.0,
            clean(&entry.actor),
            fold(&clean(&entry.actor)),
            clean(&entry.origin),
            entry.action.as_str(),
            clean(&entry.subject),
            fold(&clean(&entry.subject)),
            entry.before,
            entry.after
        )
        .execute(&mut **tx)
        .await
        .map_err(backend)?;
    }
    Ok(())
}

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
impl AuditStore for PostgresStore {
    async fn add_audit(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        write(&mut tx, entries).await?;
        tx.commit().await.map_err(backend)
    }

    async fn list_audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
        let (actor, subject, action) =
            (beginning(&query.actor), anywhere(&query.subject), query.action.map(AuditAction::as_str));
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM audit
             WHERE (CAST($1 AS TEXT) IS NULL OR actor_folded LIKE $1 ESCAPE '\')
                 AND (CAST($2 AS TEXT) IS NULL OR subject_folded LIKE $2 ESCAPE '\')
                 AND (CAST($3 AS TEXT) IS NULL OR action = $3)"#,
            actor,
            subject,
            action
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id, at, actor, origin, action, subject, before, after
             FROM audit
             WHERE (CAST($1 AS TEXT) IS NULL OR actor_folded LIKE $1 ESCAPE '\')
                 AND (CAST($2 AS TEXT) IS NULL OR subject_folded LIKE $2 ESCAPE '\')
                 AND (CAST($3 AS TEXT) IS NULL OR action = $3)
             ORDER BY id DESC
             LIMIT $4 OFFSET $5"#,
            actor,
            subject,
            action,
            query.page.limit(),
            query.page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let rows = records.into_iter().map(AuditRow::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(rows, count(total), query.page))
    }
}

/// The pattern of an actor whose name begins so; none where every actor is meant.
fn beginning(actor: &str) -> Option<String> {
    anywhere(actor).map(|it| it.trim_start_matches('%').to_owned())
}

/// The pattern of a text that holds this one; none where every text is meant.
fn anywhere(text: &str) -> Option<String> {
    if text.is_empty() { None } else { Some(pattern(text)) }
}
