//! A check: one visit to an account, and the record that it leaves.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{AccountId, CheckRunId},
    time::Timestamp,
};

/// The steps of a check, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Resolve,
    Connector,
    Connect,
    Tls,
    Greeting,
    Authenticate,
    Select,
    List,
    Fetch,
    Store,
    Delete,
    /// A mail on its way out.
    Send,
}

/// Why a check failed; each kind has its own policy and its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    Resolve,
    Egress,
    Refused,
    Timeout,
    Connector,
    Tls,
    Certificate,
    Protocol,
    Authentication,
    /// The credential was right and has expired: a token, a password past its day.
    Expired,
    Mailbox,
    Throttled,
    Storage,
    Internal,
}

impl ErrorKind {
    pub const ALL: [Self; 14] = [
        Self::Resolve,
        Self::Egress,
        Self::Refused,
        Self::Timeout,
        Self::Connector,
        Self::Tls,
        Self::Certificate,
        Self::Protocol,
        Self::Authentication,
        Self::Expired,
        Self::Mailbox,
        Self::Throttled,
        Self::Storage,
        Self::Internal,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Egress => "egress",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Connector => "connector",
            Self::Tls => "tls",
            Self::Certificate => "certificate",
            Self::Protocol => "protocol",
            Self::Authentication => "authentication",
            Self::Expired => "expired",
            Self::Mailbox => "mailbox",
            Self::Throttled => "throttled",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Running,
    Ok,
    /// Something arrived, something else failed.
    Partial,
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Ok, Self::Partial, Self::Failed].into_iter().find(|it| it.as_str() == text)
    }
}

/// What one stage did and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageRecord {
    pub stage: Stage,
    pub ok: bool,
    pub ms: u64,
    pub detail: String,
}

/// An error of a check. The message is for administrators: no secret is in it, and what a server said is marked as such.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckError {
    pub kind: ErrorKind,
    pub message: String,
}

/// The record of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRun {
    pub id: CheckRunId,
    pub account_id: AccountId,
    /// When it was due; `None` for one that was asked for.
    pub due_at: Option<Timestamp>,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub outcome: Outcome,
    pub new_messages: u64,
    pub deleted_messages: u64,
    pub stages: Vec<StageRecord>,
    pub error: Option<CheckError>,
    /// Whether the dialogue with the server was taken down.
    pub has_transcript: bool,
}
