//! What the watchman needs of what is kept.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    ids::IncidentId,
    incident::{Cause, Incident, causes},
    notices::Notices,
    smtp::SmtpDraft,
    time::Timestamp,
};
use service::{
    Tokens, notices, open_submission,
    ports::{MailError, Store, StoreError, Submission},
    vault::Vault,
};

/// A way to send mail, opened.
pub(super) struct WayOut {
    pub(super) smtp: SmtpDraft,
    pub(super) submission: Submission,
}

/// Why there is no way to send mail.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWay {
    #[error("no SMTP configuration is enabled and the default")]
    Unset,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Mail(#[from] MailError),
}

/// The store as the watchman sees it: narrow, so that tests can play it.
#[async_trait]
pub(super) trait Board: Send + Sync {
    async fn mark_late(&self, now: Timestamp) -> Result<u64, StoreError>;
    async fn causes(&self) -> Result<Vec<Cause>, StoreError>;
    async fn update(&self, causes: &[Cause], now: Timestamp) -> Result<(), StoreError>;
    async fn notices(&self) -> Result<Notices, StoreError>;
    async fn take(&self, opened_before: Timestamp, now: Timestamp) -> Result<Option<Incident>, StoreError>;
    async fn record(&self, id: IncidentId, detail: &str) -> Result<(), StoreError>;
    async fn way_out(&self) -> Result<WayOut, NoWay>;
}

/// The real one.
pub(super) struct Kept {
    pub(super) store: Arc<dyn Store>,
    pub(super) vault: Arc<Vault>,
    pub(super) tokens: Tokens,
}

#[async_trait]
impl Board for Kept {
    async fn mark_late(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.store.mark_late(now).await
    }

    async fn causes(&self) -> Result<Vec<Cause>, StoreError> {
        Ok(causes(self.store.ailing().await?))
    }

    async fn update(&self, causes: &[Cause], now: Timestamp) -> Result<(), StoreError> {
        self.store.update_incidents(causes, now).await
    }

    async fn notices(&self) -> Result<Notices, StoreError> {
        notices(&*self.store).await
    }

    async fn take(&self, opened_before: Timestamp, now: Timestamp) -> Result<Option<Incident>, StoreError> {
        self.store.take_untold(opened_before, now).await
    }

    async fn record(&self, id: IncidentId, detail: &str) -> Result<(), StoreError> {
        self.store.record_told(id, detail).await
    }

    async fn way_out(&self) -> Result<WayOut, NoWay> {
        let smtp = self.store.default_smtp().await?.ok_or(NoWay::Unset)?;
        let submission = open_submission(&*self.store, &self.vault, &self.tokens, &smtp).await?;
        Ok(WayOut { smtp: smtp.draft, submission })
    }
}
