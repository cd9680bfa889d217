//! Who is told when checks are late or failing.

pub mod api;
pub mod form;

/// Where the form is.
pub const PATH: &str = "/settings/email/notices";
