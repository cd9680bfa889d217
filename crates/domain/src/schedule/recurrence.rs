//! When a schedule comes round.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A day of the week, as ISO 8601 counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    pub const ALL: [Self; 7] =
        [Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday, Self::Sunday];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Tuesday => "tuesday",
            Self::Wednesday => "wednesday",
            Self::Thursday => "thursday",
            Self::Friday => "friday",
            Self::Saturday => "saturday",
            Self::Sunday => "sunday",
        }
    }
}

/// A day of every month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MonthDay {
    Last,
    /// 1 to 31; a month that has no such day has its last one instead.
    Day(u8),
}

impl MonthDay {
    /// `1` to `31`, or `last`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "last" {
            return Some(Self::Last);
        }
        text.parse().ok().filter(|it| (1..=31).contains(it)).map(Self::Day)
    }
}

impl fmt::Display for MonthDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Last => f.write_str("last"),
        }
    }
}

/// On which days. As text: `daily`, `weekdays`, `weekly monday friday`, `monthly 15`, `monthly last`, `cron 0 8 * * 1-5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Recurrence {
    Daily,
    /// Monday to Friday.
    Weekdays,
    /// On these days, at least one, in their order.
    Weekly {
        days: Vec<Weekday>,
    },
    Monthly {
        day: MonthDay,
    },
    /// At every time that the five fields match (POSIX `crontab`, with `L`, `W` and `#`); the time of day is part of it.
    Cron {
        expression: String,
    },
}

impl Recurrence {
    pub const KINDS: [&str; 5] = ["daily", "weekdays", "weekly", "monthly", "cron"];

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekdays => "weekdays",
            Self::Weekly { .. } => "weekly",
            Self::Monthly { .. } => "monthly",
            Self::Cron { .. } => "cron",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ').unwrap_or((text, ""));
        let day = |it| Weekday::ALL.into_iter().find(|day| day.as_str() == it);
        Some(match kind {
            "daily" => Self::Daily,
            "weekdays" => Self::Weekdays,
            "weekly" => Self::Weekly { days: rest.split(' ').map(day).collect::<Option<_>>()? },
            "monthly" => Self::Monthly { day: MonthDay::parse(rest)? },
            "cron" => Self::Cron { expression: rest.to_owned() },
            _ => return None,
        })
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Daily | Self::Weekdays => Ok(()),
            Self::Weekly { days } => days.iter().try_for_each(|it| write!(f, " {}", it.as_str())),
            Self::Monthly { day } => write!(f, " {day}"),
            Self::Cron { expression } => write!(f, " {expression}"),
        }
    }
}

impl Serialize for Recurrence {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recurrence {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a recurrence"))
    }
}

/// A time of day, to the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimeOfDay {
    pub hour: u8,
    pub minute: u8,
}

impl TimeOfDay {
    /// `08:00`, or `08:00:00` as some browsers send it.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, rest) = text.trim().split_once(':')?;
        let minute = rest.strip_suffix(":00").unwrap_or(rest);
        let number = |it: &str, below: u8| {
            let is_plain = (1..=2).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit());
            it.parse().ok().filter(|it| is_plain && *it < below)
        };
        Some(Self { hour: number(hour, 24)?, minute: number(minute, 60)? })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a time of day"))
    }
}

/// When a schedule runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timing {
    pub recurrence: Recurrence,
    pub time: TimeOfDay,
    /// A name of the IANA time zone database.
    pub zone: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recurrences_survive_as_text() {
        for (recurrence, text) in [
            (Recurrence::Daily, "daily"),
            (Recurrence::Weekdays, "weekdays"),
            (Recurrence::Weekly { days: vec![Weekday::Monday, Weekday::Friday] }, "weekly monday friday"),
            (Recurrence::Monthly { day: MonthDay::Day(15) }, "monthly 15"),
            (Recurrence::Monthly { day: MonthDay::Last }, "monthly last"),
            (Recurrence::Cron { expression: "0 8 * * 1-5".to_owned() }, "cron 0 8 * * 1-5"),
        ] {
            let json = serde_json::to_string(&recurrence).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Recurrence>(&json).unwrap(), recurrence);
        }
        assert!(serde_json::from_str::<Recurrence>("\"weekly someday\"").is_err());
    }

    #[test]
    fn times_of_day_are_read_strictly() {
        assert_eq!(TimeOfDay::parse("8:05").map(|it| it.to_string()), Some("08:05".to_owned()));
        assert_eq!(TimeOfDay::parse("23:59:00").map(|it| it.to_string()), Some("23:59".to_owned()));
        for text in ["", "8", "24:00", "08:60", "+8:00", "08:5x", "008:00"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
    }
}
