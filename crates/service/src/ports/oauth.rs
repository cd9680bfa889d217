//! OAuth 2.0: where tokens are kept, and how a provider is asked for them.

use async_trait::async_trait;
use domain::{audit::AuditEntry, ids::CredentialId, notices::Webhook, oauth::OAuthStatus, time::Timestamp};

use super::{MailError, SealedSecret, StoreError};
use crate::secret::Secret;

/// A credential's settings, and its tokens as they are stored.
#[derive(Clone, Debug)]
pub struct OAuthRow {
    pub status: OAuthStatus,
    pub tokens: Option<SealedSecret>,
    /// From then on the access token is renewed by whoever comes first.
    pub renew_at: Option<Timestamp>,
}

/// Tokens to keep.
#[derive(Clone, Debug)]
pub struct KeptTokens {
    pub sealed: SealedSecret,
    pub obtained_at: Timestamp,
    pub expires_at: Timestamp,
    pub renew_at: Timestamp,
    /// Of the refresh token, if that is known.
    pub consent_ends_at: Option<Timestamp>,
}

/// A consent that somebody was sent to give.
#[derive(Clone, Debug)]
pub struct Consent {
    /// Of the state that the provider hands back.
    pub hash: Vec<u8>,
    /// Who was sent, and the proof key.
    pub sealed: SealedSecret,
    pub until: Timestamp,
}

/// **Invariant:** of two that renew the tokens of one credential, one writes: whoever has the newest fence.
#[async_trait]
pub trait OAuthStore: Send + Sync {
    async fn find_oauth(&self, id: CredentialId) -> Result<Option<OAuthRow>, StoreError>;
    /// Takes the right to renew, with its fence; `None` while somebody else has it. `by_force` takes it away from them: after
    /// a consent, what is under way renews what does not count any more.
    async fn take_renewal(
        &self,
        id: CredentialId,
        now: Timestamp,
        until: Timestamp,
        by_force: bool,
    ) -> Result<Option<i64>, StoreError>;
    /// Keeps what the provider gave, durably, and gives the right back. `Fenced` if it was lost. With an audit entry somebody
    /// acted, and the accounts that were stopped for the credential go on.
    async fn keep_tokens(
        &self,
        id: CredentialId,
        fence: i64,
        kept: &KeptTokens,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError>;
    /// Keeps that the provider refuses until somebody acts, and gives the right back.
    async fn refuse_tokens(&self, id: CredentialId, fence: i64, message: &str) -> Result<(), StoreError>;
    /// Gives the right back after a failure that will pass; the next attempt is due at `again_at`, if that is given.
    async fn give_back_renewal(
        &self,
        id: CredentialId,
        fence: i64,
        again_at: Option<Timestamp>,
    ) -> Result<(), StoreError>;
    /// Credentials whose tokens are to be renewed, longest due first.
    async fn due_renewals(&self, now: Timestamp, limit: u32) -> Result<Vec<CredentialId>, StoreError>;
    /// In the place of any that the credential had under way.
    async fn start_consent(&self, id: CredentialId, consent: &Consent) -> Result<(), StoreError>;
    /// Takes it, so that nobody can a second time; `None` if it was taken before or is too old.
    async fn take_consent(
        &self,
        hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<(CredentialId, SealedSecret)>, StoreError>;
}

/// Asks providers for tokens.
#[async_trait]
pub trait TokenEndpoint: Send + Sync {
    /// Posts a form (`application/x-www-form-urlencoded`) and answers with status and body. Redirects are not followed, a
    /// longer answer than 64 KiB is an error, and so is one that does not come within some seconds.
    async fn post_form(&self, url: &Webhook, form: &Secret) -> Result<(u16, Secret), MailError>;
}
