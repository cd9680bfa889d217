//! The audit log: who did what, when, from where, what was before and what is after.

#[cfg(feature = "ssr")]
pub mod entries;
pub mod report;
#[cfg(feature = "ssr")]
pub mod wording;
