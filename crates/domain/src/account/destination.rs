//! Everything that decides to whom a credential is sent, and how forms enter it.

use serde::{Deserialize, Serialize};

use super::{Address, Route, Security, Trust};
use crate::problem::{Problems, Rule, choice, yes_no};

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

/// Without a secure connection neither its type nor the certificate counts.
pub(crate) fn security(skip: &str, secure: &str, kind: &str, problems: &mut Problems) -> Option<Security> {
    let skip = problems.keep("skip_certificate", yes_no(skip, false));
    if !problems.keep("secure_connection", yes_no(secure, true))? {
        return Some(Security::Plain);
    }
    let trust = if skip? { Trust::SkipCertificate } else { Trust::System };
    match kind {
        "" | "ssl" => Some(Security::Implicit(trust)),
        "tls" => Some(Security::StartTls(trust)),
        _ => {
            problems.note("secure_connection_type", Rule::NotAnOption);
            None
        }
    }
}
