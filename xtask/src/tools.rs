//! The tools that are not in the checkout: looked for first, kept in the user's cache, installed with a reason.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::process::{Run as _, announce, command, is_root};

const TRUNK: &str = "0.21.14";
const BINARYEN: &str = "132.0.0";

/// `~/.cache/posthorn/tools`, or under `XDG_CACHE_HOME`.
fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::home_dir().map(|it| it.join(".cache"))).context("there is no home directory")?;
    Ok(base.join("posthorn/tools"))
}

/// Makes sure of everything that the browser bundle needs; answers with the folders to put before `PATH`.
pub(crate) fn for_bundle() -> Result<Vec<PathBuf>> {
    let targets = command("rustup").args(["target", "list", "--installed"]).read()?;
    if !targets.lines().any(|it| it == "wasm32-unknown-unknown") {
        install(
            "the Rust target for the browser",
            command("rustup").args(["target", "add", "wasm32-unknown-unknown"]),
        )?;
    }
    let bindgen = locked_version("wasm-bindgen")?;
    Ok(vec![
        // Without --locked: its lock file names a version that cannot be had any more.
        cargo_tool("wasm-bindgen-cli", "wasm-bindgen", &bindgen, &[])?,
        cargo_tool("trunk", "trunk", TRUNK, &["--locked"])?,
        wasm_opt()?,
    ])
}

fn cargo_tool(package: &str, program: &str, version: &str, options: &[&str]) -> Result<PathBuf> {
    let root = cache()?.join(format!("{program}-{version}"));
    let folder = root.join("bin");
    if command(folder.join(program)).arg("--version").succeeds() {
        return Ok(folder);
    }
    let mut install_command = command("cargo");
    install_command.args(["install", package, "--version", version, "--root"]).arg(&root).args(options);
    // These run for seconds; what takes minutes is building them.
    install_command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "false");
    install_command.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    install(&format!("{program} {version}, which makes the browser bundle (some minutes)"), &mut install_command)?;
    Ok(folder)
}

fn wasm_opt() -> Result<PathBuf> {
    let root = cache()?.join(format!("binaryen-{BINARYEN}"));
    let folder = root.join("node_modules/.bin");
    if !folder.join("wasm-opt").exists() {
        fs::create_dir_all(&root)?;
        let mut npm = command("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(&root).arg(format!("binaryen@{BINARYEN}"));
        install("wasm-opt, which makes the browser bundle small", &mut npm)?;
    }
    Ok(folder)
}

/// A Debian package and a path that is there once it is installed.
type Package = (&'static str, &'static str);

/// What benchmarks, soaks and tests alike run against.
const SERVERS: &[Package] = &[
    ("dovecot-imapd", "/usr/lib/dovecot/imap"),
    ("dovecot-pop3d", "/usr/lib/dovecot/pop3"),
    ("openssl", "/usr/bin/openssl"),
    ("postgresql", "/usr/lib/postgresql"),
    ("sqlite3", "/usr/bin/sqlite3"),
];

pub(crate) fn for_tests() -> Result<()> {
    const MORE: &[Package] = &[
        ("chromium", "/usr/bin/chromium"),
        ("microsocks", "/usr/bin/microsocks"),
        ("tinyproxy", "/usr/bin/tinyproxy"),
        ("poppler-utils", "/usr/bin/pdftotext"),
        ("python3-aiosmtpd", "/usr/lib/python3/dist-packages/aiosmtpd"),
    ];
    install_packages("what the tests run against", MORE)
}

pub(crate) fn for_bench() -> Result<()> {
    const PEERS: &[Package] = &[
        ("fetchmail", "/usr/bin/fetchmail"),
        ("getmail6", "/usr/bin/getmail"),
        ("isync", "/usr/bin/mbsync"),
        ("mpop", "/usr/bin/mpop"),
    ];
    install_packages("the peers of the benchmarks", PEERS)
}

pub(crate) fn for_soak() -> Result<()> {
    install_packages("what the soaks run against", &[])
}

/// The servers and more Debian packages: installed as root or with sudo, else the command is printed.
fn install_packages(what: &str, more: &[Package]) -> Result<()> {
    let wanted = SERVERS.iter().chain(more);
    let missing: Vec<&str> = wanted.filter(|(_, path)| !is_there(path)).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get update && apt-get install --yes --no-install-recommends {}", missing.join(" "));
    announce(&format!("installing {what}: {}", missing.join(", ")));
    let mut shell = match (is_root()?, command("sudo").args(["-n", "true"]).succeeds()) {
        (true, _) => command("sh"),
        (false, true) => {
            let mut sudo = command("sudo");
            sudo.arg("sh");
            sudo
        }
        (false, false) => bail!("run this, then try again: sudo sh -c '{line}'"),
    };
    shell.args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive").run()
}

/// A path that exists; for PostgreSQL a version that has its server.
fn is_there(path: &str) -> bool {
    if path.ends_with("postgresql") { postgres_bin().is_some() } else { Path::new(path).exists() }
}

/// The folder of the newest installed PostgreSQL server.
pub(crate) fn postgres_bin() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|it| it.path().join("bin"));
    folders.filter(|it| it.join("initdb").exists()).max()
}

fn install(what: &str, install_command: &mut std::process::Command) -> Result<()> {
    announce(&format!("installing {what}"));
    install_command.run().context("an installation failed; run that command by hand to see why")
}

/// The version of a package in `Cargo.lock`.
fn locked_version(package: &str) -> Result<String> {
    let lock = fs::read_to_string("Cargo.lock")?;
    let wanted = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|it| *it != wanted);
    let version = lines.nth(1).and_then(|it| it.strip_prefix("version = \"")).and_then(|it| it.strip_suffix('"'));
    version.map(str::to_owned).with_context(|| format!("Cargo.lock has no {package}"))
}
