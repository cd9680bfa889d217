//! What the compiler knows of the databases: each store keeps, in `.sqlx`, what its statements take and return.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    process::{Run as _, command},
    test::Cluster,
    tidy::files,
};

/// The text of each statement's file, by its name.
type Statements = BTreeMap<PathBuf, String>;

/// `cargo xtask prepare`: writes the folders afresh, once a statement or a table has changed.
pub(crate) fn run() -> Result<()> {
    for (folder, statements) in describe()? {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        for (name, text) in statements {
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(())
}

/// Fails with the name of every file that [`run`] would change.
pub(crate) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for (folder, statements) in describe()? {
        let kept = read(&folder)?;
        let names: BTreeSet<_> = statements.keys().chain(kept.keys()).collect();
        for name in names {
            let what = match (statements.get(name), kept.get(name)) {
                (Some(new), Some(old)) if new == old => continue,
                (Some(_), Some(_)) => "the database describes it differently now",
                (Some(_), None) => "is missing",
                (None, _) => "belongs to no statement",
            };
            findings.push(format!("{}: {what}", folder.join(name).display()));
        }
    }
    ensure!(findings.is_empty(), "run `cargo xtask prepare` and commit what it writes:\n{}", findings.join("\n"));
    Ok(())
}

/// Asks throw-away databases about every statement; answers with each store's folder and what belongs into it.
fn describe() -> Result<[(PathBuf, Statements); 2]> {
    let cluster = Cluster::start()?;
    let sqlite = format!("sqlite://{}?mode=rwc", cluster.folder.join("posthorn.db").display());
    Ok([
        describe_store("store-sqlite", "SQLITE_DATABASE_URL", &sqlite, &cluster.folder)?,
        describe_store("store-postgres", "POSTGRES_DATABASE_URL", &cluster.url, &cluster.folder)?,
    ])
}

fn describe_store(store: &str, variable: &str, url: &str, scratch: &Path) -> Result<(PathBuf, Statements)> {
    let source = Path::new("crates").join(store);
    let migrations = source.join("migrations");
    command("cargo")
        .args(["run", "--quiet", "--locked", "--package", "store-tests", "--bin", "migrate", "--"])
        .arg(migrations)
        .arg(url)
        .run()?;
    let described = scratch.join(store);
    fs::create_dir(&described)?;
    // Cargo looks at files, not at these variables: a library that seems to be new makes it expand every statement again.
    let library = File::open(source.join("src/lib.rs"))?;
    let modified = library.metadata()?.modified()?;
    library.set_modified(fs::metadata(&described)?.modified()?)?;
    let checked = command("cargo")
        .args(["check", "--quiet", "--locked", "--lib", "--package", store])
        .env(variable, url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &described)
        .run();
    library.set_modified(modified)?;
    checked?;
    let statements = read(&described)?;
    ensure!(!statements.is_empty(), "{store}: no statement was checked");
    Ok((source.join(".sqlx"), statements))
}

fn read(folder: &Path) -> Result<Statements> {
    let read = |file: PathBuf| {
        let name = file.file_name().context("a file has a name")?;
        Ok((PathBuf::from(name), fs::read_to_string(&file)?))
    };
    files(folder, "json")?.into_iter().map(read).collect()
}
