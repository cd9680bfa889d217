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
    let next = health.next_check_at.map(|it| all.accounts.next_check(it.to_minute()));
    let title = step.into_iter().chain(next).collect::<Vec<_>>().join(" ");
    view! { <span class=class title=title><Icon name=icon/>{health_wording(&health, now)}</span> }
}

#[cfg(test)]
mod tests {
    use domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_late_account_says_since_when_it_had_no_success() {
        let now = Timestamp::from_seconds(7_200);
        let late = Health { is_late: true, last_success_at: Some(Timestamp::from_seconds(0)), ..Health::default() };
        assert_eq!(health_wording(&late, now), "Late: last success 2 h ago");
        assert_eq!(health_wording(&Health { last_success_at: None, ..late }, now), "Late: no success yet");
    }
}
