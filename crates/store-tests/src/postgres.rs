//! A PostgreSQL database for one test: on the server of `POSTHORN_TEST_POSTGRES_URL`, else on a throw-away cluster that is
//! started from the system's binaries and stopped with the last test that uses it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// An empty database.
pub struct Database {
    pub url: String,
    name: String,
    server: String,
    /// Kept running as long as the database is in use.
    _cluster: Option<Arc<Cluster>>,
}

impl Database {
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (server, cluster) = if let Ok(url) = env::var("POSTHORN_TEST_POSTGRES_URL") {
            (url, None)
        } else {
            let cluster = tokio::task::spawn_blocking(Cluster::shared).await.unwrap();
            (cluster.url.clone(), Some(cluster))
        };
        let name = format!("posthorn_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        execute(&server, format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")).await;
        Self { url: with_database(&server, &name), name, server, _cluster: cluster }
    }

    /// Drops it. A test that fails does not come here and leaves its database to be looked at.
    pub async fn remove(self) {
        execute(&self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

async fn execute(server: &str, statement: String) {
    let mut connection = PgConnection::connect(server).await.expect("the server of the tests cannot be reached");
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (before, parameters) = url.split_once('?').map_or((url, None), |(before, it)| (before, Some(it)));
    let scheme = before.find("://").expect("the URL has a scheme") + 3;
    let end = before[scheme..].find('/').map_or(before.len(), |it| scheme + it);
    let parameters = parameters.map(|it| format!("?{it}")).unwrap_or_default();
    format!("{}/{name}{parameters}", &before[..end])
}

/// A cluster on a socket in a folder of its own. It stops and vanishes with the value.
struct Cluster {
    folder: PathBuf,
    url: String,
}

impl Cluster {
    /// The one that runs, or a new one.
    fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *running = Arc::downgrade(&cluster);
            cluster
        })
    }

    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("posthorn-postgres-").tempdir().unwrap().keep();
        let url = format!("postgres://posthorn@localhost/postgres?host={}", folder.display());
        let cluster = Self { folder, url };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&cluster.folder));
        }
        let data = cluster.folder.join("data");
        let options = ["--username=posthorn", "--auth=trust", "--encoding=UTF8", "--no-sync", "--locale=C", "-D"];
        run(program("initdb").args(options).arg(&data));
        // No TCP: nobody else can reach it, and no port can be taken.
        let options = format!("-c listen_addresses='' -c max_connections=200 -k {}", cluster.folder.display());
        run(program("pg_ctl")
            .args(["--silent", "--wait", "--options", &options, "--log"])
            .arg(cluster.folder.join("log"))
            .arg("-D")
            .arg(&data)
            .arg("start"));
        cluster
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = program("pg_ctl")
            .args(["--silent", "--mode=immediate", "-D"])
            .arg(self.folder.join("data"))
            .arg("stop")
            .stdout(Stdio::null())
            .status();
        if stopped.is_ok_and(|it| it.success()) {
            _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn is_root() -> bool {
    String::from_utf8_lossy(&run(Command::new("id").arg("-u")).stdout).trim() == "0"
}

/// A program of PostgreSQL's, as a user that it accepts: it refuses to run as root.
fn program(name: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").map(|it| it.flatten().map(|it| it.path()).collect());
    let mut versions: Vec<PathBuf> = versions.unwrap_or_default();
    versions.sort();
    let program = versions.last().map_or_else(|| PathBuf::from(name), |it| it.join("bin").join(name));
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program).current_dir(Path::new("/"));
    command
}

/// Runs to the end; what failed is said in full. Output goes to a file: a server that stays would hold a pipe open.
fn run(command: &mut Command) -> Output {
    let said = tempfile::NamedTempFile::new().unwrap();
    let writer = || Stdio::from(said.reopen().unwrap());
    let status = command.stdin(Stdio::null()).stdout(writer()).stderr(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| {
        panic!("{command:?}: {error}. Install PostgreSQL, or set POSTHORN_TEST_POSTGRES_URL to a server for the tests")
    });
    let stdout = fs::read(said.path()).unwrap();
    assert!(
        status.success(),
        "{command:?}: {status}\n{}\nInstall PostgreSQL, or set POSTHORN_TEST_POSTGRES_URL to a server for the tests",
        String::from_utf8_lossy(&stdout)
    );
    Output { status, stdout, stderr: Vec::new() }
}
