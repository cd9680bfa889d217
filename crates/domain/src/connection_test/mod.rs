//! A test of a connection: how each step went, what was seen on the way, and what is different from the last good one.

mod advice;
mod compare;
mod evidence;

use serde::{Deserialize, Serialize};

pub use self::{
    advice::Advice,
    compare::{Difference, compare},
    evidence::{Capabilities, CertificateFacts, Evidence, Fact, MailboxFacts, Phase, TlsFacts, Verdict},
};
use crate::{
    account::{Destination, Protocol, Route, Security},
    check::ErrorKind,
    ids::{AccountId, ConnectionTestId},
    time::Timestamp,
};

/// How many results of an account are listed. Beyond them only the last good ones of each way are kept.
pub const KEPT: u32 = 50;

/// The steps of a test, finer than the stages of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    Resolve,
    /// Whether the egress policy lets the address be contacted.
    Egress,
    Connector,
    Connect,
    Tls,
    /// The server's greeting, and what it says that it can.
    Greeting,
    StartTls,
    Authenticate,
    Mailbox,
}

impl Step {
    pub const ALL: [Self; 9] = [
        Self::Resolve,
        Self::Egress,
        Self::Connector,
        Self::Connect,
        Self::Tls,
        Self::Greeting,
        Self::StartTls,
        Self::Authenticate,
        Self::Mailbox,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Egress => "egress",
            Self::Connector => "connector",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::StartTls => "start_tls",
            Self::Authenticate => "authenticate",
            Self::Mailbox => "mailbox",
        }
    }
}

/// What one step did and how long it took, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    pub step: Step,
    pub ok: bool,
    pub ms: u64,
    pub detail: String,
}

/// Why a test failed. The message is for administrators, like that of a check's error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFailure {
    pub step: Step,
    pub kind: ErrorKind,
    pub message: String,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestEnd {
    Passed,
    Failed(TestFailure),
    /// Somebody stopped it.
    Cancelled,
}

/// One test. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTest {
    pub protocol: Protocol,
    pub destination: Destination,
    /// The name of the connector that was gone by; `None` directly.
    pub connector: Option<String>,
    /// Whether the credential had a part in it; else the test ends before the sign-in.
    pub signs_in: bool,
    /// Whether the account was stored like this; else the values were only typed.
    pub is_saved: bool,
    pub steps: Vec<StepRecord>,
    pub evidence: Evidence,
    /// `None` while it runs.
    pub end: Option<TestEnd>,
    /// When the last good test was that this one was compared with.
    pub compared_with: Option<Timestamp>,
    pub differences: Vec<Difference>,
}

impl ConnectionTest {
    pub fn new(protocol: Protocol, destination: Destination) -> Self {
        Self {
            protocol,
            destination,
            connector: None,
            signs_in: true,
            is_saved: true,
            steps: Vec::new(),
            evidence: Evidence::default(),
            end: None,
            compared_with: None,
            differences: Vec::new(),
        }
    }

    pub fn is_good(&self) -> bool {
        self.end == Some(TestEnd::Passed)
    }

    pub fn failure(&self) -> Option<&TestFailure> {
        match &self.end {
            Some(TestEnd::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    /// The step that comes after those that are over.
    pub fn under_way(&self) -> Step {
        let security = self.destination.security;
        let begins_secure = matches!(security, Security::Implicit(_));
        let is_asked = self.steps.iter().any(|it| it.step == Step::StartTls);
        let after_connect = if begins_secure { Step::Tls } else { Step::Greeting };
        match self.steps.last().map(|it| it.step) {
            None if self.destination.route == Route::Direct => Step::Resolve,
            None | Some(Step::Resolve) => Step::Egress,
            // The first of two with a connector: the server's own address.
            Some(Step::Egress) if self.steps.len() == 1 => Step::Resolve,
            Some(Step::Egress) => Step::Connect,
            Some(Step::Connect) if self.destination.route != Route::Direct => Step::Connector,
            Some(Step::Connect | Step::Connector) => after_connect,
            Some(Step::Greeting) if matches!(security, Security::StartTls(_)) && !is_asked => Step::StartTls,
            Some(Step::StartTls) => Step::Tls,
            Some(Step::Tls) => Step::Greeting,
            Some(Step::Greeting) => Step::Authenticate,
            Some(Step::Authenticate | Step::Mailbox) => Step::Mailbox,
        }
    }

    /// What to do next, if it failed.
    pub fn advice(&self) -> Option<Advice> {
        self.failure().map(|it| Advice::for_failure(it, self.destination.security, self.destination.route))
    }
}

/// A test as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRecord {
    pub id: ConnectionTestId,
    pub account_id: AccountId,
    pub at: Timestamp,
    /// Who asked for it.
    pub actor: String,
    pub test: ConnectionTest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{Address, Trust},
        ids::ConnectorId,
    };

    #[track_caller]
    fn check(security: Security, route: Route, expected: &[Step]) {
        let address = Address::parse("mail.example.org").unwrap();
        let destination = Destination { address, port: 143, security, route };
        let mut test = ConnectionTest::new(Protocol::Imap, destination);
        for step in expected {
            assert_eq!(test.under_way(), *step, "{:?}", test.steps);
            test.steps.push(StepRecord { step: *step, ok: true, ms: 0, detail: String::new() });
        }
    }

    #[test]
    fn the_step_under_way_is_known_before_it_ends() {
        use Step as S;
        let ssl = [S::Resolve, S::Egress, S::Connect, S::Tls, S::Greeting, S::Authenticate, S::Mailbox];
        check(Security::Implicit(Trust::System), Route::Direct, &ssl);
        let tls = [S::Resolve, S::Egress, S::Connect, S::Greeting, S::StartTls, S::Tls, S::Greeting, S::Authenticate];
        check(Security::StartTls(Trust::System), Route::Direct, &tls);
        let behind = [S::Egress, S::Resolve, S::Egress, S::Connect, S::Connector, S::Greeting, S::Authenticate];
        check(Security::Plain, Route::Connector(ConnectorId(1)), &behind);
    }
}
