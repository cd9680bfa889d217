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
    account::{Destination, Protocol, Route},
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
    /// `None` before the first, and once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<Step>,
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
            under_way: None,
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

    /// The step that is under way, or is the first to be.
    pub fn under_way(&self) -> Step {
        let first = if self.destination.route == Route::Direct { Step::Resolve } else { Step::Egress };
        self.under_way.unwrap_or(first)
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
