//! Finding the settings of a mailbox by its address: what was asked, what was offered, and what is proposed.
//!
//! **Invariant:** an offer is somebody's word and nothing more: it is shown, and only a person makes an account of it.

mod rank;
mod template;

use serde::{Deserialize, Serialize};

pub use self::{
    rank::propose,
    template::{DatabaseUrl, fill},
};
use crate::{
    account::{AccountForm, Address, Protocol, Security},
    check::CheckError,
    egress::EgressReason,
    email::EmailAddress,
};

/// What a server is offered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Offered {
    Imap,
    Pop3,
    /// Handing mail in (RFC 6409).
    Submission,
}

impl Offered {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
            Self::Submission => "submission",
        }
    }

    /// The protocol of an account, if it is one by which messages are received.
    pub fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Imap => Some(Protocol::Imap),
            Self::Pop3 => Some(Protocol::Pop3),
            Self::Submission => None,
        }
    }
}

/// Who offers it, the most binding first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The domain, by SRV records (RFC 6186, RFC 8314).
    Srv,
    /// The domain, by a file on one of its own hosts (draft-ietf-mailmaint-autoconfig).
    Autoconfig,
    /// The database that the configuration names.
    Database,
    /// Nobody: a name that is usual for such a server, and somebody answers there.
    Guess,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Srv => "srv",
            Self::Autoconfig => "autoconfig",
            Self::Database => "database",
            Self::Guess => "guess",
        }
    }
}

/// One server as one source offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub service: Offered,
    pub address: Address,
    pub port: u16,
    /// Its certificate is always to be verified.
    pub security: Security,
    /// Placeholders are filled already; `None` where the source says nothing.
    pub user_name: Option<String>,
    /// Signing in with OAuth 2.0 tokens is offered.
    pub oauth: bool,
    /// The lower is wanted more (RFC 2782).
    pub priority: u16,
    /// Among the same priority, the higher is wanted more (RFC 2782).
    pub weight: u16,
}

/// What came of one look-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LookUpOutcome {
    /// Servers; an answer that names none that can be used has none.
    Offers(Vec<Offer>),
    /// There is no such record, file or listener.
    Nothing,
    /// The domain says that it does not offer this (RFC 6186 section 3.4).
    NotOffered,
    Failed(CheckError),
}

/// One question that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUp {
    pub source: Source,
    /// The name or URL that was asked for.
    pub target: String,
    pub outcome: LookUpOutcome,
}

/// Whether the server could be contacted from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    Open,
    /// The name is not found here; by a connector it may be.
    NotFound,
    /// The egress policy does not allow it.
    Forbidden(EgressReason),
}

/// One server that is proposed, with everybody who offers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    pub service: Offered,
    pub address: Address,
    pub port: u16,
    pub security: Security,
    pub user_name: String,
    /// At least one, the most binding first.
    pub sources: Vec<Source>,
    /// The host is not within the domain of the address: RFC 6186 section 6 has a person confirm it.
    pub outside_domain: bool,
    pub oauth: bool,
    pub standing: Standing,
}

impl Proposal {
    /// The form of a new account with these settings, if they are of a protocol that receives and may be contacted. No credential
    /// is chosen.
    pub fn account_form(&self, address: &EmailAddress) -> Option<AccountForm> {
        let protocol = self.service.protocol().filter(|_| !self.is_forbidden())?;
        let new = AccountForm::new_account();
        Some(AccountForm {
            name: address.to_string(),
            address: self.address.to_string(),
            port: self.port.to_string(),
            protocol: protocol.as_str().to_owned(),
            secure_connection: if self.security.is_secure() { "yes" } else { "no" }.to_owned(),
            secure_connection_type: self.security.kind().unwrap_or(&new.secure_connection_type).to_owned(),
            ..new
        })
    }

    pub fn is_forbidden(&self) -> bool {
        matches!(self.standing, Standing::Forbidden(_))
    }
}

/// Everything that was found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    pub address: EmailAddress,
    /// The first is the best.
    pub proposals: Vec<Proposal>,
    pub look_ups: Vec<LookUp>,
}

/// The form: one address, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DiscoveryForm {
    pub address: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{AccountDraft, Trust};

    #[test]
    fn a_proposal_fills_the_form_and_leaves_the_credential_to_a_person() {
        let address = EmailAddress::parse("ana@example.org").unwrap();
        let proposal = |security, standing| Proposal {
            service: Offered::Pop3,
            address: Address::parse("mail.example.org").unwrap(),
            port: 1995,
            security,
            user_name: "ana".to_owned(),
            sources: vec![Source::Srv],
            outside_domain: false,
            oauth: false,
            standing,
        };
        for security in [Security::Implicit(Trust::System), Security::StartTls(Trust::System), Security::Plain] {
            let form = proposal(security, Standing::Open).account_form(&address).unwrap();
            assert_eq!(form.credential_id, "");
            let draft = AccountDraft::try_from(&AccountForm { credential_id: "7".to_owned(), ..form }).unwrap();
            assert_eq!((draft.name.as_str(), draft.protocol), ("ana@example.org", Protocol::Pop3));
            assert_eq!((draft.destination.port, draft.destination.security), (1995, security));
        }
        let forbidden = proposal(Security::Plain, Standing::Forbidden(EgressReason::Loopback));
        assert_eq!(forbidden.account_form(&address), None);
        let outgoing = Proposal { service: Offered::Submission, ..proposal(Security::Plain, Standing::Open) };
        assert_eq!(outgoing.account_form(&address), None);
    }
}
