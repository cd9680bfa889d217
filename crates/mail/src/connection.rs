//! The test of a connection: the way of a check as far as the mailbox, looked at and left as it was.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::account::Protocol;
use service::ports::{ConnectionProbe, Depth, MailError, StageLog, Visit};

use crate::{Mail, imap, pop3, stages::Stages};

/// Somebody waits for the answer.
const STEP: Duration = Duration::from_secs(20);

#[async_trait]
impl ConnectionProbe for Mail {
    async fn probe_connection(&self, visit: &Visit, depth: Depth, log: Arc<dyn StageLog>) -> Result<(), MailError> {
        let stages = Stages::probing(log, self.settings.step_timeout.min(STEP));
        let (wire, is_greeted) = self.come_to(visit, &stages).await?;
        match visit.protocol {
            Protocol::Imap => imap::look(wire, is_greeted, visit, depth, &stages).await,
            Protocol::Pop3 => pop3::look(wire, is_greeted, visit, depth, &stages).await,
        }
    }
}
