//! Where sealed secrets are stored, and how they are sealed anew under another master key.

use std::fmt;

use async_trait::async_trait;
use domain::{audit::AuditEntry, time::Timestamp};

use super::{SealedSecret, StoreError};
use crate::vault::KeyId;

/// Every place where a sealed secret is stored. Nothing can be sealed for another place: whoever adds one adds it here, and to
/// the stores' `seals.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SealedPlace {
    /// A password, a private key, or a client's secret.
    Credential,
    OauthTokens,
    /// What is remembered of somebody who was sent to consent.
    OauthConsent,
    /// The codes of a device flow, while somebody is to enter them.
    DeviceCodes,
}

impl SealedPlace {
    pub const ALL: [Self; 4] = [Self::Credential, Self::OauthTokens, Self::OauthConsent, Self::DeviceCodes];

    /// Table and column.
    pub fn column(self) -> (&'static str, &'static str) {
        match self {
            Self::Credential => ("credentials", "sealed"),
            Self::OauthTokens => ("oauth", "tokens"),
            Self::OauthConsent => ("oauth", "consent"),
            Self::DeviceCodes => ("device_flows", "sealed"),
        }
    }

    pub fn of(self, id: i64) -> SealedAt {
        SealedAt { place: self, id }
    }
}

/// The one place and row that a seal is good for, so that rows cannot be swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedAt {
    pub place: SealedPlace,
    pub id: i64,
}

/// What the seal is bound to. Whatever is changed here opens nothing that was sealed before.
impl fmt::Display for SealedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.place {
            SealedPlace::Credential => "credentials/secret",
            SealedPlace::OauthTokens => "oauth/tokens",
            SealedPlace::OauthConsent => "oauth/consent",
            SealedPlace::DeviceCodes => "oauth/device",
        };
        write!(f, "{path}/{}", self.id)
    }
}

/// A secret where it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    pub at: SealedAt,
    pub sealed: SealedSecret,
}

/// The same secret under two keys.
#[derive(Clone, Debug)]
pub struct Resealed {
    pub before: SealedRow,
    pub after: SealedSecret,
}

/// Secrets that begin alike: the form, and the id of the master key where the form has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedCount {
    pub head: Vec<u8>,
    pub n: u64,
}

/// The master keys that an instance holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceKeys {
    pub instance: String,
    pub host: String,
    /// Ids with a space between them; empty for a release that does not say.
    pub key_ids: String,
}

impl InstanceKeys {
    pub fn holds(&self, key: KeyId) -> bool {
        self.key_ids.split(' ').any(|it| KeyId::parse(it) == Some(key))
    }
}

/// Another master key takes the place of the one that seals.
#[derive(Clone, Copy, Debug)]
pub struct KeyChange {
    pub before: KeyId,
    pub after: KeyId,
    /// An instance that was not seen since then has ended.
    pub seen_since: Timestamp,
}

/// The setting that names the master key that seals.
pub const SEALING_KEY: &str = "master_key_id";
/// The setting that names the key of secrets that do not say which key sealed them: it was the only one until another took its
/// place.
pub const FIRST_KEY: &str = "first_master_key_id";

/// **Invariant:** every write of a sealed secret, of any port, is refused with `OtherKey` unless the master key that seals has
/// sealed it; whoever changes that key waits for the writes under way. So a key that seals no more seals nothing that comes.
#[async_trait]
pub trait SealStore: Send + Sync {
    /// Rows beyond this id, in the order of their ids.
    async fn sealed_rows(&self, place: SealedPlace, after: i64, limit: u32) -> Result<Vec<SealedRow>, StoreError>;
    /// Every secret of this place, counted by how it begins.
    async fn count_sealed(&self, place: SealedPlace) -> Result<Vec<SealedCount>, StoreError>;
    /// Puts new seals in the place of those that are still what was read, in one transaction with the audit entry, which is not
    /// written if there are none; answers with how many there were. The rows are in the order of their ids.
    async fn replace_seals(&self, rows: &[Resealed], audit: &[AuditEntry]) -> Result<u64, StoreError>;
    /// Makes another master key the one that seals, unless an instance lives that does not hold it: answers with those.
    /// `Conflict` if `before` is not the one that seals.
    async fn change_sealing_key(
        &self,
        change: &KeyChange,
        audit: &[AuditEntry],
    ) -> Result<Vec<InstanceKeys>, StoreError>;
    /// The keys of the instances that were seen since then.
    async fn instance_keys(&self, seen_since: Timestamp) -> Result<Vec<InstanceKeys>, StoreError>;
}
