//! Rows of the ledger as the database has them, and the names of messages in columns.

use std::fmt::Write as _;

use domain::{
    ids::{CheckRunId, MessageId, RemoteId},
    ledger::{Deletion, DeletionProof, PlannedDeletion, Trouble, TroubleState},
    time::Timestamp,
};
use service::ports::{KnownRemote, RemoteKey, RemoteState, StoreError};

use crate::record::count;

/// A name as its columns have it: UIDVALIDITY, UID, UIDL. One that the server did not give stands among the UIDLs, behind a
/// space, which no UIDL has (RFC 1939 section 7).
pub(crate) fn columns(key: &RemoteKey) -> (Option<i64>, Option<i64>, Option<String>) {
    match key {
        RemoteKey::Uid { uid_validity, uid } => (Some(i64::from(*uid_validity)), Some(i64::from(*uid)), None),
        RemoteKey::Uidl(uidl) => (None, None, Some(uidl.trim_start_matches(' ').to_owned())),
        RemoteKey::Content { hash, nth } => (None, None, Some(format!(" {hash} {nth}"))),
    }
}

fn key(uid_validity: Option<i64>, uid: Option<i64>, uidl: Option<String>) -> Option<RemoteKey> {
    match (uid_validity, uid, uidl) {
        (Some(uid_validity), Some(uid), None) => {
            Some(RemoteKey::Uid { uid_validity: u32::try_from(uid_validity).ok()?, uid: u32::try_from(uid).ok()? })
        }
        (None, None, Some(uidl)) => match uidl.strip_prefix(' ') {
            None => Some(RemoteKey::Uidl(uidl)),
            Some(content) => {
                let (hash, nth) = content.split_once(' ')?;
                Some(RemoteKey::Content { hash: hash.to_owned(), nth: nth.parse().ok()? })
            }
        },
        _ => None,
    }
}

/// For people.
fn name(uid_validity: Option<i64>, uid: Option<i64>, uidl: Option<&str>) -> String {
    match (uid_validity, uid, uidl) {
        (Some(uid_validity), Some(uid), _) => format!("UID {uid} (UIDVALIDITY {uid_validity})"),
        (_, _, Some(uidl)) if uidl.starts_with(' ') => format!("no UIDL, content{uidl}"),
        (_, _, Some(uidl)) => format!("UIDL {uidl}"),
        _ => String::new(),
    }
}

pub(crate) fn parse_state(text: &str) -> Option<RemoteState> {
    Some(match text {
        "listed" => RemoteState::Listed,
        "stored" => RemoteState::Stored,
        "too_large" => RemoteState::TooLarge,
        "quarantined" => RemoteState::Quarantined,
        "deleted" => RemoteState::Deleted,
        "renamed" => RemoteState::Renamed,
        _ => return None,
    })
}

fn corrupt(row: i64) -> impl Fn(&'static str) -> StoreError {
    move |column| StoreError::Corrupt { table: "remotes", column, row }
}

pub(crate) struct RemoteRecord {
    pub(crate) id: i64,
    pub(crate) uid_validity: Option<i64>,
    pub(crate) uid: Option<i64>,
    pub(crate) uidl: Option<String>,
    pub(crate) state: String,
    pub(crate) n_attempts: i64,
    pub(crate) missing_at: Option<i64>,
    pub(crate) delete_asked_at: Option<i64>,
    pub(crate) staged: i64,
}

impl TryFrom<RemoteRecord> for KnownRemote {
    type Error = StoreError;

    fn try_from(record: RemoteRecord) -> Result<Self, StoreError> {
        let corrupt = corrupt(record.id);
        Ok(Self {
            key: key(record.uid_validity, record.uid, record.uidl).ok_or_else(|| corrupt("uid"))?,
            state: parse_state(&record.state).ok_or_else(|| corrupt("state"))?,
            n_attempts: u32::try_from(record.n_attempts).map_err(|_| corrupt("n_attempts"))?,
            is_missing: record.missing_at.is_some(),
            is_delete_asked: record.delete_asked_at.is_some(),
            staged: count(record.staged),
        })
    }
}

pub(crate) struct TroubleRecord {
    pub(crate) id: i64,
    pub(crate) uid_validity: Option<i64>,
    pub(crate) uid: Option<i64>,
    pub(crate) uidl: Option<String>,
    pub(crate) state: String,
    pub(crate) size: i64,
    pub(crate) n_attempts: i64,
    pub(crate) reason: Option<String>,
    pub(crate) listed_at: i64,
    pub(crate) failed_at: Option<i64>,
    pub(crate) has_sample: bool,
}

impl TryFrom<TroubleRecord> for Trouble {
    type Error = StoreError;

    fn try_from(record: TroubleRecord) -> Result<Self, StoreError> {
        let corrupt = corrupt(record.id);
        Ok(Self {
            id: RemoteId(record.id),
            name: name(record.uid_validity, record.uid, record.uidl.as_deref()),
            size: count(record.size),
            state: TroubleState::parse(&record.state).ok_or_else(|| corrupt("state"))?,
            n_attempts: u32::try_from(record.n_attempts).map_err(|_| corrupt("n_attempts"))?,
            reason: record.reason.unwrap_or_default(),
            listed_at: Timestamp(record.listed_at),
            failed_at: record.failed_at.map(Timestamp),
            has_sample: record.has_sample,
        })
    }
}

pub(crate) struct PlannedRecord {
    pub(crate) id: i64,
    pub(crate) uid_validity: Option<i64>,
    pub(crate) uid: Option<i64>,
    pub(crate) uidl: Option<String>,
    pub(crate) message_id: i64,
    pub(crate) subject: String,
    pub(crate) size: i64,
    pub(crate) received_at: i64,
    pub(crate) due_at: i64,
}

impl TryFrom<PlannedRecord> for PlannedDeletion {
    type Error = StoreError;

    fn try_from(record: PlannedRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: RemoteId(record.id),
            name: name(record.uid_validity, record.uid, record.uidl.as_deref()),
            message_id: MessageId(record.message_id),
            subject: record.subject,
            size: count(record.size),
            stored_at: Timestamp(record.received_at),
            due_at: Timestamp(record.due_at),
        })
    }
}

pub(crate) struct DeletionRecord {
    pub(crate) id: i64,
    pub(crate) uid_validity: Option<i64>,
    pub(crate) uid: Option<i64>,
    pub(crate) uidl: Option<String>,
    pub(crate) message_id: Option<i64>,
    pub(crate) size: i64,
    pub(crate) delete_asked_at: Option<i64>,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) deletion_proof: Option<String>,
    pub(crate) deleted_by: Option<i64>,
    pub(crate) subject: Option<String>,
    pub(crate) received_at: Option<i64>,
    pub(crate) content_hash: Option<Vec<u8>>,
}

impl TryFrom<DeletionRecord> for Deletion {
    type Error = StoreError;

    fn try_from(record: DeletionRecord) -> Result<Self, StoreError> {
        let corrupt = corrupt(record.id);
        let proof = record.deletion_proof.as_deref().and_then(DeletionProof::parse);
        Ok(Self {
            id: RemoteId(record.id),
            name: name(record.uid_validity, record.uid, record.uidl.as_deref()),
            message_id: record.message_id.map(MessageId),
            subject: record.subject.unwrap_or_default(),
            size: count(record.size),
            hash: hexadecimal(&record.content_hash.unwrap_or_default()),
            stored_at: record.received_at.map(Timestamp),
            asked_at: record.delete_asked_at.map(Timestamp),
            deleted_at: Timestamp(record.deleted_at.ok_or_else(|| corrupt("deleted_at"))?),
            proof: proof.ok_or_else(|| corrupt("deletion_proof"))?,
            run: record.deleted_by.map(CheckRunId),
        })
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a text does not fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}
