//! The stores of Posthorn on PostgreSQL, which many instances share.
//!
//! The same files, functions and statements as on SQLite, but where the databases differ: types, locks, and who may write at once.

mod accounts;
mod agents;
mod arrivals;
mod audit;
mod authorities;
mod checks;
mod connection_tests;
mod connectors;
mod credentials;
mod devices;
mod error;
mod ledger;
mod oauth;
mod posture;
mod record;
mod remote;
mod report_runs;
mod schedules;
mod seals;
mod smtp;
mod users;
mod watch;

use std::time::Duration;

use service::ports::StoreError;
use sqlx::{PgPool, Postgres, Transaction, postgres::PgPoolOptions};

use crate::error::backend;

pub(crate) type Db = Postgres;
pub(crate) type Tx = Transaction<'static, Db>;

/// How long a request waits for a free connection.
const WAIT: Duration = Duration::from_secs(10);

/// Every store, on one PostgreSQL database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects to a `postgres://` URL and brings the tables up to date.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let pool = PgPoolOptions::new()
            .max_connections(20)
            .acquire_timeout(WAIT)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // A message is deleted from its server only after a commit that survives a power cut.
                    sqlx::query!("SET synchronous_commit = on").execute(connection).await?;
                    Ok(())
                })
            })
            .connect(url)
            .await
            .map_err(backend)?;
        let migrated = sqlx::migrate!("./migrations").run(&pool).await;
        migrated.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let fsync = sqlx::query_scalar!(r#"SELECT current_setting('fsync') AS "fsync!""#)
            .fetch_one(&pool)
            .await
            .map_err(backend)?;
        if fsync != "on" {
            tracing::warn!(
                "PostgreSQL runs with fsync off: a power cut can lose mail that was deleted from its server"
            );
        }
        Ok(Self { pool })
    }

    /// Ends every connection, after the work under way.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.pool.begin().await.map_err(backend)
    }

    /// For what is found out again if the server crashes: how a check goes, who is late. It does not wait for the disk. Leases
    /// are taken with [`Self::begin`]: a fence that is forgotten would be given to another instance too.
    pub(crate) async fn begin_light(&self) -> Result<Tx, StoreError> {
        self.pool.begin_with("BEGIN; SET LOCAL synchronous_commit = off").await.map_err(backend)
    }

    pub(crate) fn reader(&self) -> &PgPool {
        &self.pool
    }
}
