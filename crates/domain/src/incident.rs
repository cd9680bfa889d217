//! Why accounts are late or failing, many by one cause.

use serde::{Deserialize, Serialize};

use crate::{
    check::ErrorKind,
    ids::{AccountId, ConnectorId, CredentialId, IncidentId},
    time::Timestamp,
};

/// What accounts of one cause have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Host(String),
    Connector(ConnectorId, String),
    Credential(CredentialId, String),
    /// This installation: its store, its own faults, checks that do not take place.
    Posthorn,
}

impl Subject {
    /// What tells it from every other, for the store.
    pub fn key(&self) -> String {
        match self {
            Self::Host(host) => format!("host {host}"),
            Self::Connector(id, _) => format!("connector {id}"),
            Self::Credential(id, _) => format!("credential {id}"),
            Self::Posthorn => "posthorn".to_owned(),
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        match self {
            Self::Host(name) | Self::Connector(_, name) | Self::Credential(_, name) => name,
            Self::Posthorn => "Posthorn",
        }
    }
}

/// One cause, and how many accounts it holds up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// `None`: nothing failed, and yet the checks do not come.
    pub kind: Option<ErrorKind>,
    pub subject: Subject,
    pub n_accounts: u64,
    /// How many of them are late.
    pub n_late: u64,
    /// How many of them are stopped until somebody acts.
    pub n_stopped: u64,
    pub since: Timestamp,
    /// One of the accounts, with what was said of it.
    pub example: AccountId,
    pub example_name: String,
    pub message: String,
}

impl Cause {
    /// What tells it from every other, for the store.
    pub fn key(&self) -> String {
        format!("{} {}", self.kind.map_or("silent", ErrorKind::as_str), self.subject.key())
    }
}

/// What all accounts that fail in the same way against the same things have in common, as the store counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailing {
    pub kind: Option<ErrorKind>,
    pub address: String,
    pub connector: Option<(ConnectorId, String)>,
    pub credential: (CredentialId, String),
    pub n_accounts: u64,
    pub n_late: u64,
    pub n_stopped: u64,
    pub since: Timestamp,
    pub example: AccountId,
    pub example_name: String,
    pub message: String,
}

impl Ailing {
    fn subject(&self) -> Subject {
        let way = || {
            let connector = self.connector.clone().map(|(id, name)| Subject::Connector(id, name));
            connector.unwrap_or_else(|| Subject::Host(self.address.clone()))
        };
        match self.kind {
            None | Some(ErrorKind::Storage | ErrorKind::Internal) => Subject::Posthorn,
            Some(ErrorKind::Authentication | ErrorKind::Expired) => {
                Subject::Credential(self.credential.0, self.credential.1.clone())
            }
            Some(ErrorKind::Connector) => way(),
            // Through a connector too, a name that is not found or a certificate that does not hold is the server's.
            Some(_) => Subject::Host(self.address.clone()),
        }
    }
}

/// Groups by common cause, the one that holds up most first.
pub fn causes(ailing: Vec<Ailing>) -> Vec<Cause> {
    let mut found = std::collections::BTreeMap::<(Option<&'static str>, Subject), Cause>::new();
    for it in ailing {
        let subject = it.subject();
        let key = (it.kind.map(ErrorKind::as_str), subject.clone());
        let cause = found.entry(key).or_insert_with(|| Cause {
            kind: it.kind,
            subject,
            n_accounts: 0,
            n_late: 0,
            n_stopped: 0,
            since: it.since,
            example: it.example,
            example_name: it.example_name,
            message: it.message,
        });
        cause.n_accounts += it.n_accounts;
        cause.n_late += it.n_late;
        cause.n_stopped += it.n_stopped;
        cause.since = cause.since.min(it.since);
    }
    let mut causes: Vec<_> = found.into_values().collect();
    causes.sort_by(|a, b| b.n_accounts.cmp(&a.n_accounts).then(a.since.cmp(&b.since)));
    causes
}

/// A cause that was raised, until it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    pub cause: Cause,
    pub opened_at: Timestamp,
    /// When somebody was told.
    pub noticed_at: Option<Timestamp>,
    pub over_at: Option<Timestamp>,
    /// What came of telling, if that failed.
    pub detail: String,
}

/// An instance of Posthorn on this database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub role: Role,
    /// The machine's name.
    pub host: String,
    pub started_at: Timestamp,
    pub seen_at: Timestamp,
}

/// What an instance does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Screens and interface; checks are left to workers.
    Web,
    /// Checks and reports; of HTTP only health and metrics.
    Worker,
    #[default]
    All,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Worker => "worker",
            Self::All => "all",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Web, Self::Worker, Self::All].into_iter().find(|it| it.as_str() == text)
    }

    pub fn serves(self) -> bool {
        self != Self::Worker
    }

    pub fn checks(self) -> bool {
        self != Self::Web
    }
}

/// A check that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub account_id: AccountId,
    pub account_name: String,
    pub started_at: Timestamp,
}

/// How the checks are going, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    pub n_automatic: u64,
    pub n_running: u64,
    /// Due and not yet begun.
    pub n_due: u64,
    pub n_late: u64,
    pub n_failing: u64,
    pub n_stopped: u64,
    /// Messages left on their servers, until somebody asks.
    pub n_quarantined: u64,
    /// The checks that have been under way for longest.
    pub running: Vec<Running>,
    pub causes: Vec<Cause>,
    pub instances: Vec<Instance>,
    /// The incidents that are open, and the last that are over.
    pub incidents: Vec<Incident>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ailing(kind: ErrorKind, address: &str, credential: i64, n_accounts: u64) -> Ailing {
        Ailing {
            kind: Some(kind),
            address: address.to_owned(),
            connector: None,
            credential: (CredentialId(credential), format!("c{credential}")),
            n_accounts,
            n_late: 0,
            n_stopped: 0,
            since: Timestamp(i64::try_from(n_accounts).unwrap()),
            example: AccountId(1),
            example_name: "a".to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn a_host_that_is_down_is_one_cause_and_a_password_another() {
        let found = causes(vec![
            ailing(ErrorKind::Refused, "mail.example.org", 1, 280),
            ailing(ErrorKind::Refused, "mail.example.org", 2, 7),
            ailing(ErrorKind::Authentication, "a.example.org", 3, 2),
            ailing(ErrorKind::Authentication, "b.example.org", 3, 1),
        ]);
        let found: Vec<_> = found.iter().map(|it| (it.key(), it.n_accounts, it.since)).collect();
        let expected = [
            ("refused host mail.example.org".to_owned(), 287, Timestamp(7)),
            ("authentication credential 3".to_owned(), 3, Timestamp(1)),
        ];
        assert_eq!(found, expected);
    }
}
