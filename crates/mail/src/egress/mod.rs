//! Which addresses and ports the server may contact. The rule looks at the resolved address that is then connected to: there is
//! no second look-up that could answer otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use domain::{
    account::Address,
    check::{ErrorKind, Stage},
};
use ipnet::IpNet;
use service::ports::MailError;

/// The ports of mail: SMTP, POP3, IMAP, submission, and their TLS twins.
const PORTS: [u16; 7] = [25, 110, 143, 465, 587, 993, 995];
/// The ports of webhooks.
const HOOK_PORTS: [u16; 2] = [80, 443];

/// The policy: loopback, link-local and metadata addresses refused, private ranges allowed, ports limited to mail's; ranges that
/// the configuration lists pass on any port.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    allow: Vec<IpNet>,
    purpose: Purpose,
}

/// What the connections are for.
#[derive(Clone, Copy, Debug, Default)]
enum Purpose {
    #[default]
    Mail,
    Hooks,
}

impl Purpose {
    fn ports(self) -> &'static [u16] {
        match self {
            Self::Mail => &PORTS,
            Self::Hooks => &HOOK_PORTS,
        }
    }
}

impl Egress {
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow, purpose: Purpose::Mail }
    }

    /// The same policy for webhooks: the ports of HTTP instead of mail's.
    pub(crate) fn for_hooks(&self) -> Self {
        Self { allow: self.allow.clone(), purpose: Purpose::Hooks }
    }

    /// Whether this address may be contacted on this port.
    pub fn permits(&self, address: IpAddr, port: u16) -> bool {
        let address = embedded(address);
        self.allow.iter().any(|it| it.contains(&address)) || (self.has_port(port) && !is_forbidden(address))
    }

    fn has_port(&self, port: u16) -> bool {
        self.purpose.ports().contains(&port)
    }

    /// What a connector will be asked for by name: only the port and a literal address can be judged here.
    pub(crate) fn check_target(&self, address: &Address, port: u16) -> Result<(), MailError> {
        let permitted = match address.ip() {
            Some(ip) => self.permits(ip, port),
            None => self.has_port(port) || !self.allow.is_empty(),
        };
        if permitted { Ok(()) } else { Err(refused(&format!("{address} port {port}"))) }
    }

    /// Keeps the addresses that may be contacted.
    pub(crate) fn filter(&self, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, MailError> {
        let shown = found.first().map(ToString::to_string).unwrap_or_default();
        let permitted: Vec<_> = found.into_iter().filter(|it| self.permits(it.ip(), it.port())).collect();
        if permitted.is_empty() { Err(refused(&shown)) } else { Ok(permitted) }
    }
}

fn refused(what: &str) -> MailError {
    MailError::new(ErrorKind::Egress, Stage::Resolve, format!("the egress policy does not allow {what}"))
}

/// The IPv4 address inside an IPv6 form of it: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            v4(high, low)
        }
        // The deprecated "IPv4-compatible" form; ::1 and :: are IPv6's own.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => address,
    }
}

fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first == 0
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || first >= 240
        }
        IpAddr::V6(v6) => {
            const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast() || v6 == METADATA
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_forbidden_address_is_refused() {
        let egress = Egress::default();
        for text in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:0.0.0.0",
        ] {
            assert!(!egress.permits(text.parse().unwrap(), 993), "{text}");
        }
    }

    #[test]
    fn private_and_public_addresses_pass_on_the_ports_of_mail_only() {
        let egress = Egress::default();
        for text in
            ["10.0.0.1", "192.168.1.1", "172.16.0.1", "198.51.100.7", "2001:db8::1", "fd12::1", "::ffff:10.0.0.1"]
        {
            let address = text.parse().unwrap();
            assert!(egress.permits(address, 993), "{text}");
            assert!(egress.permits(address, 110), "{text}");
            assert!(!egress.permits(address, 6379), "{text}");
        }
    }

    #[test]
    fn webhooks_reach_the_same_addresses_on_the_ports_of_http_only() {
        let egress = Egress::default().for_hooks();
        let private = "10.0.0.1".parse().unwrap();
        assert!(egress.permits(private, 443) && egress.permits(private, 80));
        assert!(!egress.permits(private, 25) && !egress.permits(private, 8080));
        assert!(!egress.permits("::ffff:169.254.169.254".parse().unwrap(), 80));
    }

    #[test]
    fn a_listed_range_passes_on_any_port() {
        let egress = Egress::new(vec!["127.0.0.0/8".parse().unwrap()]);
        assert!(egress.permits("127.0.0.1".parse().unwrap(), 31_143));
        assert!(egress.permits("::ffff:127.0.0.1".parse().unwrap(), 31_143));
        assert!(!egress.permits("::1".parse().unwrap(), 993));
    }
}
