//! A real pymap of our own: IMAP in the clear and by STARTTLS, one user, mail in memory.

use std::{fs, path::Path, process::Command};

use domain::account::{Protocol, Security, Trust};
use tempfile::TempDir;

use super::{
    program::{Program, free_port, tool},
    server::{Server, USER, USER_PASSWORD},
};

/// The same as in `xtask`, which installs it.
const FOLDER: &str = "pymap-0.36.7";

pub(crate) struct Pymap {
    port: u16,
    program: Option<Program>,
    folder: TempDir,
}

impl Server for Pymap {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let program = Some(launch(folder.path(), port).await);
        Self { port, program, folder }
    }

    fn served(&self) -> Vec<(Protocol, Security)> {
        [Security::Plain, Security::StartTls(Trust::SkipCertificate { until: None })]
            .map(|it| (Protocol::Imap, it))
            .to_vec()
    }

    fn port(&self, _: Protocol, _: Security) -> u16 {
        self.port
    }

    /// It remembers nothing.
    async fn renew(&mut self, _: &str) {
        self.program = None;
        self.program = Some(launch(self.folder.path(), self.port).await);
    }
}

async fn launch(folder: &Path, port: u16) -> Program {
    let mut command = Command::new(tool("POSTHORN_TEST_PYMAP", FOLDER).join("bin/pymap"));
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--no-service", "admin", "--no-service", "managesieve"]);
    command.arg("--cert").arg(folder.join("cert.pem")).arg("--key").arg(folder.join("key.pem"));
    command.args(["dict", "--demo-user", USER, "--demo-password", USER_PASSWORD]);
    let mut program = Program::run(&mut command, "`cargo xtask test unit` installs it");
    program.listens(port).await;
    program
}
