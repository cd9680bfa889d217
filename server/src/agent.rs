//! `posthorn connector`: the agent in a closed network. It needs neither store nor configuration of a server.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use mail::tunnel::agent::{Agent, AgentOptions, AllowList, AllowRule, ProxyChoice};
use service::secret::Secret;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::{say, wait_for_signal},
    config::host_name,
};

/// What the agent is told.
#[derive(Args)]
pub(crate) struct ConnectorOptions {
    /// The URL of Posthorn; given several times or separated by commas, one tunnel is kept to each.
    #[arg(long, env = "POSTHORN_SERVER", required = true, value_delimiter = ',')]
    server: Vec<String>,
    /// The file with the agent's key, mode 0600; `--enroll` makes it.
    #[arg(long, env = "POSTHORN_TOKEN_FILE")]
    token_file: PathBuf,
    /// What the server may reach, separated by commas: `mail.internal:993`, `10.0.0.0/8:143`, `[fd00::/8]:993`. Without it,
    /// nothing.
    #[arg(long, env = "POSTHORN_ALLOW", value_delimiter = ',')]
    allow: Vec<AllowRule>,
    /// A file with the certificates (PEM) of the authority that vouches for the server, in place of the system's.
    #[arg(long, env = "POSTHORN_CA")]
    ca: Option<PathBuf>,
    /// The proxy by which the server is dialled: `http://HOST:PORT`, `socks5://HOST:PORT`, or `socks5h://HOST:PORT`, which looks
    /// names up itself; a login stands before the host, as in `NAME:PASSWORD@HOST`. `none`: directly. Without it `HTTPS_PROXY`,
    /// `ALL_PROXY` and `NO_PROXY` are read.
    #[arg(long, env = "POSTHORN_PROXY", hide_env_values = true)]
    proxy: Option<String>,
    /// The code that the connector's page shows: makes the agent known to the server, once.
    #[arg(long, env = "POSTHORN_ENROLL", hide_env_values = true)]
    enroll: Option<String>,
    /// What the agent is called in the console; without it, as its machine is.
    #[arg(long, env = "POSTHORN_AGENT_NAME")]
    name: Option<String>,
}

/// Carries connections until a signal ends it.
pub(crate) async fn run(options: ConnectorOptions) -> Result<()> {
    let read = |path: &PathBuf| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let agent = Agent::new(AgentOptions {
        servers: options.server,
        token_file: options.token_file,
        code: options.enroll.map(Secret::new),
        allow: AllowList(options.allow),
        authority: options.ca.as_ref().map(read).transpose()?,
        proxy: ProxyChoice::settle(options.proxy.as_deref(), |it| env::var(it).ok())?,
        name: options.name.unwrap_or_else(host_name),
    })?;
    say(&format!("fingerprint {}", agent.fingerprint()));
    let stop = CancellationToken::new();
    let running = tokio::spawn(agent.run(stop.clone()));
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended??),
        signal = wait_for_signal() => signal?,
    }
    tracing::info!("stopping");
    stop.cancel();
    Ok(running.await??)
}
