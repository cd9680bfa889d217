//! What a schedule did each time.

use serde::{Deserialize, Serialize};

use super::Format;
use crate::{
    ids::{DeliveryId, ReportRunId, ScheduleId},
    time::Timestamp,
};

/// How a run ended, or that it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Being made or sent, or waiting for another attempt.
    Running,
    /// Every recipient's server took it.
    Sent,
    /// Nothing had changed, so nothing was sent.
    Unchanged,
    /// Some recipients have it; with others it failed or is uncertain.
    Partial,
    Failed,
}

impl RunOutcome {
    pub const ALL: [Self; 5] = [Self::Running, Self::Sent, Self::Unchanged, Self::Partial, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Sent => "sent",
            Self::Unchanged => "unchanged",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// What the deliveries of a run come to.
    pub fn of(deliveries: &[DeliveryState]) -> Self {
        let is_open = |it: &DeliveryState| matches!(it, DeliveryState::Waiting | DeliveryState::Sending);
        if deliveries.iter().any(is_open) {
            return Self::Running;
        }
        let n_sent = deliveries.iter().filter(|it| **it == DeliveryState::Sent).count();
        if n_sent == deliveries.len() {
            Self::Sent
        } else if n_sent > 0 || deliveries.contains(&DeliveryState::Uncertain) {
            Self::Partial
        } else {
            Self::Failed
        }
    }
}

/// How far the mail to one recipient has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be sent, for the first time or again.
    Waiting,
    /// Written before the message goes out: whoever finds it later cannot know whether it arrived.
    Sending,
    /// The server took it.
    Sent,
    /// The connection or the sender was lost between the message and the server's answer: sent again only by hand.
    Uncertain,
    /// Refused for good, or tried too often.
    Failed,
}

impl DeliveryState {
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Sending, Self::Sent, Self::Uncertain, Self::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Uncertain => "uncertain",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// The mail of a run to one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub recipient: String,
    pub state: DeliveryState,
    pub n_attempts: u32,
    /// While it waits.
    pub next_attempt_at: Option<Timestamp>,
    /// When its state was written.
    pub at: Timestamp,
    /// What the server answered, or why it failed.
    pub detail: String,
    /// Fixed for schedule, due time and recipient, whatever happens.
    pub message_id: String,
}

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFile {
    pub format: Format,
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// One run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRun {
    pub id: ReportRunId,
    pub schedule_id: ScheduleId,
    /// The moment that it stands for.
    pub due_at: Timestamp,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub outcome: RunOutcome,
    /// Who asked for it; `None` if its time had come.
    pub asked_by: Option<String>,
    /// Accounts in the report, once it is made.
    pub n_rows: Option<u64>,
    /// Accounts that were added, changed or removed since the last report, where that was asked for.
    pub n_changes: Option<u64>,
    /// Why it could not be made, or what is wrong with what was made.
    pub detail: String,
    pub files: Vec<ReportFile>,
    pub deliveries: Vec<Delivery>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_as_its_deliveries_did() {
        use DeliveryState::{Failed, Sending, Sent, Uncertain, Waiting};
        for (states, expected) in [
            (&[Sent, Sent][..], RunOutcome::Sent),
            (&[Sent, Failed], RunOutcome::Partial),
            (&[Uncertain], RunOutcome::Partial),
            (&[Failed, Failed], RunOutcome::Failed),
            (&[Sent, Waiting], RunOutcome::Running),
            (&[Sending, Failed], RunOutcome::Running),
        ] {
            assert_eq!(RunOutcome::of(states), expected, "{states:?}");
        }
    }
}
