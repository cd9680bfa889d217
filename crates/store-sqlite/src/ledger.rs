//! The ledger and the messages on SQLite.

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    ids::{AccountId, MessageId, UserId},
    message::{MessageQuery, MessageRow},
    page::Page,
    text::fold,
    time::Timestamp,
};
use service::ports::{Arrival, KnownRemote, Lease, LedgerStore, Listed, RemoteKey, RemoteState, StoreError, Verdict};

use crate::{
    SqliteStore, Tx, audit,
    checks::check_fence,
    error::backend,
    record::{clean, count, pattern},
};

/// Zstandard's own default: about as fast as the disk, and mail shrinks to a third.
const COMPRESSION: i32 = 3;

struct RemoteRecord {
    id: i64,
    uid_validity: Option<i64>,
    uid: Option<i64>,
    uidl: Option<String>,
    state: String,
    n_attempts: i64,
    delete_wanted_at: Option<i64>,
}

impl TryFrom<RemoteRecord> for KnownRemote {
    type Error = StoreError;

    fn try_from(record: RemoteRecord) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "remotes", column, row: record.id };
        let key = match (record.uid_validity, record.uid, record.uidl) {
            (Some(uid_validity), Some(uid), None) => RemoteKey::Uid {
                uid_validity: u32::try_from(uid_validity).map_err(|_| corrupt("uid_validity"))?,
                uid: u32::try_from(uid).map_err(|_| corrupt("uid"))?,
            },
            (None, None, Some(uidl)) => RemoteKey::Uidl(uidl),
            _ => return Err(corrupt("uid")),
        };
        let state = parse_state(&record.state).ok_or_else(|| corrupt("state"))?;
        Ok(Self {
            key,
            state,
            n_attempts: u32::try_from(record.n_attempts).map_err(|_| corrupt("n_attempts"))?,
            is_delete_wanted: state == RemoteState::Stored && record.delete_wanted_at.is_some(),
        })
    }
}

fn parse_state(text: &str) -> Option<RemoteState> {
    Some(match text {
        "listed" => RemoteState::Listed,
        "stored" => RemoteState::Stored,
        "too_large" => RemoteState::TooLarge,
        "quarantined" => RemoteState::Quarantined,
        "deleted" => RemoteState::Deleted,
        _ => return None,
    })
}

struct MessageRecord {
    id: i64,
    account_id: i64,
    subject: String,
    sender: String,
    sent_at: Option<i64>,
    received_at: i64,
    size: i64,
    n_attachments: i64,
    seen: bool,
}

impl From<MessageRecord> for MessageRow {
    fn from(record: MessageRecord) -> Self {
        Self {
            id: MessageId(record.id),
            account_id: AccountId(record.account_id),
            subject: record.subject,
            from: record.sender,
            date: record.sent_at.map(Timestamp),
            received_at: Timestamp(record.received_at),
            size: count(record.size),
            n_attachments: u32::try_from(record.n_attachments).unwrap_or(u32::MAX),
            seen: record.seen,
        }
    }
}

#[async_trait]
impl LedgerStore for SqliteStore {
    async fn known_remotes(&self, account: AccountId) -> Result<Vec<KnownRemote>, StoreError> {
        let records = sqlx::query_as!(
            RemoteRecord,
            "SELECT id, uid_validity, uid, uidl, state, n_attempts, delete_wanted_at
             FROM remotes WHERE account_id = $1 ORDER BY id",
            account.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(KnownRemote::try_from).collect()
    }

    async fn add_listed(&self, lease: Lease, listed: &[Listed], at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        for listed in listed {
            let (uid_validity, uid, uidl) = columns(&listed.key);
            sqlx::query!(
                "INSERT INTO remotes (account_id, uid_validity, uid, uidl, state, size, listed_at)
                 VALUES ($1, $2, $3, $4, 'listed', $5, $6)
                 ON CONFLICT DO NOTHING",
                lease.account_id.0,
                uid_validity,
                uid,
                uidl,
                signed(listed.size),
                at.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn store_arrivals(
        &self,
        lease: Lease,
        arrivals: Vec<Arrival>,
        delete_wanted: bool,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        // Compressing takes longer than writing: it is done before the one writer is held up.
        let packed = tokio::task::spawn_blocking(move || arrivals.into_iter().map(pack).collect::<Result<Vec<_>, _>>());
        let packed = packed.await.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let packed = packed.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let mut n_new = 0;
        for (arrival, size, body) in packed {
            n_new += u64::from(store_one(&mut tx, lease, &arrival, size, &body, delete_wanted, at).await?);
        }
        tx.commit().await.map_err(backend)?;
        Ok(n_new)
    }

    async fn record_verdict(&self, lease: Lease, key: &RemoteKey, verdict: &Verdict) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let Some((id, _)) = find_remote(&mut tx, lease.account_id, key).await? else { return Ok(()) };
        match verdict {
            Verdict::TooLarge => {
                sqlx::query!("UPDATE remotes SET state = 'too_large' WHERE id = $1 AND state = 'listed'", id)
            }
            Verdict::Failed { reason, quarantine_after } => sqlx::query!(
                "UPDATE remotes
                 SET n_attempts = n_attempts + 1, reason = $2,
                     state = CASE WHEN n_attempts + 1 >= $3 THEN 'quarantined' ELSE 'listed' END
                 WHERE id = $1 AND state = 'listed'",
                id,
                clean(reason),
                i64::from(*quarantine_after)
            ),
        }
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn record_deleted(&self, lease: Lease, keys: &[RemoteKey], at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        for key in keys {
            let Some((id, _)) = find_remote(&mut tx, lease.account_id, key).await? else { continue };
            sqlx::query!(
                "UPDATE remotes SET state = 'deleted', deleted_at = $1 WHERE id = $2 AND state = 'stored'",
                at.0,
                id
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn list_messages(
        &self,
        account: AccountId,
        reader: Option<UserId>,
        query: &MessageQuery,
    ) -> Result<Page<MessageRow>, StoreError> {
        let wanted = if query.search.is_empty() { None } else { Some(pattern(&query.search)) };
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM messages
             WHERE account_id = $1 AND (CAST($2 AS TEXT) IS NULL OR search_folded LIKE $2 ESCAPE '\')"#,
            account.0,
            wanted
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            MessageRecord,
            r#"SELECT id, account_id, subject, sender, sent_at, received_at, size, n_attachments,
                 EXISTS (SELECT 1 FROM reads WHERE message_id = messages.id AND user_id = $3) AS "seen!: bool"
             FROM messages
             WHERE account_id = $1 AND (CAST($2 AS TEXT) IS NULL OR search_folded LIKE $2 ESCAPE '\')
             ORDER BY received_at DESC, id DESC
             LIMIT $4 OFFSET $5"#,
            account.0,
            wanted,
            reader.map(|it| it.0),
            query.page.limit(),
            query.page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(Page::new(records.into_iter().map(MessageRow::from).collect(), count(total), query.page))
    }

    async fn find_message(&self, id: MessageId, reader: Option<UserId>) -> Result<Option<MessageRow>, StoreError> {
        let record = sqlx::query_as!(
            MessageRecord,
            r#"SELECT id, account_id, subject, sender, sent_at, received_at, size, n_attachments,
                 EXISTS (SELECT 1 FROM reads WHERE message_id = messages.id AND user_id = $2) AS "seen!: bool"
             FROM messages
             WHERE id = $1"#,
            id.0,
            reader.map(|it| it.0)
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        Ok(record.map(MessageRow::from))
    }

    async fn raw_message(&self, id: MessageId) -> Result<Option<Vec<u8>>, StoreError> {
        let body = sqlx::query_scalar!("SELECT raw FROM bodies WHERE message_id = $1", id.0)
            .fetch_optional(self.reader())
            .await
            .map_err(backend)?;
        let Some(body) = body else { return Ok(None) };
        let raw = tokio::task::spawn_blocking(move || zstd::decode_all(body.as_slice())).await;
        let raw = raw.map_err(|it| StoreError::Backend(Box::new(it)))?;
        raw.map(Some).map_err(|_| StoreError::Corrupt { table: "bodies", column: "raw", row: id.0 })
    }

    async fn open_message(
        &self,
        id: MessageId,
        reader: Option<UserId>,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if let Some(reader) = reader {
            sqlx::query!(
                "INSERT INTO reads (user_id, message_id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                reader.0,
                id.0,
                at.0
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }
}

/// The arrival without its bytes, their number, and the bytes compressed.
fn pack(mut arrival: Arrival) -> Result<(Arrival, u64, Vec<u8>), std::io::Error> {
    let raw = std::mem::take(&mut arrival.raw);
    let body = zstd::encode_all(raw.as_slice(), COMPRESSION)?;
    Ok((arrival, raw.len() as u64, body))
}

/// Whether the message is new: one that is stored already is left as it is.
async fn store_one(
    tx: &mut Tx,
    lease: Lease,
    arrival: &Arrival,
    size: u64,
    body: &[u8],
    delete_wanted: bool,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let Some((remote, state)) = find_remote(tx, lease.account_id, &arrival.key).await? else {
        return Err(StoreError::Gone { field: "remote" });
    };
    if matches!(parse_state(&state), Some(RemoteState::Stored | RemoteState::Deleted)) {
        return Ok(false);
    }
    let index = &arrival.index;
    let message = sqlx::query_scalar!(
        "INSERT INTO messages (account_id, subject, sender, sent_at, received_at, size, n_attachments,
             message_id_field, is_unreadable, search_folded)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         RETURNING id",
        lease.account_id.0,
        clean(&index.subject),
        clean(&index.from),
        index.date.map(|it| it.0),
        at.0,
        signed(size),
        i64::from(index.n_attachments),
        clean(&index.message_id),
        index.is_unreadable,
        fold(&clean(&format!("{} {}", index.from, index.subject)))
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(backend)?;
    sqlx::query!("INSERT INTO bodies (message_id, raw) VALUES ($1, $2)", message, body)
        .execute(&mut **tx)
        .await
        .map_err(backend)?;
    sqlx::query!(
        "UPDATE remotes SET state = 'stored', message_id = $1, delete_wanted_at = $2, reason = NULL WHERE id = $3",
        message,
        delete_wanted.then_some(at.0),
        remote
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(true)
}

async fn find_remote(tx: &mut Tx, account: AccountId, key: &RemoteKey) -> Result<Option<(i64, String)>, StoreError> {
    match key {
        RemoteKey::Uid { uid_validity, uid } => {
            let row = sqlx::query!(
                "SELECT id, state FROM remotes WHERE account_id = $1 AND uid_validity = $2 AND uid = $3",
                account.0,
                i64::from(*uid_validity),
                i64::from(*uid)
            );
            Ok(row.fetch_optional(&mut **tx).await.map_err(backend)?.map(|it| (it.id, it.state)))
        }
        RemoteKey::Uidl(uidl) => {
            let row =
                sqlx::query!("SELECT id, state FROM remotes WHERE account_id = $1 AND uidl = $2", account.0, uidl);
            Ok(row.fetch_optional(&mut **tx).await.map_err(backend)?.map(|it| (it.id, it.state)))
        }
    }
}

fn columns(key: &RemoteKey) -> (Option<i64>, Option<i64>, Option<&str>) {
    match key {
        RemoteKey::Uid { uid_validity, uid } => (Some(i64::from(*uid_validity)), Some(i64::from(*uid)), None),
        RemoteKey::Uidl(uidl) => (None, None, Some(uidl)),
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
