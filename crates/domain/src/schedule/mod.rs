//! A report that is sent by itself: what it shows, when, to whom; and the record of each time.

mod form;
mod recurrence;
mod run;

pub use form::{ScheduleDraft, ScheduleForm};
pub use recurrence::{MonthDay, Recurrence, TimeOfDay, Timing, Weekday};
pub use run::{Delivery, DeliveryState, ReportFile, ReportRun, RunOutcome};
use serde::{Deserialize, Serialize};

use crate::{ids::ScheduleId, time::Timestamp};

/// The languages that reports are written in, by their BCP 47 tags.
pub const LANGUAGES: [&str; 3] = ["en", "pt-BR", "es"];

/// How a report is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Csv,
    Pdf,
    /// A table in the mail itself.
    Html,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Csv, Self::Pdf, Self::Html];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Html => "html",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Pdf => "PDF",
            Self::Html => "HTML",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Pdf => "application/pdf",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// A schedule as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub id: ScheduleId,
    pub version: i64,
    pub draft: ScheduleDraft,
    /// `None` while it is paused, or if it never comes again.
    pub next_run_at: Option<Timestamp>,
}

/// A line of the report of schedules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRow {
    pub schedule: Schedule,
    /// Its last run, without files and deliveries.
    pub last_run: Option<ReportRun>,
}
