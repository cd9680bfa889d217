//! The commands of a checkout: `cargo xtask serve | test | build | spa | prepare | bench | soak`.

mod bench;
mod bundle;
mod prepare;
mod process;
mod rig;
mod soak;
mod test;
mod tidy;
mod tools;

use std::{env, process::ExitCode};

use anyhow::{Result, bail};
use process::{Run as _, command};

const USAGE: &str = "cargo xtask serve [-- ARGS] | test [lint|unit|e2e] | build | spa | prepare | bench [NAME [SIZE]] | soak [NAME [SIZE]]";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    env::set_current_dir(process::root())?;
    match arguments.first().map(String::as_str) {
        Some("serve") => serve(&arguments[1..]),
        Some("build") => build(),
        Some("spa") => bundle::build_spa(),
        Some("bench") => bench::run(&arguments[1..]),
        Some("soak") => soak::run(&arguments[1..]),
        Some("test") => test::run(&arguments[1..]),
        Some("prepare") => prepare::run(),
        _ => bail!("usage: {USAGE}"),
    }
}

/// Builds everything and runs the server on `./data`.
fn serve(arguments: &[String]) -> Result<()> {
    build()?;
    let extra = arguments.iter().skip_while(|it| *it == "--");
    // Its own default is `./data`.
    command("target/release/posthorn").arg("serve").args(extra).run()
}

/// `target/release/posthorn`: one file with the browser bundle inside.
fn build() -> Result<()> {
    bundle::build()?;
    process::announce("building the server");
    command("cargo").args(["build", "--release", "--locked", "--package", "server"]).run()
}
