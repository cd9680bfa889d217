//! What leaves the house: the report of accounts as CSV (RFC 4180), as a printable page, as PDF and as a table in a mail, in the
//! reader's language; when a schedule comes round, and its delivery; and notices of accounts that are late or failing.

mod calendar;
mod changes;
mod content;
pub mod csv;
mod html;
mod message;
mod notices;
pub mod pdf;
pub mod posture;
pub mod print;
mod reports;
#[cfg(test)]
mod samples;

pub use notices::{Watchman, WatchmanParts};
pub use reports::{Reports, ReportsParts, Settings};

use domain::{
    account::{AccountColumn, AccountFilter, AccountRow, AccountSort, HealthState},
    check::ErrorKind,
};
use words::{Locale, Words};

/// The headings, in the order of the screen.
fn headings(words: &Words) -> [&'static str; 10] {
    let it = &words.accounts;
    [
        it.id,
        it.name,
        it.secure_connection,
        it.connection_type,
        it.protocol,
        it.port,
        it.automatic_check,
        it.keep_copy_column,
        it.status,
        it.health,
    ]
}

/// The cells of one account, in the order of the headings.
fn cells(row: &AccountRow, locale: Locale) -> [String; 10] {
    let words = locale.words();
    let yes_no = |it: bool| if it { words.common.yes } else { words.common.no }.to_owned();
    let status = if row.enabled { words.accounts.enabled_status } else { words.accounts.disabled_status };
    [
        row.id.to_string(),
        row.name.clone(),
        yes_no(row.security.is_secure()),
        row.security.kind().unwrap_or_default().to_uppercase(),
        row.protocol.label().to_owned(),
        row.port.to_string(),
        yes_no(row.automatic_check),
        yes_no(row.keep_copy),
        status.to_owned(),
        health(row, words),
    ]
}

/// Health with a time that stays true on paper.
fn health(row: &AccountRow, words: &Words) -> String {
    match (&row.health.failure, row.health.last_success_at) {
        (Some(failure), _) => {
            let (what, since) = (kind(failure.kind, words), failure.since.to_minute());
            if row.health.state() == HealthState::Stopped {
                words.accounts.stopped(what, since)
            } else {
                words.accounts.failing(what, since)
            }
        }
        (None, Some(at)) if row.health.is_late => words.accounts.late(at.to_minute()),
        (None, Some(at)) => words.accounts.checked(at.to_minute()),
        (None, None) if row.health.is_late => words.accounts.late_never.to_owned(),
        (None, None) => words.accounts.never_checked.to_owned(),
    }
}

fn kind(kind: ErrorKind, words: &Words) -> &'static str {
    let words = &words.checks;
    match kind {
        ErrorKind::Resolve => words.kind_resolve,
        ErrorKind::Egress => words.kind_egress,
        ErrorKind::Refused => words.kind_refused,
        ErrorKind::Timeout => words.kind_timeout,
        ErrorKind::Connector => words.kind_connector,
        ErrorKind::Tls => words.kind_tls,
        ErrorKind::Certificate => words.kind_certificate,
        ErrorKind::Protocol => words.kind_protocol,
        ErrorKind::Authentication => words.kind_authentication,
        ErrorKind::Expired => words.kind_expired,
        ErrorKind::Mailbox => words.kind_mailbox,
        ErrorKind::Throttled => words.kind_throttled,
        ErrorKind::Storage => words.kind_storage,
        ErrorKind::Internal => words.kind_internal,
    }
}

/// The filter in words: `Name: bill; Status: Enabled`.
fn filter(filter: &AccountFilter, words: &Words) -> String {
    let it = &words.accounts;
    let yes_no = |flag: bool| if flag { words.common.yes } else { words.common.no };
    let state = |flag: bool| if flag { it.enabled_status } else { it.disabled_status };
    let mut parts = Vec::new();
    if !filter.name.is_empty() {
        parts.push(format!("{}: {}", it.name, filter.name));
    }
    parts.extend(filter.secure_connection.map(|flag| format!("{}: {}", it.secure_connection, yes_no(flag))));
    parts.extend(filter.automatic_check.map(|flag| format!("{}: {}", it.automatic_check, yes_no(flag))));
    parts.extend(filter.keep_copy.map(|flag| format!("{}: {}", it.keep_copy, yes_no(flag))));
    parts.extend(filter.skip_certificate.map(|flag| format!("{}: {}", it.skip_certificate, yes_no(flag))));
    parts.extend(filter.enabled.map(|flag| format!("{}: {}", it.status, state(flag))));
    parts.extend(filter.health.map(|wanted| format!("{}: {}", it.health, health_state(wanted, words))));
    if parts.is_empty() { words.report.all.to_owned() } else { parts.join("; ") }
}

fn health_state(state: HealthState, words: &Words) -> &'static str {
    let words = &words.accounts;
    match state {
        HealthState::Good => words.health_good,
        HealthState::NeverChecked => words.health_never_checked,
        HealthState::Late => words.health_late,
        HealthState::Failing => words.health_failing,
        HealthState::Stopped => words.health_stopped,
    }
}

/// How it is sorted: `Sorted by Name, descending`.
fn sort(sort: AccountSort, words: &Words) -> String {
    let column = column(sort.column, words);
    if sort.descending { words.report.descending(column) } else { words.report.sorted_by(column) }
}

fn column(column: AccountColumn, words: &Words) -> &'static str {
    let nth = AccountColumn::ALL.iter().position(|it| *it == column).unwrap_or_default();
    headings(words)[nth]
}
