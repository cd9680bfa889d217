//! What an agent lets a server reach: nothing but what whoever runs it has named.

use std::{net::IpAddr, str::FromStr};

use domain::account::Address;
use ipnet::IpNet;

use crate::egress::forms::{embedded, forbidden};

/// One entry: a name or a range of addresses, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowRule {
    whom: Whom,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whom {
    Name(String),
    Range(IpNet),
}

impl FromStr for AllowRule {
    type Err = String;

    /// `mail.internal:993`, `10.0.0.0/8:143`, `192.0.2.7:143`, `[fd00::/8]:993`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}`: {why}");
        let (whom, port) = text.trim().rsplit_once(':').ok_or_else(|| wrong("a port is missing, as in name:993"))?;
        let port = port.parse().ok().filter(|it| *it > 0).ok_or_else(|| wrong("the port must be 1 to 65535"))?;
        let inside = whom.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        if inside.is_none() && whom.contains(':') {
            return Err(wrong("an IPv6 address or range stands in brackets, as in [fd00::/8]:993"));
        }
        let whom = inside.unwrap_or(whom);
        if let Ok(range) = whom.parse::<IpNet>().or_else(|_| whom.parse::<IpAddr>().map(IpNet::from)) {
            return Ok(Self { whom: Whom::Range(range), port });
        }
        let name = Address::parse(whom).map_err(|_| wrong("neither a host name nor a range of addresses"))?;
        Ok(Self { whom: Whom::Name(name.as_str().to_owned()), port })
    }
}

/// All entries. Without any, nothing may be reached.
#[derive(Clone, Debug, Default)]
pub struct AllowList(pub Vec<AllowRule>);

impl AllowList {
    /// Whether looking the name up can come to anything.
    pub(super) fn may_permit(&self, name: &str, port: u16) -> bool {
        self.0.iter().any(|it| it.port == port && (matches!(it.whom, Whom::Range(_)) || it.is_named(name)))
    }

    /// Whether this address may be connected to, which the name led to if there was one. A name may not lead to the agent's own
    /// machine, or to what clouds tell machines about themselves, unless that range is named too.
    pub(super) fn permits(&self, name: Option<&str>, address: IpAddr, port: u16) -> bool {
        let meant = embedded(address);
        let mut rules = self.0.iter().filter(|it| it.port == port);
        rules.any(|it| match &it.whom {
            Whom::Range(range) => range.contains(&meant),
            Whom::Name(_) => {
                name.is_some_and(|name| it.is_named(name)) && forbidden(address).or_else(|| forbidden(meant)).is_none()
            }
        })
    }
}

impl AllowRule {
    fn is_named(&self, name: &str) -> bool {
        matches!(&self.whom, Whom::Name(it) if it.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowList {
        AllowList(text.split(',').map(|it| it.parse().unwrap()).collect())
    }

    #[test]
    fn nothing_is_allowed_but_what_was_named_on_its_port() {
        let allowed = list("Mail.Internal:993,10.0.0.0/8:143,192.0.2.7:110,[fd00::/8]:993");
        let permits = |name, address: &str, port| allowed.permits(name, address.parse().unwrap(), port);
        assert!(permits(Some("mail.internal"), "198.51.100.7", 993));
        assert!(!permits(Some("mail.internal"), "198.51.100.7", 143) && !permits(None, "198.51.100.7", 993));
        assert!(!permits(Some("other.internal"), "198.51.100.7", 993));
        assert!(permits(Some("other.internal"), "10.9.8.7", 143) && permits(None, "::ffff:10.9.8.7", 143));
        assert!(!permits(None, "10.9.8.7", 993) && !permits(None, "11.0.0.1", 143));
        assert!(permits(None, "192.0.2.7", 110) && !permits(None, "192.0.2.8", 110));
        assert!(permits(None, "fd12::1", 993) && !permits(None, "2001:db8::1", 993));
        let nothing = AllowList::default();
        assert!(!nothing.permits(Some("mail.internal"), "10.0.0.1".parse().unwrap(), 993));
        assert!(!nothing.may_permit("mail.internal", 993));
        assert!(allowed.may_permit("other.internal", 143) && !allowed.may_permit("other.internal", 110_u16 + 1));
    }

    #[test]
    fn a_name_leads_to_no_place_of_the_machine_itself_unless_that_is_named_too() {
        for address in ["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "64:ff9b::7f00:1"] {
            let address = address.parse().unwrap();
            assert!(!list("mail.internal:993").permits(Some("mail.internal"), address, 993), "{address}");
        }
        let local = list("mail.internal:993,127.0.0.0/8:993");
        assert!(local.permits(Some("mail.internal"), "127.0.0.1".parse().unwrap(), 993));
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (text, why) in [
            ("mail.internal", "port is missing"),
            ("mail.internal:0", "1 to 65535"),
            ("mail.internal:imaps", "1 to 65535"),
            ("fd00::1:993", "brackets"),
            ("10.0.0.0/33:143", "neither"),
            ("*:993", "neither"),
            (":993", "neither"),
        ] {
            let error = text.parse::<AllowRule>().unwrap_err();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }
}
