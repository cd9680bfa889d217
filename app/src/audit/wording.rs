//! The words of what can happen, and the pictures of records in a form that can be read.

use domain::audit::AuditAction;
use words::Words;

pub fn action(action: AuditAction, words: &Words) -> &'static str {
    let words = &words.audit;
    match action {
        AuditAction::SignIn => words.sign_in,
        AuditAction::SignInFailed => words.sign_in_failed,
        AuditAction::SignOut => words.sign_out,
        AuditAction::UserAdded => words.user_added,
        AuditAction::TokenCreated => words.token_created,
        AuditAction::AccountAdded => words.account_added,
        AuditAction::AccountChanged => words.account_changed,
        AuditAction::AccountRemoved => words.account_removed,
        AuditAction::AccountRestored => words.account_restored,
        AuditAction::AccountPurged => words.account_purged,
        AuditAction::CredentialGranted => words.credential_granted,
        AuditAction::CredentialAdded => words.credential_added,
        AuditAction::CredentialChanged => words.credential_changed,
        AuditAction::CredentialRemoved => words.credential_removed,
        AuditAction::ConnectorAdded => words.connector_added,
        AuditAction::ConnectorChanged => words.connector_changed,
        AuditAction::ConnectorRemoved => words.connector_removed,
        AuditAction::ConnectorTested => words.connector_tested,
        AuditAction::HostKeyApproved => words.host_key_approved,
        AuditAction::AgentCodeMade => words.agent_code_made,
        AuditAction::AgentEnrolled => words.agent_enrolled,
        AuditAction::AgentApproved => words.agent_approved,
        AuditAction::AgentRemoved => words.agent_removed,
        AuditAction::AuthorityAdded => words.authority_added,
        AuditAction::AuthorityChanged => words.authority_changed,
        AuditAction::AuthorityRemoved => words.authority_removed,
        AuditAction::CheckAsked => words.check_asked,
        AuditAction::MessageOpened => words.message_opened,
        AuditAction::ReportExported => words.report_exported,
        AuditAction::OlderDeletionAsked => words.older_deletion_asked,
        AuditAction::OlderDeletionCancelled => words.older_deletion_cancelled,
        AuditAction::SmtpAdded => words.smtp_added,
        AuditAction::SmtpChanged => words.smtp_changed,
        AuditAction::SmtpRemoved => words.smtp_removed,
        AuditAction::SmtpTested => words.smtp_tested,
        AuditAction::ScheduleAdded => words.schedule_added,
        AuditAction::ScheduleChanged => words.schedule_changed,
        AuditAction::ScheduleRemoved => words.schedule_removed,
        AuditAction::ScheduleRun => words.schedule_run,
        AuditAction::DeliveryRepeated => words.delivery_repeated,
        AuditAction::RemoteRetried => words.remote_retried,
        AuditAction::RemoteViewed => words.remote_viewed,
        AuditAction::NoticesChanged => words.notices_changed,
        AuditAction::NoticesTested => words.notices_tested,
        AuditAction::ConnectionTested => words.connection_tested,
        AuditAction::OauthConsented => words.oauth_consented,
        AuditAction::MasterKeyChanged => words.master_key_changed,
        AuditAction::SecretsResealed => words.secrets_resealed,
        AuditAction::SettingsSought => words.settings_sought,
        AuditAction::DeviceStarted => words.device_started,
        AuditAction::DeviceCancelled => words.device_cancelled,
        AuditAction::DeviceEnded => words.device_ended,
    }
}

/// The JSON of a record with one member a line; anything else as it is.
pub fn pretty(json: &str) -> String {
    let value: Result<serde_json::Value, _> = serde_json::from_str(json);
    value.and_then(|it| serde_json::to_string_pretty(&it)).unwrap_or_else(|_| json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_broken_into_lines_and_anything_else_is_left_alone() {
        assert_eq!(pretty(r#"{"a":1}"#), "{\n  \"a\": 1\n}");
        assert_eq!(pretty("no json"), "no json");
    }
}
