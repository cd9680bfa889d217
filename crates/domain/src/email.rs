//! Mail addresses.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{account::Address, problem::Rule};

/// A mailbox on a host: `ana@example.org`.
///
/// **Invariant:** checked by [`EmailAddress::parse`]: it can stand in an SMTP command and in a header as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Accepts a Dot-string before the `@` and a host name after it (RFC 5321 section 4.1.2), the host in any script.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Rule::Missing);
        }
        let (local, host) = text.rsplit_once('@').ok_or(Rule::NotAMailAddress)?;
        let is_atom = |it: &str| !it.is_empty() && it.bytes().all(is_atom_text);
        if local.len() > 64 || !local.split('.').all(is_atom) {
            return Err(Rule::NotAMailAddress);
        }
        match Address::parse(host) {
            Ok(host) if host.ip().is_none() => Ok(Self(format!("{local}@{host}"))),
            _ => Err(Rule::NotAMailAddress),
        }
    }

    /// What a store gives back; it was checked on the way in.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |it| it.0)
    }

    /// What stands after the `@`.
    pub fn host(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |it| it.1)
    }
}

/// `atext` of RFC 5322 section 3.2.3.
fn is_atom_text(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_passes_and_nothing_that_would_be_more() {
        for text in ["ana@example.org", " o'neil+x@mail.example ", "a.b@localhost"] {
            assert_eq!(EmailAddress::parse(text).map(|it| it.to_string()), Ok(text.trim().to_owned()));
        }
        let host = EmailAddress::parse("ana@bücher.example").map(|it| it.host().to_owned());
        assert_eq!(host, Ok("xn--bcher-kva.example".to_owned()));
        for text in [
            "ana",
            "@example.org",
            "ana@",
            "a b@example.org",
            "ana@example.org>",
            "Ana <ana@example.org>",
            ".a@example.org",
            "a..b@example.org",
            "a@b@",
            "ana@example.org\r\nBcc: x@y",
            "ana@192.0.2.1",
            "a,b@example.org",
            "ána@example.org",
        ] {
            assert_eq!(EmailAddress::parse(text), Err(Rule::NotAMailAddress), "{text}");
        }
        assert_eq!(EmailAddress::parse(" "), Err(Rule::Missing));
    }
}
