//! The host address of a mail server or connector.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::problem::Rule;

/// A host name in its ASCII form, or an IP address without brackets.
///
/// **Invariant:** checked by [`Address::parse`]: no scheme, port, path, white space or control character can be in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Accepts a host name (IDNA, UTS 46; labels of letters, digits and hyphens), an IPv4 or an IPv6 address.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Rule::Missing);
        }
        if let Ok(address) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        let name = to_ascii(text.trim_end_matches('.'))?;
        let is_host_name = name.len() <= 253 && name.split('.').all(is_label);
        // A name that ends in a number would be read as an IPv4 address by some resolvers (RFC 1123 section 2.1).
        let ends_in_number = name.rsplit('.').next().is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        if is_host_name && !ends_in_number { Ok(Self(name)) } else { Err(Rule::NotAnAddress) }
    }

    /// What a store gives back; it was checked on the way in.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// As people read it, if that is not how it is written: a name in its own script (UTS 46).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn in_letters(&self) -> Option<String> {
        let (name, read) = idna::domain_to_unicode(&self.0);
        (read.is_ok() && name != self.0).then_some(name)
    }
}

/// UTS 46, as registries read names.
#[cfg(not(target_arch = "wasm32"))]
fn to_ascii(name: &str) -> Result<String, Rule> {
    idna::domain_to_ascii_strict(name).map_err(|_| Rule::NotAnAddress)
}

/// In the browser the tables of UTS 46 would be a quarter of the bundle: letters beyond ASCII pass here, and the server, which
/// runs the whole rule, has the last word.
#[cfg(target_arch = "wasm32")]
#[expect(clippy::unnecessary_wraps, reason = "the whole rule can fail")]
fn to_ascii(name: &str) -> Result<String, Rule> {
    Ok(name
        .chars()
        .map(|it| if it.is_alphanumeric() && !it.is_ascii() { 'x' } else { it.to_ascii_lowercase() })
        .collect())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_pass_and_everything_else_does_not() {
        for (text, expected) in [
            ("mail.example.org", "mail.example.org"),
            ("MAIL.Example.org.", "mail.example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(Address::parse(text).map(|it| it.to_string()), Ok(expected.to_owned()), "{text}");
        }
        for text in
            ["imaps://mail", "mail example", "mail:993", "a/b", "-a.example", "1.2.3", "0x7f.1", "a..b", "mail\r\nX"]
        {
            assert_eq!(Address::parse(text), Err(Rule::NotAnAddress), "{text}");
        }
        assert_eq!(Address::parse("  "), Err(Rule::Missing));
    }

    #[test]
    fn a_name_in_another_script_can_be_read() {
        let letters = |text: &str| Address::parse(text).unwrap().in_letters();
        assert_eq!(letters("mail.bücher.example"), Some("mail.bücher.example".to_owned()));
        assert_eq!((letters("mail.example.org"), letters("192.0.2.1"), letters("2001:db8::1")), (None, None, None));
    }
}
