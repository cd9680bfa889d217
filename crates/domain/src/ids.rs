//! Identifiers, one newtype a concept, so that an account's id cannot be passed where a message's is meant.

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;
            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.trim().parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// One IMAP or POP3 mailbox on one server.
    AccountId,
    /// A registered user name and secret.
    CredentialId,
    /// A registered way to reach a network.
    ConnectorId,
    /// One collected message.
    MessageId,
    /// A program in a remote network that carries connections there.
    AgentId,
    /// Somebody who signs in.
    UserId,
    /// The record of one check.
    CheckRunId,
    /// One line of the audit log.
    AuditId,
    /// A registered way to send mail.
    SmtpId,
    /// A report that is sent by itself.
    ScheduleId,
    /// One run of a schedule.
    ReportRunId,
    /// One mail of a run to one recipient.
    DeliveryId,
    /// A row of the ledger: a message as it is known on its server.
    RemoteId,
    /// A registered certificate authority of one's own.
    AuthorityId,
    /// A common cause for which accounts are late or failing.
    IncidentId,
    /// A kept result of a test of a connection.
    ConnectionTestId,
}
