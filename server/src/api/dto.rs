//! The JSON of the interface. What comes in becomes the same form of texts that the screens post, so the same rules run on it.

use domain::{
    account::{Account, AccountForm, AccountRow, Route},
    check::{CheckError, CheckRun, ErrorKind, Outcome, Stage, StageRecord},
    connector::{Connector, ConnectorForm},
    credential::{Credential, CredentialForm, SecretInput},
    message::{Attachment, MessageContent, MessageRow},
    page::Page,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct List<T> {
    items: Vec<T>,
    total: u64,
    page: u32,
    page_size: u32,
}

impl<T> List<T> {
    pub(super) fn of<S>(page: Page<S>, item: impl FnMut(S) -> T) -> Self {
        let Page { items, total, page, page_size } = page.map(item);
        Self { items, total, page, page_size }
    }
}

/// A record as it was sent: any type a field, so that a wrong one is that field's problem and not the whole body's.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Body(serde_json::Map<String, Value>);

impl Body {
    pub(crate) fn of(fields: &serde_json::Map<String, Value>) -> Self {
        Self(fields.clone())
    }

    /// The field as the text of a form; empty if it is missing or null.
    pub(crate) fn text(&self, field: &str) -> String {
        match self.0.get(field) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    fn yes(&self, field: &str) -> String {
        if self.0.get(field) == Some(&Value::Bool(true)) { "yes".to_owned() } else { String::new() }
    }

    pub(crate) fn account(&self) -> AccountForm {
        AccountForm {
            name: self.text("name"),
            keep_copy: self.text("keep_copy"),
            automatic_check: self.text("automatic_check"),
            interval_s: self.text("interval_s"),
            enabled: self.text("enabled"),
            address: self.text("address"),
            port: self.text("port"),
            protocol: self.text("protocol"),
            use_network_connector: self.text("use_network_connector"),
            network_connector_id: self.text("network_connector_id"),
            credential_id: self.text("credential_id"),
            skip_certificate: self.text("skip_certificate"),
            secure_connection: self.text("secure_connection"),
            secure_connection_type: self.text("secure_connection_type"),
            version: self.text("version"),
            grant_credential: self.yes("grant_credential"),
        }
    }

    pub(crate) fn credential(&self) -> CredentialForm {
        CredentialForm {
            name: self.text("name"),
            username: self.text("username"),
            secret: SecretInput(self.text("secret")),
            version: self.text("version"),
        }
    }

    pub(crate) fn connector(&self) -> ConnectorForm {
        ConnectorForm {
            name: self.text("name"),
            kind: self.text("kind"),
            address: self.text("address"),
            port: self.text("port"),
            credential_id: self.text("credential_id"),
            version: self.text("version"),
            grant_credential: self.yes("grant_credential"),
        }
    }
}

/// What is sent to add or change an account. It is read field by field (see [`Body`]), so this stands here for its description.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct AccountIn {
    /// The version that was read; required on a change.
    version: Option<i64>,
    /// 1 to 120 characters, unique without regard to case.
    name: String,
    #[schema(default = true)]
    keep_copy: Option<bool>,
    #[schema(default = true)]
    automatic_check: Option<bool>,
    #[schema(default = true)]
    enabled: Option<bool>,
    /// Host name, IPv4 or IPv6 address.
    address: String,
    /// Left out: the standard port of protocol and security.
    port: Option<u16>,
    #[schema(examples("imap", "pop3"))]
    protocol: String,
    #[schema(default = false)]
    use_network_connector: Option<bool>,
    network_connector_id: Option<i64>,
    credential_id: i64,
    #[schema(default = false)]
    skip_certificate: Option<bool>,
    #[schema(default = true)]
    secure_connection: Option<bool>,
    #[schema(default = "ssl", examples("ssl", "tls"))]
    secure_connection_type: Option<String>,
    #[schema(default = 300, minimum = 60, maximum = 86400)]
    interval_s: Option<u32>,
    /// The credential may be sent to a changed address, port, security or connector.
    grant_credential: Option<bool>,
}

/// What is sent to add or change a credential.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct CredentialIn {
    version: Option<i64>,
    name: String,
    username: String,
    /// Only ever written; left out on a change, the stored one stays.
    secret: Option<String>,
}

/// What is sent to add or change a network connector.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct ConnectorIn {
    version: Option<i64>,
    name: String,
    #[schema(examples("socks5", "http_connect"))]
    kind: String,
    address: String,
    port: Option<u16>,
    credential_id: Option<i64>,
    /// The credentials of the accounts behind it may travel by the changed connector.
    grant_credential: Option<bool>,
}

/// An account, whole.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the interface has these")]
pub(crate) struct AccountOut {
    id: i64,
    version: i64,
    name: String,
    keep_copy: bool,
    automatic_check: bool,
    enabled: bool,
    address: String,
    port: u16,
    protocol: &'static str,
    use_network_connector: bool,
    network_connector_id: Option<i64>,
    credential_id: i64,
    skip_certificate: bool,
    secure_connection: bool,
    secure_connection_type: Option<&'static str>,
    interval_s: u32,
}

impl From<Account> for AccountOut {
    fn from(account: Account) -> Self {
        let draft = account.draft;
        let destination = draft.destination;
        Self {
            id: account.id.0,
            version: account.version,
            name: draft.name,
            keep_copy: draft.keep_copy,
            automatic_check: draft.automatic_check,
            enabled: draft.enabled,
            address: destination.address.to_string(),
            port: destination.port,
            protocol: draft.protocol.as_str(),
            use_network_connector: destination.route != Route::Direct,
            network_connector_id: destination.route.connector_id().map(|it| it.0),
            credential_id: draft.credential_id.0,
            skip_certificate: destination.security.skips_certificate(),
            secure_connection: destination.security.is_secure(),
            secure_connection_type: destination.security.kind(),
            interval_s: draft.interval_s,
        }
    }
}

/// An account in a list.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the interface has these")]
pub(crate) struct AccountItem {
    id: i64,
    name: String,
    keep_copy: bool,
    automatic_check: bool,
    enabled: bool,
    port: u16,
    protocol: &'static str,
    skip_certificate: bool,
    secure_connection: bool,
    secure_connection_type: Option<&'static str>,
    last_success_at: Option<String>,
    next_check_at: Option<String>,
    error: Option<ErrorOut>,
}

impl From<AccountRow> for AccountItem {
    fn from(row: AccountRow) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            keep_copy: row.keep_copy,
            automatic_check: row.automatic_check,
            enabled: row.enabled,
            port: row.port,
            protocol: row.protocol.as_str(),
            skip_certificate: row.security.skips_certificate(),
            secure_connection: row.security.is_secure(),
            secure_connection_type: row.security.kind(),
            last_success_at: row.health.last_success_at.map(|it| it.to_string()),
            next_check_at: row.health.next_check_at.map(|it| it.to_string()),
            error: row.health.failure.map(|it| ErrorOut { kind: it.kind, message: it.message }),
        }
    }
}

/// A credential; its secret is never part of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct CredentialOut {
    id: i64,
    version: i64,
    name: String,
    username: String,
    secret_set_at: String,
    used_by: u64,
}

impl From<Credential> for CredentialOut {
    fn from(it: Credential) -> Self {
        Self {
            id: it.id.0,
            version: it.version,
            name: it.name,
            username: it.username,
            secret_set_at: it.secret_set_at.to_string(),
            used_by: it.n_uses,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorOut {
    id: i64,
    version: i64,
    name: String,
    kind: &'static str,
    address: String,
    port: u16,
    credential_id: Option<i64>,
    used_by: u64,
}

impl From<Connector> for ConnectorOut {
    fn from(it: Connector) -> Self {
        Self {
            id: it.id.0,
            version: it.version,
            name: it.draft.name,
            kind: it.draft.kind.as_str(),
            address: it.draft.address.to_string(),
            port: it.draft.port,
            credential_id: it.draft.credential_id.map(|it| it.0),
            used_by: it.n_uses,
        }
    }
}

/// What one stage of a check did.
#[derive(Serialize, ToSchema)]
pub(crate) struct StageOut {
    #[schema(value_type = String, examples("resolve", "connector", "connect", "tls", "greeting", "authenticate"))]
    stage: Stage,
    ok: bool,
    ms: u64,
    detail: String,
}

impl From<StageRecord> for StageOut {
    fn from(it: StageRecord) -> Self {
        Self { stage: it.stage, ok: it.ok, ms: it.ms, detail: it.detail }
    }
}

/// Why a check failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorOut {
    #[schema(value_type = String, examples("authentication", "timeout", "certificate"))]
    kind: ErrorKind,
    message: String,
}

impl From<CheckError> for ErrorOut {
    fn from(it: CheckError) -> Self {
        Self { kind: it.kind, message: it.message }
    }
}

/// A check run.
#[derive(Serialize, ToSchema)]
pub(crate) struct Run {
    id: i64,
    account_id: i64,
    started_at: String,
    finished_at: Option<String>,
    #[schema(value_type = String, examples("running", "ok", "partial", "failed"))]
    outcome: Outcome,
    new_messages: u64,
    deleted_messages: u64,
    stages: Vec<StageOut>,
    error: Option<ErrorOut>,
}

impl From<CheckRun> for Run {
    fn from(it: CheckRun) -> Self {
        Self {
            id: it.id.0,
            account_id: it.account_id.0,
            started_at: it.started_at.to_string(),
            finished_at: it.finished_at.map(|it| it.to_string()),
            outcome: it.outcome,
            new_messages: it.new_messages,
            deleted_messages: it.deleted_messages,
            stages: it.stages.into_iter().map(StageOut::from).collect(),
            error: it.error.map(ErrorOut::from),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct MessageItem {
    id: i64,
    account_id: i64,
    subject: String,
    from: String,
    date: Option<String>,
    received_at: String,
    size: u64,
    attachments: u32,
    seen: bool,
}

impl From<MessageRow> for MessageItem {
    fn from(it: MessageRow) -> Self {
        Self {
            id: it.id.0,
            account_id: it.account_id.0,
            subject: it.subject,
            from: it.from,
            date: it.date.map(|it| it.to_string()),
            received_at: it.received_at.to_string(),
            size: it.size,
            attachments: it.n_attachments,
            seen: it.seen,
        }
    }
}

/// An attachment without its bytes; its name is a stranger's.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttachmentOut {
    index: u32,
    name: String,
    content_type: String,
    size: u64,
}

impl From<Attachment> for AttachmentOut {
    fn from(it: Attachment) -> Self {
        Self { index: it.index, name: it.name, content_type: it.content_type, size: it.size }
    }
}

/// A message, opened.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageOut {
    #[serde(flatten)]
    item: MessageItem,
    to: String,
    cc: String,
    text: String,
    has_html: bool,
    headers: Vec<(String, String)>,
    attachment_list: Vec<AttachmentOut>,
    is_unreadable: bool,
}

impl From<MessageContent> for MessageOut {
    fn from(it: MessageContent) -> Self {
        Self {
            item: it.row.into(),
            to: it.to,
            cc: it.cc,
            text: it.text,
            has_html: it.has_html,
            headers: it.headers,
            attachment_list: it.attachments.into_iter().map(AttachmentOut::from).collect(),
            is_unreadable: it.is_unreadable,
        }
    }
}
