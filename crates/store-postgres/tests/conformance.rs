//! PostgreSQL does what every store must do: each test on a database of its own.

#![expect(clippy::unwrap_used, reason = "panicking is how a test fails")]

use std::sync::Arc;

use store_postgres::PostgresStore;
use store_tests::{Subject, postgres::Database};

struct Opened {
    store: Subject,
    postgres: PostgresStore,
    database: Database,
}

impl Opened {
    async fn close(self) {
        self.postgres.close().await;
        self.database.remove().await;
    }
}

async fn open() -> Opened {
    let database = Database::create().await;
    let postgres = PostgresStore::connect(&database.url).await.unwrap();
    Opened { store: Arc::new(postgres.clone()), postgres, database }
}

store_tests::conformance!(crate::open);
