//! Rules of the house that a machine can check: each finding names file, line and reason.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};

/// Looks through the sources; fails with every finding.
pub(crate) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for folder in ["app", "server", "frontend", "crates", "xtask"] {
        for file in files(Path::new(folder), "rs")? {
            let text = fs::read_to_string(&file)?;
            if !text.trim_start_matches("#!").starts_with("//!") {
                findings.push(format!("{}:1: begins with a `//!` that says what is here", file.display()));
            }
            for (nth, line) in text.lines().enumerate() {
                let is_open = line.contains(concat!("TO", "DO")) || line.contains(concat!("FIX", "ME"));
                if is_open && !line.contains("when") {
                    findings.push(format!("{}:{}: says when it is to be done", file.display(), nth + 1));
                }
            }
        }
    }
    let names = |folder: &str| -> Result<BTreeSet<_>> {
        Ok(files(Path::new(folder), "sql")?
            .into_iter()
            .filter_map(|it| it.file_name().map(ToOwned::to_owned))
            .collect())
    };
    let (sqlite, postgres) = (names("crates/store-sqlite/migrations")?, names("crates/store-postgres/migrations")?);
    for name in sqlite.symmetric_difference(&postgres) {
        findings.push(format!("migrations: {} is in one store only", name.display()));
    }
    ensure!(findings.is_empty(), "tidy:\n{}", findings.join("\n"));
    Ok(())
}

/// All files below a folder with that ending.
pub(crate) fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("node_modules") {
                found.extend(files(&path, ending)?);
            }
        } else if path.extension().is_some_and(|it| it == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
