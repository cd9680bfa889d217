//! The JSON of the interface. What comes in becomes the same form of texts that the screens post, so the same rules run on it.

use domain::{
    account::{Account, AccountForm, AccountQuery, Route, Trust},
    authority::{Authority, AuthorityForm, AuthorityRow},
    check::{CheckError, CheckRun, ErrorKind, Outcome, Stage, StageRecord},
    connector::{Connector, ConnectorForm, ConnectorTest, TestForm},
    credential::{Credential, CredentialForm, SecretInput},
    message::{Attachment, MessageContent, MessageRow},
    notices::NoticesForm,
    page::Page,
    problem::{Problem, Rule},
    schedule::{
        Delivery, DeliveryState, Format, MonthDay, Recurrence, ReportFile, ReportRun, RunOutcome, Schedule,
        ScheduleDraft, ScheduleForm, TimeOfDay, Weekday,
    },
    smtp::{Smtp, SmtpForm, SmtpTest},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::Error;
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
            hold_days: self.text("hold_days"),
            push: self.text("push"),
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
            skip_reason: self.text("skip_reason"),
            skip_until: self.text("skip_until"),
            trust: self.text("trust"),
            ca_id: self.text("ca_id"),
            pin: self.text("pin"),
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
            private_key: SecretInput::default(),
            secret_ends_on: self.0.contains_key("secret_ends_on").then(|| self.text("secret_ends_on")),
            version: self.text("version"),
        }
    }

    pub(crate) fn authority(&self) -> AuthorityForm {
        AuthorityForm {
            name: self.text("name"),
            pem: self.text("pem"),
            version: self.text("version"),
            grant_credential: self.yes("grant_credential"),
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

/// Lists, objects and what they hold, for records that are more than texts.
impl Body {
    pub(super) fn connector_test(&self) -> TestForm {
        TestForm { address: self.text("address"), port: self.text("port") }
    }

    fn texts(&self, field: &str) -> Vec<String> {
        let items = self.0.get(field).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A list as the text of a form that separates by spaces; a text that came instead is one already.
    fn listed(&self, field: &str) -> String {
        let Some(Value::Array(items)) = self.0.get(field) else { return self.text(field) };
        let texts = items.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
        texts.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn notices(&self) -> NoticesForm {
        NoticesForm {
            enabled: self.text("enabled"),
            recipients: self.listed("recipients"),
            webhook: self.text("webhook"),
            after_minutes: self.text("after_minutes"),
            language: self.text("language"),
        }
    }

    pub(crate) fn smtp(&self) -> SmtpForm {
        SmtpForm {
            name: self.text("name"),
            enabled: self.text("enabled"),
            default: self.text("default"),
            sender: self.text("sender"),
            reply_to: self.text("reply_to"),
            address: self.text("address"),
            port: self.text("port"),
            use_network_connector: self.text("use_network_connector"),
            network_connector_id: self.text("network_connector_id"),
            credential_id: self.text("credential_id"),
            skip_certificate: self.text("skip_certificate"),
            skip_reason: self.text("skip_reason"),
            skip_until: self.text("skip_until"),
            trust: self.text("trust"),
            ca_id: self.text("ca_id"),
            pin: self.text("pin"),
            secure_connection: self.text("secure_connection"),
            secure_connection_type: self.text("secure_connection_type"),
            version: self.text("version"),
            grant_credential: self.yes("grant_credential"),
        }
    }

    /// The form, or every problem with it: a filter, a sort, a day or a format that there is not would be dropped from a form in silence.
    pub(crate) fn schedule(&self) -> Result<ScheduleForm, Error> {
        let part = |field: &str| Self(self.0.get(field).and_then(Value::as_object).cloned().unwrap_or_default());
        let (filter, recurrence) = (part("filter"), part("recurrence"));
        let mut pairs: Vec<_> = filter.0.keys().map(|key| (key.as_str(), filter.text(key))).collect();
        pairs.push(("sort", self.text("sort")));
        let (formats, days) = (self.texts("formats"), recurrence.texts("days"));
        let format = |it: &str| if formats.iter().any(|format| format == it) { "yes" } else { "" }.to_owned();
        let mut form = ScheduleForm {
            name: self.text("name"),
            query: domain::query::encode(&pairs),
            recurrence: recurrence.text("kind"),
            month_day: recurrence.text("day"),
            expression: recurrence.text("expression"),
            time: self.text("time"),
            zone: self.text("zone"),
            csv: format("csv"),
            pdf: format("pdf"),
            html: format("html"),
            recipients: self.texts("recipients").join(" "),
            language: self.text("language"),
            only_when_changed: self.text("only_when_changed"),
            enabled: self.text("enabled"),
            version: self.text("version"),
            ..ScheduleForm::default()
        };
        for day in Weekday::ALL.into_iter().filter(|it| days.iter().any(|day| day == it.as_str())) {
            "yes".clone_into(form.day(day));
        }
        let mut problems = strangers(&pairs);
        let is_filter = matches!(self.0.get("filter"), None | Some(Value::Null | Value::Object(_)));
        if !is_filter || filter.0.keys().any(|it| !FILTERS.contains(&it.as_str())) {
            problems.push(Problem::new("filter", Rule::NotAnOption));
        }
        if days.iter().any(|it| Weekday::ALL.iter().all(|day| day.as_str() != it)) {
            problems.push(Problem::new("recurrence", Rule::NotAnOption));
        }
        if formats.iter().any(|it| !["csv", "pdf", "html"].contains(&it.as_str())) {
            problems.push(Problem::new("formats", Rule::NotAnOption));
        }
        if problems.is_empty() {
            return Ok(form);
        }
        problems.extend(ScheduleDraft::try_from(&form).err().unwrap_or_default());
        Err(Error::Invalid(problems))
    }
}

/// What a schedule's filter may say.
const FILTERS: [&str; 7] =
    ["name", "secure_connection", "automatic_check", "keep_copy", "skip_certificate", "status", "health"];

/// A problem for each parameter of a list of accounts that is none, or whose value is none. Page and page size are taken as near as
/// they come.
pub(super) fn strangers(pairs: &[(impl AsRef<str>, String)]) -> Vec<Problem> {
    let (_, ignored) = AccountQuery::from_pairs(pairs.iter().map(|(key, value)| (key.as_ref(), value.as_str())));
    let ignored = ignored.iter().filter(|it| !["page", "page_size"].contains(&it.as_str()));
    ignored.map(|it| Problem::new(it, Rule::NotAnOption)).collect()
}

/// What is sent to add or change a way to send mail.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct SmtpIn {
    version: Option<i64>,
    name: String,
    #[schema(default = true)]
    enabled: Option<bool>,
    /// Reports are sent by the default one; taking it takes it from the other.
    #[schema(default = false)]
    default: Option<bool>,
    sender: String,
    reply_to: Option<String>,
    address: String,
    /// Left out: the standard port of the security.
    port: Option<u16>,
    use_network_connector: Option<bool>,
    network_connector_id: Option<i64>,
    credential_id: Option<i64>,
    skip_certificate: Option<bool>,
    skip_reason: Option<String>,
    /// The last day on which the certificate is skipped; left out: no end.
    skip_until: Option<String>,
    #[schema(default = "system", examples("system", "ca", "pin"))]
    trust: Option<String>,
    /// With trust `ca`: the certificate authority.
    ca_id: Option<i64>,
    /// With trust `pin`: the key's fingerprint.
    pin: Option<String>,
    #[schema(default = true)]
    secure_connection: Option<bool>,
    #[schema(examples("ssl", "tls"))]
    secure_connection_type: Option<String>,
    /// The credential may be sent to a changed destination.
    grant_credential: Option<bool>,
}

/// A way to send mail.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the interface has these")]
pub(crate) struct SmtpOut {
    id: i64,
    version: i64,
    name: String,
    enabled: bool,
    default: bool,
    sender: String,
    reply_to: Option<String>,
    address: String,
    port: u16,
    use_network_connector: bool,
    network_connector_id: Option<i64>,
    credential_id: Option<i64>,
    skip_certificate: bool,
    skip_reason: Option<String>,
    skip_until: Option<String>,
    #[schema(examples("system", "ca", "pin"))]
    trust: &'static str,
    ca_id: Option<i64>,
    pin: Option<String>,
    secure_connection: bool,
    secure_connection_type: Option<&'static str>,
}

impl From<Smtp> for SmtpOut {
    fn from(it: Smtp) -> Self {
        let destination = it.draft.destination;
        Self {
            id: it.id.0,
            version: it.version,
            name: it.draft.name,
            enabled: it.draft.enabled,
            default: it.draft.is_default,
            sender: it.draft.sender.to_string(),
            reply_to: it.draft.reply_to.map(|it| it.to_string()),
            address: destination.address.to_string(),
            port: destination.port,
            use_network_connector: destination.route != Route::Direct,
            network_connector_id: destination.route.connector_id().map(|it| it.0),
            credential_id: it.draft.credential_id.map(|it| it.0),
            skip_certificate: destination.security.skips_certificate(),
            skip_reason: Some(it.draft.skip_reason).filter(|it| !it.is_empty()),
            skip_until: destination.security.skip_until().map(|it| it.to_string()),
            trust: destination.security.trust().unwrap_or(Trust::System).kind(),
            ca_id: destination.security.authority_id().map(|it| it.0),
            pin: destination.security.pin().map(|it| it.to_string()),
            secure_connection: destination.security.is_secure(),
            secure_connection_type: destination.security.kind(),
        }
    }
}

/// To whom a test message goes.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct TestIn {
    recipient: String,
}

/// How a test message went.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestOut {
    stages: Vec<StageOut>,
    error: Option<ErrorOut>,
}

impl From<SmtpTest> for TestOut {
    fn from(it: SmtpTest) -> Self {
        Self { stages: it.stages.into_iter().map(StageOut::from).collect(), error: it.error.map(ErrorOut::from) }
    }
}

/// What is sent to add or change a scheduled report; what comes back has an id, a version and the next run too.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleOut {
    id: i64,
    version: i64,
    name: String,
    #[schema(value_type = Object, example = json!({"name": "bill", "status": "enabled"}))]
    filter: Value,
    #[schema(examples("name", "-port"))]
    sort: String,
    #[schema(value_type = Object, example = json!({"kind": "weekly", "days": ["monday"]}))]
    recurrence: Value,
    #[schema(value_type = String, examples("08:00"))]
    time: TimeOfDay,
    #[schema(examples("America/Sao_Paulo"))]
    zone: String,
    #[schema(value_type = Vec<String>, examples("csv", "pdf", "html"))]
    formats: Vec<Format>,
    recipients: Vec<String>,
    language: String,
    only_when_changed: bool,
    enabled: bool,
    next_run_at: Option<String>,
}

impl From<Schedule> for ScheduleOut {
    fn from(it: Schedule) -> Self {
        let draft = it.draft;
        let filter = domain::query::decode(&draft.query.to_query_string());
        let filter = filter.into_iter().filter(|(key, _)| key != "sort").map(|(key, value)| {
            let value = match value.as_str() {
                "true" if key != "name" => Value::Bool(true),
                "false" if key != "name" => Value::Bool(false),
                _ => Value::String(value),
            };
            (key, value)
        });
        Self {
            id: it.id.0,
            version: it.version,
            name: draft.name,
            filter: Value::Object(filter.collect()),
            sort: draft.query.sort.to_param(),
            recurrence: recurrence(&draft.timing.recurrence),
            time: draft.timing.time,
            zone: draft.timing.zone,
            formats: draft.formats,
            recipients: draft.recipients.iter().map(ToString::to_string).collect(),
            language: draft.language,
            only_when_changed: draft.only_when_changed,
            enabled: draft.enabled,
            next_run_at: it.next_run_at.map(|it| it.to_string()),
        }
    }
}

fn recurrence(it: &Recurrence) -> Value {
    let kind = it.kind();
    match it {
        Recurrence::Daily | Recurrence::Weekdays => json!({"kind": kind}),
        Recurrence::Weekly { days } => {
            json!({"kind": kind, "days": days.iter().map(|it| it.as_str()).collect::<Vec<_>>()})
        }
        Recurrence::Monthly { day: MonthDay::Last } => json!({"kind": kind, "day": "last"}),
        Recurrence::Monthly { day: MonthDay::Day(day) } => json!({"kind": kind, "day": day}),
        Recurrence::Cron { expression } => json!({"kind": kind, "expression": expression}),
    }
}

/// A file that a run made.
#[derive(Serialize, ToSchema)]
pub(crate) struct FileOut {
    #[schema(value_type = String, examples("csv", "pdf", "html"))]
    format: Format,
    name: String,
    size: u64,
}

/// What became of the mail to one recipient.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeliveryOut {
    id: i64,
    recipient: String,
    #[schema(value_type = String, examples("waiting", "sending", "sent", "uncertain", "failed"))]
    state: DeliveryState,
    attempts: u32,
    next_attempt_at: Option<String>,
    at: String,
    detail: String,
    message_id: String,
}

/// One run of a schedule.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportRunOut {
    id: i64,
    schedule_id: i64,
    due_at: String,
    started_at: String,
    finished_at: Option<String>,
    #[schema(value_type = String, examples("running", "sent", "unchanged", "partial", "failed"))]
    outcome: RunOutcome,
    asked_by: Option<String>,
    rows: Option<u64>,
    changes: Option<u64>,
    detail: String,
    files: Vec<FileOut>,
    deliveries: Vec<DeliveryOut>,
}

impl From<ReportRun> for ReportRunOut {
    fn from(it: ReportRun) -> Self {
        let delivery = |it: Delivery| DeliveryOut {
            id: it.id.0,
            recipient: it.recipient,
            state: it.state,
            attempts: it.n_attempts,
            next_attempt_at: it.next_attempt_at.map(|it| it.to_string()),
            at: it.at.to_string(),
            detail: it.detail,
            message_id: it.message_id,
        };
        let file = |it: ReportFile| FileOut { format: it.format, name: it.name, size: it.size };
        Self {
            id: it.id.0,
            schedule_id: it.schedule_id.0,
            due_at: it.due_at.to_string(),
            started_at: it.started_at.to_string(),
            finished_at: it.finished_at.map(|it| it.to_string()),
            outcome: it.outcome,
            asked_by: it.asked_by,
            rows: it.n_rows,
            changes: it.n_changes,
            detail: it.detail,
            files: it.files.into_iter().map(file).collect(),
            deliveries: it.deliveries.into_iter().map(delivery).collect(),
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
    /// Without a copy kept: days that a message stays on the server after it was stored; 0 deletes with the same check.
    #[schema(default = 0, minimum = 0, maximum = 365)]
    hold_days: Option<u32>,
    #[schema(default = true)]
    automatic_check: Option<bool>,
    /// IMAP only: stay connected and let the server tell of new mail (IDLE).
    #[schema(default = false)]
    push: Option<bool>,
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
    skip_reason: Option<String>,
    /// The last day on which the certificate is skipped; left out: no end.
    #[schema(examples("2026-12-31"))]
    skip_until: Option<String>,
    #[schema(default = "system", examples("system", "ca", "pin"))]
    trust: Option<String>,
    /// With trust `ca`: the certificate authority.
    ca_id: Option<i64>,
    /// With trust `pin`: the key's fingerprint.
    #[schema(examples("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="))]
    pin: Option<String>,
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
    /// The day on which the secret ends where it was given: `2027-01-31`. Left out on a change, it stays as long as the secret.
    secret_ends_on: Option<String>,
}

/// What is sent to add or change a network connector.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct ConnectorIn {
    version: Option<i64>,
    name: String,
    #[schema(examples("socks5", "http_connect", "ssh", "agent"))]
    kind: String,
    /// Of kind `agent`, whoever dials is the agent: address, port and credential are not looked at.
    address: Option<String>,
    port: Option<u16>,
    credential_id: Option<i64>,
    /// The credentials of the accounts behind it may travel by the changed connector.
    grant_credential: Option<bool>,
}

/// What is sent to add or change a certificate authority.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct AuthorityIn {
    version: Option<i64>,
    name: String,
    /// Certificates in PEM, and revocation lists if it has any.
    pem: String,
    /// The credentials of the accounts that trust it may be sent to whom it vouches for now.
    grant_credential: Option<bool>,
}

/// A certificate authority in a list.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthorityItem {
    id: i64,
    version: i64,
    name: String,
    /// Of the first certificate.
    subject: String,
    /// SHA-256 of the certificates.
    fingerprint: String,
    certificates: u32,
    /// When the first of them expires.
    expires_at: String,
    used_by: u64,
}

impl From<AuthorityRow> for AuthorityItem {
    fn from(it: AuthorityRow) -> Self {
        Self {
            id: it.id.0,
            version: it.version,
            name: it.name,
            subject: it.facts.subject,
            fingerprint: it.facts.fingerprint,
            certificates: it.facts.n_certificates,
            expires_at: it.facts.expires_at.to_string(),
            used_by: it.n_uses,
        }
    }
}

/// A certificate authority, whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuthorityOut {
    #[serde(flatten)]
    item: AuthorityItem,
    pem: String,
}

impl From<Authority> for AuthorityOut {
    fn from(it: Authority) -> Self {
        Self { item: it.row.into(), pem: it.pem }
    }
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
    skip_reason: Option<String>,
    skip_until: Option<String>,
    #[schema(examples("system", "ca", "pin"))]
    trust: &'static str,
    ca_id: Option<i64>,
    pin: Option<String>,
    secure_connection: bool,
    secure_connection_type: Option<&'static str>,
    interval_s: u32,
    hold_days: u32,
    push: bool,
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
            skip_reason: Some(draft.skip_reason).filter(|it| !it.is_empty()),
            skip_until: destination.security.skip_until().map(|it| it.to_string()),
            trust: destination.security.trust().unwrap_or(Trust::System).kind(),
            ca_id: destination.security.authority_id().map(|it| it.0),
            pin: destination.security.pin().map(|it| it.to_string()),
            secure_connection: destination.security.is_secure(),
            secure_connection_type: destination.security.kind(),
            interval_s: draft.interval_s,
            hold_days: draft.hold_days,
            push: draft.push,
        }
    }
}

/// An account in a list: whole, and how its checks go.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountItem {
    #[serde(flatten)]
    account: AccountOut,
    last_success_at: Option<String>,
    next_check_at: Option<String>,
    #[schema(examples("good", "never_checked", "late", "failing", "stopped"))]
    health: &'static str,
    /// The last success is longer ago than it should be, for whatever reason.
    late: bool,
    error: Option<ErrorOut>,
}

impl From<Account> for AccountItem {
    fn from(account: Account) -> Self {
        let health = account.health.clone();
        Self {
            account: account.into(),
            health: health.state().as_str(),
            late: health.is_late,
            last_success_at: health.last_success_at.map(|it| it.to_string()),
            next_check_at: health.next_check_at.map(|it| it.to_string()),
            error: health.failure.map(|it| ErrorOut { kind: it.kind, message: it.message }),
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
    /// `password` or `oauth`.
    kind: &'static str,
    /// When a server let it in last, exact to a minute; of a new secret, nothing until one does.
    last_accepted_at: Option<String>,
    /// The day on which the secret ends where it was given, if somebody said.
    secret_ends_on: Option<String>,
    /// Of the access token, which is renewed before; so are the next two of `oauth` alone.
    token_expires_at: Option<String>,
    /// Of the refresh token, if the provider says when it ends.
    consent_ends_at: Option<String>,
    #[schema(examples("never", "ok", "needs_person"))]
    token_state: Option<&'static str>,
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
            kind: if it.is_oauth { "oauth" } else { "password" },
            last_accepted_at: it.last_accepted_at.map(|it| it.to_string()),
            secret_ends_on: it.secret_ends_on.map(|it| it.to_string()),
            token_expires_at: it.tokens.and_then(|it| it.expires_at).map(|it| it.to_string()),
            consent_ends_at: it.tokens.and_then(|it| it.consent_ends_at).map(|it| it.to_string()),
            token_state: it.tokens.map(|it| it.state.as_str()),
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
    /// Empty for kind `agent`.
    address: String,
    /// 0 for kind `agent`.
    port: u16,
    credential_id: Option<i64>,
    /// SSH: the fingerprint of the key that was approved for the server.
    host_key: Option<String>,
    last_ok_at: Option<String>,
    last_error_at: Option<String>,
    last_error: Option<String>,
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
            host_key: it.host_key.map(|it| it.to_string()),
            last_ok_at: it.contact.last_ok_at.map(|it| it.to_string()),
            last_error_at: it.contact.last_error_at.map(|it| it.to_string()),
            last_error: it.contact.last_error,
            used_by: it.n_uses,
        }
    }
}

/// Where the test of a connector goes; without both, to the first account's server.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct ConnectorTestIn {
    address: Option<String>,
    port: Option<u16>,
}

/// How the test of a connector went.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectorTestOut {
    /// What was gone to behind the connector.
    target: Option<String>,
    stages: Vec<StageOut>,
    error: Option<ErrorOut>,
    /// SSH: the fingerprint of the key that the server showed.
    host_key: Option<String>,
    /// The server showed another key than the approved one, or none is approved yet.
    needs_approval: bool,
}

impl From<ConnectorTest> for ConnectorTestOut {
    fn from(it: ConnectorTest) -> Self {
        Self {
            target: it.target,
            stages: it.stages.into_iter().map(StageOut::from).collect(),
            error: it.error.map(ErrorOut::from),
            host_key: it.host_key.map(|it| it.to_string()),
            needs_approval: it.needs_approval,
        }
    }
}

/// The key that an SSH server may show from now on.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the interface")]
pub(crate) struct HostKeyIn {
    version: i64,
    #[schema(examples("SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDhzZd3dzgYt0CZvcs"))]
    host_key: String,
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
    /// Null for one that was asked for.
    due_at: Option<String>,
    started_at: String,
    finished_at: Option<String>,
    #[schema(value_type = String, examples("running", "ok", "partial", "failed"))]
    outcome: Outcome,
    new_messages: u64,
    deleted_messages: u64,
    stages: Vec<StageOut>,
    error: Option<ErrorOut>,
    has_transcript: bool,
}

impl From<CheckRun> for Run {
    fn from(it: CheckRun) -> Self {
        Self {
            id: it.id.0,
            account_id: it.account_id.0,
            due_at: it.due_at.map(|it| it.to_string()),
            started_at: it.started_at.to_string(),
            finished_at: it.finished_at.map(|it| it.to_string()),
            outcome: it.outcome,
            new_messages: it.new_messages,
            deleted_messages: it.deleted_messages,
            stages: it.stages.into_iter().map(StageOut::from).collect(),
            error: it.error.map(ErrorOut::from),
            has_transcript: it.has_transcript,
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
    /// The first 300.
    headers: Vec<(String, String)>,
    /// How many fields stand behind those.
    n_more_headers: u32,
    attachment_list: Vec<AttachmentOut>,
    is_unreadable: bool,
    /// Only the header fields were read; `/raw` has all of it.
    is_too_large: bool,
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
            n_more_headers: it.n_more_headers,
            attachment_list: it.attachments.into_iter().map(AttachmentOut::from).collect(),
            is_unreadable: it.is_unreadable,
            is_too_large: it.is_too_large,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(body: Value) -> Result<ScheduleForm, Vec<String>> {
        let body: Body = serde_json::from_value(body).unwrap();
        body.schedule().map_err(|it| match it {
            Error::Invalid(problems) => problems.into_iter().map(|it| it.field).collect(),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn what_a_schedule_cannot_mean_is_a_problem_and_not_dropped() {
        let good = json!({
            "name": "Morning", "filter": {"name": "a&b", "status": "enabled", "keep_copy": false}, "sort": "-port",
            "recurrence": {"kind": "weekly", "days": ["monday"]}, "time": "08:00", "zone": "UTC", "formats": ["csv"],
            "recipients": ["ana@example.org"], "language": "en",
        });
        assert_eq!(schedule(good.clone()).unwrap().query, "keep_copy=false&name=a%26b&status=enabled&sort=-port");
        let bad = [
            ("filter", json!({"status": "disabld"}), "status"),
            ("filter", json!({"keep_copy": "nope"}), "keep_copy"),
            ("filter", json!({"stat": "enabled"}), "filter"),
            ("filter", json!("enabled"), "filter"),
            ("sort", json!("-bogus"), "sort"),
            ("recurrence", json!({"kind": "weekly", "days": ["monday", "xx"]}), "recurrence"),
            ("formats", json!(["csv", "doc"]), "formats"),
        ];
        for (field, value, expected) in bad {
            let mut body = good.clone();
            body[field] = value;
            assert_eq!(schedule(body.clone()).unwrap_err(), [expected], "{body}");
        }
        let mut body = good;
        (body["sort"], body["time"]) = (json!("bogus"), json!("25:00"));
        assert_eq!(schedule(body).unwrap_err(), ["sort", "time"], "all at once");
    }
}
