//! What to do after a test that failed, by the step that failed and how. The words are chosen where it is shown.

use serde::{Deserialize, Serialize};

use super::{Step, TestFailure};
use crate::{
    account::{Route, Security},
    check::ErrorKind,
};

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// The name does not resolve.
    Spelling,
    /// The egress policy does not allow it.
    Policy,
    /// Nobody listens there.
    Port,
    /// Nothing comes back.
    Firewall,
    /// The connector itself cannot be reached, or refuses.
    Connector,
    /// TLS from the first byte is not spoken on this port.
    NotSsl,
    /// The server does not offer STARTTLS or STLS.
    NoStartTls,
    /// Whatever stands in the certificate's explanation.
    Certificate,
    /// The server waits for TLS, it seems: it says nothing on a plain connection.
    Silent,
    /// Something else than a mail server of this protocol answers.
    OtherService,
    Password,
    Expired,
    /// The server takes no password on a connection that is not secure.
    SecureFirst,
    Mailbox,
    Later,
    /// The server stopped answering on the way.
    Slow,
    /// Ours.
    Operator,
}

impl Advice {
    pub const ALL: [Self; 17] = [
        Self::Spelling,
        Self::Policy,
        Self::Port,
        Self::Firewall,
        Self::Connector,
        Self::NotSsl,
        Self::NoStartTls,
        Self::Certificate,
        Self::Silent,
        Self::OtherService,
        Self::Password,
        Self::Expired,
        Self::SecureFirst,
        Self::Mailbox,
        Self::Later,
        Self::Slow,
        Self::Operator,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spelling => "spelling",
            Self::Policy => "policy",
            Self::Port => "port",
            Self::Firewall => "firewall",
            Self::Connector => "connector",
            Self::NotSsl => "not_ssl",
            Self::NoStartTls => "no_start_tls",
            Self::Certificate => "certificate",
            Self::Silent => "silent",
            Self::OtherService => "other_service",
            Self::Password => "password",
            Self::Expired => "expired",
            Self::SecureFirst => "secure_first",
            Self::Mailbox => "mailbox",
            Self::Later => "later",
            Self::Slow => "slow",
            Self::Operator => "operator",
        }
    }

    pub(super) fn for_failure(failure: &TestFailure, security: Security, route: Route) -> Self {
        use ErrorKind as E;
        match (failure.step, failure.kind) {
            (_, E::Egress) => Self::Policy,
            (_, E::Storage | E::Internal) => Self::Operator,
            (_, E::Throttled) => Self::Later,
            (_, E::Certificate) => Self::Certificate,
            (_, E::Expired) => Self::Expired,
            (_, E::Connector) => Self::Connector,
            (Step::Resolve | Step::Connect | Step::Egress | Step::Connector, _) if route != Route::Direct => {
                Self::Connector
            }
            (_, E::Resolve) => Self::Spelling,
            (_, E::Refused) => Self::Port,
            (Step::Resolve | Step::Connect, E::Timeout) => Self::Firewall,
            (Step::StartTls, _) => Self::NoStartTls,
            (Step::Tls, _) if matches!(security, Security::Implicit(_)) => Self::NotSsl,
            (Step::Greeting, E::Timeout) if !matches!(security, Security::Implicit(_)) => Self::Silent,
            (Step::Authenticate, E::Protocol) if security == Security::Plain => Self::SecureFirst,
            (_, E::Authentication) => Self::Password,
            (_, E::Mailbox) => Self::Mailbox,
            (_, E::Timeout) => Self::Slow,
            (_, E::Protocol | E::Tls) => Self::OtherService,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::Trust, ids::ConnectorId};

    #[test]
    fn each_failure_has_its_next_step() {
        use ErrorKind as E;
        let (plain, ssl, tls) = (Security::Plain, Security::Implicit(Trust::System), Security::StartTls(Trust::System));
        let (direct, behind) = (Route::Direct, Route::Connector(ConnectorId(1)));
        for (step, kind, security, route, expected) in [
            (Step::Resolve, E::Resolve, ssl, direct, Advice::Spelling),
            (Step::Egress, E::Egress, ssl, direct, Advice::Policy),
            (Step::Egress, E::Egress, ssl, behind, Advice::Policy),
            (Step::Connect, E::Refused, ssl, direct, Advice::Port),
            (Step::Connect, E::Timeout, ssl, direct, Advice::Firewall),
            (Step::Connect, E::Refused, ssl, behind, Advice::Connector),
            (Step::Connector, E::Connector, ssl, behind, Advice::Connector),
            (Step::Connector, E::Timeout, ssl, behind, Advice::Connector),
            (Step::Tls, E::Tls, ssl, direct, Advice::NotSsl),
            (Step::Tls, E::Timeout, ssl, behind, Advice::NotSsl),
            (Step::Tls, E::Certificate, ssl, direct, Advice::Certificate),
            (Step::Tls, E::Tls, tls, direct, Advice::OtherService),
            (Step::StartTls, E::Tls, tls, direct, Advice::NoStartTls),
            (Step::Greeting, E::Timeout, plain, direct, Advice::Silent),
            (Step::Greeting, E::Timeout, tls, direct, Advice::Silent),
            (Step::Greeting, E::Timeout, ssl, direct, Advice::Slow),
            (Step::Greeting, E::Protocol, plain, direct, Advice::OtherService),
            (Step::Greeting, E::Throttled, plain, direct, Advice::Later),
            (Step::Authenticate, E::Authentication, ssl, direct, Advice::Password),
            (Step::Authenticate, E::Expired, ssl, direct, Advice::Expired),
            (Step::Authenticate, E::Protocol, plain, direct, Advice::SecureFirst),
            (Step::Authenticate, E::Timeout, ssl, direct, Advice::Slow),
            (Step::Mailbox, E::Mailbox, ssl, direct, Advice::Mailbox),
            (Step::Resolve, E::Internal, ssl, direct, Advice::Operator),
        ] {
            let failure = TestFailure { step, kind, message: String::new() };
            let found = Advice::for_failure(&failure, security, route);
            assert_eq!(found, expected, "{step:?} {kind:?} {security:?} {route:?}");
        }
    }
}
