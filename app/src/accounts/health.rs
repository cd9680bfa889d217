//! An account's health in one line: icon, words, and how long ago.

use domain::{
    account::{Health, HealthState},
    check::ErrorKind,
    time::Timestamp,
};
use leptos::prelude::*;

use crate::{
    context,
    ui::{icon::Icon, when::ago},
};

/// What a kind of error means, in the words that the inbox uses too.
pub fn kind_wording(kind: ErrorKind) -> &'static str {
    let words = &context::words().checks;
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
        ErrorKind::Mailbox => words.kind_mailbox,
        ErrorKind::Throttled => words.kind_throttled,
        ErrorKind::Storage => words.kind_storage,
        ErrorKind::Internal => words.kind_internal,
    }
}

/// The line as text.
pub fn health_wording(health: &Health, now: Timestamp) -> String {
    let words = &context::words().accounts;
    match (&health.failure, health.last_success_at) {
        (Some(failure), _) => {
            let (what, ago) = (kind_wording(failure.kind), ago(failure.since, now));
            if failure.is_stopped { words.stopped(what, ago) } else { words.failing(what, ago) }
        }
        (None, Some(at)) => words.checked(ago(at, now)),
        (None, None) => words.never_checked.to_owned(),
    }
}

#[component]
pub fn HealthCell(health: Health, now: Timestamp) -> impl IntoView {
    let (icon, class) = match health.state() {
        HealthState::Good => ("check", "state ok"),
        HealthState::NeverChecked => ("clock", "state"),
        HealthState::Failing => ("alert", "state warn"),
        HealthState::Stopped => ("stop", "state bad"),
    };
    let next = health.next_check_at.map(|it| context::words().accounts.next_check(it.to_minute()));
    view! { <span class=class title=next><Icon name=icon/>{health_wording(&health, now)}</span> }
}
