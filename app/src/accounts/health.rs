//! An account's health in one line: icon, words, and how long ago.

use domain::{
    account::{Health, HealthState},
    time::Timestamp,
};
use leptos::prelude::*;
use words::Words;

use crate::{
    context,
    inbox::wording,
    ui::{icon::Icon, when::ago},
};

/// The words of a state, as the filter offers it.
pub fn state_label(state: HealthState, words: &Words) -> &'static str {
    let words = &words.accounts;
    match state {
        HealthState::Good => words.health_good,
        HealthState::NeverChecked => words.health_never_checked,
        HealthState::Late => words.health_late,
        HealthState::Failing => words.health_failing,
        HealthState::Stopped => words.health_stopped,
    }
}

/// The line as text.
pub fn health_wording(health: &Health, now: Timestamp) -> String {
    let all = context::words();
    let words = &all.accounts;
    match (&health.failure, health.last_success_at) {
        (Some(failure), _) => {
            let (what, ago) = (wording::kind(failure.kind, all), ago(failure.since, now));
            if failure.is_stopped { words.stopped(what, ago) } else { words.failing(what, ago) }
        }
        (None, Some(at)) if health.is_late => words.late(ago(at, now)),
        (None, None) if health.is_late => words.late_never.to_owned(),
        (None, Some(at)) => words.checked(ago(at, now)),
        (None, None) => words.never_checked.to_owned(),
    }
}

#[component]
pub fn HealthCell(health: Health, now: Timestamp) -> impl IntoView {
    let (icon, class) = match health.state() {
        HealthState::Good => ("check", "state ok"),
        HealthState::NeverChecked => ("clock", "state"),
        HealthState::Late => ("clock", "state warn"),
        HealthState::Failing => ("alert", "state warn"),
        HealthState::Stopped => ("stop", "state bad"),
    };
    let all = context::words();
    let step = health.failure.as_ref().map(|it| wording::next_step(it.kind, all).to_owned());
    let at = health.next_check_at.map(|it| all.accounts.next_check(it.to_minute()));
    let title = step.into_iter().chain(at).collect::<Vec<_>>().join(" ");
    let next = health.next_check_at.filter(|_| health.failure.is_none());
    let next = next.map(|at| view! { <span class="next">", "{next_wording(at, now)}</span> });
    view! { <span class=class title=title><Icon name=icon/><span>{health_wording(&health, now)}{next}</span></span> }
}

/// In how long the next check comes, rounded up to the minute below an hour.
fn next_wording(at: Timestamp, now: Timestamp) -> String {
    let words = &context::words().accounts;
    let seconds = at.since(now).as_secs();
    match seconds {
        0 => words.next_now.to_owned(),
        1..=3_600 => words.next_minutes(seconds.div_ceil(60)),
        3_601..=86_399 => words.next_hours(seconds / 3_600),
        _ => words.next_days(seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use domain::{account::Failure, check::ErrorKind};

    use super::*;

    #[test]
    fn the_next_check_is_text_unless_there_is_a_failure_to_tell() {
        let now = Timestamp::from_seconds(7_200);
        let good = Health {
            last_success_at: Some(Timestamp::from_seconds(7_080)),
            next_check_at: Some(Timestamp::from_seconds(7_261)),
            ..Health::default()
        };
        let cell = |health: Health| Owner::new().with(|| view! { <HealthCell health now/> }.to_html());
        assert!(cell(good.clone()).contains("next in 2 min"));
        let due = Some(Timestamp::from_seconds(7_100));
        assert!(cell(Health { next_check_at: due, ..good.clone() }).contains("next check due"));
        let failure =
            Failure { kind: ErrorKind::Timeout, message: String::new(), since: now, n_failures: 1, is_stopped: false };
        assert!(!cell(Health { failure: Some(failure), ..good }).contains("next in"));
    }

    #[test]
    fn a_late_account_says_since_when_it_had_no_success() {
        let now = Timestamp::from_seconds(7_200);
        let late = Health { is_late: true, last_success_at: Some(Timestamp::from_seconds(0)), ..Health::default() };
        assert_eq!(health_wording(&late, now), "Late: last success 2 h ago");
        assert_eq!(health_wording(&Health { last_success_at: None, ..late }, now), "Late: no success yet");
    }
}
