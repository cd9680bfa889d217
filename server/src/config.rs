//! What can be set: on the command line, in the environment, in `posthorn.toml`, in this order of precedence.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use ipnet::IpNet;
use serde::Deserialize;
use service::RESTORABLE_DAYS;

/// The options of every command.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Where the server listens.
    #[arg(long, env = "POSTHORN_LISTEN", global = true)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where SQLite's file and the master key are.
    #[arg(long, env = "POSTHORN_DATA", global = true)]
    pub(crate) data: Option<PathBuf>,
    /// `sqlite://…` or `postgres://…`
    #[arg(long, env = "POSTHORN_DATABASE_URL", global = true, hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// The file with the key that encrypts secrets.
    #[arg(long, env = "POSTHORN_MASTER_KEY_FILE", global = true)]
    pub(crate) master_key_file: Option<PathBuf>,
    /// CIDR ranges, separated by commas, that may be reached beyond the egress policy, on any port.
    #[arg(long, env = "POSTHORN_EGRESS_ALLOW", global = true, value_delimiter = ',')]
    pub(crate) egress_allow: Vec<IpNet>,
    /// The address under which users reach the server, behind a proxy.
    #[arg(long, env = "POSTHORN_PUBLIC_URL", global = true)]
    pub(crate) public_url: Option<String>,
    /// Addresses of proxies whose X-Forwarded-For is believed.
    #[arg(long, env = "POSTHORN_TRUSTED_PROXIES", global = true, value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// A folder with font files for PDF reports, for what the fonts inside lack, such as Chinese, Japanese and Korean.
    #[arg(long, env = "POSTHORN_FONTS", global = true)]
    pub(crate) fonts: Option<PathBuf>,
    /// Days after which a deleted account and its messages are removed for good, at least 30; without it they are kept.
    #[arg(long, env = "POSTHORN_RETENTION_DAYS", global = true, value_parser = clap::value_parser!(u64).range(30..))]
    pub(crate) retention_days: Option<u64>,
}

/// The same, in `posthorn.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    database_url: Option<String>,
    master_key_file: Option<PathBuf>,
    egress_allow: Vec<IpNet>,
    public_url: Option<String>,
    trusted_proxies: Vec<IpNet>,
    fonts: Option<PathBuf>,
    retention_days: Option<u64>,
}

/// Everything settled.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) database_url: String,
    pub(crate) master_key_file: Option<PathBuf>,
    pub(crate) egress_allow: Vec<IpNet>,
    pub(crate) public_url: Option<String>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) fonts: Option<PathBuf>,
    pub(crate) retention_days: Option<u64>,
}

impl Config {
    /// Settles the options, with `posthorn.toml` of the working directory behind them.
    pub(crate) fn settle(options: Options) -> Result<Self> {
        let file = Settings::read(Path::new("posthorn.toml"))?;
        let or = |mine: Vec<IpNet>, files: Vec<IpNet>| if mine.is_empty() { files } else { mine };
        let data = options.data.or(file.data).unwrap_or_else(|| PathBuf::from("data"));
        let in_data = || format!("sqlite://{}", data.join("posthorn.db").display());
        let retention_days = options.retention_days.or(file.retention_days);
        ensure!(
            retention_days.is_none_or(|it| it >= RESTORABLE_DAYS),
            "retention_days must be at least {RESTORABLE_DAYS}"
        );
        Ok(Self {
            retention_days,
            listen: options.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3000))),
            database_url: options.database_url.or(file.database_url).unwrap_or_else(in_data),
            master_key_file: options.master_key_file.or(file.master_key_file),
            egress_allow: or(options.egress_allow, file.egress_allow),
            fonts: options.fonts.or(file.fonts),
            public_url: options.public_url.or(file.public_url),
            trusted_proxies: or(options.trusted_proxies, file.trusted_proxies),
            data,
        })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.as_deref().is_some_and(|it| it.starts_with("https://"))
    }

    pub(crate) fn trusts(&self, proxy: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|it| it.contains(&proxy))
    }
}

impl Settings {
    fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }
}
