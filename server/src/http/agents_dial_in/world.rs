//! The system with a connector for agents, agents that run in this process, and servers behind them.

use std::{path::PathBuf, time::Duration};

use domain::{
    account::Address,
    actor::{Actor, Role},
    agent::AgentRow,
    check::ErrorKind,
    connector::ConnectorForm,
    ids::ConnectorId,
};
use mail::tunnel::{
    Carried,
    agent::{Agent, AgentError, AgentOptions, AllowList, ProxyChoice},
};
use service::{ports::MailError, secret::Secret};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Options},
    http::{self, listen},
    parts::System,
};

/// Long enough that only a hang reaches it.
pub(super) const HANG: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) system: System,
    pub(super) url: String,
    pub(super) connector: ConnectorId,
    pub(super) folder: tempfile::TempDir,
}

/// An agent that runs in this process.
pub(super) struct Running {
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<Result<(), AgentError>>,
    pub(super) fingerprint: String,
}

pub(super) fn root() -> Actor {
    Actor { user_id: None, name: "ana".to_owned(), role: Role::Administrator, origin: String::new() }
}

pub(super) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < HANG, "it never came: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

impl World {
    pub(super) async fn open() -> Self {
        Self::reached_under(None).await
    }

    pub(super) async fn reached_under(public_url: Option<&str>) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options {
            data: Some(folder.path().to_owned()),
            listen: Some(address),
            public_url: public_url.map(str::to_owned),
            egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
            ..Options::default()
        };
        let config = Config::settle(options).unwrap();
        let system = System::open(&config, false).await.unwrap();
        let router = http::router(system.service.clone(), config, system.hub.clone());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            listen::serve(listener, router, listen::Bounds::new(100), stopped).await;
            drop(stop);
        });
        let form = ConnectorForm { name: "Plant".to_owned(), kind: "agent".to_owned(), ..ConnectorForm::default() };
        let connector = system.service.connectors().save(&root(), None, &form).await.unwrap();
        Self { system, url: format!("http://{address}"), connector, folder }
    }

    pub(super) async fn code(&self) -> Secret {
        Secret::new(self.system.service.agents().make_code(&root(), self.connector).await.unwrap().code)
    }

    pub(super) fn token_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts an agent; its key is made if a code comes with it.
    pub(super) fn start(&self, name: &str, allow: &str, code: Option<Secret>) -> Running {
        let rules = allow.split(',').filter(|it| !it.is_empty()).map(|it| it.parse().unwrap());
        let agent = Agent::new(AgentOptions {
            servers: vec![self.url.clone()],
            token_file: self.token_file(name),
            code,
            allow: AllowList(rules.collect()),
            authority: None,
            proxy: ProxyChoice::default(),
            name: name.to_owned(),
        });
        let (agent, stop) = (agent.unwrap(), CancellationToken::new());
        let fingerprint = agent.fingerprint();
        let task = tokio::spawn(agent.run(stop.clone()));
        Running { stop, task, fingerprint }
    }

    pub(super) async fn rows(&self) -> Vec<AgentRow> {
        self.system.service.agents().list(&root(), self.connector).await.unwrap()
    }

    pub(super) async fn row(&self, name: &str) -> Option<AgentRow> {
        self.rows().await.into_iter().find(|it| it.agent.draft.name == name)
    }

    pub(super) async fn approve(&self, name: &str) {
        eventually("an agent that waits", async || self.row(name).await.is_some()).await;
        let agent = self.row(name).await.unwrap().agent;
        let agents = self.system.service.agents();
        agents.approve(&root(), self.connector, agent.id, agent.version).await.unwrap();
        self.connected(name).await;
    }

    pub(super) async fn connected(&self, name: &str) {
        eventually("a tunnel", async || self.row(name).await.is_some_and(|it| it.tunnel.is_some())).await;
    }

    /// An agent that is approved and connected.
    pub(super) async fn agent(&self, name: &str, allow: &str) -> Running {
        let running = self.start(name, allow, Some(self.code().await));
        self.approve(name).await;
        running
    }

    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<(Carried, String), MailError> {
        let address = Address::parse(host).unwrap();
        timeout(HANG, self.system.hub.connect(self.connector, &address, port)).await.expect("connecting hangs")
    }

    pub(super) async fn refusal(&self, host: &str, port: u16) -> String {
        let error = self.connect(host, port).await.err().expect("it is refused");
        assert_eq!(error.kind, ErrorKind::Connector, "{}", error.message);
        error.message
    }
}

impl Running {
    /// Ends without a word, as with its machine.
    pub(super) async fn kill(self) {
        self.task.abort();
        _ = self.task.await;
    }
}

/// A server that gives back whatever it gets.
pub(super) async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    port
}

/// A server that never stops talking.
pub(super) async fn flood() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move { while socket.write_all(&[b'x'; 8 * 1024]).await.is_ok() {} });
        }
    });
    port
}

pub(super) async fn comes_back(stream: &mut Carried, text: &[u8]) {
    timeout(HANG, async {
        stream.write_all(text).await.unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, text);
    })
    .await
    .expect("the echo hangs");
}

/// Reads to the end, which comes by itself.
pub(super) async fn is_over(stream: &mut Carried) -> bool {
    let mut rest = Vec::new();
    timeout(HANG, stream.read_to_end(&mut rest)).await.is_ok()
}
