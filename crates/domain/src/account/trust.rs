//! Whose certificate is accepted.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::KeyPin;
use crate::{ids::AuthorityId, time::Day};

/// Which certificates are accepted. In JSON it is one text, as [`fmt::Display`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trust {
    /// Those that the system's roots vouch for, with the right name.
    System,
    /// Those that a registered authority vouches for, and nobody else, with the right name.
    Authority(AuthorityId),
    /// Any with this key: the name and the dates do not count.
    Pin(KeyPin),
    /// Any: "Skip certificate". Never the default. After its last day, none.
    SkipCertificate { until: Option<Day> },
}

impl Trust {
    /// `system`, `ca` or `pin`; skipping stands beside them and counts as the first.
    pub fn kind(self) -> &'static str {
        match self {
            Self::System | Self::SkipCertificate { .. } => "system",
            Self::Authority(_) => "ca",
            Self::Pin(_) => "pin",
        }
    }

    pub fn authority_id(self) -> Option<AuthorityId> {
        if let Self::Authority(id) = self { Some(id) } else { None }
    }

    pub fn pin(self) -> Option<KeyPin> {
        if let Self::Pin(pin) = self { Some(pin) } else { None }
    }

    pub fn skip_until(self) -> Option<Day> {
        if let Self::SkipCertificate { until } = self { until } else { None }
    }

    /// From the columns of a record: what is more than one of them counts as the one that lets less through.
    pub fn from_parts(skip: bool, until: Option<Day>, authority: Option<AuthorityId>, pin: Option<KeyPin>) -> Self {
        match (pin, authority) {
            (Some(pin), _) => Self::Pin(pin),
            (None, Some(id)) => Self::Authority(id),
            (None, None) if skip => Self::SkipCertificate { until },
            (None, None) => Self::System,
        }
    }
}

impl fmt::Display for Trust {
    /// `system`, `ca 3`, `pin SHA256:…`, `skip`, `skip 2026-12-31`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Authority(id) => write!(f, "ca {id}"),
            Self::Pin(pin) => write!(f, "pin {pin}"),
            Self::SkipCertificate { until: None } => f.write_str("skip"),
            Self::SkipCertificate { until: Some(day) } => write!(f, "skip {day}"),
        }
    }
}

impl From<Trust> for String {
    fn from(trust: Trust) -> Self {
        trust.to_string()
    }
}

impl TryFrom<String> for Trust {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let (kind, of) = text.split_once(' ').unwrap_or((&text, ""));
        let trust = match (kind, of) {
            ("system", "") => Some(Self::System),
            ("skip", "") => Some(Self::SkipCertificate { until: None }),
            ("skip", day) => Day::parse(day).map(|it| Self::SkipCertificate { until: Some(it) }),
            ("ca", id) => id.parse().ok().map(Self::Authority),
            ("pin", pin) => KeyPin::parse(pin).ok().map(Self::Pin),
            _ => None,
        };
        trust.ok_or("no trust")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trust_is_read_as_it_is_written() {
        for trust in [
            Trust::System,
            Trust::Authority(AuthorityId(3)),
            Trust::Pin(KeyPin([7; 32])),
            Trust::SkipCertificate { until: None },
            Trust::SkipCertificate { until: Day::parse("2026-12-31") },
        ] {
            assert_eq!(Trust::try_from(trust.to_string()), Ok(trust));
        }
        for text in ["", "ca", "ca x", "pin", "pin SHA256:x", "skip tomorrow", "system 1", "any"] {
            assert!(Trust::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
