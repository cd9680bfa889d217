//! What is shown of the ledger: messages that could not be fetched, and what was or will be deleted from a server.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{CheckRunId, MessageId, RemoteId},
    time::Timestamp,
};

/// Why a message that is on the server is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleState {
    /// Failed, and is tried again with the next check.
    Retried,
    /// Failed so often that it is left alone until somebody asks.
    Quarantined,
    /// Larger than is taken.
    TooLarge,
}

impl TroubleState {
    /// As the ledger writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "listed",
            Self::Quarantined => "quarantined",
            Self::TooLarge => "too_large",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Retried, Self::Quarantined, Self::TooLarge].into_iter().find(|it| it.as_str() == text)
    }
}

/// A message that could not be fetched. It stays on the server, and in nobody's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub id: RemoteId,
    /// Its name on the server: `UID 7 (UIDVALIDITY 3)`, or the UIDL.
    pub name: String,
    /// Bytes, as the server says.
    pub size: u64,
    pub state: TroubleState,
    pub n_attempts: u32,
    /// Holds what a server said: hostile until escaped.
    pub reason: String,
    pub listed_at: Timestamp,
    pub failed_at: Option<Timestamp>,
    /// Whether the beginning of it was kept.
    pub has_sample: bool,
}

/// How it is known that a message is gone from its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletionProof {
    /// The server confirmed the deletion.
    Confirmed,
    /// The connection was lost before the answer; the next listing did not have it.
    Reconciled,
}

impl DeletionProof {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Reconciled => "reconciled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Confirmed, Self::Reconciled].into_iter().find(|it| it.as_str() == text)
    }
}

/// The receipt of a deletion on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub id: RemoteId,
    /// As in [`Trouble::name`].
    pub name: String,
    /// The copy that is kept here.
    pub message_id: Option<MessageId>,
    pub subject: String,
    pub size: u64,
    /// BLAKE3 of the bytes that are kept here, in hexadecimal.
    pub hash: String,
    pub stored_at: Option<Timestamp>,
    pub asked_at: Option<Timestamp>,
    pub deleted_at: Timestamp,
    pub proof: DeletionProof,
    pub run: Option<CheckRunId>,
}

/// A message that one of the next checks deletes from the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDeletion {
    pub id: RemoteId,
    pub name: String,
    pub message_id: MessageId,
    pub subject: String,
    pub size: u64,
    pub stored_at: Timestamp,
    /// Not before.
    pub due_at: Timestamp,
}
