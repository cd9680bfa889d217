//! How safely accounts are set up, and what runs out: what is listed, by which bounds, and what was last seen of a server's TLS.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, AuthorityId, CredentialId, SmtpId},
    page::PageRequest,
    query,
    time::Timestamp,
};

/// One list of records that want a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostureList {
    /// Passwords and mail cross the network in clear.
    Plain,
    /// Any certificate is accepted.
    Skipped,
    /// One key is accepted, whatever else the certificate says.
    Pinned,
    /// Servers' certificates that end soon, as they were last seen.
    Certificates,
    /// Registered authorities that end soon.
    Authorities,
    /// Less than TLS 1.2 with forward secrecy and an AEAD, or no TLS that both sides know.
    WeakTls,
    /// Credentials that many accounts use.
    Shared,
    /// Enabled accounts without a good check for days.
    Silent,
    /// Tokens that are refused, and consents and secrets that end soon.
    Secrets,
}

impl PostureList {
    pub const ALL: [Self; 9] = [
        Self::Plain,
        Self::Skipped,
        Self::Pinned,
        Self::Certificates,
        Self::Authorities,
        Self::WeakTls,
        Self::Shared,
        Self::Silent,
        Self::Secrets,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Skipped => "skipped",
            Self::Pinned => "pinned",
            Self::Certificates => "certificates",
            Self::Authorities => "authorities",
            Self::WeakTls => "weak_tls",
            Self::Shared => "shared",
            Self::Silent => "silent",
            Self::Secrets => "secrets",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// The record that a row leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PostureSubject {
    Account(AccountId),
    Smtp(SmtpId),
    Credential(CredentialId),
    /// A credential for OAuth 2.0, which has a page of its own.
    OAuth(CredentialId),
    Authority(AuthorityId),
}

impl PostureSubject {
    pub fn parse(kind: &str, id: i64) -> Option<Self> {
        Some(match kind {
            "account" => Self::Account(AccountId(id)),
            "smtp" => Self::Smtp(SmtpId(id)),
            "credential" => Self::Credential(CredentialId(id)),
            "oauth" => Self::OAuth(CredentialId(id)),
            "authority" => Self::Authority(AuthorityId(id)),
            _ => return None,
        })
    }

    pub fn kind(self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Smtp(_) => "smtp",
            Self::Credential(_) => "credential",
            Self::OAuth(_) => "oauth",
            Self::Authority(_) => "authority",
        }
    }

    pub fn id(self) -> i64 {
        match self {
            Self::Account(AccountId(id))
            | Self::Smtp(SmtpId(id))
            | Self::Credential(CredentialId(id))
            | Self::OAuth(CredentialId(id))
            | Self::Authority(AuthorityId(id)) => id,
        }
    }
}

/// One record of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureRow {
    pub subject: PostureSubject,
    pub name: String,
    /// What is to be known of it: address and port, a reason, a pin, an issuer; in `Secrets`, what ends (see [`Ending`]). From
    /// outside as it may be, but cut and cleaned.
    pub detail: String,
    /// When it ends, in `Secrets` nothing for what is over; in `Silent`, the last success; in `WeakTls`, since when it fails.
    pub at: Option<Timestamp>,
    /// `Shared`: how many accounts use it.
    pub n_uses: Option<u64>,
}

/// What of a credential ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// The provider refuses by this code until somebody acts.
    Refused(&'a str),
    /// With it the refresh token.
    Consent,
    /// A client's secret, a password or a key, by what people entered.
    Secret,
}

impl<'a> Ending<'a> {
    /// Reads the detail of a row: `refused invalid_grant`, `consent`, `secret`.
    pub fn parse(detail: &'a str) -> Option<Self> {
        match detail {
            "consent" => Some(Self::Consent),
            "secret" => Some(Self::Secret),
            _ => detail.strip_prefix("refused ").map(Self::Refused),
        }
    }
}

/// How many records a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureCount {
    pub list: PostureList,
    pub n: u64,
}

/// Days ahead that the page offers.
pub const WITHIN_DAYS: [u32; 3] = [30, 60, 90];
const SILENT_DAYS: u32 = 7;
const SHARED_FROM: u32 = 5;
const DAYS_MAX: u32 = 3650;

/// What the page, a download or the interface asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostureQuery {
    /// All of them, each with its beginning, without one.
    pub list: Option<PostureList>,
    /// What ends within so many days, 1 to 3650.
    pub within_days: u32,
    /// Without a success for so many days, 1 to 3650.
    pub silent_days: u32,
    /// Used by so many accounts at least, 2 or more.
    pub shared_from: u32,
    pub page: PageRequest,
}

impl Default for PostureQuery {
    fn default() -> Self {
        Self {
            list: None,
            within_days: WITHIN_DAYS[0],
            silent_days: SILENT_DAYS,
            shared_from: SHARED_FROM,
            page: PageRequest::default(),
        }
    }
}

impl PostureQuery {
    /// Reads `list`, `within`, `silent`, `shared`, `page`, `page_size`; what is not understood is ignored.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let number = |text: &str, least: u32| text.parse().ok().filter(|it| (least..=DAYS_MAX).contains(it));
        let mut wanted = Self::default();
        for (key, value) in pairs {
            match key {
                "list" => wanted.list = PostureList::parse(value),
                "within" => wanted.within_days = number(value, 1).unwrap_or(wanted.within_days),
                "silent" => wanted.silent_days = number(value, 1).unwrap_or(wanted.silent_days),
                "shared" => wanted.shared_from = number(value, 2).unwrap_or(wanted.shared_from),
                "page" => _ = query::page(&mut wanted.page, value),
                "page_size" => _ = query::page_size(&mut wanted.page, value),
                _ => {}
            }
        }
        wanted
    }

    pub fn to_query_string(&self) -> String {
        let default = Self::default();
        let mut pairs = Vec::new();
        pairs.extend(self.list.map(|it| ("list", it.as_str().to_owned())));
        let numbers = [
            ("within", self.within_days, default.within_days),
            ("silent", self.silent_days, default.silent_days),
            ("shared", self.shared_from, default.shared_from),
        ];
        pairs.extend(numbers.into_iter().filter(|it| it.1 != it.2).map(|it| (it.0, it.1.to_string())));
        query::push_page(&mut pairs, self.page, default.page);
        query::encode(&pairs)
    }

    /// Rows of this list rank below this bound, in the order of which a store lists them: by the time at which they end or last
    /// went well, never before anything else, and by how many accounts share them, most first.
    pub fn rank_below(&self, list: PostureList, now: Timestamp) -> i64 {
        let days = |it: u32| Duration::from_secs(u64::from(it) * 86_400);
        match list {
            PostureList::Certificates | PostureList::Authorities | PostureList::Secrets => {
                now.plus(days(self.within_days)).0
            }
            PostureList::Silent => now.minus(days(self.silent_days)).0,
            PostureList::Shared => 1 - i64::from(self.shared_from),
            PostureList::Plain | PostureList::Skipped | PostureList::Pinned | PostureList::WeakTls => i64::MAX,
        }
    }
}

/// What a visit saw of a server's TLS. Names are the server's words, cut and cleaned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsSeen {
    /// `TLSv1.3`; empty if the handshake ended with the certificate.
    pub version: String,
    /// As IANA names it; empty likewise.
    pub suite: String,
    /// Of the server's own certificate.
    pub not_after: Option<Timestamp>,
    pub issuer: String,
    /// `SHA256:` and Base64 of the whole certificate.
    pub fingerprint: String,
}

impl TlsSeen {
    /// Whether it is less than TLS 1.2 with forward secrecy and an AEAD (RFC 9325 sections 3.1.1 and 4.2).
    pub fn is_weak(&self) -> bool {
        let is_modern = (self.suite.starts_with("TLS_ECDHE_") || self.suite.starts_with("TLS_DHE_"))
            && ["_GCM_", "_CCM", "_CHACHA20_"].iter().any(|it| self.suite.contains(it));
        match self.version.as_str() {
            "" | "TLSv1.3" => false,
            "TLSv1.2" => !is_modern,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_is_what_the_recommendations_call_so() {
        let check = |version: &str, suite: &str, expected| {
            let seen = TlsSeen { version: version.to_owned(), suite: suite.to_owned(), ..TlsSeen::default() };
            assert_eq!(seen.is_weak(), expected, "{version} {suite}");
        };
        check("TLSv1.3", "TLS13_AES_128_GCM_SHA256", false);
        check("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", false);
        check("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", false);
        check("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", true);
        check("TLSv1.2", "TLS_RSA_WITH_AES_128_GCM_SHA256", true);
        check("TLSv1.1", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", true);
        check("", "", false);
    }

    #[test]
    fn a_query_comes_back_as_it_was_written_and_nonsense_is_ignored() {
        let wanted = PostureQuery {
            list: Some(PostureList::WeakTls),
            within_days: 90,
            silent_days: 3,
            shared_from: 2,
            page: PageRequest::new(2, 30),
        };
        let text = wanted.to_query_string();
        assert_eq!(text, "list=weak_tls&within=90&silent=3&shared=2&page=2");
        let pairs = query::decode(&text);
        let read = PostureQuery::from_pairs(pairs.iter().map(|it| (it.0.as_str(), it.1.as_str())));
        assert_eq!(read, wanted);
        let nonsense = [("list", "x"), ("within", "0"), ("silent", "-1"), ("shared", "1"), ("page", "0")];
        assert_eq!(PostureQuery::from_pairs(nonsense), PostureQuery::default());
        assert_eq!(PostureQuery::default().to_query_string(), "");
    }

    #[test]
    fn every_list_and_subject_has_a_name_of_its_own() {
        for list in PostureList::ALL {
            assert_eq!(PostureList::parse(list.as_str()), Some(list));
        }
        for kind in ["account", "smtp", "credential", "oauth", "authority"] {
            let subject = PostureSubject::parse(kind, 7).unwrap();
            assert_eq!((subject.kind(), subject.id()), (kind, 7));
        }
    }
}
