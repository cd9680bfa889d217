//! What posthorn keeps of its checks, read with the database's own program: rows of whole numbers.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    process::{Run as _, command},
    test::Cluster,
    tools,
};

/// Rows of a `posthorn.db`, also while it is in use.
pub(crate) fn sqlite(file: &Path, select: &str) -> Result<Vec<Vec<i64>>> {
    rows(&command("sqlite3").args(["-readonly", "-cmd", ".timeout 10000"]).arg(file).arg(select).read()?)
}

/// Rows of the throw-away cluster's database.
pub(crate) fn postgres(cluster: &Cluster, select: &str) -> Result<Vec<Vec<i64>>> {
    let program = tools::postgres_bin().context("PostgreSQL is missing")?.join("psql");
    let mut psql = command(program);
    psql.args([
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--username",
        "posthorn",
        "--dbname",
        "postgres",
        "--host",
    ]);
    rows(&psql.arg(&cluster.folder).arg("--command").arg(select).read()?)
}

fn rows(text: &str) -> Result<Vec<Vec<i64>>> {
    let number = |it: &str| it.parse().with_context(|| format!("no whole number: \"{it}\""));
    text.lines().filter(|it| !it.is_empty()).map(|it| it.split('|').map(number).collect()).collect()
}

/// The value below which `share` per cent of the values are. **Invariant:** they are sorted.
pub(crate) fn percentile(sorted: &[i64], share: usize) -> i64 {
    let nth = (sorted.len() * share).div_ceil(100).max(1) - 1;
    sorted.get(nth).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{percentile, rows};

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<i64> = (1..=200).collect();
        assert_eq!([50, 95, 100].map(|it| percentile(&values, it)), [100, 190, 200]);
        assert_eq!(percentile(&[7], 95), 7);
        assert_eq!(percentile(&[], 95), 0);
    }

    #[test]
    fn rows_are_whole_numbers() {
        assert_eq!(rows("1|-2\n3|4\n").unwrap(), [[1, -2], [3, 4]]);
        assert!(rows("1|\n").is_err());
    }
}
