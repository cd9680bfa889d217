//! How the checks are going: one page that follows them.

pub mod page;
#[cfg(feature = "ssr")]
pub mod picture;

/// Where the page is.
pub const PATH: &str = "/settings/email/checks";
