//! Accounts on PostgreSQL.

use async_trait::async_trait;
use domain::{
    account::{
        Account, AccountColumn, AccountDraft, AccountFilter, AccountQuery, AccountRow, AccountSort, Destination,
        HealthState, MessageCounts, Route,
    },
    audit::AuditEntry,
    ids::{AccountId, AuthorityId, ConnectorId, CredentialId},
    page::{Page, PageRequest},
    text::fold,
    time::Timestamp,
};
use service::ports::{AccountStore, Purged, StoreError};
use sqlx::QueryBuilder;

use crate::{
    Db, PostgresStore, Tx, audit,
    error::{backend, taken},
    record::{AccountRecord, count, pattern},
};

#[async_trait]
impl AccountStore for PostgresStore {
    async fn list_accounts(&self, query: &AccountQuery) -> Result<Page<AccountRow>, StoreError> {
        let total = self.count_accounts(&query.filter).await?;
        let walk = query.page.walk(total);
        let sort = if walk.is_backward { query.sort.reversed() } else { query.sort };
        let mut rows = self.listing(&AccountQuery { sort, ..query.clone() }, walk.offset, walk.limit).await?;
        if walk.is_backward {
            rows.reverse();
        }
        Ok(Page::new(rows, total, query.page))
    }

    async fn matching_accounts(&self, filter: &AccountFilter, sort: AccountSort) -> Result<Vec<AccountId>, StoreError> {
        let mut builder = QueryBuilder::<Db>::new("SELECT id FROM accounts");
        push_filter(&mut builder, filter);
        push_sort(&mut builder, sort);
        let ids: Vec<i64> = builder.build_query_scalar().fetch_all(self.reader()).await.map_err(backend)?;
        Ok(ids.into_iter().map(AccountId).collect())
    }

    async fn account_rows(&self, ids: &[AccountId]) -> Result<Vec<AccountRow>, StoreError> {
        self.records(ids).await?.into_iter().map(AccountRecord::into_row).collect()
    }

    async fn find_accounts(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        self.records(ids).await?.into_iter().map(AccountRecord::into_account).collect()
    }

    async fn count_accounts(&self, filter: &AccountFilter) -> Result<u64, StoreError> {
        let mut builder = QueryBuilder::<Db>::new("SELECT COUNT(*) FROM accounts");
        push_filter(&mut builder, filter);
        let total: i64 = builder.build_query_scalar().fetch_one(self.reader()).await.map_err(backend)?;
        Ok(count(total))
    }

    async fn list_deleted_accounts(&self, page: PageRequest) -> Result<Page<Account>, StoreError> {
        let total = sqlx::query_scalar!(r#"SELECT COUNT(*) AS "total!" FROM accounts WHERE deleted_at IS NOT NULL"#)
            .fetch_one(self.reader())
            .await
            .map_err(backend)?;
        let records = sqlx::query_as!(
            AccountRecord,
            "SELECT id, version, name, keep_copy, automatic_check, interval_s, enabled, protocol, address, port,
                 secure_connection, connection_type, skip_certificate, connector_id, credential_id, deleted_at,
                 last_success_at, next_check_at, failure_kind, failure_message, failure_since, n_failures, is_stopped,
                 is_late, hold_days, push, authority_id, pin, skip_until, skip_reason
             FROM accounts
             WHERE deleted_at IS NOT NULL
             ORDER BY deleted_at DESC, id DESC
             LIMIT $1 OFFSET $2",
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let accounts = records.into_iter().map(AccountRecord::into_account).collect::<Result<_, _>>()?;
        Ok(Page::new(accounts, count(total), page))
    }

    async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let record = sqlx::query_as!(
            AccountRecord,
            "SELECT id, version, name, keep_copy, automatic_check, interval_s, enabled, protocol, address, port,
                 secure_connection, connection_type, skip_certificate, connector_id, credential_id, deleted_at,
                 last_success_at, next_check_at, failure_kind, failure_message, failure_since, n_failures, is_stopped,
                 is_late, hold_days, push, authority_id, pin, skip_until, skip_reason
             FROM accounts
             WHERE id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(AccountRecord::into_account).transpose()
    }

    async fn add_account(
        &self,
        draft: &AccountDraft,
        due_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<AccountId, StoreError> {
        let mut tx = self.begin().await?;
        check_references(&mut tx, &draft.destination, Some(draft.credential_id)).await?;
        let destination = &draft.destination;
        let id = sqlx::query_scalar!(
            r#"INSERT INTO accounts (version, name, name_folded, keep_copy, automatic_check, interval_s, enabled, protocol,
                 address, port, secure_connection, connection_type, skip_certificate, connector_id, credential_id,
                 next_check_at, late_at, hold_days, push, authority_id, pin, skip_until, skip_reason)
             VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19, $20, $21, $22)
             RETURNING id AS "id!""#,
            draft.name,
            fold(&draft.name),
            draft.keep_copy,
            draft.automatic_check,
            i64::from(draft.interval_s),
            draft.enabled,
            draft.protocol.as_str(),
            destination.address.as_str(),
            i64::from(destination.port),
            destination.security.is_secure(),
            destination.security.kind().unwrap_or_default(),
            destination.security.skips_certificate(),
            destination.route.connector_id().map(|it| it.0),
            draft.credential_id.0,
            due_at.map(|it| it.0),
            due_at.map(|it| it.plus(draft.late_after()).0),
            i64::from(draft.hold_days),
            draft.push,
            destination.security.authority_id().map(|it| it.0),
            destination.security.pin().map(|it| it.to_string()),
            destination.security.skip_until().map(|it| it.0),
            draft.skip_reason
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(AccountId(id))
    }

    async fn change_account(
        &self,
        id: AccountId,
        version: i64,
        draft: &AccountDraft,
        due_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        // Always connectors, then authorities, then credentials, then accounts: whoever locks them in one order cannot lock each other out.
        let references = check_references(&mut tx, &draft.destination, Some(draft.credential_id)).await;
        check_version(&mut tx, id, version).await?;
        references?;
        let destination = &draft.destination;
        sqlx::query!(
            "UPDATE accounts
             SET version = version + 1, setup = setup + 1,
                 epoch = epoch + CASE WHEN protocol = $7 AND address = $8 AND port = $9 AND credential_id = $14
                     AND COALESCE(connector_id, 0) = COALESCE(CAST($13 AS BIGINT), 0) THEN 0 ELSE 1 END,
                 mailbox_messages = NULL, late_at = $17, is_late = FALSE, stopped_by = NULL, hold_days = $18, push = $19,
                 authority_id = $20, pin = $21, skip_until = $22, skip_reason = $23,
                 name = $1, name_folded = $2, keep_copy = $3, automatic_check = $4,
                 interval_s = $5, enabled = $6, protocol = $7, address = $8, port = $9, secure_connection = $10,
                 connection_type = $11, skip_certificate = $12, connector_id = $13, credential_id = $14,
                 next_check_at = $15, failure_kind = NULL, failure_message = NULL, failure_since = NULL,
                 n_failures = 0, is_stopped = FALSE,
                 health_rank = CASE WHEN last_success_at IS NULL THEN 1 ELSE 0 END
             WHERE id = $16",
            draft.name,
            fold(&draft.name),
            draft.keep_copy,
            draft.automatic_check,
            i64::from(draft.interval_s),
            draft.enabled,
            draft.protocol.as_str(),
            destination.address.as_str(),
            i64::from(destination.port),
            destination.security.is_secure(),
            destination.security.kind().unwrap_or_default(),
            destination.security.skips_certificate(),
            destination.route.connector_id().map(|it| it.0),
            draft.credential_id.0,
            due_at.map(|it| it.0),
            id.0,
            due_at.map(|it| it.plus(draft.late_after()).0),
            i64::from(draft.hold_days),
            draft.push,
            destination.security.authority_id().map(|it| it.0),
            destination.security.pin().map(|it| it.to_string()),
            destination.security.skip_until().map(|it| it.0),
            draft.skip_reason
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        if draft.keep_copy {
            forget_deletions(&mut tx, id).await?;
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn remove_account(
        &self,
        id: AccountId,
        version: i64,
        at: Timestamp,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!(
            "UPDATE accounts
             SET version = version + 1, deleted_at = $1, next_check_at = NULL, late_at = NULL, is_late = FALSE,
                 asked_at = NULL
             WHERE id = $2",
            at.0,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn restore_account(
        &self,
        id: AccountId,
        due_at: Option<Timestamp>,
        audit: &[AuditEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let restored = sqlx::query!(
            "UPDATE accounts
             SET version = version + 1, deleted_at = NULL, next_check_at = $1,
                 late_at = CAST($1 AS BIGINT) + 2 * interval_s * 1000000 + 60000000
             WHERE id = $2 AND deleted_at IS NOT NULL",
            due_at.map(|it| it.0),
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        if restored.rows_affected() == 0 {
            return Err(StoreError::NotFound);
        }
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn purgeable_account(&self, before: Timestamp) -> Result<Option<Account>, StoreError> {
        let id =
            sqlx::query_scalar!("SELECT id FROM accounts WHERE deleted_at < $1 ORDER BY deleted_at LIMIT 1", before.0)
                .fetch_optional(self.reader())
                .await
                .map_err(backend)?;
        match id {
            Some(id) => self.find_account(AccountId(id)).await,
            None => Ok(None),
        }
    }

    async fn purge_account(
        &self,
        id: AccountId,
        before: Timestamp,
        limit: u32,
        audit: &[AuditEntry],
    ) -> Result<Purged, StoreError> {
        let mut tx = self.begin().await?;
        let found =
            sqlx::query_scalar!("SELECT id FROM accounts WHERE id = $1 AND deleted_at < $2 FOR UPDATE", id.0, before.0)
                .fetch_optional(&mut *tx)
                .await
                .map_err(backend)?;
        found.ok_or(StoreError::NotFound)?;
        // What refers to a message goes before it; the same messages each time, because nothing is added to a deleted account.
        let limit = i64::from(limit);
        sqlx::query!(
            "UPDATE remotes SET message_id = NULL
             WHERE message_id IN (SELECT id FROM messages WHERE account_id = $1 ORDER BY id LIMIT $2)",
            id.0,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "DELETE FROM reads
             WHERE message_id IN (SELECT id FROM messages WHERE account_id = $1 ORDER BY id LIMIT $2)",
            id.0,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "DELETE FROM parts
             WHERE message_id IN (SELECT id FROM messages WHERE account_id = $1 ORDER BY id LIMIT $2)",
            id.0,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        sqlx::query!(
            "DELETE FROM bodies
             WHERE message_id IN (SELECT id FROM messages WHERE account_id = $1 ORDER BY id LIMIT $2)",
            id.0,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        let removed = sqlx::query!(
            "DELETE FROM messages
             WHERE id IN (SELECT id FROM messages WHERE account_id = $1 ORDER BY id LIMIT $2)",
            id.0,
            limit
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        if removed.rows_affected() >= limit.unsigned_abs() {
            tx.commit().await.map_err(backend)?;
            return Ok(Purged::Part);
        }
        sqlx::query!("DELETE FROM parts WHERE remote_id IN (SELECT id FROM remotes WHERE account_id = $1)", id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        sqlx::query!("DELETE FROM remotes WHERE account_id = $1", id.0).execute(&mut *tx).await.map_err(backend)?;
        sqlx::query!("DELETE FROM transcripts WHERE run_id IN (SELECT id FROM check_runs WHERE account_id = $1)", id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        sqlx::query!("DELETE FROM check_runs WHERE account_id = $1", id.0).execute(&mut *tx).await.map_err(backend)?;
        sqlx::query!("DELETE FROM accounts WHERE id = $1", id.0).execute(&mut *tx).await.map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(Purged::Whole)
    }

    async fn count_messages(&self, id: AccountId) -> Result<MessageCounts, StoreError> {
        let found = sqlx::query!(
            r#"SELECT COUNT(*) AS "stored!",
                 COUNT(*) FILTER (WHERE remotes.state = 'deleted' OR remotes.missing_at IS NOT NULL) AS "only_here!",
                 COUNT(*) FILTER (WHERE remotes.state = 'stored' AND remotes.delete_wanted_at IS NULL
                     AND remotes.missing_at IS NULL AND remotes.epoch = accounts.epoch) AS "older!"
             FROM remotes JOIN accounts ON accounts.id = remotes.account_id
             WHERE remotes.account_id = $1 AND remotes.message_id IS NOT NULL"#,
            id.0
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        // What is to go by itself is marked with the moment in which it was stored; what was asked for, later.
        let older_wanted = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "count!"
             FROM remotes
             JOIN accounts ON accounts.id = remotes.account_id
             JOIN messages ON messages.id = remotes.message_id
             WHERE remotes.account_id = $1 AND remotes.epoch = accounts.epoch AND remotes.state = 'stored'
                 AND remotes.delete_wanted_at > messages.received_at AND remotes.delete_asked_at IS NULL
                 AND remotes.missing_at IS NULL"#,
            id.0
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let (stored, only_here) = (count(found.stored), count(found.only_here));
        Ok(MessageCounts {
            stored,
            on_server: stored - only_here,
            only_here,
            older: count(found.older),
            older_wanted: count(older_wanted),
        })
    }

    async fn want_older_deleted(&self, id: AccountId, at: Timestamp, audit: &[AuditEntry]) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let wanted = sqlx::query!(
            "UPDATE remotes SET delete_wanted_at = $1
             WHERE account_id = $2 AND state = 'stored' AND delete_wanted_at IS NULL AND missing_at IS NULL
                 AND epoch = (SELECT epoch FROM accounts WHERE id = $2)",
            at.0,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(wanted.rows_affected())
    }

    async fn forget_older_deletions(&self, id: AccountId, audit: &[AuditEntry]) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let kept = sqlx::query!(
            "UPDATE remotes SET delete_wanted_at = NULL
             WHERE account_id = $1 AND state = 'stored' AND delete_asked_at IS NULL AND missing_at IS NULL
                 AND delete_wanted_at > (SELECT received_at FROM messages WHERE id = remotes.message_id)
                 AND epoch = (SELECT epoch FROM accounts WHERE id = $1)",
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(kept.rows_affected())
    }
}

/// Whoever keeps copies again wants nothing deleted that the server was not asked for yet, now or when that changes once more.
async fn forget_deletions(tx: &mut Tx, id: AccountId) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE remotes SET delete_wanted_at = NULL
         WHERE account_id = $1 AND state = 'stored' AND delete_wanted_at IS NOT NULL AND delete_asked_at IS NULL",
        id.0
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

impl PostgresStore {
    /// Those of these accounts that are not deleted, in any order.
    async fn records(&self, ids: &[AccountId]) -> Result<Vec<AccountRecord>, StoreError> {
        let wanted: Vec<i64> = ids.iter().map(|it| it.0).collect();
        sqlx::query_as!(
            AccountRecord,
            "SELECT id, version, name, keep_copy, automatic_check, interval_s, enabled, protocol, address, port,
                 secure_connection, connection_type, skip_certificate, connector_id, credential_id, deleted_at,
                 last_success_at, next_check_at, failure_kind, failure_message, failure_since, n_failures, is_stopped,
                 is_late, hold_days, push, authority_id, pin, skip_until, skip_reason
             FROM accounts
             WHERE deleted_at IS NULL AND id = ANY($1)",
            &wanted
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)
    }

    /// A part of the report, without its total.
    async fn listing(&self, query: &AccountQuery, offset: i64, limit: i64) -> Result<Vec<AccountRow>, StoreError> {
        let mut builder = QueryBuilder::<Db>::default();
        push_listing(&mut builder, query, offset, limit);
        let records: Vec<AccountRecord> = builder.build_query_as().fetch_all(self.reader()).await.map_err(backend)?;
        records.into_iter().map(AccountRecord::into_row).collect()
    }
}

/// One page in one order. It cannot be one checked statement: the order is part of the text. What is pushed comes from the
/// closed matches below and what a person typed is bound; the conformance suite runs every order and every filter.
fn push_listing(builder: &mut QueryBuilder<Db>, query: &AccountQuery, offset: i64, limit: i64) {
    builder.push(
        "SELECT id, version, name, keep_copy, automatic_check, interval_s, enabled, protocol, address, port,
             secure_connection, connection_type, skip_certificate, connector_id, credential_id, deleted_at,
             last_success_at, next_check_at, failure_kind, failure_message, failure_since, n_failures, is_stopped,
                 is_late, hold_days, push, authority_id, pin, skip_until, skip_reason
         FROM accounts",
    );
    push_filter(builder, &query.filter);
    push_sort(builder, query.sort);
    builder.push(" LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
}

/// What a page and its total select alike. Every value is bound; the columns are named here and nowhere else.
fn push_filter(builder: &mut QueryBuilder<Db>, filter: &AccountFilter) {
    builder.push(" WHERE deleted_at IS NULL");
    if !filter.name.is_empty() {
        builder.push(" AND name_folded LIKE ").push_bind(pattern(&filter.name)).push(" ESCAPE '\\'");
    }
    if let Some(health) = filter.health.filter(|it| *it != HealthState::Late) {
        builder.push(" AND health_rank = ").push_bind(health as i64);
    }
    let flags = [
        ("is_late", (filter.health == Some(HealthState::Late)).then_some(true)),
        ("secure_connection", filter.secure_connection),
        ("automatic_check", filter.automatic_check),
        ("keep_copy", filter.keep_copy),
        ("skip_certificate", filter.skip_certificate),
        ("enabled", filter.enabled),
    ];
    for (column, wanted) in flags {
        if let Some(wanted) = wanted {
            builder.push(" AND ").push(column).push(" = ").push_bind(wanted);
        }
    }
}

fn push_sort(builder: &mut QueryBuilder<Db>, sort: AccountSort) {
    let mut between = " ORDER BY ";
    for key in sort_keys(sort.column) {
        builder.push(between).push(*key).push(if sort.descending { " DESC" } else { " ASC" });
        between = ", ";
    }
}

/// The keys of an order, the id last. All run in one direction, so that one index serves both directions.
fn sort_keys(column: AccountColumn) -> &'static [&'static str] {
    match column {
        AccountColumn::Id => &["id"],
        AccountColumn::Name => &["name_folded", "id"],
        AccountColumn::SecureConnection => &["secure_connection", "id"],
        // SSL, TLS, and plain connections last.
        AccountColumn::ConnectionType => &["(connection_type = '')", "connection_type", "id"],
        AccountColumn::Protocol => &["protocol", "id"],
        AccountColumn::Port => &["port", "id"],
        AccountColumn::AutomaticCheck => &["automatic_check", "id"],
        AccountColumn::KeepCopy => &["keep_copy", "id"],
        AccountColumn::Status => &["enabled", "id"],
        AccountColumn::Health => &["health_rank", "id"],
    }
}

async fn check_version(tx: &mut Tx, id: AccountId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!(
        "SELECT version FROM accounts WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
        id.0
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}

/// That connector, authority and credential exist, in the order in which everybody locks them.
pub(crate) async fn check_references(
    tx: &mut Tx,
    destination: &Destination,
    credential: Option<CredentialId>,
) -> Result<(), StoreError> {
    if let Route::Connector(ConnectorId(connector)) = destination.route {
        let found = sqlx::query_scalar!("SELECT id FROM connectors WHERE id = $1 FOR SHARE", connector)
            .fetch_optional(&mut **tx)
            .await
            .map_err(backend)?;
        found.ok_or(StoreError::Gone { field: "network_connector_id" })?;
    }
    if let Some(AuthorityId(authority)) = destination.security.authority_id() {
        let found = sqlx::query_scalar!("SELECT id FROM authorities WHERE id = $1 FOR SHARE", authority)
            .fetch_optional(&mut **tx)
            .await
            .map_err(backend)?;
        found.ok_or(StoreError::Gone { field: "ca_id" })?;
    }
    let Some(CredentialId(credential)) = credential else { return Ok(()) };
    let found = sqlx::query_scalar!("SELECT id FROM credentials WHERE id = $1 FOR SHARE", credential)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    found.map(|_| ()).ok_or(StoreError::Gone { field: "credential_id" })
}

#[cfg(test)]
mod tests {
    use domain::credential::CredentialDraft;
    use service::ports::{CredentialStore as _, SealedSecret};
    use store_tests::postgres::Database;

    use super::*;

    /// As many accounts as the report must bear, made inside the database.
    const MANY: &str = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
        INSERT INTO accounts (version, name, name_folded, keep_copy, automatic_check, interval_s, enabled, protocol,
            address, port, secure_connection, connection_type, skip_certificate, credential_id, deleted_at, health_rank, is_late)
        SELECT 1, 'Account ' || n, 'account ' || n, n % 2 = 0, n % 3 = 0, 300, n % 5 > 0,
            CASE WHEN n % 2 = 0 THEN 'imap' ELSE 'pop3' END, 'mail.example.org', 100 + n % 900, n % 3 > 0,
            CASE n % 3 WHEN 0 THEN '' WHEN 1 THEN 'ssl' ELSE 'tls' END, FALSE, $1,
            CASE WHEN n % 10 = 0 THEN 1 END, n % 4, n % 4 = 2
        FROM numbers";

    /// Everything, and what each filter leaves.
    fn filters() -> Vec<AccountFilter> {
        let none = AccountFilter::default();
        let mut filters = vec![none.clone(), AccountFilter { name: "account".to_owned(), ..none.clone() }];
        for wanted in [Some(false), Some(true)] {
            filters.push(AccountFilter { secure_connection: wanted, ..none.clone() });
            filters.push(AccountFilter { automatic_check: wanted, ..none.clone() });
            filters.push(AccountFilter { keep_copy: wanted, ..none.clone() });
            filters.push(AccountFilter { enabled: wanted, ..none.clone() });
            filters.push(AccountFilter {
                health: wanted.map(|it| if it { HealthState::Late } else { HealthState::Failing }),
                ..none.clone()
            });
        }
        filters
    }

    #[tokio::test]
    async fn every_order_of_a_hundred_thousand_accounts_walks_along_an_index() {
        let database = Database::create().await;
        let store = PostgresStore::connect(&database.url).await.unwrap();
        let id = store.next_credential_id().await.unwrap();
        let draft =
            CredentialDraft { name: "c".to_owned(), username: "c".to_owned(), oauth: None, secret_ends_on: None };
        store.add_credential(id, &draft, &SealedSecret(vec![0]), &[]).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        sqlx::query(MANY).bind(id.0).execute(&mut *tx).await.unwrap();
        sqlx::query("ANALYZE accounts").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        for filter in filters() {
            for column in AccountColumn::ALL {
                for descending in [false, true] {
                    let sort = AccountSort { column, descending };
                    let query = AccountQuery { filter: filter.clone(), sort, ..AccountQuery::default() };
                    let mut builder = QueryBuilder::<Db>::new("EXPLAIN ");
                    push_listing(&mut builder, &query, 30, 30);
                    let plan: Vec<String> = builder.build_query_scalar().fetch_all(store.reader()).await.unwrap();
                    // Sorting the ids below one name, of which there is one, costs nothing: that is an incremental sort.
                    assert!(!plan.iter().any(|it| it.contains("->  Sort")), "{query:?}: {plan:?}");
                    let walks = plan.iter().any(|it| it.contains("using accounts_"));
                    assert!(walks, "{query:?}: {plan:?}");
                }
            }
        }
        store.close().await;
        database.remove().await;
    }
}
