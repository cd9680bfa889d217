//! Signing in with an access token: OAUTHBEARER (RFC 7628), or XOAUTH2, which Google and Microsoft had before it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    account::{Destination, Security},
    check::{ErrorKind, Stage},
};
use service::{ports::MailError, secret::Secret};

use crate::clean;

/// The most characters of a status that a server gives with its refusal.
const STATUS_MAX: usize = 40;

/// How a token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    OauthBearer,
    Xoauth2,
}

impl Mechanism {
    /// The standard's where it is offered.
    pub(crate) fn choose(is_offered: impl Fn(&str) -> bool) -> Result<Self, MailError> {
        let found = [Self::OauthBearer, Self::Xoauth2].into_iter().find(|it| is_offered(it.name()));
        found.ok_or_else(|| {
            let message = "the server offers no way to sign in with an OAuth 2.0 token (OAUTHBEARER or XOAUTH2)";
            MailError::new(ErrorKind::Protocol, Stage::Authenticate, message)
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// What shows the token, in Base64.
    pub(crate) fn initial(self, name: &str, token: &Secret, destination: &Destination) -> String {
        let token = token.expose();
        STANDARD.encode(match self {
            Self::OauthBearer => {
                // A comma would end the name (RFC 5801 section 4).
                let name = name.replace('=', "=3D").replace(',', "=2C");
                let Destination { address, port, .. } = destination;
                format!("n,a={name},\x01host={address}\x01port={port}\x01auth=Bearer {token}\x01\x01")
            }
            Self::Xoauth2 => format!("user={name}\x01auth=Bearer {token}\x01\x01"),
        })
    }

    /// What a server waits for after it said why it refuses (RFC 7628 section 3.2.3): a lone control-A, or nothing.
    pub(crate) fn abort(self) -> &'static str {
        match self {
            Self::OauthBearer => "AQ==",
            Self::Xoauth2 => "",
        }
    }
}

/// A token is as good as a password for as long as it lasts: it is never sent in clear, not even where passwords are.
pub(crate) fn must_be_secure(destination: &Destination) -> Result<(), MailError> {
    if destination.security == Security::Plain {
        let message = "OAuth 2.0 tokens are not sent over a connection without TLS: choose another connection type";
        return Err(MailError::new(ErrorKind::Protocol, Stage::Authenticate, message));
    }
    Ok(())
}

/// The status that a server's refusal carries: JSON in Base64, `{"status":"invalid_token",...}`.
pub(crate) fn status(challenge: &[u8]) -> Option<String> {
    let json = STANDARD.decode(challenge.trim_ascii()).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&json).ok()?;
    let status = clean(value.get("status")?.as_str()?.as_bytes(), STATUS_MAX);
    (!status.is_empty()).then_some(status)
}

/// The refusal with the status that came before it.
pub(crate) fn with_status(error: MailError, status: Option<String>) -> MailError {
    match status {
        Some(status) => MailError { message: format!("{} (OAuth 2.0 status: {status})", error.message), ..error },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use domain::account::{Address, Route, Trust};

    use super::*;

    fn destination(security: Security) -> Destination {
        Destination {
            address: Address::parse("server.example.com").unwrap(),
            port: 143,
            security,
            route: Route::Direct,
        }
    }

    fn decoded(mechanism: Mechanism, name: &str) -> String {
        let token = Secret::token("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==".to_owned());
        let initial = mechanism.initial(name, &token, &destination(Security::Implicit(Trust::System)));
        String::from_utf8(STANDARD.decode(initial).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_shown_as_the_standards_say() {
        // RFC 7628 section 4.1.
        assert_eq!(
            decoded(Mechanism::OauthBearer, "user@example.com"),
            "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer \
             vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
        assert!(decoded(Mechanism::OauthBearer, "a,b=c").starts_with("n,a=a=2Cb=3Dc,\x01"));
        assert_eq!(
            decoded(Mechanism::Xoauth2, "someuser@example.com"),
            "user=someuser@example.com\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
        );
    }

    #[test]
    fn the_standard_s_mechanism_comes_first_and_neither_is_an_error() {
        assert_eq!(Mechanism::choose(|_| true).unwrap(), Mechanism::OauthBearer);
        assert_eq!(Mechanism::choose(|it| it == "XOAUTH2").unwrap(), Mechanism::Xoauth2);
        assert_eq!(Mechanism::choose(|_| false).unwrap_err().kind, ErrorKind::Protocol);
    }

    #[test]
    fn a_token_is_never_sent_in_clear() {
        assert!(must_be_secure(&destination(Security::Plain)).is_err());
        for security in [Security::Implicit(Trust::System), Security::StartTls(Trust::System)] {
            must_be_secure(&destination(security)).unwrap();
        }
    }

    #[test]
    fn a_refusal_s_status_is_read_and_washed() {
        let of = |json: &str| status(STANDARD.encode(json).as_bytes());
        assert_eq!(of(r#"{"status":"invalid_token","scope":"x"}"#).as_deref(), Some("invalid_token"));
        assert_eq!(of("{\"status\":\"a\\u001b[31mb\"}").as_deref(), Some("a [31mb"));
        assert_eq!(of(&format!(r#"{{"status":"{}"}}"#, "x".repeat(500))).map(|it| it.len()), Some(STATUS_MAX));
        for text in ["", "[]", r#"{"status":7}"#, r#"{"status":""}"#, "no json"] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(status(b"not base64!"), None);
    }
}
