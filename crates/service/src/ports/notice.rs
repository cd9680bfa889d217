//! Telling people, and their programs, that accounts are late or failing.

use async_trait::async_trait;
use domain::notices::{Notices, Webhook};

use super::MailError;

/// Tells of incidents.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends a notice that says that it is a test, by every way that is set; answers with what came of each, in words.
    async fn test(&self, notices: &Notices) -> String;
}

/// Posts JSON to other people's servers, under the egress policy.
#[async_trait]
pub trait HookSender: Send + Sync {
    /// The status of the answer. No redirect is followed.
    async fn post(&self, hook: &Webhook, body: &[u8]) -> Result<u16, MailError>;
}
