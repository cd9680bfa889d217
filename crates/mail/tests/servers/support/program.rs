//! A program of the system, started for one test and ended with it.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

pub(crate) struct Program {
    name: String,
    child: Child,
}

impl Program {
    /// The Debian package is named where the program is missing.
    pub(crate) fn start(name: &str, package: &str, arguments: &[&str]) -> Self {
        Self::run(Command::new(name).args(arguments), &format!("install the Debian package {package}"))
    }

    /// Where it does not start, the advice is given.
    pub(crate) fn run(command: &mut Command, advice: &str) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = started.unwrap_or_else(|it| panic!("{name} does not start ({it}): {advice}"));
        Self { name, child }
    }

    /// Waits until it takes connections on this port.
    pub(crate) async fn listens(&mut self, port: u16) {
        let (name, child) = (&self.name, &mut self.child);
        super::eventually(&format!("{name} listens on {port}"), async || {
            assert!(child.try_wait().unwrap().is_none(), "{name} has ended");
            TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGTERM, so that a server takes its own children along.
        _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A tool that `cargo xtask test` keeps: in the folder that the variable names, or else in the user's cache.
pub(crate) fn tool(variable: &str, folder: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return path.into();
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| env::home_dir().map(|it| it.join(".cache"))).expect("there is no home directory");
    let path = cache.join("posthorn/tools").join(folder);
    assert!(path.exists(), "{} is missing: `cargo xtask test unit` installs it", path.display());
    path
}

/// Runs this test once more in a process of its own, which may end badly, and answers no; in that process it answers yes.
pub(crate) fn is_alone(test: &str) -> bool {
    const ALONE: &str = "POSTHORN_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return true;
    }
    let again = Command::new(env::current_exe().unwrap()).args(["--exact", test]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&again.stdout);
    assert!(again.status.success() && said.contains("1 passed"), "{}: {said}", again.status);
    false
}

pub(crate) fn whoami() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A port that nobody uses right now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
