//! Talking to mail servers (dial, TLS, IMAP, POP3, SMTP) and reading messages (MIME, safe HTML).
//!
//! **Invariant:** nothing is sent before a greeting that is one; SSL and TLS fail closed; every step has a deadline; what a
//! server says is cut, stripped of controls and marked as its words before anybody sees it.

mod connection;
mod dial;
#[cfg(test)]
mod dialogue;
mod discovery;
mod egress;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hook;
mod imap;
mod outlet;
mod pop3;
mod probe;
mod race;
mod reader;
mod refusal;
mod sasl;
mod smtp;
mod ssh;
mod stages;
mod tls;
mod token;
pub mod tunnel;
mod wire;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    account::{Protocol, Security},
    check::{ErrorKind, Stage},
    discovery::DatabaseUrl,
};
pub use egress::{DnsServers, Egress, EgressLists, Resolver, SrvRecord};
pub use reader::Reader;
use service::ports::{MailError, MailServer, Mailbox, StageLog, Visit};

use crate::{
    dial::Dialer,
    stages::Stages,
    tls::{Expected, Tls},
    tunnel::Hub,
    wire::Wire,
};

/// How the mail servers are talked to.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// What may be reached beyond the built-in policy, on any port.
    pub egress_allow: Vec<ipnet::IpNet>,
    /// What may not be reached whatever is allowed.
    pub egress_deny: Vec<ipnet::IpNet>,
    /// Ports beside those of mail.
    pub egress_ports: Vec<u16>,
    /// The largest message that is taken, bytes.
    pub size_limit: u64,
    /// How long the other side may be silent.
    pub step_timeout: Duration,
    /// A database of providers that may be asked for the settings of a mail address.
    pub autoconfig_database: Option<DatabaseUrl>,
}

impl Default for MailSettings {
    fn default() -> Self {
        Self {
            egress_allow: Vec::new(),
            egress_deny: Vec::new(),
            egress_ports: Vec::new(),
            size_limit: 50 * 1024 * 1024,
            step_timeout: Duration::from_secs(30),
            autoconfig_database: None,
        }
    }
}

/// Opens mailboxes over IMAP and POP3, and hands mail to servers. Cheap to clone.
#[derive(Clone)]
pub struct Mail {
    dialer: Dialer,
    tls: Tls,
    settings: MailSettings,
}

impl Mail {
    /// Fails if the system's trust roots cannot be used.
    pub fn new(settings: MailSettings) -> Result<Self, rustls::Error> {
        let lists = EgressLists {
            allow: settings.egress_allow.clone(),
            deny: settings.egress_deny.clone(),
            ports: settings.egress_ports.clone(),
        };
        Ok(Self { dialer: Dialer::new(Egress::new(lists)), tls: Tls::new()?, settings })
    }

    /// The same with another way to look names up.
    #[must_use]
    pub fn resolved_by(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { dialer: self.dialer.resolved_by(resolver), ..self }
    }

    /// Where agents hold their tunnels.
    pub fn hub(&self) -> Hub {
        self.dialer.hub.clone()
    }

    /// What may be contacted.
    pub fn egress(&self) -> Egress {
        self.dialer.egress.clone()
    }
}

#[async_trait]
impl MailServer for Mail {
    async fn open(&self, visit: &Visit, log: Arc<dyn StageLog>) -> Result<Box<dyn Mailbox>, MailError> {
        let stages = Stages::new(log, self.settings.step_timeout);
        let (wire, is_greeted) = self.come_to(visit, &stages).await?;
        match visit.protocol {
            Protocol::Imap => imap::open(wire, is_greeted, visit, &stages).await,
            Protocol::Pop3 => pop3::open(wire, is_greeted, visit, &stages).await,
        }
    }
}

impl Mail {
    /// Connected and secured; and whether the server has greeted already, which it does before STARTTLS.
    async fn come_to(&self, visit: &Visit, stages: &Stages) -> Result<(Wire, bool), MailError> {
        let stream = self.dialer.dial(&visit.destination, visit.connector.as_ref(), stages).await?;
        let (address, authority) = (&visit.destination.address, visit.authority.as_ref());
        let expected = |trust| Expected { address, trust, authority };
        let wire =
            Wire::new(stream, self.settings.step_timeout, self.settings.size_limit).told_to(visit.transcript.clone());
        match visit.destination.security {
            Security::Plain => Ok((wire, false)),
            Security::Implicit(trust) => Ok((self.tls.secure(wire, &expected(trust), stages).await?, false)),
            Security::StartTls(trust) => {
                let plain = match visit.protocol {
                    Protocol::Imap => imap::start_tls(wire, stages).await?,
                    Protocol::Pop3 => pop3::start_tls(wire, stages).await?,
                };
                Ok((self.tls.secure(plain, &expected(trust), stages).await?, true))
            }
        }
    }
}

fn protocol(stage: Stage, message: impl Into<String>) -> MailError {
    MailError::new(ErrorKind::Protocol, stage, message)
}

/// A server's words: without controls, cut, and marked as such.
fn said(text: &[u8]) -> String {
    format!("the server says: \u{ab}{}\u{bb}", clean(text, 200))
}

/// Without controls, and no longer than so many characters.
fn clean(text: &[u8], most: usize) -> String {
    // A character has four bytes at most: what is cut off anyway is not looked at.
    let text = String::from_utf8_lossy(&text[..text.len().min(most * 4)]);
    let clean: String = text
        .chars()
        .map(|it| if domain::text::has_control(it.encode_utf8(&mut [0; 4])) { ' ' } else { it })
        .take(most)
        .collect();
    clean.trim().to_owned()
}
