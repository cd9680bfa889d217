//! The way to the server: directly, through SOCKS5 (RFC 1928), through HTTP CONNECT (RFC 9110 section 9.3.6), through SSH, or by an
//! agent.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::{Address, Destination},
    check::{ErrorKind, Stage},
    connection_test::Fact,
    connector::ConnectorKind,
};
use service::ports::{MailError, ViaConnector};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_socks::tcp::Socks5Stream;

use crate::{
    egress::{Egress, Resolver},
    race, ssh,
    stages::Stages,
    tunnel::Hub,
    wire::{Stream, Tap},
};

/// The longest header of a proxy's answer.
const HEADER_MAX: usize = 8 * 1024;

/// What connections are made with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) egress: Egress,
    ssh: Arc<ssh::Pool>,
    pub(crate) hub: Hub,
}

impl Dialer {
    pub(crate) fn new(egress: Egress) -> Self {
        Self { egress, ssh: Arc::default(), hub: Hub::default() }
    }

    /// The same with another way to look names up.
    pub(crate) fn resolved_by(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { egress: self.egress.resolved_by(resolver), ..self }
    }

    pub(crate) async fn dial(
        &self,
        destination: &Destination,
        connector: Option<&ViaConnector>,
        stages: &Stages,
    ) -> Result<Box<dyn Stream>, MailError> {
        let (address, port) = (&destination.address, destination.port);
        let Some(connector) = connector else { return direct(destination, &self.egress, stages).await };
        // The connector resolves the name in its own network; here only the port and a literal address can be judged.
        stages
            .run(Stage::Resolve, async {
                self.egress.check_target(address, port).map(|()| ((), format!("{address} by the connector")))
            })
            .await?;
        match connector.kind {
            ConnectorKind::Ssh => return self.ssh.open(connector, (address, port), &self.egress, stages).await,
            ConnectorKind::Agent => {
                return stages.run(Stage::Connector, self.hub.open(connector.id, (address, port))).await;
            }
            ConnectorKind::Socks5 | ConnectorKind::HttpConnect => {}
        }
        let stream = connect(&connector.address, connector.port, &self.egress, stages).await?;
        stages.run(Stage::Connector, tunnel(stream, connector, address, port)).await
    }
}

/// Without a connector.
pub(crate) async fn direct(
    destination: &Destination,
    egress: &Egress,
    stages: &Stages,
) -> Result<Box<dyn Stream>, MailError> {
    Ok(Box::new(connect(&destination.address, destination.port, egress, stages).await?))
}

/// Has a proxy connect to the target.
pub(crate) async fn tunnel(
    stream: TcpStream,
    connector: &ViaConnector,
    address: &Address,
    port: u16,
) -> Result<(Box<dyn Stream>, String), MailError> {
    let stream = match connector.kind {
        ConnectorKind::Socks5 => socks5(stream, connector, address, port).await?,
        ConnectorKind::HttpConnect => http_connect(stream, connector, address, port).await?,
        ConnectorKind::Ssh | ConnectorKind::Agent => return Err(failed("that is no proxy")),
    };
    Ok((stream, format!("{} to {address} port {port}", connector.kind.label())))
}

/// Resolves, applies the policy, and connects to an address that passed it.
pub(crate) async fn connect(
    address: &Address,
    port: u16,
    egress: &Egress,
    stages: &Stages,
) -> Result<TcpStream, MailError> {
    let resolve = async {
        let permitted = egress.resolve(address, port, stages).await?;
        let detail = permitted.iter().map(|it| it.ip().to_string()).collect::<Vec<_>>().join(", ");
        Ok((permitted, detail))
    };
    let permitted = stages.run(Stage::Resolve, resolve).await?;
    let connect = async {
        let refused = |why| MailError::new(ErrorKind::Refused, Stage::Connect, format!("no connection to {why}"));
        let (stream, address) = race::connect(&permitted).await.map_err(refused)?;
        stages.found(|| Fact::Connected(address.to_string()));
        Ok((stream, address.to_string()))
    };
    stages.run(Stage::Connect, connect).await
}

pub(crate) fn failed(message: impl Into<String>) -> MailError {
    MailError::new(ErrorKind::Connector, Stage::Connector, message)
}

async fn socks5(
    stream: TcpStream,
    connector: &ViaConnector,
    address: &Address,
    port: u16,
) -> Result<Box<dyn Stream>, MailError> {
    let target = (address.as_str(), port);
    let connected = match &connector.credential {
        None => Socks5Stream::connect_with_socket(stream, target).await,
        Some((name, secret)) => {
            Socks5Stream::connect_with_password_and_socket(stream, target, name, secret.expose()).await
        }
    };
    let stream = connected.map_err(|it| failed(format!("the SOCKS5 proxy refused: {it}")))?;
    Ok(Box::new(stream))
}

async fn http_connect(
    mut stream: TcpStream,
    connector: &ViaConnector,
    address: &Address,
    port: u16,
) -> Result<Box<dyn Stream>, MailError> {
    let host = if address.as_str().contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
    let mut tap = Tap::default();
    let authorization = connector.credential.as_ref().map_or_else(String::new, |(name, secret)| {
        let credential = STANDARD.encode(format!("{name}:{}", secret.expose()));
        tap.guard(name, secret.expose());
        tap.guard_form(&credential);
        format!("Proxy-Authorization: Basic {credential}\r\n")
    });
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n");
    let broken = |it: std::io::Error| failed(format!("the connection to the proxy broke: {it}"));
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    // Byte by byte: what follows the header is the mail server's greeting and must stay where it is.
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") && !header.ends_with(b"\n\n") {
        if header.len() >= HEADER_MAX {
            return Err(failed("the proxy's answer has no end"));
        }
        header.push(stream.read_u8().await.map_err(broken)?);
    }
    let line = tap.redacted(header.split(|it| *it == b'\n').next().unwrap_or_default());
    let line = String::from_utf8_lossy(&line);
    match line.split_whitespace().nth(1) {
        Some(status) if status.len() == 3 && status.starts_with('2') => Ok(Box::new(stream)),
        Some("407") => Err(failed("the proxy wants another credential (407)")),
        _ => Err(failed(format!("the proxy refused: {}", crate::said(line.as_bytes())))),
    }
}
