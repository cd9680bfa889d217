//! Where the implementations meet their ports: store, vault, mail, collector, service.

use std::{fs, os::unix::fs::DirBuilderExt as _, sync::Arc};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use collect::{Collector, CollectorParts};
use domain::time::Timestamp;
use mail::{DnsServers, Mail, MailSettings, Reader, tunnel::Hub};
use report::{Reports, ReportsParts, Watchman, WatchmanParts, pdf::Fonts};
use service::{
    CredentialedSender, Parts, Passwords, Reading, SealsError, Searches, Service, SignInAttempts, TestRuns, Tokens,
    check_keys,
    ports::{
        Clock, ConnectionProbe, ConnectorProbe, Discovery, HookSender, MailSender, MailServer, Store, TokenEndpoint,
    },
    secret::Secret,
    vault::{KeyId, Vault},
};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

use crate::{
    config::Config,
    demo::{self, DemoMail},
    key_file,
};

/// The time of the machine.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is handed")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A running system without its HTTP side.
pub(crate) struct System {
    pub(crate) service: Service,
    pub(crate) collector: Collector,
    pub(crate) reports: Reports,
    pub(crate) watchman: Watchman,
    /// Where agents hold their tunnels.
    pub(crate) hub: Hub,
    /// What the set-up page asks for while there is no user.
    pub(crate) set_up_code: String,
    /// Of the master key that `POSTHORN_MASTER_KEY_FILE` names.
    pub(crate) key_id: KeyId,
}

impl System {
    /// With `demo`, the mail servers of the demonstration are played in this process.
    pub(crate) async fn open(config: &Config, demo: bool) -> Result<Self> {
        let store = open_store(config).await?;
        let vault = Arc::new(open_vault(config, &*store).await?);
        let key_id = vault.key_id();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = MailSettings {
            egress_allow: config.egress_allow.clone(),
            egress_deny: config.egress_deny.clone(),
            egress_ports: config.egress_ports.clone(),
            size_limit: config.collect.size_limit,
            autoconfig_database: config.autoconfig_database.clone(),
            ..MailSettings::default()
        };
        let mail = Mail::new(settings).context("the system's trust roots cannot be used")?;
        let mail = if config.dns_servers.is_empty() {
            mail
        } else {
            mail.resolved_by(Arc::new(DnsServers::new(&config.dns_servers).context("the DNS servers cannot be used")?))
        };
        let egress = Arc::new(mail.egress());
        let hub = mail.hub();
        let hooks: Arc<dyn HookSender> = Arc::new(mail.clone());
        let endpoint: Arc<dyn TokenEndpoint> = Arc::new(mail.clone());
        let tokens = Tokens::new(Arc::clone(&store), Arc::clone(&vault), Arc::clone(&clock), endpoint);
        let sender: Arc<dyn MailSender> = Arc::new(CredentialedSender {
            inner: Arc::new(mail.clone()),
            store: Arc::clone(&store),
            tokens: tokens.clone(),
            clock: Arc::clone(&clock),
        });
        let prober: Arc<dyn ConnectorProbe> = Arc::new(mail.clone());
        let discovery: Arc<dyn Discovery> = Arc::new(mail.clone());
        let (mail, connections): (Arc<dyn MailServer>, Arc<dyn ConnectionProbe>) = if demo {
            let since = demo::since(&*store, clock.now()).await?;
            let demo = Arc::new(DemoMail::new(mail, Arc::clone(&clock), since));
            (Arc::<DemoMail<Mail>>::clone(&demo), demo)
        } else {
            (Arc::new(mail.clone()), Arc::new(mail))
        };
        let collector = Collector::new(CollectorParts {
            store: Arc::clone(&store),
            vault: Arc::clone(&vault),
            tokens: tokens.clone(),
            mail,
            reader: Arc::new(Reader),
            clock: Arc::clone(&clock),
            tunnels: Arc::new(hub.clone()),
            settings: config.collect.clone(),
        });
        let fonts = Fonts::load(config.fonts.as_deref()).context("the folder with fonts")?;
        let reports = Reports::new(ReportsParts {
            store: Arc::clone(&store),
            vault: Arc::clone(&vault),
            tokens: tokens.clone(),
            sender: Arc::clone(&sender),
            clock: Arc::clone(&clock),
            fonts,
            settings: report::Settings::default(),
        });
        let watchman = Watchman::new(WatchmanParts {
            store: Arc::clone(&store),
            vault: Arc::clone(&vault),
            tokens: tokens.clone(),
            sender: Arc::clone(&sender),
            hooks,
            clock: Arc::clone(&clock),
        });
        let set_up_code = fresh_code();
        let service = Service::new(Parts {
            store,
            clock,
            vault,
            tokens,
            reader: Arc::new(Reader),
            certificates: Arc::new(Reader),
            egress,
            checker: Arc::new(collector.clone()),
            sender,
            prober,
            tunnels: Arc::new(hub.clone()),
            connections,
            tests: TestRuns::default(),
            discovery,
            searches: Searches::default(),
            reporter: Arc::new(reports.clone()),
            notifier: Arc::new(watchman.clone()),
            set_up_code: Secret::new(set_up_code.clone()),
            attempts: SignInAttempts::default(),
            reading: Reading::default(),
            passwords: Passwords::default(),
        });
        Ok(Self { service, collector, reports, watchman, hub, set_up_code, key_id })
    }
}

/// Three groups of four letters and digits that are not mistaken for each other: sixty bits.
fn fresh_code() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letter = || char::from(LETTERS[usize::from(rand::random::<u8>() % 32)]);
    let group = || (0..4).map(|_| letter()).collect::<String>();
    [group(), group(), group()].join("-")
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
    let url = &config.database_url;
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let store = PostgresStore::connect(url).await.map_err(with_causes)?;
        return Ok(Arc::new(store));
    }
    ensure!(url.starts_with("sqlite:"), "the database URL must begin with sqlite:// or postgres://");
    // Mail and sealed secrets are in there: nobody else of this machine has to look. What is there already stays as it is.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data)
        .with_context(|| config.data.display().to_string())?;
    let store = SqliteStore::open(url).await.map_err(with_causes)?;
    Ok(Arc::new(store))
}

/// The store's error with what the driver said: this is the operator's own console.
fn with_causes(error: service::ports::StoreError) -> anyhow::Error {
    anyhow::Error::new(error).context("the database cannot be opened")
}

/// The master key from its file; on SQLite, while nothing is sealed yet, made under the data directory.
async fn open_vault(config: &Config, store: &dyn Store) -> Result<Vault> {
    let made = config.data.join("master.key");
    let key = match &config.master_key_file {
        Some(path) => key_file::read(path)?,
        None if config.database_url.starts_with("sqlite:") => {
            if made.exists() {
                key_file::read(&made)?
            } else {
                ensure!(
                    store.setting("master_key_id").await?.is_none(),
                    "the master key is missing: the database was used with one; name its file in POSTHORN_MASTER_KEY_FILE"
                );
                let key = key_file::make(&made)?;
                tracing::warn!(path = %made.display(), "made a master key; without this file no secret can be read, so keep a copy");
                key
            }
        }
        None => bail!("PostgreSQL needs a master key: name its file in POSTHORN_MASTER_KEY_FILE"),
    };
    let mut vault = Vault::new(&key);
    for file in &config.other_key_files {
        vault = vault.holding(&*key_file::read(file)?);
    }
    check_keys(store, &vault).await.map_err(explain_keys)?;
    Ok(vault)
}

/// With what to do about a key that is missing.
pub(crate) fn explain_keys(error: SealsError) -> anyhow::Error {
    match error {
        SealsError::Missing { .. } => anyhow!(
            "{error}: name its file in POSTHORN_MASTER_KEY_FILE, or in POSTHORN_MASTER_KEY_PREVIOUS_FILES while the key is changed"
        ),
        other => other.into(),
    }
}
