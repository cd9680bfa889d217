//! A network connector: a named way to reach a network.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    account::Address,
    check::{CheckError, StageRecord},
    ids::{ConnectorId, CredentialId},
    problem::{Problem, Problems, Rule, line, port},
    time::Timestamp,
};

/// What the connector speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// RFC 1928, with user name and password by RFC 1929.
    Socks5,
    /// RFC 9110 section 9.3.6.
    HttpConnect,
    /// A jump host: direct-tcpip channels (RFC 4254 section 7.2) of one session.
    Ssh,
    /// Posthorn agents, which dial out from the remote network: there is no address to go to.
    Agent,
}

impl ConnectorKind {
    pub const ALL: [Self; 4] = [Self::Socks5, Self::HttpConnect, Self::Ssh, Self::Agent];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::HttpConnect => "http_connect",
            Self::Ssh => "ssh",
            Self::Agent => "agent",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Socks5 => "SOCKS5",
            Self::HttpConnect => "HTTP CONNECT",
            Self::Ssh => "SSH",
            Self::Agent => "Agent",
        }
    }

    /// 0: nobody is dialled.
    pub fn standard_port(self) -> u16 {
        match self {
            Self::Socks5 => 1080,
            Self::HttpConnect => 3128,
            Self::Ssh => 22,
            Self::Agent => 0,
        }
    }
}

/// The fingerprint of an SSH server's public key, as OpenSSH writes it: `SHA256:` and 43 characters of Base64.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostKey(String);

impl HostKey {
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Rule::Missing);
        }
        let is_base64 = |it: u8| it.is_ascii_alphanumeric() || it == b'+' || it == b'/';
        let digest = text.strip_prefix("SHA256:").unwrap_or_default();
        if digest.len() == 43 && digest.bytes().all(is_base64) { Ok(Self(text.to_owned())) } else { Err(Rule::NotAKey) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A connector that keeps the rules.
///
/// **Invariant:** one of kind [`ConnectorKind::Agent`] has an empty address, port 0 and no credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorDraft {
    pub name: String,
    pub kind: ConnectorKind,
    pub address: Address,
    pub port: u16,
    pub credential_id: Option<CredentialId>,
}

impl ConnectorDraft {
    /// Whether mail credentials would now travel by another way.
    pub fn moves(&self, before: &Self) -> bool {
        (self.kind, &self.address, self.port, self.credential_id)
            != (before.kind, &before.address, before.port, before.credential_id)
    }
}

/// How the connector did lately.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub last_ok_at: Option<Timestamp>,
    pub last_error_at: Option<Timestamp>,
    /// For administrators, like an error of a check.
    pub last_error: Option<String>,
}

impl Contact {
    /// The last failure, unless it went well since.
    pub fn failure(&self) -> Option<(Timestamp, &str)> {
        let at = self.last_error_at?;
        let is_over = self.last_ok_at.is_some_and(|it| it >= at);
        (!is_over).then(|| (at, self.last_error.as_deref().unwrap_or_default()))
    }
}

/// Where a test goes once it has passed the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestTarget {
    pub address: Address,
    pub port: u16,
    /// The server says nothing before TLS has begun.
    pub waits_for_tls: bool,
}

/// The form of a test, every field as text; both empty: the first account's server, else no further than the connector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TestForm {
    pub address: String,
    pub port: String,
}

impl TestForm {
    /// `None`: nothing was entered.
    pub fn target(&self) -> Result<Option<TestTarget>, Vec<Problem>> {
        if self.address.trim().is_empty() && self.port.trim().is_empty() {
            return Ok(None);
        }
        let mut problems = Problems::default();
        let address = problems.keep("address", Address::parse(&self.address));
        let port =
            problems.keep("port", if self.port.trim().is_empty() { Err(Rule::Missing) } else { port(&self.port) });
        match (address, port) {
            (Some(address), Some(port)) => {
                Ok(Some(TestTarget { address, port, waits_for_tls: matches!(port, 465 | 993 | 995) }))
            }
            _ => Err(problems.into_vec()),
        }
    }
}

/// How the test of a connector went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorTest {
    /// `host:port` behind the connector; `None`: the connector alone.
    pub target: Option<String>,
    pub stages: Vec<StageRecord>,
    pub error: Option<CheckError>,
    /// SSH: what the server showed, approved or not.
    pub host_key: Option<HostKey>,
    /// The server showed another key than the approved one, or there is none yet: a person has to look at it.
    pub needs_approval: bool,
}

/// A connector as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    pub id: ConnectorId,
    pub version: i64,
    pub draft: ConnectorDraft,
    /// SSH: the server's key, once somebody has approved it.
    pub host_key: Option<HostKey>,
    pub contact: Contact,
    /// How many accounts use it.
    pub n_uses: u64,
}

/// The form, every field as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectorForm {
    pub name: String,
    pub kind: String,
    pub address: String,
    pub port: String,
    /// Empty: the connector asks for none.
    pub credential_id: String,
    pub version: String,
    /// `yes`: the credentials of the accounts behind it may travel by the changed connector.
    pub grant_credential: String,
}

impl ConnectorForm {
    pub fn of(connector: &Connector) -> Self {
        let draft = &connector.draft;
        Self {
            name: draft.name.clone(),
            kind: draft.kind.as_str().to_owned(),
            address: draft.address.to_string(),
            port: if draft.port == 0 { String::new() } else { draft.port.to_string() },
            credential_id: draft.credential_id.map(|it| it.to_string()).unwrap_or_default(),
            version: connector.version.to_string(),
            grant_credential: String::new(),
        }
    }
}

impl TryFrom<&ConnectorForm> for ConnectorDraft {
    type Error = Vec<Problem>;

    fn try_from(form: &ConnectorForm) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&form.name, 120));
        let kind = match form.kind.as_str() {
            "" => Err(Rule::Missing),
            text => ConnectorKind::parse(text).ok_or(Rule::NotAnOption),
        };
        let kind = problems.keep("kind", kind);
        // Nobody is dialled: what stands in the other fields belongs to another kind.
        if kind == Some(ConnectorKind::Agent) {
            let port = ConnectorKind::Agent.standard_port();
            let address = Address::from_stored(String::new());
            let draft = name.map(|name| Self { name, kind: ConnectorKind::Agent, address, port, credential_id: None });
            return draft.ok_or_else(|| problems.into_vec());
        }
        let address = problems.keep("address", Address::parse(&form.address));
        let typed_port = Some(form.port.trim()).filter(|it| !it.is_empty());
        let port = problems.keep("port", typed_port.map(port).transpose());
        let credential = Some(form.credential_id.as_str()).filter(|it| !it.is_empty());
        let credential_id = credential.map(|it| it.parse().map_err(|_| Rule::NotAnOption)).transpose();
        let credential_id = match credential_id {
            // An SSH server always asks who comes.
            Ok(None) if kind == Some(ConnectorKind::Ssh) => Err(Rule::Missing),
            other => other,
        };
        let credential_id = problems.keep("credential_id", credential_id);
        let all = (|| {
            let kind = kind?;
            let port = port?.unwrap_or_else(|| kind.standard_port());
            Some(Self { name: name?, kind, address: address?, port, credential_id: credential_id? })
        })();
        all.ok_or_else(|| problems.into_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_port_is_stored_as_the_standard_one() {
        let form = ConnectorForm {
            name: "Vault".to_owned(),
            kind: "socks5".to_owned(),
            address: "10.0.0.1".to_owned(),
            ..ConnectorForm::default()
        };
        assert_eq!(ConnectorDraft::try_from(&form).map(|it| it.port), Ok(1080));
    }

    #[test]
    fn an_ssh_server_is_not_entered_without_a_credential() {
        let mut form = ConnectorForm {
            name: "Jump".to_owned(),
            kind: "ssh".to_owned(),
            address: "jump.example.org".to_owned(),
            ..ConnectorForm::default()
        };
        assert_eq!(ConnectorDraft::try_from(&form), Err(vec![Problem::new("credential_id", Rule::Missing)]));
        "7".clone_into(&mut form.credential_id);
        assert_eq!(ConnectorDraft::try_from(&form).map(|it| it.port), Ok(22));
    }

    #[test]
    fn an_agent_has_neither_address_nor_port_nor_credential_whatever_was_typed() {
        let form = ConnectorForm {
            name: "Plant".to_owned(),
            kind: "agent".to_owned(),
            address: "not an address".to_owned(),
            port: "x".to_owned(),
            credential_id: "7".to_owned(),
            ..ConnectorForm::default()
        };
        let draft = ConnectorDraft::try_from(&form).unwrap();
        assert_eq!((draft.address.as_str(), draft.port, draft.credential_id), ("", 0, None));
        let nameless = ConnectorForm { name: String::new(), ..form };
        assert_eq!(ConnectorDraft::try_from(&nameless), Err(vec![Problem::new("name", Rule::Missing)]));
    }

    #[test]
    fn a_host_key_is_a_fingerprint_and_nothing_else() {
        let good = format!("SHA256:{}", "a".repeat(43));
        assert_eq!(HostKey::parse(&format!(" {good}\n")).map(|it| it.to_string()), Ok(good.clone()));
        for bad in ["MD5:00:11", "SHA256:", "SHA256:abc", &good[1..], &format!("{good}="), &good.replace('a', "<")] {
            assert_eq!(HostKey::parse(bad), Err(Rule::NotAKey), "{bad}");
        }
    }

    #[test]
    fn a_failure_counts_until_it_went_well() {
        let at = Timestamp::from_seconds;
        let mut contact =
            Contact { last_ok_at: Some(at(1)), last_error_at: Some(at(2)), last_error: Some("no answer".to_owned()) };
        assert_eq!(contact.failure(), Some((at(2), "no answer")));
        contact.last_ok_at = Some(at(3));
        assert_eq!(contact.failure(), None);
    }

    #[test]
    fn a_test_goes_nowhere_or_to_a_whole_target() {
        let form = |address: &str, port: &str| TestForm { address: address.to_owned(), port: port.to_owned() };
        assert_eq!(form(" ", "").target(), Ok(None));
        assert_eq!(form("mail.example.org", "").target(), Err(vec![Problem::new("port", Rule::Missing)]));
        assert_eq!(form("", "993").target(), Err(vec![Problem::new("address", Rule::Missing)]));
        assert!(form("mail.example.org", "993").target().is_ok_and(|it| it.is_some_and(|it| it.waits_for_tls)));
    }
}
