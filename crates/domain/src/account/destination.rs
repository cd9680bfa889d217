//! Everything that decides to whom a credential is sent, and how forms enter it.

use serde::{Deserialize, Serialize};

use super::{Address, KeyPin, Route, Security, Trust};
use crate::{
    problem::{Problems, Rule, choice, line, yes_no},
    time::Day,
};

/// The most characters of the reason for skipping a certificate.
const REASON_MAX: u32 = 200;

/// Everything that decides to whom a credential is sent. A credential is granted for exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    pub address: Address,
    pub port: u16,
    pub security: Security,
    pub route: Route,
}

/// With the switch off, whatever was sent for the connector does not count.
pub(crate) fn route(switch: &str, connector: &str, problems: &mut Problems) -> Option<Route> {
    if problems.keep("use_network_connector", yes_no(switch, false))? {
        let connector = choice(connector, |it| it.parse().ok());
        problems.keep("network_connector_id", connector).map(Route::Connector)
    } else {
        Some(Route::Direct)
    }
}

/// The fields that decide how a connection is secured, as they were typed.
pub(crate) struct SecurityFields<'a> {
    pub(crate) skip: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) until: &'a str,
    pub(crate) trust: &'a str,
    pub(crate) authority: &'a str,
    pub(crate) pin: &'a str,
    pub(crate) secure: &'a str,
    pub(crate) kind: &'a str,
}

/// How the connection is secured, and why its certificate is skipped. Without a secure connection nothing else counts; with Skip
/// certificate no other trust does, and without it neither a reason nor an end.
pub(crate) fn security(fields: &SecurityFields, problems: &mut Problems) -> Option<(Security, String)> {
    let skip = problems.keep("skip_certificate", yes_no(fields.skip, false));
    if !problems.keep("secure_connection", yes_no(fields.secure, true))? {
        return Some((Security::Plain, String::new()));
    }
    let mut reason = Some(String::new());
    let trust = if skip? {
        if !fields.reason.trim().is_empty() {
            reason = problems.keep("skip_reason", line(fields.reason, REASON_MAX));
        }
        let until = Some(fields.until).filter(|it| !it.trim().is_empty());
        let until = problems.keep("skip_until", until.map(|it| Day::parse(it).ok_or(Rule::NotADay)).transpose());
        until.map(|until| Trust::SkipCertificate { until })
    } else {
        match fields.trust {
            "" | "system" => Some(Trust::System),
            "ca" => problems.keep("ca_id", choice(fields.authority, |it| it.parse().ok())).map(Trust::Authority),
            "pin" => problems.keep("pin", KeyPin::parse(fields.pin)).map(Trust::Pin),
            _ => problems.keep("trust", Err(Rule::NotAnOption)),
        }
    };
    let kind = match fields.kind {
        "" | "ssl" => Some(Security::Implicit as fn(Trust) -> Security),
        "tls" => Some(Security::StartTls as fn(Trust) -> Security),
        _ => problems.keep("secure_connection_type", Err(Rule::NotAnOption)),
    };
    Some((kind?(trust?), reason?))
}
