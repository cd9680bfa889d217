//! Certificate authorities on PostgreSQL.

use async_trait::async_trait;
use domain::{
    account::{Choice, UsedBy},
    audit::AuditEntry,
    authority::{Authority, AuthorityDraft, AuthorityFacts, AuthorityRow},
    ids::AuthorityId,
    page::{Page, PageRequest},
    text::fold,
    time::Timestamp,
};
use service::ports::{AuthorityStore, StoreError};

use crate::{
    PostgresStore, Tx, audit,
    error::{backend, in_use, taken},
    record::{count, pattern, user},
};

struct Record {
    id: i64,
    version: i64,
    name: String,
    subject: String,
    fingerprint: String,
    n_certificates: i64,
    expires_at: i64,
    n_uses: i64,
    /// Empty in a list.
    pem: String,
}

impl TryFrom<Record> for AuthorityRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "authorities", column, row: record.id };
        Ok(Self {
            id: AuthorityId(record.id),
            version: record.version,
            name: record.name,
            facts: AuthorityFacts {
                n_certificates: u32::try_from(record.n_certificates).map_err(|_| corrupt("n_certificates"))?,
                subject: record.subject,
                fingerprint: record.fingerprint,
                expires_at: Timestamp(record.expires_at),
            },
            n_uses: count(record.n_uses),
        })
    }
}

#[async_trait]
impl AuthorityStore for PostgresStore {
    async fn list_authorities(&self, search: &str, page: PageRequest) -> Result<Page<AuthorityRow>, StoreError> {
        let wanted = pattern(search);
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM authorities WHERE search_folded LIKE $1 ESCAPE '\'"#,
            wanted
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, name, subject, fingerprint, n_certificates, expires_at,
                 (SELECT COUNT(*) FROM accounts WHERE authority_id = authorities.id)
                 + (SELECT COUNT(*) FROM smtp_accounts WHERE authority_id = authorities.id) AS "n_uses!: i64", '' AS "pem!: String"
             FROM authorities
             WHERE search_folded LIKE $1 ESCAPE '\'
             ORDER BY name_folded LIMIT $2 OFFSET $3"#,
            wanted,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let rows = records.into_iter().map(AuthorityRow::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(rows, count(total), page))
    }

    async fn authority_choices(&self) -> Result<Vec<Choice>, StoreError> {
        let rows = sqlx::query!("SELECT id, name, subject FROM authorities ORDER BY name_folded")
            .fetch_all(self.reader())
            .await
            .map_err(backend)?;
        Ok(rows.into_iter().map(|it| Choice { id: it.id, name: it.name, hint: it.subject }).collect())
    }

    async fn find_authority(&self, id: AuthorityId) -> Result<Option<Authority>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            r#"SELECT id AS "id!", version, name, subject, fingerprint, n_certificates, expires_at,
                 (SELECT COUNT(*) FROM accounts WHERE authority_id = authorities.id)
                 + (SELECT COUNT(*) FROM smtp_accounts WHERE authority_id = authorities.id) AS "n_uses!: i64", pem
             FROM authorities
             WHERE id = $1"#,
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        let Some(record) = record else { return Ok(None) };
        let pem = record.pem.clone();
        Ok(Some(Authority { row: record.try_into()?, pem }))
    }

    async fn add_authority(
        &self,
        draft: &AuthorityDraft,
        facts: &AuthorityFacts,
        audit: &[AuditEntry],
    ) -> Result<AuthorityId, StoreError> {
        let mut tx = self.begin().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO authorities (version, name, name_folded, search_folded, pem, subject, fingerprint, n_certificates,
                 expires_at)
             VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8)
             RETURNING id",
            draft.name,
            fold(&draft.name),
            searched(draft, facts),
            draft.pem,
            facts.subject,
            facts.fingerprint,
            i64::from(facts.n_certificates),
            facts.expires_at.0
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(AuthorityId(id))
    }

    async fn change_authority(
        &self,
        id: AuthorityId,
        version: i64,
        draft: &AuthorityDraft,
        facts: &AuthorityFacts,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!(
            "UPDATE authorities
             SET version = version + 1, name = $1, name_folded = $2, search_folded = $3, pem = $4, subject = $5,
                 fingerprint = $6, n_certificates = $7, expires_at = $8
             WHERE id = $9",
            draft.name,
            fold(&draft.name),
            searched(draft, facts),
            draft.pem,
            facts.subject,
            facts.fingerprint,
            i64::from(facts.n_certificates),
            facts.expires_at.0,
            id.0
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        sqlx::query!("UPDATE accounts SET setup = setup + 1 WHERE id IN (SELECT id FROM accounts WHERE authority_id = $1 ORDER BY id FOR NO KEY UPDATE)", id.0)
            .execute(&mut *tx)
            .await
            .map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn remove_authority(&self, id: AuthorityId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("DELETE FROM authorities WHERE id = $1", id.0).execute(&mut *tx).await.map_err(in_use)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }

    async fn authority_used_by(&self, id: AuthorityId) -> Result<UsedBy, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT kind AS "kind!: String", id AS "id!: i64", name AS "name!: String" FROM (
                 SELECT 'account' AS kind, id, name, name_folded FROM accounts WHERE authority_id = $1
                 UNION ALL
                 SELECT 'smtp', id, name, name_folded FROM smtp_accounts WHERE authority_id = $1) AS users
             ORDER BY name_folded LIMIT 100"#,
            id.0
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        Ok(rows.into_iter().map(|it| (user(&it.kind, it.id), it.name)).collect())
    }
}

fn searched(draft: &AuthorityDraft, facts: &AuthorityFacts) -> String {
    fold(&format!("{} {}", draft.name, facts.subject))
}

async fn check_version(tx: &mut Tx, id: AuthorityId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT version FROM authorities WHERE id = $1 FOR NO KEY UPDATE", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}
