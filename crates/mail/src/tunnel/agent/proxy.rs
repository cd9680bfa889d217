//! The proxy by which an agent dials out, where nothing else leads out of its network.

use std::{fmt, io, net::IpAddr};

use domain::{account::Address, connector::ConnectorKind, ids::ConnectorId};
use hyper::http::uri::Authority;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use service::{ports::ViaConnector, secret::Secret};
use tokio::net::{TcpStream, lookup_host};

use super::AgentError;
use crate::{dial::tunnel, wire::Stream};

/// Where other programs look, in this order; the first that is set and not empty counts.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Names that are dialled without it.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// By which proxy the servers are dialled, if by any.
#[derive(Debug, Default)]
pub struct ProxyChoice {
    proxy: Option<Proxy>,
    exceptions: Exceptions,
}

impl ProxyChoice {
    /// What was named goes for every server, and `none` for nobody. If nothing was named, the environment is read as other
    /// programs read it: then what `NO_PROXY` names, and this machine itself, are dialled directly.
    pub fn settle(named: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, AgentError> {
        let parsed = |source: &str, url: &str| {
            // The URL may hold a password: the error does not repeat it.
            Proxy::parse(url).map(Some).map_err(|it| AgentError(format!("the proxy in {source}: {it}")))
        };
        let first = |names: &[&'static str]| {
            let set = |name: &&'static str| variable(name).filter(|it| !it.trim().is_empty()).map(|it| (*name, it));
            names.iter().find_map(set)
        };
        match named.map(str::trim).filter(|it| !it.is_empty()) {
            Some("none") => Ok(Self::default()),
            Some(url) => {
                Ok(Self { proxy: parsed("--proxy (POSTHORN_PROXY)", url)?, exceptions: Exceptions::default() })
            }
            None => {
                let Some((name, url)) = first(&VARIABLES) else { return Ok(Self::default()) };
                let exceptions = first(&EXCEPTIONS).map(|(_, it)| it).unwrap_or_default();
                Ok(Self { proxy: parsed(name, url.trim())?, exceptions: Exceptions::parse(&exceptions) })
            }
        }
    }

    /// The one for this server, which is a name or an address.
    pub(super) fn for_host(&self, host: &str) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.exceptions.cover(host))
    }
}

/// A proxy. Shown without its login.
#[derive(Clone)]
pub(super) struct Proxy {
    kind: ConnectorKind,
    /// Whether it is given names, and not what they are found to stand for here.
    takes_names: bool,
    address: Address,
    port: u16,
    login: Option<(String, Secret)>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.kind, self.takes_names) {
            (ConnectorKind::HttpConnect, _) => "http",
            (_, true) => "socks5h",
            (_, false) => "socks5",
        };
        let Self { address, port, .. } = self;
        if address.as_str().contains(':') {
            write!(f, "{scheme}://[{address}]:{port}")
        } else {
            write!(f, "{scheme}://{address}:{port}")
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Proxy {
    /// `http://proxy:3128`, `socks5://user:password@10.0.0.1:1080`, `socks5h://[fd00::1]:1080`; without a scheme it is `http`.
    fn parse(url: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, takes_names, usual) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ConnectorKind::HttpConnect, true, 80),
            "socks5h" => (ConnectorKind::Socks5, true, 1080),
            "socks5" => (ConnectorKind::Socks5, false, 1080),
            _ => return Err("it must begin with http://, socks5:// or socks5h://"),
        };
        // Whoever writes a password may not know that some characters have to be written as %40.
        let (login, place) = rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let place: Authority =
            place.strip_suffix('/').unwrap_or(place).parse().map_err(|_| "after its scheme comes host:port")?;
        let host = place.host().trim_start_matches('[').trim_end_matches(']');
        let address = Address::parse(host).map_err(|_| "its host is neither a name nor an address")?;
        let port = match place.as_str()[place.host().len()..].strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|it| *it > 0).ok_or("its port must be 1 to 65535")?,
            None => usual,
        };
        let decoded =
            |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| "its login is no UTF-8");
        let login = match login {
            Some(login) => {
                let (name, password) = login.split_once(':').unwrap_or((login, ""));
                Some((decoded(name)?, Secret::new(decoded(password)?)))
            }
            None => None,
        };
        Ok(Self { kind, takes_names, address, port, login })
    }

    /// A connection to the target. Has no deadline of its own.
    pub(super) async fn connect(&self, host: &Address, port: u16) -> io::Result<Box<dyn Stream>> {
        if self.takes_names || host.ip().is_some() {
            return self.ask(host, port).await;
        }
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for found in lookup_host((host.as_str(), port)).await? {
            let address = Address::parse(&found.ip().to_string()).map_err(|_| io::Error::other("no address"))?;
            match self.ask(&address, port).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask(&self, host: &Address, port: u16) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.address.as_str(), self.port)).await;
        let stream =
            stream.map_err(|it| io::Error::new(it.kind(), format!("no connection to the proxy {self}: {it}")))?;
        stream.set_nodelay(true)?;
        let way = ViaConnector {
            id: ConnectorId(0),
            version: 0,
            kind: self.kind,
            address: self.address.clone(),
            port: self.port,
            credential: self.login.clone(),
            host_key: None,
        };
        let tunnel = tunnel(stream, &way, host, port).await;
        tunnel.map(|(stream, _)| stream).map_err(|it| io::Error::other(format!("{self}: {}", it.message)))
    }
}

/// What `NO_PROXY` names.
#[derive(Debug, Default)]
struct Exceptions {
    has_all: bool,
    names: Vec<String>,
    ranges: Vec<IpNet>,
    /// Where the environment chose the proxy: nobody means it to be asked for the way to this machine.
    has_this_machine: bool,
}

impl Exceptions {
    /// Names with their subdomains, addresses, ranges, or `*`, separated by commas.
    fn parse(text: &str) -> Self {
        let mut all = Self { has_this_machine: true, ..Self::default() };
        for entry in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            if entry == "*" {
                all.has_all = true;
            } else if let Ok(range) = bare.parse::<IpNet>().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from)) {
                all.ranges.push(range);
            } else {
                all.names.push(entry.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase());
            }
        }
        all
    }

    fn cover(&self, host: &str) -> bool {
        let ip = host.parse::<IpAddr>().ok();
        let is_here = host == "localhost" || ip.is_some_and(|it| it.to_canonical().is_loopback());
        let is_under =
            |name: &String| host.strip_suffix(name.as_str()).is_some_and(|it| it.is_empty() || it.ends_with('.'));
        self.has_all
            || (self.has_this_machine && is_here)
            || ip.is_some_and(|ip| self.ranges.iter().any(|it| it.contains(&ip)))
            || self.names.iter().any(is_under)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Proxy {
        Proxy::parse(url).unwrap_or_else(|it| panic!("{url}: {it}"))
    }

    #[test]
    fn a_proxy_is_read_and_shown_without_its_login() {
        for (url, shown, login) in [
            ("http://proxy.example.org:3128", "http://proxy.example.org:3128", None),
            ("proxy.example.org:3128/", "http://proxy.example.org:3128", None),
            ("HTTP://Proxy", "http://proxy:80", None),
            ("socks5://ana:p%40ss%3A1@10.0.0.1", "socks5://10.0.0.1:1080", Some(("ana", "p@ss:1"))),
            ("socks5h://ana:p@ss@[fd00::1]:9/", "socks5h://[fd00::1]:9", Some(("ana", "p@ss"))),
            ("http://ana@proxy:8080", "http://proxy:8080", Some(("ana", ""))),
        ] {
            let proxy = parse(url);
            assert_eq!((proxy.to_string(), format!("{proxy:?}")), (shown.to_owned(), shown.to_owned()));
            let read = proxy.login.as_ref().map(|(name, secret)| (name.as_str(), secret.expose()));
            assert_eq!(read, login, "{url}");
        }
    }

    #[test]
    fn what_is_no_proxy_says_why_and_repeats_no_password() {
        for (url, why) in [
            ("https://ana:secret@proxy:3128", "begin with http://"),
            ("socks4://ana:secret@proxy", "begin with http://"),
            ("http://ana:secret@proxy:0", "1 to 65535"),
            ("http://ana:secret@proxy:70000", "1 to 65535"),
            ("http://ana:secret@proxy:3128/path", "host:port"),
            ("http://ana:secret@", "host:port"),
            ("socks5://ana:secret@pro xy:1", "host:port"),
            ("socks5://ana:secret%FF@proxy:1", "UTF-8"),
        ] {
            for (named, variable) in [(Some(url), None), (None, Some(url))] {
                let error = ProxyChoice::settle(named, |_| variable.map(str::to_owned)).unwrap_err().to_string();
                assert!(error.contains(why) && !error.contains("secret"), "{url}: {error}");
                assert!(error.contains(if named.is_some() { "--proxy" } else { "HTTPS_PROXY" }), "{error}");
            }
        }
    }

    /// What is dialled by which proxy, in these surroundings.
    fn by(named: Option<&str>, variables: &[(&str, &str)], host: &str) -> Option<String> {
        let variable = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        ProxyChoice::settle(named, variable).unwrap().for_host(host).map(ToString::to_string)
    }

    #[test]
    fn what_was_named_counts_before_the_environment() {
        const HOST: &str = "posthorn.example.org";
        let variables = [("https_proxy", "small:1"), ("ALL_PROXY", "socks5://all:2"), ("NO_PROXY", "*")];
        let some = |it: &str| Some(it.to_owned());
        assert_eq!(by(Some("socks5h://named:3"), &variables, HOST), some("socks5h://named:3"));
        assert_eq!(by(Some("socks5h://named:3"), &[], "localhost"), some("socks5h://named:3"));
        assert_eq!(by(Some("none"), &variables[..2], HOST), None);
        assert_eq!(by(Some(""), &variables[..2], HOST), some("http://small:1"));
        assert_eq!(by(None, &variables[..2], HOST), some("http://small:1"));
        assert_eq!(by(None, &[("HTTPS_PROXY", "great:4"), variables[0]], HOST), some("http://great:4"));
        assert_eq!(by(None, &[("HTTPS_PROXY", " "), variables[1]], HOST), some("socks5://all:2"));
        assert_eq!(by(None, &variables, HOST), None);
        assert_eq!(by(None, &[("HTTP_PROXY", "other:5")], HOST), None);
    }

    #[test]
    fn exceptions_are_names_with_what_is_under_them_addresses_and_ranges() {
        let no_proxy = "example.org, .internal,*.corp,10.0.0.0/8,[fd00::7],192.0.2.1";
        let variables = [("HTTPS_PROXY", "proxy:3128"), ("no_proxy", no_proxy)];
        for host in ["example.org", "a.example.org", "a.internal", "a.corp", "10.1.2.3", "fd00::7", "192.0.2.1"] {
            assert_eq!(by(None, &variables, host), None, "{host}");
        }
        for host in ["notexample.org", "example.org.evil.test", "11.0.0.1", "fd00::8", "192.0.2.10"] {
            assert!(by(None, &variables, host).is_some(), "{host}");
        }
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(by(None, &variables[..1], host), None, "{host}");
        }
    }
}
