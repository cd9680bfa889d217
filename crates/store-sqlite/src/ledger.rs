//! The ledger and the messages on SQLite.

use std::collections::HashSet;

use async_trait::async_trait;
use domain::{
    audit::AuditEntry,
    ids::{AccountId, CheckRunId, MessageId, RemoteId, UserId},
    ledger::{Deletion, DeletionProof, PlannedDeletion, Trouble},
    message::{MessageIndex, MessageQuery, MessageRow},
    page::{Page, PageRequest},
    text::fold,
    time::Timestamp,
};
use service::ports::{
    Arrival, Assembled, FailedFetch, Known, KnownRemote, Lease, LedgerStore, Listed, MailboxState, Part, RemoteKey,
    RemoteState, StoreError, Stored, Verdict, WorkLeft,
};

use crate::{
    SqliteStore, Tx,
    arrivals::{self, Packed},
    audit,
    checks::check_fence,
    error::backend,
    record::{clean, count, pattern, signed},
    remote::{DeletionRecord, PlannedRecord, RemoteRecord, TroubleRecord, columns},
};

/// Zstandard's fastest ordinary level: mail shrinks almost as much, and the network is not waited for.
const COMPRESSION: i32 = 1;
/// Names that one statement looks up.
const NAMES_AT_ONCE: usize = 2_000;

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
    async fn work_left(&self, lease: Lease) -> Result<WorkLeft, StoreError> {
        let found = sqlx::query!(
            r#"SELECT mailbox_messages, mailbox_uid_validity, mailbox_uid_next,
                 (SELECT COUNT(*) FROM remotes WHERE account_id = $1 AND epoch = $2 AND state = 'listed'
                      AND missing_at IS NULL) AS "n_listed!",
                 (SELECT COUNT(*) FROM remotes
                  WHERE account_id = $1 AND epoch = $2 AND state = 'stored' AND delete_wanted_at IS NOT NULL) AS "n_to_delete!"
             FROM accounts WHERE id = $1"#,
            lease.account_id.0,
            lease.epoch
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?
        .ok_or(StoreError::NotFound)?;
        let mailbox = found.mailbox_messages.map(|n_messages| MailboxState {
            n_messages: count(n_messages),
            uid_validity: found.mailbox_uid_validity.and_then(|it| u32::try_from(it).ok()),
            uid_next: found.mailbox_uid_next.and_then(|it| u32::try_from(it).ok()),
        });
        Ok(WorkLeft { n_listed: count(found.n_listed), n_to_delete: count(found.n_to_delete), mailbox })
    }

    async fn known_remotes(&self, lease: Lease, listed: &[RemoteKey]) -> Result<Known, StoreError> {
        let present = sqlx::query_as!(
            RemoteRecord,
            "SELECT id, uid_validity, uid, uidl, state, n_attempts, missing_at, delete_asked_at, staged
             FROM remotes
             WHERE account_id = $1 AND epoch = $2 AND missing_at IS NULL AND state NOT IN ('deleted', 'renamed')
             ORDER BY id",
            lease.account_id.0,
            lease.epoch
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let mut rows = present.into_iter().map(KnownRemote::try_from).collect::<Result<Vec<_>, _>>()?;
        let is_new = rows.is_empty() && {
            let any = sqlx::query_scalar!(
                "SELECT id FROM remotes WHERE account_id = $1 AND epoch = $2 LIMIT 1",
                lease.account_id.0,
                lease.epoch
            );
            any.fetch_optional(self.reader()).await.map_err(backend)?.is_none()
        };
        let others: Vec<_> = {
            let present: HashSet<_> = rows.iter().map(|it| &it.key).collect();
            listed.iter().filter(|it| !present.contains(it)).collect()
        };
        // Of a mailbox that is new no name is known.
        for names in others.chunks(NAMES_AT_ONCE).filter(|_| !is_new) {
            let found = arrivals::known(self.reader(), lease, names).await?;
            rows.extend(found.into_iter().map(KnownRemote::try_from).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Known { rows, is_new })
    }

    async fn add_listed(&self, lease: Lease, listed: &[Listed], at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        arrivals::add_listed(&mut tx, lease, listed, at).await?;
        tx.commit().await.map_err(backend)
    }

    async fn note_missing(
        &self,
        lease: Lease,
        missing: &[RemoteKey],
        back: &[RemoteKey],
        may_be_renamed: bool,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let ids = ids(&mut tx, lease, missing).await?;
        sqlx::query!(
            "UPDATE remotes SET missing_at = $1, may_be_renamed = $2
             WHERE missing_at IS NULL AND id IN (SELECT value FROM json_each($3))",
            at.0,
            may_be_renamed,
            ids
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let ids = self::ids(&mut tx, lease, back).await?;
        sqlx::query!(
            "UPDATE remotes SET missing_at = NULL, may_be_renamed = FALSE WHERE id IN (SELECT value FROM json_each($1))",
            ids
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "UPDATE remotes SET missing_at = $1, may_be_renamed = TRUE
             WHERE account_id = $2 AND epoch < $3 AND state = 'stored' AND missing_at IS NULL",
            at.0,
            lease.account_id.0,
            lease.epoch
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let n_renamable = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "n!" FROM remotes
             WHERE account_id = $1 AND may_be_renamed AND state = 'stored' AND delete_asked_at IS NULL"#,
            lease.account_id.0
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)?;
        Ok(count(n_renamable))
    }

    async fn settle_missing(&self, lease: Lease) -> Result<(), StoreError> {
        // After most checks there is nothing to settle: that is found out without waiting for the writers.
        let is_open = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT 1 FROM remotes WHERE account_id = $1 AND may_be_renamed) OR NOT EXISTS
                 (SELECT 1 FROM accounts WHERE id = $1 AND fence = $2 AND lease_owner IS NOT NULL) AS "is_open!: bool""#,
            lease.account_id.0,
            lease.fence
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        if !is_open {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        sqlx::query!(
            "UPDATE remotes SET may_be_renamed = FALSE WHERE account_id = $1 AND may_be_renamed",
            lease.account_id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn store_arrivals(
        &self,
        lease: Lease,
        arrivals: Vec<Arrival>,
        delete_wanted: bool,
        at: Timestamp,
    ) -> Result<Stored, StoreError> {
        // Compressing takes longer than writing: it is done before the one writer is held up.
        let packed = tokio::task::spawn_blocking(move || pack(arrivals)).await;
        let packed = packed.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let packed = packed.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let delete_wanted = delete_wanted && !keeps_copy(&mut tx, lease).await?;
        let mut stored = Stored::default();
        if arrivals::may_be_renamed(&mut tx, lease).await? {
            for (message, body) in packed {
                stored += store_one(&mut tx, lease, &message, Some(&body), delete_wanted, at).await?;
            }
        } else {
            stored += arrivals::store(&mut tx, lease, packed, delete_wanted, at).await?;
        }
        tx.commit().await.map_err(backend)?;
        Ok(stored)
    }

    async fn stage_part(&self, lease: Lease, part: Part) -> Result<(), StoreError> {
        let Part { key, offset, bytes, .. } = part;
        let length = bytes.len() as u64;
        let packed = tokio::task::spawn_blocking(move || zstd::encode_all(bytes.as_slice(), COMPRESSION)).await;
        let packed = packed.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let packed = packed.map_err(|it| StoreError::Backend(Box::new(it)))?;
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let Some((id, state)) = find_remote(&mut tx, lease, &key).await? else {
            return Err(StoreError::Gone { field: "remote" });
        };
        if state == RemoteState::Stored || state == RemoteState::Deleted {
            return Ok(());
        }
        if offset == 0 {
            sqlx::query!("DELETE FROM parts WHERE remote_id = $1", id).execute(&mut *tx).await.map_err(backend)?;
            sqlx::query!("UPDATE remotes SET staged = 0 WHERE id = $1", id).execute(&mut *tx).await.map_err(backend)?;
        }
        let grown = sqlx::query!(
            "UPDATE remotes SET staged = staged + $1 WHERE id = $2 AND staged = $3",
            signed(length),
            id,
            signed(offset)
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if grown.rows_affected() == 0 {
            return Err(StoreError::Conflict);
        }
        if length > 0 {
            sqlx::query!(
                "INSERT INTO parts (remote_id, nth, raw)
                 VALUES ($1, (SELECT COUNT(*) FROM parts WHERE remote_id = $1), $2)",
                id,
                packed
            )
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn staged_part(&self, lease: Lease, key: &RemoteKey, nth: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let (uid_validity, uid, uidl) = columns(key);
        let raw = sqlx::query_scalar!(
            "SELECT raw FROM parts WHERE nth = $1 AND remote_id =
                 (SELECT id FROM remotes WHERE account_id = $2 AND epoch = $3
                      AND ((uid_validity = $4 AND uid = $5) OR uidl = $6))",
            i64::from(nth),
            lease.account_id.0,
            lease.epoch,
            uid_validity,
            uid,
            uidl
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        match raw {
            Some(raw) => unpack(raw, "parts", lease.account_id.0).await.map(Some),
            None => Ok(None),
        }
    }

    async fn publish_staged(
        &self,
        lease: Lease,
        message: &Assembled,
        delete_wanted: bool,
        at: Timestamp,
    ) -> Result<Stored, StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let delete_wanted = delete_wanted && !keeps_copy(&mut tx, lease).await?;
        let stored = store_one(&mut tx, lease, message, None, delete_wanted, at).await?;
        tx.commit().await.map_err(backend)?;
        Ok(stored)
    }

    async fn record_verdicts(&self, lease: Lease, verdicts: &[Verdict], at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        for verdict in verdicts {
            match verdict {
                Verdict::TooLarge(key) => {
                    let Some((id, _)) = find_remote(&mut tx, lease, key).await? else { continue };
                    sqlx::query!("UPDATE remotes SET state = 'too_large' WHERE id = $1 AND state = 'listed'", id)
                }
                Verdict::Failed { failed: FailedFetch { key, reason, sample }, quarantine_after } => {
                    let Some((id, _)) = find_remote(&mut tx, lease, key).await? else { continue };
                    sqlx::query!(
                        "UPDATE remotes
                         SET n_attempts = n_attempts + 1, reason = $2, failed_at = $3,
                             sample = COALESCE($4, sample),
                             state = CASE WHEN n_attempts + 1 >= $5 THEN 'quarantined' ELSE 'listed' END
                         WHERE id = $1 AND state = 'listed'",
                        id,
                        clean(reason),
                        at.0,
                        Some(sample).filter(|it| !it.is_empty()),
                        i64::from(*quarantine_after)
                    )
                }
            }
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        }
        tx.commit().await.map_err(backend)
    }

    async fn deletable(&self, lease: Lease, wanted_before: Timestamp) -> Result<Vec<RemoteKey>, StoreError> {
        let records = sqlx::query_as!(
            RemoteRecord,
            "SELECT id, uid_validity, uid, uidl, state, n_attempts, missing_at, delete_asked_at, staged
             FROM remotes
             WHERE account_id = $1 AND epoch = $2 AND state = 'stored' AND delete_wanted_at <= $3 AND missing_at IS NULL
                 AND message_id IS NOT NULL AND (uidl IS NULL OR uidl NOT LIKE ' %')
                 AND EXISTS (SELECT 1 FROM accounts WHERE id = $1 AND NOT keep_copy)
             ORDER BY id",
            lease.account_id.0,
            lease.epoch,
            wanted_before.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        records.into_iter().map(|it| KnownRemote::try_from(it).map(|it| it.key)).collect()
    }

    async fn record_delete_asked(&self, lease: Lease, keys: &[RemoteKey], at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let ids = ids(&mut tx, lease, keys).await?;
        sqlx::query!(
            "UPDATE remotes SET delete_asked_at = $1
             WHERE state = 'stored' AND id IN (SELECT value FROM json_each($2))",
            at.0,
            ids
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn record_deleted(
        &self,
        lease: Lease,
        keys: &[RemoteKey],
        proof: DeletionProof,
        run: CheckRunId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_fence(&mut tx, lease).await?;
        let ids = ids(&mut tx, lease, keys).await?;
        sqlx::query!(
            "UPDATE remotes
             SET state = 'deleted', deleted_at = $1, deletion_proof = $2, deleted_by = $3, may_be_renamed = FALSE
             WHERE state = 'stored' AND id IN (SELECT value FROM json_each($4))",
            at.0,
            proof.as_str(),
            run.0,
            ids
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        tx.commit().await.map_err(backend)
    }

    async fn list_trouble(&self, account: AccountId, page: PageRequest) -> Result<Page<Trouble>, StoreError> {
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM remotes
             WHERE account_id = $1 AND missing_at IS NULL
                 AND (state IN ('quarantined', 'too_large') OR (state = 'listed' AND n_attempts > 0))"#,
            account.0
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            TroubleRecord,
            r#"SELECT id, uid_validity, uid, uidl, state, size, n_attempts, reason, listed_at, failed_at,
                 sample IS NOT NULL AS "has_sample!: bool"
             FROM remotes
             WHERE account_id = $1 AND missing_at IS NULL
                 AND (state IN ('quarantined', 'too_large') OR (state = 'listed' AND n_attempts > 0))
             ORDER BY id DESC
             LIMIT $2 OFFSET $3"#,
            account.0,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let items = records.into_iter().map(Trouble::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(items, count(total), page))
    }

    async fn trouble_sample(
        &self,
        account: AccountId,
        id: RemoteId,
        audit: &[AuditEntry],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut tx = self.begin().await?;
        let sample =
            sqlx::query_scalar!("SELECT sample FROM remotes WHERE id = $1 AND account_id = $2", id.0, account.0)
                .fetch_optional(&mut *tx)
                .await
                .map_err(backend)?
                .flatten();
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(sample)
    }

    async fn retry_trouble(
        &self,
        account: AccountId,
        id: Option<RemoteId>,
        audit: &[AuditEntry],
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let retried = sqlx::query!(
            "UPDATE remotes SET state = 'listed', n_attempts = 0
             WHERE account_id = $1 AND (CAST($2 AS BIGINT) IS NULL OR id = $2)
                 AND (state IN ('quarantined', 'too_large') OR (state = 'listed' AND n_attempts > 0))",
            account.0,
            id.map(|it| it.0)
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(retried.rows_affected())
    }

    async fn list_planned_deletions(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<PlannedDeletion>, StoreError> {
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM remotes JOIN accounts ON accounts.id = remotes.account_id
             WHERE remotes.account_id = $1 AND remotes.epoch = accounts.epoch AND NOT accounts.keep_copy
                 AND remotes.state = 'stored' AND remotes.delete_wanted_at IS NOT NULL AND remotes.missing_at IS NULL
                 AND remotes.message_id IS NOT NULL AND (remotes.uidl IS NULL OR remotes.uidl NOT LIKE ' %')"#,
            account.0
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            PlannedRecord,
            r#"SELECT remotes.id, remotes.uid_validity, remotes.uid, remotes.uidl, messages.id AS message_id,
                 messages.subject, messages.size, messages.received_at,
                 remotes.delete_wanted_at + accounts.hold_days * 86400000000 AS "due_at!: i64"
             FROM remotes
             JOIN accounts ON accounts.id = remotes.account_id
             JOIN messages ON messages.id = remotes.message_id
             WHERE remotes.account_id = $1 AND remotes.epoch = accounts.epoch AND NOT accounts.keep_copy
                 AND remotes.state = 'stored' AND remotes.delete_wanted_at IS NOT NULL AND remotes.missing_at IS NULL
                 AND (remotes.uidl IS NULL OR remotes.uidl NOT LIKE ' %')
             ORDER BY remotes.delete_wanted_at, remotes.id
             LIMIT $2 OFFSET $3"#,
            account.0,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let items = records.into_iter().map(PlannedDeletion::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(items, count(total), page))
    }

    async fn list_deletions(&self, account: AccountId, page: PageRequest) -> Result<Page<Deletion>, StoreError> {
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM remotes WHERE account_id = $1 AND state = 'deleted'"#,
            account.0
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            DeletionRecord,
            r#"SELECT remotes.id, remotes.uid_validity, remotes.uid, remotes.uidl, remotes.message_id, remotes.size,
                 remotes.delete_asked_at, remotes.deleted_at, remotes.deletion_proof, remotes.deleted_by,
                 messages.subject AS "subject?", messages.received_at AS "received_at?",
                 messages.content_hash AS "content_hash?"
             FROM remotes LEFT JOIN messages ON messages.id = remotes.message_id
             WHERE remotes.account_id = $1 AND remotes.state = 'deleted'
             ORDER BY remotes.deleted_at DESC, remotes.id DESC
             LIMIT $2 OFFSET $3"#,
            account.0,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let items = records.into_iter().map(Deletion::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(items, count(total), page))
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

    async fn raw_part(&self, id: MessageId, nth: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let raw = sqlx::query_scalar!(
            r#"SELECT raw AS "raw!" FROM bodies WHERE message_id = $1 AND CAST($2 AS BIGINT) = 0
             UNION ALL
             SELECT raw FROM parts WHERE message_id = $1 AND nth = $2"#,
            id.0,
            i64::from(nth)
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        match raw {
            Some(raw) => unpack(raw, "bodies", id.0).await.map(Some),
            None => Ok(None),
        }
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

/// The arrivals without their bytes, and these compressed.
fn pack(arrivals: Vec<Arrival>) -> Result<Vec<Packed>, std::io::Error> {
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION)?;
    let mut packed = Vec::with_capacity(arrivals.len());
    for Arrival { key, raw, hash, index } in arrivals {
        let body = compressor.compress(&raw)?;
        packed.push((Assembled { key, size: raw.len() as u64, hash, index }, body));
    }
    Ok(packed)
}

async fn unpack(raw: Vec<u8>, table: &'static str, row: i64) -> Result<Vec<u8>, StoreError> {
    let raw = tokio::task::spawn_blocking(move || zstd::decode_all(raw.as_slice())).await;
    let raw = raw.map_err(|it| StoreError::Backend(Box::new(it)))?;
    raw.map_err(|_| StoreError::Corrupt { table, column: "raw", row })
}

/// Whether the account keeps copies now: it may have been told to since the check began.
async fn keeps_copy(tx: &mut Tx, lease: Lease) -> Result<bool, StoreError> {
    sqlx::query_scalar!(r#"SELECT keep_copy AS "keep_copy: bool" FROM accounts WHERE id = $1"#, lease.account_id.0)
        .fetch_one(&mut **tx)
        .await
        .map_err(backend)
}

/// Stores what is not stored yet: a whole message with its body, or the parts that were staged.
async fn store_one(
    tx: &mut Tx,
    lease: Lease,
    message: &Assembled,
    body: Option<&[u8]>,
    delete_wanted: bool,
    at: Timestamp,
) -> Result<Stored, StoreError> {
    let Some((remote, state)) = find_remote(tx, lease, &message.key).await? else {
        return Err(StoreError::Gone { field: "remote" });
    };
    if matches!(state, RemoteState::Stored | RemoteState::Deleted | RemoteState::Renamed) {
        return Ok(Stored::default());
    }
    let renamed = take_renamed(tx, lease, &message.hash).await?;
    let (id, delete_wanted_at) = match renamed {
        Some(renamed) => {
            sqlx::query!("DELETE FROM parts WHERE remote_id = $1", remote).execute(&mut **tx).await.map_err(backend)?;
            renamed
        }
        None => (add_message(tx, lease, remote, message, body, at).await?, delete_wanted.then_some(at.0)),
    };
    sqlx::query!(
        "UPDATE remotes
         SET state = 'stored', message_id = $1, delete_wanted_at = $2, reason = NULL, sample = NULL, staged = 0,
             missing_at = NULL, may_be_renamed = FALSE
         WHERE id = $3",
        id,
        delete_wanted_at,
        remote
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    let n = |it: bool| u64::from(it);
    Ok(Stored { n_new: n(renamed.is_none()), n_renamed: n(renamed.is_some()) })
}

/// The stored message that equals this one and may have been renamed, taken from the row that had it, and since when that was
/// to be deleted: another name makes nobody's copy deletable that was not before.
async fn take_renamed(tx: &mut Tx, lease: Lease, hash: &[u8]) -> Result<Option<(i64, Option<i64>)>, StoreError> {
    let found = sqlx::query!(
        r#"SELECT remotes.id, remotes.message_id AS "message_id!", remotes.delete_wanted_at
         FROM remotes JOIN messages ON messages.id = remotes.message_id
         WHERE remotes.account_id = $1 AND remotes.may_be_renamed AND remotes.state = 'stored'
             AND remotes.delete_asked_at IS NULL AND messages.content_hash = $2
         ORDER BY remotes.id LIMIT 1"#,
        lease.account_id.0,
        hash
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(backend)?;
    let Some(found) = found else { return Ok(None) };
    sqlx::query!(
        "UPDATE remotes SET state = 'renamed', message_id = NULL, may_be_renamed = FALSE WHERE id = $1",
        found.id
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(Some((found.message_id, found.delete_wanted_at)))
}

async fn add_message(
    tx: &mut Tx,
    lease: Lease,
    remote: i64,
    message: &Assembled,
    body: Option<&[u8]>,
    at: Timestamp,
) -> Result<i64, StoreError> {
    let MessageIndex { subject, from, date, n_attachments, message_id, is_unreadable } = &message.index;
    let id = sqlx::query_scalar!(
        r#"INSERT INTO messages (account_id, subject, sender, sent_at, received_at, size, n_attachments,
             message_id_field, is_unreadable, search_folded, content_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         RETURNING id AS "id!""#,
        lease.account_id.0,
        clean(subject),
        clean(from),
        date.map(|it| it.0),
        at.0,
        signed(message.size),
        i64::from(*n_attachments),
        clean(message_id),
        is_unreadable,
        fold(&clean(&format!("{from} {subject}"))),
        message.hash.as_slice()
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(backend)?;
    match body {
        Some(body) => sqlx::query!("INSERT INTO bodies (message_id, raw) VALUES ($1, $2)", id, body),
        None => sqlx::query!("UPDATE parts SET message_id = $1 WHERE remote_id = $2", id, remote),
    }
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(id)
}

async fn find_remote(tx: &mut Tx, lease: Lease, key: &RemoteKey) -> Result<Option<(i64, RemoteState)>, StoreError> {
    Ok(arrivals::find_remotes(tx, lease, &[key]).await?.into_iter().next().flatten())
}

/// The rows with these names, as a statement takes many of them.
async fn ids(tx: &mut Tx, lease: Lease, keys: &[RemoteKey]) -> Result<String, StoreError> {
    let keys: Vec<_> = keys.iter().collect();
    let found = arrivals::find_remotes(tx, lease, &keys).await?;
    let ids: Vec<i64> = found.into_iter().flatten().map(|it| it.0).collect();
    serde_json::to_string(&ids).map_err(|it| StoreError::Backend(Box::new(it)))
}
