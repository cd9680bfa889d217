//! A program of the system, started for one test and ended with it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

pub(crate) struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// The Debian package is named where the program is missing.
    pub(crate) fn start(name: &'static str, package: &str, arguments: &[&str]) -> Self {
        let started =
            Command::new(name).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child =
            started.unwrap_or_else(|it| panic!("{name} does not start ({it}): install the Debian package {package}"));
        Self { name, child }
    }

    /// Waits until it takes connections on this port.
    pub(crate) async fn listens(&mut self, port: u16) {
        let (name, child) = (self.name, &mut self.child);
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

/// A port that nobody uses right now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
