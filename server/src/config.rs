//! What can be set: on the command line, in the environment, in `posthorn.toml`, in this order of precedence.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use ipnet::IpNet;
use mail::tunnel::origin_of;
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
    /// CIDR ranges, separated by commas, that may not be reached, whatever is allowed.
    #[arg(long, env = "POSTHORN_EGRESS_DENY", global = true, value_delimiter = ',')]
    pub(crate) egress_deny: Vec<IpNet>,
    /// Ports, separated by commas, that mail servers and connectors may have beside those of mail.
    #[arg(long, env = "POSTHORN_EGRESS_PORTS", global = true, value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) egress_ports: Vec<u16>,
    /// The address under which users reach the server, behind a proxy.
    #[arg(long, env = "POSTHORN_PUBLIC_URL", global = true)]
    pub(crate) public_url: Option<String>,
    /// The address under which agents reach this instance, where that is not the public one.
    #[arg(long, env = "POSTHORN_AGENT_URL", global = true)]
    pub(crate) agent_url: Option<String>,
    /// Addresses of proxies whose X-Forwarded-For is believed.
    #[arg(long, env = "POSTHORN_TRUSTED_PROXIES", global = true, value_delimiter = ',')]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// A folder with font files for PDF reports, for what the fonts inside lack, such as Chinese, Japanese and Korean.
    #[arg(long, env = "POSTHORN_FONTS", global = true)]
    pub(crate) fonts: Option<PathBuf>,
    /// Days after which a deleted account and its messages are removed for good, at least 30; without it they are kept.
    #[arg(long, env = "POSTHORN_RETENTION_DAYS", global = true, value_parser = clap::value_parser!(u64).range(30..))]
    pub(crate) retention_days: Option<u64>,
    /// Days for which the records of checks are kept.
    #[arg(long, env = "POSTHORN_RUNS_DAYS", global = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) runs_days: Option<u64>,
    /// Bytes of the largest message that is taken.
    #[arg(long, env = "POSTHORN_MESSAGE_SIZE_LIMIT", global = true, value_parser = clap::value_parser!(u64).range(1024..))]
    pub(crate) message_size_limit: Option<u64>,
    /// Checks at once, in this instance.
    #[arg(long, env = "POSTHORN_CHECKS_AT_ONCE", global = true, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) checks_at_once: Option<u32>,
    /// Checks at once to one server or through one connector, by all instances together.
    #[arg(long, env = "POSTHORN_CHECKS_PER_HOST", global = true, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) checks_per_host: Option<u32>,
    /// Checks that begin within a second, in this instance; 0: any number.
    #[arg(long, env = "POSTHORN_STARTS_PER_SECOND", global = true)]
    pub(crate) starts_per_second: Option<u32>,
    /// The same for one server or connector.
    #[arg(long, env = "POSTHORN_STARTS_PER_SECOND_PER_HOST", global = true)]
    pub(crate) starts_per_second_per_host: Option<u32>,
    /// Connections that wait for the server to tell of new mail, in this instance.
    #[arg(long, env = "POSTHORN_IDLE_AT_ONCE", global = true)]
    pub(crate) idle_at_once: Option<u32>,
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
    egress_deny: Vec<IpNet>,
    egress_ports: Vec<u16>,
    public_url: Option<String>,
    agent_url: Option<String>,
    trusted_proxies: Vec<IpNet>,
    fonts: Option<PathBuf>,
    retention_days: Option<u64>,
    runs_days: Option<u64>,
    message_size_limit: Option<u64>,
    checks_at_once: Option<u32>,
    checks_per_host: Option<u32>,
    starts_per_second: Option<u32>,
    starts_per_second_per_host: Option<u32>,
    idle_at_once: Option<u32>,
}

/// Everything settled.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) database_url: String,
    pub(crate) master_key_file: Option<PathBuf>,
    pub(crate) egress_allow: Vec<IpNet>,
    pub(crate) egress_deny: Vec<IpNet>,
    pub(crate) egress_ports: Vec<u16>,
    pub(crate) public_url: Option<String>,
    pub(crate) agent_url: Option<String>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) fonts: Option<PathBuf>,
    pub(crate) retention_days: Option<u64>,
    pub(crate) runs_days: u64,
    /// What and how much this instance checks.
    pub(crate) collect: collect::Settings,
}

/// How long the records of checks are kept.
const RUNS_DAYS: u64 = 30;

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
        let runs_days = options.runs_days.or(file.runs_days).unwrap_or(RUNS_DAYS);
        ensure!(runs_days > 0, "runs_days must be at least 1");
        let agent_url = options.agent_url.or(file.agent_url);
        ensure!(
            agent_url.as_deref().is_none_or(|it| origin_of(it).is_some()),
            "agent_url must begin with https:// or http://"
        );
        let defaults = collect::Settings::default();
        let size = |it: Option<u32>, default: usize| it.map_or(default, |it| usize::try_from(it).unwrap_or(usize::MAX));
        let at_once = size(options.checks_at_once.or(file.checks_at_once), defaults.at_once);
        let per_host = size(options.checks_per_host.or(file.checks_per_host), defaults.per_host);
        ensure!(at_once > 0 && per_host > 0, "checks_at_once and checks_per_host must be at least 1");
        let collect = collect::Settings {
            at_once,
            per_host,
            starts_per_second: options
                .starts_per_second
                .or(file.starts_per_second)
                .unwrap_or(defaults.starts_per_second),
            starts_per_second_per_host: options
                .starts_per_second_per_host
                .or(file.starts_per_second_per_host)
                .unwrap_or(defaults.starts_per_second_per_host),
            idle_at_once: size(options.idle_at_once.or(file.idle_at_once), defaults.idle_at_once),
            size_limit: options.message_size_limit.or(file.message_size_limit).unwrap_or(defaults.size_limit),
            host: host_name(),
            ..defaults
        };
        Ok(Self {
            retention_days,
            runs_days,
            collect,
            listen: options.listen.or(file.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 3000))),
            database_url: options.database_url.or(file.database_url).unwrap_or_else(in_data),
            master_key_file: options.master_key_file.or(file.master_key_file),
            egress_allow: or(options.egress_allow, file.egress_allow),
            egress_deny: or(options.egress_deny, file.egress_deny),
            egress_ports: if options.egress_ports.is_empty() { file.egress_ports } else { options.egress_ports },
            fonts: options.fonts.or(file.fonts),
            public_url: options.public_url.or(file.public_url),
            agent_url,
            trusted_proxies: or(options.trusted_proxies, file.trusted_proxies),
            data,
        })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.as_deref().is_some_and(|it| it.starts_with("https://"))
    }

    /// Whether an agent that dialled this address dialled us. Without any address that was configured only agents of this
    /// machine are believed: nobody else's would be encrypted.
    pub(crate) fn is_agent_origin(&self, origin: &str) -> bool {
        let port = self.listen.port();
        let here = || ["127.0.0.1", "localhost", "[::1]"].map(|it| origin_of(&format!("http://{it}:{port}")));
        match self.agent_url.as_ref().or(self.public_url.as_ref()) {
            Some(url) => origin_of(url).is_some_and(|it| it == origin),
            None => here().into_iter().flatten().any(|it| it == origin),
        }
    }

    pub(crate) fn trusts(&self, proxy: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|it| it.contains(&proxy))
    }
}

/// What is wrong and in which line; as the parser words it, that would be a picture of six lines.
fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let before = error.span().and_then(|it| text.get(..it.start));
    before.map_or_else(|| message.clone(), |it| format!("line {}: {message}", it.matches('\n').count() + 1))
}

/// The machine's name, for whoever looks at the instances.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(100).collect()
}

impl Settings {
    fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|it| anyhow!("{}: {}", path.display(), in_one_line(&it, &text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_told_in_one_line_that_names_it_and_the_place() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("posthorn.toml");
        for (text, expected) in [
            ("listen = \"127.0.0.1:3000\"\n\nlisten_too = 1\n", "line 3: unknown field `listen_too`"),
            ("runs_days = 1\nlisten = \"here\"\n", "line 2: "),
            ("data = [\n", "line "),
        ] {
            std::fs::write(&path, text).unwrap();
            let said = format!("{:#}", Settings::read(&path).unwrap_err());
            assert!(said.contains("posthorn.toml: ") && said.contains(expected), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}
