//! When a schedule comes round, in its zone and across its clock changes.
//!
//! A time of day that a clock change leaves out runs at the first moment after it; one that comes twice runs the first time.

use std::str::FromStr as _;

use croner::Cron;
use domain::{
    problem::{Problem, Rule},
    schedule::{MonthDay, Recurrence, TimeOfDay, Timing},
    time::Timestamp,
};
use jiff::{
    ToSpan as _, Zoned,
    civil::{Date, DateTime, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};

/// The next `n` times after `after`, fewer if there are no more; a problem names the zone or the expression.
pub(crate) fn next_runs(timing: &Timing, after: Timestamp, n: usize) -> Result<Vec<Timestamp>, Problem> {
    let zone = TimeZone::get(&timing.zone).map_err(|_| Problem::new("zone", Rule::NotAZone))?;
    let begin = instant(after).to_zoned(zone.clone());
    match &timing.recurrence {
        Recurrence::Cron { expression } => {
            let problem = || Problem::new("expression", Rule::NotACron);
            let cron = Cron::from_str(expression).map_err(|_| problem())?;
            let mut runs = Vec::new();
            let mut from = begin;
            while runs.len() < n {
                match cron.find_next_occurrence(&from, false) {
                    Ok(next) => {
                        runs.push(timestamp(&next));
                        from = next;
                    }
                    // An expression that never comes is a mistake; one that came before just ends.
                    Err(_) if runs.is_empty() => return Err(problem()),
                    Err(_) => break,
                }
            }
            Ok(runs)
        }
        days => {
            let first = begin.date().yesterday().unwrap_or(begin.date());
            let dates = first.series(1.day()).filter(|it| falls_on(days, *it));
            let times = dates.filter_map(|it| moment(&zone, it, timing.time)).filter(|it| *it > after);
            Ok(times.take(n).collect())
        }
    }
}

/// The names of all zones.
pub(crate) fn zones() -> Vec<String> {
    jiff::tz::db().available().map(|it| it.as_str().to_owned()).collect()
}

/// `2026-11-25 08:00 -03`; in UTC where the zone is not known.
pub(crate) fn local(zone: &str, at: Timestamp) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    instant(at).to_zoned(zone).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

fn falls_on(recurrence: &Recurrence, date: Date) -> bool {
    match recurrence {
        Recurrence::Daily => true,
        Recurrence::Weekdays => !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday),
        Recurrence::Weekly { days } => {
            let offset = date.weekday().to_monday_zero_offset();
            days.iter().any(|it| *it as i8 == offset)
        }
        Recurrence::Monthly { day } => {
            let last = date.days_in_month();
            let wanted = match day {
                MonthDay::Last => last,
                MonthDay::Day(day) => i8::try_from(*day).unwrap_or(last).min(last),
            };
            date.day() == wanted
        }
        Recurrence::Cron { .. } => false,
    }
}

fn moment(zone: &TimeZone, date: Date, time: TimeOfDay) -> Option<Timestamp> {
    let (hour, minute) = (i8::try_from(time.hour).ok()?, i8::try_from(time.minute).ok()?);
    let wanted: DateTime = date.at(hour, minute, 0, 0);
    let ambiguous = zone.to_ambiguous_timestamp(wanted);
    let at = match ambiguous.offset() {
        AmbiguousOffset::Gap { before, .. } => {
            // Read by the clock before the change, the time lies after it: the change is the last one up to there.
            let inside = before.to_timestamp(wanted).ok()?;
            zone.preceding(inside + 1.nanosecond()).next()?.timestamp()
        }
        AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. } => ambiguous.compatible().ok()?,
    };
    Some(Timestamp(at.as_microsecond()))
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.0).unwrap_or_default()
}

fn timestamp(at: &Zoned) -> Timestamp {
    Timestamp(at.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use domain::schedule::Weekday as Day;

    use super::*;

    fn utc(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn daily() -> Recurrence {
        Recurrence::Daily
    }

    fn cron(expression: &str) -> Recurrence {
        Recurrence::Cron { expression: expression.to_owned() }
    }

    /// Zone, recurrence, time, after, and the runs that follow in UTC.
    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn recurrences_keep_their_hour_across_clock_changes() {
        let table: &[(&str, Recurrence, &str, &str, &[&str])] = &[
            // Berlin goes from +1 to +2 on 2026-03-29 at 02:00, and back on 2026-10-25 at 03:00.
            (
                "Europe/Berlin",
                daily(),
                "08:00",
                "2026-03-28T00:00:00Z",
                &["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z", "2026-03-30T06:00:00Z"],
            ),
            (
                "Europe/Berlin",
                daily(),
                "02:30",
                "2026-03-28T00:00:00Z",
                &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            (
                "Europe/Berlin",
                daily(),
                "02:00",
                "2026-03-28T12:00:00Z",
                &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"],
            ),
            (
                "Europe/Berlin",
                daily(),
                "02:30",
                "2026-10-24T00:00:00Z",
                &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            ),
            (
                "Europe/Berlin",
                cron("30 2 * * *"),
                "00:00",
                "2026-03-28T12:00:00Z",
                &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            (
                "Europe/Berlin",
                cron("30 2 * * *"),
                "00:00",
                "2026-10-24T12:00:00Z",
                &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            ),
            // Every half hour goes on through the hour that comes twice.
            (
                "Europe/Berlin",
                cron("*/30 * * * *"),
                "00:00",
                "2026-10-25T00:00:00Z",
                &["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"],
            ),
            // New York goes from -5 to -4 on 2026-03-08 at 02:00, and back on 2026-11-01 at 02:00.
            (
                "America/New_York",
                Recurrence::Weekdays,
                "09:30",
                "2026-03-06T15:00:00Z",
                &["2026-03-09T13:30:00Z", "2026-03-10T13:30:00Z"],
            ),
            (
                "America/New_York",
                daily(),
                "01:30",
                "2026-10-31T12:00:00Z",
                &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
            ),
            (
                "America/New_York",
                daily(),
                "02:15",
                "2026-03-07T12:00:00Z",
                &["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"],
            ),
            (
                "America/New_York",
                Recurrence::Weekly { days: vec![Day::Sunday] },
                "12:00",
                "2026-10-30T00:00:00Z",
                &["2026-11-01T17:00:00Z", "2026-11-08T17:00:00Z"],
            ),
            // Lord Howe moves by half an hour, to +10:30 on 2026-04-05 and to +11 on 2026-10-04 at 02:00.
            (
                "Australia/Lord_Howe",
                daily(),
                "02:15",
                "2026-10-02T16:00:00Z",
                &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
            ),
            (
                "Australia/Lord_Howe",
                daily(),
                "01:45",
                "2026-04-03T16:00:00Z",
                &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
            ),
            // Samoa's zone had no 2011-12-30 at all.
            (
                "Pacific/Apia",
                daily(),
                "10:00",
                "2011-12-29T00:00:00Z",
                &["2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T20:00:00Z"],
            ),
            (
                "UTC",
                Recurrence::Monthly { day: MonthDay::Day(31) },
                "06:00",
                "2027-01-30T00:00:00Z",
                &["2027-01-31T06:00:00Z", "2027-02-28T06:00:00Z", "2027-03-31T06:00:00Z"],
            ),
            (
                "UTC",
                Recurrence::Monthly { day: MonthDay::Last },
                "06:00",
                "2028-02-01T00:00:00Z",
                &["2028-02-29T06:00:00Z", "2028-03-31T06:00:00Z"],
            ),
            (
                "America/Sao_Paulo",
                cron("0 8 L * *"),
                "00:00",
                "2026-11-24T00:00:00Z",
                &["2026-11-30T11:00:00Z", "2026-12-31T11:00:00Z"],
            ),
        ];
        for (zone, recurrence, time, after, expected) in table {
            let time = TimeOfDay::parse(time).unwrap();
            let timing = Timing { recurrence: recurrence.clone(), time, zone: (*zone).to_owned() };
            let runs = next_runs(&timing, utc(after), expected.len()).unwrap();
            let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
            assert_eq!(runs, *expected, "{zone} {recurrence:?} {time}");
        }
    }

    #[test]
    fn a_run_is_never_its_own_next() {
        let timing = Timing { recurrence: daily(), time: TimeOfDay { hour: 8, minute: 0 }, zone: "UTC".to_owned() };
        let runs = next_runs(&timing, utc("2026-11-24T08:00:00Z"), 1).unwrap();
        assert_eq!(runs, [utc("2026-11-25T08:00:00Z")]);
    }

    #[test]
    fn what_is_no_zone_and_what_never_comes_is_named() {
        let timing = |zone: &str, recurrence| Timing {
            recurrence,
            time: TimeOfDay { hour: 8, minute: 0 },
            zone: zone.to_owned(),
        };
        let problem = |it| next_runs(&it, Timestamp(0), 1).unwrap_err();
        assert_eq!(problem(timing("Mars/Olympus", daily())), Problem::new("zone", Rule::NotAZone));
        for expression in ["0 8 31 2 *", "61 * * * *", "a b c d e"] {
            let found = problem(timing("UTC", cron(expression)));
            assert_eq!(found, Problem::new("expression", Rule::NotACron), "{expression}");
        }
        assert!(zones().contains(&"America/Sao_Paulo".to_owned()));
        assert_eq!(local("America/Sao_Paulo", utc("2026-11-25T11:00:00Z")), "2026-11-25 08:00 -03");
    }
}
