//! `cargo xtask test`: fast checks first, then the suites, then a real browser against real mail servers.

use std::{env, fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{
    bundle, prepare,
    process::{Run as _, announce, command, is_root},
    tidy, tools,
};

type Step = (&'static str, fn() -> Result<()>);

/// All steps, or those of one kind.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let lint: &[Step] = &[
        ("format", || command("cargo").args(["fmt", "--all", "--check"]).run()),
        ("tidy", tidy::check),
        ("lints, native", || clippy(&["--workspace", "--exclude", "frontend", "--all-targets"])),
        ("lints, browser", lint_browser),
        ("checked SQL is current", prepare::check),
    ];
    let unit: &[Step] = &[("units, conformance, routes", unit)];
    let e2e: &[Step] = &[
        ("browser bundle", bundle::build),
        ("bundle size", bundle::check_size),
        ("app alone", bundle::build_spa),
        ("end to end", e2e),
        ("kills while mail is deleted", || soak(&["kill", "12"])),
        ("chaos between instances", || soak(&["chaos", "30"])),
    ];
    let steps: Vec<&Step> = match arguments.first().map(String::as_str) {
        None => [lint, unit, e2e].into_iter().flatten().collect(),
        Some("lint") => lint.iter().collect(),
        Some("unit") => unit.iter().collect(),
        Some("e2e") => e2e.iter().collect(),
        Some(other) => bail!("there is no step `{other}`: lint, unit, e2e"),
    };
    tools::for_tests()?;
    let mut durations = Vec::new();
    for (name, step) in steps {
        announce(name);
        let began = Instant::now();
        step().with_context(|| format!("step \"{name}\""))?;
        durations.push(format!("{:>5} s  {name}", began.elapsed().as_secs()));
    }
    eprintln!("\n{}", durations.join("\n"));
    Ok(())
}

fn clippy(options: &[&str]) -> Result<()> {
    command("cargo").args(["clippy", "--quiet", "--locked"]).args(options).args(["--", "--deny", "warnings"]).run()
}

fn lint_browser() -> Result<()> {
    if !command("rustup").args(["target", "list", "--installed"]).read()?.contains("wasm32-unknown-unknown") {
        command("rustup").args(["target", "add", "wasm32-unknown-unknown"]).run()?;
    }
    clippy(&["--package", "frontend", "--target", "wasm32-unknown-unknown"])
}

fn unit() -> Result<()> {
    let cluster = Cluster::start()?;
    suites().env("POSTHORN_TEST_POSTGRES_URL", &cluster.url).run()
}

fn suites() -> Command {
    let mut cargo = command("cargo");
    cargo.args(["test", "--locked", "--workspace", "--exclude", "frontend"]);
    cargo
}

fn e2e() -> Result<()> {
    // The server as the suites had it: for itself alone it would be built once more, with other features of its crates.
    suites().arg("--no-run").run()?;
    let npm = |arguments: &[&str]| {
        command("npm")
            .args(arguments)
            .current_dir("end2end")
            .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
            .env("POSTHORN_BINARY", fs::canonicalize("target/debug/posthorn")?)
            .run()
    };
    npm(&["ci", "--no-audit", "--no-fund"])?;
    npm(&["test"])
}

/// A short run of what `cargo xtask soak` does at length, with the binary that the end-to-end tests were run against.
fn soak(arguments: &[&str]) -> Result<()> {
    command(env::current_exe()?)
        .arg("soak")
        .args(arguments)
        .env("POSTHORN_BINARY", fs::canonicalize("target/debug/posthorn")?)
        .run()
}

/// A throw-away PostgreSQL cluster on a socket in a folder of its own. It stops and vanishes with the value.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
}

impl Cluster {
    pub(crate) fn start() -> Result<Self> {
        let folder = env::temp_dir().join(format!("posthorn-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let url = format!("postgres://posthorn@localhost/postgres?host={}", folder.display());
        let cluster = Self { folder, url };
        if is_root()? {
            command("chown").arg("postgres").arg(&cluster.folder).run()?;
        }
        let (data, socket) = (cluster.folder.join("data"), cluster.folder.display().to_string());
        as_other("initdb")?
            .args(["--username=posthorn", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C", "-D"])
            .arg(&data)
            .stdout(std::process::Stdio::null())
            .run()?;
        // No TCP: nobody else can reach it, and no port can be taken.
        let options = format!("-c listen_addresses='' -c max_connections=200 -k {socket}");
        as_other("pg_ctl")?
            .args(["--silent", "--wait", "--options", &options, "--log"])
            .arg(cluster.folder.join("log"))
            .arg("-D")
            .arg(&data)
            .arg("start")
            .run()?;
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = as_other("pg_ctl").and_then(|mut it| {
            it.args(["--silent", "--mode=immediate", "-D"]).arg(self.folder.join("data")).arg("stop").run()
        });
        if let Err(error) = stop.and_then(|()| Ok(fs::remove_dir_all(&self.folder)?)) {
            eprintln!("the test cluster could not be removed: {error:#}");
        }
    }
}

/// A program of PostgreSQL's, as a user that it accepts: it refuses to run as root.
fn as_other(program: &str) -> Result<Command> {
    let program = tools::postgres_bin().context("PostgreSQL is missing")?.join(program);
    if !is_root()? {
        return Ok(command(program));
    }
    let mut runuser = command("runuser");
    runuser.args(["-u", "postgres", "--"]).arg(program).current_dir("/");
    Ok(runuser)
}
