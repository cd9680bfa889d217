//! A certificate authority of one's own: certificates under a name, for accounts that trust them and nobody else.

use serde::{Deserialize, Serialize};

use crate::{
    account::NAME_MAX,
    ids::AuthorityId,
    problem::{Problem, Problems, Rule, line},
    time::Timestamp,
};

/// The most characters of a bundle.
const PEM_MAX: u32 = 256 * 1024;

/// The form, every field as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorityForm {
    pub name: String,
    pub pem: String,
    /// The version that was read; empty for a new one.
    pub version: String,
    /// `yes`: the credentials of the accounts that trust it may be sent to whom it vouches for now.
    pub grant_credential: String,
}

impl AuthorityForm {
    pub fn of(authority: &Authority) -> Self {
        Self {
            name: authority.row.name.clone(),
            pem: authority.pem.clone(),
            version: authority.row.version.to_string(),
            grant_credential: String::new(),
        }
    }
}

/// An authority that keeps the rules that need no look into its certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityDraft {
    pub name: String,
    pub pem: String,
}

impl TryFrom<&AuthorityForm> for AuthorityDraft {
    type Error = Vec<Problem>;

    fn try_from(form: &AuthorityForm) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let name = problems.keep("name", line(&form.name, NAME_MAX));
        let pem = form.pem.trim();
        let pem = if pem.is_empty() {
            Err(Rule::Missing)
        } else if pem.len() > PEM_MAX as usize {
            Err(Rule::TooLong { max: PEM_MAX })
        } else if !pem.contains("-----BEGIN CERTIFICATE-----") {
            Err(Rule::NotACertificate)
        } else {
            // Whatever system it was typed on.
            Ok(format!("{}\n", pem.replace("\r\n", "\n")))
        };
        let pem = problems.keep("pem", pem);
        name.zip(pem).map(|(name, pem)| Self { name, pem }).ok_or_else(|| problems.into_vec())
    }
}

/// What a bundle's certificates say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityFacts {
    /// Of the first certificate.
    pub subject: String,
    /// SHA-256 of the certificates: `SHA256:` and Base64.
    pub fingerprint: String,
    pub n_certificates: u32,
    /// When the first of them expires.
    pub expires_at: Timestamp,
}

/// An authority as the report lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRow {
    pub id: AuthorityId,
    pub version: i64,
    pub name: String,
    pub facts: AuthorityFacts,
    /// How many accounts and SMTP configurations trust it.
    pub n_uses: u64,
}

/// An authority as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    pub row: AuthorityRow,
    pub pem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_before_it_is_looked_at() {
        let form =
            |pem: &str| AuthorityForm { name: "Ours".to_owned(), pem: pem.to_owned(), ..AuthorityForm::default() };
        let rule = |pem: &str| AuthorityDraft::try_from(&form(pem)).unwrap_err().remove(0).rule;
        assert_eq!(rule(" "), Rule::Missing);
        assert_eq!(rule("-----BEGIN PRIVATE KEY-----"), Rule::NotACertificate);
        assert_eq!(rule(&"x".repeat(300_000)), Rule::TooLong { max: PEM_MAX });
        let draft = AuthorityDraft::try_from(&form("-----BEGIN CERTIFICATE-----\r\nMII\r\n")).unwrap();
        assert_eq!(draft.pem, "-----BEGIN CERTIFICATE-----\nMII\n");
    }
}
