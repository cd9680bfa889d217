//! Many rows of the ledger in few statements: each statement costs a way to the database and back, which for a message of a few
//! kilobytes is more than all the rest of storing it.

use std::collections::HashSet;

use domain::{text::fold, time::Timestamp};
use service::ports::{Assembled, Lease, Listed, RemoteKey, RemoteState, StoreError, Stored};
use sqlx::PgPool;

use crate::{
    Tx,
    error::backend,
    record::{clean, signed},
    remote::{RemoteRecord, columns, parse_state},
};

/// A message about to be stored, without its bytes, and these compressed.
pub(crate) type Packed = (Assembled, Vec<u8>);

/// Names as a statement takes many of them: UIDVALIDITY, UID, UIDL.
type Names = (Vec<Option<i64>>, (Vec<Option<i64>>, Vec<Option<String>>));

fn names<'a>(keys: impl Iterator<Item = &'a RemoteKey>) -> Names {
    keys.map(|it| {
        let (uid_validity, uid, uidl) = columns(it);
        (uid_validity, (uid, uidl))
    })
    .unzip()
}

pub(crate) async fn add_listed(tx: &mut Tx, lease: Lease, listed: &[Listed], at: Timestamp) -> Result<(), StoreError> {
    let (uid_validities, (uids, unique_ids)) = names(listed.iter().map(|it| &it.key));
    let sizes: Vec<i64> = listed.iter().map(|it| signed(it.size)).collect();
    sqlx::query!(
        "INSERT INTO remotes (account_id, epoch, uid_validity, uid, uidl, state, size, listed_at)
         SELECT $1, $2, names.uid_validity, names.uid, names.uidl, 'listed', names.size, $3
         FROM UNNEST($4::bigint[], $5::bigint[], $6::text[], $7::bigint[]) WITH ORDINALITY
             AS names (uid_validity, uid, uidl, size, nth)
         ORDER BY names.nth
         ON CONFLICT DO NOTHING",
        lease.account_id.0,
        lease.epoch,
        at.0,
        &uid_validities as &[Option<i64>],
        &uids as &[Option<i64>],
        &unique_ids as &[Option<String>],
        &sizes
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

/// The rows with these names, in the order of the names.
pub(crate) async fn find_remotes(
    tx: &mut Tx,
    lease: Lease,
    keys: &[&RemoteKey],
) -> Result<Vec<Option<(i64, RemoteState)>>, StoreError> {
    let (uid_validities, (uids, unique_ids)) = names(keys.iter().copied());
    let rows = sqlx::query!(
        r#"WITH names AS (
             SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY AS names (uid_validity, uid, uidl, nth))
         SELECT names.nth AS "nth!", remotes.id AS "id!", remotes.state AS "state!" FROM names JOIN remotes
             ON remotes.uid_validity = names.uid_validity AND remotes.uid = names.uid
         WHERE remotes.account_id = $4 AND remotes.epoch = $5
         UNION ALL
         SELECT names.nth, remotes.id, remotes.state FROM names JOIN remotes ON remotes.uidl = names.uidl
         WHERE remotes.account_id = $4 AND remotes.epoch = $5"#,
        &uid_validities as &[Option<i64>],
        &uids as &[Option<i64>],
        &unique_ids as &[Option<String>],
        lease.account_id.0,
        lease.epoch
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(backend)?;
    let mut found = vec![None; keys.len()];
    for row in rows {
        let corrupt = StoreError::Corrupt { table: "remotes", column: "state", row: row.id };
        let state = parse_state(&row.state).ok_or(corrupt)?;
        let nth = usize::try_from(row.nth - 1).unwrap_or(usize::MAX);
        if let Some(place) = found.get_mut(nth) {
            *place = Some((row.id, state));
        }
    }
    Ok(found)
}

/// The rows with these names, as a check wants to know them.
pub(crate) async fn known(reader: &PgPool, lease: Lease, keys: &[&RemoteKey]) -> Result<Vec<RemoteRecord>, StoreError> {
    let (uid_validities, (uids, unique_ids)) = names(keys.iter().copied());
    sqlx::query_as!(
        RemoteRecord,
        r#"WITH names AS (
             SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::text[]) AS names (uid_validity, uid, uidl))
         SELECT remotes.id AS "id!", remotes.uid_validity, remotes.uid, remotes.uidl, remotes.state AS "state!",
             remotes.n_attempts AS "n_attempts!", remotes.missing_at, remotes.delete_asked_at, remotes.staged AS "staged!"
         FROM names JOIN remotes ON remotes.uid_validity = names.uid_validity AND remotes.uid = names.uid
         WHERE remotes.account_id = $4 AND remotes.epoch = $5
         UNION ALL
         SELECT remotes.id, remotes.uid_validity, remotes.uid, remotes.uidl, remotes.state, remotes.n_attempts,
             remotes.missing_at, remotes.delete_asked_at, remotes.staged
         FROM names JOIN remotes ON remotes.uidl = names.uidl
         WHERE remotes.account_id = $4 AND remotes.epoch = $5"#,
        &uid_validities as &[Option<i64>],
        &uids as &[Option<i64>],
        &unique_ids as &[Option<String>],
        lease.account_id.0,
        lease.epoch
    )
    .fetch_all(reader)
    .await
    .map_err(backend)
}

/// Whether a message that comes may be one that is here under another name.
pub(crate) async fn may_be_renamed(tx: &mut Tx, lease: Lease) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT id FROM remotes WHERE account_id = $1 AND may_be_renamed LIMIT 1",
        lease.account_id.0
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(found.is_some())
}

/// Stores what is not stored yet, in the order given.
pub(crate) async fn store(
    tx: &mut Tx,
    lease: Lease,
    packed: Vec<Packed>,
    delete_wanted: bool,
    at: Timestamp,
) -> Result<Stored, StoreError> {
    let keys: Vec<_> = packed.iter().map(|it| &it.0.key).collect();
    let found = find_remotes(tx, lease, &keys).await?;
    let (mut messages, mut bodies, mut remotes, mut taken) = (Vec::new(), Vec::new(), Vec::new(), HashSet::new());
    for ((message, body), found) in packed.into_iter().zip(found) {
        let (remote, state) = found.ok_or(StoreError::Gone { field: "remote" })?;
        let is_stored = matches!(state, RemoteState::Stored | RemoteState::Deleted | RemoteState::Renamed);
        if is_stored || !taken.insert(remote) {
            continue;
        }
        messages.push(message);
        bodies.push(body);
        remotes.push(remote);
    }
    if remotes.is_empty() {
        return Ok(Stored::default());
    }
    let ids = add_messages(tx, lease, &messages, at).await?;
    sqlx::query!("INSERT INTO bodies (message_id, raw) SELECT * FROM UNNEST($1::bigint[], $2::bytea[])", &ids, &bodies)
        .execute(&mut **tx)
        .await
        .map_err(backend)?;
    sqlx::query!(
        "UPDATE remotes
         SET state = 'stored', message_id = pairs.message_id, delete_wanted_at = $1, reason = NULL, sample = NULL,
             staged = 0, missing_at = NULL, may_be_renamed = FALSE
         FROM UNNEST($2::bigint[], $3::bigint[]) AS pairs (message_id, remote_id) WHERE remotes.id = pairs.remote_id",
        delete_wanted.then_some(at.0),
        &ids,
        &remotes
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(Stored { n_new: remotes.len() as u64, n_renamed: 0 })
}

/// Adds messages; their ids in the same order.
async fn add_messages(
    tx: &mut Tx,
    lease: Lease,
    messages: &[Assembled],
    at: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    let index = || messages.iter().map(|it| &it.index);
    let subjects: Vec<String> = index().map(|it| clean(&it.subject)).collect();
    let senders: Vec<String> = index().map(|it| clean(&it.from)).collect();
    let dates: Vec<Option<i64>> = index().map(|it| it.date.map(|it| it.0)).collect();
    let sizes: Vec<i64> = messages.iter().map(|it| signed(it.size)).collect();
    let n_attachments: Vec<i64> = index().map(|it| i64::from(it.n_attachments)).collect();
    let message_ids: Vec<String> = index().map(|it| clean(&it.message_id)).collect();
    let unreadable: Vec<bool> = index().map(|it| it.is_unreadable).collect();
    let searched: Vec<String> = index().map(|it| fold(&clean(&format!("{} {}", it.from, it.subject)))).collect();
    let hashes: Vec<Vec<u8>> = messages.iter().map(|it| it.hash.to_vec()).collect();
    let mut ids = sqlx::query_scalar!(
        "INSERT INTO messages (account_id, received_at, subject, sender, sent_at, size, n_attachments, message_id_field,
             is_unreadable, search_folded, content_hash)
         SELECT $1, $2, subject, sender, sent_at, size, n_attachments, message_id_field, is_unreadable, search_folded,
             content_hash
         FROM UNNEST($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[], $9::boolean[],
             $10::text[], $11::bytea[]) WITH ORDINALITY
             AS rows (subject, sender, sent_at, size, n_attachments, message_id_field, is_unreadable, search_folded,
                 content_hash, nth)
         ORDER BY nth
         RETURNING id",
        lease.account_id.0,
        at.0,
        &subjects,
        &senders,
        &dates as &[Option<i64>],
        &sizes,
        &n_attachments,
        &message_ids,
        &unreadable,
        &searched,
        &hashes
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(backend)?;
    // Ids only grow, in the order of insertion; what is returned comes in no order that is promised.
    ids.sort_unstable();
    Ok(ids)
}
