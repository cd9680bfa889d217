//! Real proxies: microsocks (SOCKS5) and tinyproxy (HTTP CONNECT), with and without a credential.

use domain::{account::Address, connector::ConnectorKind, ids::ConnectorId};
use service::{ports::ViaConnector, secret::Secret};
use tempfile::TempDir;

use super::program::{Program, free_port};

pub(crate) struct Proxy {
    port: u16,
    kind: ConnectorKind,
    credential: Option<(&'static str, &'static str)>,
    _program: Program,
    _folder: Option<TempDir>,
}

impl Proxy {
    pub(crate) async fn start(kind: ConnectorKind, credential: Option<(&'static str, &'static str)>) -> Self {
        let port = free_port();
        let (mut program, folder) = match kind {
            ConnectorKind::Socks5 => (microsocks(port, credential), None),
            ConnectorKind::HttpConnect => {
                let folder = tempfile::tempdir().unwrap();
                (tinyproxy(port, credential, &folder), Some(folder))
            }
            ConnectorKind::Ssh | ConnectorKind::Agent => panic!("that is no proxy"),
        };
        program.listens(port).await;
        Self { port, kind, credential, _program: program, _folder: folder }
    }

    pub(crate) fn connector(&self) -> ViaConnector {
        ViaConnector {
            id: ConnectorId(1),
            version: 1,
            host_key: None,
            kind: self.kind,
            address: Address::parse("127.0.0.1").unwrap(),
            port: self.port,
            credential: self.credential.map(|(name, secret)| (name.to_owned(), Secret::new(secret.to_owned()))),
        }
    }
}

fn microsocks(port: u16, credential: Option<(&str, &str)>) -> Program {
    let port = port.to_string();
    let mut arguments = vec!["-i", "127.0.0.1", "-p", &port];
    if let Some((name, secret)) = credential {
        arguments.extend(["-u", name, "-P", secret]);
    }
    Program::start("microsocks", "microsocks", &arguments)
}

fn tinyproxy(port: u16, credential: Option<(&str, &str)>, folder: &TempDir) -> Program {
    let log = folder.path().join("log");
    let mut config = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nLogFile \"{}\"\n", log.display());
    if let Some((name, secret)) = credential {
        config.extend(["BasicAuth ", name, " ", secret, "\n"]);
    }
    let file = folder.path().join("tinyproxy.conf");
    std::fs::write(&file, config).unwrap();
    Program::start("tinyproxy", "tinyproxy-bin", &["-d", "-c", &file.to_string_lossy()])
}
