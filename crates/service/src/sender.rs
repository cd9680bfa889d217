//! Mail goes out with the credential that is good now, and what the server thinks of that is kept.

use std::sync::Arc;

use async_trait::async_trait;
use domain::check::ErrorKind;

use crate::{
    note_accepted,
    ports::{Clock, MailSender, Outbox, SendError, StageLog, Store, Submission},
    tokens::Tokens,
};

/// A sender of mail that gets another token where one was refused, and notes where a credential was accepted.
pub struct CredentialedSender {
    pub inner: Arc<dyn MailSender>,
    pub store: Arc<dyn Store>,
    pub tokens: Tokens,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl MailSender for CredentialedSender {
    async fn open(&self, submission: &Submission, log: Arc<dyn StageLog>) -> Result<Box<dyn Outbox>, SendError> {
        let mut opened = self.inner.open(submission, Arc::clone(&log)).await;
        let Some(id) = submission.credential_id else { return opened };
        // A token can be revoked before its time: whether that is all, a new one tells.
        if let Some((name, token)) = submission.credential.as_ref().filter(|it| it.1.is_token())
            && opened.as_ref().is_err_and(is_refusal)
        {
            let fresh = self.tokens.instead_of(id, token).await.map_err(SendError::before)?;
            let submission = Submission { credential: Some((name.clone(), fresh)), ..submission.clone() };
            opened = self.inner.open(&submission, log).await;
        }
        if opened.is_ok() {
            note_accepted(&*self.store, id, self.clock.now()).await;
        }
        opened
    }
}

fn is_refusal(error: &SendError) -> bool {
    matches!(error.error.kind, ErrorKind::Authentication | ErrorKind::Expired)
}
