//! Every column that may hold a secret is known: sealed anew with a new master key, or of another kind.

use std::collections::BTreeSet;

use service::ports::SealedPlace;
use sqlx::{Connection as _, SqliteConnection};
use store_sqlite::SqliteStore;

/// Columns of bytes that are no sealed secret.
const OTHERS: [(&str, &str); 10] = [
    ("bodies", "raw"),
    ("messages", "content_hash"),
    ("oauth", "consent_hash"),
    ("parts", "raw"),
    ("remotes", "sample"),
    ("report_files", "bytes"),
    ("report_runs", "snapshot"),
    ("sessions", "token_hash"),
    ("tokens", "token_hash"),
    ("users", "password_hash"),
];

/// A sealed secret is bytes; so each column of bytes, and each whose name speaks of a secret, is on one of the two lists.
#[tokio::test]
async fn no_sealed_column_was_forgotten() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}/posthorn.db", folder.path().display());
    SqliteStore::open(&url).await.unwrap().close().await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let found: BTreeSet<(String, String)> = sqlx::query_as(
        "SELECT tables.name, columns.name
         FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite%' AND tables.name <> '_sqlx_migrations'
             AND (columns.type = 'BLOB' OR columns.name LIKE '%seal%' OR columns.name LIKE '%password%')",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
    .into_iter()
    .collect();
    let known = SealedPlace::ALL.map(SealedPlace::column).into_iter().chain(OTHERS);
    let known: BTreeSet<(String, String)> = known.map(|it| (it.0.to_owned(), it.1.to_owned())).collect();
    assert_eq!(found, known, "a column that `SealedPlace` should know, or this test");
}
