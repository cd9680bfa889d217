//! Network connectors: the report and the form.

pub mod api;
pub mod form;
pub mod report;

/// The path of the report; its records stand below it.
pub const PATH: &str = "/settings/connectors";
