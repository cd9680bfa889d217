//! `cargo xtask bench [NAME]`: how fast, beside the peers that are installed. Figures are ratios of one run; `docs/benchmarks.md`
//! says what each measures and keeps the last ones.

mod dovecot;
mod export;
mod mail;

use anyhow::{Result, bail};

use crate::process::{Run as _, announce, command};

/// All benchmarks, or the one of that name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments.first().map(String::as_str) {
        None => {
            accounts()?;
            export::run()?;
            mail::run()
        }
        Some("accounts") => accounts(),
        Some("csv") => export::run(),
        Some("mail") => mail::run(),
        Some(other) => bail!("there is no benchmark `{other}`: accounts, csv, mail"),
    }
}

/// Every filter, order and page of 100,000 accounts in each store.
fn accounts() -> Result<()> {
    announce("100,000 accounts in each store");
    command("cargo")
        .args(["run", "--quiet", "--release", "--locked", "--package", "store-postgres", "--example", "accounts"])
        .run()
}
