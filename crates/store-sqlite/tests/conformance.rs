//! SQLite does what every store must do: each test on a file of its own.

#![expect(clippy::unwrap_used, reason = "panicking is how a test fails")]

use std::sync::Arc;

use store_sqlite::SqliteStore;
use store_tests::Subject;
use tempfile::TempDir;

struct Opened {
    store: Subject,
    sqlite: SqliteStore,
    _folder: TempDir,
}

impl Opened {
    async fn close(self) {
        self.sqlite.close().await;
    }
}

async fn open() -> Opened {
    let folder = TempDir::new().unwrap();
    let sqlite = SqliteStore::open(&format!("sqlite://{}/posthorn.db", folder.path().display())).await.unwrap();
    Opened { store: Arc::new(sqlite.clone()), sqlite, _folder: folder }
}

store_tests::conformance!(crate::open);
