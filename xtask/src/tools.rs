//! The tools that are not in the checkout: looked for first, kept in the user's cache, installed with a reason.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::process::{Run as _, announce, command, is_root};

const TRUNK: &str = "0.21.14";
const BINARYEN: &str = "132.0.0";
const CARGO_FUZZ: &str = "0.13.2";
const PYMAP: &str = "0.36.7";
/// Cyrus, the libraries that few others need, and what keeps its passwords.
const CYRUS: [&str; 11] = [
    "cyrus-common",
    "cyrus-imapd",
    "cyrus-pop3d",
    "libical3",
    "libpcre3",
    "libsasl2-modules",
    "libsasl2-modules-db",
    "libwrap0",
    "libxapian30",
    "libzephyr4",
    "sasl2-bin",
];

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
    install(&format!("{program} {version} (some minutes)"), &mut install_command)?;
    Ok(folder)
}

/// The folder of cargo-fuzz.
pub(crate) fn cargo_fuzz() -> Result<PathBuf> {
    cargo_tool("cargo-fuzz", "cargo-fuzz", CARGO_FUZZ, &["--locked"])
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

/// What the tests run against.
pub(crate) fn for_tests() -> Result<()> {
    const MORE: &[Package] = &[
        ("chromium", "/usr/bin/chromium"),
        ("dnsmasq-base", "/usr/sbin/dnsmasq"),
        ("dovecot-submissiond", "/usr/lib/dovecot/submission"),
        ("iproute2", "/sbin/ip"),
        ("microsocks", "/usr/bin/microsocks"),
        ("openssh-server", "/usr/sbin/sshd"),
        ("tinyproxy", "/usr/bin/tinyproxy"),
        ("poppler-utils", "/usr/bin/pdftotext"),
        ("python3-venv", "ensurepip"),
        ("python3-aiosmtpd", "/usr/lib/python3/dist-packages/aiosmtpd"),
    ];
    install_packages("what the tests run against", MORE)?;
    pymap()?;
    cyrus()
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

/// A path that exists; for PostgreSQL a version that has its server, for Python a module.
fn is_there(path: &str) -> bool {
    match path {
        "ensurepip" => command("python3").args(["-c", "import ensurepip"]).succeeds(),
        "/usr/lib/postgresql" => postgres_bin().is_some(),
        _ => Path::new(path).exists(),
    }
}

/// An IMAP server in Python; its tests look for it in this folder.
fn pymap() -> Result<()> {
    let root = cache()?.join(format!("pymap-{PYMAP}"));
    if command(root.join("bin/pymap")).arg("--version").succeeds() {
        return Ok(());
    }
    fs::create_dir_all(&root)?;
    install("a folder for pymap", command("python3").args(["-m", "venv"]).arg(&root))?;
    let mut pip = command(root.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", &format!("pymap=={PYMAP}")]);
    install(&format!("pymap {PYMAP}, an IMAP server that the tests run against"), &mut pip)
}

/// Its packages and Dovecot's exclude each other, so they are only unpacked; its tests look for it in this folder.
fn cyrus() -> Result<()> {
    let root = cache()?.join("cyrus");
    if root.join("is-complete").exists() {
        return Ok(());
    }
    let packages = root.join("packages");
    fs::create_dir_all(&packages)?;
    let mut download = command("apt-get");
    download.args(["--quiet", "--quiet", "--option", "APT::Sandbox::User=root", "download"]).args(CYRUS);
    download.current_dir(&packages);
    install(
        "Cyrus, a mail server that the tests run against (else run `apt-get update` as root first)",
        &mut download,
    )?;
    for package in fs::read_dir(&packages)? {
        command("dpkg").arg("-x").arg(package?.path()).arg(&root).run()?;
    }
    fs::remove_dir_all(&packages)?;
    let mut libraries = Vec::new();
    for folder in ["lib", "usr/lib"] {
        libraries.extend(fs::read_dir(root.join(folder))?.flatten().map(|it| it.path()));
    }
    let libraries = env::join_paths(libraries)?;
    let linked = command("ldd").arg(root.join("usr/lib/cyrus/bin/imapd")).env("LD_LIBRARY_PATH", libraries).read()?;
    let missing: Vec<&str> = linked.lines().filter(|it| it.contains("not found")).map(str::trim).collect();
    ensure!(missing.is_empty(), "Cyrus lacks libraries of the system: {}", missing.join(", "));
    Ok(fs::write(root.join("is-complete"), "")?)
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
