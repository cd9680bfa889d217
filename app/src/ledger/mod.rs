//! What is shown of an account's ledger: what could not be fetched, what was and what will be deleted on the server.

pub mod api;
pub mod deletions;
pub mod quarantine;
pub mod sample;
