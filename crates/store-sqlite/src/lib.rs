//! The stores of Posthorn on SQLite: one file, one writer, many readers.
//!
//! WAL with `synchronous = FULL`: a message is deleted from its server only after a commit that survives a power cut. Every
//! write begins with `BEGIN IMMEDIATE`, because a read that turns into a write fails at once where another process writes.

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

use std::{fs, io, path::Path, str::FromStr as _, time::Duration};

use service::ports::StoreError;
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::error::backend;

pub(crate) type Db = Sqlite;
pub(crate) type Tx = Transaction<'static, Db>;

/// How long a writer waits for another process before it gives up.
const BUSY: Duration = Duration::from_secs(10);

/// What a reader keeps of the file. SQLite's own 2 MiB are read anew for every page of a long report.
const READER_CACHE_KIB: u32 = 32 * 1024;

/// Every store, on one SQLite file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    /// One connection: writers queue here instead of meeting in the file.
    writer: SqlitePool,
    readers: SqlitePool,
    /// For whoever reads a table from end to end: a large cache each would only grow with the table.
    scanners: SqlitePool,
}

impl SqliteStore {
    /// Opens the file of a `sqlite://` URL, makes it if it is missing, and brings its tables up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(backend)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        if !url.contains(":memory:") {
            make_private(options.get_filename())?;
        }
        let writer =
            SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await.map_err(backend)?;
        let migrated = sqlx::migrate!("./migrations").run(&writer).await;
        migrated.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let scanners =
            SqlitePoolOptions::new().max_connections(2).connect_with(options.clone()).await.map_err(backend)?;
        let options = options.pragma("cache_size", format!("-{READER_CACHE_KIB}"));
        let readers = SqlitePoolOptions::new().max_connections(8).connect_with(options).await.map_err(backend)?;
        Ok(Self { writer, readers, scanners })
    }

    /// Ends every connection, after the work under way.
    pub async fn close(&self) {
        self.readers.close().await;
        self.scanners.close().await;
        self.writer.close().await;
    }

    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.writer.begin_with("PRAGMA synchronous = FULL; BEGIN IMMEDIATE").await.map_err(backend)
    }

    /// For what is found out again if a power cut takes it: who is due, who holds what, how a check went. It does not wait for
    /// the disk, and what is written later with [`Self::begin`] makes it durable too.
    pub(crate) async fn begin_light(&self) -> Result<Tx, StoreError> {
        self.writer.begin_with("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE").await.map_err(backend)
    }

    pub(crate) fn scanner(&self) -> &SqlitePool {
        &self.scanners
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.readers
    }
}

/// Makes the file, empty, for its owner alone, unless it is there; what SQLite writes beside it has the file's own mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Backend(format!("{}: {error}", path.display()).into())),
    }
}
