//! The audit log: who did what, when, from where, what was before and what is after.

use serde::{Deserialize, Serialize};

use crate::{ids::AuditId, page::PageRequest, query, time::Timestamp};

/// What happened, without words: the wording is chosen where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditAction {
    SignIn,
    SignInFailed,
    SignOut,
    UserAdded,
    TokenCreated,
    AccountAdded,
    AccountChanged,
    AccountRemoved,
    AccountRestored,
    AccountPurged,
    CredentialGranted,
    CredentialAdded,
    CredentialChanged,
    CredentialRemoved,
    ConnectorAdded,
    ConnectorChanged,
    ConnectorRemoved,
    ConnectorTested,
    HostKeyApproved,
    AgentCodeMade,
    AgentEnrolled,
    AgentApproved,
    AgentRemoved,
    AuthorityAdded,
    AuthorityChanged,
    AuthorityRemoved,
    CheckAsked,
    MessageOpened,
    ReportExported,
    OlderDeletionAsked,
    OlderDeletionCancelled,
    SmtpAdded,
    SmtpChanged,
    SmtpRemoved,
    SmtpTested,
    ScheduleAdded,
    ScheduleChanged,
    ScheduleRemoved,
    ScheduleRun,
    DeliveryRepeated,
    RemoteRetried,
    RemoteViewed,
    NoticesChanged,
    NoticesTested,
    ConnectionTested,
    OauthConsented,
    MasterKeyChanged,
    SecretsResealed,
    SettingsSought,
    /// A device code was asked for.
    DeviceStarted,
    /// A device code is not waited for any more.
    DeviceCancelled,
    /// A device code led to no consent.
    DeviceEnded,
}

impl AuditAction {
    pub const ALL: [Self; 52] = [
        Self::SignIn,
        Self::SignInFailed,
        Self::SignOut,
        Self::UserAdded,
        Self::TokenCreated,
        Self::AccountAdded,
        Self::AccountChanged,
        Self::AccountRemoved,
        Self::AccountRestored,
        Self::AccountPurged,
        Self::CredentialGranted,
        Self::CredentialAdded,
        Self::CredentialChanged,
        Self::CredentialRemoved,
        Self::ConnectorAdded,
        Self::ConnectorChanged,
        Self::ConnectorRemoved,
        Self::ConnectorTested,
        Self::HostKeyApproved,
        Self::AgentCodeMade,
        Self::AgentEnrolled,
        Self::AgentApproved,
        Self::AgentRemoved,
        Self::AuthorityAdded,
        Self::AuthorityChanged,
        Self::AuthorityRemoved,
        Self::CheckAsked,
        Self::MessageOpened,
        Self::ReportExported,
        Self::OlderDeletionAsked,
        Self::OlderDeletionCancelled,
        Self::SmtpAdded,
        Self::SmtpChanged,
        Self::SmtpRemoved,
        Self::SmtpTested,
        Self::ScheduleAdded,
        Self::ScheduleChanged,
        Self::ScheduleRemoved,
        Self::ScheduleRun,
        Self::DeliveryRepeated,
        Self::RemoteRetried,
        Self::RemoteViewed,
        Self::NoticesChanged,
        Self::NoticesTested,
        Self::ConnectionTested,
        Self::OauthConsented,
        Self::MasterKeyChanged,
        Self::SecretsResealed,
        Self::SettingsSought,
        Self::DeviceStarted,
        Self::DeviceCancelled,
        Self::DeviceEnded,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SignOut => "sign_out",
            Self::UserAdded => "user_added",
            Self::TokenCreated => "token_created",
            Self::AccountAdded => "account_added",
            Self::AccountChanged => "account_changed",
            Self::AccountRemoved => "account_removed",
            Self::AccountRestored => "account_restored",
            Self::AccountPurged => "account_purged",
            Self::CredentialGranted => "credential_granted",
            Self::CredentialAdded => "credential_added",
            Self::CredentialChanged => "credential_changed",
            Self::CredentialRemoved => "credential_removed",
            Self::ConnectorAdded => "connector_added",
            Self::ConnectorChanged => "connector_changed",
            Self::ConnectorRemoved => "connector_removed",
            Self::ConnectorTested => "connector_tested",
            Self::HostKeyApproved => "host_key_approved",
            Self::AgentCodeMade => "agent_code_made",
            Self::AgentEnrolled => "agent_enrolled",
            Self::AgentApproved => "agent_approved",
            Self::AgentRemoved => "agent_removed",
            Self::AuthorityAdded => "authority_added",
            Self::AuthorityChanged => "authority_changed",
            Self::AuthorityRemoved => "authority_removed",
            Self::CheckAsked => "check_asked",
            Self::MessageOpened => "message_opened",
            Self::ReportExported => "report_exported",
            Self::OlderDeletionAsked => "older_deletion_asked",
            Self::OlderDeletionCancelled => "older_deletion_cancelled",
            Self::SmtpAdded => "smtp_added",
            Self::SmtpChanged => "smtp_changed",
            Self::SmtpRemoved => "smtp_removed",
            Self::SmtpTested => "smtp_tested",
            Self::ScheduleAdded => "schedule_added",
            Self::ScheduleChanged => "schedule_changed",
            Self::ScheduleRemoved => "schedule_removed",
            Self::ScheduleRun => "schedule_run",
            Self::DeliveryRepeated => "delivery_repeated",
            Self::RemoteRetried => "remote_retried",
            Self::RemoteViewed => "remote_viewed",
            Self::NoticesChanged => "notices_changed",
            Self::NoticesTested => "notices_tested",
            Self::ConnectionTested => "connection_tested",
            Self::OauthConsented => "oauth_consented",
            Self::MasterKeyChanged => "master_key_changed",
            Self::SecretsResealed => "secrets_resealed",
            Self::SettingsSought => "settings_sought",
            Self::DeviceStarted => "device_started",
            Self::DeviceCancelled => "device_cancelled",
            Self::DeviceEnded => "device_ended",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub actor: String,
    pub origin: String,
    pub action: AuditAction,
    /// What it was done to: `account 7 "Invoices"`.
    pub subject: String,
    /// JSON of the record before; never a secret.
    pub before: Option<String>,
    /// JSON of the record after; never a secret.
    pub after: Option<String>,
}

/// An entry with its number, as the report lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    pub id: AuditId,
    pub entry: AuditEntry,
}

/// What the audit report asks for; newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// The actor's name begins so, without regard to case.
    pub actor: String,
    pub action: Option<AuditAction>,
    /// Anywhere in the subject.
    pub subject: String,
    pub page: PageRequest,
}

impl AuditQuery {
    /// Reads `actor`, `action`, `subject`, `page`; what is not understood is ignored.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut wanted = Self::default();
        for (key, value) in pairs {
            match key {
                "actor" => value.trim().clone_into(&mut wanted.actor),
                "action" => wanted.action = AuditAction::parse(value),
                "subject" => value.trim().clone_into(&mut wanted.subject),
                "page" => _ = query::page(&mut wanted.page, value),
                "page_size" => _ = query::page_size(&mut wanted.page, value),
                _ => {}
            }
        }
        wanted
    }

    pub fn to_query_string(&self) -> String {
        let mut pairs = Vec::new();
        let texts = [("actor", &self.actor), ("subject", &self.subject)];
        pairs.extend(texts.into_iter().filter(|(_, it)| !it.is_empty()).map(|(key, it)| (key, it.clone())));
        pairs.extend(self.action.map(|it| ("action", it.as_str().to_owned())));
        query::push_page(&mut pairs, self.page, PageRequest::default());
        query::encode(&pairs)
    }
}
