//! Both stores have migrations of the same names that make the same tables with the same columns.

#![expect(clippy::unwrap_used, reason = "panicking is how a test fails")]

use std::{collections::BTreeSet, fs};

use sqlx::{Connection as _, PgConnection, SqliteConnection};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;
use store_tests::postgres::Database;

fn migrations(store: &str) -> BTreeSet<String> {
    let folder = format!("{}/../{store}/migrations", env!("CARGO_MANIFEST_DIR"));
    fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn migrations_have_the_same_names() {
    assert_eq!(migrations("store-sqlite"), migrations("store-postgres"));
}

#[tokio::test]
async fn tables_have_the_same_columns() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}/posthorn.db", folder.path().display());
    SqliteStore::open(&url).await.unwrap().close().await;
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let sqlite: BTreeSet<(String, String)> = sqlx::query_as(
        "SELECT tables.name, columns.name
         FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type IN ('table', 'view') AND tables.name NOT LIKE 'sqlite%' AND tables.name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
    .into_iter()
    .collect();

    let database = Database::create().await;
    PostgresStore::connect(&database.url).await.unwrap().close().await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let postgres: BTreeSet<(String, String)> = sqlx::query_as(
        "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
    .into_iter()
    .collect();
    connection.close().await.unwrap();
    database.remove().await;

    assert!(sqlite.contains(&("accounts".to_owned(), "fence".to_owned())));
    assert_eq!(sqlite, postgres);
}
