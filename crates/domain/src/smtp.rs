//! A way to send mail: a sender's address and the server that takes its mail.

use serde::{Deserialize, Serialize};

use crate::{
    account::{
        Address, Choice, Destination, NAME_MAX, Route, Security, Trust,
        destination::{SecurityFields, route, security},
    },
    check::{CheckError, StageRecord},
    email::EmailAddress,
    ids::{CredentialId, SmtpId},
    problem::{Problem, Problems, Rule, line, port, yes_no},
};

/// The registered port of mail submission under that security (RFC 8314 section 7.3, RFC 6409, RFC 5321).
pub fn standard_port(security: Security) -> u16 {
    match security {
        Security::Implicit(_) => 465,
        Security::StartTls(_) => 587,
        Security::Plain => 25,
    }
}

/// The form, every field as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SmtpForm {
    pub name: String,
    pub enabled: String,
    /// `yes`: reports are sent by this one.
    pub default: String,
    pub sender: String,
    /// Empty: answers go to the sender.
    pub reply_to: String,
    pub address: String,
    pub port: String,
    pub use_network_connector: String,
    pub network_connector_id: String,
    /// Empty: the server asks for none.
    pub credential_id: String,
    pub skip_certificate: String,
    pub skip_reason: String,
    /// The last day on which the certificate is skipped; empty: no end.
    pub skip_until: String,
    /// `system`, `ca` or `pin`; counts while the certificate is not skipped.
    pub trust: String,
    pub ca_id: String,
    pub pin: String,
    pub secure_connection: String,
    pub secure_connection_type: String,
    /// The version that was read; empty for a new record.
    pub version: String,
    /// `yes`: the credential may be sent to the changed destination.
    pub grant_credential: String,
}

impl SmtpForm {
    /// The form of a new record: the safe choices made.
    pub fn new_record() -> Self {
        Self {
            enabled: "yes".to_owned(),
            default: "yes".to_owned(),
            use_network_connector: "no".to_owned(),
            skip_certificate: "no".to_owned(),
            trust: "system".to_owned(),
            secure_connection: "yes".to_owned(),
            secure_connection_type: "tls".to_owned(),
            ..Self::default()
        }
    }

    pub fn of(smtp: &Smtp) -> Self {
        let draft = &smtp.draft;
        let destination = &draft.destination;
        let trust = destination.security.trust().unwrap_or(Trust::System);
        let yes_no = |it: bool| if it { "yes" } else { "no" }.to_owned();
        Self {
            name: draft.name.clone(),
            enabled: yes_no(draft.enabled),
            default: yes_no(draft.is_default),
            sender: draft.sender.to_string(),
            reply_to: draft.reply_to.as_ref().map(ToString::to_string).unwrap_or_default(),
            address: destination.address.to_string(),
            port: destination.port.to_string(),
            use_network_connector: yes_no(destination.route != Route::Direct),
            network_connector_id: destination.route.connector_id().map(|it| it.to_string()).unwrap_or_default(),
            credential_id: draft.credential_id.map(|it| it.to_string()).unwrap_or_default(),
            skip_certificate: yes_no(destination.security.skips_certificate()),
            skip_reason: draft.skip_reason.clone(),
            skip_until: trust.skip_until().map(|it| it.to_string()).unwrap_or_default(),
            trust: trust.kind().to_owned(),
            ca_id: trust.authority_id().map(|it| it.to_string()).unwrap_or_default(),
            pin: trust.pin().map(|it| it.to_string()).unwrap_or_default(),
            secure_connection: yes_no(destination.security.is_secure()),
            secure_connection_type: destination.security.kind().unwrap_or("tls").to_owned(),
            version: smtp.version.to_string(),
            grant_credential: String::new(),
        }
    }

    /// The port that an empty port field stands for.
    pub fn standard_port(&self) -> Option<u16> {
        let secure = yes_no(&self.secure_connection, true).ok()?;
        Some(standard_port(Security::from_parts(secure, Some(&self.secure_connection_type), Trust::System)))
    }
}

/// A way to send mail that keeps the rules.
///
/// **Invariant:** made only by `TryFrom<&SmtpForm>` or read back from a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpDraft {
    pub name: String,
    pub enabled: bool,
    /// Reports are sent by this one. At most one record has it: whoever takes it, takes it from the other.
    pub is_default: bool,
    pub sender: EmailAddress,
    pub reply_to: Option<EmailAddress>,
    pub destination: Destination,
    /// Why the certificate is skipped, if somebody said so; empty while it is not.
    pub skip_reason: String,
    pub credential_id: Option<CredentialId>,
}

impl TryFrom<&SmtpForm> for SmtpDraft {
    type Error = Vec<Problem>;

    /// Reports every problem, in the order of the form.
    fn try_from(form: &SmtpForm) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&form.name, NAME_MAX));
        let enabled = problems.keep("enabled", yes_no(&form.enabled, true));
        let is_default = problems.keep("default", yes_no(&form.default, false));
        let sender = problems.keep("sender", EmailAddress::parse(&form.sender));
        let reply_to = Some(form.reply_to.as_str()).filter(|it| !it.trim().is_empty());
        let reply_to = problems.keep("reply_to", reply_to.map(EmailAddress::parse).transpose());
        let address = problems.keep("address", Address::parse(&form.address));
        let typed_port = Some(form.port.trim()).filter(|it| !it.is_empty());
        let port = problems.keep("port", typed_port.map(port).transpose());
        let route = route(&form.use_network_connector, &form.network_connector_id, &mut problems);
        let credential = Some(form.credential_id.as_str()).filter(|it| !it.is_empty());
        let credential_id = credential.map(|it| it.parse().map_err(|_| Rule::NotAnOption)).transpose();
        let credential_id = problems.keep("credential_id", credential_id);
        let fields = SecurityFields {
            skip: &form.skip_certificate,
            reason: &form.skip_reason,
            until: &form.skip_until,
            trust: &form.trust,
            authority: &form.ca_id,
            pin: &form.pin,
            secure: &form.secure_connection,
            kind: &form.secure_connection_type,
        };
        let security = security(&fields, &mut problems);
        let all = (|| {
            let (security, skip_reason) = security?;
            let port = port?.unwrap_or_else(|| standard_port(security));
            Some(Self {
                name: name?,
                enabled: enabled?,
                is_default: is_default?,
                sender: sender?,
                reply_to: reply_to?,
                destination: Destination { address: address?, port, security, route: route? },
                skip_reason,
                credential_id: credential_id?,
            })
        })();
        all.ok_or_else(|| problems.into_vec())
    }
}

/// A way to send mail as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Smtp {
    pub id: SmtpId,
    pub version: i64,
    pub draft: SmtpDraft,
}

/// What the form offers to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpChoices {
    pub credentials: Vec<Choice>,
    pub connectors: Vec<Choice>,
    pub authorities: Vec<Choice>,
}

/// How the sending of a test message went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmtpTest {
    pub stages: Vec<StageRecord>,
    /// `None`: the server took the message.
    pub error: Option<CheckError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_port_is_stored_as_the_standard_one() {
        for (secure, kind, expected) in [("yes", "ssl", 465), ("yes", "tls", 587), ("no", "tls", 25)] {
            let form = SmtpForm {
                name: "Relay".to_owned(),
                sender: "posthorn@example.org".to_owned(),
                address: "smtp.example.org".to_owned(),
                secure_connection: secure.to_owned(),
                secure_connection_type: kind.to_owned(),
                ..SmtpForm::new_record()
            };
            assert_eq!(SmtpDraft::try_from(&form).map(|it| it.destination.port), Ok(expected));
            assert_eq!(form.standard_port(), Some(expected));
        }
    }

    #[test]
    fn every_problem_is_reported_in_form_order() {
        let form = SmtpForm { reply_to: "nobody".to_owned(), port: "x".to_owned(), ..SmtpForm::default() };
        let problems = SmtpDraft::try_from(&form).unwrap_err();
        let fields: Vec<_> = problems.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["name", "sender", "reply_to", "address", "port"]);
    }
}
