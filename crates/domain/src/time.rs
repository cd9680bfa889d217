//! Points in time as microseconds since 1970-01-01T00:00:00Z, and how they read in UTC.
//!
//! There is no `now` here: the clock is handed in.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-01-31 14:30`, in UTC.
    pub fn to_minute(self) -> String {
        let (year, month, day, hour, minute, _) = self.civil();
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
    }

    /// `2026-01-31T1430Z`, fit for a file name.
    pub fn to_file_stamp(self) -> String {
        let (year, month, day, hour, minute, _) = self.civil();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}{minute:02}Z")
    }

    /// The day in UTC.
    pub fn day(self) -> Day {
        Day(self.0.div_euclid(1_000_000).div_euclid(86_400))
    }

    /// Year, month, day, hour, minute, second of the proleptic Gregorian calendar in UTC.
    ///
    /// The day arithmetic is Howard Hinnant's `civil_from_days`.
    fn civil(self) -> (i64, i64, i64, i64, i64, i64) {
        let seconds = self.0.div_euclid(1_000_000);
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with seconds, in UTC: `2026-01-31T14:30:05Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// A day of the calendar, as days since 1970-01-01; written `2026-01-31`. It ends when it ends in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i64);

impl Day {
    /// Reads `2026-01-31`; the years 1970 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '-');
        let mut number = |length: usize| {
            let part = parts.next()?;
            let is_number = part.len() == length && part.bytes().all(|it| it.is_ascii_digit());
            is_number.then(|| part.parse::<i64>().ok()).flatten()
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        if year < 1970 || !(1..=12).contains(&month) {
            return None;
        }
        // Howard Hinnant's `days_from_civil`.
        let shifted_year = year - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let year_of_era = shifted_year.rem_euclid(400);
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let found = Self(era * 146_097 + day_of_era - 719_468);
        // A day that the month does not have comes out as one of the next month.
        (found.to_string() == text.trim()).then_some(found)
    }

    /// Its first moment in UTC.
    pub fn start(self) -> Timestamp {
        Timestamp::from_seconds(self.0.saturating_mul(86_400))
    }

    /// Whether it is over.
    pub fn is_over(self, now: Timestamp) -> bool {
        now.day() > self
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, ..) = Timestamp::from_seconds(self.0.saturating_mul(86_400)).civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i64, expected: &str) {
        assert_eq!(Timestamp::from_seconds(seconds).to_string(), expected);
    }

    #[test]
    fn days_are_counted_across_leap_years_and_before_the_epoch() {
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_769_869_805, "2026-01-31T14:30:05Z");
        check(-1, "1969-12-31T23:59:59Z");
    }

    #[test]
    fn days_are_read_as_they_are_written() {
        for text in ["1970-01-01", "2000-02-29", "2026-12-31", "2027-01-01", "9999-12-31"] {
            assert_eq!(Day::parse(text).map(|it| it.to_string()).as_deref(), Some(text));
        }
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-01-32", "2026-1-1", "31.01.2026", "+026-01-01", ""]
        {
            assert_eq!(Day::parse(text), None, "{text}");
        }
        let day = Day::parse("2026-01-31").unwrap();
        assert!(
            !day.is_over(Timestamp::from_seconds(1_769_903_999)) && day.is_over(Timestamp::from_seconds(1_769_904_000))
        );
    }
}
