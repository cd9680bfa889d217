//! The one door of Posthorn: every use case (authorise, check the rules, act, write the audit entry) and the ports it needs.
//!
//! **Invariant:** screens, REST, the command line and the background work all come through here; nothing else changes state,
//! so nothing escapes permission, rule or audit.

mod accounts;
mod agents;
mod audit;
mod authorities;
mod checks;
mod connection_tests;
mod connectors;
mod credentials;
mod devices;
mod discovery;
mod egress;
mod error;
mod ledger;
mod messages;
mod oauth;
pub mod ports;
mod posture;
mod reading;
mod schedules;
mod seals;
pub mod secret;
mod sender;
mod sign_in;
mod smtp;
mod stages;
mod starts;
mod tokens;
pub mod vault;
mod visit;
mod watch;

use std::sync::Arc;

pub use accounts::{Accounts, RESTORABLE_DAYS, Saved};
pub use agents::{Admission, Agents};
pub use audit::Audit;
pub use authorities::Authorities;
pub use checks::{CheckTicket, Checker, Checks, StartError};
pub use connection_tests::{ConnectionTests, RunId, TestRun, TestRuns};
pub use connectors::Connectors;
pub use credentials::{Credentials, note_accepted};
pub use discovery::{Autodiscovery, Searches};
pub use egress::Egress;
pub use error::Error;
pub use ledger::Ledger;
pub use messages::{Html, Messages, RawMessage};
pub use oauth::{Callback, OAuth};
pub use posture::{POSTURE_EXPORTED_MAX, Posture};
pub use reading::Reading;
pub use schedules::{RUNS_KEPT, Schedules};
pub use seals::{SealStatus, Seals, SealsError, can_seal, check_keys};
pub use sender::CredentialedSender;
pub use sign_in::{Attempts as SignInAttempts, Limits, Passwords, SignIn};
pub use smtp::SmtpAccounts;
pub use tokens::Tokens;
pub use visit::{open_submission, open_visit, record_contact};
pub use watch::{Watch, notices};

use crate::{
    ports::{
        CertificateReader, Clock, ConnectionProbe, ConnectorProbe, Discovery, EgressPolicy, MailSender, MessageReader,
        Notifier, Reporter, Store, Tunnels,
    },
    sign_in::Attempts,
    vault::Vault,
};

/// What the use cases are made of. Cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

/// The implementations that meet their ports in `server`.
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub vault: Arc<Vault>,
    pub tokens: Tokens,
    pub reader: Arc<dyn MessageReader>,
    pub certificates: Arc<dyn CertificateReader>,
    pub egress: Arc<dyn EgressPolicy>,
    pub checker: Arc<dyn Checker>,
    pub sender: Arc<dyn MailSender>,
    pub prober: Arc<dyn ConnectorProbe>,
    pub tunnels: Arc<dyn Tunnels>,
    pub connections: Arc<dyn ConnectionProbe>,
    /// The tests of connections that run here.
    pub tests: TestRuns,
    pub discovery: Arc<dyn Discovery>,
    /// The searches for settings that go on here.
    pub searches: Searches,
    pub reporter: Arc<dyn Reporter>,
    pub notifier: Arc<dyn Notifier>,
    /// Opens the set-up page while there is no user.
    pub set_up_code: secret::Secret,
    pub attempts: Attempts,
    pub reading: Reading,
    pub passwords: Passwords,
}

impl Parts {
    pub(crate) fn credentials(&self) -> Credentials<'_> {
        Credentials(self)
    }
}

impl Service {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The time, for screens that show how long ago something was.
    pub fn now(&self) -> domain::time::Timestamp {
        self.0.clock.now()
    }

    pub fn accounts(&self) -> Accounts<'_> {
        Accounts(&self.0)
    }

    pub fn credentials(&self) -> Credentials<'_> {
        Credentials(&self.0)
    }

    pub fn oauth(&self) -> OAuth<'_> {
        OAuth(&self.0)
    }

    pub fn connectors(&self) -> Connectors<'_> {
        Connectors(&self.0)
    }

    pub fn agents(&self) -> Agents<'_> {
        Agents(&self.0)
    }

    pub fn connection_tests(&self) -> ConnectionTests<'_> {
        ConnectionTests(&self.0)
    }

    pub fn autodiscovery(&self) -> Autodiscovery<'_> {
        Autodiscovery(&self.0)
    }

    pub fn authorities(&self) -> Authorities<'_> {
        Authorities(&self.0)
    }

    pub fn egress(&self) -> Egress<'_> {
        Egress(&self.0)
    }

    pub fn posture(&self) -> Posture<'_> {
        Posture(&self.0)
    }

    pub fn seals(&self) -> Seals<'_> {
        Seals(&self.0)
    }

    pub fn sign_in(&self) -> SignIn<'_> {
        SignIn(&self.0)
    }

    pub fn messages(&self) -> Messages<'_> {
        Messages(&self.0)
    }

    pub fn checks(&self) -> Checks<'_> {
        Checks(&self.0)
    }

    pub fn smtp(&self) -> SmtpAccounts<'_> {
        SmtpAccounts(&self.0)
    }

    pub fn schedules(&self) -> Schedules<'_> {
        Schedules(&self.0)
    }

    pub fn ledger(&self) -> Ledger<'_> {
        Ledger(&self.0)
    }

    pub fn watch(&self) -> Watch<'_> {
        Watch(&self.0)
    }

    pub fn audit(&self) -> Audit<'_> {
        Audit(&self.0)
    }
}
