//! How the checks are going: one page that follows them.

pub mod api;
pub mod page;

/// Where the page is.
pub const PATH: &str = "/settings/email/checks";
