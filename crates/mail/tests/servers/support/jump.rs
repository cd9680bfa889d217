//! SSH jump hosts: a real sshd with a key, and a server in this process that takes passwords, counts, and breaks on cue.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{
    account::Address,
    connector::{ConnectorKind, HostKey},
    ids::ConnectorId,
};
use russh::{
    Channel, ChannelOpenFailure,
    keys::{HashAlg, PrivateKey, decode_secret_key},
    server::{self, Auth, ChannelOpenHandle, Msg, Session},
};
use service::{ports::ViaConnector, secret::Secret};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::program::{Program, free_port, whoami};

/// Makes a key as people do; answers with its file's text.
pub(crate) fn keygen(folder: &Path, name: &str, options: &[&str]) -> String {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-f"]).arg(&file).args(options).output();
    let made = made.expect("install the Debian package openssh-client");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::read_to_string(file).unwrap()
}

/// What `ssh-keygen -l` says of a public key.
fn fingerprint(file: &Path) -> HostKey {
    let said = Command::new("ssh-keygen").arg("-lf").arg(file).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    HostKey::parse(said.split(' ').nth(1).unwrap()).unwrap()
}

fn connector(port: u16, name: &str, secret: &str, host_key: Option<HostKey>) -> ViaConnector {
    ViaConnector {
        id: ConnectorId(1),
        version: 1,
        kind: ConnectorKind::Ssh,
        address: Address::parse("127.0.0.1").unwrap(),
        port,
        credential: Some((name.to_owned(), Secret::new(secret.to_owned()))),
        host_key,
    }
}

/// OpenSSH's server; it lets the user of the tests in, with a key.
pub(crate) struct Sshd {
    port: u16,
    key: String,
    pub(crate) host_key: HostKey,
    _program: Program,
    folder: TempDir,
}

impl Sshd {
    pub(crate) async fn start(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        keygen(at, "host", &["-t", "ed25519"]);
        let key = keygen(at, "user", &["-t", "ed25519"]);
        keygen(at, "other", &["-t", "ecdsa", "-b", "384"]);
        let both = ["user.pub", "other.pub"].map(|it| fs::read_to_string(at.join(it)).unwrap()).concat();
        fs::write(at.join("authorized_keys"), both).unwrap();
        if whoami() == "root" {
            fs::create_dir_all("/run/sshd").unwrap();
            fs::set_permissions("/run/sshd", fs::Permissions::from_mode(0o755)).unwrap();
        }
        let port = free_port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized_keys\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nMaxStartups 100\n{options}\n",
            at = at.display()
        );
        let file = at.join("sshd_config");
        fs::write(&file, config).unwrap();
        let file = file.to_string_lossy();
        let mut program = Program::start("/usr/sbin/sshd", "openssh-server", &["-D", "-q", "-f", &file]);
        program.listens(port).await;
        let host_key = fingerprint(&at.join("host.pub"));
        Self { port, key, host_key, _program: program, folder }
    }

    pub(crate) fn connector(&self) -> ViaConnector {
        connector(self.port, &whoami(), &self.key, Some(self.host_key.clone()))
    }

    /// By another key that the server takes.
    pub(crate) fn by_other_key(&self) -> ViaConnector {
        let key = fs::read_to_string(self.folder.path().join("other")).unwrap();
        connector(self.port, &whoami(), &key, Some(self.host_key.clone()))
    }
}

pub(crate) const JUMP_USER: &str = "jump";
pub(crate) const JUMP_PASSWORD: &str = "over the fence";

/// What a server in this process saw.
#[derive(Default)]
struct Counts {
    sessions: AtomicUsize,
    passwords: AtomicUsize,
    channels: AtomicUsize,
}

pub(crate) struct Jump {
    port: u16,
    pub(crate) host_key: HostKey,
    counts: Arc<Counts>,
    sessions: Arc<Mutex<JoinSet<()>>>,
    _listening: JoinSet<()>,
}

impl Jump {
    /// With `asks`, the password is asked for in the server's own words only (RFC 4256).
    pub(crate) async fn start(asks: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = decode_secret_key(&keygen(folder.path(), "host", &["-t", "ed25519"]), None).unwrap();
        let host_key = HostKey::parse(&key.public_key().fingerprint(HashAlg::Sha256).to_string()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (counts, sessions) = (Arc::<Counts>::default(), Arc::<Mutex<JoinSet<()>>>::default());
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, key, asks, Arc::clone(&counts), Arc::clone(&sessions)));
        Self { port, host_key, counts, sessions, _listening: listening }
    }

    pub(crate) fn connector(&self) -> ViaConnector {
        connector(self.port, JUMP_USER, JUMP_PASSWORD, Some(self.host_key.clone()))
    }

    pub(crate) fn n_sessions(&self) -> usize {
        self.counts.sessions.load(Ordering::SeqCst)
    }

    pub(crate) fn n_passwords(&self) -> usize {
        self.counts.passwords.load(Ordering::SeqCst)
    }

    pub(crate) fn n_channels(&self) -> usize {
        self.counts.channels.load(Ordering::SeqCst)
    }

    /// Cuts every connection, as a host that loses its power does.
    pub(crate) fn cut(&self) {
        self.sessions.lock().unwrap().abort_all();
    }
}

async fn listen(
    listener: TcpListener,
    key: PrivateKey,
    asks: bool,
    counts: Arc<Counts>,
    sessions: Arc<Mutex<JoinSet<()>>>,
) {
    let methods = if asks { [russh::MethodKind::KeyboardInteractive] } else { [russh::MethodKind::Password] };
    let config = server::Config {
        keys: vec![key],
        methods: russh::MethodSet::from(&methods[..]),
        auth_rejection_time: std::time::Duration::ZERO,
        ..server::Config::default()
    };
    let config = Arc::new(config);
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let client = Client { asks, counts: Arc::clone(&counts) };
        let config = Arc::clone(&config);
        // The library runs a session in a task of its own: what can be cut is the way to it.
        sessions.lock().unwrap().spawn(async move {
            let (mut here, there) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                if let Ok(session) = server::run_stream(config, there, client).await {
                    _ = session.await;
                }
            });
            let mut near = near;
            _ = tokio::io::copy_bidirectional(&mut near, &mut here).await;
        });
    }
}

struct Client {
    asks: bool,
    counts: Arc<Counts>,
}

impl Client {
    fn judge(&self, user: &str, password: &[u8]) -> Auth {
        self.counts.passwords.fetch_add(1, Ordering::SeqCst);
        if user == JUMP_USER && password == JUMP_PASSWORD.as_bytes() { Auth::Accept } else { Auth::reject() }
    }
}

impl server::Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(if self.asks { Auth::reject() } else { self.judge(user, password.as_bytes()) })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<server::Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let Some(mut response) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false)].into(),
            });
        };
        let answer = response.next().unwrap_or_default();
        Ok(self.judge(user, &answer))
    }

    async fn auth_succeeded(&mut self, _: &mut Session) -> Result<(), Self::Error> {
        self.counts.sessions.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.counts.channels.fetch_add(1, Ordering::SeqCst);
        let target: SocketAddr = format!("{host}:{port}").parse().unwrap();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(target).await else {
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
                return Ok::<_, Infallible>(());
            };
            reply.accept().await;
            _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut far).await;
            Ok(())
        });
        Ok(())
    }
}
