//! A credential: a named user name and secret, registered before an account can use it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::CredentialId,
    oauth::{OAuthDraft, TokenState},
    problem::{Problem, Problems, Rule, line},
    time::{Day, Timestamp},
};

/// A credential as screens may see it. The secret is never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub id: CredentialId,
    pub version: i64,
    pub name: String,
    pub username: String,
    pub secret_set_at: Timestamp,
    pub secret_set_by: String,
    /// Its secret is an OAuth 2.0 client's, and servers are shown tokens.
    pub is_oauth: bool,
    /// When a server let it in last, exact to a minute.
    pub last_accepted_at: Option<Timestamp>,
    /// The day on which the secret ends where it was given, if somebody said.
    pub secret_ends_on: Option<Day>,
    /// Of OAuth 2.0 tokens.
    pub tokens: Option<TokensLast>,
    /// How many accounts and connectors use it.
    pub n_uses: u64,
}

/// How long a credential's OAuth 2.0 tokens last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokensLast {
    pub state: TokenState,
    /// Of the access token, which is renewed before.
    pub expires_at: Option<Timestamp>,
    /// Of the refresh token, if the provider said.
    pub consent_ends_at: Option<Timestamp>,
}

/// A secret on its way in. It serialises, because the browser has to send it; it never prints.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretInput(pub String);

impl fmt::Debug for SecretInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretInput(..)")
    }
}

/// The form, every field as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CredentialForm {
    pub name: String,
    pub username: String,
    /// Empty on a change: the stored secret stays.
    pub secret: SecretInput,
    /// In the place of the secret: an SSH key, which has several lines.
    pub private_key: SecretInput,
    /// The day on which the secret ends, empty for none. Without it, a stored one stays as long as its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ends_on: Option<String>,
    pub version: String,
}

/// How a private key begins and ends (the file format of OpenSSH, `PROTOCOL.key`).
const KEY_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const KEY_END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// Whether a secret is a private key rather than a password: by how it begins.
pub fn is_private_key(secret: &str) -> bool {
    secret.trim_start().starts_with(KEY_BEGIN)
}

/// The key with the line breaks that belong into it. What is in it, only the SSH client can tell.
fn private_key(text: &str) -> Result<SecretInput, Rule> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|it| !it.is_empty()).collect();
    let is_base64 = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'/' | b'=');
    match lines[..] {
        [KEY_BEGIN, ref body @ .., KEY_END] if !body.is_empty() && body.iter().all(|it| it.bytes().all(is_base64)) => {
            Ok(SecretInput(lines.join("\n") + "\n"))
        }
        _ => Err(Rule::NotAKey),
    }
}

/// A credential that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialDraft {
    pub name: String,
    pub username: String,
    /// For a secret that is an OAuth 2.0 client's.
    pub oauth: Option<OAuthDraft>,
    /// The day on which the secret ends where it was given, if somebody knows.
    pub secret_ends_on: Option<Day>,
}

impl CredentialForm {
    pub fn of(credential: &Credential) -> Self {
        Self {
            name: credential.name.clone(),
            username: credential.username.clone(),
            secret_ends_on: credential.secret_ends_on.map(|it| it.to_string()),
            version: credential.version.to_string(),
            ..Self::default()
        }
    }

    /// What of it may be shown again and written down.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self { secret: SecretInput::default(), private_key: SecretInput::default(), ..self.clone() }
    }

    /// The draft, and the secret if one was entered.
    pub fn draft(&self) -> Result<(CredentialDraft, Option<SecretInput>), Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&self.name, 120));
        let username = problems.keep("username", line(&self.username, 255));
        let ends_on = self.secret_ends_on.as_deref().unwrap_or_default();
        let secret_ends_on = problems.keep("secret_ends_on", day_or_none(ends_on));
        // A key may come in either field: the interface for machines has one for both.
        let (field, entered) = match (&self.private_key, &self.secret) {
            (key, _) if !key.0.trim().is_empty() => ("private_key", Some(key)),
            (_, secret) if secret.0.is_empty() => ("secret", None),
            (_, secret) => ("secret", Some(secret)),
        };
        let secret = match entered {
            Some(it) if field == "private_key" || is_private_key(&it.0) => {
                problems.keep(field, private_key(&it.0).and_then(at_most_4096))
            }
            other => other.cloned(),
        };
        match &secret {
            None if self.version.is_empty() && entered.is_none() => problems.note("secret", Rule::Missing),
            Some(it) if is_private_key(&it.0) => {}
            Some(it) if it.0.len() > 4096 => problems.note("secret", Rule::TooLong { max: 4096 }),
            // A line break would end the command that carries the password (RFC 1939, RFC 9051).
            Some(it) if it.0.contains(['\r', '\n', '\0']) => problems.note("secret", Rule::Control),
            _ => {}
        }
        match (name, username, secret_ends_on, problems.into_vec()) {
            (Some(name), Some(username), Some(secret_ends_on), problems) if problems.is_empty() => {
                Ok((CredentialDraft { name, username, oauth: None, secret_ends_on }, secret))
            }
            (.., problems) => Err(problems),
        }
    }
}

/// A day, or none.
pub(crate) fn day_or_none(text: &str) -> Result<Option<Day>, Rule> {
    let text = text.trim();
    if text.is_empty() { Ok(None) } else { Day::parse(text).map(Some).ok_or(Rule::NotADay) }
}

fn at_most_4096(secret: SecretInput) -> Result<SecretInput, Rule> {
    if secret.0.len() > 4096 { Err(Rule::TooLong { max: 4096 }) } else { Ok(secret) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----\n";

    #[test]
    fn a_private_key_comes_in_either_field_and_a_password_has_no_second_line() {
        let form = |secret: &str, private_key: &str| CredentialForm {
            name: "a".to_owned(),
            username: "b".to_owned(),
            secret: SecretInput(secret.to_owned()),
            private_key: SecretInput(private_key.to_owned()),
            secret_ends_on: None,
            version: String::new(),
        };
        let kept = |form: CredentialForm| form.draft().map(|it| it.1.map(|it| it.0).unwrap_or_default());
        let from_windows = format!("  {}\r\n", KEY.replace('\n', "\r\n"));
        assert_eq!(kept(form("", &from_windows)).as_deref(), Ok(KEY));
        assert_eq!(kept(form(KEY, "")).as_deref(), Ok(KEY));
        assert_eq!(kept(form("password", " \n")).as_deref(), Ok("password"));
        let problem = |field, rule| Err(vec![Problem::new(field, rule)]);
        assert_eq!(kept(form("two\nlines", "")), problem("secret", Rule::Control));
        assert_eq!(kept(form("", "not a key")), problem("private_key", Rule::NotAKey));
        let injected = KEY.replace("=\n", "=\nA1 LOGOUT\n");
        assert_eq!(kept(form(&injected, "")), problem("secret", Rule::NotAKey));
        assert_eq!(kept(form("", "")), problem("secret", Rule::Missing));
    }

    #[test]
    fn a_new_credential_needs_a_secret_and_a_changed_one_keeps_its_own() {
        let mut form = CredentialForm { name: "a".to_owned(), username: "b".to_owned(), ..CredentialForm::default() };
        assert_eq!(form.draft(), Err(vec![Problem::new("secret", Rule::Missing)]));
        "1".clone_into(&mut form.version);
        assert!(matches!(form.draft(), Ok((_, None))));
    }

    #[test]
    fn the_day_on_which_a_secret_ends_is_a_day_or_none() {
        let form = |text: &str| CredentialForm {
            name: "a".to_owned(),
            username: "b".to_owned(),
            secret: SecretInput("c".to_owned()),
            secret_ends_on: Some(text.to_owned()),
            ..CredentialForm::default()
        };
        let ends = |text: &str| form(text).draft().map(|it| it.0.secret_ends_on);
        assert_eq!(ends(" 2027-01-31 "), Ok(Day::parse("2027-01-31")));
        assert_eq!(ends(""), Ok(None));
        assert_eq!(ends("2027-02-30"), Err(vec![Problem::new("secret_ends_on", Rule::NotADay)]));
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", SecretInput("hunter2".to_owned())), "SecretInput(..)");
    }
}
