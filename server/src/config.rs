//! What can be set: on the command line, in the environment, in `posthorn.toml`, in this order of precedence.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use domain::discovery::DatabaseUrl;
use ipnet::IpNet;
use mail::tunnel::origin_of;
use serde::Deserialize;
use service::RESTORABLE_DAYS;

use crate::ranges::{Ports, Ranges};

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
    /// Files, separated by commas, with master keys that have sealed what is not sealed anew yet.
    #[arg(long, env = "POSTHORN_MASTER_KEY_PREVIOUS_FILES", global = true, value_delimiter = ',')]
    pub(crate) master_key_previous_files: Vec<String>,
    /// CIDR ranges, separated by commas, that may be reached beyond the egress policy, on any port.
    #[arg(long, env = "POSTHORN_EGRESS_ALLOW", global = true)]
    pub(crate) egress_allow: Vec<Ranges>,
    /// CIDR ranges, separated by commas, that may not be reached, whatever is allowed.
    #[arg(long, env = "POSTHORN_EGRESS_DENY", global = true)]
    pub(crate) egress_deny: Vec<Ranges>,
    /// Ports, separated by commas, that mail servers and connectors may have beside those of mail.
    #[arg(long, env = "POSTHORN_EGRESS_PORTS", global = true)]
    pub(crate) egress_ports: Vec<Ports>,
    /// DNS servers, separated by commas, that look up every name in place of the system; `192.0.2.53:53`.
    #[arg(long, env = "POSTHORN_DNS_SERVERS", global = true, value_delimiter = ',')]
    pub(crate) dns_servers: Vec<SocketAddr>,
    /// A database of providers that is asked for the settings of a mail address, with `%EMAILDOMAIN%` where the domain goes; without
    /// it only the domain itself is asked.
    #[arg(long, env = "POSTHORN_AUTOCONFIG_DATABASE", global = true, value_parser = database_url)]
    pub(crate) autoconfig_database: Option<DatabaseUrl>,
    /// The address under which users reach the server, behind a proxy.
    #[arg(long, env = "POSTHORN_PUBLIC_URL", global = true)]
    pub(crate) public_url: Option<String>,
    /// The address under which agents reach this instance, where that is not the public one.
    #[arg(long, env = "POSTHORN_AGENT_URL", global = true)]
    pub(crate) agent_url: Option<String>,
    /// Addresses of proxies whose X-Forwarded-For is believed.
    #[arg(long, env = "POSTHORN_TRUSTED_PROXIES", global = true)]
    pub(crate) trusted_proxies: Vec<Ranges>,
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
    #[arg(long, env = "POSTHORN_MESSAGE_SIZE_LIMIT", global = true, value_parser = clap::value_parser!(u64).range(SIZE_LIMIT_MIN..))]
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
    master_key_previous_files: Vec<PathBuf>,
    egress_allow: Vec<Ranges>,
    egress_deny: Vec<Ranges>,
    egress_ports: Vec<u16>,
    dns_servers: Vec<SocketAddr>,
    autoconfig_database: Option<String>,
    public_url: Option<String>,
    agent_url: Option<String>,
    trusted_proxies: Vec<Ranges>,
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
    /// Other keys that are held, older ones or one to come.
    pub(crate) other_key_files: Vec<PathBuf>,
    pub(crate) egress_allow: Vec<IpNet>,
    pub(crate) egress_deny: Vec<IpNet>,
    pub(crate) egress_ports: Vec<u16>,
    pub(crate) dns_servers: Vec<SocketAddr>,
    pub(crate) autoconfig_database: Option<DatabaseUrl>,
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
/// How many checks there may be at once.
const CHECKS: RangeInclusive<u32> = 1..=4096;
/// The least bytes that the largest message may be limited to.
const SIZE_LIMIT_MIN: u64 = 1024;

impl Config {
    /// Settles the options, with `posthorn.toml` of the working directory behind them.
    pub(crate) fn settle(options: Options) -> Result<Self> {
        Self::settle_over(Settings::read(Path::new("posthorn.toml"))?, options)
    }

    fn settle_over(file: Settings, options: Options) -> Result<Self> {
        let ranges = |it: Vec<Ranges>| it.into_iter().flat_map(|it| it.0).collect::<Vec<_>>();
        let or = |mine: Vec<Ranges>, files: Vec<Ranges>| {
            let mine = ranges(mine);
            if mine.is_empty() { ranges(files) } else { mine }
        };
        let data = options.data.or(file.data).unwrap_or_else(|| PathBuf::from("data"));
        let in_data = || format!("sqlite://{}", data.join("posthorn.db").display());
        let retention_days = options.retention_days.or(file.retention_days);
        ensure!(
            retention_days.is_none_or(|it| it >= RESTORABLE_DAYS),
            "retention_days must be at least {RESTORABLE_DAYS}"
        );
        let runs_days = options.runs_days.or(file.runs_days).unwrap_or(RUNS_DAYS);
        ensure!(runs_days > 0, "runs_days must be at least 1");
        let public_url = url("public_url", [options.public_url, file.public_url])?;
        let agent_url = url("agent_url", [options.agent_url, file.agent_url])?;
        let autoconfig_database = file.autoconfig_database.as_deref().map(database_url).transpose();
        let autoconfig_database = autoconfig_database.map_err(|it| anyhow!("autoconfig_database: {it}"))?;
        let defaults = collect::Settings::default();
        let size = |it: Option<u32>, default: usize| it.map_or(default, |it| usize::try_from(it).unwrap_or(usize::MAX));
        let n_checks = |name: &str, wanted: Option<u32>, default: usize| {
            let is_good = wanted.is_none_or(|it| CHECKS.contains(&it));
            ensure!(is_good, "{name} must be from {} to {}", CHECKS.start(), CHECKS.end());
            Ok(size(wanted, default))
        };
        let at_once = n_checks("checks_at_once", options.checks_at_once.or(file.checks_at_once), defaults.at_once)?;
        let per_host =
            n_checks("checks_per_host", options.checks_per_host.or(file.checks_per_host), defaults.per_host)?;
        let size_limit = options.message_size_limit.or(file.message_size_limit).unwrap_or(defaults.size_limit);
        ensure!(size_limit >= SIZE_LIMIT_MIN, "message_size_limit must be at least {SIZE_LIMIT_MIN}");
        let mut egress_ports: Vec<u16> = options.egress_ports.into_iter().flat_map(|it| it.0).collect();
        if egress_ports.is_empty() {
            egress_ports = file.egress_ports;
        }
        ensure!(!egress_ports.contains(&0), "egress_ports must be from 1 to 65535");
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
            size_limit,
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
            other_key_files: if options.master_key_previous_files.is_empty() {
                file.master_key_previous_files
            } else {
                // An empty setting is one that names no file.
                let named = options.master_key_previous_files.into_iter().filter(|it| !it.is_empty());
                named.map(PathBuf::from).collect()
            },
            egress_allow: or(options.egress_allow, file.egress_allow),
            egress_deny: or(options.egress_deny, file.egress_deny),
            egress_ports,
            dns_servers: if options.dns_servers.is_empty() { file.dns_servers } else { options.dns_servers },
            autoconfig_database: options.autoconfig_database.or(autoconfig_database),
            fonts: options.fonts.or(file.fonts),
            public_url,
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

fn database_url(text: &str) -> Result<DatabaseUrl, &'static str> {
    DatabaseUrl::parse(text).map_err(|_| "it must be an https URL with %EMAILDOMAIN% in it")
}

/// In one line, with the number of the line that it means.
fn told(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|it| text.get(..it.start)).unwrap_or_default();
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    anyhow!("line {}: {message}", before.matches('\n').count() + 1)
}

/// An address under which this server is reached, by precedence; an empty one is none.
fn url(name: &str, texts: [Option<String>; 2]) -> Result<Option<String>> {
    let text = texts.into_iter().flatten().find(|it| !it.trim().is_empty());
    let is_url = text.as_deref().is_none_or(|it| origin_of(it).is_some());
    ensure!(is_url, "{name} must begin with https:// or http://, as https://mail.example.org does");
    Ok(text)
}

/// The machine's name, for whoever looks at the instances.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(100).collect()
}

impl Settings {
    fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                toml::from_str(&text).map_err(|it| told(&text, &it)).with_context(|| path.display().to_string())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(file: &str, options: Options) -> Result<Config, String> {
        let file = toml::from_str(file).map_err(|it| it.to_string())?;
        Config::settle_over(file, options).map_err(|it| it.to_string())
    }

    #[test]
    fn the_file_keeps_to_the_ranges_of_the_options() {
        for (file, message) in [
            ("message_size_limit = 1023", "message_size_limit must be at least 1024"),
            ("checks_at_once = 0", "checks_at_once must be from 1 to 4096"),
            ("checks_at_once = 4097", "checks_at_once must be from 1 to 4096"),
            ("checks_per_host = 4097", "checks_per_host must be from 1 to 4096"),
            ("egress_ports = [2525, 0]", "egress_ports must be from 1 to 65535"),
            ("retention_days = 29", "retention_days must be at least 30"),
        ] {
            assert_eq!(settled(file, Options::default()).err().as_deref(), Some(message), "{file}");
        }
        let file =
            "message_size_limit = 1024\nchecks_at_once = 4096\negress_ports = [2525]\negress_allow = ['10.0.0.1']";
        let config = settled(file, Options::default()).unwrap();
        assert_eq!((config.collect.size_limit, config.collect.at_once), (1024, 4096));
        assert_eq!((config.egress_ports, config.egress_allow), (vec![2525], vec!["10.0.0.1/32".parse().unwrap()]));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_told_in_one_line() {
        for (file, message) in [
            (
                "listen = '127.0.0.1:3000'\negress_allow = ['x']",
                "line 2: \"x\" is neither a CIDR range, such as 10.0.0.0/8, nor an address",
            ),
            ("checks_at_once = -1", "line 1: invalid value: integer `-1`, expected u32"),
        ] {
            let error = toml::from_str::<Settings>(file).unwrap_err();
            assert_eq!(told(file, &error).to_string(), message);
        }
    }

    #[test]
    fn an_address_of_the_server_without_a_scheme_is_refused() {
        for text in
            ["posthorn.example.org", "posthorn.example.org:443", "ftp://posthorn.example.org", "https://", "//x"]
        {
            let options = Options { public_url: Some(text.to_owned()), ..Options::default() };
            let message = settled("", options).err().unwrap_or_default();
            assert!(message.starts_with("public_url must begin with https:// or http://"), "{text}: {message}");
            let options = Options { agent_url: Some(text.to_owned()), ..Options::default() };
            assert!(settled("", options).is_err(), "{text}");
        }
        let options =
            Options { public_url: Some("https://posthorn.example.org/mail".to_owned()), ..Options::default() };
        assert!(settled("", options).unwrap().is_secure());
        let options = Options { public_url: Some(String::new()), ..Options::default() };
        assert_eq!(settled("", options.clone()).unwrap().public_url, None);
        assert!(settled("public_url = 'https://posthorn.example.org'", options).unwrap().is_secure());
    }

    #[test]
    fn an_empty_list_leaves_the_file_s_in_force() {
        let options = Options { egress_allow: vec![Ranges::default()], ..Options::default() };
        let config = settled("egress_allow = ['10.0.0.0/8, 10.0.0.1', '::1']", options).unwrap();
        assert_eq!(config.egress_allow.len(), 3);
        let options = Options { egress_allow: vec!["127.0.0.1".parse().unwrap()], ..Options::default() };
        let config = settled("egress_allow = ['10.0.0.0/8']", options).unwrap();
        assert_eq!(config.egress_allow, ["127.0.0.1/32".parse().unwrap()]);
    }

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
