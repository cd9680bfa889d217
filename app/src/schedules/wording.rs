//! Schedules in words.

use domain::schedule::{DeliveryState, RunOutcome, Weekday};
#[cfg(feature = "ssr")]
use domain::{
    account::{AccountFilter, AccountQuery},
    schedule::{Delivery, MonthDay, Recurrence, Timing},
    time::Timestamp,
};
use words::Words;

#[cfg(feature = "ssr")]
use crate::accounts::{health::state_label, report::column_label};

/// `Every weekday at 08:00, America/Sao_Paulo`.
#[cfg(feature = "ssr")]
pub fn timing(timing: &Timing, words: &Words) -> String {
    let (it, time, zone) = (&words.schedules, timing.time, &timing.zone);
    match &timing.recurrence {
        Recurrence::Daily => it.every_day(time, zone),
        Recurrence::Weekdays => it.every_weekday(time, zone),
        Recurrence::Weekly { days } => {
            let names: Vec<_> = days.iter().map(|day| weekday(*day, words)).collect();
            it.every_week(names.join(", "), time, zone)
        }
        Recurrence::Monthly { day: MonthDay::Last } => it.every_month_end(time, zone),
        Recurrence::Monthly { day: MonthDay::Day(day) } => it.every_month(day, time, zone),
        Recurrence::Cron { expression } => it.by_cron(expression, zone),
    }
}

/// A day's name.
pub fn weekday(day: Weekday, words: &Words) -> &'static str {
    words.schedules.weekdays.split(' ').nth(day as usize).unwrap_or_default()
}

/// `2026-11-25 08:00 -03, 2 attempts, again at 2026-11-25 08:02 -03`.
#[cfg(feature = "ssr")]
pub fn mail_times(mail: &Delivery, local: impl Fn(Timestamp) -> String, words: &Words) -> String {
    let mut text = local(mail.at);
    if mail.n_attempts > 1 {
        text = format!("{text}, {}", words.schedules.attempts(u64::from(mail.n_attempts)));
    }
    match mail.next_attempt_at.filter(|_| mail.state == DeliveryState::Waiting) {
        Some(again) => format!("{text}, {}", words.schedules.again_at(local(again))),
        None => text,
    }
}

/// Filter and sort: `Name: bill; Status: Enabled; Sorted by Name`.
#[cfg(feature = "ssr")]
pub fn query(query: &AccountQuery, words: &Words) -> String {
    let it = &words.accounts;
    let AccountFilter { name, secure_connection, automatic_check, keep_copy, skip_certificate, enabled, health } =
        &query.filter;
    let flag = |label: &str, value: &Option<bool>, names: [&str; 2]| {
        value.map(|on| format!("{label}: {}", names[usize::from(on)]))
    };
    let yes_no = [words.common.no, words.common.yes];
    let mut parts = Vec::new();
    parts.extend(Some(name).filter(|it| !it.is_empty()).map(|name| format!("{}: {name}", it.name)));
    parts.extend(flag(it.secure_connection, secure_connection, yes_no));
    parts.extend(flag(it.automatic_check, automatic_check, yes_no));
    parts.extend(flag(it.keep_copy, keep_copy, yes_no));
    parts.extend(flag(it.skip_certificate, skip_certificate, yes_no));
    parts.extend(flag(it.status, enabled, [it.disabled_status, it.enabled_status]));
    parts.extend(health.map(|state| format!("{}: {}", it.health, state_label(state, words))));
    if parts.is_empty() {
        parts.push(words.report.all.to_owned());
    }
    let column = column_label(query.sort.column, words);
    parts.push(if query.sort.descending { words.report.descending(column) } else { words.report.sorted_by(column) });
    parts.join("; ")
}

/// How a run ended.
pub fn outcome(outcome: RunOutcome, words: &Words) -> &'static str {
    let words = &words.schedules;
    match outcome {
        RunOutcome::Running => words.outcome_running,
        RunOutcome::Sent => words.outcome_sent,
        RunOutcome::Unchanged => words.outcome_unchanged,
        RunOutcome::Partial => words.outcome_partial,
        RunOutcome::Failed => words.outcome_failed,
    }
}

/// How far a mail has come.
pub fn state(state: DeliveryState, words: &Words) -> &'static str {
    let words = &words.schedules;
    match state {
        DeliveryState::Waiting => words.state_waiting,
        DeliveryState::Sending => words.state_sending,
        DeliveryState::Sent => words.outcome_sent,
        DeliveryState::Uncertain => words.state_uncertain,
        DeliveryState::Failed => words.outcome_failed,
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use domain::schedule::TimeOfDay;
    use words::Locale;

    use super::*;

    #[test]
    fn a_schedule_reads_as_a_sentence_in_each_language() {
        let weekly = Recurrence::Weekly { days: vec![Weekday::Monday, Weekday::Friday] };
        let it = Timing { recurrence: weekly, time: TimeOfDay { hour: 8, minute: 0 }, zone: "UTC".to_owned() };
        assert_eq!(timing(&it, Locale::En.words()), "Every Monday, Friday at 08:00, UTC");
        assert_eq!(timing(&it, Locale::PtBr.words()), "Toda semana: segunda-feira, sexta-feira às 08:00, UTC");
        assert_eq!(timing(&it, Locale::Es.words()), "Cada semana: lunes, viernes a las 08:00, UTC");
        let asked = AccountQuery::from_query_string("name=b&status=enabled&health=late&sort=-port");
        assert_eq!(
            query(&asked, Locale::En.words()),
            "Name: b; Status: Enabled; Health: Late; Sorted by Port, descending"
        );
    }
}
