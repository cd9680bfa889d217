//! The lists of the security posture on PostgreSQL: one view, each list along an index of its own.

use async_trait::async_trait;
use domain::{
    page::{Page, PageRequest},
    posture::{PostureList, PostureRow, PostureSubject, TlsSeen},
    time::Timestamp,
};
use service::ports::{Finished, Lease, PostureStore, StoreError};

use crate::{
    PostgresStore, Tx,
    error::backend,
    record::{clean, count},
};

#[async_trait]
impl PostureStore for PostgresStore {
    async fn count_posture(&self, list: PostureList, below: i64) -> Result<u64, StoreError> {
        let n = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "n!: i64" FROM posture WHERE list = $1 AND rank < $2"#,
            list.as_str(),
            below
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        Ok(count(n))
    }

    async fn list_posture(
        &self,
        list: PostureList,
        below: i64,
        page: PageRequest,
    ) -> Result<Page<PostureRow>, StoreError> {
        let total = self.count_posture(list, below).await?;
        let rows = sqlx::query!(
            r#"SELECT kind AS "kind!: String", id AS "id!: i64", name AS "name!: String", detail AS "detail!: String",
                 at AS "at: i64", n AS "n: i64"
             FROM posture WHERE list = $1 AND rank < $2
             ORDER BY rank, name_folded, id LIMIT $3 OFFSET $4"#,
            list.as_str(),
            below,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let rows = rows.into_iter().map(|it| {
            let corrupt = StoreError::Corrupt { table: "posture", column: "kind", row: it.id };
            Ok(PostureRow {
                subject: PostureSubject::parse(&it.kind, it.id).ok_or(corrupt)?,
                name: it.name,
                detail: it.detail,
                at: it.at.map(Timestamp),
                n_uses: it.n.map(count),
            })
        });
        Ok(Page::new(rows.collect::<Result<_, StoreError>>()?, total, page))
    }
}

/// Keeps what a check saw of the server's TLS, unless that is what `mark` stands for.
pub(crate) async fn record_tls(
    tx: &mut Tx,
    lease: Lease,
    finished: &Finished,
    mark: Option<i64>,
) -> Result<(), StoreError> {
    let Some((seen, seen_mark)) = finished.tls.as_ref().zip(finished.tls_mark(lease.epoch)) else { return Ok(()) };
    if mark == Some(seen_mark) {
        return Ok(());
    }
    let TlsSeen { version, suite, not_after, issuer, fingerprint } = seen;
    sqlx::query!(
        "INSERT INTO tls_seen (account_id, epoch, version, suite, is_weak, not_after, issuer, fingerprint, first_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (account_id) DO UPDATE
         SET epoch = excluded.epoch, version = excluded.version, suite = excluded.suite, is_weak = excluded.is_weak,
             not_after = excluded.not_after, issuer = excluded.issuer, fingerprint = excluded.fingerprint,
             first_seen_at = excluded.first_seen_at",
        lease.account_id.0,
        lease.epoch,
        version,
        suite,
        seen.is_weak(),
        not_after.map(|it| it.0),
        clean(issuer),
        fingerprint,
        finished.run.finished_at.unwrap_or(finished.run.started_at).0
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    sqlx::query!("UPDATE accounts SET tls_mark = $1 WHERE id = $2", seen_mark, lease.account_id.0)
        .execute(&mut **tx)
        .await
        .map_err(backend)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::credential::CredentialDraft;
    use service::ports::{CredentialStore as _, SealedSecret};
    use store_tests::postgres::Database;

    use super::*;

    /// Accounts as an organisation has them: few of each kind that wants a look.
    const MANY: &str = "
        INSERT INTO accounts (version, name, name_folded, keep_copy, automatic_check, interval_s, enabled, protocol,
            address, port, secure_connection, connection_type, skip_certificate, pin, credential_id, failure_kind,
            health_rank, is_late, last_success_at)
        SELECT 1, 'Account ' || n, 'account ' || n, TRUE, TRUE, 300, TRUE, 'imap', 'mail.example.org', 993, n % 200 > 0, 'ssl',
            n % 200 = 1, CASE WHEN n % 200 = 2 THEN 'SHA256:x' END, $1, CASE WHEN n % 200 = 3 THEN 'tls' END,
            CASE WHEN n % 200 = 3 THEN 3 ELSE 0 END, FALSE, 1
        FROM generate_series(1, 20000) AS n";
    const SEEN: &str = "
        INSERT INTO tls_seen (account_id, epoch, version, suite, is_weak, not_after, issuer, fingerprint, first_seen_at)
        SELECT id, 0, 'TLSv1.2', '', id % 200 = 4, id, '', '', 0 FROM accounts";

    const SECRETS: &str = "
        INSERT INTO credentials (id, version, name, name_folded, search_folded, username, sealed, secret_set_at,
            secret_set_by, secret_ends_on)
        SELECT n, 1, 'Secret ' || n, 'secret ' || n, '', '', '', 0, '', CASE WHEN n % 200 = 5 THEN n END
        FROM generate_series(100001, 120000) AS n";
    const CONSENTS: &str = "
        INSERT INTO oauth (credential_id, settings, state, consent_ends_at)
        SELECT id, '', CASE WHEN id % 200 = 6 THEN 'needs_person' ELSE 'ok' END, CASE WHEN id % 200 = 7 THEN id END
        FROM credentials WHERE id > 100000";

    #[tokio::test]
    async fn every_list_is_read_along_an_index() {
        let database = Database::create().await;
        let store = PostgresStore::connect(&database.url).await.unwrap();
        let id = store.next_credential_id().await.unwrap();
        let draft =
            CredentialDraft { name: "c".to_owned(), username: "c".to_owned(), oauth: None, secret_ends_on: None };
        store.add_credential(id, &draft, &SealedSecret(vec![0]), &[]).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        sqlx::query(MANY).bind(id.0).execute(&mut *tx).await.unwrap();
        sqlx::query(SEEN).execute(&mut *tx).await.unwrap();
        sqlx::query(SECRETS).execute(&mut *tx).await.unwrap();
        sqlx::query(CONSENTS).execute(&mut *tx).await.unwrap();
        sqlx::query("ANALYZE accounts, tls_seen, credentials, oauth").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        for (list, index) in [
            (PostureList::Plain, "accounts_by_secure_connection"),
            (PostureList::Skipped, "accounts_skipping"),
            (PostureList::Pinned, "accounts_pinned"),
            (PostureList::Certificates, "tls_seen_not_after"),
            (PostureList::WeakTls, "tls_seen_weak"),
            (PostureList::WeakTls, "accounts_failing_tls"),
            (PostureList::Silent, "accounts_silent"),
            (PostureList::Secrets, "oauth_needs_person"),
            (PostureList::Secrets, "oauth_consent_ends"),
            (PostureList::Secrets, "credentials_secret_ends"),
        ] {
            let plan: Vec<String> =
                sqlx::query_scalar("EXPLAIN SELECT COUNT(*) FROM posture WHERE list = $1 AND rank < $2")
                    .bind(list.as_str())
                    .bind(50_i64)
                    .fetch_all(store.reader())
                    .await
                    .unwrap();
            assert!(plan.iter().any(|it| it.contains(index)), "{list:?}: {plan:#?}");
            assert!(!plan.iter().any(|it| it.contains("Seq Scan on accounts")), "{list:?}: {plan:#?}");
        }
        store.close().await;
        database.remove().await;
    }
}
