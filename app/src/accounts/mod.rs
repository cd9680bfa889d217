//! The screens of accounts: the report, the form, what was deleted.

pub mod api;
pub mod deleted;
pub mod filters;
pub mod form;
pub mod health;
pub mod report;
pub mod trust;

/// Where the report is; everything else of accounts is below.
pub const PATH: &str = "/settings/email/imap-pop3";

/// The label of a field of the form, by its name in the JSON interface.
pub fn label(field: &str) -> &'static str {
    let (words, trust) = (&crate::context::words().accounts, &crate::context::words().trust);
    match field {
        "name" => words.account_name,
        "keep_copy" => words.keep_copy_column,
        "automatic_check" => words.automatic_check,
        "hold_days" => words.hold_days,
        "interval_s" => words.interval,
        "push" => words.push,
        "enabled" => words.enabled,
        "address" => words.address,
        "port" => words.port,
        "protocol" => words.protocol,
        "use_network_connector" => words.use_connector,
        "network_connector_id" => words.connector,
        "skip_certificate" => words.skip_certificate,
        "skip_reason" => trust.reason,
        "skip_until" => trust.until,
        "trust" => trust.trust,
        "ca_id" => trust.ca,
        "pin" => trust.pin,
        "secure_connection" => words.use_safe,
        "secure_connection_type" => words.secure_type,
        _ => words.credential,
    }
}
