//! The screens of outgoing mail: the report, the form, the test.

pub mod api;
pub mod form;
#[cfg(feature = "ssr")]
pub mod report;
pub mod test;

/// Where the report is; everything else of outgoing mail is below.
pub const PATH: &str = "/settings/email/smtp";
