//! Schedules on PostgreSQL.

use async_trait::async_trait;
use domain::{
    account::AccountQuery,
    audit::AuditEntry,
    ids::ScheduleId,
    page::{Page, PageRequest},
    schedule::{Schedule, ScheduleDraft, ScheduleRow},
    text::fold,
    time::Timestamp,
};
use serde::Serialize;
use service::ports::{ScheduleStore, StoreError};

use crate::{
    PostgresStore, Tx, audit,
    error::{backend, taken},
    record::{count, pattern},
};

struct Record {
    id: i64,
    version: i64,
    name: String,
    query: String,
    timing: String,
    formats: String,
    recipients: String,
    language: String,
    only_when_changed: bool,
    enabled: bool,
    next_run_at: Option<i64>,
}

impl TryFrom<Record> for Schedule {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "schedules", column, row: record.id };
        Ok(Self {
            id: ScheduleId(record.id),
            version: record.version,
            next_run_at: record.next_run_at.map(Timestamp),
            draft: ScheduleDraft {
                query: AccountQuery::from_query_string(&record.query),
                timing: serde_json::from_str(&record.timing).map_err(|_| corrupt("timing"))?,
                formats: serde_json::from_str(&record.formats).map_err(|_| corrupt("formats"))?,
                recipients: serde_json::from_str(&record.recipients).map_err(|_| corrupt("recipients"))?,
                name: record.name,
                language: record.language,
                only_when_changed: record.only_when_changed,
                enabled: record.enabled,
            },
        })
    }
}

#[async_trait]
impl ScheduleStore for PostgresStore {
    async fn list_schedules(&self, search: &str, page: PageRequest) -> Result<Page<ScheduleRow>, StoreError> {
        let wanted = pattern(search);
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM schedules WHERE name_folded LIKE $1 ESCAPE '\'"#,
            wanted
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id, version, name, query, timing, formats, recipients, language, only_when_changed, enabled, next_run_at
             FROM schedules
             WHERE name_folded LIKE $1 ESCAPE '\'
             ORDER BY name_folded LIMIT $2 OFFSET $3"#,
            wanted,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let mut rows = Vec::new();
        for record in records {
            let schedule = Schedule::try_from(record)?;
            let last_run = self.latest_run(schedule.id).await?;
            rows.push(ScheduleRow { schedule, last_run });
        }
        Ok(Page::new(rows, count(total), page))
    }

    async fn find_schedule(&self, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT id, version, name, query, timing, formats, recipients, language, only_when_changed, enabled, next_run_at
             FROM schedules
             WHERE id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(Schedule::try_from).transpose()
    }

    async fn add_schedule(
        &self,
        draft: &ScheduleDraft,
        next_run_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<ScheduleId, StoreError> {
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO schedules (version, name, name_folded, query, timing, formats, recipients, language,
                 only_when_changed, enabled, next_run_at)
             VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             RETURNING id",
            draft.name,
            fold(&draft.name),
            draft.query.to_query_string(),
            json(&draft.timing)?,
            json(&draft.formats)?,
            json(&draft.recipients)?,
            draft.language,
            draft.only_when_changed,
            draft.enabled,
            next_run_at.map(|it| it.0)
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(ScheduleId(id))
    }

    async fn change_schedule(
        &self,
        id: ScheduleId,
        version: i64,
        draft: &ScheduleDraft,
        next_run_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!(
            "UPDATE schedules
             SET version = version + 1, name = $1, name_folded = $2, query = $3, timing = $4, formats = $5,
                 recipients = $6, language = $7, only_when_changed = $8, enabled = $9, next_run_at = $10
             WHERE id = $11",
            draft.name,
            fold(&draft.name),
            draft.query.to_query_string(),
            json(&draft.timing)?,
            json(&draft.formats)?,
            json(&draft.recipients)?,
            draft.language,
            draft.only_when_changed,
            draft.enabled,
            next_run_at.map(|it| it.0),
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn remove_schedule(&self, id: ScheduleId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("DELETE FROM schedules WHERE id = $1", id.0).execute(&mut *tx).await.map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<Schedule>, StoreError> {
        let records = sqlx::query_as!(
            Record,
            "SELECT id, version, name, query, timing, formats, recipients, language, only_when_changed, enabled, next_run_at
             FROM schedules
             WHERE next_run_at IS NOT NULL AND next_run_at <= $1
             ORDER BY next_run_at LIMIT $2",
            now.0,
            i64::from(limit)
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(Schedule::try_from).collect()
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|it| StoreError::Backend(Box::new(it)))
}

async fn check_version(tx: &mut Tx, id: ScheduleId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT version FROM schedules WHERE id = $1 FOR NO KEY UPDATE", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}
