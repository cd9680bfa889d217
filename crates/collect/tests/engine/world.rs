//! A world to test in: one store, one clock, mail servers, and instances that come and go.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use collect::{Collector, CollectorParts, Settings};
use domain::{
    account::{AccountDraft, Address, Destination, Health, Protocol, Route, Security, Trust},
    agent::Tunnel,
    check::{CheckRun, Outcome},
    credential::CredentialDraft,
    ids::{AccountId, AgentId, ConnectorId, CredentialId},
    message::{Attachment, MessageIndex},
    notices::Webhook,
    oauth::OAuthDraft,
    time::Timestamp,
};
use service::{
    Checker as _, StartError, Tokens,
    ports::{
        Clock as _, KeptTokens, MailError, MessageReader, ReadError, ReadMessage, SealedPlace, SealedSecret, Store,
        TokenEndpoint, Tunnels,
    },
    secret::Secret,
    vault::Vault,
};
use store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    faults::{Fault, Faults},
    faulty::FaultyStore,
    server::{Maildrop, Servers, TestClock, Wire},
    stored::{Archive, Hash, count},
};

/// Reads as much of a message as the tests want.
struct Reader;

impl MessageReader for Reader {
    fn index(&self, raw: &[u8]) -> MessageIndex {
        let text = String::from_utf8_lossy(raw);
        assert!(!text.contains("\r\nX-Reader: panic\r\n"), "as the test wants it");
        let subject = text.lines().next().unwrap_or_default().to_owned();
        MessageIndex { subject, ..MessageIndex::default() }
    }

    fn read(&self, _raw: &[u8]) -> Result<ReadMessage, ReadError> {
        Err(ReadError::Unreadable)
    }

    fn html(&self, _raw: &[u8]) -> Result<String, ReadError> {
        Err(ReadError::Unreadable)
    }

    fn attachment(&self, _raw: &[u8], _index: u32) -> Result<(Attachment, Vec<u8>), ReadError> {
        Err(ReadError::Unreadable)
    }
}

/// An instance that has an agent of one connector, or none.
pub(crate) struct Agents {
    pub(crate) instance: &'static str,
    pub(crate) of: Option<ConnectorId>,
}

impl Tunnels for Agents {
    fn instance(&self) -> &str {
        self.instance
    }

    fn live(&self, connector: ConnectorId) -> Vec<Tunnel> {
        let tunnel = Tunnel { agent_id: AgentId(1), since: Timestamp(0), n_streams: 0 };
        if self.of == Some(connector) { vec![tunnel] } else { Vec::new() }
    }

    fn cut(&self, _agent: AgentId) {}
}

/// The provider of OAuth 2.0 tokens of a world that has none.
struct NoProvider;

#[async_trait]
impl TokenEndpoint for NoProvider {
    async fn post_form(&self, _url: &Webhook, _form: &Secret) -> Result<(u16, Secret), MailError> {
        Ok((503, Secret::new(String::new())))
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) archive: Arc<Archive>,
    pub(crate) servers: Arc<Servers>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) vault: Arc<Vault>,
    n_accounts: AtomicU32,
    _folder: TempDir,
}

/// Longer than any test, on the test's own clock.
pub(crate) const LEASE: Duration = Duration::from_mins(1);

pub(crate) fn settings() -> Settings {
    Settings { lease_for: LEASE, starts_per_second_per_host: 0, grace: Duration::from_secs(5), ..Settings::default() }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_clock(TestClock::new(false)).await
    }

    /// Where time goes by.
    pub(crate) async fn ticking() -> Self {
        Self::with_clock(TestClock::new(true)).await
    }

    async fn with_clock(clock: TestClock) -> Self {
        // Commits wait for the disk: in memory there are thousands of them in a second.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let url = format!("sqlite://{}/posthorn.db", folder.path().display());
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&url).await.unwrap());
        let archive = Arc::new(Archive::new(Arc::clone(&store)));
        let clock = Arc::new(clock);
        let servers = Arc::new(Servers::new(Arc::clone(&archive), Arc::clone(&clock) as _));
        let vault = Arc::new(Vault::new(&[7; 32]));
        Self { store, archive, servers, clock, vault, n_accounts: AtomicU32::new(0), _folder: folder }
    }

    pub(crate) fn sealed(&self, place: SealedPlace, id: CredentialId, text: &str) -> SealedSecret {
        self.vault.seal(self.vault.key_id(), place.of(id.0), &Secret::new(text.to_owned())).unwrap()
    }

    pub(crate) async fn credential(&self) -> CredentialId {
        let id = self.store.next_credential_id().await.unwrap();
        let sealed = self.sealed(SealedPlace::Credential, id, "secret");
        let draft = CredentialDraft {
            name: format!("credential {id}"),
            username: "ana".to_owned(),
            oauth: None,
            secret_ends_on: None,
        };
        self.store.add_credential(id, &draft, &sealed, &[]).await.unwrap();
        id
    }

    /// An account with a maildrop of its own, not due by itself.
    pub(crate) async fn account(&self, protocol: Protocol, change: impl FnOnce(&mut AccountDraft)) -> Subject {
        let credential_id = self.credential().await;
        self.account_of(credential_id, protocol, change).await
    }

    pub(crate) async fn account_of(
        &self,
        credential_id: CredentialId,
        protocol: Protocol,
        change: impl FnOnce(&mut AccountDraft),
    ) -> Subject {
        let n = self.n_accounts.fetch_add(1, Ordering::SeqCst);
        let host = format!("mail{n}.example.org");
        let mut draft = AccountDraft {
            name: format!("account {n}"),
            keep_copy: true,
            hold_days: 0,
            automatic_check: false,
            interval_s: 300,
            push: false,
            enabled: true,
            protocol,
            destination: Destination {
                address: Address::from_stored(host.clone()),
                port: 993,
                security: Security::Implicit(Trust::System),
                route: Route::Direct,
            },
            skip_reason: String::new(),
            credential_id,
        };
        change(&mut draft);
        let maildrop = self.servers.add(&host, protocol);
        let due_at = draft.automatic_check.then(|| self.clock.now());
        let id = self.store.add_account(&draft, due_at, &[]).await.unwrap();
        {
            let mut maildrop = maildrop.lock().unwrap();
            maildrop.account = Some(id);
            (maildrop.keep_copy, maildrop.hold) = (draft.keep_copy, draft.hold());
        }
        Subject { id, host, maildrop }
    }

    /// Saves the account anew, as people do.
    pub(crate) async fn change(&self, subject: &Subject, change: impl FnOnce(&mut AccountDraft)) {
        let account = self.store.find_account(subject.id).await.unwrap().unwrap();
        let mut draft = account.draft;
        change(&mut draft);
        let due_at = (draft.enabled && draft.automatic_check).then(|| self.clock.now());
        self.store.change_account(subject.id, account.version, &draft, due_at, &[]).await.unwrap();
        let mut maildrop = subject.maildrop();
        (maildrop.keep_copy, maildrop.hold) = (draft.keep_copy, draft.hold());
    }

    /// No credential here asks for one.
    fn tokens(&self) -> Tokens {
        self.tokens_of(Arc::new(NoProvider))
    }

    pub(crate) fn tokens_of(&self, provider: Arc<dyn TokenEndpoint>) -> Tokens {
        Tokens::new(Arc::clone(&self.store), Arc::clone(&self.vault), Arc::clone(&self.clock) as _, provider)
    }

    /// A credential for which a provider gave this once, if anything.
    pub(crate) async fn oauth_credential(&self, settings: OAuthDraft, given: Option<&str>) -> CredentialId {
        let id = self.store.next_credential_id().await.unwrap();
        let secret = self.sealed(SealedPlace::Credential, id, "client secret");
        let name = format!("credential {id}");
        let draft = CredentialDraft { name, username: "ana".to_owned(), oauth: Some(settings), secret_ends_on: None };
        self.store.add_credential(id, &draft, &secret, &[]).await.unwrap();
        if let Some(given) = given {
            let now = self.clock.now();
            let fence = self.store.take_renewal(id, now, now.plus(LEASE), false).await.unwrap().unwrap();
            let kept = KeptTokens {
                sealed: self.sealed(SealedPlace::OauthTokens, id, given),
                obtained_at: now,
                expires_at: now.plus(Duration::from_hours(1)),
                renew_at: now.plus(Duration::from_mins(45)),
                consent_ends_at: None,
            };
            self.store.keep_tokens(id, fence, &kept, &[]).await.unwrap();
        }
        id
    }

    pub(crate) fn instance(&self, settings: Settings) -> Instance {
        self.instance_with(settings, Agents { instance: "here", of: None })
    }

    /// With these agents.
    fn instance_with(&self, settings: Settings, agents: Agents) -> Instance {
        let faults = Arc::new(Faults::default());
        let store = FaultyStore { inner: Arc::clone(&self.store), faults: Arc::clone(&faults) };
        let wire = Wire { servers: Arc::clone(&self.servers), faults: Arc::clone(&faults) };
        let collector = Collector::new(CollectorParts {
            store: Arc::new(store),
            vault: Arc::clone(&self.vault),
            tokens: self.tokens(),
            mail: Arc::new(wire),
            reader: Arc::new(Reader),
            clock: Arc::clone(&self.clock) as _,
            tunnels: Arc::new(agents),
            settings,
        });
        Instance { collector, faults }
    }

    /// An instance that checks what falls due.
    pub(crate) fn run(&self, settings: Settings) -> Running {
        Self::running(self.instance(settings))
    }

    /// The same with an agent of a connector.
    pub(crate) fn run_with(&self, settings: Settings, agents: Agents) -> Running {
        Self::running(self.instance_with(settings, agents))
    }

    fn running(instance: Instance) -> Running {
        let (shutdown, told) = watch::channel(false);
        let task = tokio::spawn(instance.collector.clone().run(told));
        Running { instance, shutdown, task }
    }

    pub(crate) async fn is_held(&self, subject: &Subject) -> bool {
        self.store.is_held(subject.id, self.clock.now()).await.unwrap()
    }

    pub(crate) async fn health(&self, subject: &Subject) -> Health {
        self.store.find_account(subject.id).await.unwrap().unwrap().health
    }

    pub(crate) async fn n_stored(&self, subject: &Subject) -> usize {
        self.archive.stored(subject.id).await.len()
    }

    /// The next life after one that was killed: its leases have run out.
    pub(crate) fn next_instance(&self) -> Instance {
        self.clock.advance(LEASE * 2);
        self.instance(settings())
    }

    pub(crate) async fn stored(&self, subject: &Subject) -> BTreeMap<Hash, usize> {
        count(self.archive.stored(subject.id).await.into_iter().map(|it| it.hash))
    }

    /// Checks until there is nothing more to do.
    pub(crate) async fn until_quiet(&self, instance: &Instance, subject: &Subject) {
        for _ in 0..20 {
            let run = self.until_good(instance, subject).await;
            if run.new_messages == 0 && run.deleted_messages == 0 {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Checks until a check ends well.
    pub(crate) async fn until_good(&self, instance: &Instance, subject: &Subject) -> CheckRun {
        for _ in 0..20 {
            self.clock.advance(LEASE * 2);
            match instance.check(subject).await {
                Ended::Run(run) if run.outcome == Outcome::Ok => return run,
                Ended::Run(_) | Ended::NotStarted => {}
                Ended::Hung => panic!("it hangs for no reason"),
            }
        }
        panic!("no check ends well: {:?}", instance.check(subject).await);
    }
}

/// An account and its maildrop.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) id: AccountId,
    pub(crate) host: String,
    pub(crate) maildrop: Arc<Mutex<Maildrop>>,
}

impl Subject {
    pub(crate) fn maildrop(&self) -> MutexGuard<'_, Maildrop> {
        self.maildrop.lock().unwrap()
    }

    pub(crate) fn deliver(&self, raw: &[u8]) -> u64 {
        self.maildrop().deliver(raw)
    }
}

/// One life of Posthorn.
pub(crate) struct Instance {
    pub(crate) collector: Collector,
    pub(crate) faults: Arc<Faults>,
}

/// An instance at work.
pub(crate) struct Running {
    pub(crate) instance: Instance,
    pub(crate) shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Stops it in an orderly way.
    pub(crate) async fn stop(self) {
        self.shutdown.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it stops").unwrap();
    }

    /// Ends it at once, wherever it is.
    pub(crate) fn kill(self) {
        self.instance.faults.kill();
        self.task.abort();
    }
}

/// So long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let waiting = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{at}: never {what}");
    }
}

/// What became of asking for a check.
#[derive(Debug)]
pub(crate) enum Ended {
    Run(CheckRun),
    NotStarted,
    /// A step hangs: the instance can only be killed.
    Hung,
}

impl Instance {
    pub(crate) async fn check(&self, subject: &Subject) -> Ended {
        let work = async {
            match self.collector.start(subject.id, false).await {
                Ok(ticket) => Ended::Run(ticket.finished().await),
                Err(StartError::Failed(_)) => Ended::NotStarted,
                Err(error) => panic!("{error}"),
            }
        };
        tokio::select! {
            ended = work => ended,
            () = self.faults.hung.notified() => Ended::Hung,
        }
    }

    /// A check that ends well.
    pub(crate) async fn good_check(&self, subject: &Subject) -> CheckRun {
        match self.check(subject).await {
            Ended::Run(run) if run.outcome == Outcome::Ok => run,
            ended => panic!("{ended:?}"),
        }
    }

    pub(crate) async fn bad_check(&self, subject: &Subject) -> CheckRun {
        match self.check(subject).await {
            Ended::Run(run) if run.outcome != Outcome::Ok => run,
            ended => panic!("{ended:?}"),
        }
    }
}

/// The nth content: a small one, or one that comes in parts.
pub(crate) fn small(n: u32) -> Vec<u8> {
    format!("Subject: {n}\r\n\r\nsmall\r\n").into_bytes()
}

pub(crate) fn large(n: u32) -> Vec<u8> {
    format!("Subject: large {n}\r\n\r\n{}\r\n", "0123456789".repeat(33)).into_bytes()
}

impl Fault {
    /// What only the death of the process ends.
    pub(crate) fn hangs(self) -> bool {
        matches!(self, Self::Hang | Self::HangAfter)
    }
}
