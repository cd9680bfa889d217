//! Many rows of the ledger in few statements: each statement costs a switch to the thread that holds the connection, which for a
//! message of a few kilobytes is more than all the rest of storing it.

use std::collections::HashSet;

use domain::{text::fold, time::Timestamp};
use serde::Serialize;
use service::ports::{Assembled, Lease, Listed, RemoteKey, RemoteState, StoreError, Stored};
use sqlx::SqlitePool;

use crate::{
    Tx,
    error::backend,
    record::{clean, signed, unpack},
    remote::{RemoteRecord, columns, parse_state},
};

/// A message about to be stored, without its bytes, and these compressed.
pub(crate) type Packed = (Assembled, Vec<u8>);

/// As a statement takes many of something.
fn many<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(|it| StoreError::Backend(Box::new(it)))
}

pub(crate) async fn add_listed(tx: &mut Tx, lease: Lease, listed: &[Listed], at: Timestamp) -> Result<(), StoreError> {
    let rows: Vec<_> = listed.iter().map(|it| (columns(&it.key), signed(it.size))).collect();
    sqlx::query!(
        "INSERT INTO remotes (account_id, epoch, uid_validity, uid, uidl, state, size, listed_at)
         SELECT $1, $2, value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', 'listed', value ->> '$[1]', $3
         FROM json_each($4) WHERE TRUE ORDER BY key
         ON CONFLICT DO NOTHING",
        lease.account_id.0,
        lease.epoch,
        at.0,
        many(&rows)?
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
    let names: Vec<_> = keys.iter().map(|it| columns(it)).collect();
    let packed = sqlx::query_scalar!(
        r#"SELECT json_group_array(json_array(nth, id, state)) AS "packed!: String" FROM (
             SELECT names.key AS nth, remotes.id, remotes.state
             FROM json_each($1) AS names CROSS JOIN remotes
             WHERE remotes.account_id = $2 AND remotes.epoch = $3
                 AND remotes.uid_validity = names.value ->> '$[0]' AND remotes.uid = names.value ->> '$[1]'
             UNION ALL
             SELECT names.key, remotes.id, remotes.state
             FROM json_each($1) AS names CROSS JOIN remotes
             WHERE remotes.account_id = $2 AND remotes.epoch = $3 AND remotes.uidl = names.value ->> '$[2]')"#,
        many(&names)?,
        lease.account_id.0,
        lease.epoch
    )
    .fetch_one(&mut **tx)
    .await
    .map_err(backend)?;
    let mut found = vec![None; keys.len()];
    for (nth, id, state) in unpack::<(usize, i64, String)>(&packed)? {
        let corrupt = StoreError::Corrupt { table: "remotes", column: "state", row: id };
        let state = parse_state(&state).ok_or(corrupt)?;
        if let Some(place) = found.get_mut(nth) {
            *place = Some((id, state));
        }
    }
    Ok(found)
}

/// The rows with these names, as a check wants to know them.
pub(crate) async fn known(
    reader: &SqlitePool,
    lease: Lease,
    keys: &[&RemoteKey],
) -> Result<Vec<RemoteRecord>, StoreError> {
    let names = many(&keys.iter().map(|it| columns(it)).collect::<Vec<_>>())?;
    sqlx::query_as!(
        RemoteRecord,
        r#"SELECT remotes.id AS "id!", remotes.uid_validity, remotes.uid, remotes.uidl, remotes.state AS "state!",
             remotes.n_attempts AS "n_attempts!", remotes.missing_at, remotes.delete_asked_at, remotes.staged AS "staged!"
         FROM json_each($1) AS names CROSS JOIN remotes
         WHERE remotes.account_id = $2 AND remotes.epoch = $3
             AND remotes.uid_validity = names.value ->> '$[0]' AND remotes.uid = names.value ->> '$[1]'
         UNION ALL
         SELECT remotes.id, remotes.uid_validity, remotes.uid, remotes.uidl, remotes.state, remotes.n_attempts,
             remotes.missing_at, remotes.delete_asked_at, remotes.staged
         FROM json_each($1) AS names CROSS JOIN remotes
         WHERE remotes.account_id = $2 AND remotes.epoch = $3 AND remotes.uidl = names.value ->> '$[2]'"#,
        names,
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
    let (mut messages, mut bodies, mut remotes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut taken, mut blob) = (HashSet::new(), Vec::new());
    for ((message, body), found) in packed.into_iter().zip(found) {
        let (remote, state) = found.ok_or(StoreError::Gone { field: "remote" })?;
        let is_stored = matches!(state, RemoteState::Stored | RemoteState::Deleted | RemoteState::Renamed);
        if is_stored || !taken.insert(remote) {
            continue;
        }
        messages.push(row(&message));
        // SQLite counts bytes of a blob from one.
        bodies.push((blob.len() + 1, body.len()));
        blob.extend(body);
        remotes.push(remote);
    }
    if remotes.is_empty() {
        return Ok(Stored::default());
    }
    let ids = add_messages(tx, lease, &messages, at).await?;
    let bodies: Vec<_> = ids.iter().zip(bodies).map(|(id, (start, length))| (id, start, length)).collect();
    sqlx::query!(
        "INSERT INTO bodies (message_id, raw)
         SELECT value ->> '$[0]', CAST(substr($1, value ->> '$[1]', value ->> '$[2]') AS BLOB) FROM json_each($2)",
        blob,
        many(&bodies)?
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    let pairs: Vec<_> = ids.iter().zip(&remotes).collect();
    sqlx::query!(
        "UPDATE remotes
         SET state = 'stored', message_id = pairs.value ->> '$[0]', delete_wanted_at = $1, reason = NULL, sample = NULL,
             staged = 0, missing_at = NULL, may_be_renamed = FALSE
         FROM json_each($2) AS pairs WHERE remotes.id = pairs.value ->> '$[1]'",
        delete_wanted.then_some(at.0),
        many(&pairs)?
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(Stored { n_new: remotes.len() as u64, n_renamed: 0 })
}

/// A message as [`add_messages`] takes it.
type Row = (String, String, Option<i64>, i64, i64, String, i64, String, String);

fn row(message: &Assembled) -> Row {
    let index = &message.index;
    (
        clean(&index.subject),
        clean(&index.from),
        index.date.map(|it| it.0),
        signed(message.size),
        i64::from(index.n_attachments),
        clean(&index.message_id),
        i64::from(index.is_unreadable),
        fold(&clean(&format!("{} {}", index.from, index.subject))),
        blake3_text(&message.hash),
    )
}

/// In hexadecimal: JSON has no bytes.
fn blake3_text(hash: &[u8; 32]) -> String {
    crate::remote::hexadecimal(hash)
}

/// Adds messages; their ids in the same order.
async fn add_messages(tx: &mut Tx, lease: Lease, rows: &[Row], at: Timestamp) -> Result<Vec<i64>, StoreError> {
    let mut ids = sqlx::query_scalar!(
        r#"INSERT INTO messages (account_id, received_at, subject, sender, sent_at, size, n_attachments, message_id_field,
             is_unreadable, search_folded, content_hash)
         SELECT $1, $2, value ->> '$[0]', value ->> '$[1]', value ->> '$[2]', value ->> '$[3]', value ->> '$[4]',
             value ->> '$[5]', value ->> '$[6]', value ->> '$[7]', unhex(value ->> '$[8]')
         FROM json_each($3) ORDER BY key
         RETURNING id AS "id!""#,
        lease.account_id.0,
        at.0,
        many(rows)?
    )
    .fetch_all(&mut **tx)
    .await
    .map_err(backend)?;
    // Ids only grow, in the order of insertion; what is returned comes in no order that is promised.
    ids.sort_unstable();
    Ok(ids)
}
