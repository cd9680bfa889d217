//! The audit log: who did what, when, from where, what was before and what is after.

pub mod api;
pub mod report;
pub mod wording;
