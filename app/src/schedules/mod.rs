//! The screens of scheduled reports: the report, the form, the history.

pub mod api;
pub mod form;
#[cfg(feature = "ssr")]
pub mod history;
#[cfg(feature = "ssr")]
pub mod report;
pub mod runs;
pub mod wording;

/// Where the report is; everything else of schedules is below.
pub const PATH: &str = "/settings/email/schedules";
