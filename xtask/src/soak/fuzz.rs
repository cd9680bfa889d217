//! `fuzz [TARGET] [SECONDS]`: runs the readers on what nobody would send, each target for 300 s unless told otherwise.
//!
//! What was found stays in `target/fuzz/corpus` for the next run; an input that breaks something is named at the end and belongs
//! into `crates/mail/tests/corpus`, where the tests replay it.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::{
    process::{Run as _, announce, command},
    tools,
};

const TARGETS: [&str; 3] = ["imap", "pop3", "message"];
const SECONDS: u32 = 300;
/// Longer inputs find the same, more slowly.
const LENGTH_MAX: u32 = 64 * 1024;

/// Runs all targets, or the one that is named, each for so many seconds.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut targets, mut seconds) = (TARGETS.to_vec(), SECONDS);
    for argument in arguments {
        if let Some(target) = TARGETS.into_iter().find(|it| it == argument) {
            targets = vec![target];
        } else {
            seconds = argument.parse().ok().context("usage: fuzz [imap|pop3|message] [SECONDS]")?;
        }
    }
    let cargo_fuzz = tools::cargo_fuzz()?;
    let mut broken = Vec::new();
    for target in targets {
        announce(&format!("fuzzing {target} for {seconds} s"));
        let found = format!("target/fuzz/corpus/{target}");
        let inputs = format!("target/fuzz/artifacts/{target}/");
        for folder in [&found, &inputs] {
            fs::create_dir_all(folder)?;
        }
        let mut fuzz = command(cargo_fuzz.join("cargo-fuzz"));
        // It instruments by options that only a nightly compiler takes, or one that is told to be one.
        fuzz.env("RUSTC_BOOTSTRAP", "1");
        fuzz.args(["run", "--fuzz-dir", "fuzz", "--target-dir", "target/fuzz", target]);
        fuzz.args([&found, &format!("crates/mail/tests/corpus/{target}"), "--"]);
        fuzz.args([format!("-max_total_time={seconds}"), format!("-max_len={LENGTH_MAX}")]);
        fuzz.args([format!("-dict=fuzz/{target}.dict"), format!("-artifact_prefix={inputs}")]);
        fuzz.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        if let Err(error) = fuzz.run() {
            broken.push(format!("{target}: {error:#}; its input lies in {inputs}"));
        }
    }
    if broken.is_empty() { Ok(()) } else { bail!("fuzzing broke something:\n{}", broken.join("\n")) }
}
