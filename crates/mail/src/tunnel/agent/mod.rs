//! The agent itself: dials out, proves who it is, and carries connections to where its own list allows.

mod allow;
mod carry;
mod key;
mod proxy;
mod server;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use service::secret::Secret;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use yamux::Mode;

pub use self::{
    allow::{AllowList, AllowRule},
    proxy::ProxyChoice,
};
use self::{carry::Way, key::Key, server::Server};
use super::{
    GREETING,
    frames::{ByteStream, Frames},
    greeting::{Answer, NAME_MAX, Refusal, introduce},
    mux::Mux,
};
use crate::{egress::system_resolver, tls};

/// How long a connection to the server may take to be made.
const CONNECTING: Duration = Duration::from_secs(15);
/// The pauses between two attempts: the first, doubling, and the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// While nobody has approved the agent.
const PAUSE_WAITING: Duration = Duration::from_secs(2);
/// A tunnel that held for so long was a good one: the next pause is the first again.
const STEADY: Duration = Duration::from_secs(30);

/// Why an agent cannot work at all.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AgentError(String);

/// What whoever runs the agent has settled.
#[derive(Debug)]
pub struct AgentOptions {
    /// URLs of all instances of Posthorn.
    pub servers: Vec<String>,
    pub token_file: PathBuf,
    /// Makes a key if there is none, and shows it to the first server with this code.
    pub code: Option<Secret>,
    pub allow: AllowList,
    /// PEM of the authority that vouches for the servers; `None`: the system's roots.
    pub authority: Option<String>,
    /// How the servers are dialled.
    pub proxy: ProxyChoice,
    /// As people are to know it.
    pub name: String,
}

/// An agent, ready to dial.
pub struct Agent {
    servers: Vec<Arc<Server>>,
    code: Option<Secret>,
    this: Arc<This>,
}

struct This {
    key: Key,
    name: String,
    way: Arc<Way>,
}

/// How an attempt ended.
enum Ended {
    /// The tunnel was there.
    Over,
    Waiting,
    Refused(Refusal),
}

impl Agent {
    pub fn new(options: AgentOptions) -> Result<Self, AgentError> {
        let AgentOptions { servers, token_file, code, allow, authority, proxy, name } = options;
        if name.trim().is_empty() || name.chars().count() > NAME_MAX {
            return Err(AgentError(format!("the agent's name must have 1 to {NAME_MAX} characters")));
        }
        let tls = tls::verifying(authority.as_deref()).map_err(|it| AgentError(format!("the authority: {it}")))?;
        let servers: Vec<_> =
            servers.iter().map(|it| Server::parse(it, &tls, &proxy).map(Arc::new)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(AgentError("no server was named".to_owned()));
        }
        let key = match (Key::read(&token_file)?, &code) {
            (Some(key), _) => key,
            (None, Some(_)) => Key::make(&token_file)?,
            (None, None) => {
                let path = token_file.display();
                return Err(AgentError(format!("there is no key in {path} yet: enrol the agent with --enroll CODE")));
            }
        };
        if allow.0.is_empty() {
            tracing::warn!("nothing is allowed: name what the server may reach with --allow");
        }
        let way = Arc::new(Way { allow, resolver: system_resolver() });
        Ok(Self { servers, code, this: Arc::new(This { key, name, way }) })
    }

    /// The key's, to be compared with what Posthorn shows.
    pub fn fingerprint(&self) -> String {
        self.this.key.fingerprint()
    }

    /// Keeps a tunnel to every server until it is told to stop. Fails only if the code is refused.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AgentError> {
        if let Some(code) = &self.code {
            let enrolled = tokio::select! {
                enrolled = self.enroll(code) => enrolled,
                () = stop.cancelled() => return Ok(()),
            };
            enrolled?;
        }
        let mut all = JoinSet::new();
        for server in self.servers {
            let (this, stop) = (Arc::clone(&self.this), stop.clone());
            all.spawn(async move { this.keep(&server, &stop).await });
        }
        while all.join_next().await.is_some() {}
        Ok(())
    }

    async fn enroll(&self, code: &Secret) -> Result<(), AgentError> {
        let (server, mut pause) = (&self.servers[0], PAUSE_FIRST);
        loop {
            match self.this.greet(server, Some(code)).await {
                Ok((_, Answer::Welcome | Answer::Waiting)) => return Ok(()),
                Ok((_, Answer::Refused(Refusal::Later))) => tracing::warn!("{}", Refusal::Later.message()),
                Ok((_, Answer::Refused(refusal))) => return Err(AgentError(refusal.message().to_owned())),
                Err(error) => tracing::warn!(server = server.origin, %error, "no connection to the server"),
            }
            sleep(spread(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl This {
    async fn keep(&self, server: &Server, stop: &CancellationToken) {
        let (mut pause, mut has_said) = (PAUSE_FIRST, false);
        loop {
            let began = Instant::now();
            let ended = self.hold(server, stop).await;
            if stop.is_cancelled() {
                return;
            }
            let server = &server.origin;
            if began.elapsed() > STEADY {
                pause = PAUSE_FIRST;
            }
            match ended {
                Ok(Ended::Over) => tracing::warn!(server, "the tunnel is over"),
                Ok(Ended::Waiting) => {
                    if !has_said {
                        let fingerprint = self.key.fingerprint();
                        tracing::info!(server, fingerprint, "waiting for somebody to approve this agent");
                    }
                    has_said = true;
                    pause = PAUSE_WAITING;
                }
                Ok(Ended::Refused(refusal)) => {
                    tracing::error!(server, "{}", refusal.message());
                    pause = PAUSE_MAX;
                }
                Err(error) => tracing::warn!(server, %error, "no tunnel to the server"),
            }
            tokio::select! {
                () = sleep(spread(pause)) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One tunnel, from dialling to its end.
    async fn hold(&self, server: &Server, stop: &CancellationToken) -> io::Result<Ended> {
        let greeted = tokio::select! {
            greeted = self.greet(server, None) => greeted?,
            () = stop.cancelled() => return Ok(Ended::Over),
        };
        let frames = match greeted {
            (frames, Answer::Welcome) => frames,
            (_, Answer::Waiting) => return Ok(Ended::Waiting),
            (_, Answer::Refused(refusal)) => return Ok(Ended::Refused(refusal)),
        };
        tracing::info!(server = server.origin, proxy = server.proxy().map(tracing::field::display), "connected");
        // Nothing is ever opened from here.
        let (_, wanted) = mpsc::channel(1);
        let mut mux = Mux::new(ByteStream::new(frames), Mode::Client, wanted);
        // Ends with the tunnel, whatever is still under way.
        let mut carried = JoinSet::new();
        loop {
            tokio::select! {
                stream = mux.next_stream() => {
                    let Some(stream) = stream? else { return Ok(Ended::Over) };
                    let way = Arc::clone(&self.way);
                    carried.spawn(async move { way.carry(stream).await });
                }
                Some(_) = carried.join_next(), if !carried.is_empty() => {}
                () = stop.cancelled() => {
                    _ = timeout(GREETING, mux.close()).await;
                    return Ok(Ended::Over);
                }
            }
        }
    }

    async fn greet(&self, server: &Server, code: Option<&Secret>) -> io::Result<(Box<dyn Frames>, Answer)> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the server does not answer in time");
        let mut frames = timeout(CONNECTING, server.connect()).await.map_err(late)??;
        let introducing = introduce(&mut frames, &self.key.0, &server.origin, code, &self.name);
        let answer = timeout(GREETING, introducing).await.map_err(late)??;
        Ok((frames, answer))
    }
}

/// Half of it to all of it: many agents that lost one server do not come back at the same moment.
fn spread(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server takes no greeting that is longer than it keeps.
    #[test]
    fn a_name_that_no_server_would_take_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let new = |name: &str| {
            Agent::new(AgentOptions {
                servers: vec!["http://localhost:3000".to_owned()],
                token_file: folder.path().join("token"),
                code: Some(Secret::new("CODE".to_owned())),
                allow: AllowList::default(),
                authority: None,
                proxy: ProxyChoice::default(),
                name: name.to_owned(),
            })
        };
        for name in [" ".to_owned(), "x".repeat(NAME_MAX + 1)] {
            assert!(new(&name).err().is_some_and(|it| it.to_string().contains("1 to 100 characters")), "{name}");
        }
        assert!(new(&"x".repeat(NAME_MAX)).is_ok());
    }
}
