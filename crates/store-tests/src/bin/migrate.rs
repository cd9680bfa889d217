//! `migrate FOLDER URL`: brings a database up to date without the store, whose statements are checked against its tables.

use std::{env, error::Error, path::Path};

use sqlx::{Connection as _, PgConnection, SqliteConnection, migrate::Migrator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, url] = arguments.as_slice() else { return Err("usage: migrate FOLDER URL".into()) };
    let migrator = Migrator::new(Path::new(folder)).await?;
    if url.starts_with("sqlite:") {
        migrator.run(&mut SqliteConnection::connect(url).await?).await?;
    } else {
        migrator.run(&mut PgConnection::connect(url).await?).await?;
    }
    Ok(())
}
