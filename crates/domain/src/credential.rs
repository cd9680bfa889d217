//! A credential: a named user name and secret, registered before an account can use it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::CredentialId,
    problem::{Problem, Problems, Rule, line},
    time::Timestamp,
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
    /// How many accounts and connectors use it.
    pub n_uses: u64,
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
    pub version: String,
}

/// A credential that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialDraft {
    pub name: String,
    pub username: String,
}

impl CredentialForm {
    pub fn of(credential: &Credential) -> Self {
        Self {
            name: credential.name.clone(),
            username: credential.username.clone(),
            secret: SecretInput::default(),
            version: credential.version.to_string(),
        }
    }

    /// The draft, and the secret if one was entered.
    pub fn draft(&self) -> Result<(CredentialDraft, Option<SecretInput>), Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&self.name, 120));
        let username = problems.keep("username", line(&self.username, 255));
        let secret = if self.secret.0.is_empty() { None } else { Some(self.secret.clone()) };
        match &secret {
            None if self.version.is_empty() => problems.note("secret", Rule::Missing),
            Some(it) if it.0.len() > 4096 => problems.note("secret", Rule::TooLong { max: 4096 }),
            // A line break would end the command that carries the password (RFC 1939, RFC 9051).
            Some(it) if it.0.contains(['\r', '\n', '\0']) => problems.note("secret", Rule::Control),
            _ => {}
        }
        match (name, username, problems.into_vec()) {
            (Some(name), Some(username), problems) if problems.is_empty() => {
                Ok((CredentialDraft { name, username }, secret))
            }
            (_, _, problems) => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_credential_needs_a_secret_and_a_changed_one_keeps_its_own() {
        let mut form = CredentialForm { name: "a".to_owned(), username: "b".to_owned(), ..CredentialForm::default() };
        assert_eq!(form.draft(), Err(vec![Problem::new("secret", Rule::Missing)]));
        "1".clone_into(&mut form.version);
        assert!(matches!(form.draft(), Ok((_, None))));
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", SecretInput("hunter2".to_owned())), "SecretInput(..)");
    }
}
