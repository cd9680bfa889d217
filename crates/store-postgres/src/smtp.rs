//! Outgoing mail on PostgreSQL.

use async_trait::async_trait;
use domain::{
    account::{Address, Destination, Route, Security},
    audit::AuditEntry,
    email::EmailAddress,
    ids::{ConnectorId, CredentialId, SmtpId},
    page::{Page, PageRequest},
    smtp::{Smtp, SmtpDraft},
    text::fold,
};
use service::ports::{SmtpStore, StoreError};

use crate::{
    PostgresStore, Tx,
    accounts::check_references,
    audit,
    error::{backend, taken},
    record::{count, pattern, trust},
};

#[expect(clippy::struct_excessive_bools, reason = "the columns are what they are")]
struct Record {
    id: i64,
    version: i64,
    name: String,
    enabled: bool,
    is_default: bool,
    sender: String,
    reply_to: Option<String>,
    address: String,
    port: i64,
    secure_connection: bool,
    connection_type: String,
    skip_certificate: bool,
    connector_id: Option<i64>,
    credential_id: Option<i64>,
    authority_id: Option<i64>,
    pin: Option<String>,
    skip_until: Option<i64>,
    skip_reason: String,
}

impl TryFrom<Record> for Smtp {
    type Error = StoreError;

    fn try_from(it: Record) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "smtp_accounts", column, row: it.id };
        let trust = trust(it.skip_certificate, it.skip_until, it.authority_id, it.pin.as_deref());
        let trust = trust.ok_or_else(|| corrupt("pin"))?;
        let security = Security::from_parts(it.secure_connection, Some(&it.connection_type), trust);
        let route = it.connector_id.map_or(Route::Direct, |it| Route::Connector(ConnectorId(it)));
        let port = u16::try_from(it.port).map_err(|_| corrupt("port"))?;
        Ok(Self {
            id: SmtpId(it.id),
            version: it.version,
            draft: SmtpDraft {
                name: it.name,
                enabled: it.enabled,
                is_default: it.is_default,
                sender: EmailAddress::from_stored(it.sender),
                reply_to: it.reply_to.map(EmailAddress::from_stored),
                destination: Destination { address: Address::from_stored(it.address), port, security, route },
                credential_id: it.credential_id.map(CredentialId),
                skip_reason: it.skip_reason,
            },
        })
    }
}

#[async_trait]
impl SmtpStore for PostgresStore {
    async fn list_smtp(&self, search: &str, page: PageRequest) -> Result<Page<Smtp>, StoreError> {
        let wanted = pattern(search);
        let total = sqlx::query_scalar!(
            r#"SELECT COUNT(*) AS "total!" FROM smtp_accounts WHERE search_folded LIKE $1 ESCAPE '\'"#,
            wanted
        )
        .fetch_one(self.reader())
        .await
        .map_err(backend)?;
        let records = sqlx::query_as!(
            Record,
            r#"SELECT id, version, name, enabled, is_default, sender, reply_to, address, port, secure_connection,
                 connection_type, skip_certificate, connector_id, credential_id, authority_id, pin, skip_until, skip_reason
             FROM smtp_accounts
             WHERE search_folded LIKE $1 ESCAPE '\'
             ORDER BY name_folded LIMIT $2 OFFSET $3"#,
            wanted,
            page.limit(),
            page.offset()
        )
        .fetch_all(self.reader())
        .await
        .map_err(backend)?;
        let found = records.into_iter().map(Smtp::try_from).collect::<Result<_, _>>()?;
        Ok(Page::new(found, count(total), page))
    }

    async fn find_smtp(&self, id: SmtpId) -> Result<Option<Smtp>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT id, version, name, enabled, is_default, sender, reply_to, address, port, secure_connection,
                 connection_type, skip_certificate, connector_id, credential_id, authority_id, pin, skip_until, skip_reason
             FROM smtp_accounts
             WHERE id = $1",
            id.0
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(Smtp::try_from).transpose()
    }

    async fn default_smtp(&self) -> Result<Option<Smtp>, StoreError> {
        let record = sqlx::query_as!(
            Record,
            "SELECT id, version, name, enabled, is_default, sender, reply_to, address, port, secure_connection,
                 connection_type, skip_certificate, connector_id, credential_id, authority_id, pin, skip_until, skip_reason
             FROM smtp_accounts
             WHERE is_default AND enabled"
        )
        .fetch_optional(self.reader())
        .await
        .map_err(backend)?;
        record.map(Smtp::try_from).transpose()
    }

    async fn add_smtp(&self, draft: &SmtpDraft, audit: &[AuditEntry]) -> Result<SmtpId, StoreError> {
        let mut tx = self.begin().await?;
        let destination = &draft.destination;
        check_references(&mut tx, destination, draft.credential_id).await?;
        if draft.is_default {
            give_up_default(&mut tx, None).await?;
        }
        let id = sqlx::query_scalar!(
            "INSERT INTO smtp_accounts (version, name, name_folded, search_folded, enabled, is_default, sender, reply_to,
                 address, port, secure_connection, connection_type, skip_certificate, connector_id, credential_id,
                 authority_id, pin, skip_until, skip_reason)
             VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
             RETURNING id",
            draft.name,
            fold(&draft.name),
            searched(draft),
            draft.enabled,
            draft.is_default,
            draft.sender.as_str(),
            draft.reply_to.as_ref().map(EmailAddress::as_str),
            destination.address.as_str(),
            i64::from(destination.port),
            destination.security.is_secure(),
            destination.security.kind().unwrap_or_default(),
            destination.security.skips_certificate(),
            destination.route.connector_id().map(|it| it.0),
            draft.credential_id.map(|it| it.0),
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
        Ok(SmtpId(id))
    }

    async fn change_smtp(
        &self,
        id: SmtpId,
        version: i64,
        draft: &SmtpDraft,
        audit: &[AuditEntry],
    ) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let destination = &draft.destination;
        check_references(&mut tx, destination, draft.credential_id).await?;
        check_version(&mut tx, id, version).await?;
        if draft.is_default {
            give_up_default(&mut tx, Some(id)).await?;
        }
        sqlx::query!(
            "UPDATE smtp_accounts
             SET version = version + 1, name = $1, name_folded = $2, search_folded = $3, enabled = $4, is_default = $5,
                 sender = $6, reply_to = $7, address = $8, port = $9, secure_connection = $10, connection_type = $11,
                 skip_certificate = $12, connector_id = $13, credential_id = $14, authority_id = $16, pin = $17,
                 skip_until = $18, skip_reason = $19
             WHERE id = $15",
            draft.name,
            fold(&draft.name),
            searched(draft),
            draft.enabled,
            draft.is_default,
            draft.sender.as_str(),
            draft.reply_to.as_ref().map(EmailAddress::as_str),
            destination.address.as_str(),
            i64::from(destination.port),
            destination.security.is_secure(),
            destination.security.kind().unwrap_or_default(),
            destination.security.skips_certificate(),
            destination.route.connector_id().map(|it| it.0),
            draft.credential_id.map(|it| it.0),
            id.0,
            destination.security.authority_id().map(|it| it.0),
            destination.security.pin().map(|it| it.to_string()),
            destination.security.skip_until().map(|it| it.0),
            draft.skip_reason
        )
        .execute(&mut *tx)
        .await
        .map_err(|it| taken(it, "name"))?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)?;
        Ok(version + 1)
    }

    async fn remove_smtp(&self, id: SmtpId, version: i64, audit: &[AuditEntry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        check_version(&mut tx, id, version).await?;
        sqlx::query!("DELETE FROM smtp_accounts WHERE id = $1", id.0).execute(&mut *tx).await.map_err(backend)?;
        audit::write(&mut tx, audit).await?;
        tx.commit().await.map_err(backend)
    }
}

fn searched(draft: &SmtpDraft) -> String {
    fold(&format!("{} {} {}", draft.name, draft.sender, draft.destination.address))
}

/// Whoever becomes the default takes that from the other.
async fn give_up_default(tx: &mut Tx, to: Option<SmtpId>) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE smtp_accounts SET is_default = FALSE, version = version + 1 WHERE is_default AND id <> $1",
        to.map_or(0, |it| it.0)
    )
    .execute(&mut **tx)
    .await
    .map_err(backend)?;
    Ok(())
}

async fn check_version(tx: &mut Tx, id: SmtpId, version: i64) -> Result<(), StoreError> {
    let current = sqlx::query_scalar!("SELECT version FROM smtp_accounts WHERE id = $1 FOR NO KEY UPDATE", id.0)
        .fetch_optional(&mut **tx)
        .await
        .map_err(backend)?;
    match current {
        None => Err(StoreError::NotFound),
        Some(current) if current != version => Err(StoreError::Conflict),
        Some(_) => Ok(()),
    }
}
