//! Credentials: the report and the form. A secret is only ever written here, never shown.

pub mod api;
pub mod form;
#[cfg(feature = "ssr")]
pub mod report;
pub mod used;

/// The path of the report; its records stand below it.
pub const PATH: &str = "/settings/credentials";
