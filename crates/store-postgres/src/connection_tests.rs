//! Tests of connections on PostgreSQL.

use async_trait::async_trait;
use domain::{
    connection_test::{KEPT, TestRecord},
    ids::{AccountId, ConnectionTestId, ConnectorId},
    time::Timestamp,
};
use service::ports::{ConnectionTestStore, NewTest, StoreError};

use crate::{PostgresStore, error::backend};

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

#[async_trait]
impl ConnectionTestStore for PostgresStore {
    async fn add_test(&self, new: &NewTest<'_>) -> Result<ConnectionTestId, StoreError> {
        let test = serde_json::to_string(new.test).map_err(|it| StoreError::Backend(Box::new(it)))?;
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
}
