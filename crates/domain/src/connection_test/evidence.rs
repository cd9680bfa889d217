//! What was seen on the way to a mailbox: plain facts, as they come to light. A server's words among them were cut and cleaned.

use serde::{Deserialize, Serialize};

use crate::{egress::EgressTrial, time::Timestamp};

/// When a server said what it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On the plain connection.
    Plain,
    /// Inside TLS, before the sign-in.
    Secured,
    SignedIn,
}

impl Phase {
    pub const ALL: [Self; 3] = [Self::Plain, Self::Secured, Self::SignedIn];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Secured => "secured",
            Self::SignedIn => "signed_in",
        }
    }
}

/// How the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFacts {
    /// `TLSv1.3`
    pub version: String,
    /// `TLS13_AES_256_GCM_SHA384`
    pub cipher: String,
}

/// What one certificate of a chain says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    pub subject: String,
    pub issuer: String,
    /// The hosts and addresses that it is for.
    pub names: Vec<String>,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// SHA-256 of the certificate: `SHA256:` and Base64.
    pub fingerprint: String,
    /// `RSA, 2048 bits`, `EC P-256`
    pub key: String,
    /// What pins its key: `SHA256:` and Base64.
    pub pin: String,
}

/// Whether the chain is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Trusted,
    /// By the system's roots it would not be, but its key is pinned or anything is accepted.
    Accepted {
        why: String,
    },
    Refused {
        why: String,
    },
}

/// What the mailbox holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxFacts {
    pub n_messages: u64,
    /// IMAP, where the server tells.
    pub n_unseen: Option<u64>,
    /// POP3: bytes of all messages.
    pub size: Option<u64>,
    /// IMAP.
    pub uid_validity: Option<u32>,
}

/// One thing that came to light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// What the name resolved to, and what the egress policy says to each address.
    Resolved(Vec<EgressTrial>),
    /// The address and port that the connection went to.
    Connected(String),
    Tls(TlsFacts),
    /// From the server's certificate up, as it was sent.
    Chain(Vec<CertificateFacts>, Verdict),
    Greeting(String),
    Capabilities(Phase, Vec<String>),
    /// How the sign-in was done.
    Mechanism(String),
    Mailbox(MailboxFacts),
}

/// What a server said that it can, in its own spelling; `None` where it was not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub plain: Option<Vec<String>>,
    pub secured: Option<Vec<String>>,
    pub signed_in: Option<Vec<String>>,
}

impl Capabilities {
    pub fn of(&self, phase: Phase) -> Option<&[String]> {
        match phase {
            Phase::Plain => self.plain.as_deref(),
            Phase::Secured => self.secured.as_deref(),
            Phase::SignedIn => self.signed_in.as_deref(),
        }
    }
}

/// All that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of the connector, where one is gone by: it looks the server's name up itself.
    pub resolved: Vec<EgressTrial>,
    pub connected: Option<String>,
    pub tls: Option<TlsFacts>,
    pub chain: Vec<CertificateFacts>,
    pub verdict: Option<Verdict>,
    pub greeting: Option<String>,
    pub capabilities: Capabilities,
    pub mechanism: Option<String>,
    pub mailbox: Option<MailboxFacts>,
}

impl Evidence {
    pub fn note(&mut self, fact: Fact) {
        match fact {
            Fact::Resolved(trials) => self.resolved = trials,
            Fact::Connected(address) => self.connected = Some(address),
            Fact::Tls(facts) => self.tls = Some(facts),
            Fact::Chain(chain, verdict) => {
                self.chain = chain;
                self.verdict = Some(verdict);
            }
            Fact::Greeting(words) => self.greeting = Some(words),
            Fact::Capabilities(phase, names) => {
                let place = match phase {
                    Phase::Plain => &mut self.capabilities.plain,
                    Phase::Secured => &mut self.capabilities.secured,
                    Phase::SignedIn => &mut self.capabilities.signed_in,
                };
                *place = Some(names);
            }
            Fact::Mechanism(name) => self.mechanism = Some(name),
            Fact::Mailbox(facts) => self.mailbox = Some(facts),
        }
    }

    /// The ways to sign in that the server offers where a sign-in would be done: IMAP's `AUTH=…` and LOGIN, POP3's `SASL …` and
    /// USER.
    pub fn mechanisms(&self) -> Vec<String> {
        let capabilities = &self.capabilities;
        let Some(names) = capabilities.secured.as_deref().or(capabilities.plain.as_deref()) else { return Vec::new() };
        let upper: Vec<_> = names.iter().map(|it| it.to_ascii_uppercase()).collect();
        let mut found: Vec<String> = Vec::new();
        for name in &upper {
            if let Some(mechanism) = name.strip_prefix("AUTH=") {
                found.push(mechanism.to_owned());
            } else if let Some(mechanisms) = name.strip_prefix("SASL ") {
                found.extend(mechanisms.split(' ').map(str::to_owned));
            } else if name == "USER" {
                found.push("USER".to_owned());
            }
        }
        let is_imap = upper.iter().any(|it| it.starts_with("IMAP4"));
        // The mechanism and the command have one name.
        let has = |name: &str| found.iter().chain(&upper).any(|it| it == name);
        if is_imap && !has("LOGINDISABLED") && !has("LOGIN") {
            found.push("LOGIN".to_owned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offered_mechanisms_are_those_of_the_last_connection() {
        let names = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let mut evidence = Evidence::default();
        assert!(evidence.mechanisms().is_empty());
        evidence.note(Fact::Capabilities(Phase::Plain, names(&["IMAP4rev1", "LOGINDISABLED", "STARTTLS"])));
        assert!(evidence.mechanisms().is_empty());
        evidence.note(Fact::Capabilities(Phase::Secured, names(&["IMAP4rev1", "auth=plain", "AUTH=XOAUTH2"])));
        assert_eq!(evidence.mechanisms(), ["PLAIN", "XOAUTH2", "LOGIN"]);
        evidence.note(Fact::Capabilities(Phase::Secured, names(&["IMAP4rev1", "AUTH=PLAIN", "AUTH=LOGIN"])));
        assert_eq!(evidence.mechanisms(), ["PLAIN", "LOGIN"]);
        evidence.note(Fact::Capabilities(Phase::Secured, names(&["UIDL", "USER", "SASL PLAIN LOGIN"])));
        assert_eq!(evidence.mechanisms(), ["USER", "PLAIN", "LOGIN"]);
    }
}
