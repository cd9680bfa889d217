//! Tests of connections on SQLite.

use async_trait::async_trait;
use domain::{
    connection_test::{ConnectionTest, KEPT, TestRecord},
    ids::{AccountId, ConnectionTestId, ConnectorId},
    time::Timestamp,
};
use service::{
    RunId, TestRun,
    ports::{ConnectionTestStore, NewTest, StoreError},
};

use crate::{SqliteStore, error::backend};

struct Record {
    id: i64,
    account_id: i64,
    at: i64,
    actor: String,
    test: String,
}

impl TryFrom<Record> for TestRecord {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = StoreError::Corrupt { table: "connection_tests", column: "test", row: record.id };
        Ok(Self {
            id: ConnectionTestId(record.id),
            account_id: AccountId(record.account_id),
            at: Timestamp(record.at),
            actor: record.actor,
            test: serde_json::from_str(&record.test).map_err(|_| corrupt)?,
        })
    }
}

struct RunRecord {
    id: i64,
    run: String,
    batch: String,
    account_id: Option<i64>,
    started_at: i64,
    form: Option<String>,
    test: String,
}

impl TryFrom<RunRecord> for TestRun {
    type Error = StoreError;

    fn try_from(record: RunRecord) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "test_runs", column, row: record.id };
        let form = record.form.as_deref().map(serde_json::from_str).transpose();
        Ok(Self {
            id: record.run.parse().map_err(|_| corrupt("run"))?,
            batch: record.batch.parse().map_err(|_| corrupt("batch"))?,
            account: record.account_id.map(AccountId),
            started_at: Timestamp(record.started_at),
            form: form.map_err(|_| corrupt("form"))?,
            test: serde_json::from_str(&record.test).map_err(|_| corrupt("test"))?,
        })
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|it| StoreError::Backend(Box::new(it)))
}

#[async_trait]
impl ConnectionTestStore for SqliteStore {
    async fn add_test(&self, new: &NewTest<'_>) -> Result<ConnectionTestId, StoreError> {
        let test = json(new.test)?;
        let connector = new.test.destination.route.connector_id().map_or(0, |it| it.0);
        let mut tx = self.begin_light().await?;
        let id = sqlx::query_scalar!(
            r#"INSERT INTO connection_tests (account_id, at, actor, connector_id, is_good, is_saved, signed_in, test)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             RETURNING id AS "id!""#,
            new.account.0,
            new.at.0,
            new.actor,
            connector,
            new.test.is_good(),
            new.test.is_saved,
            new.test.signs_in,
            test
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "DELETE FROM connection_tests
             WHERE account_id = $1
                 AND id NOT IN (SELECT id FROM connection_tests WHERE account_id = $1 ORDER BY id DESC LIMIT $2)
                 AND id NOT IN (SELECT MAX(id) FROM connection_tests WHERE account_id = $1 AND is_good AND is_saved
                     GROUP BY connector_id, signed_in)",
            new.account.0,
            i64::from(KEPT)
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(ConnectionTestId(id))
    }

    async fn list_tests(&self, account: AccountId, limit: u32) -> Result<Vec<TestRecord>, StoreError> {
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", account_id, at, actor, test FROM connection_tests WHERE account_id = $1 ORDER BY id DESC LIMIT $2"#,
            account.0,
            i64::from(limit)
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(TestRecord::try_from).collect()
    }

    async fn last_good_test(
        &self,
        account: AccountId,
        connector: Option<ConnectorId>,
        signed_in: bool,
    ) -> Result<Option<TestRecord>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", account_id, at, actor, test FROM connection_tests
             WHERE account_id = $1 AND connector_id = $2 AND is_good AND is_saved AND (signed_in OR NOT $3)
             ORDER BY id DESC LIMIT 1"#,
            account.0,
            connector.map_or(0, |it| it.0),
            signed_in
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(TestRecord::try_from).transpose()
    }

    async fn add_test_run(&self, run: &TestRun) -> Result<(), StoreError> {
        let (name, batch, test) = (run.id.to_string(), run.batch.to_string(), json(&run.test)?);
        let form = run.form.as_ref().map(json).transpose()?;
        let mut tx = self.begin_light().await?;
        sqlx::query!(
            "INSERT INTO test_runs (run, batch, account_id, started_at, form, test) VALUES ($1, $2, $3, $4, $5, $6)",
            name,
            batch,
            run.account.map(|it| it.0),
            run.started_at.0,
            form,
            test
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn note_test_run(&self, id: RunId, test: &ConnectionTest) -> Result<bool, StoreError> {
        let (name, test) = (id.to_string(), json(test)?);
        let mut tx = self.begin_light().await?;
        let is_cancelled = sqlx::query_scalar!(
            r#"UPDATE test_runs SET test = $2 WHERE run = $1 RETURNING is_cancelled AS "is_cancelled!: bool""#,
            name,
            test
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(is_cancelled.unwrap_or(true))
    }

    async fn is_test_run_cancelled(&self, id: RunId) -> Result<bool, StoreError> {
        let name = id.to_string();
        let is_cancelled =
            sqlx::query_scalar!(r#"SELECT is_cancelled AS "is_cancelled!: bool" FROM test_runs WHERE run = $1"#, name)
                .fetch_optional(self.reader())
                .await
                .map_err(backend)?;
        Ok(is_cancelled.unwrap_or(true))
    }

    async fn cancel_test_run(&self, id: RunId) -> Result<bool, StoreError> {
        let name = id.to_string();
        let mut tx = self.begin_light().await?;
        let done = sqlx::query!("UPDATE test_runs SET is_cancelled = TRUE WHERE run = $1", name)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(done.rows_affected() > 0)
    }

    async fn find_test_run(&self, id: RunId) -> Result<Option<TestRun>, StoreError> {
        let name = id.to_string();
        let record = sqlx::query_as!(
            RunRecord,
            r#"SELECT id AS "id!", run, batch, account_id, started_at, form, test FROM test_runs
             WHERE run = $1"#,
            name
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(TestRun::try_from).transpose()
    }

    async fn last_test_runs(&self, account: AccountId) -> Result<Vec<TestRun>, StoreError> {
        let records = sqlx::query_as!(
            RunRecord,
            r#"SELECT id AS "id!", run, batch, account_id, started_at, form, test FROM test_runs
             WHERE account_id = $1 AND form IS NULL AND batch = (SELECT batch FROM test_runs
                 WHERE account_id = $1 AND form IS NULL ORDER BY id DESC LIMIT 1)
             ORDER BY id"#,
            account.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(TestRun::try_from).collect()
    }

    async fn forget_test_runs(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin_light().await?;
        sqlx::query!("DELETE FROM test_runs WHERE started_at < $1", before.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }
}
