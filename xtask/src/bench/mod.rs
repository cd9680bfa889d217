//! `cargo xtask bench [NAME [SIZE]]`: how fast, beside the peers, which are installed. Figures are ratios of one run;
//! `docs/benchmarks.md` says what each measures and keeps the last ones. A smaller size is for a quick trial.

mod delay;
mod export;
mod idle;
mod large;
mod mail;
mod peers;
mod poll;
mod pop3;

use std::env;

use anyhow::{Result, bail};

use crate::{
    process::{Run as _, announce, command},
    tools,
};

/// Takes what the command line says after its name.
type Benchmark = fn(&[String]) -> Result<()>;

const BENCHMARKS: [(&str, Benchmark); 8] = [
    ("accounts", |_| accounts()),
    ("csv", |_| export::run()),
    ("mail", mail::run),
    ("pop3", pop3::run),
    ("delay", delay::run),
    ("poll", poll::run),
    ("large", large::run),
    ("idle", idle::run),
];

/// All benchmarks, or the one of that name.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    // The bare client sets the bar: it must not pay for being built for debugging. With a binary named, nothing is built.
    if cfg!(debug_assertions) && env::var_os("POSTHORN_BINARY").is_none() {
        let mut optimised = command("cargo");
        optimised.args(["run", "--quiet", "--release", "--locked", "--package", "xtask", "--", "bench"]);
        return optimised.args(arguments).run();
    }
    let names = || BENCHMARKS.map(|it| it.0).join(", ");
    let (wanted, sizes) = (arguments.first(), arguments.get(1..).unwrap_or_default());
    if let Some(name) = wanted.filter(|name| BENCHMARKS.iter().all(|it| it.0 != *name)) {
        bail!("there is no benchmark `{name}`: {}", names());
    }
    tools::for_bench()?;
    for (name, benchmark) in BENCHMARKS {
        if wanted.is_none_or(|it| it == name) {
            benchmark(sizes)?;
        }
    }
    Ok(())
}

/// Every filter, order and page of 100,000 accounts in each store.
fn accounts() -> Result<()> {
    announce("100,000 accounts in each store");
    command("cargo")
        .args(["run", "--quiet", "--release", "--locked", "--package", "store-postgres", "--example", "accounts"])
        .run()
}
