//! From what a person typed to an account that keeps every rule.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Account, Address, Destination, Protocol, Route, Security, Trust,
    destination::{SecurityFields, route, security},
};
use crate::{
    ids::CredentialId,
    problem::{Problem, Problems, Rule, choice, line, port, yes_no},
};

/// The most characters of an account's name.
pub const NAME_MAX: u32 = 120;
/// Bounds of the check interval, in seconds: one minute to one day.
const INTERVAL_S: RangeInclusive<u32> = 60..=86_400;
/// The interval of a new account, in seconds.
const INTERVAL_DEFAULT_S: u32 = 300;

/// The most days that a message may be held on the server before it is deleted there.
const HOLD_DAYS_MAX: u32 = 365;

/// The form, every field as text: a disabled control is not sent at all, and a wrong value must be shown again as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountForm {
    pub name: String,
    pub keep_copy: String,
    pub hold_days: String,
    pub automatic_check: String,
    pub interval_s: String,
    pub push: String,
    pub enabled: String,
    pub address: String,
    pub port: String,
    pub protocol: String,
    pub use_network_connector: String,
    pub network_connector_id: String,
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
    /// The version that was read; empty for a new account.
    pub version: String,
    /// `yes`: the credential may be sent to the changed destination.
    pub grant_credential: String,
}

impl AccountForm {
    /// The form of a new account: the safe choices made, protocol and credential left open.
    pub fn new_account() -> Self {
        Self {
            keep_copy: "yes".to_owned(),
            automatic_check: "yes".to_owned(),
            interval_s: INTERVAL_DEFAULT_S.to_string(),
            hold_days: "0".to_owned(),
            push: "no".to_owned(),
            enabled: "yes".to_owned(),
            use_network_connector: "no".to_owned(),
            skip_certificate: "no".to_owned(),
            trust: "system".to_owned(),
            secure_connection: "yes".to_owned(),
            secure_connection_type: "ssl".to_owned(),
            ..Self::default()
        }
    }

    pub fn of(account: &Account) -> Self {
        let draft = &account.draft;
        let destination = &draft.destination;
        let trust = destination.security.trust().unwrap_or(Trust::System);
        let yes_no = |it: bool| if it { "yes" } else { "no" }.to_owned();
        Self {
            name: draft.name.clone(),
            keep_copy: yes_no(draft.keep_copy),
            automatic_check: yes_no(draft.automatic_check),
            interval_s: draft.interval_s.to_string(),
            hold_days: draft.hold_days.to_string(),
            push: yes_no(draft.push),
            enabled: yes_no(draft.enabled),
            address: destination.address.to_string(),
            port: destination.port.to_string(),
            protocol: draft.protocol.as_str().to_owned(),
            use_network_connector: yes_no(destination.route != Route::Direct),
            network_connector_id: destination.route.connector_id().map(|it| it.to_string()).unwrap_or_default(),
            credential_id: draft.credential_id.to_string(),
            skip_certificate: yes_no(destination.security.skips_certificate()),
            skip_reason: draft.skip_reason.clone(),
            skip_until: trust.skip_until().map(|it| it.to_string()).unwrap_or_default(),
            trust: trust.kind().to_owned(),
            ca_id: trust.authority_id().map(|it| it.to_string()).unwrap_or_default(),
            pin: trust.pin().map(|it| it.to_string()).unwrap_or_default(),
            secure_connection: yes_no(destination.security.is_secure()),
            secure_connection_type: destination.security.kind().unwrap_or("ssl").to_owned(),
            version: account.version.to_string(),
            grant_credential: String::new(),
        }
    }

    /// The port that an empty port field stands for, once a protocol is chosen.
    pub fn standard_port(&self) -> Option<u16> {
        let secure = yes_no(&self.secure_connection, true).ok()?;
        let security = Security::from_parts(secure, Some(&self.secure_connection_type), Trust::System);
        Some(Protocol::parse(&self.protocol)?.standard_port(security))
    }
}

/// An account that keeps every rule that can be checked without looking anything up.
///
/// **Invariant:** made only by `TryFrom<&AccountForm>` or read back from a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the form has these switches")]
pub struct AccountDraft {
    pub name: String,
    pub keep_copy: bool,
    /// Without a copy kept: days that a message stays on the server after it was stored here.
    pub hold_days: u32,
    pub automatic_check: bool,
    pub interval_s: u32,
    /// Stay connected and let the server tell of new mail (IMAP IDLE); the interval still holds.
    pub push: bool,
    pub enabled: bool,
    pub protocol: Protocol,
    pub destination: Destination,
    /// Why the certificate is skipped, if somebody said so; empty while it is not.
    pub skip_reason: String,
    pub credential_id: CredentialId,
}

impl TryFrom<&AccountForm> for AccountDraft {
    type Error = Vec<Problem>;

    /// Reports every problem, in the order of the form.
    fn try_from(form: &AccountForm) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&form.name, NAME_MAX));
        let keep_copy = problems.keep("keep_copy", yes_no(&form.keep_copy, true));
        let hold_days = problems.keep("hold_days", number(&form.hold_days, 0, 0..=HOLD_DAYS_MAX));
        let automatic_check = problems.keep("automatic_check", yes_no(&form.automatic_check, true));
        let interval_s = problems.keep("interval_s", number(&form.interval_s, INTERVAL_DEFAULT_S, INTERVAL_S));
        let push = problems.keep("push", yes_no(&form.push, false));
        let enabled = problems.keep("enabled", yes_no(&form.enabled, true));
        let address = problems.keep("address", Address::parse(&form.address));
        let port = problems.keep("port", Some(form.port.trim()).filter(|it| !it.is_empty()).map(port).transpose());
        let protocol = problems.keep("protocol", choice(&form.protocol, Protocol::parse));
        let route = route(&form.use_network_connector, &form.network_connector_id, &mut problems);
        let credential_id =
            problems.keep("credential_id", choice(&form.credential_id, |it| it.parse::<CredentialId>().ok()));
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
            let (protocol, (security, skip_reason)) = (protocol?, security?);
            let port = port?.unwrap_or_else(|| protocol.standard_port(security));
            Some(Self {
                name: name?,
                keep_copy: keep_copy?,
                hold_days: hold_days?,
                automatic_check: automatic_check?,
                interval_s: interval_s?,
                // POP3 has nothing of the kind; the switch does not count then.
                push: push? && protocol == Protocol::Imap,
                enabled: enabled?,
                protocol,
                destination: Destination { address: address?, port, security, route: route? },
                skip_reason,
                credential_id: credential_id?,
            })
        })();
        all.ok_or_else(|| problems.into_vec())
    }
}

impl AccountDraft {
    /// How long a success may be ago before the account counts as late: two intervals and a minute.
    pub fn late_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval_s)) * 2 + Duration::from_mins(1)
    }

    pub fn hold(&self) -> Duration {
        Duration::from_hours(24) * self.hold_days
    }
}

/// A whole number within bounds, with a default for what was not sent.
fn number(text: &str, default: u32, bounds: RangeInclusive<u32>) -> Result<u32, Rule> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(default);
    }
    let (min, max) = (*bounds.start(), *bounds.end());
    text.parse().ok().filter(|it| bounds.contains(it)).ok_or(Rule::OutOfRange { min, max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{account::KeyPin, ids::AuthorityId, time::Day};

    fn filled() -> AccountForm {
        AccountForm {
            name: "Invoices".to_owned(),
            address: "mail.example.org".to_owned(),
            protocol: "imap".to_owned(),
            credential_id: "7".to_owned(),
            ..AccountForm::new_account()
        }
    }

    #[track_caller]
    fn check(form: &AccountForm, expected: &[(&str, Rule)]) {
        let problems = AccountDraft::try_from(form).err().unwrap_or_default();
        let found: Vec<_> = problems.iter().map(|it| (it.field.as_str(), it.rule.clone())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_problem_is_reported_in_form_order() {
        let form = AccountForm {
            port: "70000".to_owned(),
            use_network_connector: "yes".to_owned(),
            interval_s: "5".to_owned(),
            ..AccountForm::default()
        };
        check(
            &form,
            &[
                ("name", Rule::Missing),
                ("interval_s", Rule::OutOfRange { min: 60, max: 86_400 }),
                ("address", Rule::Missing),
                ("port", Rule::NotAPort),
                ("protocol", Rule::Missing),
                ("network_connector_id", Rule::Missing),
                ("credential_id", Rule::Missing),
            ],
        );
    }

    #[test]
    fn an_empty_port_is_stored_as_the_standard_one() {
        for (protocol, secure, kind, expected) in [
            ("imap", "yes", "ssl", 993),
            ("imap", "yes", "tls", 143),
            ("imap", "no", "ssl", 143),
            ("pop3", "yes", "ssl", 995),
            ("pop3", "yes", "tls", 110),
        ] {
            let form = AccountForm {
                protocol: protocol.to_owned(),
                secure_connection: secure.to_owned(),
                secure_connection_type: kind.to_owned(),
                ..filled()
            };
            assert_eq!(AccountDraft::try_from(&form).map(|it| it.destination.port), Ok(expected));
            assert_eq!(form.standard_port(), Some(expected));
        }
    }

    #[test]
    fn a_connector_does_not_count_while_its_switch_is_off() {
        let form = AccountForm { network_connector_id: "rubbish".to_owned(), ..filled() };
        assert_eq!(AccountDraft::try_from(&form).map(|it| it.destination.route), Ok(Route::Direct));
    }

    #[test]
    fn skipping_the_certificate_does_not_count_without_a_secure_connection() {
        let form = AccountForm { secure_connection: "no".to_owned(), skip_certificate: "yes".to_owned(), ..filled() };
        assert_eq!(AccountDraft::try_from(&form).map(|it| it.destination.security), Ok(Security::Plain));
    }

    #[test]
    fn trust_is_what_was_chosen_and_only_while_nothing_is_skipped() {
        let pin = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let form = |skip: &str, trust: &str| AccountForm {
            skip_certificate: skip.to_owned(),
            skip_reason: "the old server goes in May".to_owned(),
            skip_until: "2026-05-31".to_owned(),
            trust: trust.to_owned(),
            ca_id: "3".to_owned(),
            pin: pin.to_owned(),
            ..filled()
        };
        let until = Day::parse("2026-05-31");
        for (skip, trust, expected, reason) in [
            ("no", "", Trust::System, ""),
            ("no", "system", Trust::System, ""),
            ("no", "ca", Trust::Authority(AuthorityId(3)), ""),
            ("no", "pin", Trust::Pin(KeyPin::parse(pin).unwrap()), ""),
            ("yes", "pin", Trust::SkipCertificate { until }, "the old server goes in May"),
        ] {
            let draft = AccountDraft::try_from(&form(skip, trust)).unwrap();
            assert_eq!(
                (draft.destination.security, draft.skip_reason.as_str()),
                (Security::Implicit(expected), reason)
            );
        }
        check(&AccountForm { ca_id: String::new(), ..form("no", "ca") }, &[("ca_id", Rule::Missing)]);
        check(&AccountForm { pin: "SHA256:x".to_owned(), ..form("no", "pin") }, &[("pin", Rule::NotAPin)]);
        check(&form("no", "any"), &[("trust", Rule::NotAnOption)]);
        check(&AccountForm { skip_until: "tomorrow".to_owned(), ..form("yes", "") }, &[("skip_until", Rule::NotADay)]);
    }

    #[test]
    fn names_have_at_most_120_characters_and_no_control() {
        check(&AccountForm { name: "é".repeat(120), ..filled() }, &[]);
        check(&AccountForm { name: "é".repeat(121), ..filled() }, &[("name", Rule::TooLong { max: 120 })]);
        check(&AccountForm { name: "a\u{202e}b".to_owned(), ..filled() }, &[("name", Rule::Control)]);
    }
}
