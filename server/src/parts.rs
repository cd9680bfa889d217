//! Where the implementations meet their ports: store, vault, mail, collector, service.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use collect::{Collector, CollectorParts};
use domain::time::Timestamp;
use mail::{Mail, MailSettings, Reader, tunnel::Hub};
use report::{Reports, ReportsParts, Watchman, WatchmanParts, pdf::Fonts};
use service::{
    Parts, Service, SignInAttempts, TestRuns, Tokens,
    ports::{Clock, ConnectionProbe, ConnectorProbe, HookSender, MailSender, MailServer, Store, TokenEndpoint},
    secret::Secret,
    vault::Vault,
};
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

use crate::{
    config::Config,
    demo::{self, DemoMail},
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
}

impl System {
    /// With `demo`, the mail servers of the demonstration are played in this process.
    pub(crate) async fn open(config: &Config, demo: bool) -> Result<Self> {
        let store = open_store(config).await?;
        let vault = Arc::new(open_vault(config, &*store).await?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = MailSettings {
            egress_allow: config.egress_allow.clone(),
            egress_deny: config.egress_deny.clone(),
            egress_ports: config.egress_ports.clone(),
            size_limit: config.collect.size_limit,
            ..MailSettings::default()
        };
        let mail = Mail::new(settings).context("the system's trust roots cannot be used")?;
        let egress = Arc::new(mail.egress());
        let hub = mail.hub();
        let sender: Arc<dyn MailSender> = Arc::new(mail.clone());
        let hooks: Arc<dyn HookSender> = Arc::new(mail.clone());
        let endpoint: Arc<dyn TokenEndpoint> = Arc::new(mail.clone());
        let tokens = Tokens::new(Arc::clone(&store), Arc::clone(&vault), Arc::clone(&clock), endpoint);
        let prober: Arc<dyn ConnectorProbe> = Arc::new(mail.clone());
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
            reporter: Arc::new(reports.clone()),
            notifier: Arc::new(watchman.clone()),
            set_up_code: Secret::new(set_up_code.clone()),
            attempts: SignInAttempts::default(),
        });
        Ok(Self { service, collector, reports, watchman, hub, set_up_code })
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
        Some(path) => read_key(path)?,
        None if config.database_url.starts_with("sqlite:") => {
            if made.exists() {
                read_key(&made)?
            } else {
                ensure!(
                    store.setting("master_key_id").await?.is_none(),
                    "the master key is missing: the database was used with one; name its file in POSTHORN_MASTER_KEY_FILE"
                );
                make_key(&made)?
            }
        }
        None => bail!("PostgreSQL needs a master key: name its file in POSTHORN_MASTER_KEY_FILE"),
    };
    let vault = Vault::new(&key);
    let expected = store.setting_or("master_key_id", vault.key_id()).await?;
    ensure!(
        expected == vault.key_id(),
        "this is another master key ({}) than the database was used with ({expected})",
        vault.key_id()
    );
    Ok(vault)
}

fn make_key(path: &Path) -> Result<[u8; 32]> {
    let key: [u8; 32] = rand::random();
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| path.display().to_string())?;
    file.write_all(STANDARD.encode(key).as_bytes())?;
    file.sync_all()?;
    tracing::warn!(path = %path.display(), "made a master key; without this file no secret can be read, so keep a copy");
    Ok(key)
}

/// 32 bytes, raw or in Base64 or as hexadecimal digits.
fn read_key(path: &Path) -> Result<[u8; 32]> {
    let bytes = fs::read(path).with_context(|| format!("the master key {}", path.display()))?;
    if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
        return Ok(key);
    }
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    let hexadecimal = || {
        let pairs = (0..text.len() / 2).map(|it| u8::from_str_radix(text.get(2 * it..2 * it + 2)?, 16).ok());
        pairs.collect::<Option<Vec<u8>>>()
    };
    let decoded = STANDARD.decode(text).ok().filter(|it| it.len() == 32).or_else(hexadecimal);
    let key = decoded.and_then(|it| <[u8; 32]>::try_from(it).ok());
    key.with_context(|| format!("{} must hold 32 bytes, raw, in Base64 or hexadecimal", path.display()))
}
