//! Which addresses and ports the server may contact. The rule looks at the resolved address that is then connected to: there is
//! no second look-up that could answer otherwise.

pub(crate) mod forms;
mod resolver;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use domain::{
    account::Address,
    check::{ErrorKind, Stage},
    connection_test::Fact,
    egress::{EgressPicture, EgressReason, EgressTrial},
};
use ipnet::IpNet;
use service::ports::{EgressPolicy, MailError};

use self::forms::{embedded, forbidden};
use self::resolver::System;
pub(crate) use self::resolver::system_resolver;
pub use self::resolver::{DnsServers, Resolver, SrvRecord};
use crate::stages::Stages;

/// The ports of mail: SMTP, POP3, IMAP, submission, and their TLS twins.
const PORTS: [u16; 7] = [25, 110, 143, 465, 587, 993, 995];
/// The ports of webhooks.
const HOOK_PORTS: [u16; 2] = [80, 443];

/// The policy: loopback, link-local and metadata addresses refused, private ranges allowed, ports limited to mail's. Ranges that
/// the configuration allows pass on any port; ranges that it denies pass on none, whatever else is said.
#[derive(Clone, Debug)]
pub struct Egress {
    lists: Arc<EgressLists>,
    purpose: Purpose,
    resolver: Arc<dyn Resolver>,
}

/// What the configuration adds to the built-in policy.
#[derive(Clone, Debug, Default)]
pub struct EgressLists {
    pub allow: Vec<IpNet>,
    pub deny: Vec<IpNet>,
    /// Ports beside those of mail.
    pub ports: Vec<u16>,
}

/// What the connections are for.
#[derive(Clone, Copy, Debug, Default)]
enum Purpose {
    #[default]
    Mail,
    Hooks,
}

impl Egress {
    pub fn new(lists: EgressLists) -> Self {
        Self { lists: Arc::new(lists), purpose: Purpose::Mail, resolver: Arc::new(System) }
    }

    /// The same policy with another way to look names up.
    #[must_use]
    pub fn resolved_by(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// Who looks names up.
    pub(crate) fn resolver(&self) -> &dyn Resolver {
        &*self.resolver
    }

    /// The same policy for webhooks: the ports of HTTP instead of mail's.
    pub(crate) fn for_hooks(&self) -> Self {
        Self { purpose: Purpose::Hooks, ..self.clone() }
    }

    /// Whether this address may be contacted on this port.
    pub fn permits(&self, address: IpAddr, port: u16) -> bool {
        self.judge(address, port).permits()
    }

    /// What decides about this address on this port. What is denied is denied in every form; what is allowed is allowed as what
    /// it stands for; and an address may be forbidden as itself or as what it stands for.
    pub fn judge(&self, address: IpAddr, port: u16) -> EgressReason {
        let meant = embedded(address);
        let in_range =
            |ranges: &[IpNet], it: IpAddr| ranges.iter().find(|range| range.contains(&it)).map(ToString::to_string);
        let denied = in_range(&self.lists.deny, address).or_else(|| in_range(&self.lists.deny, meant));
        if let Some(range) = denied {
            return EgressReason::Denied(range);
        }
        if let Some(range) = in_range(&self.lists.allow, meant) {
            return EgressReason::Allowed(range);
        }
        match forbidden(address).or_else(|| forbidden(meant)) {
            Some(reason) => reason,
            None if self.has_port(port) => EgressReason::Ordinary,
            None => EgressReason::Port,
        }
    }

    fn has_port(&self, port: u16) -> bool {
        match self.purpose {
            Purpose::Mail => PORTS.contains(&port) || self.lists.ports.contains(&port),
            Purpose::Hooks => HOOK_PORTS.contains(&port),
        }
    }

    /// What a connector will be asked for by name: only the port and a literal address can be judged here. What a name leads to
    /// on the far side is not known, so no allowed range speaks for it; but for `localhost`, which is loopback everywhere
    /// (RFC 6761, section 6.3).
    pub(crate) fn check_target(&self, address: &Address, port: u16) -> Result<(), MailError> {
        let permitted = match address.ip() {
            Some(ip) => self.permits(ip, port),
            None => self.has_port(port) || (is_localhost(address) && self.permits(Ipv4Addr::LOCALHOST.into(), port)),
        };
        match address.ip() {
            _ if permitted => Ok(()),
            Some(_) => Err(refused(&format!("{address} port {port}"))),
            None => Err(refused(&format!("port {port} for a name behind a connector, such as {address}"))),
        }
    }

    /// Looks a name up, once, and keeps the addresses that may be contacted: whoever connects, connects to one of these.
    pub(crate) async fn resolve(
        &self,
        address: &Address,
        port: u16,
        stages: &Stages,
    ) -> Result<Vec<SocketAddr>, MailError> {
        let found = self.look_up(address, port).await?;
        stages.found(|| Fact::Resolved(self.trials(&found)));
        let shown = found.first().map(ToString::to_string).unwrap_or_default();
        let permitted: Vec<_> = found.into_iter().filter(|it| self.permits(it.ip(), it.port())).collect();
        if permitted.is_empty() { Err(refused(&shown)) } else { Ok(permitted) }
    }

    fn trials(&self, found: &[SocketAddr]) -> Vec<EgressTrial> {
        let trial =
            |it: &SocketAddr| EgressTrial { address: it.ip().to_string(), reason: self.judge(it.ip(), it.port()) };
        found.iter().map(trial).collect()
    }

    async fn look_up(&self, address: &Address, port: u16) -> Result<Vec<SocketAddr>, MailError> {
        if let Some(ip) = address.ip() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let missing = |it| MailError::new(ErrorKind::Resolve, Stage::Resolve, format!("{address} was not found: {it}"));
        let found = self.resolver.look_up(address.as_str(), port).await.map_err(|it| missing(it.to_string()))?;
        if found.is_empty() { Err(missing("it has no address".to_owned())) } else { Ok(found) }
    }
}

#[async_trait]
impl EgressPolicy for Egress {
    fn picture(&self) -> EgressPicture {
        let texts = |ranges: &[IpNet]| ranges.iter().map(ToString::to_string).collect();
        let mut ports = PORTS.to_vec();
        ports.extend(&self.lists.ports);
        ports.sort_unstable();
        ports.dedup();
        let (allow, deny) = (texts(&self.lists.allow), texts(&self.lists.deny));
        EgressPicture { allow, deny, ports, hook_ports: HOOK_PORTS.to_vec() }
    }

    async fn try_out(&self, address: &Address, port: u16) -> Result<Vec<EgressTrial>, MailError> {
        Ok(self.trials(&self.look_up(address, port).await?))
    }
}

fn is_localhost(name: &Address) -> bool {
    let name = name.as_str();
    name == "localhost" || name.ends_with(".localhost")
}

fn refused(what: &str) -> MailError {
    MailError::new(ErrorKind::Egress, Stage::Resolve, format!("the egress policy does not allow {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(allow: &[&str], deny: &[&str], ports: &[u16]) -> Egress {
        let ranges = |it: &[&str]| it.iter().map(|it| it.parse().unwrap()).collect();
        Egress::new(EgressLists { allow: ranges(allow), deny: ranges(deny), ports: ports.to_vec() })
    }

    #[test]
    fn private_and_public_addresses_pass_on_the_ports_of_mail_only() {
        let egress = lists(&[], &[], &[]);
        for text in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "198.51.100.7",
            "2001:db8::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "64:ff9b::198.51.100.7",
            "2002:c633:6407::1",
            "2001:db8::5efe:10.0.0.1",
        ] {
            let address = text.parse().unwrap();
            assert!(egress.permits(address, 993), "{text}");
            assert!(egress.permits(address, 110), "{text}");
            assert_eq!(egress.judge(address, 6379), EgressReason::Port, "{text}");
        }
    }

    #[test]
    fn webhooks_reach_the_same_addresses_on_the_ports_of_http_only() {
        let egress = lists(&[], &[], &[2525]).for_hooks();
        let private = "10.0.0.1".parse().unwrap();
        assert!(egress.permits(private, 443) && egress.permits(private, 80));
        assert!(!egress.permits(private, 25) && !egress.permits(private, 8080) && !egress.permits(private, 2525));
        assert!(!egress.permits("::ffff:169.254.169.254".parse().unwrap(), 80));
    }

    #[test]
    fn an_allowed_range_passes_on_any_port_and_a_port_for_any_ordinary_address() {
        let egress = lists(&["127.0.0.0/8"], &[], &[2525]);
        assert!(egress.permits("127.0.0.1".parse().unwrap(), 31_143));
        assert!(egress.permits("::ffff:127.0.0.1".parse().unwrap(), 31_143));
        assert!(!egress.permits("::1".parse().unwrap(), 993));
        assert!(egress.permits("10.0.0.1".parse().unwrap(), 2525));
        assert_eq!(egress.judge("169.254.169.254".parse().unwrap(), 2525), EgressReason::LinkLocal);
    }

    #[test]
    fn what_is_denied_is_denied_in_every_form_whatever_is_allowed() {
        let egress = lists(&["10.0.0.0/8", "64:ff9b:1::/48", "::/0"], &["10.9.0.0/16", "2001:db8:bad::/48"], &[]);
        for text in ["10.9.1.1", "::ffff:10.9.1.1", "64:ff9b::10.9.1.1", "2002:a09:101::1", "2001:db8:bad::1"] {
            assert!(matches!(egress.judge(text.parse().unwrap(), 993), EgressReason::Denied(_)), "{text}");
        }
        assert_eq!(egress.judge("10.8.1.1".parse().unwrap(), 6379), EgressReason::Allowed("10.0.0.0/8".to_owned()));
        let hidden = lists(&["10.0.0.0/8", "::/0"], &[], &[]);
        assert_eq!(hidden.judge("::ffff:127.0.0.1".parse().unwrap(), 993), EgressReason::Loopback);
    }

    #[test]
    fn what_is_allowed_by_address_opens_no_port_for_a_name_behind_a_connector() {
        let passes =
            |egress: &Egress, address: &str, port| egress.check_target(&Address::parse(address).unwrap(), port).is_ok();
        let egress = lists(&["10.1.0.0/16", "127.0.0.0/8"], &[], &[2525]);
        assert!(!passes(&egress, "db.internal", 6379) && !passes(&egress, "10.2.0.1", 6379));
        assert!(passes(&egress, "db.internal", 993) && passes(&egress, "db.internal", 2525));
        assert!(passes(&egress, "10.1.0.1", 6379), "an address is known here");
        assert!(passes(&egress, "localhost", 6379) && passes(&egress, "mail.localhost", 6379));
        let egress = lists(&["10.1.0.0/16"], &[], &[]);
        assert!(!passes(&egress, "localhost", 6379) && !passes(&egress, "notlocalhost", 6379));
    }

    #[test]
    fn the_picture_shows_what_is_in_force() {
        let picture = lists(&["10.0.0.0/8"], &["10.9.0.0/16"], &[2525, 25]).picture();
        assert_eq!((picture.allow, picture.deny), (vec!["10.0.0.0/8".to_owned()], vec!["10.9.0.0/16".to_owned()]));
        assert_eq!(picture.ports, [25, 110, 143, 465, 587, 993, 995, 2525]);
    }
}
