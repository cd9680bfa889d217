//! The test of a connector: by it, and on to a server to see whether that greets. No mail credential has any part in it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    check::{ErrorKind, Stage},
    connector::{ConnectorKind, TestTarget},
    ids::ConnectorId,
};
use service::ports::{ConnectorProbe, MailError, Probed, StageLog, ViaConnector};
use tokio::{io::AsyncReadExt as _, time::timeout};

use crate::{
    Mail,
    dial::{connect, failed, tunnel},
    said,
    ssh::{Fault, Seen, Session},
    stages::Stages,
    tunnel::nobody,
    wire::Stream,
};

/// Somebody waits for the answer.
const STEP: Duration = Duration::from_secs(15);
/// A server that waits for TLS says nothing; one that ends the connection does so by then.
const SILENCE: Duration = Duration::from_secs(1);
/// The beginning of a greeting.
const GREETING: usize = 512;

#[async_trait]
impl ConnectorProbe for Mail {
    async fn probe(&self, connector: &ViaConnector, target: Option<&TestTarget>, log: Arc<dyn StageLog>) -> Probed {
        let stages = Stages::new(log, self.settings.step_timeout.min(STEP));
        let seen = Seen::default();
        let error = self.pass(connector, target, &stages, &seen).await.err();
        Probed { host_key: seen.key(), error }
    }
}

impl Mail {
    async fn pass(
        &self,
        connector: &ViaConnector,
        target: Option<&TestTarget>,
        stages: &Stages,
        seen: &Seen,
    ) -> Result<(), MailError> {
        let egress = &self.dialer.egress;
        if let Some(TestTarget { address, port, .. }) = target
            && let Err(error) = egress.check_target(address, *port)
        {
            return stages.run(Stage::Resolve, async { Err(error) }).await;
        }
        if connector.kind == ConnectorKind::Agent {
            return self.pass_agents(connector.id, target, stages).await;
        }
        let stream = connect(&connector.address, connector.port, egress, stages).await?;
        let passed: Option<Box<dyn Stream>> = match (connector.kind, target) {
            (ConnectorKind::Ssh, target) => {
                let work = async {
                    let session = Arc::new(Session::open(stream, connector, seen).await.map_err(Fault::into_error)?);
                    let Some(TestTarget { address, port, .. }) = target else {
                        return Ok((None, "SSH, authenticated".to_owned()));
                    };
                    let tunnel = session.channel((address, *port)).await.map_err(Fault::into_error)?;
                    Ok((Some(Box::new(tunnel) as Box<dyn Stream>), format!("SSH to {address} port {port}")))
                };
                stages.run(Stage::Connector, work).await?
            }
            (ConnectorKind::Agent, _) => return Err(failed("an agent is not dialled")),
            // A proxy is asked for nothing but a way to somewhere.
            (ConnectorKind::Socks5 | ConnectorKind::HttpConnect, None) => None,
            (ConnectorKind::Socks5 | ConnectorKind::HttpConnect, Some(TestTarget { address, port, .. })) => {
                Some(stages.run(Stage::Connector, tunnel(stream, connector, address, *port)).await?)
            }
        };
        match (passed, target) {
            (Some(stream), Some(target)) => stages.run(Stage::Greeting, greeting(stream, target)).await,
            _ => Ok(()),
        }
    }

    /// Nobody is dialled: the agents are there or they are not.
    async fn pass_agents(
        &self,
        connector: ConnectorId,
        target: Option<&TestTarget>,
        stages: &Stages,
    ) -> Result<(), MailError> {
        let hub = &self.dialer.hub;
        let Some(target) = target else {
            let present = async {
                match hub.n_agents(connector) {
                    0 => Err(nobody()),
                    n => Ok(((), format!("agents that are connected: {n}"))),
                }
            };
            return stages.run(Stage::Connector, present).await;
        };
        let stream = stages.run(Stage::Connector, hub.open(connector, (&target.address, target.port))).await?;
        stages.run(Stage::Greeting, greeting(stream, target)).await
    }
}

/// What the server says by itself.
async fn greeting(mut stream: Box<dyn Stream>, target: &TestTarget) -> Result<((), String), MailError> {
    let wait = if target.waits_for_tls { SILENCE } else { STEP };
    let failed = |message: String| MailError::new(ErrorKind::Protocol, Stage::Greeting, message);
    let mut bytes = [0; GREETING];
    match timeout(wait, stream.read(&mut bytes)).await {
        Ok(Ok(0)) => Err(failed("the other end closed the connection without a word".to_owned())),
        Ok(Ok(n)) => Ok(((), said(bytes[..n].split(|it| matches!(it, b'\r' | b'\n')).next().unwrap_or_default()))),
        Ok(Err(error)) => Err(failed(format!("the connection broke: {error}"))),
        Err(_) if target.waits_for_tls => Ok(((), "connected; TLS comes first on this port".to_owned())),
        Err(_) => Err(MailError::new(ErrorKind::Timeout, Stage::Greeting, "connected, but nobody greets")),
    }
}
