//! A mail account: what it is, how it is entered, how it is filtered and sorted.

mod address;
pub(crate) mod destination;
mod draft;
mod filter;
mod health;
mod pin;
mod trust;

pub use address::Address;
pub use destination::Destination;
pub use draft::{AccountDraft, AccountForm, NAME_MAX};
pub use filter::{AccountColumn, AccountFilter, AccountQuery, AccountSort};
pub use health::{Failure, Health, HealthState};
pub use pin::KeyPin;
use serde::{Deserialize, Serialize};
pub use trust::Trust;

use crate::{
    ids::{AccountId, AuthorityId, ConnectorId, CredentialId, SmtpId},
    time::{Day, Timestamp},
};

/// The protocol by which messages are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Imap,
    Pop3,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "imap" => Some(Self::Imap),
            "pop3" => Some(Self::Pop3),
            _ => None,
        }
    }

    /// As it stands on screen: `IMAP` or `POP3`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Pop3 => "POP3",
        }
    }

    /// The registered port of this protocol under that security (RFC 8314 section 7, RFC 3501, RFC 1939).
    pub fn standard_port(self, security: Security) -> u16 {
        match (self, security) {
            (Self::Imap, Security::Implicit(_)) => 993,
            (Self::Imap, _) => 143,
            (Self::Pop3, Security::Implicit(_)) => 995,
            (Self::Pop3, _) => 110,
        }
    }
}

/// How the connection is protected. There is no opportunistic kind: what is set here happens or the check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// "Use safe connection: No".
    Plain,
    /// "TLS": STARTTLS or STLS on the plain port.
    StartTls(Trust),
    /// "SSL": TLS from the first byte.
    Implicit(Trust),
}

impl Security {
    pub fn is_secure(self) -> bool {
        self != Self::Plain
    }

    pub fn trust(self) -> Option<Trust> {
        match self {
            Self::Plain => None,
            Self::StartTls(trust) | Self::Implicit(trust) => Some(trust),
        }
    }

    pub fn skips_certificate(self) -> bool {
        matches!(self.trust(), Some(Trust::SkipCertificate { .. }))
    }

    pub fn skip_until(self) -> Option<Day> {
        self.trust().and_then(Trust::skip_until)
    }

    pub fn authority_id(self) -> Option<AuthorityId> {
        self.trust().and_then(Trust::authority_id)
    }

    pub fn pin(self) -> Option<KeyPin> {
        self.trust().and_then(Trust::pin)
    }

    /// `ssl`, `tls`, or nothing for a plain connection.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::StartTls(_) => Some("tls"),
            Self::Implicit(_) => Some("ssl"),
        }
    }

    /// From the columns of a record. A kind that is not `tls` means SSL.
    pub fn from_parts(secure: bool, kind: Option<&str>, trust: Trust) -> Self {
        match (secure, kind) {
            (false, _) => Self::Plain,
            (true, Some("tls")) => Self::StartTls(trust),
            (true, _) => Self::Implicit(trust),
        }
    }
}

/// The way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    Direct,
    Connector(ConnectorId),
}

impl Route {
    pub fn connector_id(self) -> Option<ConnectorId> {
        match self {
            Self::Direct => None,
            Self::Connector(id) => Some(id),
        }
    }
}

/// An account as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    /// Counts up with every change; a writer must name the one it read.
    pub version: i64,
    pub draft: AccountDraft,
    pub health: Health,
    /// Set while the account is deleted but can still be restored.
    pub deleted_at: Option<Timestamp>,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    pub id: AccountId,
    pub name: String,
    pub security: Security,
    pub protocol: Protocol,
    pub port: u16,
    pub automatic_check: bool,
    pub keep_copy: bool,
    pub enabled: bool,
    pub health: Health,
}

/// A name to choose from a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    pub id: i64,
    pub name: String,
    /// What tells two of the same kind apart: the user name of a credential, the address of a connector.
    pub hint: String,
}

/// What an account's form offers to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountChoices {
    pub credentials: Vec<Choice>,
    pub connectors: Vec<Choice>,
    pub authorities: Vec<Choice>,
}

/// How many messages of an account are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCounts {
    /// Stored here.
    pub stored: u64,
    /// Stored here and, as far as is known, still on the server.
    pub on_server: u64,
    /// Stored here and deleted from the server: they exist only here.
    pub only_here: u64,
    /// Of those on the server, collected while a copy was kept: nothing asks for their deletion.
    pub older: u64,
    /// Of those on the server, collected while a copy was kept: somebody asked for their deletion, and the server was not asked
    /// yet.
    pub older_wanted: u64,
}

/// A record that a credential or a connector is used by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum User {
    Account(AccountId),
    Connector(ConnectorId),
    Smtp(SmtpId),
}

/// Which records a connector or credential is used by, with their names.
pub type UsedBy = Vec<(User, String)>;

impl From<CredentialId> for i64 {
    fn from(id: CredentialId) -> i64 {
        id.0
    }
}
