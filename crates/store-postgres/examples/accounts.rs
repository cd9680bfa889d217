//! Every filter, order and page of 100,000 accounts in each store: how long the store takes, slowest combination last.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints figures")]

use std::time::{Duration, Instant};

use domain::{
    account::{AccountColumn, AccountFilter, AccountQuery, AccountSort},
    page::PageRequest,
};
use service::ports::AccountStore;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;
use store_tests::postgres::Database;

/// How often each combination is asked for.
const TIMES: usize = 5;
/// The same statements for both: SQLite takes truth values as integers.
const FILL: [&str; 2] = [
    "INSERT INTO credentials (id, version, name, name_folded, search_folded, username, sealed, secret_set_at, secret_set_by)
     VALUES (1, 1, 'c', 'c', 'c', 'c', '', 0, '')",
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
     INSERT INTO accounts (version, name, name_folded, keep_copy, automatic_check, interval_s, enabled, protocol,
         address, port, secure_connection, connection_type, skip_certificate, credential_id, health_rank)
     SELECT 1, 'Mailbox of team ' || n, 'mailbox of team ' || n, n % 2 = 0, n % 3 = 0, 300, n % 5 > 0,
         CASE WHEN n % 2 = 0 THEN 'imap' ELSE 'pop3' END, 'mail' || n % 400 || '.example.org', 100 + n % 900, n % 3 > 0,
         CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN 'ssl' ELSE 'tls' END, n % 50 = 0, 1, n % 4
     FROM numbers",
];

fn filters() -> Vec<(&'static str, AccountFilter, u64)> {
    let none = AccountFilter::default;
    vec![
        ("none", none(), 100_000),
        ("name, all", AccountFilter { name: "TEAM".to_owned(), ..none() }, 100_000),
        ("name, few", AccountFilter { name: "team 1234".to_owned(), ..none() }, 11),
        ("name, none", AccountFilter { name: "nobody".to_owned(), ..none() }, 0),
        ("secure", AccountFilter { secure_connection: Some(true), ..none() }, 66_667),
        ("plain", AccountFilter { secure_connection: Some(false), ..none() }, 33_333),
        ("automatic", AccountFilter { automatic_check: Some(true), ..none() }, 33_333),
        ("keeps copy", AccountFilter { keep_copy: Some(true), ..none() }, 50_000),
        ("disabled", AccountFilter { enabled: Some(false), ..none() }, 20_000),
        ("plain and disabled", AccountFilter { secure_connection: Some(false), enabled: Some(false), ..none() }, 6_666),
        ("enabled, name", AccountFilter { enabled: Some(true), name: "team 9".to_owned(), ..none() }, 8_889),
    ]
}

async fn measure(name: &str, store: &dyn AccountStore) {
    let (mut all, mut slowest) = (Vec::new(), (Duration::ZERO, String::new()));
    for (filter_name, filter, total) in filters() {
        let pages = [1, total.div_ceil(60).max(1), total.div_ceil(30).max(1)];
        for column in AccountColumn::ALL {
            for descending in [false, true] {
                for page in pages {
                    let query = AccountQuery {
                        filter: filter.clone(),
                        sort: AccountSort { column, descending },
                        page: PageRequest::new(u32::try_from(page).unwrap(), 30),
                    };
                    let mut times = Vec::new();
                    for _ in 0..TIMES {
                        let began = Instant::now();
                        let answer = store.list_accounts(&query).await.unwrap();
                        times.push(began.elapsed());
                        assert_eq!(answer.total, total, "{filter_name}");
                    }
                    let high = percentile(&mut times, 95);
                    if high > slowest.0 {
                        let direction = if descending { "down" } else { "up" };
                        slowest = (high, format!("filter {filter_name}, by {column:?} {direction}, page {page}"));
                    }
                    all.extend(times);
                }
            }
        }
    }
    let (half, high) = (percentile(&mut all, 50), percentile(&mut all, 95));
    println!("{name}: p50 {:.1} ms, p95 {:.1} ms over {} answers", ms(half), ms(high), all.len());
    println!("{name}: slowest combination p95 {:.1} ms: {}", ms(slowest.0), slowest.1);
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100).max(1) - 1]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let url = format!("sqlite://{}/posthorn.db", folder.path().display());
    let store = SqliteStore::open(&url).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for statement in FILL {
        // A text where SQLite wants bytes.
        let statement = statement.replace("'c', ''", "'c', X''");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    measure("SQLite", &store).await;
    store.close().await;

    let database = Database::create().await;
    let store = PostgresStore::connect(&database.url).await.unwrap();
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    for statement in FILL.into_iter().chain(["VACUUM ANALYZE accounts"]) {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    measure("PostgreSQL", &store).await;
    store.close().await;
    database.remove().await;
}
