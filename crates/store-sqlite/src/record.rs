//! Rows as the database has them, before any rule of the domain was checked.

use domain::{
    account::{
        Account, AccountDraft, AccountRow, Address, Destination, Failure, Health, KeyPin, Protocol, Route, Security,
        Trust, User,
    },
    check::{CheckError, CheckRun, ErrorKind, Outcome},
    ids::{AccountId, AuthorityId, CheckRunId, ConnectorId, CredentialId, SmtpId},
    text::like_anywhere,
    time::{Day, Timestamp},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use service::ports::StoreError;
use sqlx::FromRow;

/// A row of `accounts`, also as an array of its columns in this order.
#[derive(Deserialize, FromRow)]
#[expect(clippy::struct_excessive_bools, reason = "the columns are what they are")]
pub(crate) struct AccountRecord {
    pub(crate) id: i64,
    pub(crate) version: i64,
    pub(crate) name: String,
    #[serde(deserialize_with = "flag")]
    pub(crate) keep_copy: bool,
    #[serde(deserialize_with = "flag")]
    pub(crate) automatic_check: bool,
    pub(crate) interval_s: i64,
    #[serde(deserialize_with = "flag")]
    pub(crate) enabled: bool,
    pub(crate) protocol: String,
    pub(crate) address: String,
    pub(crate) port: i64,
    #[serde(deserialize_with = "flag")]
    pub(crate) secure_connection: bool,
    pub(crate) connection_type: String,
    #[serde(deserialize_with = "flag")]
    pub(crate) skip_certificate: bool,
    pub(crate) connector_id: Option<i64>,
    pub(crate) credential_id: i64,
    pub(crate) deleted_at: Option<i64>,
    pub(crate) last_success_at: Option<i64>,
    pub(crate) next_check_at: Option<i64>,
    pub(crate) failure_kind: Option<String>,
    pub(crate) failure_message: Option<String>,
    pub(crate) failure_since: Option<i64>,
    pub(crate) n_failures: i64,
    #[serde(deserialize_with = "flag")]
    pub(crate) is_stopped: bool,
    #[serde(deserialize_with = "flag")]
    pub(crate) is_late: bool,
    pub(crate) hold_days: i64,
    #[serde(deserialize_with = "flag")]
    pub(crate) push: bool,
    pub(crate) authority_id: Option<i64>,
    pub(crate) pin: Option<String>,
    pub(crate) skip_until: Option<i64>,
    pub(crate) skip_reason: String,
}

/// Truth as SQLite keeps it.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    u8::deserialize(deserializer).map(|it| it != 0)
}

impl AccountRecord {
    fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt { table: "accounts", column, row: self.id }
    }

    fn protocol(&self) -> Result<Protocol, StoreError> {
        Protocol::parse(&self.protocol).ok_or_else(|| self.corrupt("protocol"))
    }

    fn port(&self) -> Result<u16, StoreError> {
        u16::try_from(self.port).map_err(|_| self.corrupt("port"))
    }

    fn security(&self) -> Result<Security, StoreError> {
        let trust = trust(self.skip_certificate, self.skip_until, self.authority_id, self.pin.as_deref());
        let trust = trust.ok_or_else(|| self.corrupt("pin"))?;
        Ok(Security::from_parts(self.secure_connection, Some(&self.connection_type), trust))
    }

    fn health(&self) -> Result<Health, StoreError> {
        let failure = match &self.failure_kind {
            None => None,
            Some(kind) => Some(Failure {
                kind: failure_kind(kind, self.id)?,
                message: self.failure_message.clone().unwrap_or_default(),
                since: Timestamp(self.failure_since.unwrap_or_default()),
                n_failures: u32::try_from(self.n_failures).map_err(|_| self.corrupt("n_failures"))?,
                is_stopped: self.is_stopped,
            }),
        };
        Ok(Health {
            last_success_at: self.last_success_at.map(Timestamp),
            next_check_at: self.next_check_at.map(Timestamp),
            failure,
            is_late: self.is_late,
        })
    }

    pub(crate) fn into_row(self) -> Result<AccountRow, StoreError> {
        Ok(AccountRow {
            id: AccountId(self.id),
            security: self.security()?,
            protocol: self.protocol()?,
            port: self.port()?,
            health: self.health()?,
            automatic_check: self.automatic_check,
            keep_copy: self.keep_copy,
            enabled: self.enabled,
            name: self.name,
        })
    }

    pub(crate) fn into_account(self) -> Result<Account, StoreError> {
        Ok(Account {
            id: AccountId(self.id),
            version: self.version,
            health: self.health()?,
            deleted_at: self.deleted_at.map(Timestamp),
            draft: AccountDraft {
                keep_copy: self.keep_copy,
                hold_days: u32::try_from(self.hold_days).map_err(|_| self.corrupt("hold_days"))?,
                push: self.push,
                automatic_check: self.automatic_check,
                interval_s: u32::try_from(self.interval_s).map_err(|_| self.corrupt("interval_s"))?,
                enabled: self.enabled,
                protocol: self.protocol()?,
                credential_id: CredentialId(self.credential_id),
                destination: Destination {
                    port: self.port()?,
                    security: self.security()?,
                    route: self.connector_id.map_or(Route::Direct, |it| Route::Connector(ConnectorId(it))),
                    address: Address::from_stored(self.address),
                },
                skip_reason: self.skip_reason,
                name: self.name,
            },
        })
    }
}

/// Whose certificates are accepted; `None` if the pin is none.
pub(crate) fn trust(skip: bool, until: Option<i64>, authority: Option<i64>, pin: Option<&str>) -> Option<Trust> {
    let pin = pin.map(KeyPin::parse).transpose().ok()?;
    Some(Trust::from_parts(skip, until.map(Day), authority.map(AuthorityId), pin))
}

/// A row of `check_runs`.
pub(crate) struct RunRecord {
    pub(crate) id: i64,
    pub(crate) account_id: i64,
    pub(crate) due_at: Option<i64>,
    pub(crate) started_at: i64,
    pub(crate) finished_at: Option<i64>,
    pub(crate) outcome: String,
    pub(crate) new_messages: i64,
    pub(crate) deleted_messages: i64,
    pub(crate) stages: String,
    pub(crate) error_kind: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) has_transcript: bool,
}

impl TryFrom<RunRecord> for CheckRun {
    type Error = StoreError;

    fn try_from(record: RunRecord) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { table: "check_runs", column, row: record.id };
        let error = match record.error_kind {
            None => None,
            Some(kind) => Some(CheckError {
                kind: ErrorKind::parse(&kind).ok_or_else(|| corrupt("error_kind"))?,
                message: record.error_message.unwrap_or_default(),
            }),
        };
        Ok(Self {
            id: CheckRunId(record.id),
            account_id: AccountId(record.account_id),
            due_at: record.due_at.map(Timestamp),
            started_at: Timestamp(record.started_at),
            finished_at: record.finished_at.map(Timestamp),
            outcome: Outcome::parse(&record.outcome).ok_or_else(|| corrupt("outcome"))?,
            new_messages: u64::try_from(record.new_messages).map_err(|_| corrupt("new_messages"))?,
            deleted_messages: u64::try_from(record.deleted_messages).map_err(|_| corrupt("deleted_messages"))?,
            stages: serde_json::from_str(&record.stages).map_err(|_| corrupt("stages"))?,
            error,
            has_transcript: record.has_transcript,
        })
    }
}

/// The kind of an account's failure.
pub(crate) fn failure_kind(text: &str, row: i64) -> Result<ErrorKind, StoreError> {
    ErrorKind::parse(text).ok_or(StoreError::Corrupt { table: "accounts", column: "failure_kind", row })
}

/// What SQLite packed into one JSON array. Row by row, each would cost a switch to the thread that holds the connection.
pub(crate) fn unpack<T: DeserializeOwned>(packed: &str) -> Result<Vec<T>, StoreError> {
    serde_json::from_str(packed).map_err(|it| StoreError::Backend(Box::new(it)))
}

/// Sizes that no column holds do not occur.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Counts are never negative in the database.
pub(crate) fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// What a union of tables names by its kind.
pub(crate) fn user(kind: &str, id: i64) -> User {
    match kind {
        "connector" => User::Connector(ConnectorId(id)),
        "smtp" => User::Smtp(SmtpId(id)),
        _ => User::Account(AccountId(id)),
    }
}

/// Text from outside as both databases can hold it: PostgreSQL takes no NUL, and one hostile subject must not stop a batch.
pub(crate) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A `LIKE` pattern that finds the text anywhere.
pub(crate) fn pattern(text: &str) -> String {
    like_anywhere(&clean(text))
}
