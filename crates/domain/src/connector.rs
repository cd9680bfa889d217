//! A network connector: a named way to reach a network.

use serde::{Deserialize, Serialize};

use crate::{
    account::Address,
    ids::{ConnectorId, CredentialId},
    problem::{Problem, Problems, Rule, line, port},
};

/// What the connector speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectorKind {
    /// RFC 1928, with user name and password by RFC 1929.
    Socks5,
    /// RFC 9110 section 9.3.6.
    HttpConnect,
}

impl ConnectorKind {
    pub const ALL: [Self; 2] = [Self::Socks5, Self::HttpConnect];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::HttpConnect => "http_connect",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Socks5 => "SOCKS5",
            Self::HttpConnect => "HTTP CONNECT",
        }
    }

    pub fn standard_port(self) -> u16 {
        match self {
            Self::Socks5 => 1080,
            Self::HttpConnect => 3128,
        }
    }
}

/// A connector that keeps the rules.
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

/// A connector as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    pub id: ConnectorId,
    pub version: i64,
    pub draft: ConnectorDraft,
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
            port: draft.port.to_string(),
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
        let address = problems.keep("address", Address::parse(&form.address));
        let typed_port = Some(form.port.trim()).filter(|it| !it.is_empty());
        let port = problems.keep("port", typed_port.map(port).transpose());
        let credential = Some(form.credential_id.as_str()).filter(|it| !it.is_empty());
        let credential_id = credential.map(|it| it.parse().map_err(|_| Rule::NotAnOption)).transpose();
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
}
